"""How far federation reaches: host-meta, hosts of other names, two domains in one process, and every wire there is."""

from __future__ import annotations

import json
from typing import Any, Literal

from twisted.trial.unittest import SynchronousTestCase

from tests.services.peers import PeerTLS
from tests.services.s2s import (
    JULIET,
    OURS,
    ROMEO,
    THEIR_ADDRESS,
    THEIRS,
    URL,
    S2SCase,
    Script,
    external,
    message,
    offered,
    opening,
)
from xmppfed.testing.certificates import CertificateKind
from xmppfed.testing.client import Client
from xmppfed.testing.federation import Federation

ROUTE = {"url": "wss://xmpp.host.example/ws", "addresses": [THEIR_ADDRESS]}
SECOND, LAST = "127.0.9.2", "127.0.9.3"


class Delegated(S2SCase):
    """Host-meta may name another host: its certificate authenticates the target of our streams, and nothing else."""

    configuration = {OURS: {"federation": {"static_routes": {THEIRS: ROUTE}}}}

    def test_host_of_the_url(self) -> None:
        """A certificate for the URL's host will do, and that host is named by SNI."""
        listener = self.listen(certificate=self.issue("xmpp.host.example"))
        client = self.juliet()
        self.write(client)
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])
        self.assertEqual(listener.tls.names, ["xmpp.host.example"])

    def test_domain(self) -> None:
        """So will one for the domain."""
        listener = self.listen()
        self.write(self.juliet())
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])

    def test_second_name(self) -> None:
        """A server that shows a wrong certificate for the host is asked for that of the domain by SNI."""
        tls = PeerTLS(self.issue("other.example"), by_name={THEIRS: self.issue()})
        listener = self.listen(tls=tls)
        self.write(self.juliet())
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])
        self.assertEqual(tls.names, ["xmpp.host.example", THEIRS])

    def test_neither(self) -> None:
        """The error names both that would have done, and both names that were asked for."""
        self.listen(certificate=self.issue("other.example"))
        client = self.juliet()
        self.write(client)
        self.assertIn(
            f"found a certificate for DNS other.example; wanted one for {THEIRS}, xmpp.host.example "
            f"(SNI xmpp.host.example and {THEIRS})",
            self.bounced(client)[1],
        )

    def test_incoming(self) -> None:
        """The host's name never proves an incoming stream."""
        peer = self.dial(self.issue("xmpp.host.example"))
        self.assertEqual(offered(self.say(peer, opening())), ["dialback"])


class TwoDomains(S2SCase):
    """One process that serves two domains, and a third domain elsewhere."""

    more = ("laurence.example",)

    def setUp(self) -> None:
        super().setUp()
        self.friar = self.federation.server(OURS)
        self.listener = self.listen()

    def test_a_stream_for_each(self) -> None:
        """Each of our domains has a stream of its own, on which its own certificate is shown."""
        client = self.juliet()
        self.write(client)
        iq = "<iq xmlns='jabber:server' type='get' id='1' from='{}' to='laurence.example'><ping xmlns='urn:xmpp:ping'/></iq>"
        peer = self.dial(self.issue())
        header = opening(to="laurence.example")
        self.say(peer, header, external(), header, iq.format(ROMEO))
        first, second = self.listener.peers
        self.assertEqual([peer.stanzas[0].get("from") for peer in (first, second)], [JULIET, "laurence.example"])
        subjects = [peer.transport.getPeerCertificate().get_subject().CN for peer in (first, second)]
        self.assertEqual(subjects, [OURS, "laurence.example"])

    def test_pairs_are_apart(self) -> None:
        """A stream that was opened to one of our domains may not be used for the other."""
        peer = self.authenticated()
        self.say(peer, message(to="friar@laurence.example"))
        self.assertIn("<invalid-from", peer.messages[-2])

    def test_server_name_chooses_the_certificate_only(self) -> None:
        """SNI names one domain, `to` the other: the stream is for the other."""
        peer = self.dial(tls=PeerTLS(self.issue(), sni="laurence.example"))
        shown = peer.transport.getPeerCertificate().get_subject().CN
        self.assertEqual(shown, "laurence.example")
        header = opening()
        client = self.juliet()
        self.say(peer, header, external(), header, message())
        client.expect(f"<message from='{ROMEO}'/>")


class ByHostMeta(SynchronousTestCase):
    """Two servers that know nothing of each other: https for the document, then wss, all in memory."""

    def exchange(self, **configuration: Any) -> Federation:
        """A message there, and one back."""
        both = Federation(OURS, THEIRS, directory=False, configuration=configuration and {"*": configuration})
        self.addCleanup(both.cleanup)
        juliet, romeo = both.client(JULIET), both.client(ROMEO)
        juliet.send(f"<message to='{ROMEO}'><body>Art thou not Romeo?</body></message>")
        romeo.expect(f"<message from='{JULIET}'/>")
        romeo.send(f"<message to='{JULIET}'><body>Neither, fair saint.</body></message>")
        juliet.expect(f"<message from='{ROMEO}'/>")
        return both

    def test_with_addresses(self) -> None:
        """host-meta.json with `public_addresses` (XEP-0487)."""
        self.exchange()

    def test_without_addresses(self) -> None:
        """Without them the JSON has no s2s link, and the XRD's is used (XEP-0156)."""
        self.exchange(services={"http": {"public_addresses": None}})

    def test_private_addresses(self) -> None:
        """Private addresses are refused unless the configuration names their network, and the sender is told so."""
        both = Federation(OURS, THEIRS, directory=False, configuration={OURS: {"allow_private_addresses": []}})
        self.addCleanup(both.cleanup)
        juliet = both.client(JULIET)
        before = len(both.network.links)
        juliet.send(f"<message to='{ROMEO}' id='1'><body>hello</body></message>")
        error = juliet.take("<message type='error' id='1'/>").element.to_xml()
        self.assertIn("remote-server-not-found", error)
        self.assertIn("127.0.0.3", error)
        self.assertIn("static route", error)
        self.assertEqual(len(both.network.links), before)

    def test_address_in_a_static_route(self) -> None:
        """The guard judges static routes, too."""
        route = {THEIRS: {"url": URL, "addresses": [THEIR_ADDRESS]}}
        settings = {"allow_private_addresses": [], "federation": {"static_routes": route}}
        one = Federation(OURS, directory=False, configuration={OURS: settings})
        self.addCleanup(one.cleanup)
        juliet = one.client(JULIET)
        juliet.send(f"<message to='{ROMEO}' id='1'/>")
        self.assertIn(THEIR_ADDRESS, juliet.take("<message type='error'/>").element.to_xml())


class Documents(S2SCase):
    """What a domain publishes about itself is a stranger's word."""

    routes = {}

    def publish(self, document: object) -> Any:
        """montague.example, with this host-meta.json."""
        body = json.dumps(document).encode()
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

        class Publishes(Script):
            def http(self, path: str) -> bytes | None:
                if path.startswith("/.well-known/"):
                    return answer if path.endswith(".json") else missing
                return None

        self.network.resolver.hosts[THEIRS] = (THEIR_ADDRESS,)
        return self.listen(Publishes)

    def link(self, **details: Any) -> dict[str, Any]:
        """An s2s-websocket link."""
        return {"rel": "urn:xmpp:alt-connections:s2s-websocket", "href": f"{URL}?x", **details}

    def test_plain_link(self) -> None:
        """A link of XEP-0156 without `ips` in the JSON is used (row 15 of the choices)."""
        listener = self.publish({"links": [self.link()]})
        self.write(self.juliet())
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])

    def test_priorities(self) -> None:
        """Of two links that of the lower priority comes first, and the other when it does not work."""
        links = [self.link(ips=[SECOND], priority=20), self.link(ips=[LAST], priority=10)]
        self.publish({"xmpp": {"ttl": 60}, "links": links})
        second, third = self.listen(address=SECOND), self.listen(address=LAST)
        client = self.juliet()
        self.write(client)
        self.assertEqual((len(second.peers), len(third.peers)), (0, 1))
        third.close()
        self.network.advance(1)
        self.write(client)
        self.assertEqual(second.peer.bodies, ["Art thou not Romeo?"])

    def test_moved(self) -> None:
        """Where no candidate works the document is read again for the next message, however long it should hold."""
        old = self.publish({"xmpp": {"ttl": 3600}, "links": [self.link(ips=[SECOND])]})
        client = self.juliet()
        self.write(client)
        self.bounced(client)
        old.close()
        last = self.listen(address=LAST)
        self.publish({"xmpp": {"ttl": 3600}, "links": [self.link(ips=[LAST])]})
        self.write(client)
        self.assertEqual(last.peer.bodies, ["Art thou not Romeo?"])

    def test_hundreds_of_addresses(self) -> None:
        """A document with 32 links of 16 addresses each makes us try 16."""
        links = [self.link(ips=[f"127.7.{one}.{two}" for two in range(1, 17)]) for one in range(1, 33)]
        self.publish({"xmpp": {"ttl": 60}, "links": links})
        client = self.juliet()
        self.write(client)
        text = self.bounced(client)[1]
        self.assertEqual(text.count("no connection: "), 16)
        self.assertIn("496 more addresses were not tried", text)


class _Wires:
    """Two servers of ours, whatever carries their streams."""

    wire: Literal["memory", "tcp", "websocket"]

    def between(self: Any, **certificates: CertificateKind) -> tuple[Client, Client]:
        """Juliet and Romeo; `capulet` and `montague` say which certificates their servers have."""
        kinds = {f"{name}.example": kind for name, kind in certificates.items()}
        self.federation = Federation(OURS, THEIRS, wire=self.wire, certificates=kinds)
        self.addCleanup(self.federation.cleanup)
        return self.federation.client(JULIET), self.federation.client(ROMEO)

    def test_without_client_certificate(self: Any) -> None:
        """Without a certificate of ours dialback carries messages both ways."""
        juliet, romeo = self.between(capulet="none", montague="none")
        juliet.send(f"<message to='{ROMEO}'><body>1</body></message>")
        romeo.expect(f"<message from='{JULIET}'><body>1</body></message>")
        romeo.send(f"<message to='{JULIET}'><body>2</body></message>")
        juliet.expect(f"<message from='{ROMEO}'><body>2</body></message>")
        mechanisms = {owner._connection.stream.mechanism for owner in self.streams(OURS)}
        self.assertEqual(mechanisms, {"dialback"})

    def streams(self: Any, domain: str) -> Any:
        """The owners of the streams of a server."""
        return self.federation.server(domain).federation.streams._owners

    def test_bad_certificates(self: Any) -> None:
        """A server whose certificate proves nothing is not reached, and cannot reach others: both senders hear why."""
        for kind, found in (("expired", "has expired"), ("wrong-name", f"not-{THEIRS}"), ("self-signed", "self-signed")):
            with self.subTest(kind):
                juliet, romeo = self.between(montague=kind)
                for sender, to in ((juliet, ROMEO), (romeo, JULIET)):
                    sender.send(f"<message to='{to}' id='1'/>")
                    error = sender.take("<message type='error' id='1'/>").element.to_xml()
                    self.assertIn(found, error)
                juliet.expect_nothing()
                romeo.expect_nothing()

    def test_slow_and_in_pieces(self: Any) -> None:
        """Bytes that come late, and a few at a time, make the same streams."""
        juliet, romeo = self.between()
        self.federation.network.split(5)
        self.federation.network.delay(0.3)
        for number in range(3):
            juliet.send(f"<message to='{ROMEO}'><body>{number}</body></message>")
        self.federation.advance(10)
        for number in range(3):
            romeo.expect(f"<message from='{JULIET}'><body>{number}</body></message>")
        romeo.expect_nothing()


class OverMemory(_Wires, SynchronousTestCase):
    """Over bare messages."""

    wire = "memory"


class OverTCP(_Wires, SynchronousTestCase):
    """Over the streams of RFC 6120."""

    wire = "tcp"


class OverWebSocket(_Wires, SynchronousTestCase):
    """Over WebSocket, as in production."""

    wire = "websocket"
