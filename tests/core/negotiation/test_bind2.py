"""Tests for `xmppfed.core.negotiation.bind2`; how it goes with SASL2 is tested in `test_sasl2`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import BIND2, ToServer2, authenticate
from xmppfed.core.element import Element
from xmppfed.core.events import Bound
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.bind2 import Bind2Request, bound, offer, read
from xmppfed.core.tree import parse_tree
from xmppfed.errors import StreamCondition, StreamError


class ReceivingTests(SynchronousTestCase):
    """What clients ask for, and are told."""

    def test_offer(self) -> None:
        """What a session can begin with is listed (XEP-0386, 3.1); where there is nothing, there is no list."""
        self.assertEqual(offer([]), BIND2)
        expected = (
            "<bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:carbons:2'/><feature var='urn:x'/></inline></bind>"
        )
        self.assertEqual(offer(["urn:xmpp:carbons:2", "urn:x"]), expected)

    def test_read(self) -> None:
        """The tag, and all that is of other namespaces, in its order."""
        carbons, csi = Element("enable", "urn:xmpp:carbons:2"), Element("inactive", "urn:xmpp:csi:0")
        for inside, expected in (
            ("", Bind2Request("", ())),
            ("<tag>AwesomeXMPP</tag>", Bind2Request("AwesomeXMPP", ())),
            (f"{csi.to_xml()}<tag/>{carbons.to_xml()}<x/>", Bind2Request("", (csi, carbons))),
        ):
            bind = BIND2.replace("/>", f">{inside}</bind>")
            self.assertEqual(read(parse_tree(authenticate("PLAIN", None, bind))), expected)

    def test_no_request(self) -> None:
        """Who does not ask, gets nothing; neither does who asks as RFC 6120 does."""
        self.assertIsNone(read(None))
        legacy = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
        for inside in ("", legacy, "<x xmlns='urn:x'>" + BIND2 + "</x>"):
            self.assertIsNone(read(parse_tree(authenticate("PLAIN", None, inside))))

    def test_bound(self) -> None:
        """With the answers of those that have one (XEP-0386, 3.3)."""
        self.assertEqual(bound([]).to_xml(), "<bound xmlns='urn:xmpp:bind:0'/>")
        answered = bound([Element("enabled", "urn:xmpp:sm:3")])
        self.assertEqual(answered.to_xml(), "<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3'/></bound>")


class InitiatingTests(SynchronousTestCase):
    """We ask."""

    def ask(self, inline: str, resource: str = "x") -> str:
        """What we ask for, when this is offered."""
        asked = ToServer2(resource=resource).bind2.ask(parse_tree(f"<inline xmlns='urn:xmpp:sasl:2'>{inline}</inline>".encode()))
        return "".join(element.to_xml() for element in asked)

    def answered(self, inside: str) -> ToServer2:
        """A stream with the answer to what we asked for."""
        wired = ToServer2()
        wired.bind2.answered(wired.stream, parse_tree(f"<success xmlns='urn:xmpp:sasl:2'>{inside}</success>".encode()))
        return wired

    def test_ask(self) -> None:
        """With our tag, if we have one, and what else we want; nothing where it is not offered."""
        self.assertEqual(self.ask(BIND2), "<bind xmlns='urn:xmpp:bind:0'><tag>x</tag><enable xmlns='urn:x'/></bind>")
        self.assertEqual(self.ask(BIND2, ""), "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:x'/></bind>")
        self.assertEqual(self.ask("<x xmlns='urn:x'/>"), "")

    def test_bound(self) -> None:
        """We are whom the server says, and do not ask again."""
        wired = self.answered("<authorization-identifier>a@b/c</authorization-identifier><bound xmlns='urn:xmpp:bind:0'/>")
        self.assertEqual(wired.stream.take_events(), [Bound(JID("a", "b", "c"))])
        wired.stream.authenticated = True
        self.assertFalse(wired.bind2.start(wired.stream, Element("features", "")))

    def test_not_bound(self) -> None:
        """A server that bound nothing is asked as ever."""
        wired = self.answered("<authorization-identifier>a@b</authorization-identifier>")
        self.assertEqual(wired.stream.take_events(), [])
        wired.stream.authenticated = True
        features = Element("features", "")
        features.add("bind", "urn:ietf:params:xml:ns:xmpp-bind")
        self.assertTrue(wired.bind2.start(wired.stream, features))

    def test_no_address(self) -> None:
        """A server that says that it bound us, and not as whom, is not understood."""
        for inside in ("", "<authorization-identifier>@</authorization-identifier>"):
            with self.assertRaises(StreamError) as caught:
                self.answered(f"{inside}<bound xmlns='urn:xmpp:bind:0'/>")
            self.assertIs(caught.exception.condition, StreamCondition.BAD_FORMAT)
