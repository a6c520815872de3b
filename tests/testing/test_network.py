"""The network in memory: production code over it, and what it can do to that code."""

from __future__ import annotations

from typing import Any

import trustme
from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from OpenSSL.crypto import FILETYPE_PEM, load_certificate, load_privatekey
from twisted.application import strports
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, serverFromString, wrapClientTLS
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TCPTimedOutError,
    TimeoutError,
)
from twisted.internet.interfaces import IConsumer, IPullProducer, IPushProducer
from twisted.internet.ssl import Certificate, CertificateOptions, optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent, readBody
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data
from zope.interface import implementer

from tests.testing.peers import SERVER, Echo, Recorder, Remembering, connect
from xmppfed.testing.network import Network
from xmppfed.testing.sockets import CAPACITY


def contexts() -> tuple[Any, Any]:
    """What TLS needs on the client's and the server's side, for example.org and an authority of its own."""
    authority = trustme.CA()
    issued = authority.issue_cert("example.org")
    pems = issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()
    server = CertificateOptions(load_privatekey(FILETYPE_PEM, pems[1]), load_certificate(FILETYPE_PEM, pems[0]))
    trusted = Certificate.loadPEM(authority.cert_pem.bytes())
    return optionsForClientTLS("example.org", trustRoot=trusted), server


class PlainConnections(SynchronousTestCase):
    """Bytes between two protocols."""

    def setUp(self) -> None:
        self.network = Network()

    def test_echo(self) -> None:
        """What one side writes, the other gets, and back."""
        client, server = connect(self.network, Echo)
        client.transport.write(b"ping")
        client.transport.writeSequence([b" ", b"pong"])
        self.network.pump()
        self.assertEqual((server.received, client.received), (b"ping pong", b"ping pong"))

    def test_never_within_the_call(self) -> None:
        """A write reaches nobody before the network is pumped."""
        client, server = connect(self.network)
        client.transport.write(b"later")
        self.assertEqual(server.received, b"")
        self.network.pump()
        self.assertEqual(server.received, b"later")

    def test_close_delivers_first(self) -> None:
        """`loseConnection` ends both sides cleanly, after all bytes."""
        client, server = connect(self.network)
        client.transport.write(b"last")
        client.transport.loseConnection()
        self.network.pump()
        self.assertEqual(server.received, b"last")
        self.assertIsInstance(server.lost, ConnectionDone)
        self.assertIsInstance(client.lost, ConnectionDone)
        self.assertEqual(self.network.links, [])

    def test_abort(self) -> None:
        """`abortConnection` is an abort here and a lost connection there."""
        client, server = connect(self.network)
        client.transport.abortConnection()
        self.network.pump()
        self.assertIsInstance(client.lost, ConnectionAborted)
        self.assertIsInstance(server.lost, ConnectionLost)

    def test_refused_at_the_next_pump(self) -> None:
        """Where nobody listens, the connection is refused, and not before the network is pumped."""
        connecting = TCP4ClientEndpoint(self.network.reactor, SERVER, 5222).connect(Remembering())
        self.assertNoResult(connecting)
        self.network.pump()
        self.failureResultOf(connecting, ConnectionRefusedError)
        self.network.check_clean()

    def test_addresses_of_clients_differ(self) -> None:
        """Each connection has its own source port, and both sides agree on it."""
        client, server = connect(self.network)
        another = Remembering()
        TCP4ClientEndpoint(self.network.reactor, SERVER, 5222).connect(another)
        self.network.pump()
        self.assertEqual(client.transport.getHost(), server.transport.getPeer())
        self.assertEqual(client.transport.getPeer(), server.transport.getHost())
        self.assertNotEqual(client.transport.getHost(), another.built[0].transport.getHost())


class ProductionCode(SynchronousTestCase):
    """Twisted's and Autobahn's servers and clients run over the network unchanged."""

    def setUp(self) -> None:
        self.network = Network()
        self.reactor: Any = self.network.reactor

    def test_tls_echo(self) -> None:
        """TLS above the transports, with its small writes on the network's clock."""
        client_context, server_context = contexts()
        servers = Remembering(Echo)
        listening = TLSMemoryBIOFactory(server_context, False, servers, clock=self.reactor)
        self.successResultOf(serverFromString(self.reactor, "tcp:443:interface=127.0.0.2").listen(listening))
        endpoint = wrapClientTLS(client_context, TCP4ClientEndpoint(self.reactor, "127.0.0.2", 443), clock=self.reactor)
        connecting = endpoint.connect(Remembering())
        self.network.pump()
        client = self.successResultOf(connecting)
        client.transport.write(b"secret")
        self.network.pump()
        self.assertEqual(client.received, b"secret")
        client.transport.loseConnection()
        self.network.pump()
        self.assertEqual(self.network.links, [])

    def test_starttls(self) -> None:
        """`startTLS` of the transports keeps to the network's clock as well."""
        client, server = connect(self.network, Echo)
        client_context, server_context = contexts()
        server.transport.startTLS(server_context)
        client.transport.startTLS(client_context)
        client.transport.write(b"secret")
        self.network.pump()
        self.assertEqual(client.received, b"secret")

    def test_web(self) -> None:
        """A Site answers an Agent that knows the host by the network's resolver."""
        root = Resource()
        root.putChild(b"hello", Data(b"hello, world", "text/plain"))
        service = strports.service("tcp:80:interface=192.0.2.1", Site(root, reactor=self.reactor), self.reactor)
        service.startService()
        self.network.resolver.hosts["example.org"] = ("192.0.2.1",)
        getting = Agent(self.reactor).request(b"GET", b"http://example.org/hello").addCallback(readBody)
        self.network.pump()
        self.assertEqual(self.successResultOf(getting), b"hello, world")
        stopping = service.stopService()
        self.network.pump()
        self.successResultOf(stopping)
        self.network.check_clean()

    def test_websocket(self) -> None:
        """An Autobahn client talks to an Autobahn resource within a Site, in pieces of one byte."""
        self.network.split(1)
        root = Resource()
        root.putChild(b"ws", WebSocketResource(self._server_factory()))
        self.reactor.listenTCP(80, Site(root, reactor=self.reactor), interface="127.0.0.2")
        client = self._client()
        self.network.pump()
        self.assertEqual(client.messages, ["hello"])
        client.protocol.sendClose()
        self.network.pump()
        self.assertEqual(client.closed, [True])
        self.assertEqual(self.network.links, [])

    def _server_factory(self) -> Any:
        class Server(WebSocketServerProtocol):
            def onMessage(self, payload: bytes, isBinary: bool) -> None:
                self.sendMessage(payload, isBinary)

        factory = WebSocketServerFactory(reactor=self.reactor)
        factory.protocol = Server
        factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
        return factory

    def _client(self) -> Any:
        class Client(WebSocketClientProtocol):
            def onOpen(self) -> None:
                self.factory.protocol = self
                self.sendMessage(b"hello")

            def onMessage(self, payload: bytes, isBinary: bool) -> None:
                self.factory.messages.append(payload.decode())

            def onClose(self, wasClean: bool, code: int, reason: str) -> None:
                self.factory.closed.append(wasClean)

        factory = WebSocketClientFactory("ws://127.0.0.2/ws", reactor=self.reactor)
        factory.protocol, factory.messages, factory.closed = Client, [], []
        factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0, serverConnectionDropTimeout=0)
        self.reactor.connectTCP("127.0.0.2", 80, factory)
        return factory


@implementer(IPushProducer)
class Source:
    """Writes 10,000 bytes each time it is asked, for as long as it is not paused."""

    def __init__(self, network: Network, consumer: IConsumer) -> None:
        self.network, self.consumer = network, consumer
        self.paused, self.written = False, 0
        consumer.registerProducer(self, True)

    def write_until_paused(self, most: int = 1_000_000) -> None:
        while not self.paused and self.written < most:
            self.consumer.write(b"x" * 10_000)
            self.written += 10_000
            self.network.pump()

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        self.paused = True


@implementer(IPullProducer)
class Numbers:
    """Writes the numbers from 0 to 9, one when asked."""

    def __init__(self, consumer: IConsumer) -> None:
        self.consumer = consumer
        self.left = list("0123456789")
        consumer.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self.consumer.write(self.left.pop(0).encode())
        if not self.left:
            self.consumer.unregisterProducer()

    def stopProducing(self) -> None:
        self.left.clear()


class BackPressure(SynchronousTestCase):
    """What a slow reader does to a writer."""

    def test_a_paused_reader_pauses_the_writer(self) -> None:
        """Who does not read stops who writes after a bounded number of bytes; nothing is lost or reordered."""
        network = Network()
        client, server = connect(network)
        server.transport.pauseProducing()
        source = Source(network, client.transport)
        source.write_until_paused()
        self.assertTrue(source.paused)
        self.assertEqual(server.received, b"")
        self.assertLessEqual(source.written, 2 * CAPACITY + 20_000)
        server.transport.resumeProducing()
        network.pump()
        self.assertFalse(source.paused)
        self.assertEqual(len(server.received), source.written)

    def test_a_reader_that_keeps_up(self) -> None:
        """Who reads never stops who writes."""
        network = Network()
        client, server = connect(network)
        source = Source(network, client.transport)
        source.write_until_paused(300_000)
        self.assertEqual((source.paused, len(server.received)), (False, 300_000))

    def test_pull_producer(self) -> None:
        """A pull producer is asked for more whenever there is room."""
        network = Network()
        client, server = connect(network)
        Numbers(client.transport)
        network.pump()
        self.assertEqual(server.received, b"0123456789")


class Cruelty(SynchronousTestCase):
    """What the network does to connections."""

    def setUp(self) -> None:
        self.network = Network()

    def test_split(self) -> None:
        """`split(1)` delivers byte by byte, until it is taken back."""
        client, server = connect(self.network)
        self.network.split(1)
        client.transport.write(b"abc")
        self.network.pump()
        self.network.split(None)
        client.transport.write(b"def")
        self.network.pump()
        self.assertEqual(server.deliveries, [b"a", b"b", b"c", b"def"])

    def test_delay(self) -> None:
        """With a delay, bytes arrive when the time has passed, and not before."""
        client, server = connect(self.network)
        self.network.delay(0.25)
        client.transport.write(b"late")
        self.network.advance(0.2)
        self.assertEqual(server.received, b"")
        self.network.advance(0.1)
        self.assertEqual(server.received, b"late")

    def test_order_outlives_the_delay(self) -> None:
        """What is sent after a delay was taken back does not overtake what was sent before."""
        client, server = connect(self.network)
        self.network.delay(1)
        client.transport.write(b"first ")
        self.network.pump()
        self.network.delay(0)
        client.transport.write(b"second")
        self.network.pump()
        self.assertEqual(server.received, b"")
        self.network.advance(1)
        self.assertEqual(server.received, b"first second")

    def test_connecting_takes_the_delay(self) -> None:
        """A connection is made, or refused, after the delay."""
        self.network.delay(0.5)
        refused = TCP4ClientEndpoint(self.network.reactor, SERVER, 1).connect(Remembering())
        self.network.advance(0.4)
        self.assertNoResult(refused)
        self.network.advance(0.1)
        self.failureResultOf(refused, ConnectionRefusedError)
        client, server = connect(self.network)
        client.transport.write(b"hello")
        self.network.advance(0.5)
        self.assertEqual(server.received, b"hello")

    def test_blackhole(self) -> None:
        """An address that never answers makes the connection time out, by the clock."""
        self.network.blackhole(SERVER)
        connecting = TCP4ClientEndpoint(self.network.reactor, SERVER, 5222, timeout=10).connect(Remembering())
        self.network.advance(9.9)
        self.assertNoResult(connecting)
        self.network.advance(0.2)
        self.failureResultOf(connecting, TimeoutError, TCPTimedOutError)
        self.network.check_clean()

    def test_separate(self) -> None:
        """Two hosts do not reach each other, in either direction, until they are rejoined; others reach both, and what stood
        before stands."""
        one, other = "127.0.0.2", "127.0.0.3"
        standing = TCP4ServerEndpoint(self.network.host(other), 1, interface=other).listen(Remembering())
        self.successResultOf(standing)
        before = self.reach(self.network.host(one), other)
        self.network.separate(one, other)
        for host, reached in ((one, False), ("127.0.0.4", True)):
            found = self.reach(self.network.host(host), other)
            self.assertEqual(found.called, reached)
        self.network.rejoin()
        self.assertTrue(self.reach(self.network.host(one), other).called)
        self.assertIsNone(self.successResultOf(before).lost)

    def reach(self, reactor: Any, address: str) -> Deferred[Any]:
        """A connection from one host to another, as far as it got."""
        connecting: Deferred[Any] = TCP4ClientEndpoint(reactor, address, 1).connect(Remembering())
        self.network.pump()
        return connecting

    def test_host(self) -> None:
        """A host's connections come from its address, unless they say otherwise; the rest of the reactor is everybody's."""
        reactor = self.network.host("127.0.0.2")
        self.assertIs(reactor.seconds.__self__, self.network.reactor)
        self.successResultOf(TCP4ServerEndpoint(reactor, 1, interface="127.0.0.3").listen(Remembering()))
        self.reach(reactor, "127.0.0.3")
        TCP4ClientEndpoint(reactor, "127.0.0.3", 1, bindAddress=("127.0.0.9", 0)).connect(Remembering())
        self.network.pump()
        self.assertEqual([link.client[0] for link in self.network.links], ["127.0.0.2", "127.0.0.9"])

    def test_cut(self) -> None:
        """A cut is a lost connection on both sides, and what was under way is lost."""
        client, server = connect(self.network)
        self.network.delay(1)
        client.transport.write(b"lost")
        self.network.pump()
        self.assertEqual(self.network.cut(), 1)
        self.network.pump()
        self.assertEqual(server.received, b"")
        self.assertIsInstance(client.lost, ConnectionLost)
        self.assertIsInstance(server.lost, ConnectionLost)
        self.assertEqual(self.network.links, [])

    def test_cut_some(self) -> None:
        """A predicate over addresses says which connections are cut; the others do not notice."""
        first, _ = connect(self.network, port=1)
        second, _ = connect(self.network, Echo, port=2)
        self.assertEqual(self.network.cut(lambda link: link.server == (SERVER, 1)), 1)
        second.transport.write(b"still here")
        self.network.pump()
        self.assertIsInstance(first.lost, ConnectionLost)
        self.assertEqual(second.received, b"still here")

    def test_cut_while_connecting(self) -> None:
        """A connection cut before it is made fails."""
        factory = Remembering()
        self.network.reactor.listenTCP(5222, factory, interface=SERVER)
        self.network.delay(1)
        connecting = TCP4ClientEndpoint(self.network.reactor, SERVER, 5222).connect(Remembering())
        self.network.pump()
        self.network.cut()
        self.network.pump()
        self.failureResultOf(connecting)

    def test_cut_and_paused(self) -> None:
        """A side that has paused reading learns of the cut when it resumes, or writes."""
        client, server = connect(self.network)
        client.transport.pauseProducing()
        server.transport.pauseProducing()
        self.network.cut()
        self.network.pump()
        self.assertEqual((client.lost, server.lost), (None, None))
        client.transport.resumeProducing()
        server.transport.write(b"anybody?")
        self.network.pump()
        self.assertIsInstance(client.lost, ConnectionLost)
        self.assertIsInstance(server.lost, ConnectionLost)

    def test_cut_while_blocked(self) -> None:
        """A side that waits to write learns of the cut, even when it has paused reading."""
        client, server = connect(self.network)
        client.transport.pauseProducing()
        server.transport.pauseProducing()
        client.transport.write(bytes(3 * CAPACITY))
        self.network.pump()
        self.network.cut()
        self.network.pump()
        self.assertIsInstance(client.lost, ConnectionLost)

    def test_freeze(self) -> None:
        """A frozen connection delivers nothing, neither bytes nor the end; its links are shown, and can be cut."""
        client, server = connect(self.network)
        self.assertEqual(self.network.freeze(lambda link: link.client[0] == "203.0.113.1"), 0)
        self.assertEqual(self.network.freeze(lambda link: link.client[0] == "198.51.100.1"), 1)
        client.transport.write(b"anybody?")
        client.transport.loseConnection()
        self.network.advance(3600)
        self.assertEqual((server.received, server.lost), (b"", None))
        self.assertIn(f"-> ('{SERVER}', 5222)", repr(self.network.links))
        self.network.cut()
        self.network.pump()
        self.assertIsInstance(server.lost, ConnectionLost)


class Cleanliness(SynchronousTestCase):
    """A network says what is left of a test."""

    def test_all_kinds(self) -> None:
        """Delayed calls, both ends of a connection and listening ports are named, and fail `check_clean`."""
        network = Network()
        client, _ = connect(network)
        call = network.reactor.callLater(5, list)
        left = "\n".join(network.leftovers())
        self.assertIn("in 5 s: <DelayedCall", left)
        self.assertIn(f"listening on {SERVER} port 5222", left)
        self.assertIn(f"connection from {network.links[0].client} to {network.links[0].server}", left)
        self.assertEqual(len(network.leftovers()), 4)
        raised = self.assertRaises(AssertionError, network.check_clean)
        self.assertIn("listening on", str(raised))
        call.cancel()
        client.transport.loseConnection()
        for reader in network.reactor.getReaders():
            if hasattr(reader, "stopListening"):
                reader.stopListening()
        network.pump()
        network.check_clean()


class WorkOfThreads(SynchronousTestCase):
    """`run_in_thread` stands in for `deferToThread`."""

    def test_result(self) -> None:
        """The work is done at the next pump, and its result handed over."""
        network = Network()
        working: Deferred[int] = network.run_in_thread(int, "12", base=8)
        self.assertNoResult(working)
        network.pump()
        self.assertEqual(self.successResultOf(working), 10)

    def test_failure(self) -> None:
        """What the work raises is the Deferred's failure."""
        network = Network()
        working = network.run_in_thread(int, "twelve")
        network.pump()
        self.failureResultOf(working, ValueError)


class AttachedServer(SynchronousTestCase):
    """What a server sees of a client that ends before it was accepted."""

    def test_client_gone_before_accept(self) -> None:
        """A server that stops listening resets who was not accepted yet."""
        network = Network()
        port = network.reactor.listenTCP(5222, Remembering(), interface=SERVER)
        clients = Remembering(Recorder)
        network.delay(1)
        TCP4ClientEndpoint(network.reactor, SERVER, 5222).connect(clients)
        network.pump()
        port.stopListening()
        network.advance(2)
        self.assertIsInstance(clients.built[0].lost, ConnectionLost)
        network.check_clean()
