"""Clients over TCP as a service: both ports, logins bound to their TLS, limits, time, and the stop (RFC 6120, XEP-0368)."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from tests.services.tcppeers import ADDRESS, JULIET, OURS, STARTTLS, TCPCase, header
from xmppfed.core.events import Pair
from xmppfed.core.framing import C2S
from xmppfed.core.jid import JID
from xmppfed.core.sasl.registry import Credentials
from xmppfed.core.streamframing import StreamFraming
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.dial import Line
from xmppfed.services.c2s_tcp import C2STCP
from xmppfed.testing.client import Client
from xmppfed.testing.federation import PASSWORD, Federation
from xmppfed.timeouts import Timeouts

SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
BIND = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>"
HEADER = header(OURS)


def plain(user: str = "juliet", password: str = PASSWORD) -> str:
    """`<auth/>` by PLAIN."""
    message = b64encode(b"\0%b\0%b" % (user.encode(), password.encode())).decode()
    return f"<auth {SASL} mechanism='PLAIN'>{message}</auth>"


class LoggingIn(TCPCase):
    """Both ports lead to the same sessions."""

    def test_starttls(self) -> None:
        """A client that asks for TLS logs in with a channel binding, and talks to one that began with TLS."""
        juliet = self.federation.client(JULIET)
        self.federation.account(f"nurse@{OURS}")
        nurse = Client(JID.parse(f"nurse@{OURS}/a"), Credentials("nurse", PASSWORD), "127.9.0.2", self.network.pump)
        self.federation.clients.append(nurse)
        wire = self.started(5222, C2S, Pair("", OURS))
        nurse.begin(Line(wire, StreamFraming(C2S, 1_000_000), wire.attach), self.network.reactor)
        self.network.pump()
        self.assertTrue(nurse.established, nurse.events)
        self.assertEqual(nurse.connection.stream.mechanism, "SCRAM-SHA-512-PLUS")
        juliet.send(f"<message to='nurse@{OURS}/a'><body>Nurse?</body></message>")
        nurse.take(f"<message from='{JULIET}'><body>Nurse?</body></message>")
        nurse.send(f"<message to='{JULIET}'><body>Anon</body></message>")
        juliet.take(f"<message from='nurse@{OURS}/a'><body>Anon</body></message>")

    def test_features(self) -> None:
        """Under TLS there is login, and no STARTTLS any more, nor any way to ask for it (XEP-0368, 2)."""
        for alpn in ((), (b"xmpp-client",), (b"h2", b"xmpp-client")):
            peer = self.connect(5223, alpn=alpn)
            came = self.say(peer, HEADER)
            self.assertIn("<mechanism>SCRAM-SHA-256-PLUS</mechanism>", came)
            self.assertIn("<mechanism>PLAIN</mechanism>", came)
            self.assertNotIn("starttls", came)
            self.assertIn("<not-authorized ", self.say(peer, STARTTLS))
            self.assertIsNotNone(peer.lost)

    def test_by_hand(self) -> None:
        """Login, restart, binding and a stanza, written by hand, in the form of RFC 6120."""
        self.federation.account(f"juliet@{OURS}")
        peer = self.connect(5223)
        self.assertIn(f"<success {SASL}/>", self.say(peer, HEADER, plain()))
        came = self.say(peer, HEADER, BIND)
        self.assertIn(f"<jid>juliet@{OURS}/x</jid>", came)
        self.assertIn("<iq ", self.say(peer, "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"))
        self.assertTrue(self.say(peer, "</stream:stream>").endswith("</stream:stream>"))
        self.assertIsNotNone(peer.lost)

    def test_anonymous_is_for_the_service(self) -> None:
        """Who may log in how is said for each service by itself."""
        settings = {OURS: {"services": {"c2s_tcp": {"anonymous": [OURS]}}}}
        other = Federation(OURS, wire="tcp", configuration=settings)
        self.addCleanup(other.cleanup)
        self.assertTrue(other.client(OURS).established)
        self.assertNotIn("ANONYMOUS", self.say(self.connect(5223), HEADER))


class BothServices(TCPCase):
    """Clients over WebSocket and over TCP on one server."""

    options = {
        "configuration": {
            OURS: {"services": {"http": {"endpoint": f"tcp:443:interface={ADDRESS}"}, "c2s_ws": {"see_other_uri": "wss://b/"}}}
        }
    }

    def test_one_server(self) -> None:
        """Where WebSocket clients are sent elsewhere, those over TCP are served."""
        self.assertTrue(self.federation.client(JULIET).established)
        names = [service.name for service in self.server.services][:4]
        self.assertEqual(names, ["http", "c2s_ws", "c2s_tcp", "s2s_tcp"])


class Refused(TCPCase):
    """What the ports do not take."""

    def test_wrong_alpn(self) -> None:
        """A client that means something else gets the alert of RFC 7301, and no stream."""
        for alpn in (b"xmpp-server", b"http/1.1"):
            peer = self.connect(5223, alpn=(alpn,))
            self.assertIn("no application protocol", str(peer.lost))
            self.assertEqual(peer.received, b"")

    def test_no_tls(self) -> None:
        """Nothing but TLS is spoken at one port, and nothing but STARTTLS without it at the other."""
        peer = self.connect(5223, tls=False)
        self.say(peer, HEADER)
        self.assertIn(peer.received[:2], (b"", b"\x15\x03"), "an alert of TLS (RFC 8446, 6), or not even that")
        self.assertNotIn(b"<", peer.received)
        self.assertIsNotNone(peer.lost)
        for said in (plain(), BIND, f"<message to='{JULIET}'/>"):
            peer = self.connect(5222, tls=False)
            self.assertIn("<not-authorized ", self.say(peer, HEADER, said))
            self.assertIsNotNone(peer.lost)

    def test_smuggled(self) -> None:
        """`<starttls/><message/>` in one segment: the message is never processed, whatever follows (RFC 6120, 5.4.3.3)."""
        juliet = self.federation.client(JULIET)
        peer = self.connect(5222, tls=False)
        came = self.say(peer, HEADER, STARTTLS + f"<message to='{JULIET}' from='{JULIET}'><body>smuggled</body></message>")
        self.assertIn("<not-authorized ", came)
        self.assertNotIn("proceed", came)
        self.assertIsNotNone(peer.lost)
        juliet.expect_nothing()

    def test_before_login(self) -> None:
        """Under TLS nobody is authenticated by that alone."""
        for said in (BIND, f"<message to='{JULIET}'/>"):
            peer = self.connect(5223)
            self.assertIn("<not-authorized ", self.say(peer, HEADER, said))

    def test_streams_of_servers(self) -> None:
        """A server's stream is for another port."""
        came = self.say(self.connect(5223), header(OURS, "jabber:server"))
        self.assertIn("<invalid-namespace ", came)

    def test_other_domains(self) -> None:
        """A domain that is not served here."""
        for port, tls in ((5222, False), (5223, True)):
            self.assertIn("<host-unknown ", self.say(self.connect(port, tls=tls), header("verona.example")))

    def test_restart_for_another_domain(self) -> None:
        """The domain of the first header stays (RFC 6120, 4.3.3)."""
        self.federation.account(f"juliet@{OURS}")
        peer = self.connect(5223)
        came = self.say(peer, HEADER, plain(), header("verona.example"))
        self.assertIn("<not-authorized ", came)

    def test_size(self) -> None:
        """10 000 bytes before the login, 262 144 behind it."""
        peer = self.connect(5223)
        self.assertIn("<policy-violation ", self.say(peer, HEADER, f"<auth {SASL} mechanism='PLAIN'>{'A' * 10_000}"))
        juliet = self.federation.client(JULIET)
        for size in (200_000, 300_000):
            juliet.send(f"<message to='{JULIET}'><body>{'x' * size}</body></message>")
        juliet.expect("message")
        self.assertEqual(juliet.failure and juliet.failure.condition.value, "policy-violation")


class Strangers(TCPCase):
    """Who has not logged in."""

    def test_too_many(self) -> None:
        """Both ports share the places of one address; other addresses have their own."""
        for number in range(100):
            self.connect(5222 + number % 2, tls=number % 2 == 1)
        for port, tls in ((5222, False), (5223, True)):
            peer = self.connect(port, tls=tls)
            self.assertIsNotNone(peer.lost)
            self.assertIsNone(self.connect(port, tls=tls, source="127.9.0.9").lost)

    def test_silence(self) -> None:
        """Each step has its time: TLS, the header, the login."""
        timeouts = Timeouts()
        silent, opened = self.connect(5223), self.connect(5223)
        self.say(opened, HEADER)
        self.network.advance(timeouts.handshake)
        self.assertIsNotNone(silent.lost)
        self.assertIsNone(opened.lost)
        self.network.advance(timeouts.authentication - timeouts.handshake)
        self.assertIn(b"<connection-timeout ", opened.received)
        self.assertIsNotNone(opened.lost)


class Running(TCPCase):
    """A session, and its end."""

    def test_limits(self) -> None:
        """The service's limits are those of the configuration and of the time-outs."""
        service = self.server.getServiceNamed("c2s_tcp")
        assert isinstance(service, C2STCP)
        self.assertEqual((service.limit, service.silence, service.profile), (262_144, 30, C2S))

    def test_keepalive(self) -> None:
        """A silent client gets white space, need not answer it, and stays."""
        juliet = self.federation.client(JULIET)
        heard: list[bytes] = []
        wire: Any = juliet.connection._wire
        self.patch(juliet.connection, "received", heard.append)
        self.network.advance(100)
        self.assertEqual(set(b"".join(heard)), set(b" "))
        self.assertGreaterEqual(len(heard), 3)
        self.assertIsNone(juliet.closed)
        wire.abort()

    def test_stop(self) -> None:
        """Sessions hear system-shutdown, strangers are dropped, and nobody listens any more."""
        juliet, stranger, asking = self.federation.client(JULIET), self.connect(5223), self.connect(5222, tls=False)
        self.federation.stop(OURS)
        self.assertEqual(juliet.failure and juliet.failure.condition.value, "system-shutdown")
        self.assertTrue(all(one.lost is not None for one in (stranger, asking)))
        self.assertEqual(self.network.reactor.wiring.listeners, [])

    def test_account_deleted(self) -> None:
        """The streams of an account end with it, whatever carries them."""
        juliet = self.federation.client(JULIET)
        clients: Any = self.server.getServiceNamed("clients")
        clients.end_account(juliet.jid.bare, StreamError(StreamCondition.NOT_AUTHORIZED))
        self.network.pump()
        self.assertEqual(juliet.failure and juliet.failure.condition.value, "not-authorized")
        self.assertEqual(len(clients.streams), 0)
