"""Stand-ins for the outside world: DNS as a table, and HTTPS servers as bytes, all in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from xmppfed.discovery.records import Records
from xmppfed.errors import DiscoveryError

__all__ = ["PUBLIC", "Peer", "Servers", "Table", "plain"]

PUBLIC = "8.8.8.8"


class Table:
    """DNS: each look-up of a host takes the next of its answers, the last one again and again."""

    def __init__(self, **hosts: Sequence[str]) -> None:
        self.answers: dict[str, list[Sequence[str]]] = {}
        self.asked: list[str] = []
        self.ttl = 86_400
        for host, addresses in hosts.items():
            self.answer(host.replace("_", "."), addresses)

    def answer(self, host: str, *answers: Sequence[str]) -> None:
        """Set the answers for a host, one after another."""
        self.answers[host] = list(answers)

    async def addresses(self, host: str) -> Records[str]:
        """The resolver's contract."""
        self.asked.append(host)
        if host not in self.answers:
            raise DiscoveryError(f"{host!r} has no address: the name does not exist")
        known = self.answers[host]
        return Records(tuple(known.pop(0) if len(known) > 1 else known[0]), self.ttl)


def plain(endpoint: IStreamClientEndpoint, host: str) -> IStreamClientEndpoint:
    """What stands in for TLS where TLS is not what is tested."""
    return endpoint


class _Transport(StringTransport):
    """A transport that ends as a socket does: the protocol is told later, and gets nothing in between."""

    aborted = False
    ended = False
    protocol: Any = None

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def abortConnection(self) -> None:
        """Cut the connection."""
        self.aborted = self.aborted or not self.ended
        self.end(ConnectionAborted())

    def loseConnection(self) -> None:
        """Close the connection."""
        self.end(ConnectionDone())

    def end(self, reason: Exception) -> None:
        """The connection is over, for this reason; only the first counts."""
        if not self.ended:
            self.ended = True
            self._clock.callLater(0, self.protocol.connectionLost, Failure(reason))


class Peer:
    """The far side of one connection."""

    def __init__(self, clock: Clock, attempt: tuple[str, int, Any, float, Any]) -> None:
        self.host, self.port, self._factory, self.timeout, _ = attempt
        self._clock = clock
        self.transport = _Transport(clock)

    def accept(self) -> Peer:
        """Let the connection be made."""
        protocol = self._factory.buildProtocol(IPv4Address("TCP", self.host, self.port))
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        return self

    def refuse(self) -> None:
        """Refuse the connection."""
        self._factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))

    @property
    def request(self) -> bytes:
        """What was asked."""
        return bytes(self.transport.value())

    def send(self, data: bytes) -> None:
        """Deliver bytes, unless the connection is over."""
        if not self.transport.ended:
            self.transport.protocol.dataReceived(data)
            self._clock.advance(0)

    def respond(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer; `content_type="x"` becomes `Content-Type: x`."""
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *lines, "", ""])
        self.send(head.encode("latin-1") + body)

    def close(self, reason: Exception | None = None) -> None:
        """End the connection."""
        self.transport.end(reason or ConnectionDone())
        self._clock.advance(0)


class Servers(MemoryReactorClock):
    """A reactor on which the test is every server."""

    def peer(self, number: int = -1) -> Peer:
        """The far side of an attempt to connect, before it is answered."""
        return Peer(self, self.tcpClients[number])

    def accept(self, number: int = -1) -> Peer:
        """The far side of an attempt, accepted."""
        return self.peer(number).accept()

    @property
    def attempts(self) -> list[tuple[str, int]]:
        """Address and port of every attempt to connect."""
        return [(client[0], client[1]) for client in self.tcpClients]
