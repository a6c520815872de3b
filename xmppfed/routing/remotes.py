"""Stanzas for other domains: handed to a stream that stands, or kept for a while until one does.

Who connects is injected. A queue exists only while a stream is being made; nothing is kept for a pair that is gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from xmppfed.core.events import Pair
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.timeouts import Timeouts

__all__ = ["Remotes", "cost"]

Way = Callable[[Stanza], bool]
"""A stream that carries stanzas of a pair: takes one, or is at its end and says false; then `lost` follows."""

_STANZA_BYTES = 1024
"""What a waiting stanza costs besides its text: twice the 0.5 KB measured, so that small ones are bounded as well."""


def cost(stanza: Stanza) -> int:
    """The bytes of memory that a waiting stanza takes, about."""
    return _STANZA_BYTES + len(stanza.letter) + sum(map(len, stanza.attributes.values()))


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    stanza: Stanza
    size: int
    deadline: float


@dataclass(slots=True, eq=False)
class _Lane:
    """One pair: the ways it has, of which the first is used, and stanzas in their order until one takes them."""

    ways: list[Way] = field(default_factory=list)
    waiting: deque[_Waiting] = field(default_factory=deque)
    flushing: bool = False


class _Remote:
    """One remote domain: its lanes by our domain, and the bound they share."""

    __slots__ = ("bytes", "lanes", "timer")

    def __init__(self) -> None:
        self.lanes: dict[str, _Lane] = {}
        self.bytes = 0
        self.timer: IDelayedCall | None = None

    def take(self, lane: _Lane) -> Stanza:
        """The stanza of this lane that has waited longest; it waits no longer."""
        entry = lane.waiting.popleft()
        self.bytes -= entry.size
        return entry.stanza

    def deadline(self) -> float | None:
        """When the next waiting stanza has waited too long."""
        return min((lane.waiting[0].deadline for lane in self.lanes.values() if lane.waiting), default=None)


class Remotes:
    """The ways to other domains, per ordered pair of domains."""

    bounce: Callable[[Stanza, StanzaError], None]
    """Answers a stanza that cannot be delivered, where it may be answered; the router puts its own `bounce` here."""

    def __init__(self, clock: IReactorTime, connect: Callable[[Pair], None], timeouts: Timeouts) -> None:
        """`connect(pair)` begins to make a stream, once per need; in the end it calls `established` or `failed`.

        `timeouts.queue` (seconds per stanza) and `timeouts.queue_bytes` (per remote domain) bound what waits meanwhile.
        """
        self._clock = clock
        self._connect = connect
        self._timeouts = timeouts
        self._remotes: dict[str, _Remote] = {}

    @property
    def most_bytes(self) -> int:
        """How much waits for one remote domain."""
        return self._timeouts.queue_bytes

    def send(self, stanza: Stanza) -> None:
        """Hand `stanza` to the stream of its pair, or keep it until there is one. It has both addresses."""
        sender, to = stanza.sender, stanza.to
        if sender is None or to is None:
            raise ValueError("A stanza for another domain has both from and to.")
        remote = self._remotes.get(to.domain)
        lane = None if remote is None else remote.lanes.get(sender.domain)
        if lane is None or lane.waiting or lane.flushing or not lane.ways or not lane.ways[0](stanza):
            self._keep(stanza, Pair(sender.domain, to.domain))

    def stands(self, pair: Pair) -> bool:
        """Whether a stream takes what is sent for the pair."""
        remote = self._remotes.get(pair.to)
        lane = None if remote is None else remote.lanes.get(pair.sender)
        return lane is not None and bool(lane.ways)

    def established(self, pair: Pair, way: Way) -> None:
        """`pair` may speak on a stream: what waits goes there first, in its order (RFC 6120, 10.1), then what comes.

        A stream that stands goes on being used, for what it carries could be overtaken on another; the newer stands by.
        """
        remote = self._remotes.setdefault(pair.to, _Remote())
        lane = remote.lanes.setdefault(pair.sender, _Lane())
        lane.ways.append(way)
        self._drain(pair, remote, lane)

    def lost(self, pair: Pair, way: Way) -> None:
        """A stream takes nothing of `pair` any more: another that stands by does, or the next stanza makes one."""
        remote = self._remotes.get(pair.to)
        lane = None if remote is None else remote.lanes.get(pair.sender)
        if remote is None or lane is None or way not in lane.ways:
            return
        lane.ways.remove(way)
        self._drain(pair, remote, lane)

    def failed(self, pair: Pair, error: StanzaError) -> None:
        """No stream could be made: what waits returns to its senders with `error`, whose text is the reason."""
        remote = self._remotes.get(pair.to)
        lane = None if remote is None else remote.lanes.get(pair.sender)
        if remote is None or lane is None or lane.ways:
            return
        del remote.lanes[pair.sender]
        returned = [remote.take(lane) for _ in range(len(lane.waiting))]
        self._tidy(pair.to)
        self._bounce(returned, error)

    def waiting(self) -> list[Stanza]:
        """The stanzas that wait for a stream."""
        return [entry.stanza for remote in self._remotes.values() for lane in remote.lanes.values() for entry in lane.waiting]

    def stop(self) -> None:
        """Return all that waits, because the server stops; established streams are left to their services."""
        error = StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, text="This server is stopping.")
        for domain, remote in list(self._remotes.items()):
            for sender in list(remote.lanes):
                self.failed(Pair(sender, domain), error)

    def _keep(self, stanza: Stanza, pair: Pair) -> None:
        remote = self._remotes.setdefault(pair.to, _Remote())
        size = cost(stanza)
        if remote.bytes + size > self._timeouts.queue_bytes:
            self._tidy(pair.to)
            text = f"Too much waits for {pair.to} already; there is no stream to it yet."
            self.bounce(stanza, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=text))
            return
        is_new = pair.sender not in remote.lanes
        lane = remote.lanes.setdefault(pair.sender, _Lane())
        lane.waiting.append(_Waiting(stanza, size, self._clock.seconds() + self._timeouts.queue))
        remote.bytes += size
        if remote.timer is None:
            remote.timer = self._clock.callLater(self._timeouts.queue, self._expire, pair.to)
        if is_new:
            self._connect(pair)

    def _drain(self, pair: Pair, remote: _Remote, lane: _Lane) -> None:
        """Hand over what waits, while what is sent meanwhile goes behind it; then see to it that the rest gets a stream."""
        if lane.flushing:
            return
        lane.flushing = True
        try:
            while lane.waiting and lane.ways and self._hand_over(remote, lane):
                pass
        finally:
            lane.flushing = False
        if not lane.ways:
            if lane.waiting:
                self._connect(pair)
            else:
                del remote.lanes[pair.sender]
        self._tidy(pair.to)

    def _hand_over(self, remote: _Remote, lane: _Lane) -> bool:
        """Give the first that waits to the way; false when that goes on standing and takes nothing more."""
        entry, way = lane.waiting.popleft(), lane.ways[0]
        remote.bytes -= entry.size
        if way(entry.stanza):
            return True
        lane.waiting.appendleft(entry)
        remote.bytes += entry.size
        return way not in lane.ways

    def _expire(self, domain: str) -> None:
        """Return what has waited too long; the connecting goes on."""
        remote = self._remotes[domain]
        now, expired = self._clock.seconds(), []
        for lane in remote.lanes.values():
            while lane.waiting and lane.waiting[0].deadline <= now:
                expired.append(remote.take(lane))
        deadline = remote.deadline()
        remote.timer = None if deadline is None else self._clock.callLater(deadline - now, self._expire, domain)
        text = f"No stream to {domain} within {self._timeouts.queue:g} seconds."
        self._bounce(expired, StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, text=text))

    def _bounce(self, stanzas: list[Stanza], error: StanzaError) -> None:
        for stanza in stanzas:
            self.bounce(stanza, error)

    def _tidy(self, domain: str) -> None:
        """Keep no timer for an empty queue, and nothing for a domain without lanes."""
        remote = self._remotes.get(domain)
        if remote is None:
            return
        if not remote.bytes and remote.timer is not None:
            remote.timer.cancel()
            remote.timer = None
        if not remote.lanes:
            del self._remotes[domain]
