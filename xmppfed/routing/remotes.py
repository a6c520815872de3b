"""Stanzas for other domains: handed to a stream that stands, or kept for a while until one does.

Who connects is injected. A queue exists only while a stream is being made, or has no room, or while it has to be found out
what became of what a former one carried; nothing is kept for a pair that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import inf

from twisted.internet.interfaces import IReactorTime

from xmppfed.core.events import Pair
from xmppfed.core.ledger import Sent
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.routing.queues import Lane, Remote, Waiting, Way, cost, pair_of
from xmppfed.timeouts import Timeouts

__all__ = ["SENDINGS", "SENDINGS_KNOWN", "Remotes"]

SENDINGS = 2
"""How often a stanza is sent when nobody knows what became of it: the second may be a duplicate."""
SENDINGS_KNOWN = 5
"""How often it is sent at most, also when the peer says that it never got it: it may be what ends every stream."""


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
        self._remotes: dict[str, Remote] = {}

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
        _, lane = self._lane(pair)
        return lane is not None and bool(lane.ways)

    def established(self, pair: Pair, way: Way) -> None:
        """`pair` may speak on a stream: what waits goes there first, in its order (RFC 6120, 10.1), then what comes.

        A stream that stands goes on being used, for what it carries could be overtaken on another; the newer stands by.
        """
        remote = self._remotes.setdefault(pair.to, Remote())
        lane = remote.lanes.setdefault(pair.sender, Lane())
        lane.ways.append(way)
        lane.asked, lane.failure = False, None
        self._drain(pair, remote, lane)

    def lost(self, pair: Pair, way: Way) -> None:
        """A stream takes nothing of `pair` any more: another that stands by does, or the next stanza makes one."""
        remote, lane = self._lane(pair)
        if remote is None or lane is None or way not in lane.ways:
            return
        lane.ways.remove(way)
        self._drain(pair, remote, lane)

    def freed(self, pair: Pair) -> None:
        """The stream of a pair has room again."""
        remote, lane = self._lane(pair)
        if remote is not None and lane is not None:
            self._drain(pair, remote, lane)

    def failed(self, pair: Pair, error: StanzaError, *, expected: bool = False) -> None:
        """No stream could be made: what waits returns to its senders with `error`, whose text is the reason. Where something is
        held another attempt follows, and where the other server is `expected` to come by itself there may be a stream soon: there
        all go on waiting, as long as anything waits."""
        _, lane = self._lane(pair)
        if lane is not None and lane.waiting and (expected or lane.waiting[0].held):
            lane.asked, lane.failure = False, error
        else:
            self._failed(pair, error)

    def put_back(self, sent: Sequence[Sent], *, hold: bool) -> list[Waiting]:
        """What lacks its acknowledgement at the end of a stream goes before what waits (RFC 6120, 10.1); call `lost` then.

        To `hold` is to wait until it is known what became of it: call `release` or `give_up`. Otherwise it is sent again on
        the next stream.
        """
        kept = [one for one in sent if hold or one.sendings < SENDINGS]
        deadline = inf if hold else self._clock.seconds() + self._timeouts.queue
        entries = [Waiting(one.stanza, cost(one.stanza), deadline, one.sendings, hold) for one in kept]
        for entry in reversed(entries):
            self._put(entry, first=True)
        if not hold:
            self._bounce((one.stanza for one in sent if one.sendings >= SENDINGS), _unanswered(SENDINGS))
        return entries

    def release(self, entries: Sequence[Waiting], handled: int, *, known: bool) -> None:
        """It is known what became of held stanzas: so many of the first ones arrived. The others are sent again; unless it is
        `known` that they did not arrive, they may come twice."""
        self._take_out(entries[:handled])
        limit = SENDINGS_KNOWN if known else SENDINGS
        spent = self._take_out([entry for entry in entries[handled:] if entry.sendings >= limit])
        deadline = self._clock.seconds() + self._timeouts.queue
        for entry in entries[handled:]:
            entry.held, entry.deadline = False, deadline
        for pair in dict.fromkeys(pair_of(entry.stanza) for entry in entries):
            remote, lane = self._lane(pair)
            if remote is not None and lane is not None:
                self._arm(remote, pair.to)
                self._drain(pair, remote, lane)
        self._bounce((entry.stanza for entry in spent), _unanswered(limit))

    def give_up(self, entries: Sequence[Waiting], error: StanzaError) -> None:
        """Nobody will ever tell what became of held stanzas: they return to their senders."""
        taken = self._take_out(entries)
        for pair in dict.fromkeys(pair_of(entry.stanza) for entry in taken):
            self.freed(pair)
        self._bounce((entry.stanza for entry in taken), error)

    def waiting(self) -> list[Stanza]:
        """The stanzas that wait for a stream."""
        return [entry.stanza for remote in self._remotes.values() for lane in remote.lanes.values() for entry in lane.waiting]

    def stop(self) -> None:
        """Return all that waits, because the server stops; established streams are left to their services."""
        error = StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, text="This server is stopping.")
        for domain, remote in list(self._remotes.items()):
            for sender in list(remote.lanes):
                self._failed(Pair(sender, domain), error)

    def _lane(self, pair: Pair) -> tuple[Remote | None, Lane | None]:
        remote = self._remotes.get(pair.to)
        return remote, None if remote is None else remote.lanes.get(pair.sender)

    def _failed(self, pair: Pair, error: StanzaError) -> None:
        remote, lane = self._lane(pair)
        if remote is None or lane is None or lane.ways:
            return
        del remote.lanes[pair.sender]
        returned = remote.take_out(lane, lambda entry: True)
        self._tidy(pair.to)
        self._bounce((entry.stanza for entry in returned), error)

    def _keep(self, stanza: Stanza, pair: Pair) -> None:
        remote, lane = self._lane(pair)
        size = cost(stanza)
        if (remote.bytes if remote is not None else 0) + size > self._timeouts.queue_bytes:
            text = f"Too much waits for {pair.to} already; there is no stream to it yet."
            self.bounce(stanza, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=text))
            return
        lane = self._put(Waiting(stanza, size, self._clock.seconds() + self._timeouts.queue))
        if not lane.ways and not lane.asked:
            lane.asked = True
            self._connect(pair)

    def _put(self, entry: Waiting, *, first: bool = False) -> Lane:
        pair = pair_of(entry.stanza)
        remote = self._remotes.setdefault(pair.to, Remote())
        lane = remote.lanes.setdefault(pair.sender, Lane())
        lane.waiting.appendleft(entry) if first else lane.waiting.append(entry)
        remote.bytes += entry.size
        if not entry.held:
            self._arm(remote, pair.to)
        return lane

    def _arm(self, remote: Remote, domain: str) -> None:
        """All wait equally long, so that a timer which runs is early enough for what comes."""
        if remote.timer is None:
            remote.timer = self._clock.callLater(self._timeouts.queue, self._expire, domain)

    def _take_out(self, entries: Collection[Waiting]) -> list[Waiting]:
        """Those of them that still wait, in their order; they do so no longer."""
        found, wanted = [], set(entries)
        for pair in dict.fromkeys(pair_of(entry.stanza) for entry in entries):
            remote, lane = self._lane(pair)
            if remote is not None and lane is not None:
                found += remote.take_out(lane, wanted.__contains__)
        return found

    def _drain(self, pair: Pair, remote: Remote, lane: Lane) -> None:
        """Hand over what waits, while what is sent meanwhile goes behind it; then see to it that the rest gets a stream."""
        if lane.flushing:
            return
        lane.flushing = True
        try:
            while lane.waiting and not lane.waiting[0].held and lane.ways and self._hand_over(remote, lane):
                pass
        finally:
            lane.flushing = False
        if not lane.ways:
            if not lane.waiting:
                del remote.lanes[pair.sender]
            elif not lane.asked and not lane.waiting[-1].held:  # behind what is held; for that somebody else connects
                lane.asked = True
                self._connect(pair)
        self._tidy(pair.to)

    def _hand_over(self, remote: Remote, lane: Lane) -> bool:
        """Give the first that waits to the way; false when that goes on standing and takes nothing more."""
        entry, way = lane.waiting.popleft(), lane.ways[0]
        remote.bytes -= entry.size
        if way(entry.stanza, entry.sendings):
            return True
        lane.waiting.appendleft(entry)
        remote.bytes += entry.size
        return way not in lane.ways

    def _expire(self, domain: str) -> None:
        """Return what has waited too long; the connecting goes on."""
        remote = self._remotes[domain]
        now = self._clock.seconds()
        expired = [(lane, remote.take_out(lane, lambda one: one.deadline <= now)) for lane in remote.lanes.values()]
        deadline = remote.deadline()
        remote.timer = None if deadline is None else self._clock.callLater(deadline - now, self._expire, domain)
        text = f"No stream to {domain} within {self._timeouts.queue:g} seconds."
        error = StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, text=text)
        for lane, entries in expired:
            self._bounce((entry.stanza for entry in entries), lane.failure or error)

    def _bounce(self, stanzas: Iterable[Stanza], error: StanzaError) -> None:
        for stanza in list(stanzas):
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


def _unanswered(sendings: int) -> StanzaError:
    text = f"This was sent {sendings} times, and each time the stream ended before the other server said that it got it."
    return StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, text=text)
