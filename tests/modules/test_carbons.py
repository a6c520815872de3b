"""Message Carbons (XEP-0280)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import Hosting
from tests.routing.fakes import condition, stanza
from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_CLIENT, NS_FORWARD
from xmppfed.core.stanza import Stanza
from xmppfed.core.tree import parse_tree
from xmppfed.modules import carbons
from xmppfed.modules.carbons import NS, Carbons
from xmppfed.testing.client import Client
from xmppfed.testing.federation import Federation

JULIET, ROMEO, NURSE = "juliet@capulet.example", "romeo@montague.example", "nurse@capulet.example"
BALCONY, TABLET, ORCHARD = f"{JULIET}/balcony", f"{JULIET}/tablet", f"{ROMEO}/orchard"
BODY = "<body>hi</body>"
ROOM = "http://jabber.org/protocol/muc#user"
FORWARD = f"{{{NS_FORWARD}}}forwarded"


def forwarded(copy: Stanza, direction: str) -> Element:
    """The message inside a copy."""
    [wrapper] = copy.element.elements()
    assert wrapper.tag == f"{{{NS}}}{direction}", wrapper.tag
    [forward] = wrapper.elements()
    [message] = forward.elements()
    assert (forward.tag, message.tag) == (FORWARD, f"{{{NS_CLIENT}}}message")
    return message


class CarbonsCase(SynchronousTestCase):
    """juliet at her balcony and with a tablet that wants copies; romeo elsewhere, the nurse here."""

    def setUp(self) -> None:
        self.federation = Federation("capulet.example", "montague.example")
        self.addCleanup(self.federation.cleanup)
        self.romeo = self.federation.client(ORCHARD)
        self.nurse = self.federation.client(f"{NURSE}/hall")
        self.balcony = self.federation.client(BALCONY)
        self.tablet = self.federation.client(TABLET, presence=False)
        self.assertEqual(self.ask("enable").type, "result")
        self.balcony.received.clear()

    def ask(self, name: str, client: Client | None = None, to: str = "") -> Stanza:
        """The answer to a wish for copies, or for none."""
        return (client or self.tablet).request(f"<iq type='set'{to}><{name} xmlns='{NS}'/></iq>")

    def copied(self, sender: Client, attributes: str, letter: str = BODY) -> bool:
        """Whether the tablet gets a copy of what somebody sends."""
        sender.send(f"<message {attributes}>{letter}</message>")
        for each in (self.balcony, self.romeo, self.nurse):
            each.received.clear()
        came = [one for one in self.tablet.received if one.children[:1] in ((f"{{{NS}}}sent",), (f"{{{NS}}}received",))]
        self.tablet.received.clear()
        self.assertLess(len(came), 2)
        return bool(came)


class ReceivedTests(CarbonsCase):
    """What one client gets (XEP-0280, 7)."""

    def test_copy(self) -> None:
        """From the own account, to the full address, of the same type; the message inside is the one that came."""
        for sender in (self.romeo, self.nurse):
            for to in (BALCONY, JULIET):
                letter = "<body  a='1'>hi &gt;</body><thread>t</thread>"
                sender.send(f"<message xmlns='jabber:client' to='{to}' type='chat' id='m' xml:lang='it'>{letter}</message>")
                original = self.balcony.expect("message")
                copy = self.tablet.expect("message")
                self.assertEqual(copy.attributes, {"from": JULIET, "to": TABLET, "type": "chat"})
                self.assertEqual(forwarded(copy, "received"), parse_tree(original.to_bytes(NS_CLIENT)))
                self.tablet.expect_nothing()

    def test_byte_for_byte(self) -> None:
        """The letter inside is not written anew."""
        server = Hosting(Carbons)
        tablet = server.session("juliet@example.org/tablet")
        server.sessions.resources["juliet@example.org/tablet"].wants.add(NS)
        letter = b"<body  a='1'>hi &gt;</body><thread>t</thread>"
        tags = (f"{{{NS_CLIENT}}}body", f"{{{NS_CLIENT}}}thread")
        server.route(Stanza("message", NS_CLIENT, {"from": "a@b", "to": "juliet@example.org/balcony"}, letter, tags, (0, 27)))
        [copy] = tablet.take()
        self.assertIn(
            b"to='juliet@example.org/balcony'>%b</message></forwarded></received></message>" % letter, copy.to_bytes(NS_CLIENT)
        )

    def test_not_to_who_got_it(self) -> None:
        """Who gets the message itself, by its address or as the most available resource, gets no copy."""
        self.ask("enable", self.balcony)
        self.tablet.send("<presence/>")
        self.tablet.received.clear(), self.balcony.received.clear()
        for to, copies in ((BALCONY, 1), (TABLET, 1), (JULIET, 0), (f"{JULIET}/gone", 0)):
            self.romeo.send(f"<message to='{to}' type='chat'>{BODY}</message>")
            came = [*self.balcony.received, *self.tablet.received]
            self.assertEqual(len(came), 2)
            self.assertEqual(sum(f"{{{NS}}}received" in one.children for one in came), copies, to)
            self.tablet.received.clear(), self.balcony.received.clear()

    def test_by_priority(self) -> None:
        """A less available resource gets a copy of what goes to the bare address."""
        self.tablet.send("<presence><priority>-1</priority></presence>")
        self.assertTrue(self.copied(self.romeo, f"to='{JULIET}' type='chat'"))

    def test_odd_letters(self) -> None:
        """Prefixes, CDATA and elements of the stream's own namespace mean in a copy what they meant."""
        for letter in (
            "<x:y xmlns:x='urn:x'/><body>1</body>",
            "<body><![CDATA[<a>]]></body>",
            "<x xmlns='urn:x'><body xmlns='jabber:client'>2</body></x><body/>",
        ):
            self.romeo.send(f"<message to='{BALCONY}' type='chat'>{letter}</message>")
            original = self.balcony.expect("message")
            self.assertEqual(forwarded(self.tablet.expect("message"), "received"), parse_tree(original.to_bytes(NS_CLIENT)))


class SentTests(CarbonsCase):
    """What one client sends (XEP-0280, 8)."""

    def test_copy(self) -> None:
        """To the others who want it, not to the sender, whether it wants copies itself or not; here and elsewhere."""
        for enabled in (False, True):
            for to in (ROMEO, ORCHARD, NURSE, "nobody@capulet.example"):
                self.balcony.send(f"<message to='{to}' type='chat' id='m'>{BODY}</message>")
                copy = self.tablet.take("<message type='chat'><sent xmlns='urn:xmpp:carbons:2'/></message>")
                self.assertEqual(copy.attributes, {"from": JULIET, "to": TABLET, "type": "chat"})
                sent = forwarded(copy, "sent")
                self.assertEqual((sent.get("from"), sent.get("to"), sent.get("id")), (BALCONY, to, "m"))
                self.assertNotIn(f"{{{NS}}}sent", [child for one in self.balcony.received for child in one.children])
                self.tablet.received.clear()
            if not enabled:
                self.ask("enable", self.balcony)

    def test_to_oneself(self) -> None:
        """Who is addressed gets the message and no copy of it; the account's other resources get both kinds."""
        self.balcony.send(f"<message to='{TABLET}' type='chat'>{BODY}</message>")
        self.assertEqual([one.children for one in self.tablet.received], [(f"{{{NS_CLIENT}}}body",)])

    def test_no_copies_of_copies(self) -> None:
        """With three resources that want copies, each gets one."""
        phone = self.federation.client(f"{JULIET}/phone", presence=False)
        for client in (phone, self.balcony):
            self.ask("enable", client)
        self.balcony.send(f"<message to='{ROMEO}' type='chat'>{BODY}</message>")
        self.romeo.send(f"<message to='{BALCONY}' type='chat'>{BODY}</message>")
        self.assertEqual([len(client.received) for client in (phone, self.tablet, self.balcony)], [2, 2, 1])


class EnableTests(CarbonsCase):
    """Who wants copies (XEP-0280, 4, 5 and 10.1)."""

    def test_off_again(self) -> None:
        """Both may be said more than once; an own address means the same as none."""
        for name, wanted in (("enable", True), ("enable", True), ("disable", False), ("disable", False), ("enable", True)):
            for to in ("", f" to='{JULIET}'"):
                self.assertEqual(self.ask(name, to=to).type, "result")
                self.assertEqual(self.copied(self.romeo, f"to='{BALCONY}' type='chat'"), wanted)

    def test_not_for_others(self) -> None:
        """Nobody enables them for another account."""
        for other in (self.nurse, self.romeo):
            self.assertEqual(condition(self.ask("enable", other, f" to='{JULIET}'")), "service-unavailable")
            self.ask("disable", other, f" to='{JULIET}'")
        self.assertTrue(self.copied(self.romeo, f"to='{BALCONY}' type='chat'"))

    def test_with_the_session(self) -> None:
        """A new session with the same address begins without."""
        self.tablet.close()
        self.tablet = self.federation.client(TABLET, presence=False)
        self.assertFalse(self.copied(self.romeo, f"to='{BALCONY}' type='chat'"))

    def test_while_bound(self) -> None:
        """A session may ask for them while it is bound (XEP-0386, 4.2); nothing needs to be answered."""
        server = Hosting(Carbons)
        resource = server.sessions.resources["juliet@example.org/balcony"]
        enable = server.handlers.named("inline")[f"{{{NS}}}enable"]
        self.assertIsNone(enable(resource, Element("enable", NS)))
        self.assertEqual(resource.wants, {NS})
        self.assertEqual((server.handlers.features("server"), server.handlers.features("account")), ((NS,), (NS,)))

    def test_whose_session_ended(self) -> None:
        """A wish that comes too late is refused."""
        server = Hosting(Carbons)
        server.sessions.remove(server.juliet)
        nurse = server.session("nurse@example.org/hall")
        server.route(stanza("iq", "set", None, f"{{{NS}}}enable", sender="nurse@example.org/gone"))
        self.assertEqual(nurse.take(), [])


class EligibleTests(CarbonsCase):
    """Which messages are copied (XEP-0280, 6.1)."""

    def both(self, attributes: str, letter: str) -> tuple[bool, bool]:
        """Whether it is copied when it is received, and when it is sent."""
        received = self.copied(self.romeo, f"to='{BALCONY}' {attributes}", letter)
        return received, self.copied(self.balcony, f"to='{ORCHARD}' {attributes}", letter)

    def test_by_type_and_content(self) -> None:
        """chat always; normal with a body, or with what instant messaging is made of; headline only with the latter."""
        payloads = (
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "<x xmlns='jabber:x:conference' jid='room@rooms.example'/>",
            f"<x xmlns='{ROOM}'><invite from='nurse@capulet.example'/></x>",
        )
        for letter in ("", BODY, "<x xmlns='urn:x'/>", *payloads):
            self.assertEqual(self.both("type='chat'", letter), (True, True))
        for letter, wanted in ((BODY, True), ("<x xmlns='urn:x'/>", False), ("<body xmlns='urn:x'/>", False), ("", False)):
            for type in ("", "type='normal'", "type='unheard-of'"):
                self.assertEqual(self.both(type, letter), (wanted, wanted), (type, letter))
            self.assertEqual(self.both("type='headline'", letter), (False, False))
        for letter in payloads:
            for type in ("", "type='headline'"):
                self.assertEqual(self.both(type, letter), (True, True), letter)

    def test_rooms(self) -> None:
        """Messages of a room reach each client that is in it anyway: only what one sends into it is copied, and invitations."""
        self.assertEqual(self.both("type='groupchat'", BODY), (False, False))
        private = f"{BODY}<x xmlns='{ROOM}'/>"
        self.assertEqual(self.both("type='chat'", private), (False, True))

    def test_unwanted(self) -> None:
        """<private/>, and the hint not to copy, keep a message for the one who is addressed (XEP-0280, 9)."""
        for letter in (f"{BODY}<private xmlns='{NS}'/>", f"<no-copy xmlns='urn:xmpp:hints'/>{BODY}"):
            self.assertEqual(self.both("type='chat'", letter), (False, False))

    def test_errors(self) -> None:
        """An error is copied when it answers a message that was, and no other (XEP-0280, 6.1)."""
        error = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        self.copied(self.balcony, f"to='{ORCHARD}' type='chat' id='known'")
        self.copied(self.balcony, f"to='{ORCHARD}' type='chat'")
        self.copied(self.balcony, f"to='{ORCHARD}' type='headline' id='unknown'")
        for id, wanted in (("id='known'", True), ("id='unknown'", False), ("", False)):
            self.assertEqual(self.copied(self.romeo, f"to='{BALCONY}' type='error' {id}", error), wanted, id)
        self.copied(self.nurse, f"to='{NURSE}' type='chat' id='hers'")
        self.assertFalse(self.copied(self.romeo, f"to='{BALCONY}' type='error' id='hers'", error))

    def test_errors_are_remembered_within_bounds(self) -> None:
        """However many messages are copied, what is remembered of them is bounded; the oldest is forgotten first."""
        self.patch(carbons, "_REMEMBERED", 2)
        for id in "abc":
            self.copied(self.balcony, f"to='{ORCHARD}' type='chat' id='{id}'")
        came = [self.copied(self.romeo, f"to='{BALCONY}' type='error' id='{id}'", "") for id in "abc"]
        self.assertEqual(came, [False, True, True])


class ForgedTests(CarbonsCase):
    """Copies come from the own server alone (XEP-0280, 11)."""

    def forged(self, direction: str, attributes: str) -> str:
        inside = f"<forwarded xmlns='{NS_FORWARD}'><message xmlns='jabber:client' from='{NURSE}'>{BODY}</message></forwarded>"
        return f"<message {attributes}><{direction} xmlns='{NS}'>{inside}</{direction}></message>"

    def test_from_outside(self) -> None:
        """Whoever sends one, of whatever type and to whichever address, nobody gets it; its sender hears why."""
        for sender in (self.romeo, self.nurse, self.balcony):
            for direction in ("sent", "received"):
                for to in (TABLET, JULIET, BALCONY):
                    sender.send(self.forged(direction, f"to='{to}' type='chat'"))
                    self.assertEqual(condition(sender.expect("message")), "forbidden")
                    sender.send(self.forged(direction, f"to='{to}' type='error'"))
        self.tablet.expect_nothing()
        self.balcony.expect_nothing()

    def test_not_sent_to_others(self) -> None:
        """A client of ours cannot send one to another server."""
        self.balcony.send(self.forged("received", f"to='{ORCHARD}'"))
        self.romeo.expect_nothing()

    def test_hidden(self) -> None:
        """A prefix does not hide it, nor what stands before it."""
        self.romeo.send(f"<message to='{TABLET}'>{BODY}<c:sent xmlns:c='{NS}'/></message>")
        self.assertEqual(condition(self.romeo.expect("message")), "forbidden")
        self.tablet.expect_nothing()

    def test_an_error_about_a_copy_goes_nowhere(self) -> None:
        """When a copy bounces, the sender of the message hears nothing of it (XEP-0280, 10.3)."""
        self.romeo.send(f"<message to='{BALCONY}' type='chat' id='m'>{BODY}</message>")
        copy = self.tablet.take("message")
        self.tablet.send(f"<message to='{copy.attributes['from']}' type='error' id='m'/>")
        self.romeo.expect_nothing()

    def test_deeper_inside_it_is_a_quotation(self) -> None:
        """What was forwarded as a copy inside something else is not ours to judge."""
        quoted = f"<x xmlns='urn:x'><sent xmlns='{NS}'/></x>{BODY}"
        self.romeo.send(f"<message to='{BALCONY}' type='chat'>{quoted}</message>")
        self.assertEqual(self.balcony.expect("message").letter, quoted.encode())
