"""Debian's Prosody, with not one module of ours, behind xmppfed: others meet xmppfed, over s2s-ws and over TCP.

A name server of its own steers the backend: for it every domain is at the gateway's listener.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.interop.certificates import Certificates, issue
from tests.interop.namespace import apart, name_server
from tests.interop.ours import Plan, ours
from tests.interop.prosody_s2s import EXTERNAL, STEERED, prosody_s2s
from tests.interop.scenario import Scenario, show
from tests.interop.servers import Host, converse

__all__ = ["SCENARIOS"]

EDGE, BEHIND, OURS, PROSODY = "edge.example.org", "behind.example.org", "two.example.org", "three.example.org"
ADDRESSES = {EDGE: "127.0.0.2", BEHIND: "127.0.0.2", OURS: "127.0.0.3", PROSODY: "127.0.0.4"}
BACKEND, LISTENER, NAME_SERVER = "127.0.0.11", "127.0.0.12", "127.0.0.53"
_GATEWAY = """\
[services.gateway]
endpoint = "tcp:5269:interface={listener}"

[gateways."{domain}"]
backend = "xmpp://{backend}:5269"
certificate = "{certificate}"
"""


def _meet(folder: Path) -> None:
    certificates = issue(folder, EDGE, BEHIND, OURS, PROSODY)
    gateway = _GATEWAY.format(listener=LISTENER, domain=BEHIND, backend=BACKEND, certificate=certificates.hosts[BEHIND])
    with ExitStack() as stack:
        stack.enter_context(name_server(folder, _records()))
        stack.enter_context(name_server(folder, [f"* A {LISTENER}"], NAME_SERVER))
        stack.enter_context(ours(folder, _plan(EDGE, certificates, gateway)))
        other = stack.enter_context(ours(folder, _plan(OURS, certificates), "romeo"))
        backend, prosody = (
            stack.enter_context(
                prosody_s2s(folder, Host(domain, address, certificates.hosts[domain], certificates.authority), setup)
            )
            for domain, address, setup in ((BEHIND, BACKEND, STEERED), (PROSODY, ADDRESSES[PROSODY], EXTERNAL))
        )
        converse(backend.client("juliet"), other.client("romeo"))
        show("between the backend and one of ours, over s2s-ws")
        converse(prosody.client("juliet"), backend.client("juliet"))
        show("between the backend and a Prosody, over TCP")


def _records() -> list[str]:
    return [f"{name} A {address}" for name, address in ADDRESSES.items()]


def _plan(domain: str, certificates: Certificates, tables: str = "") -> Plan:
    return Plan(
        domain=domain,
        certificate=certificates.hosts[domain],
        authority=certificates.authority,
        address=ADDRESSES[domain],
        port=443,
        tcp_ports=(5269,),
        tables=tables,
        trust="external",
        public=(ADDRESSES[domain],),
    )


SCENARIOS = [
    Scenario("gateway: Prosody behind ours, ours and Prosody outside", apart(_meet), ("unshare", "ip", "prosody")),
]
