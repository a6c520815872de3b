"""Tests for `xmppfed.core.negotiation.bidi`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import (
    DIALBACK,
    FRAMINGS,
    LIMIT,
    MECHANISMS,
    PAIR,
    FramingType,
    Server,
    ToPeer,
    auth,
    features,
    kinds,
    result,
)
from xmppfed.core.events import Authenticated, DialbackRequested, Established, Pair, StanzaReceived, StreamFailed
from xmppfed.core.framing import MessageFraming
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.bidi import NS, NS_FEATURE, InitiatingBidi, ReceivingBidi
from xmppfed.core.negotiation.limits import announcement
from xmppfed.core.negotiation.sasl import InitiatingSASL
from xmppfed.core.sasl.external import ExternalClient
from xmppfed.core.sasl.steps import Claim
from xmppfed.errors import StreamCondition

OFFER = f"<bidi xmlns='{NS_FEATURE}'/>"
ASKED = f"<bidi xmlns='{NS}'/>"
ASKING = f"<bidi xmlns='{NS}'>{announcement(LIMIT, 50)}</bidi>"
MESSAGE = "<message xmlns='jabber:server' from='x@a.example' to='y@b.example'/>"


class ReceivingTests(SynchronousTestCase):
    """A server that opened a stream to us asks for it."""

    def opened(self, framing: FramingType = MessageFraming) -> Server:
        wired = Server(framing)
        wired.receive(wired.header())
        wired.stream.accept("b.example", [ReceivingBidi(), wired.sasl, wired.dialback])
        return wired

    def test_offered_until_authenticated(self) -> None:
        """It stands in the first features, and not in those behind SASL (XEP-0288, 2.2)."""
        wired = self.opened()
        self.assertIn(OFFER.encode(), wired.sent())
        wired.receive(auth("EXTERNAL"))
        wired.sasl.accept(wired.stream, JID("", "a.example"), Claim("EXTERNAL"))
        wired.receive(wired.header())
        sent = wired.sent()
        self.assertIn(b"<stream:features", sent)
        self.assertNotIn(b"bidi", sent)

    def test_agreed(self) -> None:
        """Asked for before authentication, by dialback or by SASL; there is no answer."""
        for framing in FRAMINGS:
            wired = self.opened(framing)
            wired.sent()
            self.assertFalse(wired.stream.bidirectional)
            self.assertEqual(wired.receive(ASKED), [])
            self.assertEqual(wired.sent(), b"")
            self.assertTrue(wired.stream.bidirectional)
            self.assertEqual(kinds(wired.receive(result())), [DialbackRequested])

    def test_too_late(self) -> None:
        """On an authenticated stream it ends the stream: who is trusted to do what has been settled."""
        for framing in FRAMINGS:
            wired = self.opened(framing)
            wired.receive(result())
            wired.dialback.answer(wired.stream, PAIR, True)
            (failed,) = [event for event in wired.receive(ASKED) if isinstance(event, StreamFailed)]
            self.assertIs(failed.error.condition, StreamCondition.UNSUPPORTED_STANZA_TYPE)
            self.assertFalse(wired.stream.bidirectional)


class InitiatingTests(SynchronousTestCase):
    """We open a stream and ask for it."""

    def opened(self, *offers: str, framing: FramingType = MessageFraming) -> ToPeer:
        sasl = InitiatingSASL(lambda offer: ExternalClient() if "EXTERNAL" in offer.mechanisms else None)
        wired = ToPeer(framing, before=[InitiatingBidi(50), sasl])
        wired.opened().receive(features(*offers))
        return wired

    def test_before_dialback(self) -> None:
        """It goes out before the key."""
        for framing in FRAMINGS:
            wired = self.opened(OFFER, DIALBACK, framing=framing)
            sent = wired.sent()
            self.assertTrue(sent.startswith(ASKING.encode() + b"<db:result "), sent)
            self.assertTrue(wired.stream.bidirectional)

    def test_before_sasl(self) -> None:
        """It goes out before `<auth/>`, and not again behind the restart, whatever is offered there."""
        wired = self.opened(OFFER, MECHANISMS % "EXTERNAL")
        self.assertTrue(wired.sent().startswith(ASKING.encode() + b"<auth "))
        wired.receive("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", wired.header(), features(OFFER))
        self.assertNotIn(b"bidi", wired.sent())

    def test_not_behind_authentication(self) -> None:
        """A server that offers it too late is not asked."""
        wired = self.opened(MECHANISMS % "EXTERNAL")
        wired.receive("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", wired.header(), features(OFFER))
        self.assertNotIn(b"bidi", wired.sent())
        self.assertFalse(wired.stream.bidirectional)

    def test_not_offered(self) -> None:
        """Without the offer we do not ask."""
        wired = self.opened(DIALBACK)
        self.assertTrue(wired.sent().startswith(b"<db:result "))
        self.assertFalse(wired.stream.bidirectional)

    def test_stanza(self) -> None:
        """Once the stream is established its owner hears what the server says."""
        wired = self.opened(OFFER, DIALBACK)
        wired.receive(result(more=" type='valid'", key=""))
        self.assertEqual(kinds(wired.receive(MESSAGE)), [StanzaReceived])

    def test_stanza_before_authentication(self) -> None:
        """The server must not send before it knows who we are (XEP-0288, 2.2)."""
        wired = self.opened(OFFER, DIALBACK)
        self.assertEqual(kinds(wired.receive(MESSAGE)), [StreamFailed])


class PiggybackTests(SynchronousTestCase):
    """On a bidirectional stream that we opened the server may claim pairs as well (XEP-0288, 2.2)."""

    MORE = Pair("conference.a.example", "b.example")

    def established(self, *offers: str) -> ToPeer:
        wired = ToPeer(before=[InitiatingBidi(50)])
        wired.opened().receive(features(*offers, DIALBACK))
        wired.receive(result(more=" type='valid'", key=""))
        wired.sent()
        return wired

    def test_claim(self) -> None:
        """The owner is asked, with the id of this stream, and answers."""
        wired = self.established(OFFER)
        asked = wired.receive(result("conference.a.example"), result("conference.a.example"))
        self.assertEqual(asked, [DialbackRequested(self.MORE, "key", "s1")])
        wired.dialback.answer(wired.stream, self.MORE, True)
        self.assertIn(b"from='b.example' to='conference.a.example' type='valid'", wired.sent())
        self.assertEqual(wired.stream.take_events(), [])

    def test_without_bidi(self) -> None:
        """On a stream that goes one way the server has nothing to claim: it is dropped."""
        self.assertEqual(self.established().receive(result("conference.a.example")), [])

    def test_before_authentication(self) -> None:
        """Before the server knows us it has nothing to claim, and no claim of its own ever authenticates us."""
        wired = ToPeer(before=[InitiatingBidi(50)])
        wired.opened().receive(features(OFFER, DIALBACK))
        self.assertEqual(wired.receive(result("conference.a.example")), [])
        wired.dialback.answer(wired.stream, self.MORE, True)
        self.assertFalse(wired.stream.authenticated)
        self.assertEqual(kinds(wired.receive(result(more=" type='valid'", key="")))[1:], [Authenticated, Established])
