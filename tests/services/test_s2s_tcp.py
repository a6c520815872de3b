"""Servers over TCP as a service: both directions, both ports, EXTERNAL and dialback, and what is refused (RFC 6120, 13)."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import SynchronousTestCase

from tests.net.plain import FEATURES, Scripted
from tests.services.tcppeers import ADDRESS, JULIET, OURS, ROMEO, STARTTLS, THEIRS, TCPCase, header
from tests.testing.peers import Remembering
from xmppfed.core.events import Pair
from xmppfed.core.framing import S2S
from xmppfed.core.negotiation.bidi import ReceivingBidi
from xmppfed.net.issuing import Authority
from xmppfed.services.s2s_tcp import S2STCP
from xmppfed.testing.certificates import CertificateKind
from xmppfed.testing.client import Client
from xmppfed.testing.federation import START, Federation

SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
DB = "xmlns:db='jabber:server:dialback'"
HEADER = header(OURS, "jabber:server", f" {DB} from='{THEIRS}'")
EXTERNAL = f"<auth {SASL} mechanism='EXTERNAL'>{b64encode(THEIRS.encode()).decode()}</auth>"
MESSAGE = f"<message from='{ROMEO}' to='{JULIET}'><body>hello</body></message>"
HOSTS = {OURS: "127.0.0.2", THEIRS: "127.0.0.3"}


def routed(url: str) -> dict[str, Any]:
    """Each domain is reached by that URL, in which `{}` is the domain."""
    routes = {domain: {"url": url.format(domain), "addresses": [address]} for domain, address in HOSTS.items()}
    others = ((OURS, THEIRS), (THEIRS, OURS))
    return {domain: {"federation": {"static_routes": {other: routes[other]}}} for domain, other in others}


class BetweenOurs(SynchronousTestCase):
    """Two of our servers that know each other by static routes alone."""

    urls = ("xmpp://{}", "xmpp://{}:5269", "xmpps://{}", "xmpps://{}:5270")

    def between(self, url: str, kind: CertificateKind = "valid", settings: dict[str, Any] | None = None) -> tuple[Client, Client]:
        kinds: dict[str, CertificateKind] = dict.fromkeys((OURS, THEIRS), kind)
        self.federation = Federation(
            OURS, THEIRS, wire="tcp", directory=False, certificates=kinds, configuration=settings or routed(url)
        )
        self.addCleanup(self.federation.cleanup)
        return self.federation.client(JULIET), self.federation.client(ROMEO)

    def talk(self, juliet: Client, romeo: Client) -> None:
        juliet.send(f"<message to='{ROMEO}' type='chat'><body>Art thou not Romeo?</body></message>")
        romeo.take(f"<message from='{JULIET}'><body>Art thou not Romeo?</body></message>")
        romeo.send(f"<message to='{JULIET}' type='chat'><body>Neither, fair saint.</body></message>")
        juliet.take(f"<message from='{ROMEO}'><body>Neither, fair saint.</body></message>")
        answer = juliet.request(f"<iq type='get' to='{THEIRS}'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual(answer.type, "result")

    def mechanisms(self) -> set[str]:
        """By what the streams of our server are authenticated."""
        federation = self.federation.server(OURS).federation
        assert federation is not None
        return {owner._connection.stream.mechanism for owner in federation.streams}

    def test_external(self) -> None:
        """By certificate, through STARTTLS and directly under TLS."""
        for url in self.urls:
            self.talk(*self.between(url))
            self.assertEqual(self.mechanisms(), {"EXTERNAL"}, url)

    def test_dialback(self) -> None:
        """Without a certificate to show dialback proves both, over TLS that is verified."""
        self.talk(*self.between("xmpps://{}", "none"))
        self.assertEqual(self.mechanisms(), {"dialback"})

    def test_dialback_without_verified_tls(self) -> None:
        """Under the policy that says so, whatever certificate there is; the key is asked for on the same way."""
        for url in ("xmpp://{}", "xmpps://{}"):
            settings = routed(url)
            for table in settings.values():
                table["federation"]["trust"] = "dialback-without-verified-tls"
            self.talk(*self.between(url, "self-signed", settings))
            self.assertEqual(self.mechanisms(), {"dialback"})

    def test_bad_certificate(self) -> None:
        """Who is not who we meant is not spoken to; the sender hears which certificate was found on which way."""
        for url in ("xmpp://{}", "xmpps://{}"):
            juliet, _ = self.between(url, "wrong-name")
            juliet.send(f"<message to='{ROMEO}' id='1'/>")
            text = juliet.take("<message type='error' id='1'/>").element.to_xml()
            self.assertIn(f"not-{THEIRS}", text)
            self.assertIn(f"wanted one for {THEIRS}", text)

    def test_cut(self) -> None:
        """A stream that is cut is made again for the next stanza."""
        juliet, romeo = self.between("xmpp://{}")
        self.talk(juliet, romeo)
        self.federation.network.cut(self.federation.between_servers)
        self.federation.network.pump()
        self.talk(juliet, romeo)


class OneFederation(SynchronousTestCase):
    """Services between servers share what they know."""

    def test_both_services(self) -> None:
        """A server with both is reached by TCP, answers by WebSocket where streams go one way, and has one federation of
        streams."""
        self.patch(ReceivingBidi, "offer", lambda *_: "")
        settings = {OURS: routed("xmpps://{}")[OURS], THEIRS: routed("wss://{}/xmpp-websocket")[THEIRS]}
        for domain, address in HOSTS.items():
            settings[domain]["services"] = {"http": {"endpoint": f"tcp:443:interface={address}"}, "s2s_ws": {}}
        federation = Federation(OURS, THEIRS, wire="tcp", directory=False, configuration=settings)
        self.addCleanup(federation.cleanup)
        juliet, romeo = federation.client(JULIET), federation.client(ROMEO)
        juliet.send(f"<message to='{ROMEO}'/>")
        romeo.take(f"<message from='{JULIET}'/>")
        romeo.send(f"<message to='{JULIET}'/>")
        juliet.take(f"<message from='{ROMEO}'/>")
        ports = sorted(link.server[1] for link in federation.network.links if federation.between_servers(link))
        self.assertEqual(ports, [443, 5270])
        ours = federation.server(OURS).federation
        assert ours is not None
        self.assertEqual(len(ours.streams), 2)

    def test_nobody_else_connects(self) -> None:
        """Without a port a server reaches others all the same."""
        nowhere = {"services": {"s2s_tcp": {"endpoint": "", "direct_tls_endpoint": ""}}}
        settings = {OURS: routed("xmpp://{}")[OURS] | nowhere}
        federation = Federation(OURS, THEIRS, wire="tcp", directory=False, configuration=settings)
        self.addCleanup(federation.cleanup)
        juliet, romeo = federation.client(JULIET), federation.client(ROMEO)
        juliet.send(f"<message to='{ROMEO}'/>")
        romeo.take(f"<message from='{JULIET}'/>")
        ports = {one.name[1] for one in federation.network.reactor.wiring.listeners if one.name[0] == ADDRESS}
        self.assertEqual(ports, {5222, 5223})


class Incoming(TCPCase):
    """Another server comes to us, by hand; the one that it says it is runs beside us."""

    domains = (OURS, THEIRS)

    def setUp(self) -> None:
        self.authority = Authority(datetime.fromtimestamp(START, UTC))
        anchors = Path(self.mktemp()).absolute()
        anchors.write_bytes(self.authority.pem)
        self.options = {"configuration": {OURS: {"trust_anchors": ["authority.pem", str(anchors)]}}}
        super().setUp()
        self.own = self.loaded(self.authority.issue(THEIRS))

    def test_external(self) -> None:
        """A certificate that proves the domain opens the stream for its pair, and for no other."""
        juliet = self.federation.client(JULIET)
        peer = self.connect(5270, own=self.own, alpn=(S2S.alpn,))
        came = self.say(peer, HEADER)
        self.assertIn(f"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' {DB} ", came)
        self.assertIn("<mechanism>EXTERNAL</mechanism>", came)
        self.assertNotIn("starttls", came)
        self.assertIn(f"<success {SASL}/>", self.say(peer, EXTERNAL))
        self.say(peer, HEADER, MESSAGE)
        juliet.take(f"<message from='{ROMEO}'/>")
        came = self.say(peer, MESSAGE.replace(THEIRS, "verona.example"))
        self.assertIn("<invalid-from ", came)
        juliet.expect_nothing()

    def test_external_by_starttls(self) -> None:
        """The same through STARTTLS, where the certificate is judged behind the handshake."""
        juliet = self.federation.client(JULIET)
        wire = self.started(5269, S2S, Pair(THEIRS, OURS), self.own)
        heard: list[bytes] = []
        self.patch(wire, "received", heard.append)
        for said in (HEADER, EXTERNAL, HEADER, MESSAGE):
            wire.write([said.encode()])
            self.network.pump()
        self.assertIn(b"<success", b"".join(heard))
        juliet.take(f"<message from='{ROMEO}'/>")
        wire.abort()
        self.network.pump()

    def test_no_certificate(self) -> None:
        """Without one there is dialback, under TLS as everything; a key that the domain never made is invalid."""
        peer = self.connect(5270)
        came = self.say(peer, HEADER)
        self.assertNotIn("EXTERNAL", came)
        self.assertIn("<dialback ", came)
        came = self.say(peer, f"<db:result from='{THEIRS}' to='{OURS}'>forged</db:result>")
        self.assertRegex(came, "<db:result [^>]*type='invalid'")
        self.assertIn("<not-authorized ", self.say(peer, MESSAGE))

    def test_before_tls(self) -> None:
        """Without TLS there is neither, and no stanza."""
        for said in (EXTERNAL, f"<db:result from='{THEIRS}' to='{OURS}'>key</db:result>", MESSAGE):
            peer = self.connect(5269, tls=False)
            came = self.say(peer, HEADER)
            self.assertNotIn("dialback'", came.partition("<stream:features")[2])
            self.assertIn("<not-authorized ", self.say(peer, said))
            self.assertIsNotNone(peer.lost)

    def test_smuggled(self) -> None:
        """What stands behind `<starttls/>` is never read."""
        juliet = self.federation.client(JULIET)
        peer = self.connect(5269, tls=False)
        self.assertIn("<not-authorized ", self.say(peer, HEADER, STARTTLS + EXTERNAL + HEADER + MESSAGE))
        self.assertIsNotNone(peer.lost)
        juliet.expect_nothing()

    def test_streams_of_clients(self) -> None:
        """A client's stream is for another port, and so is its ALPN."""
        self.assertIn("<invalid-namespace ", self.say(self.connect(5270), header(OURS)))
        peer = self.connect(5270, alpn=(b"xmpp-client",))
        self.assertIn("no application protocol", str(peer.lost))

    def test_stop(self) -> None:
        """A stream hears system-shutdown; a port that is still open would take nobody more."""
        peer = self.connect(5270, own=self.own)
        self.say(peer, HEADER, EXTERNAL, HEADER)
        service = self.server.getServiceNamed("s2s_tcp")
        assert isinstance(service, S2STCP)
        self.assertEqual((service.limit, service.silence), (524_288, 50))
        self.federation.stop(OURS)
        self.assertIn(b"<system-shutdown ", peer.received)
        self.assertEqual([one for one in self.network.reactor.wiring.listeners if one.name[0] == ADDRESS], [])


class Outgoing(SynchronousTestCase):
    """We go to another server, which is written by hand and knows no TLS."""

    def bounced(self, url: str, answers: dict[str, str], seconds: float = 1) -> str:
        """The text of the error that a message comes back with."""
        federation = Federation(OURS, wire="tcp", directory=False, configuration={OURS: routed(url)[OURS]})
        self.addCleanup(federation.cleanup)

        class Answering(Scripted):
            script: ClassVar = {said.encode(): answer.encode() for said, answer in answers.items()}

        reactor = federation.network.reactor
        endpoint = TCP4ServerEndpoint(reactor, 5269 if url.startswith("xmpp:") else 5270, interface=HOSTS[THEIRS])
        port = self.successResultOf(endpoint.listen(Remembering(Answering)))
        juliet = federation.client(JULIET)
        juliet.send(f"<message to='{ROMEO}' id='1'/>")
        federation.advance(seconds)
        text = juliet.take("<message type='error' id='1'/>").element.to_xml()
        port.stopListening()
        federation.network.cut(federation.between_servers)
        federation.network.pump()
        return text

    def test_no_starttls(self) -> None:
        """A server that offers none is not spoken to; the sender hears what it offered."""
        opened = header(OURS, "jabber:server") + FEATURES % "<dialback xmlns='urn:xmpp:features:dialback'/>"
        text = self.bounced("xmpp://{}", {"stream": opened})
        self.assertIn("no TLS", text)
        self.assertIn("The server offered {urn:xmpp:features:dialback}dialback; wanted STARTTLS.", text)

    def test_old_server(self) -> None:
        """A server from before RFC 3920 has no features, and so no TLS."""
        opened = header(OURS, "jabber:server").replace(" version='1.0'", "")
        self.assertIn("unsupported-version", self.bounced("xmpp://{}", {"stream": opened}))

    def test_silence(self) -> None:
        """A server that never agrees, and one that never shakes hands."""
        self.assertIn("no agreement on TLS within 10 s", self.bounced("xmpp://{}", {}, 10))
        self.assertIn("no TLS within 10 s", self.bounced("xmpps://{}", {}, 10))

    def test_nobody_there(self) -> None:
        """Where nobody listens."""
        federation = Federation(OURS, wire="tcp", directory=False, configuration={OURS: routed("xmpp://{}")[OURS]})
        self.addCleanup(federation.cleanup)
        juliet = federation.client(JULIET)
        juliet.send(f"<message to='{ROMEO}' id='1'/>")
        text = juliet.take("<message type='error' id='1'/>").element.to_xml()
        self.assertIn(f"xmpp-server:{THEIRS}:5269 at 127.0.0.3: no connection: ", text)
