"""Streams over TCP: the wire of a connection, and who is let in."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.testing.peers import SERVER, Remembering
from xmppfed.core.events import Event, OpenRequested
from xmppfed.core.framing import C2S
from xmppfed.core.jid import JID
from xmppfed.core.stanza import Stanza
from xmppfed.core.stream import State, Stream
from xmppfed.core.streamframing import StreamFraming
from xmppfed.net.admission import Admission
from xmppfed.net.connection import Connection
from xmppfed.net.tcp import StreamClientProtocol, StreamProtocol, StreamServerFactory, StreamServerProtocol
from xmppfed.testing.network import Network
from xmppfed.timeouts import Timeouts

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a.example' version='1.0'>"
SILENCE = 30.0
TIMEOUTS = Timeouts()


class Owning:
    """Lets everybody in who opens a stream."""

    def __init__(self, connection: Connection[Owning]) -> None:
        self.connection = connection
        self.events: list[Event] = []
        self.reason: str | None = None

    def handle(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, OpenRequested):
            self.connection.stream.prove(JID("juliet", "a.example"), "test")
            self.connection.stream.accept("a.example", [])

    def lost(self, reason: str) -> None:
        self.reason = reason


class Accepting:
    """Makes connections, and keeps them."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.connections: list[Connection[Owning]] = []
        self.wires: list[StreamServerProtocol] = []

    def accept(self, protocol: StreamServerProtocol) -> Connection[Owning]:
        stream = Stream(StreamFraming(C2S, 10_000), receiving=True, new_id=lambda: "id", limit=10_000)
        connection = Connection(stream, protocol, Owning, self.network.reactor, TIMEOUTS, SILENCE)
        self.connections.append(connection)
        self.wires.append(protocol)
        return connection


class OverNetwork(SynchronousTestCase):
    """A port on which streams are taken, and strangers."""

    def setUp(self) -> None:
        self.network = Network()
        self.accepting = Accepting(self.network)
        self.admission = Admission(each=2)
        factory = StreamServerFactory(self.accepting, self.network.reactor, TIMEOUTS, self.admission)
        listening: list[Any] = []
        TCP4ServerEndpoint(self.network.reactor, 5222, interface=SERVER).listen(factory).addCallback(listening.append)
        self.port = listening[0]
        self.addCleanup(self.clean)

    def clean(self) -> None:
        """Nothing is left once the peers are gone."""
        self.port.stopListening()
        self.network.cut()
        self.network.pump()
        self.network.check_clean()

    def connect(self) -> Any:
        clients = Remembering()
        TCP4ClientEndpoint(self.network.reactor, SERVER, 5222).connect(clients)
        self.network.pump()
        return clients.built[0]

    def opened(self) -> tuple[Any, Connection[Owning]]:
        """A peer on an established stream."""
        peer = self.connect()
        peer.transport.write(HEADER)
        self.network.pump()
        return peer, self.accepting.connections[-1]


class Beginning(OverNetwork):
    """The initiating entity speaks first."""

    def test_first_bytes(self) -> None:
        """A connection is made when bytes come, and not before."""
        peer = self.connect()
        self.assertEqual(self.accepting.connections, [])
        peer.transport.write(HEADER)
        self.network.pump()
        self.assertIn(b"<stream:features", peer.received)
        self.assertIs(self.accepting.connections[0].stream.state, State.ESTABLISHED)

    def test_byte_by_byte(self) -> None:
        """How the bytes are cut does not matter."""
        self.network.split(1)
        peer, connection = self.opened()
        peer.transport.write(b"<message><body>hi</body></message>")
        self.network.pump()
        self.assertEqual(len(self.accepting.connections), 1)
        self.assertEqual(type(connection.owner.events[-1]).__name__, "StanzaReceived")

    def test_silent_stranger(self) -> None:
        """Who says nothing is dropped at the deadline."""
        peer = self.connect()
        self.network.advance(TIMEOUTS.handshake - 1)
        self.assertIsNone(peer.lost)
        self.network.advance(1)
        self.assertIsNotNone(peer.lost)

    def test_deadline_ends(self) -> None:
        """Who has begun is under the time limits of the stream, and under no others."""
        peer, _ = self.opened()
        self.network.advance(TIMEOUTS.handshake + 1)
        self.assertIsNone(peer.lost)

    def test_too_many_strangers(self) -> None:
        """Who is not admitted is dropped at once, and never heard."""
        self.connect()
        self.connect()
        third = self.connect()
        self.assertIsNotNone(third.lost)
        self.assertEqual(self.accepting.connections, [])

    def test_dropped_stranger_is_not_heard(self) -> None:
        """What still arrives from one that was not admitted makes no connection."""
        protocol = StreamServerProtocol()
        protocol.factory = StreamServerFactory(self.accepting, self.network.reactor, TIMEOUTS, Admission(total=0))
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(HEADER)
        self.assertEqual(self.accepting.connections, [])

    def test_dismissed(self) -> None:
        """When the server stops, a stranger without a stream is dropped; a stream is for its service to end."""
        silent, (_, connection) = self.connect(), self.opened()
        self.accepting.wires[0].settled()
        self.admission.dismiss()
        self.network.pump()
        self.assertIsNotNone(silent.lost)
        self.accepting.wires[0].dismiss()
        self.assertIs(connection.stream.state, State.ESTABLISHED)

    def test_room_again(self) -> None:
        """A place is free again when a stranger is gone, or has authenticated."""
        self.connect().transport.loseConnection()
        self.opened()
        self.opened()
        self.opened()
        self.assertEqual([c.stream.state for c in self.accepting.connections], [State.ESTABLISHED] * 3)


class Carrying(OverNetwork):
    """What a connection asks of its wire."""

    def test_pieces(self) -> None:
        """The pieces follow each other without a border."""
        peer, connection = self.opened()
        peer.deliveries.clear()
        connection.stream.send(Stanza("presence", "jabber:client", {"id": "1"}))
        connection.stream.send(Stanza("presence", "jabber:client", {"id": "2"}))
        connection.flush()
        self.network.pump()
        self.assertEqual(peer.deliveries, [b"<presence id='1'/><presence id='2'/>"])

    def test_no_delay(self) -> None:
        """Small pieces do not wait for more (TCP_NODELAY)."""
        self.opened()
        transport: Any = self.accepting.wires[0].transport
        self.assertTrue(transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def test_unacknowledged(self) -> None:
        """What is sent in vain ends the connection after a minute (RFC 5482), where the system can do that."""
        if not hasattr(socket, "TCP_USER_TIMEOUT"):
            raise SkipTest("this system has no TCP_USER_TIMEOUT")
        self.opened()
        transport: Any = self.accepting.wires[0].transport
        self.assertEqual(transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT), 60_000)

    def test_other_transports(self) -> None:
        """A transport that is not TCP, such as a Unix socket, has no such option."""
        protocol = StreamProtocol()
        protocol.makeConnection(StringTransport())
        protocol.write([b"a", b"b"])
        self.assertEqual(protocol.transport.value(), b"ab")

    def test_ping(self) -> None:
        """A silent peer gets white space, which it need not answer (RFC 6120, 4.6.1), as long as it stays."""
        peer, connection = self.opened()
        peer.deliveries.clear()
        self.network.advance(SILENCE * 10)
        self.assertEqual(set(peer.received), set(b" "))
        self.assertGreaterEqual(len(peer.received), 5)
        self.assertIsNone(connection.owner.reason)

    def test_ping_of_the_peer(self) -> None:
        """White space of the peer is no event, and nobody answers it."""
        peer, connection = self.opened()
        peer.deliveries.clear()
        before = len(connection.owner.events)
        peer.transport.write(b" ")
        self.network.pump()
        self.assertEqual((peer.received, len(connection.owner.events)), (b"", before))

    def test_close(self) -> None:
        """A stream that ends takes its last words along, and then the connection."""
        peer, connection = self.opened()
        peer.transport.write(b"</stream:stream>")
        self.network.pump()
        self.assertTrue(peer.received.endswith(b"</stream:stream>"))
        self.assertIsInstance(peer.lost, ConnectionDone)
        self.assertIsNotNone(connection.owner.reason)

    def test_bad_xml(self) -> None:
        """What is no XML gets a stream error, and the end (RFC 6120, 4.9.3.13)."""
        peer, connection = self.opened()
        peer.transport.write(b"<message></presence>")
        self.network.pump()
        self.assertIn(b"not-well-formed", peer.received)
        self.assertIn("not-well-formed", str(connection.owner.reason))

    def test_peer_gone(self) -> None:
        """A peer that closes without a word is gone, and so is one whose connection was reset; each is told apart."""
        peer, connection = self.opened()
        peer.transport.loseConnection()
        self.network.pump()
        self.assertEqual(connection.owner.reason, "the peer closed the connection")
        _, connection = self.opened()
        self.network.cut()
        self.network.pump()
        self.assertIn("lost", str(connection.owner.reason))

    def test_abort(self) -> None:
        """A connection that is cut is gone at once, in the words of who cut it."""
        peer, connection = self.opened()
        connection.cut("enough")
        self.network.pump()
        self.assertEqual(connection.owner.reason, "enough")
        self.assertIsNotNone(peer.lost)


class NotReading(OverNetwork):
    """A peer that does not read what we write."""

    def fill(self) -> tuple[Any, Connection[Owning]]:
        """More than transport and network hold."""
        peer, connection = self.opened()
        peer.transport.pauseProducing()
        self.addCleanup(peer.transport.resumeProducing)
        for _ in range(30):
            connection.send(Stanza("message", "jabber:client", {"id": "x" * 8000}))
            self.network.pump()
        return peer, connection

    def test_not_listened_to(self) -> None:
        """Who does not read is not read."""
        peer, connection = self.fill()
        before = len(connection.owner.events)
        peer.transport.write(b"<presence/>")
        self.network.pump()
        self.assertEqual(len(connection.owner.events), before)

    def test_reads_again(self) -> None:
        """When the peer reads again all arrives, and what it said is heard."""
        peer, connection = self.fill()
        peer.transport.write(b"<presence/>")
        peer.transport.resumeProducing()
        self.network.pump()
        self.assertEqual(peer.received.count(b"<message"), 30)
        self.assertEqual(type(connection.owner.events[-1]).__name__, "StanzaReceived")
        self.network.advance(TIMEOUTS.output_blocked + 1)
        self.assertIsNone(connection.owner.reason)

    def test_never_reads(self) -> None:
        """After a while it is cut."""
        _, connection = self.fill()
        self.network.advance(TIMEOUTS.output_blocked)
        self.assertIn("read", str(connection.owner.reason))

    def test_blocked_before_there_is_a_connection(self) -> None:
        """A connection that is attached late learns that the peer does not read, and that it does again."""
        for blocked in (True, False):
            protocol = StreamProtocol()
            protocol.makeConnection(StringTransport())
            protocol.pauseProducing()
            if not blocked:
                protocol.resumeProducing()
            stream = Stream(StreamFraming(C2S, 10_000), receiving=True, new_id=str, limit=10_000)
            connection = Connection(stream, protocol, Owning, self.network.reactor, TIMEOUTS, SILENCE)
            protocol.attach(connection)
            self.assertEqual(protocol.transport.producerState, "paused" if blocked else "producing")
            protocol.connectionLost(Failure(ConnectionDone()))


class WithoutConnection(SynchronousTestCase):
    """A wire nobody has attached a connection to."""

    def test_nobody_is_told(self) -> None:
        """What happens then is let be."""
        protocol = StreamProtocol()
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(b"<presence/>")
        protocol.ping()
        protocol.settled()
        protocol.stopProducing()
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(protocol.transport.value(), b" ")

    def test_interfaces(self) -> None:
        """It is what transports and TLS take it for."""
        verifyObject(IPushProducer, StreamProtocol())
        verifyObject(IHandshakeListener, StreamClientProtocol())


class Securing(SynchronousTestCase):
    """The initiating side waits for its TLS handshake."""

    def setUp(self) -> None:
        self.protocol = StreamClientProtocol()
        self.protocol.makeConnection(StringTransport())

    def test_done(self) -> None:
        """`secured` comes with the handshake; the end of the connection says nothing more about it."""
        self.protocol.handshakeCompleted()
        self.assertIsNone(self.successResultOf(self.protocol.secured))
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def test_never(self) -> None:
        """A connection that ends before fails it, with the reason."""
        self.protocol.connectionLost(Failure(ConnectionDone("no TLS here")))
        self.assertIn("no TLS here", str(self.failureResultOf(self.protocol.secured, ConnectionError).value))

    def test_too_late(self) -> None:
        """Nobody waits any more for a handshake that was given up."""
        self.protocol.secured.cancel()
        self.failureResultOf(self.protocol.secured)
        self.protocol.handshakeCompleted()
