"""Dialing servers over TCP: both ways, what is shown and asked for, and what is told when it does not work."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP6ServerEndpoint

from tests.net.plain import ADDRESS, DIRECT, HOST, PAIR, PLAIN, TIMEOUTS, PlainCase
from tests.testing.peers import Recorder, Remembering
from xmppfed.core.framing import S2S
from xmppfed.core.streamframing import StreamFraming
from xmppfed.net.certificates import moment
from xmppfed.net.dial import Dialer, DialFailed, Line, Target
from xmppfed.net.dialtcp import DirectTLSDialer, StartTLSDialer
from xmppfed.net.peer import PeerCertificate, judge
from xmppfed.net.tcp import StreamClientProtocol
from xmppfed.net.tls import ServerContexts, tls_server_factory


class DialCase(PlainCase):
    """Both dialers, each with its port."""

    profile = S2S

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[PeerCertificate | None] = []
        self.answer: str | None = None

    def refusal(self, certificate: PeerCertificate | None) -> str | None:
        """What the federation would say."""
        self.seen.append(certificate)
        return self.answer

    def both(self) -> tuple[tuple[Dialer, int], ...]:
        """Each dialer and the port it is for."""
        reactor = self.network.reactor
        return (DirectTLSDialer(reactor, TIMEOUTS, 10_000), DIRECT), (StartTLSDialer(reactor, TIMEOUTS, 10_000), PLAIN)

    def dial(self, dialer: Dialer, port: int, address: str = ADDRESS, own: Any = None, sni: str = HOST) -> Deferred[Line]:
        """Begin."""
        return self.begin(dialer.dial(Target("", address, port, sni, PAIR), own, self.trust, self.refusal))


class Dialed(DialCase):
    """It works."""

    def test_line(self) -> None:
        """The wire is under TLS, our certificate was shown, theirs judged, and nothing of a stream was sent yet."""
        self.serve()
        for dialer, port in self.both():
            line = self.successResultOf(self.dial(dialer, port, own=self.own()))
            assert isinstance(line.framing, StreamFraming) and isinstance(line.wire, StreamClientProtocol)
            self.assertEqual((line.framing.profile, line.framing.limit), (S2S, 10_000))
            seen = self.seen.pop()
            assert seen is not None
            self.assertEqual((seen.names.dns_names, seen.problems), ((HOST,), ()))
            self.assertEqual(self.wires, [])
            line.wire.write([b"<?xml version='1.0'?>"])
            self.network.pump()
            (wire,) = self.wires
            shown = judge(wire.transport, moment(self.network.reactor))
            assert shown is not None
            self.assertEqual(shown.names.dns_names, (PAIR.sender,))
            self.wires.clear()

    def test_names(self) -> None:
        """SNI names the domain; `xmpp-server` is asked for by ALPN where TLS comes first (XEP-0368), and nothing elsewhere."""
        self.serve()
        for (dialer, port), agreed in zip(self.both(), (b"xmpp-server", b""), strict=True):
            line = self.successResultOf(self.dial(dialer, port))
            wire: Any = line.wire
            wire.write([b" "])
            self.network.pump()
            transport: Any = self.wires.pop().transport
            handle: SSL.Connection = transport.getHandle()
            self.assertEqual((handle.get_servername(), handle.get_alpn_proto_negotiated()), (HOST.encode(), agreed))

    def test_ipv6(self) -> None:
        """An address of either family."""
        self.serve()
        (dialer, _), _ = self.both()
        servers = Remembering(Recorder)
        listening = TCP6ServerEndpoint(self.network.reactor, DIRECT, interface="2001:db8::2").listen(servers)
        self.ports.append(self.successResultOf(listening))
        dialing = self.dial(dialer, DIRECT, "2001:db8::2")
        self.assertIn(b"\x16\x03", servers.built[0].received)
        dialing.cancel()
        self.failureResultOf(dialing, CancelledError)


class Refused(DialCase):
    """It does not; each reason in words."""

    def refused(self, dialer: Dialer, port: int, seconds: float = 1) -> str:
        """The reason. Nothing is left."""
        dialing = self.dial(dialer, port)
        self.network.advance(seconds)
        text = str(self.failureResultOf(dialing, DialFailed).value)
        self.network.pump()
        self.assertEqual(self.network.links, [])
        return text

    def test_certificate(self) -> None:
        """A certificate that the caller does not want ends the connection, in the caller's words."""
        self.serve()
        self.answer = "found another"
        for dialer, port in self.both():
            self.assertEqual(self.refused(dialer, port), "found another")
        self.assertEqual((len(self.seen), self.wires), (2, []))

    def test_nobody_there(self) -> None:
        """Nobody listens, or nobody answers."""
        for dialer, port in self.both():
            self.assertIn("no connection: ", self.refused(dialer, port))
        self.network.blackhole(ADDRESS)
        for dialer, port in self.both():
            self.assertIn("no connection: ", self.refused(dialer, port, TIMEOUTS.connect))

    def test_wrong_port(self) -> None:
        """A port where TLS has to be asked for does not take it at once, nor the other way round."""
        self.serve()
        (direct, _), (asking, _) = self.both()
        self.assertIn("no TLS: ", self.refused(direct, PLAIN))
        self.assertIn("no TLS: ", self.refused(asking, DIRECT))

    def test_other_protocol(self) -> None:
        """A port for something else may refuse our ALPN (RFC 7301, 3.2)."""
        contexts = ServerContexts({HOST: self.file(HOST)}, self.trust)
        creator = contexts.creator(protocols=(b"http/1.1",), strict_alpn=True)
        self.listen(tls_server_factory(creator, Remembering(), self.network.reactor), DIRECT)
        (direct, _), _ = self.both()
        self.assertIn("no application protocol", self.refused(direct, DIRECT))

    def test_stalled(self) -> None:
        """A handshake that does not go on is given up in time."""
        self.listen(Remembering(), DIRECT)
        (direct, _), _ = self.both()
        self.assertEqual(self.refused(direct, DIRECT, TIMEOUTS.connect), "no TLS within 10 s")
