"""Dialing another server: what is told when it does not work, and that nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from tests.net.test_websocket import Answering, switching
from tests.net.tls_pairs import Raw
from tests.net.websockets import OPEN_SERVER, Acceptor, Owner
from xmppfed.core.events import Pair
from xmppfed.core.framing import S2S, MessageFraming
from xmppfed.net.admission import Admission
from xmppfed.net.certificates import load_certificate, moment
from xmppfed.net.connection import Connection
from xmppfed.net.dial import DialFailed, Line, Target, WebSocketDialer
from xmppfed.net.httpport import HTTPPort, StreamResource
from xmppfed.net.issuing import Authority
from xmppfed.net.peer import PeerCertificate, judge
from xmppfed.net.tls import ServerContexts, TrustRoots, tls_server_factory
from xmppfed.net.websocket import StreamServerFactory
from xmppfed.testing.network import Network
from xmppfed.timeouts import Timeouts

HOST = "b.example"
ADDRESS = "192.0.2.2"


def wanted(certificate: PeerCertificate | None) -> str | None:
    """The judgement of a service: a trusted certificate for HOST."""
    if certificate is None:
        return "found no certificate"
    if not certificate.trusted:
        return f"found a certificate with {', '.join(certificate.problems)}"
    if HOST not in certificate.names.dns_names:
        return f"found a certificate for {certificate.names}; wanted {HOST}"
    return None


class DialCase(SynchronousTestCase):
    """A server at ADDRESS, and somebody who dials it."""

    def setUp(self) -> None:
        """Nobody listens yet."""
        self.network = Network()
        self.network.reactor.advance(1.8e9)
        self.authority = Authority(moment(self.network.reactor))
        self.trust = TrustRoots([self.authority.certificate], system=False)
        self.timeouts = Timeouts()
        self.acceptor = Acceptor(self.network.reactor, self.timeouts)
        self.listening: list[Any] = []
        self.dialer = WebSocketDialer(self.network.reactor, self.timeouts, 10_000)
        self.addCleanup(self.clean_up)

    def clean_up(self) -> None:
        """Nothing may be left: no delayed call, no connection."""
        for port in self.listening:
            port.stopListening()
        self.network.pump()
        self.network.check_clean()

    def listen(
        self, factory: Any, name: str = HOST, *, address: str = ADDRESS, tls: bool = True, trust: TrustRoots | None = None
    ) -> None:
        """Serve, with a certificate for `name`."""
        if tls:
            path = Path(self.mktemp())
            path.write_bytes(self.authority.issue(name))
            contexts = ServerContexts({name: path}, trust or self.trust)
            factory = tls_server_factory(contexts.creator(), factory, self.network.reactor)
        self.listen_raw(factory, address)

    def listen_raw(self, factory: Any, address: str = ADDRESS) -> None:
        """Serve with whatever is behind it."""
        kind = TCP6ServerEndpoint if ":" in address else TCP4ServerEndpoint
        self.listening.append(self.successResultOf(kind(self.network.reactor, 443, interface=address).listen(factory)))

    def server(self) -> HTTPPort:
        """A whole one."""
        admission = Admission()
        streams = StreamServerFactory(self.acceptor, self.network.reactor, self.timeouts, 10_000, admission)
        root = Resource()
        root.putChild(b"xmpp-websocket", StreamResource(streams))
        return HTTPPort(root, self.network.reactor, self.timeouts, admission)

    def answering(self, answer: bytes) -> Factory:
        """A server that says one thing."""
        self.patch(Answering, "answer", answer)
        return Factory.forProtocol(Answering)

    def dial(self, url: str = f"wss://{HOST}/xmpp-websocket", address: str = ADDRESS, **more: Any) -> Deferred[Line]:
        """Begin."""
        target = Target(url, address, 443, HOST, Pair("a.example", HOST))
        refusal: Callable[[PeerCertificate | None], str | None] = more.get("refusal", wanted)
        dialing = Deferred.fromCoroutine(self.dialer.dial(target, more.get("own"), self.trust, refusal))
        self.network.pump()
        return dialing

    def refused(self, **more: Any) -> str:
        """Why it did not work. One second later nothing is left of it."""
        dialing = self.dial(**more)
        self.network.advance(1)
        text = str(self.failureResultOf(dialing, DialFailed).value)
        self.assertEqual(self.network.links, [])
        return text


class Dialed(DialCase):
    """It works."""

    def use(self, line: Line) -> list[bytes]:
        """Open a stream on the line; returns what comes."""
        received: list[bytes] = []

        class Ear(Connection[Owner]):
            """Keeps what comes."""

            def __init__(self) -> None:
                """No stream is needed."""

            def received(self, data: bytes) -> None:
                """Keep it."""
                received.append(data)

            def heard(self) -> None:
                """Yes."""

            def wire_lost(self, reason: str, *, clean: bool = False) -> None:
                """Keep it."""
                received.append(reason.encode())

        line.attach(Ear())
        line.wire.write([OPEN_SERVER])
        self.network.pump()
        return received

    def test_a_line(self) -> None:
        """An open wire, the framing between servers with the limit for strangers, and our Origin (notes: row 18)."""
        self.listen(self.server())
        line = self.successResultOf(self.dial())
        assert isinstance(line.framing, MessageFraming)
        self.assertEqual((line.framing.profile, line.framing.limit), (S2S, 10_000))
        received = self.use(line)
        self.assertTrue(received[0].startswith(b"<open"))
        self.assertEqual(self.acceptor.protocols[0].origin, f"https://{HOST}")
        line.wire.abort()
        self.network.pump()

    def test_ipv6(self) -> None:
        """The same."""
        self.listen(self.server(), address="2001:db8::2")
        self.successResultOf(self.dial(address="2001:db8::2")).wire.abort()
        self.network.pump()

    def test_our_certificate(self) -> None:
        """It is presented when the server asks."""
        path = Path(self.mktemp())
        path.write_bytes(self.authority.issue("a.example"))
        own = load_certificate(path)
        self.listen(self.server())
        line = self.successResultOf(self.dial(own=own))
        self.use(line)
        shown = judge(self.acceptor.protocols[0].transport, moment(self.network.reactor))
        assert shown is not None
        self.assertEqual(shown.names.dns_names, ("a.example",))
        line.wire.abort()
        self.network.pump()

    def test_the_server_goes(self) -> None:
        """Who uses the line hears of its end, as of any."""
        self.listen(self.server())
        received = self.use(self.successResultOf(self.dial()))
        self.network.cut()
        self.network.pump()
        self.assertEqual(len(received), 3)


class Refused(DialCase):
    """It does not: the text says what was found, and what was wanted."""

    def test_nobody(self) -> None:
        """Connection refused."""
        self.assertEqual(self.refused(), "no connection: Connection was refused by other side: 111: Connection refused.")

    def test_blackhole(self) -> None:
        """No answer at all: ten seconds."""
        self.network.blackhole(ADDRESS)
        dialing = self.dial()
        self.network.advance(9.9)
        self.assertNoResult(dialing)
        self.network.advance(0.1)
        self.assertIn("no connection: User timeout", str(self.failureResultOf(dialing, DialFailed).value))

    def test_silence(self) -> None:
        """A connection on which nobody speaks, neither TLS nor HTTP: ten seconds more."""
        for tls in (False, True):
            self.listen(Factory.forProtocol(Protocol), tls=tls)
            dialing = self.dial()
            self.network.advance(9.9)
            self.assertNoResult(dialing)
            self.network.advance(0.1)
            self.assertEqual(str(self.failureResultOf(dialing, DialFailed).value), "no WebSocket within 10 s")
            self.assertEqual(self.network.links, [])
            self.listening.pop().stopListening()
            self.network.pump()

    def test_a_byte_a_second(self) -> None:
        """A server that keeps answering does not get more time."""
        self.listen(self.answering(b"H"))
        dialing = self.dial()
        for _ in range(10):
            self.network.advance(1)
        self.failureResultOf(dialing, DialFailed)

    def test_wrong_certificate(self) -> None:
        """The service's words about the certificate are the reason; the WebSocket is dropped, no stream was opened."""
        self.listen(self.server(), name="other.example")
        self.assertIn("found a certificate for", self.refused())
        self.assertEqual(self.acceptor.protocols, [])

    def test_unknown_authority(self) -> None:
        """The handshake is made all the same: a pin or dialback could still do, which is the service's to say."""
        self.listen(self.server())
        self.trust = TrustRoots(system=False)
        self.assertIn("found a certificate with", self.refused())
        self.successResultOf(self.dial(refusal=lambda certificate: None)).wire.abort()
        self.network.pump()

    def test_no_tls(self) -> None:
        """A server that speaks plain HTTP where TLS was wanted."""
        self.listen(self.answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), tls=False)
        self.patch(Answering, "connectionMade", lambda peer: peer.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        text = self.refused()
        self.assertIn("no WebSocket: SSL error: ", text)

    def test_no_common_version(self) -> None:
        """A server without a TLS that we speak."""
        path = Path(self.mktemp())
        path.write_bytes(self.authority.issue(HOST))
        certificate = load_certificate(path)

        def old(context: SSL.Context) -> None:
            context.use_certificate(certificate.leaf)
            context.use_privatekey(certificate.key)
            context.set_max_proto_version(SSL.TLS1_1_VERSION)

        self.listen_raw(tls_server_factory(Raw(old), self.answering(b""), self.network.reactor))
        text = self.refused()
        self.assertIn("no WebSocket: SSL error: ", text)
        self.assertIn("protocol version", text)

    def test_hanging_up(self) -> None:
        """A server that ends the connection in the middle of TLS."""

        class Rude(Protocol):
            """Goes when somebody speaks."""

            def dataReceived(self, data: bytes) -> None:
                """Go."""
                self.transport.abortConnection()

        self.listen(Factory.forProtocol(Rude), tls=False)
        self.assertTrue(self.refused().startswith("no WebSocket: "))

    def test_other_answers(self) -> None:
        """HTTP that is no 101; a redirect is not followed (notes: row 19)."""
        for status in ("404 Not Found", "426 Upgrade Required", "302 Found\r\nLocation: wss://203.0.113.9/", "503 x"):
            self.listen(self.answering(f"HTTP/1.1 {status}\r\n\r\n".encode()))
            self.assertIn(f"[{status[:3]}]", self.refused())
            self.listening.pop().stopListening()
            self.network.pump()

    def test_our_own_refusals(self) -> None:
        """What a server of our kind says to a path that is none."""
        self.listen(self.server())
        self.assertIn("[404]: Not Found", self.refused(url=f"wss://{HOST}/elsewhere"))

    def test_wrong_subprotocol(self) -> None:
        """A WebSocket for something else."""
        self.listen(self.answering(switching(protocol=b"")))
        self.assertEqual(self.refused(), "no WebSocket: found subprotocol None; wanted 'xmpp'")

    def test_a_url_that_is_none(self) -> None:
        """What a document named is told, in quotes."""
        text = self.refused(url="https://b.example/")
        self.assertIn("found the URL 'https://b.example/'; wanted that of a WebSocket", text)


class GivenUp(DialCase):
    """Who is cancelled, since another candidate was quicker, leaves nothing behind."""

    def gone(self, dialing: Deferred[Line]) -> None:
        """Cancel, and look."""
        dialing.cancel()
        self.failureResultOf(dialing, CancelledError, ConnectingCancelledError)
        self.network.pump()
        self.assertEqual(self.network.links, [])

    def test_while_connecting(self) -> None:
        """Before there is a connection."""
        self.network.blackhole(ADDRESS)
        self.gone(self.dial())

    def test_during_tls(self) -> None:
        """In the middle of a handshake."""
        self.listen(Factory.forProtocol(Protocol), tls=False)
        self.gone(self.dial())

    def test_during_the_upgrade(self) -> None:
        """While the answer is awaited."""
        self.listen(self.answering(b""))
        self.gone(self.dial())
