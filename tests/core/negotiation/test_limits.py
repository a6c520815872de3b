"""Tests for `xmppfed.core.negotiation.limits`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import DIALBACK, FIRST_LIMIT, FRAMINGS, LIMIT, Client, Server, ToPeer, auth, features, result
from tests.core.streams import stanza as a_stanza
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.bidi import NS as BIDI
from xmppfed.core.negotiation.bidi import ReceivingBidi
from xmppfed.core.negotiation.limits import NS, InitiatingLimits, ReceivingLimits, announcement
from xmppfed.core.sasl.steps import Claim
from xmppfed.errors import StanzaCondition, StanzaError


def limits(text: str) -> str:
    """As a peer writes them."""
    return f"<limits xmlns='{NS}'><max-bytes>{text}</max-bytes><idle-seconds>1800</idle-seconds></limits>"


class ReceivingTests(SynchronousTestCase):
    """We say what we take (XEP-0478, 3.1)."""

    def test_server(self) -> None:
        """A server hears at once what holds once stanzas may pass: behind dialback no features follow."""
        wired = Server()
        wired.receive(wired.header())
        wired.stream.accept("b.example", [ReceivingLimits(50), wired.dialback])
        self.assertIn(announcement(LIMIT, 50).encode(), wired.sent())

    def test_client(self) -> None:
        """A client hears what holds before login, and what holds then."""
        wired = Client()
        wired.receive(wired.header())
        wired.stream.accept("b.example", [wired.sasl, ReceivingLimits(30)])
        self.assertIn(announcement(FIRST_LIMIT, 30).encode(), wired.sent())
        wired.receive(auth("ANONYMOUS"))
        wired.sasl.accept(wired.stream, JID("juliet", "b.example"), Claim("ANONYMOUS"))
        wired.receive(wired.header())
        self.assertIn(announcement(LIMIT, 30).encode(), wired.sent())


class HonoredTests(SynchronousTestCase):
    """What is too long for the peer is not sent (XEP-0478, 4)."""

    def opened(self, *offers: str, framing: type = FRAMINGS[0]) -> ToPeer:
        wired = ToPeer(framing, before=[InitiatingLimits()])
        wired.opened().receive(features(*offers, DIALBACK))
        wired.receive(result(more=" type='valid'", key=""))
        wired.sent()
        return wired

    def test_too_long(self) -> None:
        """Measured as it would be written; the error has both figures, and the stream goes on."""
        for framing in FRAMINGS:
            wired = self.opened(limits("10000"), framing=framing)
            fits = a_stanza(body="x" * 9000)
            self.assertTrue(wired.stream.send(fits))
            size = len(wired.sent())
            room = 10_000 - size
            self.assertTrue(wired.stream.send(a_stanza(body="x" * (9000 + room))))
            self.assertEqual(len(wired.sent()), 10_000)
            refused = self.assertRaises(StanzaError, wired.stream.send, a_stanza(body="x" * (9001 + room)))
            self.assertIs(refused.condition, StanzaCondition.POLICY_VIOLATION)
            self.assertEqual(refused.text, "This stanza has 10001 bytes; a.example takes 10000 at most.")
            self.assertEqual(wired.sent(), b"")

    def test_nothing_said(self) -> None:
        """Without limits, or with what is no number, the owner's view stands."""
        for offers in ((), (limits("many"),), (limits("-1"),), (limits("12345678901"),), (f"<limits xmlns='{NS}'/>",)):
            self.assertIsNone(self.opened(*offers).stream.peer_limit)

    def test_bidi(self) -> None:
        """Who opened a bidirectional stream says in `<bidi/>` what it takes (XEP-0478, 3.2)."""
        wired = Server()
        wired.receive(wired.header())
        wired.stream.accept("b.example", [ReceivingBidi(), wired.dialback])
        wired.receive(f"<bidi xmlns='{BIDI}'>{limits('20000')}</bidi>")
        self.assertEqual((wired.stream.peer_limit, wired.stream.bidirectional), (20_000, True))
