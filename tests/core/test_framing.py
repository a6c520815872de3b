"""Tests for `xmppfed.core.framing`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.element import Element
from xmppfed.core.framing import C2S, S2S, Closing, Dialect, Item, MessageFraming, Opening, Profile, opening_profile
from xmppfed.core.namespaces import NS_CLIENT, NS_SERVER
from xmppfed.core.stanza import LANG, Stanza
from xmppfed.errors import StreamCondition, StreamError

OPEN = b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.org' version='1.0'/>"
OPEN_SERVER = OPEN.replace(b"framing'", b"framing-server'")
HEADER = b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='b' from='a' version='1.0'>"


def items(framing: MessageFraming, *messages: bytes) -> list[Item]:
    """What the messages are."""
    for message in messages:
        framing.feed(message)
    found = []
    while (item := framing.next_item()) is not None:
        found.append(item)
    return found


def only(profile: Profile, message: bytes) -> Item:
    """What one message is, as the first on a stream."""
    [item] = items(MessageFraming(profile, 10_000), message)
    return item


class OpeningTests(SynchronousTestCase):
    """Stream headers as values."""

    def test_attributes(self) -> None:
        """Read from attributes and written as such again; what is empty is not written."""
        attributes = {"from": "a", "to": "b", "id": "1", "version": "1.0", LANG: "de"}
        self.assertEqual(Opening.of(attributes), Opening("a", "b", "1", "1.0", "de"))
        self.assertEqual(Opening.of(attributes).attributes(), attributes)
        self.assertEqual(Opening.of({"id": ""}), Opening())
        self.assertEqual(Opening().attributes(), {})


class ClientMessageTests(SynchronousTestCase):
    """RFC 7395 between client and server."""

    def test_open(self) -> None:
        """`<open/>` is the stream header."""
        self.assertEqual(only(C2S, OPEN), Opening(to="example.org", version="1.0"))
        self.assertEqual(only(C2S, OPEN.replace(b"/>", b"></open>")), Opening(to="example.org", version="1.0"))

    def test_close(self) -> None:
        """`<close/>` ends the stream, and may say where to go (RFC 7395, 3.6.1)."""
        self.assertEqual(only(C2S, b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"), Closing())
        self.assertEqual(
            only(C2S, b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing' see-other-uri='wss://b/'/>"), Closing("wss://b/")
        )

    def test_stanza(self) -> None:
        """A stanza of the stream's namespace."""
        item = only(C2S, b"<presence xmlns='jabber:client'/>")
        assert isinstance(item, Stanza)
        self.assertEqual((item.kind, item.namespace), ("presence", NS_CLIENT))

    def test_other_element(self) -> None:
        """Anything else is the stream's to judge."""
        self.assertEqual(only(C2S, b"<auth xmlns='urn:s'/>"), Element("auth", "urn:s"))

    def test_one_by_one(self) -> None:
        """Messages wait in their order; nothing is read before it is asked for."""
        framing = MessageFraming(C2S, 10_000)
        self.assertIsNone(framing.next_item())
        self.assertEqual(framing.backlog, 0)
        framing.feed(OPEN)
        framing.feed(b"not read yet")
        self.assertGreater(framing.backlog, len(OPEN) + 12)
        self.assertIsInstance(framing.next_item(), Opening)
        framing.restart()
        self.assertIsInstance(framing.next_item(), StreamError)
        self.assertEqual(framing.backlog, 0)

    def test_small_messages_cost_something(self) -> None:
        """Many messages of nothing are a backlog too."""
        framing = MessageFraming(C2S, 10_000)
        for _ in range(200):
            framing.feed(b"")
        self.assertGreater(framing.backlog, 10_000)


class RefusedMessageTests(SynchronousTestCase):
    """What a message must not be."""

    def refused(self, message: bytes, condition: StreamCondition, profile: Profile = C2S) -> None:
        item = only(profile, message)
        assert isinstance(item, StreamError), item
        self.assertIs(item.condition, condition)

    def test_too_long(self) -> None:
        """As long as the limit passes; a byte more does not, and the next message is judged by itself."""
        framing = MessageFraming(C2S, len(OPEN))
        [first, second, third] = items(framing, OPEN, OPEN.replace(b"/>", b" />"), OPEN)
        self.assertIsInstance(first, Opening)
        assert isinstance(second, StreamError)
        self.assertIs(second.condition, StreamCondition.POLICY_VIOLATION)
        self.assertIsInstance(third, Opening)

    def test_framing_of_another_language(self) -> None:
        """`<open/>` and `<close/>` of another namespace (RFC 7395, 3.3.2)."""
        self.refused(OPEN_SERVER, StreamCondition.INVALID_NAMESPACE)
        self.refused(OPEN, StreamCondition.INVALID_NAMESPACE, S2S)
        for profile in (C2S, S2S):
            self.refused(b"<open/>", StreamCondition.INVALID_NAMESPACE, profile)
            self.refused(b"<close/>", StreamCondition.INVALID_NAMESPACE, profile)
            self.refused(b"<open xmlns='jabber:client'/>", StreamCondition.INVALID_NAMESPACE, profile)

    def test_open_with_something_inside(self) -> None:
        """`<open/>` is empty."""
        for inside in (b" ", b"text", b"<a/>"):
            self.refused(OPEN.replace(b"/>", b">%b</open>" % inside), StreamCondition.BAD_FORMAT)

    def test_stanza_of_another_namespace(self) -> None:
        """Stanzas of the other kind of stream, of none, of anything (RFC 6120, 4.9.3.10)."""
        for kind in (b"message", b"presence", b"iq"):
            for xmlns in (b" xmlns='jabber:server'", b"", b" xmlns='urn:ietf:params:xml:ns:xmpp-framing'"):
                self.refused(b"<%b%b/>" % (kind, xmlns), StreamCondition.INVALID_NAMESPACE)
        self.refused(b"<message xmlns='jabber:client'/>", StreamCondition.INVALID_NAMESPACE, S2S)
        self.refused(b"<message/>", StreamCondition.INVALID_NAMESPACE, S2S)

    def test_dialects_are_for_servers(self) -> None:
        """A client has no stream header, no end tag and no undeclared prefix."""
        self.refused(HEADER.replace(b"server", b"client"), StreamCondition.NOT_WELL_FORMED)
        self.refused(b"</stream:stream>", StreamCondition.NOT_WELL_FORMED)
        self.refused(b"<stream:error/>", StreamCondition.NOT_WELL_FORMED)

    def test_empty_binary_and_text(self) -> None:
        """On either kind of stream."""
        for profile in (C2S, S2S):
            self.refused(b"", StreamCondition.NOT_WELL_FORMED, profile)
            self.refused(b"text", StreamCondition.NOT_WELL_FORMED, profile)
            self.refused(b"<\0", StreamCondition.UNSUPPORTED_ENCODING, profile)
            self.refused(b"\xff", StreamCondition.UNSUPPORTED_ENCODING, profile)

    @given(
        st.lists(
            st.binary(max_size=60)
            | st.sampled_from([OPEN, OPEN_SERVER, HEADER, b"</stream:stream>", b"<db:a/>", b"<stream:b>", b"<message/>"])
        )
    )
    def test_anything(self, messages: list[bytes]) -> None:
        """Each message is one item, whatever it holds."""
        for profile in (C2S, S2S):
            self.assertEqual(len(items(MessageFraming(profile, 1000), *messages)), len(messages))


class WrittenMessageTests(SynchronousTestCase):
    """What we send, to the byte: peers that replace text depend on it."""

    def test_open(self) -> None:
        """One line, an empty tag, our quotes, and a language where there is one."""
        self.assertEqual(
            MessageFraming(C2S, 0).opening(Opening("a", "b", "1", "1.0", "de", Dialect.STANDARD)),
            b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='a' to='b' id='1' version='1.0' xml:lang='de'/>",
        )

    def test_close(self) -> None:
        """With an attribute always."""
        framing = MessageFraming(C2S, 0)
        self.assertEqual(framing.closing(), b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")
        self.assertEqual(
            framing.closing("wss://b/?x&y"),
            b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing' see-other-uri='wss://b/?x&amp;y'/>",
        )

    def test_stanza_and_element(self) -> None:
        """Each declares what it uses."""
        framing = MessageFraming(S2S, 0)
        self.assertEqual(framing.stanza(Stanza("presence", NS_CLIENT, {})), b"<presence xmlns='jabber:server'/>")
        self.assertEqual(framing.text("<a xmlns='\u00e9'/>"), "<a xmlns='\u00e9'/>".encode())
        self.assertEqual(framing.profile.content, NS_SERVER)

    def test_what_we_send_we_understand(self) -> None:
        """Both profiles read their own headers."""
        for profile in (C2S, S2S):
            opening = Opening("a", "b", "1&'>", "1.0", "de")
            self.assertEqual(only(profile, MessageFraming(profile, 0).opening(opening)), opening)
            self.assertEqual(only(profile, MessageFraming(profile, 0).closing()), Closing())


class ProfileTests(SynchronousTestCase):
    """The first message says whose stream it opens."""

    def test_open(self) -> None:
        """By the namespace of `<open/>`."""
        self.assertEqual(opening_profile(OPEN), (C2S, "example.org"))
        self.assertIs(opening_profile(OPEN_SERVER)[0], S2S)

    def test_legacy_header(self) -> None:
        """A stream header is a server's; with a client's namespace it is refused as such."""
        self.assertIs(opening_profile(HEADER)[0], S2S)
        self.assertIs(opening_profile(b"<?xml version='1.0'?>" + HEADER)[0], S2S)
        item = only(S2S, HEADER.replace(b"server", b"client"))
        assert isinstance(item, StreamError)
        self.assertIs(item.condition, StreamCondition.INVALID_NAMESPACE)

    def test_anything_else(self) -> None:
        """Other elements are a client's to explain; what is no XML raises."""
        self.assertIs(opening_profile(b"<message xmlns='jabber:server'/>")[0], C2S)
        self.assertIs(opening_profile(b"<x xmlns='urn:ietf:params:xml:ns:xmpp-framing-server'/>")[0], C2S)
        self.assertRaises(StreamError, opening_profile, b"GET / HTTP/1.1")
        self.assertRaises(StreamError, opening_profile, b"<open>")
