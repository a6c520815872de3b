"""The clients and a proxy with Prosody in our place: if this fails, look at the rig before you look at us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.certificates import issue
from tests.interop.conversation import converse
from tests.interop.namespace import A, B, apart, domains_known, trust_only
from tests.interop.person import Account, Person, Program, person
from tests.interop.programs import CONVERSE, NBXMPP, PROGRAMS, SLIXMPP, STANZA, STROPHE, XMPPJS
from tests.interop.prosody import prosody
from tests.interop.scenario import Failure, Scenario

__all__ = ["SCENARIOS"]

WEBSOCKET = "wss://{}/xmpp-websocket"
TCP = "xmpp://{}:5222"
ACCOUNTS = {A: {"alice": "wonder"}, B: {"bob": "builder"}}


@contextmanager
def _people(program: Program, folder: Path, url: str, password: str) -> Iterator[tuple[Person, Person]]:
    """Alice, and bob who believes that `password` is his."""
    certificates = issue(folder, A, B)
    trust_only(certificates.authority)
    alice = Account(A, "alice", "wonder", url.format(A))
    bob = Account(B, "bob", password, url.format(B))
    with (
        domains_known(folder),
        prosody(folder, ACCOUNTS, certificates.joint),
        person(program, alice, certificates.authority, folder) as a,
        person(program, bob, certificates.authority, folder) as b,
    ):
        yield a, b


def _client(folder: Path, name: str, url: str) -> str:
    with _people(PROGRAMS[name], folder, url, "builder") as (a, b):
        return str(converse(a, b))


def _wrong_password(folder: Path, name: str, complaint: str) -> None:
    with _people(PROGRAMS[name], folder, WEBSOCKET, "wrong") as (_, b):
        b.do("login")
        b.until("the refusal", lambda: b.events("failed"))
        (told,) = b.events("failed")
        if complaint not in told["error"]:
            raise Failure(f"found the failure {told['error']!r}; wanted {complaint!r} in it")


_URLS = dict.fromkeys((XMPPJS, STROPHE, STANZA, CONVERSE, NBXMPP), WEBSOCKET) | {SLIXMPP: TCP}
_COMPLAINTS = {XMPPJS: "not-authorized", STROPHE: "AUTHFAIL"}

SCENARIOS = [
    *(
        Scenario(f"rehearsal: {program.name} at Prosody", apart(_client, program.name, url), ("prosody", *program.needs))
        for program, url in _URLS.items()
    ),
    *(
        Scenario(
            f"rehearsal: {program.name} notices a wrong password",
            apart(_wrong_password, program.name, complaint),
            ("prosody", *program.needs),
        )
        for program, complaint in _COMPLAINTS.items()
    ),
]
