"""What a domain itself says of its certificates, over HTTPS: key pins (XEP-0487) or POSH (RFC 7711).

It is asked only when a certificate does not prove the domain by itself. A certificate that it names is as good as one that
an authority has signed for the domain; it has to be valid at the time all the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from xmppfed.discovery.hostmeta import parse_json
from xmppfed.discovery.posh import Fingerprint, parse_posh, posh_url
from xmppfed.discovery.shared import SharedWork, together
from xmppfed.discovery.urls import url_host
from xmppfed.errors import DiscoveryError

__all__ = ["MAX_ENTRIES", "MAX_LOOKUPS", "MAX_PER_MINUTE", "MAX_TTL", "MIN_TTL", "NEGATIVE_TTL", "Vouched", "Vouching"]

MAX_TTL = 86_400
MIN_TTL = 60
NEGATIVE_TTL = 600
"""Seconds for which it holds that a domain says nothing."""
MAX_ENTRIES = 1024
MAX_LOOKUPS = 20
"""Look-ups at the same time on the word of strangers, who could make us knock at anybody's door."""
MAX_PER_MINUTE = 120
"""Look-ups on the word of strangers."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """Certificates and keys that a domain vouches for; `explanations` has a line for each document."""

    pins: frozenset[bytes] = frozenset()
    fingerprints: tuple[Fingerprint, ...] = ()
    explanations: tuple[str, ...] = ()

    def proof(self, der: bytes, spki_sha256: bytes) -> str:
        """By what a certificate is vouched for, or nothing. `spki_sha256` is the hash of its key."""
        if spki_sha256 in self.pins:
            return "its key, which host-meta.json pins (XEP-0487)"
        if any(one.is_of(der) for one in self.fingerprints):
            return "its fingerprint, which POSH names (RFC 7711)"
        return ""


_Said = tuple[Vouched, int]
"""And for how many seconds it holds."""


@dataclass(frozen=True, slots=True)
class _Entry:
    vouched: Vouched
    expires: float


class Vouching:
    """Asks domains what they vouch for, and keeps it as long as they say, within limits; one question at a time for each."""

    log = Logger()

    def __init__(self, clock: IReactorTime, get: Callable[[str], Awaitable[bytes]]) -> None:
        """`get` is `DocumentClient.get`: it judges every address, and counts bytes, seconds and redirects."""
        self._clock = clock
        self._get = get
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._flights: SharedWork[Vouched] = SharedWork()
        self._asked_by_strangers = 0
        self._minute = clock.seconds()
        self._strangers = 0  # who wait at the moment

    def known(self, domain: str) -> Vouched | None:
        """What the domain said, as long as that holds."""
        entry = self._entries.get(domain)
        if entry is None or entry.expires <= self._clock.seconds():
            return None
        self._entries.move_to_end(domain)
        return entry.vouched

    async def look_up(self, domain: str) -> Vouched:
        """What a prepared domain vouches for. That it cannot be asked is told in the explanations."""
        known = self.known(domain)
        return known if known is not None else await self._flights.join(domain, lambda: self._ask(domain))

    async def look_up_for_stranger(self, domain: str) -> Vouched:
        """The same on the word of somebody who only says that he is this domain: only so often, and so many at once."""
        known = self.known(domain)
        if known is not None:
            return known
        if not self._may_ask():
            self.log.warn("{domain} is not asked what it vouches for: too many are", domain=domain)
            return Vouched(explanations=("too many domains are being asked; this one was not",))
        self._strangers += 1
        try:
            return await self.look_up(domain)
        finally:
            self._strangers -= 1

    def _may_ask(self) -> bool:
        now = self._clock.seconds()
        if now >= self._minute + 60:
            self._minute, self._asked_by_strangers = now, 0
        self._asked_by_strangers += 1
        return self._strangers < MAX_LOOKUPS and self._asked_by_strangers <= MAX_PER_MINUTE

    async def _ask(self, domain: str) -> Vouched:
        """Key pins and POSH at the same time; where XEP-0487 is in use POSH does not count (its rule 2)."""
        try:
            host = url_host(domain)
        except DiscoveryError as error:
            return Vouched(explanations=(str(error),))
        said = await together([self._pins(host), self._posh(posh_url(host))])
        vouched, ttl = next(one for one in said if one is not None)
        self._entries[domain] = _Entry(vouched, self._clock.seconds() + min(max(ttl, MIN_TTL), MAX_TTL))
        self._entries.move_to_end(domain)
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)
        return vouched

    async def _pins(self, host: str) -> _Said | None:
        """None where XEP-0487 is not in use."""
        url = f"https://{host}/.well-known/host-meta.json"
        try:
            document = parse_json(await self._get(url), host)
        except DiscoveryError:
            return None
        if not document.authoritative:
            return None
        return Vouched(document.pins, explanations=(f"{url}: {len(document.pins) or 'no'} key pin(s)",)), document.ttl or 0

    async def _posh(self, url: str) -> _Said | None:
        """The document, or the one it refers to; the shorter time counts (RFC 7711, 6), and one reference is the most."""
        try:
            document = parse_posh(await self._get(url))
            expires = document.expires
            if document.url:
                url = document.url
                document = parse_posh(await self._get(url))
                expires = min(expires, document.expires)
                if document.url:
                    raise DiscoveryError("it refers to another document, as the one before it did")
        except DiscoveryError as error:
            return Vouched(explanations=(f"{url}: {error}",)), NEGATIVE_TTL
        text = f"{url}: {len(document.fingerprints)} fingerprint(s)"
        return Vouched(fingerprints=document.fingerprints, explanations=(text,)), expires
