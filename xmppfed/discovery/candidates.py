"""Where a domain may be reached: pure values, and the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xmppfed.discovery.urls import is_host_name, split_url

__all__ = ["DEFAULT_PRIORITY", "S2S_WEBSOCKET", "Candidate", "Found", "ordered", "websocket_candidate"]

S2S_WEBSOCKET = "s2s-websocket"
DEFAULT_PRIORITY = 65535
"""The priority of a link that names none: after every link that does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to reach a domain.

    `addresses` are IP addresses as text; when they come from `Discovery` each has been judged, and the caller
    connects to them and resolves nothing again. `sni` is the name to send in TLS, "" for none. `accepted_names` are
    those the certificate may be valid for besides the XMPP domain (XEP-0487, rule 1): of outgoing streams only, they
    never authenticate an incoming one. `priority` and `weight` are those of RFC 2782. `source` is where it was learnt.
    """

    kind: str
    url: str
    host: str
    port: int
    path: str
    addresses: tuple[str, ...]
    sni: str
    accepted_names: frozenset[str]
    priority: int
    weight: int
    source: str

    def __str__(self) -> str:
        addresses = ", ".join(self.addresses) or "no address yet"
        return f"{self.url} at {addresses} (priority {self.priority}, weight {self.weight}, from {self.source})"


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up ended with: the candidates in the order to try, and a line for everything that was looked at."""

    candidates: tuple[Candidate, ...]
    explanations: tuple[str, ...]


def websocket_candidate(
    url: str,
    *,
    domain: str,
    source: str,
    sni: str = "",
    addresses: tuple[str, ...] = (),
    priority: int = DEFAULT_PRIORITY,
    weight: int = 0,
) -> Candidate:
    """A candidate for server-to-server WebSocket (XEP-0468) at a `wss:` URL; raises DiscoveryError for any other.

    `domain` is the ASCII form of the XMPP domain. The SNI defaults to the host of the URL, and to the domain where that
    host is an address, which is neither sent as SNI nor accepted as a name.
    """
    target = split_url(url, "wss")
    names = frozenset(name for name in (target.host, sni) if is_host_name(name))
    return Candidate(
        kind=S2S_WEBSOCKET,
        url=url,
        host=target.host,
        port=target.port,
        path=target.path,
        addresses=addresses,
        sni=next((name for name in (sni, target.host, domain) if is_host_name(name)), ""),
        accepted_names=names,
        priority=priority,
        weight=weight,
        source=source,
    )


def ordered(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """By priority (the lowest first), then by weight (the heaviest first); equals keep their order."""
    return tuple(sorted(candidates, key=lambda candidate: (candidate.priority, -candidate.weight)))
