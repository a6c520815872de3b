"""Tests for `xmppfed.e2e.stream`: what one end makes of another that is written by hand."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Protocol

from tests.e2e.ends import JULIET, PORT, ROMEO, TIMEOUTS, End, EndsCase
from tests.testing.peers import Recorder, Remembering
from xmppfed.core.namespaces import NS_STREAM
from xmppfed.e2e.peers import Peers
from xmppfed.e2e.trust import Acquaintance, Policy, Trust, same
from xmppfed.errors import StreamCondition
from xmppfed.net.tcp import hand_over
from xmppfed.net.tls import client_connection_creator, tls_client_factory

HERE = "192.0.2.1"
CLOSE = "</stream:stream>"
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>%s</auth>"


def header(sender: str | None = JULIET, to: str | None = ROMEO, version: str | None = "1.0") -> str:
    """A stream header."""
    attributes = {"from": sender, "to": to, "version": version}
    written = "".join(f" {name}='{value}'" for name, value in attributes.items() if value is not None)
    return f"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='{NS_STREAM}'{written}>"


def said(body: str, **attributes: str) -> str:
    """A message."""
    written = "".join(f" {name}='{value}'" for name, value in attributes.items())
    return f"<message{written}><body>{body}</body></message>"


class ByHand(EndsCase):
    """Romeo, and somebody at Juliet's address who is written by hand."""

    def romeo(self, policy: Policy = Policy.PLAIN, **more: Any) -> End:
        """Who is under test; he knows Juliet to be at her address."""
        end = self.end(ROMEO, "192.0.2.2", policy, **more)
        end.map.places[JULIET] = HERE
        return end

    def call(self, *pieces: str, place: str = HERE) -> Recorder:
        """Connect, and say something."""
        made = Remembering()
        connecting = TCP4ClientEndpoint(self.network.reactor, "192.0.2.2", PORT, bindAddress=(place, 0)).connect(made)
        self.network.pump()
        self.successResultOf(connecting)
        self.say(made.built[0], *pieces)
        recorder: Recorder = made.built[0]
        return recorder

    def answer(self, *answers: str, kind: type[Protocol] | None = None) -> Remembering:
        """Be there, and answer the first piece with each of these."""

        class Answering(Recorder):
            def dataReceived(self, data: bytes) -> None:
                if not self.deliveries:
                    self.transport.write("".join(answers).encode())
                super().dataReceived(data)

        made = Remembering(kind or Answering)
        listening = TCP4ServerEndpoint(self.network.reactor, PORT, interface=HERE).listen(made)
        self.ports.append(self.successResultOf(listening))
        return made

    def say(self, peer: Any, *pieces: str) -> str:
        """Say each piece, and see what comes back."""
        before = len(peer.received)
        for piece in pieces:
            peer.transport.write(piece.encode())
            self.network.pump()
        return peer.received[before:].decode()

    def leave(self, peer: Any) -> None:
        """Close the stream and the connection, as who closes first does."""
        peer.transport.write(CLOSE.encode())
        peer.transport.loseConnection()
        self.network.pump()

    def secure(self, peer: Recorder, certificate: Any = None) -> Recorder:
        """TLS from here, showing a certificate or none."""
        made = Remembering()
        creator = client_connection_creator("", certificate, self.trust)
        hand_over(peer.transport, tls_client_factory(creator, made, self.network.reactor))
        self.network.pump()
        recorder: Recorder = made.built[0]
        return recorder

    def ended(self, peer: Recorder, condition: str) -> None:
        """The stream has ended with this error."""
        self.network.pump()
        self.assertIn(f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'>", peer.received.decode())
        self.assertTrue(peer.received.decode().endswith(CLOSE))


class Legacy(ByHand):
    """E9, M3: a peer of old."""

    def test_called(self) -> None:
        """Its header has no version; ours has none either, no features follow, and stanzas pass at once both ways."""
        romeo = self.romeo()
        peer = self.call(header(version=None), said("hello"))
        self.assertEqual(romeo.heard.bodies, [(JULIET, "hello")])
        self.assertNotIn("version", peer.received.decode().partition("?>")[2])
        self.assertNotIn("features", peer.received.decode())
        romeo.say("and you", JULIET)
        self.network.pump()
        self.assertIn("and you", peer.received.decode())
        self.assertEqual(romeo.heard.people, [f"+{JULIET} plain"])

    def test_calling(self) -> None:
        """It answers with such a header, and is talked to."""
        romeo = self.romeo()
        made = self.answer(header(JULIET, ROMEO, None))
        romeo.say("hello", JULIET)
        self.network.pump()
        self.assertIn("<body>hello</body>", made.built[0].received.decode())
        self.assertTrue(made.built[0].received.decode().startswith(header(ROMEO, JULIET)))

    def test_refused(self) -> None:
        """L22: where TLS is wanted it is sent away, without a stanza having passed."""
        romeo = self.romeo(Policy.FIRST_USE)
        peer = self.call(header(version=None), said("hello"))
        self.assertEqual((romeo.heard.bodies, peer.received.decode()[-len(CLOSE) :]), ([], CLOSE))
        self.assertNotIn("stream:error", peer.received.decode())

    def test_nameless(self) -> None:
        """E5: who gives no name is the one peer that is known at its address."""
        romeo = self.romeo()
        romeo.map.announced = {HERE: [JULIET]}
        self.call(header(None, None, None), said("hello"))
        self.assertEqual(romeo.heard.bodies, [(JULIET, "hello")])

    def test_nameless_among_others(self) -> None:
        """E5: where several are known it is one of them, and says which with its first stanza; nobody else is believed."""
        romeo = self.romeo()
        romeo.map.announced = {HERE: [JULIET, "nurse@pronto"]}
        self.call(header(None, None, None), said("hello", **{"from": "nurse@pronto"}))
        self.call(header(None, None, None), said("hello", **{"from": "tybalt@verona"}))
        self.assertEqual(romeo.heard.bodies, [("nurse@pronto", "hello")])

    def test_looking_around_takes_time(self) -> None:
        """M4: until it is known who is at the address, what it says waits; it may be gone by then."""
        romeo = self.romeo()
        romeo.map.announced, romeo.map.slow = {HERE: [JULIET]}, True
        self.call(header(version=None), said("hello"))
        gone = self.call(header(version=None), said("gone"))
        gone.transport.abortConnection()
        self.network.pump()
        self.assertEqual(romeo.heard.bodies, [])
        for waiting in romeo.map.waiting:
            waiting.callback(None)
        self.network.pump()
        self.assertEqual(romeo.heard.bodies, [(JULIET, "hello")])

    def test_looking_around_fails(self) -> None:
        """A fault of ours is logged, and lets nobody in."""
        romeo = self.romeo()
        romeo.map.slow = True
        peer = self.call(header(version=None), said("hello"))
        romeo.map.waiting[0].errback(ValueError("a bug"))
        self.network.advance(60)
        self.assertEqual((romeo.heard.bodies, len(self.flushLoggedErrors(ValueError))), ([], 1))
        self.assertIsNotNone(peer.lost)

    def test_named_by_the_first_stanza(self) -> None:
        """E5: somebody unknown is nobody until a stanza has its name; then it is talked to on the same stream."""
        romeo = self.romeo()
        peer = self.call(header(None, None, None), place="192.0.2.9")
        self.assertEqual(romeo.heard.people, [])
        self.say(peer, said("hello", **{"from": "tybalt@verona"}), said("again"))
        self.assertEqual(romeo.heard.bodies, [("tybalt@verona", "hello"), ("tybalt@verona", "again")])
        romeo.say("you", "tybalt@verona")
        self.network.pump()
        self.assertIn("<body>you</body>", peer.received.decode())

    def test_never_named(self) -> None:
        """E5: without any name there is nobody to talk to."""
        romeo = self.romeo()
        peer = self.call(header(None, None, None), said("hello"), place="192.0.2.9")
        self.assertEqual((romeo.heard.bodies, peer.received.decode()[-len(CLOSE) :]), ([], CLOSE))

    def test_encrypted_before(self) -> None:
        """T7, E5: a name that was encrypted before is not had without TLS, neither by a header nor by a first stanza."""
        romeo = self.romeo()
        romeo.store.keep(Acquaintance(name="tybalt@verona", trust=Trust.FIRST_USE, spki_sha256=b"k" * 32))
        for pieces in (
            (header("tybalt@verona", version=None), said("hello")),
            (header(None, None, None), said("hello", **{"from": "tybalt@verona"})),
            (header("tybalt@verona"), said("hello")),
        ):
            self.call(*pieces, place="192.0.2.9")
        self.assertEqual((romeo.heard.bodies, romeo.heard.people), ([], []))

    def test_wrong_recipient(self) -> None:
        """E20: it may be wrong about our name, in its header and in its stanzas."""
        romeo = self.romeo()
        self.call(header(to="romeo@other", version=None), said("hello", to="romeo@other"))
        self.assertEqual([stanza.attributes["to"] for stanza in romeo.heard.stanzas], [ROMEO])

    def test_replaced(self) -> None:
        """X3, M5: its newest stream is used; the older one stays until it closes it, and nothing is sent twice."""
        romeo = self.romeo()
        one = self.call(header(version=None), said("one"))
        other = self.call(header(version=None), said("two"))
        romeo.say("answer", JULIET)
        self.network.pump()
        self.assertEqual(("answer" in one.received.decode(), "answer" in other.received.decode()), (False, True))
        self.say(one, CLOSE)
        self.assertEqual(other.received.decode().count("answer"), 1)

    def test_crossing(self) -> None:
        """X3, M5: when streams have crossed and it drops ours, what we sent there goes on the other, in order."""
        romeo = self.romeo()
        made = self.answer(header(JULIET, ROMEO, None))
        romeo.say("one", JULIET)
        romeo.say("two", JULIET)
        self.network.pump()
        theirs = self.call(header(version=None))
        self.leave(made.built[0])
        self.assertRegex(theirs.received.decode(), "<body>one</body>.*<body>two</body>")

    def test_called_while_calling(self) -> None:
        """X3, M5: while we call it nothing is sent on the stream that it has opened: it drops that when it sees our call."""
        romeo = self.romeo()
        made = self.answer()
        romeo.say("one", JULIET)
        self.network.pump()
        theirs = self.call(header(version=None), said("hello"))
        romeo.say("two", JULIET)
        self.say(made.built[0], header(JULIET, ROMEO, None))
        self.assertEqual(romeo.heard.bodies, [(JULIET, "hello")])
        self.assertNotIn("body", theirs.received.decode())
        self.assertRegex(made.built[0].received.decode(), "<body>one</body>.*<body>two</body>")
        self.say(theirs, CLOSE)
        self.assertEqual(made.built[0].received.decode().count("<body>"), 2)

    def test_called_while_calling_in_vain(self) -> None:
        """X3: where our call comes to nothing, what waits goes on the stream that the peer has opened."""
        romeo = self.romeo()
        made = self.answer()
        romeo.say("one", JULIET)
        self.network.pump()
        theirs = self.call(header(version=None))
        self.assertNotIn("body", theirs.received.decode())
        made.built[0].transport.abortConnection()
        self.network.pump()
        self.assertIn("<body>one</body>", theirs.received.decode())

    def test_closes_what_it_has_opened(self) -> None:
        """M6: a peer that says something and closes, as soon as it has an answer, is neither called nor told it again."""
        romeo = self.romeo()
        made = self.answer(header(JULIET, ROMEO, None))
        theirs = self.call(header(version=None), said("hello"))
        romeo.say("and you", JULIET)
        self.network.pump()
        self.say(theirs, CLOSE)
        self.network.advance(5)
        self.assertEqual((made.built, romeo.heard.people), ([], [f"+{JULIET} plain", f"-{JULIET}"]))

    def test_dropped_at_once(self) -> None:
        """M4: a peer that resets the connection is tried again a little later, and not for ever."""
        romeo = self.romeo()

        class Resetting(Recorder):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                self.transport.abortConnection()

        made = self.answer(kind=Resetting)
        romeo.say("hello", JULIET)
        self.network.advance(1)
        self.assertEqual(len(made.built), 1)
        self.network.advance(10)
        self.assertEqual(len(made.built), 3)
        self.assertEqual([body for body, _ in romeo.heard.bounced], ["hello"])

    def test_delivered_after_a_while(self) -> None:
        """A stream that ends after the time of crossings has delivered what it was given."""
        romeo = self.romeo()
        made = self.answer(header(JULIET, ROMEO, None))
        romeo.say("one", JULIET)
        self.network.advance(4)
        romeo.say("two", JULIET)
        self.network.pump()
        self.say(made.built[0], CLOSE)
        self.network.advance(5)
        self.assertEqual((len(made.built), romeo.heard.people[-1]), (1, f"-{JULIET}"))


class Modern(ByHand):
    """A peer with version 1.0."""

    def test_without_tls(self) -> None:
        """E15: features without anything mandatory are the end of negotiation."""
        romeo = self.romeo()
        peer = self.call(header())
        self.assertRegex(
            peer.received.decode(), r"version='1.0'.*<stream:features.*<starttls [^>]*></starttls></stream:features>$"
        )
        self.say(peer, said("hello"))
        self.assertEqual(romeo.heard.bodies, [(JULIET, "hello")])

    def test_tls_wanted(self) -> None:
        """T1: where TLS is wanted the offer says so, and a stanza before it ends the stream."""
        romeo = self.romeo(Policy.FIRST_USE)
        peer = self.call(header())
        self.assertIn("<required/>", peer.received.decode())
        self.say(peer, said("hello"))
        self.ended(peer, "not-authorized")
        self.assertEqual(romeo.heard.bodies, [])

    def test_smuggled(self) -> None:
        """E13: a stanza in the same packet as `<starttls/>` ends the stream: it is a third party's."""
        romeo = self.romeo()
        peer = self.call(header(), STARTTLS + said("smuggled"))
        self.ended(peer, "not-authorized")
        self.assertEqual(romeo.heard.bodies, [])

    def tls(self, name: str = JULIET, certificate: Any = None, policy: Policy = Policy.FIRST_USE) -> tuple[End, Recorder]:
        """Up to the header under TLS."""
        romeo = self.romeo(policy)
        peer = self.call(header(name), STARTTLS)
        self.assertTrue(peer.received.decode().endswith("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"))
        secured = self.secure(peer, certificate)
        self.say(secured, header(name))
        return romeo, secured

    def test_external(self) -> None:
        """T5: EXTERNAL with the name of the header, or none; the stream begins anew behind it."""
        romeo, peer = self.tls(certificate=self.certificate(JULIET))
        self.assertIn("<mechanism>EXTERNAL</mechanism>", peer.received.decode())
        self.assertIn("success", self.say(peer, AUTH % "="))
        self.assertIn("features", self.say(peer, header(), said("hello")))
        self.assertEqual(romeo.heard.bodies, [(JULIET, "hello")])

    def test_other_identity(self) -> None:
        """T5: an authorization identity of somebody else is refused as such."""
        romeo, peer = self.tls(certificate=self.certificate(JULIET))
        self.assertIn("invalid-authzid", self.say(peer, AUTH % "dHliYWx0QHZlcm9uYQ=="))
        self.assertIn("success", self.say(peer, AUTH % "anVsaWV0QHByb250by9iYWxjb255"))
        self.assertEqual(romeo.heard.people, [])

    def test_without_external(self) -> None:
        """E14: SASL may be left out: TLS has shown who the peer is."""
        romeo, peer = self.tls(certificate=self.certificate(JULIET))
        self.say(peer, said("hello"))
        self.assertEqual((romeo.heard.bodies, romeo.heard.people), ([(JULIET, "hello")], [f"+{JULIET} first-use"]))

    def test_without_certificate(self) -> None:
        """T2: who shows no certificate is nobody, although TLS hides what it says."""
        romeo, peer = self.tls()
        self.ended(peer, "not-authorized")
        self.assertEqual(romeo.heard.people, [])

    def test_without_certificate_where_plain_will_do(self) -> None:
        """TLS without a certificate earns no more than `plain`."""
        romeo, peer = self.tls(policy=Policy.PLAIN)
        self.say(peer, said("hello"))
        self.assertEqual(romeo.heard.people, [f"+{JULIET} plain"])

    def test_decided_during_the_handshake(self) -> None:
        """T4: what is known of a name may change while somebody takes time to introduce itself: a key that has come first
        meanwhile, or was paired, stays the one, and who shows another is refused, and replaces nobody."""
        for word in (Trust.FIRST_USE, Trust.PAIRED):
            with self.subTest(word=word):
                self.ends.clear()
                self.setUp()
                romeo, peer = self.tls(certificate=self.certificate(JULIET))
                true = Acquaintance(name=JULIET, trust=word, spki_sha256=b"k" * 32, last_seen=1.8e9)
                romeo.store.keep(true)
                self.say(peer, AUTH % "=", header())
                self.network.advance(2)
                self.ended(peer, "not-authorized")
                self.assertEqual((romeo.store.all(), romeo.heard.people), ([true], []))

    def test_plain_beside_a_key(self) -> None:
        """T7: when somebody comes with a key, who speaks under that name without one is sent away, on every stream of ours."""
        for version in (None, "1.0"):
            with self.subTest(version=version):
                self.ends.clear()
                self.setUp()
                romeo = self.romeo()
                nurse = Peers(romeo.local, "nurse@forza", None, romeo.store, Policy.PLAIN, romeo.heard, romeo.map)
                hosts: dict[str | None, Any] = {"nurse@forza": nurse, ROMEO: romeo.peers}
                romeo.listener._hosts = hosts.get
                plain = [self.call(header(to=to, version=version), said("plain")) for to in (ROMEO, "nurse@forza")]
                peer = self.call(header(), STARTTLS)
                secured = self.secure(peer, self.certificate(JULIET))
                self.say(secured, header(), said("with a key"))
                for one in plain:
                    self.say(one, said("still here"))
                    self.assertTrue(one.received.decode().endswith(CLOSE))
                romeo.say("for juliet", JULIET)
                self.network.advance(3)
                self.assertIn("for juliet", secured.received.decode())
                self.assertEqual([body for _, body in romeo.heard.bodies], ["plain", "plain", "with a key"])
                self.assertEqual([len(one.streams()) for one in (romeo.peers, nurse)], [1, 0])

    def test_left_during_the_handshake(self) -> None:
        """L14: who has left meanwhile hears nothing more, whoever was about to introduce themselves."""
        romeo, peer = self.tls(certificate=self.certificate(JULIET))
        self.say(peer, AUTH % "=")
        romeo.peers.stop()
        self.say(peer, header(), said("too late"))
        self.ended(peer, "not-authorized")
        self.assertEqual((romeo.heard.bodies, romeo.heard.people), ([], []))

    def test_gone_before_it_was_met(self) -> None:
        """X5: of who asks for a session that there is not, and leaves, nothing is kept."""
        romeo, peer = self.tls(certificate=self.certificate(JULIET))
        self.say(peer, AUTH % "=")
        self.assertIn("item-not-found", self.say(peer, header(), "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>"))
        peer.transport.abortConnection()
        self.network.advance(2)
        self.assertEqual(romeo.peers._peers, {})

    def test_other_name_under_tls(self) -> None:
        """Under TLS the stream is for the same one of us as before."""
        self.romeo()
        secured = self.secure(self.call(header(), STARTTLS), self.certificate(JULIET))
        self.say(secured, header(to="tybalt@verona"))
        self.ended(secured, "host-unknown")

    def test_named_by_the_certificate(self) -> None:
        """E5: under TLS, who gives no name has the one of its certificate; of a certificate with several it has none."""
        for number, (more, people) in enumerate(
            (({}, [f"+{JULIET} first-use"]), ({"dns": ("capulet.example",)}, [])),
        ):
            with self.subTest(more=more):
                self.ends.clear()
                self.setUp()
                certificate = self.certificate(JULIET) if not number else self.two_names()
                romeo = self.romeo()
                secured = self.secure(self.call(header(None), STARTTLS), certificate)
                self.say(secured, header(None), said("hello"))
                self.assertEqual(romeo.heard.people, people)

    def two_names(self) -> Any:
        """A certificate for Juliet and for a domain."""
        from pathlib import Path

        from xmppfed.net.certificates import load_certificate

        path = Path(self.mktemp())
        path.write_bytes(self.authority.issue("capulet.example", xmpp_addresses=(JULIET,)))
        return load_certificate(path)

    def test_somebody_else_in_the_stanza(self) -> None:
        """E20: a stanza from somebody else ends the stream."""
        for sender in ("tybalt@verona", "@", "juliet@pronto.example"):
            with self.subTest(sender=sender):
                romeo = self.romeo()
                peer = self.call(header(), said("hello", **{"from": sender}))
                self.ended(peer, "invalid-from")
                self.assertEqual(romeo.heard.bodies, [])
                self.ports.pop().stopListening()
                self.network.pump()

    def test_full_addresses(self) -> None:
        """E4: full addresses in the headers are taken, and compared without their resources (what Jingle wants of them comes
        with Jingle)."""
        romeo = self.romeo()
        peer = self.call(header(f"{JULIET}/balcony"), said("one"), said("two", **{"from": f"{JULIET}/garden"}))
        self.assertEqual(romeo.heard.bodies, [(JULIET, "one"), (JULIET, "two")])
        romeo.say("answer", f"{JULIET}/balcony")
        self.network.pump()
        self.assertIn("answer", peer.received.decode())

    def test_not_for_us(self) -> None:
        """E20: a stanza for somebody else is answered with item-not-found; answers and presence are dropped."""
        romeo = self.romeo()
        peer = self.call(header())
        answer = self.say(peer, said("hello", to="tybalt@verona", id="1"))
        self.assertIn("<item-not-found", answer)
        self.assertIn("id='1'", answer)
        for dropped in (said("x", to="tybalt@verona", type="error"), "<presence to='tybalt@verona'/>"):
            self.assertEqual(self.say(peer, dropped), "")
        self.say(peer, said("for us", to=ROMEO))
        self.assertEqual(romeo.heard.bodies, [(JULIET, "for us")])

    def test_nobody_of_that_name(self) -> None:
        """A header for somebody who is not here is answered as such."""
        self.romeo()
        self.ended(self.call(header(to="tybalt@verona")), "host-unknown")

    def test_errors_of_ours(self) -> None:
        """X1: what cannot be read ends the stream with the condition of the RFC, behind our header."""
        self.romeo()
        for wrong, condition in (
            ("<stream>", "invalid-namespace"),
            (header().replace("jabber:client", "jabber:server"), "invalid-namespace"),
            (header(version="0.1"), "unsupported-version"),
            (header() + "<a><b></a>", "not-well-formed"),
            (header() + "<!-- x -->", "restricted-xml"),
            (header() + "text<x/>", "bad-format"),
            (header() + "<message xmlns='jabber:server'/>", "invalid-namespace"),
            (header() + "<x xmlns='urn:x'/>", "unsupported-stanza-type"),
            (header() + "<message>" + "x" * 20_000, "policy-violation"),
            ("<?xml version='1.0' encoding='utf-16'?>", "unsupported-encoding"),
        ):
            with self.subTest(wrong=wrong[:80]):
                peer = self.call(wrong)
                self.ended(peer, condition)
                self.assertIn("<stream:stream", peer.received.decode())

    def test_errors_of_theirs(self) -> None:
        """X1: every condition of the RFC is understood, and told to who waits for the stream."""
        romeo = self.romeo()
        for condition in StreamCondition:
            with self.subTest(condition=condition):
                error = f"<stream:error><{condition.value} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
                self.answer(header(JULIET, ROMEO), error)
                romeo.say("hello", JULIET)
                self.network.pump()
                self.assertIn(condition.value, romeo.heard.bounced.pop()[1])
                self.ports.pop().stopListening()
                self.network.pump()

    def test_silence(self) -> None:
        """X5: a header within ten seconds, authentication within thirty."""
        self.romeo(Policy.FIRST_USE)
        silent, slow = self.call(), self.call(header())
        self.network.advance(10.5)
        self.assertIsNotNone(silent.lost)
        self.assertIsNone(slow.lost)
        self.network.advance(30)
        self.assertIn("connection-timeout", slow.received.decode())

    def test_strangers(self) -> None:
        """X5: one address has so many connections on which nobody is known yet, and no more."""
        romeo = self.romeo()
        romeo.admission._each = 2
        peers = [self.call(header()) for _ in range(3)]
        self.network.pump()
        self.assertEqual([peer.lost is None for peer in peers], [True, True, False])

    def test_streams_from_one_address(self) -> None:
        """X5: one address has so many streams, under whatever names."""
        romeo = self.romeo()
        peers = [self.call(header(f"p{number}@verona"), said("hello")) for number in range(TIMEOUTS.peer_streams + 1)]
        self.ended(peers[-1], "resource-constraint")
        self.assertEqual(len(romeo.heard.bodies), TIMEOUTS.peer_streams)
        self.leave(peers[0])
        self.call(header("late@verona"), said("hello"))
        self.assertEqual(len(romeo.heard.bodies), TIMEOUTS.peer_streams + 1)

    def test_flood(self) -> None:
        """X5: somebody whom nobody knows has to wait when it says too much at once; nothing is lost."""
        romeo = self.romeo()
        peer = self.call(header())
        for _ in range(3):
            peer.transport.write(said("x").encode() * 100)
            self.network.pump()
        self.assertEqual(len(romeo.heard.bodies), 100)
        self.network.advance(1.1)
        self.assertEqual(len(romeo.heard.bodies), 200)
        self.network.advance(5)
        self.assertEqual(len(romeo.heard.bodies), 300)

    def test_flood_that_ends(self) -> None:
        """X5: who leaves while it waits leaves nothing behind."""
        romeo = self.romeo()
        peer = self.call(header(), *[said("x") * 100])
        peer.transport.abortConnection()
        self.network.advance(5)
        self.assertEqual(len(romeo.heard.bodies), 100)

    def test_no_answer(self) -> None:
        """X5: who accepts the connection and says nothing is not waited for for ever."""
        romeo = self.romeo()
        self.answer()
        romeo.say("hello", JULIET)
        self.network.advance(TIMEOUTS.stream_open + TIMEOUTS.websocket_close)
        self.network.advance(60)
        self.assertEqual([body for body, _ in romeo.heard.bounced], ["hello"])


class Names(EndsCase):
    """When two names are one entity's."""

    def test_same(self) -> None:
        """Resources and capitals do not count; what is no JID is compared as it is."""
        for one, other, wanted in (
            (JULIET, JULIET.upper(), True),
            (JULIET, f"{JULIET}/balcony", True),
            ("Juliet Capulet@pronto", "juliet capulet@pronto", True),
            ("Juliet Capulet@pronto", "juliet capulet@pronto/x", True),
            ("a/b@pronto", "a/c@pronto", False),
            ("a/b@pronto", "A/B@pronto", True),
            ("muc.example/a", "MUC.example", True),
            ("straße@pronto", "xn@pronto", False),
            (JULIET, ROMEO, False),
            (JULIET, "", False),
        ):
            self.assertIs(same(one, other), wanted, (one, other))
