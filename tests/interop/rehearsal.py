"""The clients and the proxy with Prosody in our place: if this fails, look at the rig before you look at us."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.interop.certificates import issue
from tests.interop.nginx import Upstream, nginx
from tests.interop.node import Side, converse
from tests.interop.prosody import prosody
from tests.interop.scenario import Failure, Scenario

__all__ = ["SCENARIOS"]

A, B = "one.test", "two.test"
ACCOUNTS = {A: {"alice": "wonder"}, B: {"bob": "builder"}}


def _sides(port: int, password: str = "builder") -> tuple[Side, Side]:
    alice = Side(A, f"wss://{A}:{port}/xmpp-websocket", "alice", "wonder")
    return alice, Side(B, f"wss://{B}:{port}/xmpp-websocket", "bob", password)


def _client(script: str, folder: Path) -> None:
    certificates = issue(folder, A, B)
    with prosody(folder, ACCOUNTS, certificates.joint) as server:
        converse(script, *_sides(server.https_port), certificates.authority, folder)


def _client_behind_proxy(script: str, folder: Path) -> None:
    certificates = issue(folder, A, B)
    with ExitStack() as stack:
        server = stack.enter_context(prosody(folder, ACCOUNTS, certificates.joint))
        upstreams = {name: Upstream(server.http_port, certificates.hosts[name]) for name in (A, B)}
        port = stack.enter_context(nginx(folder, upstreams))
        converse(script, *_sides(port), certificates.authority, folder)


def _wrong_password(script: str, complaint: str, folder: Path) -> None:
    certificates = issue(folder, A, B)
    with prosody(folder, ACCOUNTS, certificates.joint) as server:
        try:
            converse(script, *_sides(server.https_port, password="wrong"), certificates.authority, folder)
        except Failure as failure:
            if complaint in str(failure):
                return
            raise
    raise Failure(f"{script} reports success with a wrong password")


SCENARIOS = [
    Scenario("rehearsal: xmpp.js at Prosody", partial(_client, "xmppjs.mjs"), ("node", "npm", "prosody")),
    Scenario("rehearsal: Strophe at Prosody", partial(_client, "strophe.mjs"), ("node", "npm", "prosody")),
    Scenario(
        "rehearsal: xmpp.js through nginx at Prosody",
        partial(_client_behind_proxy, "xmppjs.mjs"),
        ("node", "npm", "prosody", "nginx"),
    ),
    Scenario(
        "rehearsal: xmpp.js notices a wrong password",
        partial(_wrong_password, "xmppjs.mjs", "not-authorized"),
        ("node", "npm", "prosody"),
    ),
    Scenario(
        "rehearsal: Strophe notices a wrong password",
        partial(_wrong_password, "strophe.mjs", "AUTHFAIL"),
        ("node", "npm", "prosody"),
    ),
]
