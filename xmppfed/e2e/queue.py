"""What waits for a peer until a stream takes it: bounded by bytes and by age, and returned when it cannot be sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.routing.queues import cost
from xmppfed.timeouts import Timeouts

__all__ = ["Queue", "Returned"]

Returned = Callable[[Stanza, StanzaError], None]
"""Hears of a stanza that was not sent, and why."""


@dataclass(slots=True, eq=False)
class _Waiting:
    stanza: Stanza
    deadline: float


class Queue:
    """The stanzas for one peer, in their order."""

    def __init__(self, name: str, clock: IReactorTime, timeouts: Timeouts, returned: Returned) -> None:
        """`timeouts.queue` (seconds) and `timeouts.queue_bytes` bound it; `name` is for the words that tell of that."""
        self._name = name
        self._clock = clock
        self._timeouts = timeouts
        self._returned = returned
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._expiry: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, stanza: Stanza) -> None:
        """Let a stanza wait behind the others; one too many returns at once."""
        if self._bytes + cost(stanza) > self._timeouts.queue_bytes:
            text = f"Too much waits for {self._name} already."
            self._returned(stanza, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=text))
            return
        self._waiting.append(self._entry(stanza))

    def put_back(self, stanzas: Iterable[Stanza]) -> None:
        """What was taken already waits again, before all others; that much more there is."""
        self._waiting.extendleft(map(self._entry, reversed(list(stanzas))))

    def take(self) -> Stanza:
        """The one that has waited longest."""
        stanza = self._waiting.popleft().stanza
        self._bytes -= cost(stanza)
        if not self._waiting and self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        return stanza

    def give_up(self, error: StanzaError) -> None:
        """Return everything."""
        while self._waiting:
            self._returned(self.take(), error)

    def _entry(self, stanza: Stanza) -> _Waiting:
        self._bytes += cost(stanza)
        if self._expiry is None:
            self._expiry = self._clock.callLater(self._timeouts.queue, self._expire)
        return _Waiting(stanza, self._clock.seconds() + self._timeouts.queue)

    def _expire(self) -> None:
        self._expiry = None
        now = self._clock.seconds()
        text = f"No stream with {self._name} within {self._timeouts.queue:g} seconds."
        error = StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE, text=text)
        while self._waiting and self._waiting[0].deadline <= now:
            self._returned(self.take(), error)
        if self._waiting:
            self._expiry = self._clock.callLater(self._waiting[0].deadline - now, self._expire)
