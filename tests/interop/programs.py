"""The clients that we meet, and what each of them needs."""

from __future__ import annotations

from pathlib import Path

from tests.interop.person import CLIENTS, Program

__all__ = ["CONVERSE", "NBXMPP", "PROGRAMS", "SLIXMPP", "STANZA", "STROPHE", "XMPPJS"]

_MODULES = CLIENTS / "node_modules"
_DEBIAN = Path("/usr/lib/python3/dist-packages")
_VENV = Path(__file__).parents[2] / "build" / "slixmpp" / "bin" / "python"

XMPPJS = Program("xmpp.js", "xmppjs.mjs", "node", (_MODULES / "@xmpp" / "client",))
STROPHE = Program("Strophe", "strophe.mjs", "node", (_MODULES / "strophe.js",))
STANZA = Program("StanzaJS", "stanza.mjs", "node", (_MODULES / "stanza",))
CONVERSE = Program("Converse.js", "converse.mjs", "node", (_MODULES / "converse.js", "chromium", "certutil"))
NBXMPP = Program("nbxmpp", "nbxmpp_client.py", "/usr/bin/python3", (_DEBIAN / "nbxmpp",))
SLIXMPP = Program("slixmpp", "slixmpp_client.py", _VENV, ())

PROGRAMS = {program.name: program for program in (XMPPJS, STROPHE, STANZA, CONVERSE, NBXMPP, SLIXMPP)}
