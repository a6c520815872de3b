"""What people write to each other over the gateway, and what others try (E20, L12, L20, T4, T7)."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint

from tests.e2e.ends import message
from tests.e2e.test_stream import header, said
from tests.services.lan_gateway.lan import CAPULET, HERE, JULIET, PORT, ROMEO, LanCase, Neighbor
from tests.testing.peers import Recorder, Remembering
from xmppfed.core.element import Element
from xmppfed.e2e.linklocal.txt import LinkPresence
from xmppfed.e2e.store import FileTrustStore
from xmppfed.e2e.trust import Acquaintance, Policy, Trust
from xmppfed.net.certificates import spki_sha256
from xmppfed.testing.client import Client

ROMEOS = r"romeo\40forza@local"
NURSE = f"nurse@{CAPULET}"
PLACE = "127.0.0.50"
ON_LINK = "juliet@pronto"


class MessageCase(LanCase):
    """Juliet and Romeo see each other."""

    def meet(self, policy: str = "first-use", **more: Any) -> tuple[Client, Neighbor]:
        """They have not spoken yet."""
        self.serve(trust=policy, **more)
        juliet = self.juliet()
        romeo = self.neighbor()
        romeo.appear()
        juliet.received.clear()
        return juliet, romeo

    def write(self, client: Client, body: str = "hi", to: str = ROMEOS, id: str = "1") -> None:
        """Write a message, and let time pass in which it goes its way or comes back."""
        client.send(f"<message to='{to}' type='chat' id='{id}'><body>{body}</body></message>")
        self.federation.advance(15)

    def names(self) -> list[str]:
        """What the contacts are called."""
        return [name for _, name, _ in self.roster(self.juliet(f"{JULIET}/{len(self.federation.clients)}"))]

    @property
    def store(self) -> FileTrustStore:
        """Whom the server knows."""
        return self.gateway._store  # type: ignore[return-value]


class Chatting(MessageCase):
    """Both ways."""

    def test_in(self) -> None:
        """A message comes from the contact, to the account, and what it may not have is gone."""
        juliet, romeo = self.meet()
        element = message("hello", id="7").element
        element.add("delay", "urn:xmpp:delay", stamp="2002-09-10T23:08:25Z")
        element.add("stanza-id", "urn:xmpp:sid:0", by=CAPULET, id="1")
        element.add("sent", "urn:xmpp:carbons:2")
        romeo.send(element)
        found = juliet.take(f"<message from='{ROMEOS}/link' to='{JULIET}'/>")
        self.assertEqual((found.attributes["type"], found.id, found.letter), ("chat", "7", b"<body>hello</body>"))

    def test_out(self) -> None:
        """A message of a client goes to the contact, under our name on the link (L12), and nothing else of it."""
        juliet, romeo = self.meet()
        extra = "<nick xmlns='http://jabber.org/protocol/nick'>J</nick><origin-id xmlns='urn:xmpp:sid:0' id='1'/>"
        juliet.send(f"<message to='{ROMEOS}/link' type='chat' id='1' xml:lang='it'><body>hi</body>{extra}</message>")
        [heard] = romeo.heard.stanzas
        self.assertEqual(heard.attributes, {"from": ON_LINK, "to": ROMEO, "type": "chat", "id": "1"})
        self.assertEqual(heard.letter, b"<body>hi</body>")
        juliet.send(f"<message to='{ROMEOS}'><body>without an id</body></message>")
        self.assertTrue(romeo.heard.stanzas[1].id)

    def test_several_clients(self) -> None:
        """All clients of the account take part, by carbons as always."""
        juliet, romeo = self.meet()
        garden = self.juliet(f"{JULIET}/garden")
        garden.request("<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
        garden.received.clear()
        juliet.send(f"<message to='{ROMEOS}' type='chat'><body>hi</body></message>")
        self.assertIn("urn:xmpp:carbons:2", garden.take("<message/>").letter.decode())
        juliet.send("<presence><priority>5</priority></presence>")
        garden.received.clear()
        romeo.say("hello")
        self.assertIn("urn:xmpp:carbons:2", garden.take("<message/>").letter.decode())

    def test_states(self) -> None:
        """Chat states and receipts pass, but nobody is called for them."""
        juliet, romeo = self.meet()
        state = f"<message to='{ROMEOS}' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
        juliet.send(state)
        self.assertEqual(romeo.heard.people, [])
        romeo.say("hello")
        juliet.send(state)
        juliet.send(f"<message to='{ROMEOS}' type='chat'><x xmlns='urn:x'/></message>")
        self.assertEqual(
            [stanza.children for stanza in romeo.heard.stanzas], [("{http://jabber.org/protocol/chatstates}composing",)]
        )

    def test_two_accounts(self) -> None:
        """Each account of ours has its own name; a message is for whom the stream was opened to, and for nobody else."""
        juliet, romeo = self.meet(users=(JULIET, NURSE))
        nurse = self.juliet(f"{NURSE}/hall")
        nurse.received.clear()
        juliet.received.clear()
        romeo.say("to the nurse", "nurse@pronto")
        nurse.take("<message><body>to the nurse</body></message>")
        self.assertFalse(any(one.kind == "message" for one in juliet.received))
        for to in ("nurse@pronto", NURSE, JULIET, f"nurse@{CAPULET}/hall", "local"):
            romeo.send(message("astray", to=to, id=to).element)
        self.assertEqual([one.type for one in romeo.heard.stanzas], ["error"] * 5)
        for client in (juliet, nurse):
            self.assertFalse(any(one.kind == "message" for one in client.received))

    def test_left(self) -> None:
        """What somebody wrote who has said goodbye meanwhile is delivered as long as the stream stands."""
        juliet, romeo = self.meet()
        romeo.say("hello")
        romeo.vanish()
        juliet.received.clear()
        romeo.say("one word more")
        juliet.expect(f"<message from='{ROMEOS}/link'><body>one word more</body></message>")

    def test_blocked(self) -> None:
        """Who is a nuisance is blocked, as anybody else."""
        juliet, romeo = self.meet()
        juliet.request(f"<iq type='set'><block xmlns='urn:xmpp:blocking'><item jid='{ROMEOS}'/></block></iq>")
        juliet.received.clear()
        romeo.say("hello?")
        romeo.change(LinkPresence(status="away"))
        self.assertEqual([one.kind for one in juliet.received], ["iq"])


class Failing(MessageCase):
    """What does not arrive comes back, with the reason."""

    def test_nobody_answers(self) -> None:
        """Who is announced and not there."""
        juliet, romeo = self.meet()
        romeo.port.stopListening()
        self.write(juliet)
        error = juliet.take(f"<message from='{ROMEOS}/link' to='{juliet.jid}' id='1' type='error'/>").letter.decode()
        self.assertIn("<recipient-unavailable", error)
        self.assertIn("No stream with romeo@forza", error)

    def test_left_meanwhile(self) -> None:
        """Who has left while it was looked for."""
        juliet, romeo = self.meet()
        romeo.port.stopListening()
        self.federation.network.pump()

        class Resetting(Recorder):
            def dataReceived(self, data: bytes) -> None:
                self.transport.abortConnection()

        listening = TCP4ServerEndpoint(self.federation.network.reactor, PORT, interface=PLACE).listen(Remembering(Resetting))
        romeo.port = self.successResultOf(listening)
        juliet.send(f"<message to='{ROMEOS}' id='1'><body>hi</body></message>")
        romeo.vanish()
        self.federation.advance(60)
        self.assertIn("has left the local network", juliet.take("<message type='error' id='1'/>").letter.decode())

    def test_not_there(self) -> None:
        """Who writes without being available is not on the link."""
        juliet, romeo = self.meet()
        juliet.send("<presence type='unavailable'/>")
        self.write(juliet)
        self.assertIn("has to be available", juliet.take("<message type='error'/>").letter.decode())
        self.assertEqual(romeo.heard.people, [])

    def test_refused_by_the_peer(self) -> None:
        """An error of a peer reaches who has sent the message, once, without the words of the peer; other errors reach nobody."""
        juliet, romeo = self.meet()
        self.write(juliet)
        error = Element("message", "jabber:client", {"type": "error", "id": "1"})
        inside = error.add("error", type="cancel")
        inside.add("forbidden", "urn:ietf:params:xml:ns:xmpp-stanzas")
        inside.add("text", "urn:ietf:params:xml:ns:xmpp-stanzas", text="Pay here")
        juliet.received.clear()
        romeo.send(error)
        found = juliet.take(f"<message type='error' id='1' to='{juliet.jid}' from='{ROMEOS}/link'/>").letter.decode()
        self.assertIn("<forbidden", found)
        self.assertNotIn("Pay here", found)
        romeo.send(error)
        del error.attributes["id"]
        romeo.send(error)
        juliet.expect_nothing()

    def test_refused_by_another(self) -> None:
        """Nobody answers for somebody else, and takes away what that one has to say."""
        juliet, romeo = self.meet()
        tybalt = self.neighbor("tybalt@verona", "127.0.0.51")
        tybalt.appear()
        self.write(juliet)
        juliet.received.clear()
        error = Element("message", "jabber:client", {"type": "error", "id": "1"})
        tybalt.send(error)
        self.assertEqual([one for one in juliet.received if one.type == "error"], [])
        romeo.send(error)
        juliet.take(f"<message type='error' id='1' from='{ROMEOS}/link'/>")

    def test_many(self) -> None:
        """Of very many messages the oldest are forgotten, and of those no error comes back any more."""
        juliet, romeo = self.meet()
        for number in range(1001):
            juliet.send(f"<message to='{ROMEOS}' id='m{number}'><body>hi</body></message>")
        juliet.received.clear()
        for id in ("m0", "m1"):
            romeo.send(Element("message", "jabber:client", {"type": "error", "id": id}))
        self.assertEqual([one.id for one in juliet.received], ["m1"])


class Hostile(MessageCase):
    """Everybody on the link may try anything."""

    def test_requests(self) -> None:
        """V1: requests are refused at once, and none is sent to the link, not even for capabilities; answers to requests that
        nobody made are dropped, and so is presence."""
        juliet, romeo = self.meet()
        for type in ("get", "set", "result", "error"):
            element = Element("iq", "jabber:client", {"type": type, "id": type})
            element.add("query", "jabber:iq:roster")
            romeo.send(element)
        for type in ("subscribe", "unavailable", "probe"):
            romeo.send(Element("presence", "jabber:client", {"type": type}))
        self.federation.advance(2)
        self.assertEqual([(one.id, one.type) for one in romeo.heard.stanzas], [("get", "error"), ("set", "error")])
        self.assertEqual([one for one in juliet.received if "first-use" not in one.letter.decode()], [])

    def test_somebody_else_in_the_stanza(self) -> None:
        """E20: the sender is whom the stream is with; who says another ends it."""
        juliet, romeo = self.meet()
        romeo.say("hello", **{"from": f"{ROMEO}/elsewhere"})
        juliet.take(f"<message from='{ROMEOS}/link'/>")
        romeo.say("I am the nurse", **{"from": NURSE})
        self.federation.advance(2)
        self.assertFalse([one for one in juliet.received if "nurse" in f"{one} {one.letter!r}"])

    def test_another_key(self) -> None:
        """T4: another key under a known name is refused loudly, both ways, and nothing passes."""
        juliet, romeo = self.meet()
        romeo.say("hello")
        romeo.leave()
        self.neighbors.clear()
        self.federation.advance(6)
        juliet.received.clear()
        told = self.loud()
        mallory = self.neighbor(place="127.0.0.51")
        mallory.appear()
        juliet.take(f"<presence from='{ROMEOS}/link'/>")
        self.assertEqual(self.names(), ["romeo@forza (first-use)"])
        mallory.say("it is I")
        self.write(juliet)
        self.assertFalse(any(one.kind == "message" and one.type != "error" for one in juliet.received))
        self.assertIn("somebody poses as it", juliet.take("<message type='error'/>").letter.decode())
        self.assertEqual((mallory.heard.bodies, bool(told)), ([], True))

    def test_words(self) -> None:
        """The word in the name is what the key is worth."""
        _, romeo = self.meet()
        assert romeo.peers.certificate is not None
        key = spki_sha256(romeo.peers.certificate.leaf)
        romeo.say("hello")
        self.federation.advance(2)
        self.assertEqual(self.names(), ["romeo@forza (first-use)"])
        for trust in (Trust.PAIRED, Trust.PINNED, Trust.VERIFIED):
            self.store.keep(Acquaintance(name=ROMEO, trust=trust, spki_sha256=key))
            romeo.say("hello again")
            self.assertEqual(self.names(), [f"romeo@forza ({trust.value})"])
        revoked = Acquaintance(name=ROMEO, trust=Trust.PAIRED, spki_sha256=key, revoked=True)
        self.store.keep(revoked)
        service = self.federation.server(CAPULET).e2e
        assert service is not None
        service.cut(revoked)
        self.federation.advance(2)
        self.assertEqual(self.names(), ["romeo@forza (not met)"])
        self.gateway._neighbors.met("tybalt@street", Trust.PLAIN)

    def test_policy(self) -> None:
        """Who has to be paired and is not does not get through, either way."""
        juliet, romeo = self.meet("paired")
        romeo.say("hello")
        self.write(juliet)
        self.assertIn("Pair with it first", juliet.take("<message type='error'/>").letter.decode())
        self.assertEqual((romeo.heard.bodies, self.names()), ([], ["romeo@forza (not met)"]))

    def test_not_announced(self) -> None:
        """Who is not on the link may not speak, whatever it shows: neither under a name that is not announced, nor from an
        address where nobody is."""
        self.serve()
        juliet = self.juliet()
        romeo = self.neighbor()
        romeo.say("hello")
        self.federation.advance(20)
        self.assertIn("nobody on the local network is announced there", romeo.heard.bounced[0][1])
        romeo.appear(name="benvolio@forza")
        romeo.say("hello")
        self.federation.advance(20)
        self.assertIn("is not among the people on the local network", romeo.heard.bounced[1][1])
        self.assertFalse(any(one.kind == "message" for one in juliet.received))
        self.assertEqual(list(self.store.all()), [])

    def test_name_of_ours(self) -> None:
        """Nobody comes under the name of an account of ours."""
        self.serve()
        juliet = self.juliet()
        mallory = self.neighbor(NURSE)
        mallory.appear(name="mallory@forza")
        mallory.say("hello")
        self.federation.advance(20)
        self.assertIn("is an address at a domain of this server", mallory.heard.bounced[0][1])
        self.assertFalse(any(one.kind == "message" for one in juliet.received))

    def test_flood(self) -> None:
        """More than a person writes does not pass, and the peer is told; the next minute is another."""
        juliet, romeo = self.meet()
        for number in range(70):
            romeo.say(str(number), id=str(number))
        self.assertEqual(sum(one.kind == "message" for one in juliet.received), 60)
        self.assertEqual([one.id for one in romeo.heard.stanzas], [str(number) for number in range(60, 70)])
        self.federation.advance(61)
        juliet.received.clear()
        romeo.say("again")
        juliet.take("<message><body>again</body></message>")

    def test_flood_of_many(self) -> None:
        """All peers together have a bound too, for names cost nothing."""
        juliet, romeo = self.meet()
        crowd = [romeo, *(self.neighbor(f"x{number}@y", f"127.0.0.{number}") for number in range(60, 66))]
        for one in crowd[1:]:
            one.appear()
        juliet.received.clear()
        for one in crowd:
            for number in range(50):
                one.say("x", id=str(number))
        self.assertEqual(sum(one.kind == "message" for one in juliet.received), 300)


class Legacy(MessageCase):
    """Pidgin and its like, where they are let in (M3 to M7, L22)."""

    def call(self, *pieces: str, place: str = PLACE) -> Recorder:
        """Connect to Juliet, and say something."""
        network = self.federation.network
        made = Remembering()
        connecting = TCP4ClientEndpoint(network.reactor, HERE, PORT, bindAddress=(place, 0)).connect(made)
        network.pump()
        self.successResultOf(connecting)
        recorder: Recorder = made.built[0]
        for piece in pieces:
            recorder.transport.write(piece.encode())
            network.pump()
        self.addCleanup(network.cut)
        return recorder

    def test_both_ways(self) -> None:
        """It speaks without TLS, is answered on its stream, and its contact says that anybody could have."""
        juliet, _ = self.meet("plain")
        peer = self.call(header(ROMEO, ON_LINK, None), said("hello", **{"from": ROMEO, "to": ON_LINK, "type": "chat"}))
        juliet.take(f"<message from='{ROMEOS}/link'><body>hello</body></message>")
        self.federation.advance(2)
        juliet.take("<iq><query xmlns='jabber:iq:roster'><item name='romeo@forza (plain)'/></query></iq>")
        juliet.send(f"<message to='{ROMEOS}' type='chat'><body>hi</body></message>")
        self.assertIn("<body>hi</body>", peer.received.decode())
        juliet.send(f"<message to='{ROMEOS}'><active xmlns='http://jabber.org/protocol/chatstates'/></message>")
        self.assertNotIn("chatstates", peer.received.decode())
        self.assertEqual(list(self.store.all()), [])

    def test_without_names(self) -> None:
        """E5, M4: one that says no name is known by its address, where one is announced; and means whoever is there."""
        juliet, _ = self.meet("plain")
        self.call(header(None, None, None), said("hello"))
        juliet.take(f"<message from='{ROMEOS}/link'><body>hello</body></message>")

    def test_elsewhere(self) -> None:
        """M4: another name than the one that is announced at its address, or an address where nobody is, is refused."""
        juliet, _ = self.meet("plain")
        tybalt = self.neighbor("tybalt@street", "127.0.0.51")
        tybalt.appear()
        for sender, place in ((ROMEO, "127.0.0.51"), (ROMEO, "127.0.0.52"), ("nobody@street", PLACE)):
            peer = self.call(header(sender, ON_LINK, None), said("hello"), place=place)
            self.assertIn("</stream:stream>", peer.received.decode())
        self.assertFalse(any(one.kind == "message" for one in juliet.received))

    def test_not_let_in(self) -> None:
        """L22: that is not the default."""
        juliet, _ = self.meet()
        self.call(header(ROMEO, ON_LINK, None), said("hello"))
        self.assertFalse(any(one.kind == "message" for one in juliet.received))

    def test_plain_after_a_key(self) -> None:
        """T7: who has shown a key once is not believed without one."""
        juliet, romeo = self.meet("plain")
        romeo.say("hello")
        romeo.peers.streams()[0].close()
        self.federation.advance(2)
        juliet.received.clear()
        self.call(header(ROMEO, ON_LINK, None), said("without a key"))
        self.assertFalse(any(one.kind == "message" for one in juliet.received))

    def test_several_of_ours(self) -> None:
        """Who does not say whom it means, where several are there, means nobody."""
        juliet, _ = self.meet("plain", users=(JULIET, NURSE))
        self.juliet(f"{NURSE}/hall")
        self.call(header(ROMEO, None, None), said("hello"))
        self.assertFalse(any(one.kind == "message" for one in juliet.received))

    def test_unknown_peer_answers(self) -> None:
        """A program of old that we call is written to once it has sent its header."""
        self.serve(trust="plain")
        juliet, romeo = self.juliet(), self.neighbor(bare=True, policy=Policy.PLAIN)
        romeo.port.stopListening()
        romeo.appear()

        class Answering(Recorder):
            def dataReceived(self, data: bytes) -> None:
                if not self.deliveries:
                    self.transport.write(header(ROMEO, ON_LINK, None).encode())
                super().dataReceived(data)

        made = Remembering(Answering)
        port = self.successResultOf(TCP4ServerEndpoint(self.federation.network.reactor, PORT, interface=PLACE).listen(made))
        self.addCleanup(self.federation.network.cut)
        juliet.send(f"<message to='{ROMEOS}' type='chat'><body>hi</body></message>")
        self.assertIn("<body>hi</body>", made.built[0].received.decode())
        port.stopListening()
