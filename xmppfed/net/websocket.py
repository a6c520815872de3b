"""Autobahn's WebSocket protocols with settings that are safe, as wires for streams (RFC 6455, RFC 7395, XEP-0468).

Time is kept by `Connection`, and by `xmppfed.net.websocketwire` for what lies below a stream. Plain text frames can
take a shorter way, see `xmppfed.net.fastpath`.
"""

from __future__ import annotations

from typing import Any, Protocol

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.types import ConnectionRequest, ConnectionResponse
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from xmppfed.net.admission import Admission
from xmppfed.net.arrival import address_of
from xmppfed.net.connection import Connection
from xmppfed.net.proxies import TrustedProxies, Word
from xmppfed.net.websocketwire import (
    INTERNAL_ERROR,
    OPTIONS,
    POLICY,
    PROTOCOL_ERROR,
    QUIET,
    SERVICE_RESTART,
    WebSocketWire,
    printable,
)
from xmppfed.timeouts import Timeouts

__all__ = [
    "SUBPROTOCOL",
    "Acceptor",
    "StreamClientFactory",
    "StreamClientProtocol",
    "StreamServerFactory",
    "StreamServerProtocol",
]

SUBPROTOCOL = "xmpp"
_LONGEST_ANSWER = 16_384  # bytes of a server's answer to the handshake; what HTTPChannel takes of a client


class Acceptor(Protocol):
    """Who makes the connection once the first message says what it is: `services.http`."""

    def accept(self, protocol: StreamServerProtocol, first: bytes) -> Connection[Any] | None:
        """The connection for a wire whose first message is `first`; none when the wire must not be used."""


class StreamServerProtocol(WebSocketWire, WebSocketServerProtocol):  # type: ignore[misc]  # the mixin goes first
    """The receiving side of a WebSocket. `origin` is what a browser says whose page it shows, None without one."""

    origin: str | None = None
    word: Word | None = None  # of a listed proxy, until the stream has begun
    _deadline: Any = None

    def connectionMade(self) -> None:
        """The peer has not long to send its stream header. The handshake takes no time: it has been received already."""
        self._deadline = self.factory.clock.callLater(self.factory.timeouts.stream_open, self._not_opened)
        super().connectionMade()

    def _not_opened(self) -> None:
        self._fail_connection(POLICY, f"no stream header within {self.factory.timeouts.stream_open:.0f} s")

    def onConnect(self, request: ConnectionRequest) -> str:
        """`xmppfed.net.httpport` and Autobahn have judged the handshake."""
        self.origin = request.origin or None  # Autobahn says "" when there was none
        if self.factory.proxies.include(address_of(self.transport)):
            self.word = self.factory.proxies.word(request.headers)
        # A browser masks; servers that connect without Origin may not (PeerTube, xmpp-proxy).
        self.requireMaskedClientFrames = self.origin is not None
        return SUBPROTOCOL

    def message(self, payload: bytes) -> None:
        """The first message decides what kind of stream this is; the rest are the stream's."""
        connection = self.connection or self._first(payload)
        if connection is not None:
            connection.received(payload)

    def _first(self, payload: bytes) -> Connection[Any] | None:
        self._deadline.cancel()
        try:
            connection: Connection[Any] | None = self.factory.acceptor.accept(self, payload)
        except Exception:  # noqa: BLE001 - Autobahn would keep what is raised on its way; no other connection may suffer
            self._our_log.failure("Fault while taking a stream")
            self._fail_connection(INTERNAL_ERROR, "internal error")
            return None
        if connection is not None:
            self.attach(connection)
        return connection

    def require_masks(self) -> bool:
        """From now on every frame must be masked (RFC 6455, 5.1); false when the last message was not, which ends it."""
        self.requireMaskedClientFrames = True
        if self.unmasked:
            self._fail_connection(PROTOCOL_ERROR, "unmasked frame of a client")
        return not self.unmasked

    def dismiss(self) -> None:
        """A stream would come too late."""
        if self.connection is None:
            self._fail_connection(SERVICE_RESTART, "the server stops")

    def settled(self) -> None:
        """The peer does not count among the strangers any more."""
        self.factory.admission.leave(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nothing waits any more."""
        if self._deadline.active():
            self._deadline.cancel()
        self.factory.admission.leave(self)
        super().connectionLost(reason)


class StreamServerFactory(WebSocketServerFactory):
    """Makes the protocols to which the HTTP resource hands its connections over."""

    log = QUIET
    noisy = False

    def __init__(
        self,
        acceptor: Acceptor,
        clock: IReactorTime,
        timeouts: Timeouts,
        first_limit: int,
        admission: Admission,
        protocol: type[StreamServerProtocol] = StreamServerProtocol,
        proxies: TrustedProxies | None = None,
    ) -> None:
        """`first_limit` is the most bytes that the first message may have; `protocol` may be the one with the fast path."""
        super().__init__(reactor=clock, protocols=[SUBPROTOCOL], server="xmppfed")
        self.protocol = protocol
        self.acceptor = acceptor
        self.clock = clock
        self.timeouts = timeouts
        self.admission = admission
        self.proxies = proxies or TrustedProxies()
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            maxFramePayloadSize=first_limit,
            maxMessagePayloadSize=first_limit,
            allowedOrigins=["*"],  # any Origin may log in with a password; the services judge the rest
            allowNullOrigin=True,
            trustXForwardedFor=0,
            **OPTIONS,
        )


class StreamClientProtocol(WebSocketWire, WebSocketClientProtocol):  # type: ignore[misc]  # as above
    """The initiating side of a WebSocket."""

    def dataReceived(self, data: bytes) -> None:
        """Bound the answer to the handshake, which Autobahn searches from its beginning whenever a byte of it comes."""
        if self.state != WebSocketProtocol.STATE_CONNECTING:
            super().dataReceived(data)
        elif len(self.data) + len(data) > _LONGEST_ANSWER and b"\r\n\r\n" not in self.data[-3:] + data:
            self._refuse(f"found an answer longer than {_LONGEST_ANSWER} bytes; wanted the end of an HTTP header")
        else:
            self._answered(data)

    def _answered(self, data: bytes) -> None:
        try:
            super().dataReceived(data)
        except ValueError as error:  # not UTF-8, which Autobahn takes for granted
            self._refuse(f"found an answer that cannot be read ({error}); wanted an HTTP header")

    def _refuse(self, why: str) -> None:
        self.factory.refused = why
        self.abort()

    def onConnect(self, response: ConnectionResponse) -> None:
        """The server must have chosen our subprotocol (RFC 7395, 3.1)."""
        if response.protocol != SUBPROTOCOL:
            self.factory.refused = f"found subprotocol {response.protocol!r}; wanted {SUBPROTOCOL!r}"
            self._fail_connection(PROTOCOL_ERROR, "wanted the subprotocol xmpp")

    def onOpen(self) -> None:
        """The WebSocket is open, if somebody still waits for it."""
        if not self.failedByMe and not self.factory.opened.called:
            self.factory.opened.callback(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Before the WebSocket was open this is the answer to who waits for it."""
        try:
            super().connectionLost(reason)
        finally:
            if not self.factory.opened.called:  # who gave up hears no second reason
                text = self.factory.refused or self.wasNotCleanReason or reason.getErrorMessage()
                self.factory.opened.errback(ConnectionError(printable(text)))


class StreamClientFactory(WebSocketClientFactory):
    """Opens one WebSocket; `opened` gives the protocol, or a `ConnectionError` that says why not. Cancelling `opened`
    gives the attempt up, and its connection."""

    log = QUIET
    protocol = StreamClientProtocol
    noisy = False

    def __init__(self, url: str, origin: str | None, clock: IReactorTime, limit: int, timeouts: Timeouts | None = None) -> None:
        """`limit` is the most bytes that a message of the server may have at first. Raises ValueError for a URL that is
        none of WebSocket's (RFC 6455, 3)."""
        super().__init__(url=url, origin=origin, protocols=[SUBPROTOCOL], useragent="xmppfed", reactor=clock)
        self.clock = clock
        self.timeouts = timeouts or Timeouts()
        self.refused = ""
        self.opened: Deferred[StreamClientProtocol] = Deferred(lambda _: self.abort())
        self._made: Any = None
        self.setProtocolOptions(
            maxFramePayloadSize=limit,
            maxMessagePayloadSize=limit,
            serverConnectionDropTimeout=0,
            perMessageCompressionOffers=[],
            **OPTIONS,
        )

    def buildProtocol(self, addr: Any) -> Any:
        """The one protocol, kept so that it can be given up."""
        self._made = made = super().buildProtocol(addr)
        return made

    def abort(self) -> None:
        """Nobody waits for the WebSocket any more."""
        if self._made is not None:
            self._made.abort()
