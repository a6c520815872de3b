"""Two ends of a TLS connection in memory: real handshakes, no socket, one clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.test import iosim
from zope.interface import implementer

from xmppfed.net.certificates import LoadedCertificate, load_certificate
from xmppfed.net.issuing import Authority
from xmppfed.net.tls import TrustRoots, tls_server_factory

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AUTHORITY = Authority(NOW)
TRUST = TrustRoots([AUTHORITY.certificate], system=False)
NO_TRUST = TrustRoots(system=False)


@implementer(IHandshakeListener)
class Recorder(Protocol):
    """Keeps what happens to it."""

    def __init__(self) -> None:
        self.received = b""
        self.shaken = False
        self.reason: BaseException | None = None

    def handshakeCompleted(self) -> None:
        """Called by Twisted when this end is done with the handshake."""
        self.shaken = True

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with what the other end wrote."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted at the end."""
        self.reason = reason.value


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class Raw:
    """The other end when it is not one of ours: a context with settings of its own."""

    def __init__(
        self, *settings: Callable[[SSL.Context], object], connection: Callable[[SSL.Connection], object] | None = None
    ) -> None:
        self.context = SSL.Context(SSL.TLS_METHOD)
        for setting in settings:
            setting(self.context)
        self.configure = connection

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Called by Twisted."""
        connection = SSL.Connection(self.context, None)
        if self.configure is not None:
            self.configure(connection)
        return connection

    serverConnectionForTLS = clientConnectionForTLS


@dataclass
class Pair:
    """Both ends: the TLS transports, the protocols behind them (`…_side`), and the wire between."""

    server: TLSMemoryBIOProtocol
    client: TLSMemoryBIOProtocol
    server_side: Recorder
    client_side: Recorder
    pump: iosim.IOPump
    clock: Clock

    @property
    def shaken(self) -> bool:
        """Whether both ends completed the handshake and still stand."""
        ends = (self.server_side, self.client_side)
        return all(end.shaken and end.reason is None for end in ends)

    def exchange(self, data: bytes) -> bytes:
        """Write on both ends, and say what arrived at both."""
        for end in (self.server_side, self.client_side):
            end.received = b""
            end.transport.write(data)
        self.flush()
        return self.server_side.received + self.client_side.received

    def flush(self) -> None:
        """Move everything that is under way."""
        self.clock.advance(0)
        self.pump.flush()


def connect(server: IOpenSSLServerConnectionCreator, client: IOpenSSLClientConnectionCreator, *, handshake: bool = True) -> Pair:
    """A pair whose handshake went as far as it could, or has not begun."""
    clock = Clock()
    servers = tls_server_factory(server, Factory.forProtocol(Recorder), clock)
    clients = TLSMemoryBIOFactory(client, True, Factory.forProtocol(Recorder), clock=clock)
    ends = (lambda: servers.buildProtocol(None), lambda: clients.buildProtocol(None))
    client_end, server_end, pump = iosim.connectedServerAndClient(*ends, greet=False)
    server_side: Any = server_end.wrappedProtocol
    client_side: Any = client_end.wrappedProtocol
    pair = Pair(server_end, client_end, server_side, client_side, pump, clock)
    if handshake:
        pair.flush()
    return pair


def loaded(path: Path | str, pem: bytes) -> LoadedCertificate:
    """What stands in a file, after it is written there."""
    Path(path).write_bytes(pem)
    return load_certificate(path)
