"""Ties one stream to the wire that carries it: moves data, keeps time, bounds what waits. Knows no stanza."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from xmppfed.core.events import Event
from xmppfed.core.stanza import Stanza
from xmppfed.core.stream import State, Stream
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.timeouts import Timeouts

__all__ = ["Connection", "Owner", "Wire"]

OwnerType = TypeVar("OwnerType", bound="Owner")

NORMAL = 1000
_ENDED = (State.CLOSING, State.ABANDONED, State.CLOSED)
_CLOSE_CODES = {StreamCondition.UNSUPPORTED_ENCODING: 1007, StreamCondition.SYSTEM_SHUTDOWN: 1012}


class Wire(Protocol):
    """What carries a stream: whole pieces out, and word of what cannot go out."""

    def write(self, pieces: list[bytes]) -> None:
        """Send each piece."""

    def take_at_most(self, size: int) -> None:
        """Refuse longer pieces of the peer before they are buffered."""

    def settled(self) -> None:
        """The peer is no stranger any more: its stream is established."""

    def ping(self) -> None:
        """Ask for a sign of life."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Read again."""

    def close(self, code: int) -> None:
        """End in good order, unless the end is under way; the code is a WebSocket's (RFC 6455, 7.4.1)."""

    def abort(self) -> None:
        """End at once; more than once does no harm."""


class Owner(Protocol):
    """The service's side of a connection: it judges, the connection carries."""

    def handle(self, event: Event) -> None:
        """Something happened on the stream."""

    def lost(self, reason: str) -> None:
        """The connection is gone; nothing comes any more."""


class Connection(Generic[OwnerType]):
    """One stream on one wire, with the time limits of both."""

    log = Logger()

    def __init__(
        self,
        stream: Stream,
        wire: Wire,
        own: Callable[[Connection[OwnerType]], OwnerType],
        clock: IReactorTime,
        timeouts: Timeouts,
        silence: float,
    ) -> None:
        """`own` makes the owner; `silence` is how many seconds of it pass before the peer is pinged."""
        self.stream = stream
        self._wire = wire
        self._clock = clock
        self.timeouts = timeouts
        self._silence = silence
        self._state = stream.state
        self._heard = clock.seconds()
        self._missed = 0
        self._waiting = 0  # bytes written while the peer does not read
        self._reason = ""
        self._opened = False  # the peer's header has come
        self._lost = False
        self.clean = False  # how the transport ended
        self.patient = False  # leaves it to the peer, if that has closed its stream first, to end the transport
        self._deadline: IDelayedCall | None = None
        self._keepalive: IDelayedCall | None = None
        self._blocked: IDelayedCall | None = None
        self._resting: IDelayedCall | None = None
        self.owner = own(self)
        wire.take_at_most(stream.framing.limit)
        self._wait(timeouts.stream_open, "no stream header came")

    # What the owner calls.

    def now(self) -> float:
        """The time on the clock of this connection."""
        return self._clock.seconds()

    def later(self, seconds: float, act: Callable[..., object], *arguments: object) -> IDelayedCall:
        """Have something done in so many seconds; nobody but the caller stops it."""
        return self._clock.callLater(seconds, act, *arguments)

    def silent_since(self, moment: float) -> bool:
        """Whether no sign of life has come since then."""
        return self._heard < moment

    def send(self, stanza: Stanza) -> bool:
        """Send a stanza, now; false on a stream that has ended: nothing may follow that (RFC 6120, 4.4)."""
        sent = self.stream.send(stanza)
        if sent:
            self.flush()
        return sent

    def answered(self) -> None:
        """The owner has answered an event after `handle` had returned: let the stream go on."""
        self._dispatch()

    def fail(self, error: StreamError) -> None:
        """End the stream with an error of ours."""
        self.stream.fail(error)
        self.answered()

    def close(self, see_other_uri: str | None = None) -> None:
        """Close the stream in good order."""
        self.stream.close(see_other_uri)
        self.answered()

    def cut(self, reason: str) -> None:
        """Give the connection up at once; `reason` is what its owner hears."""
        if not self._lost:
            self._reason = self._reason or reason
            self._wire.abort()

    def hold_back(self, seconds: float) -> None:
        """Read nothing for a while: the peer says too much at once."""
        if not self._lost and self._resting is None:
            self._wire.pause()
            self._resting = self._clock.callLater(seconds, self._read_on)

    def _read_on(self) -> None:
        self._resting = None
        if self._blocked is None:
            self._wire.resume()

    def let_go(self) -> None:
        """The stream ends with this word, and its wire goes to another (RFC 6120, 5.4.3.3); the owner hears no more of it."""
        self.flush()
        self._lost = True
        self._stop_waiting()

    def flush(self) -> None:
        """Hand everything to the wire; a peer that lets too much wait is cut."""
        pieces = self.stream.data_to_send()
        if not pieces or self._lost:
            return
        self._wire.write(pieces)
        if self._blocked is not None:
            self._waiting += sum(map(len, pieces))
            if self._waiting > self.timeouts.output_bytes:
                self.cut(f"more than {self.timeouts.output_bytes} bytes waited for a peer that does not read")

    # What the wire calls.

    def received(self, data: bytes) -> None:
        """A piece came."""
        self._heard = self._clock.seconds()
        self._missed = 0
        self._dispatch(data)

    def heard(self) -> None:
        """A sign of life that is no whole piece: a pong, or part of something larger."""
        self._heard = self._clock.seconds()
        self._missed = 0

    def output_blocked(self) -> None:
        """The peer does not read: who does not listen need not be listened to."""
        if self._blocked is None and not self._lost:
            self._waiting = 0
            limit = self.timeouts.output_blocked
            self._blocked = self._clock.callLater(limit, self.cut, f"the peer did not read what waited for it for {limit:.0f} s")
            self._wire.pause()

    def output_free(self) -> None:
        """The peer reads again."""
        if self._blocked is not None:
            self._blocked.cancel()
            self._blocked = None
            if self._resting is None:
                self._wire.resume()

    def wire_lost(self, reason: str, *, clean: bool = False) -> None:
        """The transport is gone; an end without a Close frame is clean once the stream is closed. It was `clean` when the
        peer's end of the transport was reached, so that it has read everything, if it has closed its stream."""
        self._lost = True
        self.clean = clean
        if self.stream.state in _ENDED and self.stream.failure is None:
            reason = "the stream was closed"
        self.stream.connection_lost()
        self._stop_waiting()
        self.owner.lost(self._reason or reason)

    # The rest is ours.

    def _dispatch(self, data: bytes | None = None) -> None:
        """Have the owner handle what `data` brings, or what its own answers have brought about."""
        if self._lost:
            return
        stream, owner = self.stream, self.owner
        try:
            events = stream.take_events() if data is None else stream.receive(data)
            while events:
                for event in events:
                    owner.handle(event)
                events = stream.take_events()
        except Exception:  # noqa: BLE001 - a fault of ours ends this stream, and no other
            self.log.failure("Fault while handling what {peer} sent", peer=ascii(stream.remote)[:256])
            stream.fail(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))
            stream.take_events()
        self.flush()
        if self.stream.state is not self._state:
            self._state_changed(self.stream.state)

    def _state_changed(self, now: State) -> None:
        before, self._state = self._state, now
        self._wire.take_at_most(self.stream.framing.limit)
        if now is State.ESTABLISHED:
            self._wait(None)
            self._wire.settled()
            self._tick()
        elif now is State.CLOSING:
            self._wait(self.timeouts.stream_close, "our closing was not answered", self._end)
        elif now is State.CLOSED and self.patient and before is not State.CLOSING:
            self._wait(self.timeouts.stream_close, then=self._end)
        elif now in (State.ABANDONED, State.CLOSED):
            self._end()
        elif not self._opened and now is not State.HEADER_SENT:
            self._opened = True
            self._wait(self.timeouts.authentication, "the peer did not authenticate in time")

    def _stop_waiting(self) -> None:
        for call in (self._deadline, self._keepalive, self._blocked, self._resting):
            if call is not None and call.active():
                call.cancel()

    def _wait(self, seconds: float | None, what: str = "", then: Callable[[], None] | None = None) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None
        if seconds is not None and not self._lost:
            self._deadline = self._clock.callLater(seconds, then or (lambda: self._expired(f"{what} within {seconds:.0f} s")))

    def _expired(self, what: str) -> None:
        self._reason = what
        self.fail(StreamError(StreamCondition.CONNECTION_TIMEOUT, what.capitalize() + "."))

    def _end(self) -> None:
        """The stream is over: end the wire in good order, then at once."""
        failure = self.stream.failure
        if failure is not None:
            self._reason = self._reason or str(failure)
        self._wait(self.timeouts.websocket_close, then=self._wire.abort)
        self._wire.close(NORMAL if failure is None else _CLOSE_CODES.get(failure.condition, NORMAL))

    def _tick(self) -> None:
        """Ping after each whole period of silence, until too many went unanswered."""
        now = self._clock.seconds()
        due = self._heard + self._silence * (self._missed + 1)
        if now >= due:
            if self._missed >= self.timeouts.pings_missed:
                self.cut(f"{self._missed} pings were not answered")
                return
            self._missed += 1
            self._wire.ping()
            due += self._silence
        self._keepalive = self._clock.callLater(due - now, self._tick)
