"""Streams over TCP (RFC 6120, 3): the bytes of the stream are the bytes of the connection, which TLS protects.

`Connection` keeps the time, `StreamFraming` finds the elements. A connection that begins without TLS belongs to the
protocols of `xmppfed.net.starttls` first.
"""

from __future__ import annotations

import socket
from typing import Any, Protocol, cast

from twisted.internet import protocol
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocolFactory,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppfed.net.admission import Admission
from xmppfed.net.arrival import address_of
from xmppfed.net.connection import Connection
from xmppfed.net.tls import tls_endpoint
from xmppfed.timeouts import Timeouts

__all__ = [
    "Acceptor",
    "StreamClientProtocol",
    "StreamProtocol",
    "StreamServerFactory",
    "StreamServerProtocol",
    "connect",
    "connect_without_tls",
    "connected",
    "hand_over",
    "tune",
    "under_tls",
]


_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)  # RFC 5482; Linux has it
_UNACKNOWLEDGED = int(Timeouts().unacknowledged * 1000)


def tune(transport: Any) -> None:
    """Have small stanzas go at once, and not with the next ones (Nagle's algorithm); have the system tell when a peer is
    gone without a word, as soon as something was sent to it in vain."""
    if ITCPTransport.providedBy(transport):
        transport.setTcpNoDelay(True)
        if _USER_TIMEOUT is not None:
            cast(Any, transport).socket.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, _UNACKNOWLEDGED)


def hand_over(transport: Any, factory: IProtocolFactory) -> Any:
    """Give a connection to a protocol of `factory`, for good, as if it had begun with it; returns that protocol."""
    successor = factory.buildProtocol(transport.getPeer())
    assert successor is not None  # ours take every connection
    transport.protocol = successor
    successor.makeConnection(transport)
    return successor


@implementer(IPushProducer)
class StreamProtocol(protocol.Protocol):
    """What both sides have in common: the `Wire` of a connection. The transport tells it whether the peer reads."""

    transport: Any
    connection: Connection[Any] | None = None
    keepalive = b" "
    _blocked = False

    def connectionMade(self) -> None:
        """Hear from the transport whether the peer reads."""
        self.transport.registerProducer(self, True)
        tune(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Bytes, cut anywhere."""
        self.received(data)

    def received(self, data: bytes) -> None:
        """A piece for the connection."""
        if self.connection is not None:
            self.connection.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone."""
        if self.connection is not None:
            connection, self.connection = self.connection, None
            closed = reason.check(ConnectionDone) is not None
            connection.wire_lost("the peer closed the connection" if closed else reason.getErrorMessage(), clean=closed)

    def pauseProducing(self) -> None:
        """The transport holds as much as it wants to: the peer does not read."""
        self._blocked = True
        if self.connection is not None:
            self.connection.output_blocked()

    def resumeProducing(self) -> None:
        """The peer reads again."""
        self._blocked = False
        if self.connection is not None:
            self.connection.output_free()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` says so as well."""

    def let_go(self) -> Any:
        """Take no more part in the connection; its transport is for a successor."""
        if self.connection is not None:
            self.connection.let_go()
            self.connection = None
        self.transport.unregisterProducer()
        return self.transport

    # The wire.

    def attach(self, connection: Connection[Any]) -> None:
        """What comes belongs to `connection` from now on."""
        self.connection = connection
        if self._blocked:
            connection.output_blocked()

    def write(self, pieces: list[bytes]) -> None:
        """All pieces in one write: the stream has no borders between them."""
        self.transport.write(b"".join(pieces))

    def take_at_most(self, size: int) -> None:
        """The framing counts while it reads: no header announces a length here."""

    def settled(self) -> None:
        """Only the receiving side counts strangers."""

    def ping(self) -> None:
        """White space, which nobody answers (RFC 6120, 4.6.1): that it could be written counts as a sign of life, and
        TCP tells when it does not arrive."""
        self.write([self.keepalive])
        if self.connection is not None:
            self.connection.heard()

    def pause(self) -> None:
        """Stop reading."""
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again."""
        self.transport.resumeProducing()

    def close(self, code: int) -> None:
        """End when all is written; TCP has no code to give."""
        self.transport.unregisterProducer()  # TLS waits for its producer before it closes
        self.transport.loseConnection()

    def abort(self) -> None:
        """Drop the transport."""
        self.transport.abortConnection()


class Acceptor(Protocol):
    """Who makes the connection of a stream that comes in."""

    def accept(self, protocol: StreamServerProtocol) -> Connection[Any]:
        """The connection for a wire on which the first bytes have come: a TLS handshake is complete by then."""


class StreamServerProtocol(StreamProtocol):
    """The receiving side. The initiating entity speaks first (RFC 6120, 4.2), so a stream begins with its first bytes."""

    factory: StreamServerFactory
    _deadline: Any = None

    def connectionMade(self) -> None:
        """Let a stranger in, for a while."""
        super().connectionMade()
        if not self.factory.admission.enter(self, address_of(self.transport)):
            self.abort()
            return
        self._deadline = self.factory.clock.callLater(self.factory.timeouts.handshake, self.abort)

    def received(self, data: bytes) -> None:
        """The first piece makes the connection."""
        if self.connection is None and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self.attach(self.factory.acceptor.accept(self))
        super().received(data)

    def dismiss(self) -> None:
        """A stream would come too late."""
        if self.connection is None:
            self.abort()

    def settled(self) -> None:
        """The peer does not count among the strangers any more."""
        self.factory.admission.leave(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nothing waits any more."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self.factory.admission.leave(self)
        super().connectionLost(reason)


class StreamServerFactory(protocol.ServerFactory):
    """Makes the protocols of a listening port."""

    noisy = False

    def __init__(
        self,
        acceptor: Acceptor,
        clock: IReactorTime,
        timeouts: Timeouts,
        admission: Admission,
        made: type[StreamServerProtocol] = StreamServerProtocol,
    ) -> None:
        """`made` is the class of the protocols."""
        self.protocol: Any = made
        self.acceptor = acceptor
        self.clock = clock
        self.timeouts = timeouts
        self.admission = admission


@implementer(IHandshakeListener)
class StreamClientProtocol(StreamProtocol):
    """The initiating side, under TLS. `secured` comes when the handshake is complete; a ConnectionError says why it never
    will be. Who cancels it gives the connection up."""

    def __init__(self) -> None:
        self.secured: Deferred[None] = Deferred(lambda _: self.abort())

    def handshakeCompleted(self) -> None:
        """The peer's certificate can be judged."""
        if not self.secured.called:  # who timed out waits no longer
            self.secured.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Who waits for the handshake hears it first."""
        if not self.secured.called:
            self.secured.errback(ConnectionError(reason.getErrorMessage()))
        super().connectionLost(reason)


async def connect(
    reactor: Any,
    endpoint: IStreamClientEndpoint,
    creator: IOpenSSLClientConnectionCreator,
    seconds: float,
    made: type[StreamClientProtocol] = StreamClientProtocol,
) -> StreamClientProtocol:
    """Connect to a port where streams begin with TLS, and shake hands within so many seconds (XEP-0368).

    Raises ConnectionError, whose text says how far it came.
    """
    factory: protocol.Factory[Any] = protocol.Factory.forProtocol(made)
    return await under_tls(await connected(tls_endpoint(reactor, endpoint, creator), factory), reactor, seconds)


async def connect_without_tls(endpoint: IStreamClientEndpoint) -> StreamProtocol:
    """Connect to a port on this machine, where nobody listens in. Raises ConnectionError."""
    factory: protocol.Factory[Any] = protocol.Factory.forProtocol(StreamProtocol)
    factory.noisy = False
    made: StreamProtocol = await connected(endpoint, factory)
    return made


async def connected(endpoint: IStreamClientEndpoint, factory: protocol.Factory[Any]) -> Any:
    """The protocol of a connection that stands. Raises ConnectionError."""
    try:
        return await endpoint.connect(factory)
    except ConnectError as error:
        raise ConnectionError(f"no connection: {error}") from None


async def under_tls(made: StreamClientProtocol, clock: IReactorTime, seconds: float) -> StreamClientProtocol:
    """The protocol, once its handshake is complete. Raises ConnectionError."""
    made.secured.addTimeout(seconds, clock)
    try:
        await made.secured
    except TimeoutError:
        raise ConnectionError(f"no TLS within {seconds:.0f} s") from None
    except ConnectionError as error:
        raise ConnectionError(f"no TLS: {error}") from None
    return made
