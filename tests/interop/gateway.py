"""Debian's Prosody, with not one module of ours, behind xmppfed: others meet xmppfed, over s2s-ws and over TCP.

A name server of its own steers the backend: for it every domain is at the gateway's listener.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.interop.certificates import Certificates, issue
from tests.interop.namespace import apart, name_server
from tests.interop.ours import Ours, Plan, ours
from tests.interop.prosody_s2s import EXTERNAL, STEERED, prosody_s2s
from tests.interop.proxies import PROXIES
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


def _meet(folder: Path, mechanism: str) -> None:
    """Others prove themselves to the gateway by `mechanism`: dialback, where nginx ends TLS and certificates end with it."""
    certificates = issue(folder, EDGE, BEHIND, OURS, PROSODY)
    with ExitStack() as stack:
        stack.enter_context(name_server(folder, [f"{name} A {address}" for name, address in ADDRESSES.items()]))
        stack.enter_context(name_server(folder, [f"* A {LISTENER}"], NAME_SERVER))
        edge = stack.enter_context(_edge(folder, certificates, stripped=mechanism == "dialback"))
        other = stack.enter_context(ours(folder, _plan(OURS, certificates), "romeo"))
        backend, prosody = (
            stack.enter_context(
                prosody_s2s(folder, Host(domain, address, certificates.hosts[domain], certificates.authority), setup)
            )
            for domain, address, setup in ((BEHIND, BACKEND, STEERED), (PROSODY, ADDRESSES[PROSODY], EXTERNAL))
        )
        converse(other.client("romeo"), backend.client("juliet"))  # who begins makes the one stream that there is
        edge.must_say(f"server {OURS} authenticated by {mechanism}")
        show(f"between the backend and one of ours, over s2s-ws, which the gateway believed by {mechanism}")
        converse(prosody.client("juliet"), backend.client("juliet"))
        show("between the backend and a Prosody, over TCP")


@contextmanager
def _edge(folder: Path, certificates: Certificates, *, stripped: bool) -> Iterator[Ours]:
    plan = _plan(EDGE, certificates)
    gateway = _GATEWAY.format(listener=LISTENER, domain=BEHIND, backend=BACKEND, certificate=certificates.hosts[BEHIND])
    plan = replace(plan, tables=gateway)
    if not stripped:
        with ours(folder, plan) as server:
            yield server
        return
    plan = replace(plan, behind_proxy=True, port=5280)
    sites = [plan, replace(plan, domain=BEHIND, certificate=certificates.hosts[BEHIND])]
    with ours(folder, plan) as server, PROXIES["nginx.conf"].running(folder, sites, ADDRESSES[EDGE]):
        yield server


def _plan(domain: str, certificates: Certificates) -> Plan:
    return Plan(
        domain=domain,
        certificate=certificates.hosts[domain],
        authority=certificates.authority,
        address=ADDRESSES[domain],
        port=443,
        tcp_ports=(5269,),
        public=(ADDRESSES[domain],),
    )


SCENARIOS = [
    Scenario(f"gateway: Prosody behind ours, others by {mechanism}", apart(_meet, mechanism), ("unshare", "ip", "prosody", proxy))
    for mechanism, proxy in (("EXTERNAL", "prosody"), ("dialback", "nginx"))
]
