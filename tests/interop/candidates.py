"""Two of ours and every kind of candidate: the better one of each domain is broken, and the next must be used at once.

One server serves all the domains, each found in another way. Where its ports should be, there are others: one that takes
connections and says nothing, one that nobody listens on, and one with a certificate for another name.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.certificates import issue
from tests.interop.documents import documents
from tests.interop.namespace import apart, name_server
from tests.interop.ours import Plan, ours
from tests.interop.scenario import Failure, Scenario, show

__all__ = ["SCENARIOS"]

HERE, THERE, IMPOSTOR = "one.example.org", "two.example.org", "impostor.example.org"
SILENT, NOBODY = "silent.example.org", "nobody.example.org"
ADDRESSES = {HERE: "127.0.0.2", THERE: "127.0.0.3", SILENT: "127.0.0.4", NOBODY: "127.0.0.5", IMPOSTOR: "127.0.0.6"}
WEB = "127.0.0.7"
"""Where the domains' own addresses are, and the web server with their host-meta."""

LATE = 1.0
"""Seconds in which the next candidate must be tried: the racing delay is 0.25 s, a time-out would be 10 s."""


@dataclass(frozen=True)
class Case:
    """How one domain is found: what is better and broken, and what is next; both are told to people.

    In records and links `{domain}` stands for the domain.
    """

    better: str
    next: str
    records: tuple[str, ...] = ()
    links: tuple[dict[str, object], ...] = ()
    authoritative: bool = False
    """The document has the object `xmpp` of XEP-0487, which ends the search."""


def _srv(service: str, priority: int, host: str) -> str:
    return f"_{service}._tcp.{{domain}} SRV {priority} 0 {5270 if service == 'xmpps-server' else 5269} {host}"


def _websocket(host: str, priority: int = 0) -> dict[str, object]:
    """A link of XEP-0156, or with a priority one of XEP-0487."""
    link = {"rel": "urn:xmpp:alt-connections:s2s-websocket", "href": f"wss://{host}/xmpp-websocket"}
    return {**link, **_reach(host, priority)} if priority else dict(link)


def _tls(host: str, priority: int) -> dict[str, object]:
    return {"rel": "urn:xmpp:alt-connections:s2s-tls", "port": 5270, **_reach(host, priority)}


def _reach(host: str, priority: int) -> dict[str, object]:
    return {"ips": [ADDRESSES[host]], "priority": priority, "weight": 1, "sni": "{domain}"}


CASES = {
    "a.example.org": Case(
        "direct TLS by host-meta.json, silent",
        "s2s-ws by host-meta.json",
        links=(_tls(SILENT, 5), _websocket(THERE, 10)),
        authoritative=True,
    ),
    "b.example.org": Case(
        "s2s-ws by host-meta.json, an impostor",
        "direct TLS by host-meta.json",
        links=(_websocket(IMPOSTOR, 5), _tls(THERE, 10)),
        authoritative=True,
    ),
    "c.example.org": Case(
        "STARTTLS by SRV, silent",
        "direct TLS by SRV",
        records=(_srv("xmpp-server", 5, SILENT), _srv("xmpps-server", 10, THERE)),
    ),
    "d.example.org": Case(
        "direct TLS by SRV, silent",
        "STARTTLS by SRV",
        records=(_srv("xmpps-server", 5, SILENT), _srv("xmpp-server", 10, THERE)),
    ),
    "e.example.org": Case(
        "direct TLS by SRV, nobody there",
        "s2s-ws by a link of XEP-0156",
        records=(_srv("xmpps-server", 5, NOBODY),),
        links=(_websocket(THERE),),
    ),
    "f.example.org": Case(
        "s2s-ws by a link of XEP-0156, silent",
        "s2s-ws by TXT",
        records=(
            "_xmpp-server._tcp.{domain} SRV 0 0 0 .",
            f"_xmppconnect-server.{{domain}} TXT _xmpp-server-websocket=wss://{THERE}/xmpp-websocket",
        ),
        links=(_websocket(SILENT),),
    ),
}


def _meet(folder: Path) -> None:
    certificates = issue(folder, HERE, THERE, IMPOSTOR, *CASES)

    def plan(domain: str, *others: str) -> Plan:
        return Plan(
            domain=domain,
            certificate=certificates.hosts[domain],
            authority=certificates.authority,
            others={name: certificates.hosts[name] for name in others},
            address=ADDRESSES[domain],
            port=443,
            tcp_ports=(5269, 5270),
            public=(ADDRESSES[domain],),
        )

    with ExitStack() as stack:
        stack.enter_context(name_server(folder, _records()))
        stack.enter_context(documents(WEB, certificates.joint, _published()))
        stack.enter_context(documents(ADDRESSES[IMPOSTOR], certificates.hosts[IMPOSTOR], {}))
        stack.enter_context(_silent())
        here = stack.enter_context(ours(folder, plan(HERE), "romeo"))
        stack.enter_context(ours(folder, plan(THERE, *CASES)))
        romeo = here.client("romeo")
        for domain, case in CASES.items():
            start = time.monotonic()
            romeo.ping(domain)
            milliseconds = (time.monotonic() - start) * 1000
            gap = _judge(here.command("explain", domain=domain)["attempts"])
            show(f"{case.better:38} -> {case.next:29} begun {gap * 1000:3.0f} ms later; {milliseconds:4.0f} ms to the answer")


def _judge(attempts: list[dict[str, Any]]) -> float:
    """Seconds between the first try, which came to nothing, and the one that was used, which leads to the right server."""
    first, used = attempts[0], attempts[-1]
    gap: float = used["began"] - first["began"]
    if first["outcome"] == "ready" or used["outcome"] != "ready" or used["address"] != ADDRESSES[THERE] or gap > LATE:
        raise Failure(f"found {attempts}; wanted the second of two to be used, begun within {LATE} s")
    return gap


def _records() -> list[str]:
    addresses = {**ADDRESSES, **dict.fromkeys(CASES, WEB)}
    found = [record.format(domain=domain) for domain, case in CASES.items() for record in case.records]
    return [*(f"{name} A {address}" for name, address in addresses.items()), *found]


def _published() -> dict[str, str]:
    """The host-meta.json of those that have one."""
    texts = {}
    for domain, case in CASES.items():
        if case.links:
            document = {"links": case.links, **({"xmpp": {"ttl": 300}} if case.authoritative else {})}
            texts[f"{domain}/.well-known/host-meta.json"] = json.dumps(document).replace("{domain}", domain)
    return texts


@contextmanager
def _silent() -> Iterator[None]:
    """Ports that take connections, for the system does so, and never say a word."""
    with ExitStack() as stack:
        for port in (443, 5269, 5270):
            stack.enter_context(socket.create_server((ADDRESSES[SILENT], port)))
        yield


SCENARIOS = [Scenario("candidates: each kind between two of ours, the better one broken", apart(_meet), ("unshare", "ip"))]
