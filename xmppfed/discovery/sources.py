"""Where candidates come from: one class per source, each asked in the order it is given to `Discovery`.

The records of the DNS are in `xmppfed.discovery.dnssources`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from xmppfed.discovery.candidates import XMPP_SERVER, XMPPS_SERVER, Candidate, port_candidate, websocket_candidate
from xmppfed.discovery.hostmeta import HostMeta, parse_json, parse_xrd
from xmppfed.discovery.shared import together
from xmppfed.discovery.urls import is_address, split_url, url_host
from xmppfed.errors import ConfigError, DiscoveryError

__all__ = ["Answer", "HostMetaDocuments", "Source", "StaticRoute", "StaticRoutes"]


_ROUTE = "static route"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one source says. No later source is asked when an `authoritative` answer has candidates of a kind we can use;
    its `fallbacks` do not count then. Otherwise they come after the candidates of every source.

    `ttl` is in seconds, None for the default. `explanations` has one line for each thing that was looked at.
    """

    candidates: tuple[Candidate, ...]
    explanations: tuple[str, ...]
    ttl: int | None = None
    authoritative: bool = False
    fallbacks: tuple[Candidate, ...] = ()


class Source(Protocol):
    """A place where candidates are published."""

    async def candidates(self, domain: str) -> Answer:
        """What this source says of the XMPP domain; raises DiscoveryError when it cannot be asked at all."""


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A route from the configuration: a URL (`wss:`, or `xmpp:` and `xmpps:` with nothing but a host and perhaps a port), and
    the addresses to connect to instead of resolving its host."""

    url: str
    addresses: tuple[str, ...] = ()


class StaticRoutes:
    """Routes the operator wrote. Raises ConfigError for one that cannot be used. The guard still judges them."""

    def __init__(self, routes: Mapping[str, StaticRoute]) -> None:
        self._candidates = {domain: _routed(domain, route) for domain, route in routes.items()}

    async def candidates(self, domain: str) -> Answer:
        """The route of this domain, which no other source may overrule."""
        candidate = self._candidates.get(domain)
        if candidate is None:
            return Answer((), ("static routes: none for this domain",))
        return Answer((candidate,), (f"static routes: {candidate.url}",), authoritative=True)


class HostMetaDocuments:
    """`host-meta.json` (XEP-0487, else XEP-0156) and the `host-meta` XRD, got together to save a round trip.

    With a top-level `xmpp` object the JSON counts alone (XEP-0487, rule 2). Links of XEP-0156 are a fallback for when the
    records of the DNS have led nowhere (its rule 3).
    """

    def __init__(self, get: Callable[[str], Awaitable[bytes]]) -> None:
        self._get = get

    async def candidates(self, domain: str) -> Answer:
        """The links of both documents; a URL that both name counts once, as the JSON has it."""
        host = url_host(domain)
        xrd_url = f"https://{host}/.well-known/host-meta"
        json, xrd = await together([self._read(f"{xrd_url}.json", parse_json, host), self._read(xrd_url, parse_xrd, host)])
        known = {candidate.url for candidate in json.candidates}
        added = tuple(candidate for candidate in xrd.candidates if candidate.url not in known)
        if json.authoritative:
            return replace(json, fallbacks=added)
        return Answer((), json.explanations + xrd.explanations, json.ttl, fallbacks=json.candidates + added)

    async def _read(self, url: str, parse: Callable[[bytes, str], HostMeta], host: str) -> Answer:
        try:
            document = parse(await self._get(url), host)
        except DiscoveryError as error:
            return Answer((), (f"{url}: {error}",))
        links = f"{url}: {len(document.candidates) or 'no'} usable link(s) for servers"
        explanations = (links, *(f"{url}: skipped {reason}" for reason in document.skipped))
        return Answer(document.candidates, explanations, document.ttl, document.authoritative)


def _routed(domain: str, route: StaticRoute) -> Candidate:
    wrong = [address for address in route.addresses if not is_address(address)]
    if wrong:
        raise ConfigError(f"static route for {domain}: found the address {wrong[0]!r}, wanted an IP address")
    try:
        return _candidate(route, url_host(domain))
    except DiscoveryError as error:
        raise ConfigError(f"static route for {domain}: {error}") from None


_PORTS = {"xmpp": (XMPP_SERVER, 5269), "xmpps": (XMPPS_SERVER, 5270)}


def _candidate(route: StaticRoute, host: str) -> Candidate:
    scheme = route.url.partition(":")[0]
    if scheme not in _PORTS:
        return websocket_candidate(route.url, domain=host, source=_ROUTE, addresses=route.addresses, priority=0)
    kind, port = _PORTS[scheme]
    target = split_url(route.url, scheme, port)
    return port_candidate(kind, target.host, target.port, domain=host, source=_ROUTE, addresses=route.addresses, priority=0)
