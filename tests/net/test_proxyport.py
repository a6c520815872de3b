"""Ports behind a proxy that speaks the PROXY protocol."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.net.proxies import Listed, TrustedProxies
from xmppfed.net.proxyport import listen
from xmppfed.testing.network import Network
from xmppfed.timeouts import Timeouts

SERVER, PROXY = "127.0.0.2", "127.1.1.1"
V1 = b"PROXY TCP4 192.0.2.7 127.0.0.2 4711 5269\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n" + bytes.fromhex("21 11 000c c0000207 7f000002 1267 1495")
LOCAL = b"\r\n\r\n\0\r\nQUIT\n" + bytes.fromhex("20 00 0000")


class Echo(Protocol):
    """Answers with the address of its peer and what that said."""

    made: list[Echo] = []
    transport: Any

    def connectionMade(self) -> None:
        self.made.append(self)
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(f"{self.transport.getPeer().host} ".encode() + data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True


class Client(Protocol):
    """The proxy's end."""

    transport: Any
    lost = False

    def __init__(self) -> None:
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True


class ProxyPort(SynchronousTestCase):
    """A port where 127.0.0.0/8 is listed."""

    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self.network.check_clean)
        self.patch(Echo, "made", [])
        self.factory = Factory.forProtocol(Echo)
        self.service = self.listen(TrustedProxies(Listed.of(["127.0.0.0/8"])))

    def listen(self, proxies: TrustedProxies | None, port: int = 5269) -> Any:
        """A service that has started."""
        service = listen(self.network.reactor, f"tcp:{port}:interface={SERVER}", self.factory, proxies, Timeouts().handshake)
        service.privilegedStartService()
        service.startService()
        self.addCleanup(self.stop, service)
        return service

    def stop(self, service: Any) -> None:
        stopped = service.stopService()
        self.network.pump()
        self.successResultOf(stopped)

    def client(self, source: str = PROXY, port: int = 5269) -> Client:
        """Somebody who connects."""
        made: list[Any] = []
        endpoint = TCP4ClientEndpoint(self.network.reactor, SERVER, port, bindAddress=(source, 0))
        endpoint.connect(Factory.forProtocol(Client)).addBoth(made.append)
        self.network.pump()
        client: Client = made[0]
        self.addCleanup(self.drop, client)
        return client

    def drop(self, client: Client) -> None:
        client.transport.abortConnection()
        self.network.pump()

    def say(self, client: Client, *pieces: bytes) -> bytes:
        """What has come back when all of it was said."""
        for piece in pieces:
            client.transport.write(piece)
            self.network.pump()
        return client.received

    def test_versions(self) -> None:
        """Both versions of the header tell from where the connection came, alone or with what follows."""
        for header in (V1, V2):
            self.assertEqual(self.say(self.client(), header + b"hello"), b"192.0.2.7 hello")
            self.assertEqual(self.say(self.client(), header, b"hello"), b"192.0.2.7 hello")
            self.assertEqual(self.say(self.client(), header, b"a", b"b"), b"192.0.2.7 a192.0.2.7 b")

    def test_local(self) -> None:
        """The proxy may come for itself, to see whether we are there."""
        self.assertEqual(self.say(self.client(), LOCAL, b"hello"), b"127.1.1.1 hello")

    def test_made_late(self) -> None:
        """Nothing is made of a connection before it is known whose it is."""
        client = self.client()
        self.assertEqual(Echo.made, [])
        self.say(client, V1)
        self.assertEqual(Echo.made, [])
        self.say(client, b"hello")
        self.drop(client)
        self.assertEqual([one.lost for one in Echo.made], [True])

    def test_not_listed(self) -> None:
        """Who is not listed is refused, whatever it says, and the log names it."""
        events: Any = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        client = self.client("10.0.0.1")
        self.assertEqual((self.say(client, V1 + b"hello"), client.lost, Echo.made), (b"", True, []))
        self.assertIn("10.0.0.1", next(event["address"] for event in events if "address" in event))

    def test_no_header(self) -> None:
        """Who sends no header, or a broken one, is sent away."""
        for begin in (b"<stream:stream xmlns='jabber:server'>", V2[:12] + b"\x31" * 20, b"PROXY TCP4 x\r\n"):
            client = self.client()
            self.say(client, begin)
            self.assertEqual((client.lost, client.received), (True, b""), begin)

    def test_no_end(self) -> None:
        """A header without an end is not waited for beyond its longest form (107 bytes)."""
        client = self.client()
        self.say(client, b"PROXY TCP4 " + b"1" * 200)
        self.assertTrue(client.lost)

    def test_deadline(self) -> None:
        """Who says nothing is not waited for."""
        client, late = self.client(), self.client()
        self.say(late, V1)
        self.network.advance(9.9)
        self.assertEqual((client.lost, late.lost), (False, False))
        self.network.advance(0.2)
        self.assertEqual((client.lost, late.lost), (True, True))

    def test_refused_by_the_factory(self) -> None:
        """A factory may refuse a connection when it hears whose it is."""
        self.patch(self.factory, "buildProtocol", lambda address: None)
        client = self.client()
        self.say(client, V1 + b"hello")
        self.assertTrue(client.lost)

    def test_plain(self) -> None:
        """Without proxies nothing is read but what the client says, and anybody may come."""
        self.listen(None, 5270)
        self.assertEqual(self.say(self.client("10.0.0.1", 5270), b"hello"), b"10.0.0.1 hello")

    def test_port_taken(self) -> None:
        """A port that is taken stops the start."""
        for proxies in (None, TrustedProxies()):
            taken = listen(self.network.reactor, f"tcp:5269:interface={SERVER}", self.factory, proxies, Timeouts().handshake)
            self.assertRaises(CannotListenError, taken.privilegedStartService)
