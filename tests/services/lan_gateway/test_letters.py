"""What of a message passes between clients and the link."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition
from xmppfed.services.lan_gateway.letters import failure_in, has_body, letter_of, message
from xmppfed.testing.patterns import stanza


def passes(inside: str, attributes: str = "type='chat'") -> str:
    """What is left of a message."""
    found = letter_of(stanza(f"<message {attributes}>{inside}</message>"))
    return "".join(child.to_xml("jabber:client") for child in found)


class Letters(SynchronousTestCase):
    """An allow-list: what is not known does not pass."""

    def test_passes(self) -> None:
        """Text, chat states and receipts."""
        body = "<body>hi &lt;b&gt;</body>"
        state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
        request, received = "<request xmlns='urn:xmpp:receipts'/>", "<received xmlns='urn:xmpp:receipts' id='1'/>"
        for inside in (body, state, received, body + state + request):
            self.assertEqual(passes(inside), inside)
        self.assertEqual(passes(body, ""), body)
        self.assertEqual(passes(body, "type='headline'"), body)

    def test_dropped(self) -> None:
        """Whatever could deceive a client: copies, delays, ids, forwarded messages, HTML, nicks, and what comes later."""
        for inside in (
            "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>",
            "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received>",
            "<delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'/>",
            "<x xmlns='jabber:x:delay' stamp='20020910T23:08:25'/>",
            "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='capulet.example'/>",
            "<origin-id xmlns='urn:xmpp:sid:0' id='1'/>",
            "<html xmlns='http://www.w3.org/1999/xhtml'><body>x</body></html>",
            "<nick xmlns='http://jabber.org/protocol/nick'>Juliet (paired)</nick>",
            "<result xmlns='urn:xmpp:mam:2'/>",
            "<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>",
            "<body xmlns='urn:other'>x</body>",
            "<composing xmlns='urn:other'/>",
            "<evil xmlns='http://jabber.org/protocol/chatstates'/>",
            "<received xmlns='urn:xmpp:receipts'/>",
            "<request xmlns='urn:xmpp:receipts'/>",
            "<body/>",
        ):
            self.assertEqual(passes(inside), "")
            self.assertEqual(passes(f"<body>hi</body>{inside}").partition("<request")[0], "<body>hi</body>")

    def test_inside(self) -> None:
        """What hides inside of what passes does not pass."""
        self.assertEqual(passes("<body>hi<x xmlns='urn:x'>you</x></body>"), "<body>hi</body>")
        states = "http://jabber.org/protocol/chatstates"
        self.assertEqual(passes(f"<active xmlns='{states}' a='b'><x/></active>"), f"<active xmlns='{states}'/>")
        self.assertEqual(passes("<body xml:lang='de'>eins</body><body>two</body>"), "<body>eins</body>")

    def test_typing(self) -> None:
        """iChat sends what is being typed, with an event that has an id: it is not shown; a wish for events is none."""
        event = "<x xmlns='jabber:x:event'><composing/>{}</x>"
        self.assertEqual(passes("<body>hel</body>" + event.format("<id>1</id>")), "")
        self.assertEqual(passes("<body>hello</body>" + event.format("")), "<body>hello</body>")

    def test_kinds(self) -> None:
        """Only what people write to each other."""
        self.assertEqual(passes("<body>x</body>", "type='groupchat'"), "")
        self.assertEqual(passes("<body>x</body>", "type='error'"), "")
        for other in ("<presence/>", "<iq type='result' id='1'/>"):
            self.assertEqual(letter_of(stanza(other)), [])

    def test_message(self) -> None:
        """It is a chat, and has an id if there is one."""
        letter = letter_of(stanza("<message><body>hi</body></message>"))
        self.assertTrue(has_body(letter))
        self.assertEqual(message("a@b", "c@d", "1", letter).attributes, {"from": "a@b", "to": "c@d", "type": "chat", "id": "1"})
        self.assertNotIn("id", message("a@b", "c@d", None, letter).attributes)
        self.assertFalse(has_body([]))


class Failures(SynchronousTestCase):
    """An error of a peer is a condition, and none of its words."""

    def condition(self, inside: str) -> StanzaCondition:
        found = failure_in(Stanza.from_element(stanza(f"<message type='error'>{inside}</message>").element))
        self.assertEqual(found.text, "The peer has refused this.")
        return found.condition

    def test_conditions(self) -> None:
        """What is not known, or not there, is undefined."""
        error = "<error type='cancel'><{0} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text>Pay here</text></error>"
        self.assertEqual(self.condition(error.format("item-not-found")), StanzaCondition.ITEM_NOT_FOUND)
        for inside in (error.format("evil"), "<error/>", "", "<error><gone xmlns='urn:x'/></error>"):
            self.assertEqual(self.condition(inside), StanzaCondition.UNDEFINED_CONDITION)
