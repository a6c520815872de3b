"""One peer: its streams, of which the last is used, and the stanzas that wait for one, in their order."""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Iterable
from typing import Any

from xmppfed.core.ledger import Ledger
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.queue import Queue, Returned
from xmppfed.e2e.session import Session
from xmppfed.e2e.stream import PeerStream
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.timeouts import Timeouts

__all__ = ["Lane"]

SETTLING = 3.0
"""Seconds after which a stanza counts as delivered that went to a peer without acknowledgements: such peers drop what they
were sent on one of two streams that crossed."""


class Lane:
    """What we say to one peer, on whichever stream."""

    def __init__(self, name: str, clock: Any, timeouts: Timeouts, returned: Returned) -> None:
        """`returned` hears of stanzas that were not sent."""
        self.name = name
        self.queue = Queue(name, clock, timeouts, returned)
        self.session = Session(clock, timeouts, self._give_up_session)
        self.streams: list[PeerStream] = []
        self.leaving: set[PeerStream] = set()
        """Those that make room for another; nothing is said before they are gone."""
        self.calling = False
        """Whether we are about to open a stream."""
        self._clock = clock
        self._timeouts = timeouts
        self._returned = returned
        self._sent: dict[PeerStream, deque[tuple[float, Stanza]]] = {}  # lately, and not counted
        self._crossed = -SETTLING  # when the newest of its streams came

    @property
    def has_something_to_say(self) -> bool:
        """Whether a stream is needed."""
        return bool(self.queue) or (self.session.ledger is not None and bool(self.session.ledger.unacknowledged))

    @property
    def is_young(self) -> bool:
        """Whether its newest stream came a short while ago."""
        return bool(self._clock.seconds() - self._crossed < self._timeouts.queue)

    @property
    def idle(self) -> bool:
        """Whether nothing goes on with this peer."""
        return not (self.queue or self.streams or self.leaving or self.calling or self.session.ledger)

    def send(self, stanza: Stanza) -> bool:
        """Send a stanza, or let it wait; then it is false."""
        if not self.queue and not self.leaving and self._write(stanza):
            return True
        self.queue.put(stanza)
        return False

    # Streams come and go.

    def begin(self, stream: PeerStream) -> None:
        """A stream stands; whether it is used is not said yet. What a former one has left goes first."""
        self._crossed = self._clock.seconds()
        self._sent[stream] = deque()
        self.queue.put_back(self.session.end())

    def dismiss(self, stream: PeerStream) -> None:
        """What follows waits until all that was sent on it has arrived: the peer answers our closing behind that."""
        if stream in self.streams:
            self.streams.remove(stream)
        self.leaving.add(stream)
        stream.close()

    def end(self, stream: PeerStream, *, resumable: bool) -> bool:
        """A stream is gone; what may not have arrived goes first on the next. Returns whether it was the last that stood."""
        stood = stream in self.streams
        if stood:
            self.streams.remove(stream)
        self.leaving.discard(stream)
        ledger = stream.ledger
        if ledger is not None and (self._sent.get(stream) or not resumable):
            ledger.id = ""  # what was said before the session began, and may be lost, goes before what is in it
        if ledger is not None and ledger.id and not stream.closed:
            self.queue.put_back(self.session.keep(ledger))
        self.queue.put_back(self._unsettled(stream))
        return stood and not self.streams

    def acknowledged(self, stream: PeerStream) -> None:
        """The peer has told how much it has of what was counted; it has what was not, for that went before."""
        self._sent.get(stream, deque()).clear()

    def find(self, id: str, *, yields: bool) -> Ledger:
        """The session that the peer wants to resume; it may know better than we that its stream is broken. Raises
        StanzaError."""
        for stream in [*self.streams, *self.leaving]:
            ledger = None if self._sent.get(stream) else stream.ledger
            if ledger is not None and hmac.compare_digest(ledger.id.encode(), id.encode()):
                self.queue.put_back(self.session.keep(ledger))
                stream.hand_over()
        return self.session.find(id, yields=yields)

    def _unsettled(self, stream: PeerStream) -> list[Stanza]:
        """What was sent on a stream that ended, and may not have been read: a peer without acknowledgements drops one of two
        streams that crossed, with what is on it. If it closes the only one, it has had enough, and nothing is said again."""
        sent = self._sent.pop(stream, deque())
        ledger = stream.ledger
        if stream.closed and not (stream.legacy and (self.streams or self.calling)):
            return []
        if ledger is not None:
            before = [stanza for _, stanza in sent]
            return [] if ledger.id else [*before, *(entry.stanza for entry in ledger.forget())]
        now = self._clock.seconds()
        if now - self._crossed > SETTLING:
            return []
        return [stanza for time, stanza in sent if now - time <= SETTLING]

    # Stanzas.

    def drain(self) -> bool:
        """Say what waits, as far as it goes; whether nothing waits any more."""
        while self.queue and self.streams and not self.leaving:
            stanza = self.queue.take()
            if not self._write(stanza):
                self.queue.put_back([stanza])
                return False
        return not self.queue

    def give_up(self, error: StanzaError) -> None:
        """Return all that was not said for certain."""
        self.queue.put_back(self.session.end())
        self.queue.give_up(error)

    def _write(self, stanza: Stanza) -> bool:
        if not self.streams or self._may_be_replaced():
            return False
        stream, now = self.streams[-1], self._clock.seconds()
        try:
            if not stream.send(stanza):
                return False
        except StanzaError as error:
            self._returned(stanza, error)
            return True
        if stream.ledger is not None:
            return True
        sent = self._sent[stream]
        while sent and now - sent[0][0] > SETTLING:
            sent.popleft()
        sent.append((now, stanza))
        return True

    def _may_be_replaced(self) -> bool:
        """Whether a peer of old has called us while we were calling it: as soon as it sees our call it drops its own, unread
        (M5)."""
        newest = self.streams[-1]
        return newest.legacy and not newest.initiated and self.calling

    def _give_up_session(self, stanzas: Iterable[Stanza]) -> None:
        """Nobody has gone on with a session in time: what was never acknowledged may have arrived, or not."""
        text = f"No stream with {self.name} within {self._timeouts.queue:g} seconds; this may have arrived, or not."
        for stanza in stanzas:
            self._returned(stanza, StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE, text=text))
