"""Tests for `xmppfed.core.ledger`."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import stanza
from xmppfed.core.ledger import NS, Ledger
from xmppfed.errors import StreamCondition, StreamError

GREATEST = 2**32 - 1


def ledger(acknowledged: int = 0, handled: int = 0, most_stanzas: int = 500, most_bytes: int = 10_000) -> Ledger:
    """One whose counters stand there."""
    made = Ledger("id", most_stanzas=most_stanzas, most_bytes=most_bytes)
    made.acknowledged, made.handled = acknowledged, handled
    return made


def ids(made: Ledger) -> list[str | None]:
    """Of what lacks its acknowledgement."""
    return [sent.stanza.id for sent in made.unacknowledged]


class HandledTests(SynchronousTestCase):
    """What we took over."""

    def test_counted(self) -> None:
        """Each stanza is one (XEP-0198, 4)."""
        made = ledger()
        self.assertEqual(made.answer(), f"<a xmlns='{NS}' h='0'/>")
        made.took()
        made.took()
        self.assertEqual(made.answer(), f"<a xmlns='{NS}' h='2'/>")

    def test_zero_follows_the_greatest(self) -> None:
        """The counter has 32 bits."""
        made = ledger(handled=GREATEST)
        made.took()
        self.assertEqual(made.handled, 0)


class AcknowledgedTests(SynchronousTestCase):
    """What the peer took over."""

    def sent(self, number: int, acknowledged: int = 0) -> Ledger:
        """So many stanzas of 100 bytes each."""
        made = ledger(acknowledged)
        for each in range(number):
            made.sent(stanza(id=str(each)), 100)
        return made

    def test_in_order(self) -> None:
        """The first are handled first; the same number again is no news."""
        made = self.sent(5)
        self.assertEqual(made.acknowledge("2"), 2)
        self.assertEqual((ids(made), made.size), (["2", "3", "4"], 300))
        self.assertEqual(made.acknowledge("2"), 0)
        self.assertEqual(made.acknowledge("5"), 3)
        self.assertEqual((ids(made), made.size), ([], 0))

    def test_zero_follows_the_greatest(self) -> None:
        """Counting goes on across the greatest number."""
        made = self.sent(3, GREATEST - 1)
        self.assertEqual(made.acknowledge(str(GREATEST)), 1)
        self.assertEqual(made.acknowledge("1"), 2)

    def test_too_high(self) -> None:
        """Who acknowledges more than was sent ends the stream, which says both numbers (XEP-0198, 6); so does who takes back
        what it has acknowledged."""
        for h, before in (("4", 0), ("0", 1), (str(GREATEST), 0)):
            made = self.sent(3)
            made.acknowledge(str(before))
            error = self.assertRaises(StreamError, made.acknowledge, h)
            self.assertIs(error.condition, StreamCondition.UNDEFINED_CONDITION)
            self.assertIn(f"<handled-count-too-high xmlns='{NS}' h='{h}' send-count='3'/></stream:error>", error.to_xml())
            self.assertEqual(made.acknowledged, before)

    def test_no_number(self) -> None:
        """What is no unsigned number of 32 bits ends the stream as well."""
        for h in (None, "", "-1", "x", "١", "1.0", "+1", str(GREATEST + 1), "0" * 11):
            error = self.assertRaises(StreamError, self.sent(3).acknowledge, h)
            self.assertIs(error.condition, StreamCondition.BAD_FORMAT)

    def test_forgotten(self) -> None:
        """What is given back to its owner was never sent, as far as the counters know."""
        made = self.sent(3)
        made.acknowledge("1")
        self.assertEqual([sent.stanza.id for sent in made.forget()], ["1", "2"])
        self.assertEqual((made.size, made.acknowledge("1")), (0, 0))
        self.assertRaises(StreamError, made.acknowledge, "2")

    def test_bounds(self) -> None:
        """It is full with so many stanzas, or so many bytes, and until some are acknowledged."""
        few, short = ledger(most_stanzas=2), ledger(most_bytes=150)
        for made in (few, short):
            made.sent(stanza(), 100)
            self.assertFalse(made.full)
            made.sent(stanza(), 100)
            self.assertTrue(made.full)
            made.acknowledge("1")
            self.assertFalse(made.full)

    @given(
        st.integers(0, GREATEST),
        st.lists(st.one_of(st.just("send"), st.just("forget"), st.integers(0, 3), st.integers(0, GREATEST)), max_size=50),
    )
    def test_any_order(self, start: int, happenings: Sequence[str | int]) -> None:
        """Whatever is sent and acknowledged: what is kept is what was sent last, and every number that is taken lies between
        what was acknowledged and what was sent."""
        made, sent, kept = ledger(start), 0, 0
        for what in happenings:
            if what == "send":
                made.sent(stanza(id=str(sent)), 10)
                sent, kept = sent + 1, kept + 1
            elif what == "forget":
                made.forget()
                kept = 0
            else:
                h = (made.acknowledged + int(what)) % 2**32
                if int(what) <= kept:
                    self.assertEqual(made.acknowledge(str(h)), what)
                    kept -= int(what)
                else:
                    self.assertRaises(StreamError, made.acknowledge, str(h))
            self.assertEqual(made.size, 10 * kept)
            self.assertEqual(ids(made), [str(number) for number in range(sent - kept, sent)])
