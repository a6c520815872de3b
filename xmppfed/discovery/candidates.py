"""Where a domain may be reached: pure values, and the order in which they are tried."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate, chain, groupby, zip_longest

from xmppfed.discovery.urls import is_address, is_host_name, split_url

__all__ = [
    "DEFAULT_PRIORITY",
    "S2S_WEBSOCKET",
    "XMPPS_SERVER",
    "XMPP_SERVER",
    "Candidate",
    "Chance",
    "Found",
    "interleaved",
    "ordered",
    "port_candidate",
    "websocket_candidate",
]

S2S_WEBSOCKET = "s2s-websocket"
"""The kind of XEP-0468."""
XMPP_SERVER = "xmpp-server"
"""The kind of RFC 6120: TCP, and TLS by STARTTLS."""
XMPPS_SERVER = "xmpps-server"
"""The kind of XEP-0368: TCP that begins with TLS."""
DEFAULT_PRIORITY = 65535
"""The priority of a link that names none: after every link that does."""

Chance = Callable[[int], int]
"""A number that cannot be foretold, at least 0 and less than the argument: `secrets.randbelow`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to reach a domain.

    `url` is what it is called: the URL of a WebSocket, else kind, host and port. `addresses` are IP addresses as text;
    when they come from `Discovery` each has been judged, and the caller connects to them and resolves nothing again.
    `sni` is the name to send in TLS, "" for none. `accepted_names` are those the certificate may be valid for besides the
    XMPP domain (XEP-0487, rule 1): of outgoing streams only, they never authenticate an incoming one. `priority` and
    `weight` are those of RFC 2782. `source` is where it was learnt.
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
    delegated: bool = True,
    addresses: tuple[str, ...] = (),
    priority: int = DEFAULT_PRIORITY,
    weight: int = 0,
) -> Candidate:
    """A candidate for server-to-server WebSocket (XEP-0468) at a `wss:` URL; raises DiscoveryError for any other.

    `domain` is the ASCII form of the XMPP domain. The SNI defaults to the host of the URL, and to the domain where that
    host is an address, which is neither sent as SNI nor accepted as a name. A URL that anybody could have forged has not
    `delegated`: then the domain alone is sent and accepted.
    """
    target = split_url(url, "wss")
    names = (sni, target.host) if delegated else ()
    return Candidate(
        kind=S2S_WEBSOCKET,
        url=url,
        host=target.host,
        port=target.port,
        path=target.path,
        addresses=addresses,
        sni=next(filter(is_host_name, (*names, domain)), ""),
        accepted_names=frozenset(filter(is_host_name, names)),
        priority=priority,
        weight=weight,
        source=source,
    )


def port_candidate(
    kind: str,
    host: str,
    port: int,
    *,
    domain: str,
    source: str,
    sni: str = "",
    addresses: tuple[str, ...] = (),
    priority: int = DEFAULT_PRIORITY,
    weight: int = 0,
) -> Candidate:
    """A candidate for a stream on a TCP port.

    The certificate must be for the domain (RFC 6120, 13.7.2.1), which is the SNI too, unless a trusted document names
    another `sni` (XEP-0487, rule 1).
    """
    return Candidate(
        kind=kind,
        url=f"{kind}:[{host}]:{port}" if ":" in host else f"{kind}:{host}:{port}",
        host=host,
        port=port,
        path="",
        addresses=(host,) if is_address(host) else addresses,
        sni=next(filter(is_host_name, (sni, domain)), ""),
        accepted_names=frozenset(filter(is_host_name, (sni,))),
        priority=priority,
        weight=weight,
        source=source,
    )


def ordered(candidates: Iterable[Candidate], chance: Chance) -> tuple[Candidate, ...]:
    """The lowest priority first; within one priority by lot, the heavy ones likely to come first (RFC 2782)."""
    result: list[Candidate] = []
    for _, group in groupby(sorted(candidates, key=_priority), key=_priority):
        left = sorted(group, key=lambda candidate: candidate.weight > 0)
        while left:
            result.append(left.pop(_chosen(left, chance)))
    return tuple(result)


def interleaved(addresses: Iterable[str]) -> tuple[str, ...]:
    """The addresses with the families in turn, IPv6 first, and the order kept within each (RFC 8305, 4)."""
    by_family: tuple[list[str], list[str]] = ([], [])
    for address in addresses:
        by_family[":" not in address].append(address)
    return tuple(address for address in chain.from_iterable(zip_longest(*by_family)) if address is not None)


def _priority(candidate: Candidate) -> int:
    return candidate.priority


def _chosen(left: list[Candidate], chance: Chance) -> int:
    """Which one is next: the first whose running sum of weights reaches a random number (RFC 2782, "Weight")."""
    sums = list(accumulate(candidate.weight for candidate in left))
    return bisect_left(sums, chance(sums[-1] + 1))
