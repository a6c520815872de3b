"""The PROXY protocol: ports behind a proxy that says, by v1 or v2, from where a connection came; and saying so to others.

Twisted reads the header. It makes the connection before it has done so, though, and then everybody would seem to come
from the proxy: here the real protocol is made when the header has been read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.strports import service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppfed.net.arrival import LOCAL, host_of
from xmppfed.net.proxies import TrustedProxies

__all__ = ["Announcing", "listen"]


def listen(
    reactor: Any, endpoint: str, factory: IProtocolFactory, proxies: TrustedProxies | None, seconds: float
) -> StreamServerEndpointService:
    """A service that listens at `endpoint`, and whose start fails when it cannot.

    With `proxies` only these may connect, each connection begins with a PROXY header, and it has `seconds` to come.
    """
    if proxies is None:
        return service(endpoint, factory, reactor=reactor)
    return service(f"haproxy:{endpoint}", _Late(factory, proxies, reactor, seconds), reactor=reactor)


class _Late(Factory):
    """Makes the real protocol of a connection when it is known whose it is."""

    log = Logger()
    noisy = False

    def __init__(self, factory: IProtocolFactory, proxies: TrustedProxies, clock: IReactorTime, seconds: float) -> None:
        self.factory = factory
        self._proxies = proxies
        self.clock = clock
        self.seconds = seconds

    def doStart(self) -> None:
        super().doStart()
        self.factory.doStart()

    def doStop(self) -> None:
        super().doStop()
        self.factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        if not self._proxies.include(host_of(addr)):
            self.log.warn("a connection from {address} was refused: it is none of trusted_proxies", address=str(addr))
            return _Refused()
        return _Header(self)


class _Refused(Protocol):
    """Ends a connection at once; Twisted's wrapper does not take None for that."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.abortConnection()


class _Header(Protocol):
    """Stands in until Twisted has read the PROXY header, behind which the client has said something."""

    transport: Any
    _deadline: IDelayedCall

    def __init__(self, late: _Late) -> None:
        self._late = late

    def connectionMade(self) -> None:
        self._deadline = self._late.clock.callLater(self._late.seconds, self.transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        """The client speaks first: it is time for the protocol that it speaks to."""
        self._deadline.cancel()
        transport = self.transport
        real: IProtocol | None = self._late.factory.buildProtocol(transport.getPeer())
        if real is None:
            transport.abortConnection()
            return
        transport.wrappedProtocol = real
        real.makeConnection(transport)
        real.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._deadline.active():
            self._deadline.cancel()


@implementer(IStreamClientEndpoint)
class Announcing:
    """An endpoint whose connections say first, by version 1 of the PROXY protocol, for whom they are made."""

    def __init__(self, inner: IStreamClientEndpoint, address: str) -> None:
        """`address` is the IP address of the client, or `LOCAL`; the ports are not known, and 0."""
        self._inner = inner
        self._header = _header(address)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect, and speak before the protocol does."""
        return self._inner.connect(_Announced(protocolFactory, self._header))


class _Announced(Factory):
    noisy = False

    def __init__(self, factory: IProtocolFactory, header: bytes) -> None:
        self._factory = factory
        self._header = header

    def buildProtocol(self, addr: Any) -> Any:
        made: Any = self._factory.buildProtocol(addr)
        made.makeConnection = partial(self._announce, made.makeConnection)
        return made

    def _announce(self, connect: Callable[[Any], None], transport: Any) -> None:
        transport.write(self._header)
        connect(transport)


def _header(address: str) -> bytes:
    if address == LOCAL:
        return b"PROXY UNKNOWN\r\n"
    family, own = (6, "::1") if ":" in address else (4, "127.0.0.1")
    return f"PROXY TCP{family} {address} {own} 0 0\r\n".encode()
