"""Real clients at our servers: on one domain, and across two that find each other by DNS and host-meta."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.interop.certificates import issue
from tests.interop.conversation import converse
from tests.interop.namespace import ADDRESSES, A, B, apart, domains_known, trust_only
from tests.interop.ours import at_home, ours
from tests.interop.person import Account, Program, person
from tests.interop.programs import CONVERSE, NBXMPP, PROGRAMS, SLIXMPP, STANZA, STROPHE, XMPPJS
from tests.interop.scenario import Scenario

__all__ = ["SCENARIOS"]

_WEBSOCKET = "wss://{}/xmpp-websocket"
_TCP = """\
[services.c2s_tcp]
endpoint = "tcp:5222:interface={0}"
direct_tls_endpoint = "tcp:5223:interface={0}"
"""
_PLACES = {"one domain": A, "two domains": B}
"""Where bob is; alice is always at `A`."""
_SERVICES = [
    f"{service}._tcp.{domain} SRV 0 0 {port} {domain}"
    for domain in ADDRESSES
    for service, port in (("_xmpp-client", 5222), ("_xmpps-client", 5223))
]
"""What DNS says of TCP, to those that are to find it."""


def _meet(folder: Path, name: str, url: str, place: str) -> str:
    """Alice and bob, both with the same client, which is given a URL, or finds its server when that is empty."""
    accounts = [("alice", A), ("bob", _PLACES[place])]
    certificates = issue(folder, A, B)
    trust_only(certificates.authority)
    with ExitStack() as stack:
        stack.enter_context(domains_known(folder, *(_SERVICES if name == SLIXMPP.name else ())))
        for domain in {domain for _, domain in accounts}:
            plan = at_home(domain, certificates, tables=_TCP.format(ADDRESSES[domain]))
            stack.enter_context(ours(folder, plan, *(user for user, home in accounts if home == domain)))
        alice, bob = (
            stack.enter_context(person(PROGRAMS[name], account, certificates.authority, folder))
            for account in (Account(home, user, user, url.format(home)) for user, home in accounts)
        )
        return str(converse(alice, bob))


def _scenarios(program: Program, **urls: str) -> list[Scenario]:
    return [
        Scenario(f"clients: {program.name}, {found}, {place}", apart(_meet, program.name, url, place), program.needs)
        for found, url in urls.items()
        for place in _PLACES
    ]


SCENARIOS = [
    *_scenarios(XMPPJS, given=_WEBSOCKET, discovered=""),
    *_scenarios(STROPHE, given=_WEBSOCKET),
    *_scenarios(STANZA, given=_WEBSOCKET, discovered=""),
    *_scenarios(CONVERSE, given=_WEBSOCKET, discovered=""),
    *_scenarios(NBXMPP, given=_WEBSOCKET, discovered=""),
    *_scenarios(SLIXMPP, STARTTLS="xmpp://{}:5222", TLS="xmpps://{}:5223", discovered=""),
]
