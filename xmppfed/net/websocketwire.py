"""What both sides of a WebSocket have in common, as the wire of a stream: limits, pings, and an end in time (RFC 6455).

A mixin in front of Autobahn's protocols, which do the handshake, control frames, fragments and closing. Autobahn
tells nobody that it failed a connection, waits for ever when its own timers are off, and drops its own Close frame
when it answers that of the peer; here that is put right.
"""

from __future__ import annotations

from math import inf
from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.connection import Connection

__all__ = ["OPTIONS", "QUIET", "WebSocketWire", "printable"]

MAX_FRAGMENTS = 64
CONTROLS_PER_SECOND = 20  # pings and pongs
_STEPS_AFTER_FAILURE = 1_000  # a step reads a header, or what came of a payload
PROTOCOL_ERROR, _UNACCEPTABLE, POLICY, _TOO_BIG, INTERNAL_ERROR, SERVICE_RESTART = 1002, 1003, 1008, 1009, 1011, 1012
_OPEN, _CLOSED = WebSocketProtocol.STATE_OPEN, WebSocketProtocol.STATE_CLOSED

OPTIONS = {
    # Autobahn's timers go to the global reactor, whatever reactor its factory was given.
    "openHandshakeTimeout": 0,
    "closeHandshakeTimeout": 0,
    "autoPingInterval": 0,
    "autoPingTimeout": 0,
    "failByDrop": False,
    "utf8validateIncoming": False,  # `core.tree.check_text` does it, and is forty times faster
    "perMessageCompressionAccept": lambda _: None,
}


class _Quiet:
    """Autobahn's logger: it would warn of every connection that a peer spoils, with what the peer wrote. What matters is
    told to the connection, or logged here under names of ours."""

    def debug(self, *_: object, **__: object) -> None:
        """Say nothing."""

    info = warn = error = debug


QUIET = _Quiet()


def printable(text: str) -> str:
    """What a peer wrote, as it may stand in a log: nothing that is invisible or moves the cursor, 256 characters at most."""
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text[:256])[:256]


@implementer(IPushProducer)
class _Output:
    """Hears from the transport whether the peer reads."""

    def __init__(self, protocol: WebSocketWire) -> None:
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


class WebSocketWire:
    """A `Wire` on top of Autobahn. Its factory has `clock` and `timeouts`."""

    log = QUIET
    connection: Connection[Any] | None = None
    blocked = False
    unmasked = False  # whether a frame of the last message came unmasked
    failure = ""  # why we failed the WebSocket

    _our_log = Logger()
    _fragments = 0
    _controls = 0
    _controls_since = -inf
    _steps_left = _STEPS_AFTER_FAILURE
    _ending: IDelayedCall | None = None
    _gone = False

    # What Autobahn and Twisted call.

    def connectionMade(self: Any) -> None:
        """Take the transport over; HTTPChannel, which may have had it, is still its producer and must not live on."""
        super().connectionMade()  # type: ignore[misc]  # Autobahn's class stands behind this mixin
        self.transport.unregisterProducer()
        self.transport.registerProducer(_Output(self), True)

    def connectionLost(self: Any, reason: Failure = connectionDone) -> None:
        """The transport is gone."""
        self._gone = True
        if self._ending is not None and self._ending.active():
            self._ending.cancel()
        try:
            super().connectionLost(reason)  # type: ignore[misc]
        finally:  # whatever Autobahn makes of a reason of OpenSSL's
            connection, self.connection = self.connection, None
            if connection is not None:
                connection.wire_lost(self._why_lost(), clean=self.wasClean)

    def _why_lost(self: Any) -> str:
        if self.failure:
            return f"the WebSocket failed: {self.failure}"
        if self.remoteCloseCode not in (None, 1000):
            reason = printable(self.remoteCloseReason or "no reason given")
            return f"the peer closed the WebSocket with code {self.remoteCloseCode}: {reason}"
        return self.wasNotCleanReason or "the peer closed the connection"

    def dataReceived(self: Any, data: bytes) -> None:
        """Part of a frame is a sign of life, too. TLS delivers on while it closes; Autobahn would keep that, unread."""
        if self.connection is not None:
            self.connection.heard()
        if self.state != _CLOSED:
            super().dataReceived(data)  # type: ignore[misc]

    def _onOpen(self: Any) -> None:
        """Autobahn would first look at certificates, which is `xmppfed.net.peer`'s."""
        self.onOpen()

    def onMessageBegin(self: Any, isBinary: bool) -> None:
        """The first frame of a message: XMPP knows no binary ones (RFC 7395, 3.2)."""
        super().onMessageBegin(isBinary)  # type: ignore[misc]
        self._fragments = 0
        self.unmasked = False
        if isBinary and not self.failedByMe:
            self._fail_connection(_UNACCEPTABLE, "binary message")

    def onMessageFrameBegin(self: Any, length: int) -> None:
        """A frame: empty ones count as well."""
        self._fragments += 1
        self.unmasked = self.unmasked or self.current_frame.mask is None
        if self._fragments > MAX_FRAGMENTS and not self.failedByMe:
            self._fail_connection(POLICY, f"more than {MAX_FRAGMENTS} fragments")
        super().onMessageFrameBegin(length)  # type: ignore[misc]

    def onMessage(self: Any, payload: bytes, isBinary: bool) -> None:
        """A whole message, which Autobahn has put together."""
        if not self.failedByMe:
            self.message(payload)

    def message(self, payload: bytes) -> None:
        """A whole message, from either path."""
        if self.connection is not None:
            self.connection.received(payload)

    def processData(self: Any) -> bool:
        """After a failure only a Close frame is of interest (RFC 6455, 7.1.7): look for it, but not at any price."""
        if self.failedByMe:
            self._steps_left -= 1
            if self._steps_left < 0:
                self.data = b""
                return False
        going_on: bool = super().processData()  # type: ignore[misc]
        return going_on

    def onPing(self: Any, payload: bytes) -> None:
        """Answer."""
        if self._bounded():
            super().onPing(payload)  # type: ignore[misc]

    def onPong(self: Any, payload: bytes) -> None:
        """The bytes that it came in were the sign of life."""
        self._bounded()

    def _bounded(self: Any) -> bool:
        now = self.factory.clock.seconds()
        if now >= self._controls_since + 1:
            self._controls_since, self._controls = now, 0
        self._controls += 1
        if self._controls > CONTROLS_PER_SECOND:
            self._fail_connection(POLICY, f"more than {CONTROLS_PER_SECOND} pings and pongs a second")
        return bool(self._controls <= CONTROLS_PER_SECOND)

    def _max_message_size_exceeded(self: Any, size: int, limit: int, reason: str) -> None:
        """Autobahn's word that a frame header announces too much: nothing of it is buffered."""
        if self.connection is not None:
            text = f"Found a message of {size} bytes or more; at most {limit} are taken here."
            self.connection.stream.fail(StreamError(StreamCondition.POLICY_VIOLATION, text))
            self.connection.flush()
        self._fail_connection(_TOO_BIG, reason)
        if self.connection is not None:
            self.connection.answered()

    def _fail_connection(self: Any, code: int = PROTOCOL_ERROR, reason: str = "") -> None:
        """The peer broke a rule of WebSocket: remember which."""
        if not self.failure:
            self.failure = reason
            self._our_log.info("WebSocket with {peer} fails with {code}: {reason}", peer=self.peer, code=code, reason=reason)
        super()._fail_connection(code, reason)  # type: ignore[misc]

    def sendCloseFrame(self: Any, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Once a Close frame is sent the end must come, also when nothing answers it."""
        super().sendCloseFrame(code, reasonUtf8, isReply)  # type: ignore[misc]
        self._end_in_time()

    def dropConnection(self, abort: bool = False) -> None:
        """Never at once: our own last frames may still be waiting."""
        super().dropConnection(abort=False)  # type: ignore[misc]
        self._end_in_time()

    def _end_in_time(self: Any) -> None:
        if self._ending is None and not self._gone:
            self._ending = self.factory.clock.callLater(self.factory.timeouts.websocket_close, self.abort)

    # The wire.

    def attach(self, connection: Connection[Any]) -> None:
        """What comes belongs to `connection` from now on."""
        self.connection = connection
        if self.blocked:
            connection.output_blocked()

    def write(self: Any, pieces: list[bytes]) -> None:
        """One message for each piece; nothing after a Close frame (RFC 6455, 5.5.1).

        Not by Autobahn's `sendMessage`: it holds what we send to the limit of what we take.
        """
        stats = self.trafficStats
        for piece in pieces if self.state == _OPEN else ():
            stats.outgoingOctetsAppLevel += len(piece)
            stats.outgoingOctetsWebSocketLevel += len(piece)
            stats.outgoingWebSocketMessages += 1
            self.sendFrame(opcode=1, payload=piece)

    def take_at_most(self, size: int) -> None:
        """Judged from the frame header, before anything is buffered."""
        self.maxFramePayloadSize = self.maxMessagePayloadSize = size

    def settled(self) -> None:
        """Only the receiving side counts strangers."""

    def ping(self: Any) -> None:
        """A WebSocket ping, without a payload; nothing unless the WebSocket is open."""
        self.sendPing()

    def pause(self: Any) -> None:
        """Stop reading."""
        self.transport.pauseProducing()

    def resume(self: Any) -> None:
        """Read again."""
        self.transport.resumeProducing()

    def close(self: Any, code: int) -> None:
        """The closing handshake (RFC 6455, 7.1.2), unless it is under way; a WebSocket that never opened has none."""
        if self.state == WebSocketProtocol.STATE_CONNECTING:
            self.abort()
        else:
            self.sendCloseFrame(code=code)

    def abort(self: Any) -> None:
        """Drop the transport and what waits in it."""
        if self.state != _CLOSED:
            super().dropConnection(abort=True)  # type: ignore[misc]
        elif not self._gone:
            self.transport.abortConnection()
