"""Servers of others over TCP, found by DNS: first among themselves, so that the rig is proved before we are looked at."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.interop.certificates import issue
from tests.interop.ejabberd import ejabberd
from tests.interop.namespace import apart, name_server
from tests.interop.prosody_s2s import prosody_s2s
from tests.interop.scenario import Scenario
from tests.interop.servers import converse

__all__ = ["SCENARIOS"]

HERE, THERE = "one.example.org", "two.example.org"
ADDRESSES = {HERE: "127.0.0.2", THERE: "127.0.0.3"}
_PEERS = {"Prosody": prosody_s2s, "ejabberd": ejabberd}
_COMMANDS = {"Prosody": ("prosody",), "ejabberd": ("ejabberdctl", "erl")}
_SAID = {"EXTERNAL": f"SASL EXTERNAL with {THERE} succeeded", "dialback": "sent dialback key on outgoing s2s stream"}


def _rehearse(folder: Path, make: str, mechanism: str) -> None:
    """Prosody here, and a peer there."""
    certificates = issue(folder, HERE, THERE)
    dialback = mechanism == "dialback"
    with ExitStack() as stack:
        stack.enter_context(name_server(folder, [f"{name} A {address}" for name, address in ADDRESSES.items()]))
        here, there = (
            stack.enter_context(
                server(folder, domain, ADDRESSES[domain], certificates.hosts[domain], certificates.authority, dialback=dialback)
            )
            for server, domain in ((prosody_s2s, HERE), (_PEERS[make], THERE))
        )
        converse(here.client("juliet"), there.client("juliet"))
        here.must_say(_SAID[mechanism])


SCENARIOS = [
    Scenario(
        f"rehearsal: Prosody and {make} over TCP by {mechanism}",
        apart(_rehearse, make, mechanism),
        ("unshare", "ip", "prosody", *_COMMANDS[make]),
    )
    for make in _PEERS
    for mechanism in _SAID
]
