"""Streams that go both ways (XEP-0288): who may say what on them, which way is taken, and what comes after their end."""

from __future__ import annotations

from typing import Any

from tests.services.peers import Listener
from tests.services.s2s import (
    CLOSE,
    EXTERNAL,
    JULIET,
    OURS,
    ROMEO,
    SASL,
    THEIRS,
    THIRD,
    DialbackScript,
    S2SCase,
    Script,
    external,
    message,
    opening,
    result,
    stream_error,
)
from xmppfed.core.stanza import Stanza
from xmppfed.core.tree import parse_tree
from xmppfed.testing.federation import Federation
from xmppfed.testing.ways import WAYS

BIDI = "<bidi xmlns='urn:xmpp:bidi'/>"
OFFER = "<bidi xmlns='urn:xmpp:features:bidi'/>"
FRIAR = "friar@laurence.example/cell"


def bodies(messages: list[str]) -> list[str]:
    """What the messages among these say."""
    trees = [parse_tree(text.encode()) for text in messages if text.startswith("<message")]
    return [child.text for tree in trees for child in tree.elements() if child.name == "body"]


class Incoming(S2SCase):
    """A server that opened a stream to us and asked for both ways."""

    more = ("laurence.example",)

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()
        self.listener = self.listen(DialbackScript)

    def authenticate(self) -> Any:
        """By its certificate."""
        peer = self.dial(self.issue())
        came = self.say(peer, opening(), BIDI, external(), opening())
        self.assertIn(f"<success {SASL}/>", came)
        return peer

    def both_ways(self) -> Any:
        """It has begun to speak."""
        peer = self.authenticate()
        self.say(peer, message())
        self.client.take("message")
        return peer

    def test_by_certificate(self) -> None:
        """What we have for it goes back on its stream; no second connection is made."""
        peer = self.both_ways()
        self.write(self.client)
        self.assertEqual(bodies(peer.take()), ["Art thou not Romeo?"])
        self.assertEqual(self.listener.peers, [])

    def test_by_dialback(self) -> None:
        """The same where dialback has proved it: the one other connection is that of the question."""
        peer = self.dial()
        self.say(peer, opening(), BIDI, result(), message())
        self.write(self.client)
        self.assertEqual(bodies(peer.take()), ["Art thou not Romeo?"])
        self.assertEqual([one.bodies for one in self.listener.peers], [[]])

    def test_an_answer(self) -> None:
        """What answers the very stanza that opened the way goes there."""
        peer = self.authenticate()
        request = f"<iq xmlns='jabber:server' from='{ROMEO}' to='{OURS}' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"
        (answer,) = self.say(peer, request)
        self.assertIn("type='result'", answer)
        self.assertEqual(self.listener.peers, [])

    def test_not_asked_for(self) -> None:
        """Whoever did not ask gets nothing on its stream: we connect."""
        peer = self.authenticated()
        self.say(peer, message())
        self.write(self.client)
        self.assertEqual(peer.take(), [])
        self.assertEqual(self.listener.peer.bodies, ["Art thou not Romeo?"])

    def test_before_it_speaks(self) -> None:
        """A stream on which nothing was said yet is left alone: what else is settled on it first is the server's choice."""
        peer = self.authenticate()
        self.write(self.client)
        self.assertEqual(peer.take(), [])
        self.assertEqual(self.listener.peer.bodies, ["Art thou not Romeo?"])

    def test_before_it_is_proved(self) -> None:
        """Nothing is sent to a stranger, whatever it asks for."""
        peer = self.dial()
        self.say(peer, opening(), BIDI)
        self.write(self.client)
        self.assertEqual(peer.take(), [])
        self.assertEqual(stream_error(self.say(peer, message()))[0], "not-authorized")
        self.client.expect_nothing()

    def test_inverse_alone(self) -> None:
        """A pair that was not proved has a stream of its own, also where one of its domains is the same."""
        peer = self.both_ways()
        self.server.router.route(Stanza.from_element(parse_tree(message(FRIAR, ROMEO, "from the friar").encode())))
        self.network.pump()
        self.assertEqual(self.listener.peer.bodies, ["from the friar"])
        self.assertEqual(peer.take(), [])

    def test_another_pair_later(self) -> None:
        """A pair that dialback proves later goes back on the same stream."""
        peer = self.both_ways()
        self.say(peer, result(to="laurence.example"))
        self.server.router.route(Stanza.from_element(parse_tree(message(FRIAR, ROMEO, "from the friar").encode())))
        self.network.pump()
        self.assertEqual(bodies(peer.take()), ["from the friar"])

    def test_ends(self) -> None:
        """However it ends, the next message makes a stream of ours, and nothing is lost in between."""
        ends = {
            "closed": lambda peer: peer.send(CLOSE),
            "failed": lambda peer: peer.send(message("x@other.example")),
            "cut": lambda peer: peer.abort(),
        }
        for name, end in ends.items():
            with self.subTest(name):
                peer = self.both_ways()
                peer.answers = False
                end(peer)
                self.network.pump()
                self.write(self.client, body=f"<body>{name}</body>")
                self.assertEqual(self.listener.peer.bodies, [name])
                self.network.cut(lambda link: link.server[0] == "127.0.9.1")
                self.network.pump()

    def test_offer(self) -> None:
        """It is offered, whoever connects; behind authentication no more."""
        peer = self.dial(self.issue())
        self.assertIn(OFFER, self.say(peer, opening())[1])
        self.assertNotIn("bidi", "".join(self.say(peer, external(), opening())))

    def test_not_for_the_other_service(self) -> None:
        """Clients are offered nothing of the kind."""
        peer = self.dial()
        (features,) = self.say(peer, f"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{OURS}' version='1.0'/>")[1:]
        self.assertNotIn("bidi", features)


class Outgoing(S2SCase):
    """A stream that we opened to a server which offers both ways."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()
        self.listener: Listener | None = None

    def reached(self, kind: type[Script] = Script) -> Any:
        """The server, after a message was sent to it."""
        both = type("Both", (kind,), {"offer": OFFER + kind.offer})
        if self.listener is not None:
            self.listener.close()
        self.listener = self.listen(both)
        self.write(self.client)
        peer = self.listener.peer
        self.assertEqual(peer.bodies, ["Art thou not Romeo?"])
        return peer

    def test_asked_before_authentication(self) -> None:
        """We ask before SASL, and before dialback (XEP-0288, 2.2)."""
        self.assertEqual([text.partition(" ")[0] for text in self.reached().messages][:3], ["<open", "<bidi", "<auth"])

    def test_asked_before_dialback(self) -> None:
        """The same by dialback."""
        peer = self.reached(DialbackScript)
        self.assertEqual([text.partition(" ")[0] for text in peer.messages][:3], ["<open", "<bidi", "<db:result"])

    def test_answer(self) -> None:
        """What the server says for its domain arrives."""
        for kind in (Script, DialbackScript):
            with self.subTest(kind):
                peer = self.reached(kind)
                self.say(peer, message())
                self.client.expect(f"<message from='{ROMEO}'><body>hello</body></message>")

    def test_other_domains(self) -> None:
        """It speaks for the inverse of our pair: every other ends the stream, and is delivered to nobody."""
        for sender, to in ((f"x@{THIRD}", JULIET), (ROMEO, f"x@{THIRD}"), (JULIET, JULIET), (JULIET, ROMEO)):
            with self.subTest(sender=sender, to=to):
                peer = self.reached()
                condition, text = stream_error(self.say(peer, message(sender, to))[-2:])
                self.assertEqual(condition, "invalid-from")
                self.assertIn("not authorized", text)
        self.client.expect_nothing()

    def test_before_authentication(self) -> None:
        """A server that speaks before it knows us is not heard."""

        class Hasty(Script):
            offer = OFFER + EXTERNAL

            def text(self, text: str) -> None:
                if text.startswith("<auth "):
                    self.send(message())
                else:
                    super().text(text)

        self.listen(Hasty)
        self.write(self.client)
        self.assertIn("not-authorized", self.bounced(self.client)[1])
        self.client.expect_nothing()

    def test_piggybacking(self) -> None:
        """A further domain that the server proves on our stream is heard, and reached, on it; its authoritative server is
        asked on another."""
        peer = self.reached()
        asked = self.listen(DialbackScript, "127.0.9.3", self.issue(THIRD))
        (answer,) = self.say(peer, result(THIRD))[-1:]
        self.assertIn(f"from='{OURS}' to='{THIRD}' type='valid'", answer)
        self.say(peer, message(f"prince@{THIRD}"))
        self.client.expect(f"<message from='prince@{THIRD}'/>")
        self.write(self.client, f"prince@{THIRD}", "<body>to the prince</body>")
        self.assertEqual(peer.bodies[-1], "to the prince")
        self.assertEqual([one.bodies for one in asked.peers], [[]])

    routes = {THEIRS: ("127.0.9.1",), THIRD: ("127.0.9.3",)}

    def test_piggybacking_refused(self) -> None:
        """A claim that its authoritative server does not confirm, or one of our own domains, gets its refusal."""
        peer = self.reached()
        denies = type("Denies", (DialbackScript,), {"verify": lambda self, text: Script.verify(self, text, "invalid")})
        self.listen(denies, "127.0.9.3", self.issue(THIRD))
        self.assertIn("type='invalid'", self.say(peer, result(THIRD))[-1])
        self.assertIn("not-allowed", self.say(peer, result(OURS))[-1])
        self.assertEqual(stream_error(self.say(peer, message(f"prince@{THIRD}"))[-2:])[0], "invalid-from")

    def test_gone_while_a_claim_is_judged(self) -> None:
        """A stream that ends meanwhile takes the question with it."""
        peer = self.reached()
        waits = self.listen(type("Waits", (DialbackScript,), {"verify": lambda *_: None}), "127.0.9.3", self.issue(THIRD))
        self.say(peer, result(THIRD))
        peer.abort()
        self.network.pump()
        self.assertIsNotNone(waits.peer.lost)


class PolicyExternal(S2SCase):
    """Under the policy `external` nobody proves anything by dialback, on whatever stream."""

    trust = "external"

    def test_claim_on_our_stream(self) -> None:
        """A claim is an element without meaning there."""
        listener = self.listen(type("Both", (Script,), {"offer": OFFER + EXTERNAL}))
        self.write(self.juliet())
        self.assertEqual(stream_error(self.say(listener.peer, result(THIRD))[-2:])[0], "unsupported-stanza-type")


class BothOfOurs(S2SCase):
    """Two of our servers."""

    def test_one_connection(self) -> None:
        """A conversation takes one connection between them, over every wire; after its end another one."""
        for wire in WAYS:
            with self.subTest(wire):
                federation = Federation(OURS, THEIRS, wire=wire)  # type: ignore[arg-type]  # these are its wires
                self.addCleanup(federation.cleanup)
                juliet, romeo = federation.client(JULIET), federation.client(ROMEO)
                for number in range(3):
                    juliet.send(f"<message to='{ROMEO}' id='{number}'/>")
                    romeo.expect(f"<message id='{number}'/>")
                    romeo.send(f"<message to='{JULIET}' id='{number}'/>")
                    juliet.expect(f"<message id='{number}'/>")
                    self.assertEqual(len([one for one in federation.network.links if federation.between_servers(one)]), 1)
                    if number == 1:
                        federation.network.cut(federation.between_servers)
                        federation.network.pump()

    def test_both_at_once(self) -> None:
        """Who connect to each other at the same moment have two streams, and every message arrives once and in order."""
        federation = Federation(OURS, THEIRS)
        self.addCleanup(federation.cleanup)
        juliet, romeo = federation.client(JULIET), federation.client(ROMEO)
        federation.network.delay(0.1)
        for number in range(20):
            juliet.connection.send(self.stanza(ROMEO, number))
            romeo.connection.send(self.stanza(JULIET, number))
            federation.advance(0.1)
        federation.advance(5)
        for client in (juliet, romeo):
            self.assertEqual([one.id for one in client.received], [str(number) for number in range(20)])

    def stanza(self, to: str, number: int) -> Stanza:
        """A message of a client."""
        return Stanza.from_element(parse_tree(f"<message xmlns='jabber:client' to='{to}' id='{number}'/>".encode()))
