"""Tests for `xmppfed.core.negotiation.fast`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.sasl.exchange import refusal
from tests.core.streams import ToServer2, authenticate
from xmppfed.core.element import Element
from xmppfed.core.events import TokenReceived
from xmppfed.core.negotiation.fast import NS, FastRequest, InitiatingFast, offer, read, token
from xmppfed.core.tree import parse_tree
from xmppfed.errors import SASLCondition, SASLError


def asked(*inside: str) -> FastRequest:
    """What a client asks for with these children."""
    return read(parse_tree(authenticate("X", None, *inside)))


class ReceivingTests(SynchronousTestCase):
    """What clients ask for, and are told."""

    def test_offer(self) -> None:
        """The mechanisms; early data is not offered (XEP-0484, 3.1)."""
        self.assertEqual(offer(["A", "B"]), f"<fast xmlns='{NS}'><mechanism>A</mechanism><mechanism>B</mechanism></fast>")

    def test_read(self) -> None:
        """A token, by a mechanism; a use, the last one, with a count."""
        for inside, expected in (
            ("", FastRequest()),
            (f"<request-token xmlns='{NS}' mechanism='A'/>", FastRequest("A")),
            (f"<request-token xmlns='{NS}'/>", FastRequest()),
            (f"<fast xmlns='{NS}'/>", FastRequest()),
            (f"<fast xmlns='{NS}' count='1'/>", FastRequest(count=1)),
            (f"<fast xmlns='{NS}' count=' +0012 '/>", FastRequest(count=12)),
            (f"<fast xmlns='{NS}' count='2147483647' invalidate='true'/>", FastRequest("", 2**31 - 1, True)),
            (f"<fast xmlns='{NS}' invalidate='1'/>", FastRequest(invalidate=True)),
            (f"<fast xmlns='{NS}' invalidate='false'/>", FastRequest()),
            (f"<fast xmlns='{NS}' invalidate='0'/><request-token xmlns='{NS}' mechanism='B'/>", FastRequest("B")),
        ):
            self.assertEqual(asked(inside), expected)
        self.assertEqual(read(None), FastRequest())

    def test_malformed_count(self) -> None:
        """A count is a positive integer (XEP-0484, 3.3); what is none ends the login, and is not repeated at length."""
        for count in ("0", "-1", "", "x", "1.0", "000", "\u0661", "2147483648", "9" * 1000, "1 2", "0x1"):
            condition = refusal(lambda count=count: asked(f"<fast xmlns='{NS}' count='{count}'/>"))
            self.assertIs(condition, SASLCondition.MALFORMED_REQUEST, count)

    @given(st.text(st.characters(codec="utf-8", exclude_categories=["C"])))
    def test_any_count(self, count: str) -> None:
        """Any count is a number, or refused."""
        try:
            found = read(Element("authenticate", "", {}, [Element("fast", NS, {"count": count})])).count
        except SASLError:
            return
        assert found is not None
        self.assertEqual(found, int(count))
        self.assertGreater(found, 0)

    def test_token(self) -> None:
        """With the time when it expires, in UTC (XEP-0082)."""
        expected = Element("token", NS, {"token": "secret", "expiry": "2026-07-14T12:00:00Z"})
        noon = datetime(2026, 7, 14, 12, tzinfo=UTC)
        self.assertEqual(token("secret", noon), expected)
        self.assertEqual(token("secret", noon.astimezone(timezone(timedelta(hours=2)))), expected)


class InitiatingTests(SynchronousTestCase):
    """We ask."""

    def ask(self, fast: InitiatingFast, *offered: str) -> str:
        """What we ask for, when these mechanisms are offered."""
        inline = Element("inline", "", {}, [parse_tree(offer(offered).encode())] if offered else [])
        return "".join(element.to_xml() for element in fast.ask(inline))

    def test_ask_for_a_token(self) -> None:
        """By the best mechanism that both know; for none where there is none."""
        fast = InitiatingFast(["A", "B"])
        self.assertEqual(self.ask(fast, "C", "B", "A"), f"<request-token xmlns='{NS}' mechanism='A'/>")
        self.assertEqual(self.ask(fast, "C"), "")
        self.assertEqual(self.ask(fast), "")

    def test_use_a_token(self) -> None:
        """Who has one does not ask for another."""
        self.assertEqual(self.ask(InitiatingFast(["A"], "B"), "A", "B"), f"<fast xmlns='{NS}'/>")
        self.assertEqual(self.ask(InitiatingFast(["A"], "B", 7), "A"), f"<fast xmlns='{NS}' count='7'/>")

    def test_answer(self) -> None:
        """The token is told, with the mechanism that it is good for; where there is none, nothing is."""
        stream = ToServer2().stream
        for fast, mechanism in ((InitiatingFast(["A"]), "A"), (InitiatingFast(["A"], "B"), "B")):
            self.ask(fast, "A")
            fast.answered(stream, Element("success", "", {}, [Element("token", NS, {"token": "t", "expiry": "e"})]))
            self.assertEqual(stream.take_events(), [TokenReceived(mechanism, "t", "e")])
            fast.answered(stream, Element("success", "", {}, [Element("token", NS)]))
            self.assertEqual(stream.take_events(), [TokenReceived(mechanism, "", "")])
            fast.answered(stream, Element("success", ""))
            self.assertEqual(stream.take_events(), [])

    def test_token_is_not_shown(self) -> None:
        """The text of the event does not hold it."""
        self.assertNotIn("secret", repr(TokenReceived("A", "secret", "e")))
