"""Sockets in memory answer as non-blocking sockets of an operating system do."""

from __future__ import annotations

import socket
from errno import ECONNREFUSED, EINPROGRESS, EPIPE, EWOULDBLOCK

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import CannotListenError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.testing.peers import SERVER, Recorder, Remembering, connect
from xmppfed.testing.network import Network
from xmppfed.testing.sockets import CAPACITY, ListeningSocket, StreamSocket
from xmppfed.testing.wire import Wiring


def pair(wiring: Wiring) -> tuple[StreamSocket, StreamSocket, ListeningSocket]:
    """A client's and a server's socket, connected, and the listening one."""
    listening = ListeningSocket(wiring, socket.AF_INET)
    listening.bind((SERVER, 0))
    listening.listen(50)
    client = StreamSocket(wiring, socket.AF_INET)
    assert client.connect_ex(listening.name) == EINPROGRESS
    assert client.connect_ex(listening.name) == 0
    return client, listening.accept()[0], listening


def errno_of(failing: Exception) -> int:
    """The number of an OSError."""
    assert isinstance(failing, OSError)
    return int(failing.args[0])


class Blocking(SynchronousTestCase):
    """Nothing waits: what cannot be done now says so."""

    def setUp(self) -> None:
        self.wiring = Wiring(lambda: 0.0)
        self.client, self.server, self.listening = pair(self.wiring)

    def test_nothing_to_read(self) -> None:
        """Reading nothing, and accepting nobody, would block."""
        self.assertEqual(errno_of(self.assertRaises(BlockingIOError, self.client.recv, 10)), EWOULDBLOCK)
        self.assertEqual(errno_of(self.assertRaises(BlockingIOError, self.listening.accept)), EWOULDBLOCK)
        self.assertFalse(self.client.readable() or self.listening.readable() or self.listening.writable())

    def test_full(self) -> None:
        """A direction takes `CAPACITY` bytes, and blocks until some of them are read."""
        self.assertEqual(self.client.send(memoryview(bytes(CAPACITY + 1))), CAPACITY)
        self.assertFalse(self.client.writable())
        self.assertEqual(errno_of(self.assertRaises(OSError, self.client.send, memoryview(b"x"))), EWOULDBLOCK)
        self.server.recv(10)
        self.assertTrue(self.client.writable())
        self.assertEqual(self.client.send(memoryview(bytes(11))), 10)

    def test_closed_end_swallows_a_while(self) -> None:
        """Writing to an end that was closed goes well at first, and then breaks, as on TCP."""
        self.server.close()
        self.assertEqual(self.client.send(memoryview(bytes(CAPACITY))), CAPACITY)
        self.assertTrue(self.client.writable())
        self.assertEqual(errno_of(self.assertRaises(OSError, self.client.send, memoryview(b"x"))), EPIPE)

    def test_unconnected(self) -> None:
        """A socket without a connection cannot be written to, and has nobody at its other end."""
        lone = StreamSocket(self.wiring, socket.AF_INET)
        self.assertFalse(lone.writable())
        self.assertEqual(errno_of(self.assertRaises(OSError, lone.send, memoryview(b"x"))), EPIPE)
        self.assertEqual(lone.getpeername(), ("", 0))

    def test_end_is_read_again(self) -> None:
        """After the end there is only the end."""
        self.server.close()
        self.assertEqual([self.client.recv(10), self.client.recv(10)], [b"", b""])

    def test_refused(self) -> None:
        """Where nobody listens, the answer is a refusal."""
        lone = StreamSocket(self.wiring, socket.AF_INET)
        lone.connect_ex((SERVER, 9))
        self.assertTrue(lone.readable())
        self.assertEqual(lone.connect_ex((SERVER, 9)), ECONNREFUSED)

    def test_closed_before_it_listened(self) -> None:
        """A socket that was bound, and never listened, closes like any other."""
        bound = ListeningSocket(self.wiring, socket.AF_INET)
        bound.bind((SERVER, 0))
        bound.close()
        self.assertTrue(bound.closed)
        self.assertNotIn(bound, self.wiring.listeners)

    def test_closing_twice(self) -> None:
        """Closing again changes nothing."""
        for end in (self.client, self.server, self.client, self.listening, self.listening):
            end.close()
        self.assertEqual((self.wiring.sockets, self.wiring.links, self.wiring.listeners), ({}, [], []))


class Options(SynchronousTestCase):
    """Options of TCP are taken and told again."""

    def test_no_delay_and_keep_alive(self) -> None:
        """`setTcpNoDelay` and `setTcpKeepAlive` are remembered."""
        client, _ = connect(Network())
        self.assertEqual((client.transport.getTcpNoDelay(), client.transport.getTcpKeepAlive()), (False, False))
        client.transport.setTcpNoDelay(True)
        client.transport.setTcpKeepAlive(True)
        self.assertEqual((client.transport.getTcpNoDelay(), client.transport.getTcpKeepAlive()), (True, True))


class Listening(SynchronousTestCase):
    """Who answers where."""

    def setUp(self) -> None:
        self.network = Network()
        self.reactor = self.network.reactor

    def reach(self, host: str, interface: str) -> tuple[Recorder, Recorder] | None:
        """Both sides of a connection to the host while somebody listens on the interface, or None."""
        servers, clients = Remembering(), Remembering()
        port = self.reactor.listenTCP(5222, servers, interface=interface)
        self.reactor.connectTCP(host, 5222, clients)
        self.network.pump()
        port.stopListening()
        self.network.pump()
        return (clients.built[0], servers.built[0]) if clients.built else None

    def test_wildcards(self) -> None:
        """No interface and 0.0.0.0 take every IPv4 address, `::` takes all, an address takes itself."""
        cases = {
            ("192.0.2.1", ""): True,
            ("192.0.2.1", "0.0.0.0"): True,
            ("192.0.2.1", "::"): True,
            ("192.0.2.1", "192.0.2.1"): True,
            ("192.0.2.1", "192.0.2.2"): False,
            ("2001:db8::2", "::"): True,
            ("2001:db8::2", "2001:DB8:0::2"): True,
            ("2001:db8::2", ""): False,
        }
        self.assertEqual({case: self.reach(*case) is not None for case in cases}, cases)

    def test_mapped(self) -> None:
        """An IPv4 client of a listener on `::` has an IPv4-mapped address, as from a dual-stack socket."""
        reached = self.reach("127.0.0.1", "::")
        assert reached is not None
        assert reached[1].transport is not None
        self.assertEqual(str(reached[1].transport.getPeer().host), "::ffff:127.0.0.1")

    def test_ipv6(self) -> None:
        """IPv6 connections have IPv6 addresses on both sides."""
        reached = self.reach("::1", "::1")
        assert reached is not None
        client, server = (one.transport for one in reached)
        assert client is not None
        assert server is not None
        self.assertEqual((client.getPeer().host, client.getPeer().port), ("::1", 5222))
        self.assertEqual((server.getPeer().host, server.getPeer().port), ("::1", client.getHost().port))

    def test_bind_address(self) -> None:
        """A client may say where it comes from."""
        servers = Remembering()
        self.reactor.listenTCP(5222, servers, interface=SERVER)
        self.reactor.connectTCP(SERVER, 5222, Remembering(), bindAddress=("203.0.113.7", 0))
        self.network.pump()
        self.assertEqual(servers.built[0].transport.getPeer().host, "203.0.113.7")

    def test_free_port(self) -> None:
        """Port 0 takes a port that is free, and tells it."""
        ports = {self.reactor.listenTCP(0, Remembering()).getHost().port for _ in range(3)}
        self.assertEqual(len(ports), 3)
        self.assertNotIn(0, ports)

    def test_taken(self) -> None:
        """Nobody listens where somebody answers already, be it by a wildcard; elsewhere they may."""
        self.reactor.listenTCP(5222, Remembering(), interface=SERVER)
        for interface in (SERVER, "", "::"):
            self.assertRaises(CannotListenError, self.reactor.listenTCP, 5222, Remembering(), interface=interface)
        self.reactor.listenTCP(5222, Remembering(), interface="192.0.2.2")
        self.reactor.listenTCP(5223, Remembering(), interface=SERVER)


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Recorder):
    """Remembers which half of its connection ended."""

    def __init__(self) -> None:
        super().__init__()
        self.halves: list[str] = []

    def readConnectionLost(self) -> None:
        self.halves.append("read")

    def writeConnectionLost(self) -> None:
        self.halves.append("write")


class HalfClose(SynchronousTestCase):
    """One direction may end before the other."""

    def test_the_other_direction_lives(self) -> None:
        """After `loseWriteConnection` the peer can still write; only then does the connection end."""
        network = Network()
        client, server = connect(network, HalfCloseable)
        client.transport.loseWriteConnection()
        network.pump()
        self.assertEqual(server.halves, ["read"])
        server.transport.write(b"more")
        network.pump()
        self.assertEqual((client.received, client.lost), (b"more", None))
        server.transport.loseConnection()
        network.pump()
        self.assertIsInstance(client.lost, ConnectionDone)
        self.assertEqual(network.links, [])

    def test_abort_after_half_close(self) -> None:
        """An abort is told even to a peer that got the end before."""
        network = Network()
        client, server = connect(network, HalfCloseable)
        client.transport.loseWriteConnection()
        network.pump()
        server.transport.abortConnection()
        network.pump()
        self.assertIsInstance(client.lost, ConnectionLost)


class AnyBytes(SynchronousTestCase):
    """However bytes are written and split, they arrive once and in order."""

    @given(st.lists(st.binary(max_size=50), max_size=10), st.one_of(st.none(), st.integers(1, 20)))
    def test_order(self, writes: list[bytes], size: int | None) -> None:
        """What arrives is what was written, in deliveries of at most the size set."""
        network = Network()
        client, server = connect(network)
        network.split(size)
        for data in writes:
            client.transport.write(data)
        network.pump()
        self.assertEqual(server.received, b"".join(writes))
        self.assertTrue(all(len(delivery) <= (size or CAPACITY) for delivery in server.deliveries))
