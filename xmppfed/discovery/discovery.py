"""Domain to candidates: sources in order, addresses judged, answers kept for their time to live."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from xmppfed.discovery.candidates import Candidate, Chance, Found, interleaved, ordered
from xmppfed.discovery.guard import Network, judge
from xmppfed.discovery.records import Records, Resolve
from xmppfed.discovery.shared import SharedWork, together
from xmppfed.discovery.sources import Answer, Source
from xmppfed.errors import DiscoveryError

__all__ = ["DEFAULT_TTL", "MAX_ENTRIES", "MAX_STALE", "MAX_TTL", "MIN_TTL", "NEGATIVE_TTL", "Discovery"]

DEFAULT_TTL = 3600
MAX_TTL = 86_400
MIN_TTL = 60
"""Seconds: a document that says 0 is not fetched for every stream."""
NEGATIVE_TTL = 60
MAX_STALE = 604_800
"""Seconds for which an answer may stand in for refreshes that fail: the week that XEP-0487 advises at most."""
MAX_ENTRIES = 4096


@dataclass(frozen=True, slots=True)
class _Known:
    """What a search ended with. Within each group priorities and weights count, and lots are drawn anew each time."""

    groups: tuple[tuple[Candidate, ...], ...]
    explanations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """An answer in the cache; `outcome` is text when it is the reason why there is none."""

    outcome: _Known | str
    learned: float
    expires: float


class Discovery:
    """Says where a domain can be reached (DESIGN, section 7).

    `sources` are asked one after another, until an authoritative one has candidates; their candidates follow each other
    in that order, and their fallbacks come after all. Addresses come from `resolve` where the source gave none, and each
    is judged by the guard: whoever connects uses `Candidate.addresses` and resolves nothing again.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        sources: Sequence[Source],
        resolve: Resolve,
        allowed: Sequence[Network],
        *,
        kinds: Collection[str],
        chance: Chance,
    ) -> None:
        """`kinds` are those of candidates that can be used here; `chance` draws the lots among equal priorities."""
        self._clock = clock
        self._sources = tuple(sources)
        self._resolve = resolve
        self._allowed = tuple(allowed)
        self._kinds = frozenset(kinds)
        self._chance = chance
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._flights: SharedWork[_Known] = SharedWork()

    async def candidates(self, domain: str) -> Found:
        """The candidates of a prepared XMPP domain, from the cache while it is fresh.

        Raises DiscoveryError, with one line for each source that was tried and one line of advice.
        """
        known = await self._known(domain)
        ranked = [ordered(group, self._chance) for group in known.groups]
        return Found(tuple(candidate for group in ranked for candidate in group), known.explanations)

    async def _known(self, domain: str) -> _Known:
        entry = self._entries.get(domain)
        if entry is None or entry.expires <= self._clock.seconds():
            return await self._flights.join(domain, lambda: self._look_up(domain))
        self._entries.move_to_end(domain)
        if isinstance(entry.outcome, str):
            raise DiscoveryError(entry.outcome)
        return entry.outcome

    def expire(self, domain: str) -> None:
        """Look the domain up anew next time: its candidates were tried, and none worked. A failure keeps its time."""
        entry = self._entries.get(domain)
        if entry is not None and isinstance(entry.outcome, _Known):
            self._entries[domain] = replace(entry, expires=self._clock.seconds())

    async def _look_up(self, domain: str) -> _Known:
        try:
            known, ttl = await self._search(domain)
        except DiscoveryError as error:
            return self._failed(domain, str(error))
        now = self._clock.seconds()
        self._remember(domain, _Entry(known, now, now + ttl))
        self.log.info("found {count} candidates for {domain}", count=sum(map(len, known.groups)), domain=domain)
        return known

    def _failed(self, domain: str, reason: str) -> _Known:
        """The stale copy, if there is one (XEP-0487, notes for programmers); else the reason is kept for a minute."""
        now = self._clock.seconds()
        stale = self._entries.get(domain)
        self.log.info("no candidates for {domain}: {reason}", domain=domain, reason=reason)
        if stale is None or isinstance(stale.outcome, str) or now - stale.learned > MAX_STALE:
            self._remember(domain, _Entry(reason, now, now + NEGATIVE_TTL))
            raise DiscoveryError(reason)
        note = f"a copy from {now - stale.learned:.0f} s ago is used, because the refresh failed"
        self._remember(domain, replace(stale, expires=now + NEGATIVE_TTL))
        return _Known(stale.outcome.groups, (*reason.splitlines(), note))

    def _remember(self, domain: str, entry: _Entry) -> None:
        self._entries[domain] = entry
        self._entries.move_to_end(domain)
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    async def _search(self, domain: str) -> tuple[_Known, int]:
        groups: list[tuple[Candidate, ...]] = []
        fallbacks: list[tuple[Candidate, ...]] = []
        explanations: list[str] = []
        ttl = MAX_TTL
        for source in self._sources:
            answer = await self._ask(source, domain)
            explanations += answer.explanations
            final = answer.authoritative and any(candidate.kind in self._kinds for candidate in answer.candidates)
            for candidates, into in ((answer.candidates, groups), (() if final else answer.fallbacks, fallbacks)):
                reachable, life = await self._reachable(candidates, explanations)
                if reachable:
                    into.append(reachable)
                    ttl = min(ttl, life, DEFAULT_TTL if answer.ttl is None else answer.ttl)
            if final:
                break
        if not groups and not fallbacks:
            raise DiscoveryError(_report(domain, explanations))
        return _Known((*groups, *fallbacks), tuple(explanations)), max(ttl, MIN_TTL)

    async def _ask(self, source: Source, domain: str) -> Answer:
        try:
            return await source.candidates(domain)
        except DiscoveryError as error:
            return Answer((), (str(error),))

    async def _reachable(self, candidates: Sequence[Candidate], explanations: list[str]) -> tuple[tuple[Candidate, ...], int]:
        """The candidates with the addresses that may be connected to, and how long these hold; why others drop out is
        added to the explanations."""
        judged = await together(self._judged(candidate) for candidate in candidates)
        explanations += [f"{candidate.url}: {reason}" for candidate, _, refused in judged for reason in refused]
        reachable = tuple(candidate for candidate, _, _ in judged if candidate.addresses)
        return reachable, min((ttl for candidate, ttl, _ in judged if candidate.addresses), default=MAX_TTL)

    async def _judged(self, candidate: Candidate) -> tuple[Candidate, int, tuple[str, ...]]:
        if candidate.kind not in self._kinds:
            reason = f"left out, because this server opens no streams of the kind {candidate.kind}"
            return replace(candidate, addresses=()), MAX_TTL, (reason,)
        try:
            given = candidate.addresses
            addresses = Records(given, MAX_TTL) if given else await self._resolve(candidate.host)
        except DiscoveryError as error:
            return candidate, MAX_TTL, (str(error),)
        passed, refused = judge(addresses.found, self._allowed)
        return replace(candidate, addresses=interleaved(passed)), addresses.ttl, refused


def _report(domain: str, explanations: Sequence[str]) -> str:
    return "\n".join(
        [
            f"no way to reach {domain} was found:",
            *explanations,
            f"Ask the operator of {domain} to publish https://{domain}/.well-known/host-meta.json (XEP-0487), "
            "or configure a static route.",
        ]
    )
