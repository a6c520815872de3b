"""Two protocols that remember what happened to them, and a pair of them connected over a network."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure

from xmppfed.testing.network import Network

SERVER = "192.0.2.1"


class Recorder(Protocol):
    """Keeps each delivery and the reason of the end."""

    def __init__(self) -> None:
        self.deliveries: list[bytes] = []
        self.lost: BaseException | None = None

    @property
    def received(self) -> bytes:
        return b"".join(self.deliveries)

    def dataReceived(self, data: bytes) -> None:
        self.deliveries.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason.value


class Echo(Recorder):
    """Sends back what it gets."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        assert self.transport is not None
        self.transport.write(data)


class Remembering(ClientFactory[Any]):
    """Builds protocols of one class and keeps them."""

    def __init__(self, protocol: type[Protocol] = Recorder) -> None:
        self.kind = protocol
        self.built: list[Any] = []

    def buildProtocol(self, address: object) -> Any:
        self.built.append(self.kind())
        return self.built[-1]


def connect(network: Network, server: type[Protocol] = Recorder, port: int = 5222) -> tuple[Any, Any]:
    """A client's and a server's protocol, connected; the server listens on `SERVER`."""
    servers, clients = Remembering(server), Remembering()
    TCP4ServerEndpoint(network.reactor, port, interface=SERVER).listen(servers)
    TCP4ClientEndpoint(network.reactor, SERVER, port).connect(clients)
    network.advance(2 * network.reactor.wiring.latency)
    return clients.built[0], servers.built[0]
