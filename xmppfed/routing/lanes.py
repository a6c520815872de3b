"""Order where something waits: what comes later between the same two accounts waits behind it, and nobody else.

A lane exists only while a handler waits for storage, or while stanzas wait behind it (RFC 6120, 10.1).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeAlias

from xmppfed.core.jid import JID, parse_cached
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.routing.handlers import Hook
from xmppfed.routing.queues import cost

__all__ = ["Between", "Entry", "Held", "Lanes"]

Between: TypeAlias = tuple[JID, JID]
"""The bare addresses of sender and recipient."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stanza that waits, and the hooks it has to pass when it goes on."""

    stanza: Stanza
    hooks: list[Hook]


@dataclass(slots=True, eq=False)
class _Lane:
    busy: int = 0
    """How many handlers wait."""
    waiting: deque[Entry] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class Held:
    """A stanza whose handler waits; `between` is None where nobody waits behind it."""

    stanza: Stanza
    between: Between | None


class Lanes:
    """All lanes of a server, and the bound on what one sender has in them. Empty lanes are false."""

    def __init__(self, domains: Collection[str], most: int) -> None:
        """`most` bytes may wait of each account of `domains`, and of each other domain."""
        self._domains = domains
        self._most = most
        self._lanes: dict[Between, _Lane] = {}
        self._bytes: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._bytes or self._lanes)

    def hold(self, stanza: Stanza, *, in_order: bool) -> Held:
        """A handler of `stanza` waits; with `in_order`, what comes later between the same accounts waits behind it."""
        held = Held(stanza, _between(stanza) if in_order else None)
        if held.between is not None:
            self._lanes.setdefault(held.between, _Lane()).busy += 1
        self._bytes[self._payer(stanza)] += cost(stanza)
        return held

    def release(self, held: Held) -> None:
        """The handler is done. Who waited behind it is taken by `take`, one after another."""
        if held.between is not None:
            self._lanes[held.between].busy -= 1
        self._forget(held.stanza)

    def wait(self, stanza: Stanza, hooks: list[Hook]) -> bool:
        """Whether `stanza` waits, as it does where its accounts have a lane; raises StanzaError when too much waits."""
        payer = self._payer(stanza)
        if self._bytes[payer] > self._most:
            text = f"More than {self._most} bytes of {payer} wait to be stored."
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=text)
        lane = self._lanes.get(_between(stanza))
        if lane is None:
            return False
        lane.waiting.append(Entry(stanza, hooks))
        self._bytes[payer] += cost(stanza)
        return True

    def take(self, between: Between) -> Entry | None:
        """Who goes on next, unless a handler waits again; the lane ends when nobody is left."""
        lane = self._lanes.get(between)
        if lane is None or lane.busy:
            return None
        if not lane.waiting:
            del self._lanes[between]
            return None
        entry = lane.waiting.popleft()
        self._forget(entry.stanza)
        return entry

    def _forget(self, stanza: Stanza) -> None:
        payer = self._payer(stanza)
        self._bytes[payer] -= cost(stanza)
        if not self._bytes[payer]:
            del self._bytes[payer]

    def _payer(self, stanza: Stanza) -> str:
        sender = parse_cached(stanza.attributes["from"])
        return str(sender.bare) if sender.domain in self._domains else sender.domain


def _between(stanza: Stanza) -> Between:
    sender = parse_cached(stanza.attributes["from"]).bare
    to = stanza.attributes.get("to")
    return sender, sender if to is None else parse_cached(to).bare
