"""End-to-end streams as a service (V2 to V4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from tests.e2e.ends import Heard, Map
from xmppfed.core.element import Element
from xmppfed.core.framing import C2S, MessageFraming
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.connecting import Local, WebSocketPlace
from xmppfed.e2e.identity import create_identity
from xmppfed.e2e.peers import Peers
from xmppfed.e2e.store import MemoryTrustStore
from xmppfed.e2e.trust import Acquaintance, Policy, Trust
from xmppfed.extend import Module, message
from xmppfed.net.certificates import moment, spki_sha256
from xmppfed.net.websocket import StreamClientFactory
from xmppfed.services.acquaintances import trust_commands
from xmppfed.testing.federation import Federation
from xmppfed.timeouts import Timeouts

CAPULET, MONTAGUE = "capulet.example", "montague.example"
JULIET = "juliet@verona.example"
HERE = "198.51.100.7"
ADDRESSES = {CAPULET: "127.0.0.2", MONTAGUE: "127.0.0.3"}


class Listening(Module):
    """Remembers what is said to the domain."""

    heard: list[Stanza]

    def __init__(self, host: Any, options: Any) -> None:
        super().__init__(host, options)
        type(self).heard = []

    @message("server")
    def listen(self, stanza: Stanza) -> None:
        """One more."""
        self.heard.append(stanza)


def listener(domain: str, trust: str = "first-use", **more: Any) -> dict[str, Any]:
    """A configuration that offers the domain."""
    endpoint = f"tcp:5298:interface={ADDRESSES[domain]}"
    return {
        "services": {
            "e2e": {
                "listeners": {
                    "lan": {"endpoint": endpoint, "offer": [domain], "trust": trust, "allow": more.pop("allow", ["*"])}
                },
                **more,
            }
        },
        "modules": {"echo": {}},
    }


class Way(Map):
    """To one place."""

    def endpoint(self, name: str) -> IStreamClientEndpoint:
        return TCP4ClientEndpoint(self.reactor, ADDRESSES[name], 5298)


class Visiting(SynchronousTestCase):
    """V2: somebody without a server speaks with a domain of ours."""

    def setUp(self) -> None:
        self.heard = Heard()
        self.store = MemoryTrustStore()

    def serve(self, configuration: dict[str, Any], *domains: str) -> Federation:
        """Servers, of which the first offers its domain."""
        self.federation = Federation(*(domains or (CAPULET,)), configuration={CAPULET: configuration})
        self.addCleanup(self.federation.cleanup)
        self.addCleanup(self.leave)
        self.juliet = self.visitor(JULIET)
        return self.federation

    def leave(self) -> None:
        """Nobody stays."""
        self.juliet.stop()
        self.local.stop()
        self.federation.network.advance(2)

    def visitor(self, name: str, policy: Policy = Policy.VERIFIED) -> Peers:
        """Somebody with an identity of her own making, who believes the authority of the federation."""
        network = self.federation.network
        identity = create_identity(Path(self.mktemp()) / "own.pem", name, moment(network.reactor)) if name else None
        self.local = Local(network.reactor, Timeouts(), self.federation._trust, 262_144)
        certificate = identity.certificate if identity else None
        return Peers(
            self.local, name, certificate, self.store, policy, self.heard, Way(network.reactor, HERE), jitter=lambda: 1.5
        )

    def say(self, kind: str = "message", to: str = CAPULET, child: Element | None = None, **attributes: str) -> None:
        """Say something to the domain."""
        element = Element(kind, "jabber:client", attributes)
        element.children.append(child or Element("body", "jabber:client", children=["hello"]))
        self.juliet.send(Stanza.from_element(element), to)
        self.federation.network.pump()

    def test_echo(self) -> None:
        """One line of configuration, and a module answers; the domain shows its own certificate, which is believed."""
        self.serve(listener(CAPULET))
        self.say(type="chat", id="1")
        [echo] = self.heard.stanzas
        self.assertEqual(echo.attributes, {"from": CAPULET, "to": JULIET, "type": "chat", "id": "1"})
        self.assertEqual((self.heard.bodies, self.heard.people), ([(CAPULET, "hello")], [f"+{CAPULET} verified"]))

    def test_requests(self) -> None:
        """The modules of the domain answer, and refuse what none of them knows."""
        self.serve(listener(CAPULET))
        self.say("iq", child=Element("ping", "urn:xmpp:ping"), type="get", id="1")
        self.say("iq", child=Element("query", "urn:example:unknown"), type="get", id="2")
        self.assertEqual([answer.type for answer in self.heard.stanzas], ["result", "error"])

    def test_resource(self) -> None:
        """A full address of the peer is answered as such, on its stream."""
        self.serve(listener(CAPULET))
        self.say("message", CAPULET, None, **{"from": f"{JULIET}/balcony"})
        self.assertEqual(self.heard.stanzas[0].attributes["to"], f"{JULIET}/balcony")

    def test_asked_in_another_spelling(self) -> None:
        """L20: the answer of the domain goes back on the stream, and to no other server, however it was called."""
        federation = self.serve(listener(CAPULET), CAPULET, "verona.example")
        for number, to in enumerate((f"{CAPULET}/echo", CAPULET.upper(), f"{CAPULET}."), 1):
            with self.subTest(to=to):
                for kind, type, child in (("message", "chat", "body"), ("iq", "get", "query")):
                    element = Element(kind, "jabber:client", {"to": to, "type": type, "id": "1"}, [Element(child, "urn:x")])
                    self.juliet.send(Stanza.from_element(element), CAPULET)
                federation.network.pump()
                self.assertEqual(len(self.heard.stanzas), 2 * number)
        others = federation.server(CAPULET).federation
        assert others is not None
        self.assertEqual((federation.server(CAPULET).remotes.waiting(), len(others.streams)), ([], 0))

    def test_not_for_accounts(self) -> None:
        """L20: nothing that comes so reaches an account, or another server."""
        federation = self.serve(listener(CAPULET), CAPULET, MONTAGUE)
        nurse = federation.client(f"nurse@{CAPULET}/hall")
        for to in (f"nurse@{CAPULET}", f"nurse@{CAPULET}/hall", f"nurse@{MONTAGUE}", MONTAGUE):
            self.juliet.send(Stanza.from_element(Element("message", "jabber:client", {"to": to, "id": to})), CAPULET)
        federation.network.pump()
        self.assertEqual(nurse.received, [])
        self.assertEqual([one.type for one in self.heard.stanzas if one.type == "error"], ["error"] * 4)

    def test_nobody_is_let_in(self) -> None:
        """V4: who is not listed is refused, and told why."""
        self.serve(listener(CAPULET, allow=[]))
        self.say()
        self.federation.network.advance(10)
        self.assertIn("nobody has allowed it", self.heard.bounced[0][1])

    def test_who_is_let_in(self) -> None:
        """V4: an address, or a domain with all its users."""
        for allow in ([JULIET], ["verona.example"], ["romeo@verona.example", "verona.example"]):
            with self.subTest(allow=allow):
                self.setUp()
                self.serve(listener(CAPULET, allow=allow))
                self.say()
                self.assertEqual(self.heard.bodies, [(CAPULET, "hello")])
                self.leave()

    def test_in_the_name_of_an_account(self) -> None:
        """Nobody comes from a domain that is served here, nor under a name that is no JID."""
        for name, words in ((f"juliet@{CAPULET}", "who has an account on this server logs in"), ("a b@pronto", "it is no JID")):
            with self.subTest(name=name):
                self.setUp()
                self.serve(listener(CAPULET))
                self.juliet = self.visitor(name)
                self.say()
                self.federation.network.advance(10)
                self.assertIn(words, self.heard.bounced[0][1])
                self.leave()

    def test_other_spelling(self) -> None:
        """T4: who is known by a key is nobody else's to be, in no spelling; nor is one of its resources a name."""
        for name, words in (
            (f"{JULIET}.", "shows the key"),
            ("verona.example/juliet@elsewhere.example", "the address of one resource"),
            ("Ｖerona.example", "shows the key"),
        ):
            with self.subTest(name=name):
                self.setUp()
                federation = self.serve(listener(CAPULET))
                service = federation.server(CAPULET).e2e
                assert service is not None
                for known, key in ((JULIET, b"j" * 32), ("verona.example", b"v" * 32)):
                    known_one = Acquaintance(name=known, trust=Trust.PINNED, spki_sha256=key)
                    service.offered[CAPULET].peers.acquaintances._store.keep(known_one)
                self.juliet = self.visitor(JULIET)
                self.juliet.address = name
                self.say()
                federation.network.advance(10)
                self.assertIn(words, self.heard.bounced[0][1])
                self.leave()

    def test_names_that_are_not_the_same(self) -> None:
        """RFC 7622: `strasse` and `straße` are two domains: neither speaks for the other, nor hears what is said to it."""
        federation = self.serve(listener(CAPULET), CAPULET, "straße.example")
        self.juliet = self.visitor("juliet@strasse.example")
        self.say("message", CAPULET, None, **{"from": "juliet@straße.example"})
        self.assertEqual(self.heard.bodies, [])
        federation.network.advance(5)
        self.say()
        [answer] = self.heard.stanzas
        other = {"from": CAPULET, "to": "juliet@straße.example"}
        federation.server(CAPULET).router.route(Stanza("message", "jabber:client", other))
        federation.network.pump()
        self.assertEqual(self.heard.stanzas, [answer])

    def test_no_address(self) -> None:
        """A stanza from what is no address ends the stream, and is no fault of ours."""
        self.serve(listener(CAPULET))
        self.say("message", CAPULET, None, **{"from": f"{JULIET}/\u1100"})
        self.assertEqual(self.heard.bodies, [])
        self.federation.network.advance(3)
        self.assertEqual(self.juliet.streams(), [])

    def test_policy(self) -> None:
        """The policy of the listener holds."""
        self.serve(listener(CAPULET, "verified"))
        self.say()
        self.federation.network.advance(10)
        self.assertIn("Pair with it first", self.heard.bounced[0][1])

    def test_answer_to_somebody_who_left(self) -> None:
        """L20: what is said to a peer that has left goes to no other server."""
        federation = self.serve(listener(CAPULET), CAPULET, "verona.example")
        self.say()
        self.leave()
        router = federation.server(CAPULET).router
        router.route(Stanza("message", "jabber:client", {"from": CAPULET, "to": JULIET}))
        federation.network.pump()
        self.assertEqual(federation.server(CAPULET).remotes.waiting(), [])
        [left] = [service for service in federation.server(CAPULET).services if service.name == "e2e"]
        for number in range(1001):
            left.offered[CAPULET].met(type("Peer", (), {"name": f"p{number}@x.example"}))
        self.assertFalse(left.offered[CAPULET].send(Stanza("message", "jabber:client", {"from": CAPULET, "to": JULIET})))

    def test_key_of_another_address(self) -> None:
        """V4: a key is good for the one address that it is known by, whatever else is allowed."""
        federation = self.serve(listener(CAPULET, "paired", allow=[JULIET, "romeo@verona.example"]))
        service = federation.server(CAPULET).e2e
        assert service is not None and self.juliet.certificate is not None
        key = spki_sha256(self.juliet.certificate.leaf)
        known = Acquaintance(name="romeo@verona.example", trust=Trust.PINNED, spki_sha256=key)
        service.offered[CAPULET].peers.acquaintances._store.keep(known)
        self.say()
        federation.network.advance(10)
        self.assertIn("shows the key of romeo@verona.example", self.heard.bounced[0][1])

    def test_visitor_comes_back(self) -> None:
        """X4: what is said to a visitor whose connection broke waits until it comes back, for it cannot be called."""
        federation = self.serve(listener(CAPULET))
        self.say()
        federation.network.advance(4)
        self.heard.bodies.clear()
        federation.network.cut()
        federation.network.pump()
        said = Element("message", "jabber:client", {"from": CAPULET, "to": JULIET})
        said.add("body", text="meanwhile")
        federation.server(CAPULET).router.route(Stanza.from_element(said))
        federation.network.advance(20)
        self.assertEqual(self.heard.bodies, [])
        self.say()
        federation.network.advance(2)
        self.assertEqual([body for _, body in self.heard.bodies], ["meanwhile", "hello"])

    def test_revoked(self) -> None:
        """A key that is revoked loses its stream at once."""
        federation = self.serve(listener(CAPULET))
        self.say()
        service = federation.server(CAPULET).e2e
        assert service is not None and self.juliet.certificate is not None
        key = spki_sha256(self.juliet.certificate.leaf)
        service.cut(Acquaintance(name="x", trust=Trust.PINNED, spki_sha256=b"k" * 32))
        federation.network.advance(4)
        self.assertEqual(len(self.juliet.streams()), 1)
        service.cut(Acquaintance(name=JULIET, trust=Trust.FIRST_USE, spki_sha256=key, revoked=True))
        federation.network.advance(2)
        self.assertEqual(self.juliet.streams(), [])

    def test_pinned_meanwhile(self) -> None:
        """T7: who is on a stream under a name that a person gives another key has to go, and who has that key may stay."""
        federation = self.serve(listener(CAPULET))
        self.say()
        service = federation.server(CAPULET).e2e
        assert service is not None and self.juliet.certificate is not None
        pin = trust_commands(service.offered[CAPULET].peers.acquaintances._store, service.cut)["e2e/trust/pin"]
        key = spki_sha256(self.juliet.certificate.leaf)
        self.successResultOf(Deferred.fromCoroutine(cast(Any, pin({"name": JULIET, "key": key.hex()}))))
        service.cut(Acquaintance(name="romeo@verona.example", trust=Trust.PINNED, spki_sha256=b"k" * 32))
        federation.network.advance(4)
        self.assertEqual(len(self.juliet.streams()), 1)
        service.cut(Acquaintance(name=JULIET, trust=Trust.PINNED, spki_sha256=b"k" * 32))
        federation.network.advance(4)
        self.assertEqual(self.juliet.streams(), [])

    def test_reload(self) -> None:
        """A reload shows the certificate of the moment."""
        federation = self.serve(listener(CAPULET))
        service = federation.server(CAPULET).e2e
        assert service is not None
        before = service.offered[CAPULET].peers.certificate
        federation.server(CAPULET).reload()
        self.assertIsNot(service.offered[CAPULET].peers.certificate, before)
        self.say()
        self.assertEqual(self.heard.bodies, [(CAPULET, "hello")])

    def test_stop(self) -> None:
        """When the server stops, the stream ends in good order."""
        federation = self.serve(listener(CAPULET))
        self.say()
        federation.stop(CAPULET)
        self.assertEqual(self.heard.people, [f"+{CAPULET} verified", f"-{CAPULET}"])


class ByWebSocket(Visiting):
    """The same over a WebSocket path of the HTTPS port (RFC 7395), and what is different there."""

    def serve(self, configuration: dict[str, Any], *domains: str) -> Federation:
        """The listener is a path."""
        listener = configuration["services"]["e2e"]["listeners"]["lan"]
        listener |= {"endpoint": "", "websocket_path": "/e2e"}
        federation = super().serve(configuration, *domains)
        reactor = federation.network.reactor
        place = WebSocketPlace(f"wss://{CAPULET}/e2e", TCP4ClientEndpoint(reactor, ADDRESSES[CAPULET], 443))
        self.place = place
        self.juliet = self.visitor(JULIET)
        return federation

    def visitor(self, name: str, policy: Policy = Policy.VERIFIED) -> Peers:
        """Goes by WebSocket."""
        visitor = super().visitor(name, policy)
        if place := getattr(self, "place", None):
            visitor._whereabouts.endpoint = lambda name: place  # type: ignore[method-assign]
        return visitor

    def test_framing(self) -> None:
        """One stanza a message, and no features but EXTERNAL: TLS is there already."""
        self.serve(listener(CAPULET))
        self.say()
        [stream] = self.juliet.streams()
        self.assertIsInstance(stream.connection.stream.framing, MessageFraming)
        self.assertEqual((stream.trust, stream.connection.stream.mechanism), (Trust.VERIFIED, "EXTERNAL"))

    def test_clients_path(self) -> None:
        """The path is the only one: on that of clients a stream is a client's."""
        self.serve(listener(CAPULET))
        self.place = WebSocketPlace(f"wss://{CAPULET}/ws", self.place.endpoint)
        self.juliet = self.visitor(JULIET)
        self.say()
        self.federation.network.advance(40)
        self.assertEqual((len(self.heard.bounced), self.heard.bodies), (1, []))

    def test_no_such_path(self) -> None:
        """Where there is no WebSocket, the answer says so."""
        self.serve(listener(CAPULET))
        self.place = WebSocketPlace(f"wss://{CAPULET}/nothing", self.place.endpoint)
        self.juliet = self.visitor(JULIET)
        self.say()
        self.assertIn("404", self.heard.bounced[0][1])

    def test_no_answer(self) -> None:
        """A server that accepts the connection and says nothing is not waited for for ever."""
        self.serve(listener(CAPULET))
        self.federation.network.reactor.callLater(0.0, lambda: None)
        silent = TCP4ClientEndpoint(self.federation.network.reactor, "127.0.0.77", 443)
        quiet = Factory.forProtocol(Protocol)
        port = self.successResultOf(
            TCP4ServerEndpoint(self.federation.network.reactor, 443, interface="127.0.0.77").listen(quiet)
        )
        self.place = WebSocketPlace(f"wss://{CAPULET}/e2e", silent)
        self.juliet = self.visitor(JULIET)
        self.say()
        self.federation.network.advance(11)
        self.assertIn("no WebSocket within 10 s", self.heard.bounced[0][1])
        port.stopListening()


class BehindProxy(SynchronousTestCase):
    """Where a reverse proxy ends TLS, nobody has shown us anything."""

    def test_plain_at_most(self) -> None:
        """However the proxy vouches for the visitor: its stream is plain, and only where that is enough it is let in."""
        for trust, words in (("first-use", "wanted both, because the policy here is first-use"), ("plain", "features")):
            with self.subTest(trust=trust):
                configuration = listener(CAPULET, trust)
                configuration["services"]["e2e"]["listeners"]["lan"] |= {"endpoint": "", "websocket_path": "/e2e"}
                configuration["services"]["http"] = {"endpoint": "tcp:8080:interface=127.0.0.2", "tls": "behind-proxy"}
                federation = Federation(CAPULET, configuration={CAPULET: configuration})
                self.addCleanup(federation.cleanup)
                reactor = federation.network.reactor
                factory = StreamClientFactory(f"ws://{CAPULET}/e2e", None, reactor, 10_000)
                TCP4ClientEndpoint(reactor, ADDRESSES[CAPULET], 8080).connect(factory)
                federation.network.pump()
                wire = self.successResultOf(factory.opened)
                received: list[bytes] = []
                wire.message = received.append  # type: ignore[assignment, method-assign]
                wire.write([f"<open xmlns='{C2S.framing}' to='{CAPULET}' from='{JULIET}' version='1.0'/>".encode()])
                federation.network.pump()
                self.assertIn(words.encode(), b"".join(received))
                wire.abort()
                federation.network.pump()


class Between(SynchronousTestCase):
    """V3: two services speak with each other, both by the certificates of their domains."""

    def federate(self, **peers: str) -> Federation:
        """Two servers, each of which offers its domain to the other."""
        federation = Federation(
            CAPULET,
            MONTAGUE,
            configuration={
                CAPULET: {**listener(CAPULET, "verified", allow=[MONTAGUE]), "modules": {}},
                MONTAGUE: {**listener(MONTAGUE, "verified", peers={CAPULET: "tcp:127.0.0.2:5298", **peers}), "modules": {}},
            },
            modules={"listening": Listening},
        )
        self.addCleanup(federation.cleanup)
        return federation

    def say(self, federation: Federation, sender: str, to: str) -> None:
        """One domain says something to another."""
        federation.server(sender).router.route(Stanza("message", "jabber:client", {"from": sender, "to": to, "id": "1"}))
        federation.network.pump()

    def test_both_ways(self) -> None:
        """One of them knows the way; no stream between servers is made."""
        federation = self.federate()
        self.say(federation, MONTAGUE, CAPULET)
        self.assertEqual([one.attributes["from"] for one in Listening.heard], [MONTAGUE])
        self.say(federation, CAPULET, MONTAGUE)
        self.assertEqual([one.attributes["from"] for one in Listening.heard], [MONTAGUE, CAPULET])
        for domain in (CAPULET, MONTAGUE):
            server = federation.server(domain)
            assert server.e2e is not None and server.federation is not None
            self.assertEqual(len(server.federation.streams), 0)
            [stream] = server.e2e.offered[domain].peers.streams()
            self.assertEqual((stream.trust, stream.connection.stream.mechanism), (Trust.VERIFIED, "EXTERNAL"))

    def test_elsewhere(self) -> None:
        """Whoever is not among the peers is reached as always; and users are."""
        federation = self.federate()
        romeo, nurse = federation.client(f"romeo@{MONTAGUE}/orchard"), federation.client(f"nurse@{CAPULET}/hall")
        romeo.send(f"<message to='nurse@{CAPULET}/hall'><body>hello</body></message>")
        nurse.expect("<message><body>hello</body></message>")
        self.say(federation, CAPULET, f"romeo@{MONTAGUE}/orchard")
        romeo.expect(f"<message from='{CAPULET}'/>")

    def test_not_there(self) -> None:
        """Who cannot be reached so is not reached otherwise: what was said returns."""
        federation = self.federate(**{"paris.example": "tcp:127.0.0.9:5298"})
        self.say(federation, MONTAGUE, "paris.example")
        self.assertEqual([(one.attributes["from"], one.type) for one in Listening.heard], [])
        self.assertEqual(federation.server(MONTAGUE).remotes.waiting(), [])
