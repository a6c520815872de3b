"""Autobahn's WebSocket protocols with settings that are safe, as wires for streams (RFC 6455, RFC 7395, XEP-0468).

Autobahn does the handshake, control frames, fragments and closing. Its own timers are off: time is kept by
`Connection`. Plain text frames can take a shorter way, see `xmppfed.net.fastpath`.
"""

from __future__ import annotations

from typing import Any, Protocol

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest, ConnectionResponse
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.admission import Admission
from xmppfed.net.connection import Connection
from xmppfed.timeouts import Timeouts

__all__ = ["SUBPROTOCOL", "Acceptor", "StreamClientFactory", "StreamServerFactory", "StreamServerProtocol"]

SUBPROTOCOL = "xmpp"
MAX_FRAGMENTS = 64
PINGS_PER_SECOND = 20
_PROTOCOL_ERROR, _UNACCEPTABLE, _POLICY, _TOO_BIG = 1002, 1003, 1008, 1009

_TIMERS_OFF = {
    "openHandshakeTimeout": 0,
    "closeHandshakeTimeout": 0,
    "autoPingInterval": 0,
    "autoPingTimeout": 0,
    "failByDrop": False,
    "utf8validateIncoming": False,  # `core.tree.check_text` does it, and is forty times faster
}


@implementer(IPushProducer)
class _Output:
    """Hears from the transport whether the peer reads."""

    def __init__(self, protocol: _StreamProtocol) -> None:
        self._protocol = protocol

    def pauseProducing(self) -> None:
        self._protocol.blocked = True
        if self._protocol.connection is not None:
            self._protocol.connection.output_blocked()

    def resumeProducing(self) -> None:
        self._protocol.blocked = False
        if self._protocol.connection is not None:
            self._protocol.connection.output_free()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` says so as well."""


class _StreamProtocol:
    """What both sides have in common: a mixin in front of Autobahn's protocols, and the `Wire` of a connection."""

    connection: Connection[Any] | None = None
    blocked = False
    unmasked = False  # whether the last message came in unmasked frames

    _fragments = 0
    _pings = 0
    _second = 0.0

    def connectionMade(self: Any) -> None:
        """Take the transport over; HTTPChannel, which may have had it, is still its producer and must not live on."""
        super().connectionMade()  # type: ignore[misc]  # Autobahn's class stands behind this mixin
        self.transport.unregisterProducer()
        self.transport.registerProducer(_Output(self), True)

    def connectionLost(self: Any, reason: Failure) -> None:
        """The transport is gone."""
        super().connectionLost(reason)  # type: ignore[misc]
        if self.connection is not None:
            connection, self.connection = self.connection, None
            connection.wire_lost(self.wasNotCleanReason or "the peer closed the connection")

    def onMessageBegin(self: Any, isBinary: bool) -> None:
        """The first frame of a message: XMPP knows no binary ones (RFC 7395, 3.3)."""
        super().onMessageBegin(isBinary)  # type: ignore[misc]
        self._fragments = 0
        if isBinary and not self.failedByMe:
            self._fail_connection(_UNACCEPTABLE, "binary message")

    def onMessageFrameBegin(self: Any, length: int) -> None:
        """A frame: empty ones count as well."""
        self._fragments += 1
        self.unmasked = self.current_frame.mask is None
        if self._fragments > MAX_FRAGMENTS and not self.failedByMe:
            self._fail_connection(_POLICY, f"more than {MAX_FRAGMENTS} fragments")
        super().onMessageFrameBegin(length)  # type: ignore[misc]

    def onMessage(self: Any, payload: bytes, isBinary: bool) -> None:
        """A whole message, which Autobahn has put together."""
        if not self.failedByMe:
            self.message(payload)

    def message(self: Any, payload: bytes) -> None:
        """A whole message, from either path."""
        if self.connection is not None:
            self.connection.received(payload)

    def onPing(self: Any, payload: bytes) -> None:
        """Answer, at a bounded rate."""
        now = int(self.factory.clock.seconds())
        if now != self._second:
            self._second, self._pings = now, 0
        self._pings += 1
        if self._pings > PINGS_PER_SECOND:
            self._fail_connection(_POLICY, f"more than {PINGS_PER_SECOND} pings a second")
            return
        if self.connection is not None:
            self.connection.heard()
        super().onPing(payload)  # type: ignore[misc]

    def onPong(self, payload: bytes) -> None:
        """The peer is there."""
        if self.connection is not None:
            self.connection.heard()

    def _max_message_size_exceeded(self: Any, size: int, limit: int, reason: str) -> None:
        """Autobahn's word that a frame header announces too much: nothing of it is buffered."""
        if self.connection is not None:
            text = f"Found a message of {size} bytes or more; at most {limit} are taken here."
            self.connection.stream.fail(StreamError(StreamCondition.POLICY_VIOLATION, text))
            self.connection.flush()
        self._fail_connection(_TOO_BIG, reason)
        if self.connection is not None:
            self.connection.answered()

    # The wire.

    def attach(self, connection: Connection[Any]) -> None:
        """What comes belongs to `connection` from now on."""
        self.connection = connection
        if self.blocked:
            connection.output_blocked()

    def write(self: Any, pieces: list[bytes]) -> None:
        """One message for each piece."""
        for piece in pieces:
            self.sendMessage(piece)

    def take_at_most(self, size: int) -> None:
        """Judged from the frame header, before anything is buffered."""
        self.maxFramePayloadSize = self.maxMessagePayloadSize = size

    def settled(self) -> None:
        """Only the receiving side counts strangers."""

    def ping(self: Any) -> None:
        """A WebSocket ping, without a payload."""
        self.sendPing()

    def pause(self: Any) -> None:
        """Stop reading."""
        self.transport.pauseProducing()

    def resume(self: Any) -> None:
        """Read again."""
        self.transport.resumeProducing()

    def close(self: Any, code: int) -> None:
        """The closing handshake (RFC 6455, 7.1.2), unless it is under way."""
        self.sendCloseFrame(code=code)

    def abort(self: Any) -> None:
        """Drop the transport."""
        self.dropConnection(abort=True)


class Acceptor(Protocol):
    """Who makes the connection once the first message says what it is: `services.http`."""

    def accept(self, protocol: StreamServerProtocol, first: bytes) -> Connection[Any] | None:
        """The connection for a wire whose first message is `first`; none when the wire must not be used."""


class StreamServerProtocol(_StreamProtocol, WebSocketServerProtocol):  # type: ignore[misc]  # Autobahn has no types
    """The receiving side of a WebSocket."""

    origin: str | None = None
    _deadline: Any = None

    def onConnect(self, request: ConnectionRequest) -> str:
        """Autobahn has judged the handshake; only the subprotocol of RFC 7395, 3.1 is left."""
        if SUBPROTOCOL not in request.protocols:
            raise ConnectionDeny(ConnectionDeny.BAD_REQUEST, "Wanted the WebSocket subprotocol xmpp.")
        self.origin = request.origin
        # A browser masks; servers that connect without Origin may not (PeerTube, xmpp-proxy).
        self.requireMaskedClientFrames = request.origin is not None
        return SUBPROTOCOL

    def onOpen(self) -> None:
        """The handshake is done: the peer's stream header must follow."""
        limit = self.factory.timeouts.stream_open
        self._deadline = self.factory.clock.callLater(limit, self.abort)

    def message(self, payload: bytes) -> None:
        """The first message decides what kind of stream this is; the rest are the stream's."""
        connection = self.connection or self._first(payload)
        if connection is not None:
            connection.received(payload)

    def _first(self, payload: bytes) -> Connection[Any] | None:
        self._deadline.cancel()
        connection = self.factory.acceptor.accept(self, payload)
        if connection is not None:
            self.attach(connection)
        return self.connection

    def require_masks(self) -> bool:
        """From now on every frame must be masked (RFC 6455, 5.1); false when the last one was not, which ends it."""
        self.requireMaskedClientFrames = True
        if self.unmasked:
            self._fail_connection(_PROTOCOL_ERROR, "unmasked frame of a client")
            self._deadline = self.factory.clock.callLater(self.factory.timeouts.websocket_close, self.abort)
        return not self.unmasked

    def settled(self) -> None:
        """The peer does not count among the strangers any more."""
        self.factory.admission.leave(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nothing waits any more."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self.factory.admission.leave(self)
        super().connectionLost(reason)


class StreamServerFactory(WebSocketServerFactory):
    """Makes the protocols to which the HTTP resource hands its connections over."""

    def __init__(
        self,
        acceptor: Acceptor,
        clock: IReactorTime,
        timeouts: Timeouts,
        first_limit: int,
        admission: Admission,
        protocol: type[StreamServerProtocol] = StreamServerProtocol,
    ) -> None:
        """`first_limit` is the most bytes that the first message may have; `protocol` may be the one with the fast path."""
        super().__init__(reactor=clock, protocols=[SUBPROTOCOL], server="xmppfed")
        self.protocol = protocol
        self.acceptor = acceptor
        self.clock = clock
        self.timeouts = timeouts
        self.admission = admission
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            maxFramePayloadSize=first_limit,
            maxMessagePayloadSize=first_limit,
            allowedOrigins=["*"],  # any Origin may log in with a password; the services judge the rest
            allowNullOrigin=True,
            trustXForwardedFor=0,
            perMessageCompressionAccept=lambda _: None,
            **_TIMERS_OFF,
        )


class StreamClientProtocol(_StreamProtocol, WebSocketClientProtocol):  # type: ignore[misc]
    """The initiating side of a WebSocket."""

    def onConnect(self, response: ConnectionResponse) -> None:
        """The server must have chosen our subprotocol (RFC 7395, 3.1)."""
        if response.protocol != SUBPROTOCOL:
            self.factory.refused = f"found subprotocol {response.protocol!r}; wanted {SUBPROTOCOL!r}"
            self._fail_connection(_PROTOCOL_ERROR, "wanted the subprotocol xmpp")

    def onOpen(self) -> None:
        """The WebSocket is open."""
        if not self.failedByMe:
            self.factory.opened.callback(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Before the WebSocket was open this is the answer to who waits for it."""
        super().connectionLost(reason)
        if not self.factory.opened.called:  # who timed out hears no second reason
            text = self.factory.refused or self.wasNotCleanReason or reason.getErrorMessage()
            self.factory.opened.errback(ConnectionError(text))


class StreamClientFactory(WebSocketClientFactory):
    """Opens one WebSocket; `opened` gives the protocol, or a `ConnectionError` that says why not."""

    protocol = StreamClientProtocol
    noisy = False

    def __init__(self, url: str, origin: str | None, clock: IReactorTime, limit: int) -> None:
        """`limit` is the most bytes that a message of the server may have at first."""
        super().__init__(url=url, origin=origin, protocols=[SUBPROTOCOL], useragent="xmppfed", reactor=clock)
        self.clock = clock
        self.refused = ""
        self.opened: Deferred[StreamClientProtocol] = Deferred()
        self._made: Any = None
        self.setProtocolOptions(
            maxFramePayloadSize=limit,
            maxMessagePayloadSize=limit,
            serverConnectionDropTimeout=0,
            perMessageCompressionOffers=[],
            perMessageCompressionAccept=lambda _: None,
            **_TIMERS_OFF,
        )

    def buildProtocol(self, addr: Any) -> Any:
        """The one protocol, kept so that it can be given up."""
        self._made = made = super().buildProtocol(addr)
        return made

    def abort(self) -> None:
        """Nobody waits for the WebSocket any more."""
        if self._made is not None:
            self._made.abort()
