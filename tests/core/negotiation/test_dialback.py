"""Tests for `xmppfed.core.negotiation.dialback`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import DIALBACK, FRAMINGS, PAIR, Server, ToPeer, features, kinds, result
from xmppfed.core.element import Element
from xmppfed.core.events import (
    Authenticated,
    DialbackRequested,
    Established,
    Event,
    KeyVerified,
    Pair,
    PairRefused,
    PairVerified,
    StreamFailed,
    VerifyRequested,
)
from xmppfed.core.framing import MessageFraming
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.dialback import MAX_KEY, MAX_PENDING, VerifyingDialback, dialback_key
from xmppfed.core.stream import State
from xmppfed.errors import StanzaCondition, StanzaError, StreamCondition

OURS = Pair("b.example", "a.example")
VERIFY = "<db:verify xmlns:db='jabber:server:dialback' from='%s' to='%s' id='%s'%s"


class KeyTests(SynchronousTestCase):
    """Keys are those of XEP-0185."""

    def test_example(self) -> None:
        """The vector of XEP-0185, 4."""
        self.assertEqual(
            dialback_key(b"s3cr3tf0rd14lb4ck", Pair("example.org", "xmpp.example.com"), "D60000229F"),
            "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643",
        )

    def test_everything_counts(self) -> None:
        """Another secret, sender, receiver or stream id is another key: that of a.example is not that of xa.example."""
        keys = [
            dialback_key(secret, Pair(sender, to), stream_id)
            for secret in (b"s", b"t")
            for sender in ("a.example", "xa.example", "b.example")
            for to in ("a.example", "b.example", "b.examplex")
            for stream_id in ("1", "a.example 1", "2")
        ]
        self.assertEqual(len(set(keys)), len(keys))


class ReceivingServerTests(SynchronousTestCase):
    """A server claims a pair on the stream it opened to us (XEP-0220, 2.1)."""

    def test_offered(self) -> None:
        """Always, with word that errors are understood."""
        wired = Server()
        wired.receive(wired.header())
        wired.stream.accept("b.example", [wired.dialback])
        self.assertIn(DIALBACK.encode(), wired.sent())

    def test_valid(self) -> None:
        """The first valid pair authenticates the stream as its sender, and establishes it."""
        for framing in FRAMINGS:
            wired = Server(framing).opened()
            self.assertEqual(wired.receive(result(key="\n  k\n")), [DialbackRequested(PAIR, "k", "id1")])
            wired.dialback.answer(wired.stream, PAIR, True)
            self.assertEqual(wired.stream.take_events(), [Authenticated(JID("", "a.example"), "dialback"), Established()])
            self.assertEqual(
                wired.sent(), b"<db:result xmlns:db='jabber:server:dialback' from='b.example' to='a.example' type='valid'/>"
            )
            self.assertIs(wired.stream.state, State.ESTABLISHED)

    def test_s2s_db_forged_result(self) -> None:
        """s2s-db-forged-result: a key that is not valid is answered so, authenticates nobody, and the stream lives."""
        wired = Server().opened()
        wired.receive(result(key="forged"))
        wired.dialback.answer(wired.stream, PAIR, False)
        self.assertIn(b" type='invalid'/>", wired.sent())
        self.assertEqual((wired.stream.take_events(), wired.stream.state), ([], State.NEGOTIATING))
        self.assertFalse(wired.stream.authenticated)
        self.assertEqual(kinds(wired.receive(result())), [DialbackRequested])

    def test_unknown_to(self) -> None:
        """A domain we do not serve is answered with an error, and the stream lives (XEP-0220, 2.4)."""
        wired = Server().opened()
        wired.receive(result(to="nobody.example"))
        wired.dialback.answer(
            wired.stream,
            Pair("a.example", "nobody.example"),
            False,
            StanzaError(StanzaCondition.ITEM_NOT_FOUND, text="Not <here>."),
        )
        self.assertEqual(
            wired.sent(),
            b"<db:result xmlns:db='jabber:server:dialback' from='nobody.example' to='a.example' type='error'>"
            b"<error xmlns='jabber:server' type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
            b"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Not &lt;here&gt;.</text></error></db:result>",
        )
        self.assertEqual(kinds(wired.receive(result())), [DialbackRequested])

    def test_error_without_text(self) -> None:
        """The condition is enough."""
        wired = Server().opened()
        wired.receive(result())
        wired.dialback.answer(wired.stream, PAIR, False, StanzaError(StanzaCondition.GONE))
        self.assertNotIn(b"<text", wired.sent())

    def test_more_pairs(self) -> None:
        """Each ordered pair is claimed by itself, also on an established stream; who the peer is does not change."""
        wired = Server().established()
        for pair in (Pair("c.example", "b.example"), Pair("a.example", "d.example"), Pair("b.example", "a.example")):
            self.assertEqual(wired.receive(result(pair.sender, pair.to)), [DialbackRequested(pair, "key", "id1")])
            wired.dialback.answer(wired.stream, pair, True)
            self.assertEqual(wired.stream.take_events(), [])
            self.assertIn(f" from='{pair.to}' to='{pair.sender}' type='valid'/>".encode(), wired.sent())
        self.assertEqual(wired.stream.peer, JID("", "a.example"))

    def test_asked_twice(self) -> None:
        """While the answer is awaited the same claim is not judged again; afterwards it is."""
        wired = Server().opened()
        self.assertEqual(len(wired.receive(result(), result(key="other"))), 1)
        wired.dialback.answer(wired.stream, PAIR, False)
        self.assertEqual(kinds(wired.receive(result())), [DialbackRequested])

    def test_unsolicited_answers(self) -> None:
        """Answers to what we never asked on this stream are dropped (XEP-0220, 2.1.1 and 2.2.2)."""
        wired = Server().opened()
        self.assertEqual(
            wired.receive(
                result(more=" type='valid'"), result(more=" type=''"), VERIFY % ("a.example", "b.example", "1", " type='valid'/>")
            ),
            [],
        )
        self.assertEqual((wired.sent(), wired.stream.state), (b"", State.NEGOTIATING))

    def test_unasked_and_late_answers_of_the_owner(self) -> None:
        """Nothing is said of a pair that was not claimed, nor behind the end."""
        wired = Server().opened()
        wired.dialback.answer(wired.stream, PAIR, True)
        wired.receive(result())
        wired.dialback.answer(wired.stream, Pair("xa.example", "b.example"), True)
        wired.stream.close()
        wired.sent()
        wired.dialback.answer(wired.stream, PAIR, True)
        self.assertEqual((wired.sent(), wired.stream.take_events()), (b"", []))
        self.assertFalse(wired.stream.authenticated)

    def test_1000_pairs(self) -> None:
        """1 000 pairs on one stream: what is answered is forgotten, what waits is bounded."""
        wired = Server().opened()
        for number in range(1000):
            pair = Pair(f"a{number}.example", "b.example")
            self.assertEqual(kinds(wired.receive(result(pair.sender))), [DialbackRequested])
            wired.dialback.answer(wired.stream, pair, False)
        wired = Server().opened()
        events: list[Event] = []
        for number in range(1000):
            events += wired.receive(result(f"a{number}.example"))
        self.assertEqual(kinds(events), [DialbackRequested] * MAX_PENDING + [StreamFailed])
        self.assertIs(wired.stream.failure and wired.stream.failure.condition, StreamCondition.POLICY_VIOLATION)

    def test_long_key(self) -> None:
        """A key has an end."""
        self.assertEqual(kinds(Server().opened().receive(result(key="k" * MAX_KEY))), [DialbackRequested])
        [event] = Server().opened().receive(result(key="k" * (MAX_KEY + 1)))
        assert isinstance(event, StreamFailed)
        self.assertIs(event.error.condition, StreamCondition.POLICY_VIOLATION)

    def test_addresses(self) -> None:
        """Both must be domains; they are compared prepared."""
        for sender, to in (
            ("", "b.example"),
            ("a.example", ""),
            ("a@b", "b.example"),
            ("a.example/r", "b.example"),
            ("a.example", "b@c"),
            ("@", "b"),
        ):
            [event] = Server().opened().receive(result(sender, to))
            assert isinstance(event, StreamFailed)
            self.assertIs(event.error.condition, StreamCondition.IMPROPER_ADDRESSING)
        self.assertEqual(Server().opened().receive(result("A.Example", "b.example.")), [DialbackRequested(PAIR, "key", "id1")])

    def test_undeclared_prefix(self) -> None:
        """As both known peers of XEP-0468 write it."""
        wired = Server(MessageFraming).opened()
        written = result().replace(b" xmlns:db='jabber:server:dialback'", b"")
        self.assertEqual(kinds(wired.receive(written)), [DialbackRequested])


class AuthoritativeServerTests(SynchronousTestCase):
    """Another server asks whether we made a key (XEP-0220, 2.2)."""

    def asked(self) -> Server:
        wired = Server().opened()
        self.assertEqual(
            wired.receive(VERIFY % ("a.example", "b.example", "77", "> key </db:verify>")), [VerifyRequested(OURS, "key", "77")]
        )
        return wired

    def test_answers(self) -> None:
        """Valid, invalid, or an error, for the id that was asked about; the stream is neither authenticated nor closed."""
        for valid, error, end in (
            (True, None, " type='valid'/>"),
            (False, None, " type='invalid'/>"),
            (False, StanzaError(StanzaCondition.ITEM_NOT_FOUND), " type='error'><error xmlns='jabber:server' type='cancel'>"),
        ):
            wired = self.asked()
            wired.dialback.answer_verify(wired.stream, OURS, "77", valid, error)
            self.assertIn(
                f"<db:verify xmlns:db='jabber:server:dialback' from='b.example' to='a.example' id='77'{end}",
                wired.sent().decode(),
            )
            self.assertIs(wired.stream.state, State.NEGOTIATING)

    def test_no_id(self) -> None:
        """A question about no stream is one that nothing fits."""
        wired = Server().opened()
        [event] = wired.receive("<db:verify xmlns:db='jabber:server:dialback' from='a.example' to='b.example'>k</db:verify>")
        self.assertEqual(event, VerifyRequested(OURS, "k", ""))


class InitiatingServerTests(SynchronousTestCase):
    """We claim a pair on a stream of ours."""

    def asked(self, *offered: str) -> ToPeer:
        wired = ToPeer().opened()
        self.assertEqual(wired.receive(features(*offered)), [])
        return wired

    def test_claim(self) -> None:
        """Where dialback is offered, or nothing is (servers of before 1.0 said nothing)."""
        for offered in ((DIALBACK,), ("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", DIALBACK), (), (" ",)):
            self.assertEqual(
                self.asked(*offered).sent(),
                b"<db:result xmlns:db='jabber:server:dialback' from='b.example' to='a.example'>"
                b"b.example&gt;a.example#s1</db:result>",
            )

    def test_not_offered(self) -> None:
        """Where only other things are offered, the error says which."""
        [event] = ToPeer().opened().receive(features("<x xmlns='urn:x'/>"))
        assert isinstance(event, StreamFailed)
        self.assertIs(event.error.condition, StreamCondition.UNSUPPORTED_FEATURE)

    def test_valid(self) -> None:
        """We may send for the pair."""
        wired = self.asked(DIALBACK)
        events = wired.receive(result(more=" type='valid'", key=""))
        self.assertEqual(events, [PairVerified(OURS), Authenticated(None, "dialback"), Established()])

    def test_refused(self) -> None:
        """The reason is told; a stream that is good for nothing is ended."""
        error = (
            "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
            f"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Nobody{'!' * 1000}</text></error>"
        )
        for kind, inside, reason in (
            ("invalid", "", "dialback answered 'invalid'"),
            ("error", error, "dialback answered 'error': item-not-found: Nobody" + "!" * 250),
            ("error", "", "dialback answered 'error'"),
        ):
            wired = self.asked(DIALBACK)
            [refused, failed] = wired.receive(result(more=f" type='{kind}'", key=inside))
            self.assertEqual(refused, PairRefused(OURS, reason))
            assert isinstance(failed, StreamFailed)
            self.assertIs(failed.error.condition, StreamCondition.NOT_AUTHORIZED)

    def test_more_pairs(self) -> None:
        """On an established stream; one that is refused does not end it."""
        wired = self.asked(DIALBACK)
        wired.receive(result(more=" type='valid'"))
        wired.sent()
        pair = Pair("c.example", "a.example")
        for kind, expected in (("valid", PairVerified(pair)), ("invalid", PairRefused(pair, "dialback answered 'invalid'"))):
            wired.dialback.request(wired.stream, pair)
            self.assertIn(b">c.example&gt;a.example#s1<", wired.sent())
            self.assertEqual(wired.receive(result("a.example", "c.example", more=f" type='{kind}'")), [expected])
        self.assertIs(wired.stream.state, State.ESTABLISHED)

    def test_unsolicited_answers(self) -> None:
        """Answers for other pairs, in the other direction, or given twice are dropped; so are requests."""
        wired = self.asked(DIALBACK)
        for sender, to, more in (
            ("xa.example", "b.example", " type='valid'"),
            ("b.example", "a.example", " type='valid'"),
            ("a.example", "c.example", " type='valid'"),
            ("a.example", "b.example", ""),
        ):
            self.assertEqual(wired.receive(result(sender, to, more=more)), [])
        self.assertFalse(wired.stream.authenticated)
        wired.receive(result(more=" type='valid'"))
        self.assertEqual(wired.receive(result(more=" type='invalid'")), [])

    def test_claimed_once(self) -> None:
        """By itself; what else is claimed is the owner's wish."""
        wired = self.asked(DIALBACK)
        wired.sent()
        self.assertFalse(wired.dialback.start(wired.stream, Element("features", "")))


class AskingBackTests(SynchronousTestCase):
    """We ask the authoritative server whether it made a key."""

    def asked(self) -> ToPeer:
        wired = ToPeer(verifying=VerifyingDialback(PAIR, "id1", "k<"))
        wired.opened().receive(features("<anything xmlns='urn:x'/>"))
        self.assertEqual(
            wired.sent(),
            b"<db:verify xmlns:db='jabber:server:dialback' from='b.example' to='a.example' id='id1'>k&lt;</db:verify>",
        )
        return wired

    def test_verdict(self) -> None:
        """Valid or not, with the reason; no authentication is needed for it."""
        for kind, verdict in (
            ("valid", KeyVerified(PAIR, "id1", True)),
            ("invalid", KeyVerified(PAIR, "id1", False, "dialback answered 'invalid'")),
        ):
            wired = self.asked()
            self.assertEqual(wired.receive(VERIFY % ("a.example", "b.example", "id1", f" type='{kind}'/>")), [verdict])
            self.assertFalse(wired.stream.authenticated)

    def test_other_answers(self) -> None:
        """Another pair or id, a question, a second answer: dropped."""
        wired = self.asked()
        for sender, to, id, more in (
            ("xa.example", "b.example", "id1", " type='valid'/>"),
            ("a.example", "c.example", "id1", " type='valid'/>"),
            ("a.example", "b.example", "id2", " type='valid'/>"),
            ("a.example", "b.example", "id1", "/>"),
        ):
            self.assertEqual(wired.receive(VERIFY % (sender, to, id, more)), [])
        self.assertEqual(len(wired.receive(VERIFY % ("a.example", "b.example", "id1", " type='invalid'/>"))), 1)
        self.assertEqual(wired.receive(VERIFY % ("a.example", "b.example", "id1", " type='valid'/>")), [])

    def test_asked_once(self) -> None:
        """When the verdict is in, there is nothing more to begin."""
        wired = self.asked()
        wired.receive(VERIFY % ("a.example", "b.example", "id1", " type='valid'/>"))
        wired.stream.advance()
        self.assertEqual(kinds(wired.stream.take_events()), [StreamFailed])
