"""Tests for `xmppfed.core.streamframing`."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.hostile import hostile_stanzas, seen, seen_renamed
from xmppfed.core.element import Element
from xmppfed.core.framing import C2S, S2S, Closing, Item, Opening, Profile
from xmppfed.core.namespaces import NS_CLIENT, NS_DIALBACK, NS_SERVER
from xmppfed.core.stanza import Stanza
from xmppfed.core.streamframing import StreamFraming
from xmppfed.core.tree import MAX_PREFIXES
from xmppfed.errors import StreamCondition, StreamError

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='b' version='1.0'>"
HEADER_SERVER = HEADER.replace(b"jabber:client'", b"jabber:server' xmlns:db='jabber:server:dialback'")
OPENING = Opening(to="b", version="1.0")


def drained(framing: StreamFraming) -> list[Item]:
    """The items that are complete."""
    found: list[Item] = []
    while (item := framing.next_item()) is not None:
        found.append(item)
    return found


def items(data: bytes, profile: Profile = C2S, limit: int = 10_000) -> list[Item]:
    """What is read of `data`."""
    framing = StreamFraming(profile, limit)
    framing.feed(data)
    return drained(framing)


def told(found: list[Item]) -> list[object]:
    """Items as values that can be compared."""
    return [
        (item.kind, item.attributes, item.letter, item.children)
        if isinstance(item, Stanza)
        else (item.condition, item.text)
        if isinstance(item, StreamError)
        else item
        for item in found
    ]


class ReadingTests(SynchronousTestCase):
    """A byte stream becomes items."""

    def test_header(self) -> None:
        """With and without an XML declaration, and with what stands before and between."""
        for before in (
            b"",
            b"<?xml version='1.0'?>",
            b"<?xml version='1.0' encoding='UTF-8'?>\n",
            b"\n",
            b"\n<?xml version='1.0'?>\n",
        ):
            self.assertEqual(items(before + HEADER), [OPENING])

    def test_items(self) -> None:
        """Stanzas, other elements, white space between, the end."""
        [opening, message, auth, presence, closing] = items(
            HEADER + b" <message id='1'><body>a</body></message>\n<auth xmlns='urn:s'>x</auth>\t<presence/></stream:stream>"
        )
        self.assertEqual((opening, auth, closing), (OPENING, Element("auth", "urn:s", {}, ["x"]), Closing()))
        assert isinstance(message, Stanza) and isinstance(presence, Stanza)
        self.assertEqual((message.letter, message.namespace, message.verbatim), (b"<body>a</body>", NS_CLIENT, True))
        self.assertEqual((presence.kind, presence.letter), ("presence", b""))

    def test_letter_as_it_came(self) -> None:
        """What needs nothing of the header goes verbatim, whatever its form."""
        letter = b'<body  a="1" ></body><x xmlns="urn:x"></x>'
        [_, message] = items(HEADER_SERVER + b"<message>" + letter + b"</message>", S2S)
        assert isinstance(message, Stanza)
        self.assertEqual(message.letter, letter)

    def test_many_prefixes(self) -> None:
        """A header may declare as many prefixes as an element."""
        declared = b"".join(b" xmlns:p%d='u'" % number for number in range(MAX_PREFIXES - 1))
        self.assertEqual(items(HEADER.replace(b" to=", declared + b" to=")), [OPENING])
        [error] = items(HEADER.replace(b" to=", declared + b" xmlns:q='u' to="))
        self.assertIsInstance(error, StreamError)

    def test_header_that_ends_at_once(self) -> None:
        """An empty tag opens and closes."""
        self.assertEqual(items(HEADER[:-1] + b"/>"), [OPENING, Closing()])

    def test_nothing_behind_the_end(self) -> None:
        """What follows the end of the stream is not read."""
        framing = StreamFraming(C2S, 1000)
        framing.feed(HEADER + b"</stream:stream><presence/>\xff")
        self.assertEqual(drained(framing), [OPENING, Closing()])
        framing.feed(b"<presence/>")
        self.assertEqual((drained(framing), framing.backlog), ([], 0))

    def test_prefixed_elements(self) -> None:
        """Prefixes that the header declared may be used (RFC 6120, 4.8.5)."""
        [_, error, result] = items(HEADER_SERVER + b"<stream:error><x xmlns='urn:x'/></stream:error><db:result from='a'/>", S2S)
        assert isinstance(error, Element)
        self.assertEqual(error.tag, "{http://etherx.jabber.org/streams}error")
        self.assertEqual(result, Element("result", NS_DIALBACK, {"from": "a"}))

    def test_letter_that_uses_the_header(self) -> None:
        """A stanza that needs the header's prefixes is written anew, so that it can leave the stream."""
        [_, message] = items(HEADER_SERVER + b"<message db:a='1'><db:x/></message>", S2S)
        assert isinstance(message, Stanza)
        self.assertEqual(message.children, ("{jabber:server:dialback}x",))
        self.assertEqual(message.letter, b"<db:x xmlns:db='jabber:server:dialback'/>")
        self.assertEqual(message.attributes, {"{jabber:server:dialback}a": "1"})

    def test_attribute_of_the_header_alone(self) -> None:
        """A prefix in the start tag alone leaves the letter as it came."""
        [_, message] = items(HEADER_SERVER + b"<message db:a='1'><x/></message>", S2S)
        assert isinstance(message, Stanza)
        self.assertEqual((message.letter, message.attributes), (b"<x/>", {"{jabber:server:dialback}a": "1"}))

    def test_prefixed_stanza_of_the_header(self) -> None:
        """A stanza may be written with a prefix of the header; its children are of the default namespace."""
        header = HEADER.replace(b" to=", b" xmlns:c='jabber:client' to=")
        [_, plain, other] = items(header + b"<c:message><body/></c:message><c:message xmlns='urn:x'><body/></c:message>")
        assert isinstance(plain, Stanza) and isinstance(other, Stanza)
        self.assertEqual((plain.children, other.children), (("{jabber:client}body",), ("{urn:x}body",)))
        self.assertEqual(other.to_bytes(NS_SERVER), b"<message xmlns='jabber:server'><body xmlns='urn:x'/></message>")

    def test_header_namespace_with_quotes(self) -> None:
        """A namespace of the header cannot break out of the context in which a stanza is read again."""
        header = HEADER.replace(b" to=", b' xmlns:p="urn:\'/&gt;" to=')
        [_, message] = items(header + b"<message><p:x/></message>")
        assert isinstance(message, Stanza)
        self.assertEqual(message.children, ("{urn:'/>}x",))

    @given(
        hostile_stanzas(
            NS_SERVER, (("stream", "http://etherx.jabber.org/streams"), ("db", "jabber:server:dialback")), declared=True
        )
    )
    def test_hostile_stanzas(self, written: str) -> None:
        """What is sent on is what came, as a second parser sees both, for stanzas in the scope of a header."""
        found = items(HEADER_SERVER + written.encode() + b"<presence/>", S2S)
        self.assertEqual(len(found), 3)
        stanza = found[1]
        assert isinstance(stanza, Stanza)
        whole = ElementTree.fromstring(HEADER_SERVER + written.encode() + b"</stream:stream>")
        for target in (NS_SERVER, NS_CLIENT):
            expected = seen_renamed(whole[0], NS_SERVER, target)
            self.assertEqual(seen(ElementTree.fromstring(stanza.to_bytes(target))), expected)
            whole = ElementTree.fromstring(HEADER_SERVER + written.encode() + b"</stream:stream>")


class OneByOneTests(SynchronousTestCase):
    """What stands behind an item is not read before it is asked for."""

    def test_restart(self) -> None:
        """Bytes behind the item that made the stream begin anew belong to the new document."""
        framing = StreamFraming(C2S, 10_000)
        framing.feed(HEADER + b"<auth xmlns='urn:s'/>\n<?xml version='1.0'?>" + HEADER + b"<presence/>")
        self.assertEqual(framing.next_item(), OPENING)
        self.assertEqual(framing.next_item(), Element("auth", "urn:s"))
        framing.restart()
        self.assertEqual(framing.next_item(), OPENING)
        self.assertIsInstance(framing.next_item(), Stanza)
        self.assertIsNone(framing.next_item())

    def test_nothing_of_the_old_document_survives(self) -> None:
        """Prefixes and the default namespace must be declared again."""
        framing = StreamFraming(C2S, 10_000)
        framing.feed(HEADER.replace(b" to=", b" xmlns:p='urn:p' to="))
        framing.next_item()
        framing.restart()
        framing.feed(HEADER + b"<p:x/>")
        [_, error] = drained(framing)
        assert isinstance(error, StreamError)
        self.assertIs(error.condition, StreamCondition.NOT_WELL_FORMED)

    def test_backlog(self) -> None:
        """The bytes of what is incomplete and of what waits; nothing when all was read."""
        framing = StreamFraming(C2S, 10_000)
        framing.feed(HEADER + b"<presence/><presence")
        self.assertEqual(framing.backlog, len(HEADER) + 20)
        drained(framing)
        self.assertEqual(framing.backlog, 9)
        framing.feed(b"/>")
        drained(framing)
        self.assertEqual(framing.backlog, 0)


class RefusalTests(SynchronousTestCase):
    """What ends the reading. What came before is delivered."""

    def refused(self, data: bytes, condition: StreamCondition, *, before: int = 2, limit: int = 10_000) -> None:
        found = items(HEADER + b"<presence/>" + data, limit=limit)
        self.assertEqual(len(found), before + 1, found)
        error = found[-1]
        assert isinstance(error, StreamError), error
        self.assertIs(error.condition, condition, data[:80])

    def test_header(self) -> None:
        """Of another namespace, name or content; with too many prefixes or attributes, or a prefix that is no URI."""
        for old, new, condition in (
            (b"jabber:client", b"jabber:server", StreamCondition.INVALID_NAMESPACE),
            (b"xmlns='jabber:client' ", b"", StreamCondition.INVALID_NAMESPACE),
            (b"etherx", b"ether", StreamCondition.INVALID_NAMESPACE),
            (b"<stream:stream", b"<stream:features", StreamCondition.INVALID_NAMESPACE),
            (b" to=", b" xmlns:p='a b' to=", StreamCondition.NOT_WELL_FORMED),
            (b" to=", b"".join(b" xmlns:p%d='u'" % number for number in range(200)) + b" to=", StreamCondition.POLICY_VIOLATION),
            (b" to=", b"".join(b" p%d='u'" % number for number in range(200)) + b" to=", StreamCondition.POLICY_VIOLATION),
            (b" to=", b" x='<' to=", StreamCondition.NOT_WELL_FORMED),
        ):
            [error] = items(HEADER.replace(old, new))
            assert isinstance(error, StreamError)
            self.assertIs(error.condition, condition, new[:40])

    def test_text_between_stanzas(self) -> None:
        """Only white space may stand there (RFC 6120, 11.7)."""
        for text in (b"text", b"&amp;", b"&#32;", b"<![CDATA[]]>", b"<![CDATA[ ]]>"):
            self.refused(text + b"<presence/>", StreamCondition.BAD_FORMAT)

    def test_encodings(self) -> None:
        """UTF-16 with and without a mark, a mark alone, another encoding declared, a NUL, bad UTF-8."""
        for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"):
            [error] = items(HEADER.decode().encode(encoding))
            assert isinstance(error, StreamError)
            self.assertIs(error.condition, StreamCondition.UNSUPPORTED_ENCODING, encoding)
        for declared in (b"iso-8859-1", b"utf-16", b"us-ascii"):
            [error] = items(b"<?xml version='1.0' encoding='%b'?>" % declared + HEADER)
            assert isinstance(error, StreamError)
            self.assertIs(error.condition, StreamCondition.UNSUPPORTED_ENCODING, declared)
        for bad in (b"\0", b"\xff", b"\xc0\xaf", b"\xe2\x82<", b"\xed\xa0\x80"):
            self.refused(b"<message><body>" + bad, StreamCondition.UNSUPPORTED_ENCODING)

    def test_bad_utf8_in_pieces(self) -> None:
        """A character may be cut; one that is wrong is found wherever the cut is."""
        euro = "\u20ac".encode()
        for cut in (1, 2):
            framing = StreamFraming(C2S, 10_000)
            framing.feed(HEADER + b"<message id='" + euro[:cut])
            framing.feed(euro[cut:] + b"'/>")
            [_, message] = drained(framing)
            assert isinstance(message, Stanza)
            self.assertEqual(message.id, "\u20ac")
            framing.feed(b"<message id='" + euro[:cut])
            framing.feed(b"'/>")
            [error] = drained(framing)
            assert isinstance(error, StreamError)
            self.assertIs(error.condition, StreamCondition.UNSUPPORTED_ENCODING)

    def test_restricted(self) -> None:
        """Comments, instructions, document types, entities."""
        for data in (b"<!-- x -->", b"<?x y?>", b"<message><!-- --></message>", b"<message>&x;</message>"):
            self.refused(data, StreamCondition.RESTRICTED_XML)
        [error] = items(b"<!DOCTYPE stream>" + HEADER)
        assert isinstance(error, StreamError)
        self.assertIs(error.condition, StreamCondition.RESTRICTED_XML)

    def test_stanza_of_another_namespace(self) -> None:
        """Refused where it ends."""
        for data in (b"<message xmlns='jabber:server'/>", b"<message xmlns=''/>"):
            self.refused(data, StreamCondition.INVALID_NAMESPACE)

    def test_too_long(self) -> None:
        """An element of the limit passes, one byte more does not, complete or not."""
        room = 300 - len(b"<message id=''/>")
        self.assertEqual(len(items(HEADER + b"<message id='%b'/><presence/>" % (b"x" * room), limit=300)), 3)
        self.refused(b"<message id='%b'/>" % (b"x" * (room + 1)), StreamCondition.POLICY_VIOLATION, limit=300)
        self.refused(b"<message id='%b" % (b"x" * 300), StreamCondition.POLICY_VIOLATION, limit=300)
        self.refused(b"<message>" + b"<a/>" * 75 + b"</message>", StreamCondition.POLICY_VIOLATION, limit=300)

    def test_white_space_does_not_count(self) -> None:
        """A connection kept alive by white space stays within every limit."""
        framing = StreamFraming(C2S, 200)
        framing.feed(HEADER + b"<auth xmlns='urn:s'>x</auth>")
        self.assertEqual(len(drained(framing)), 2)
        for _ in range(300):
            framing.feed(b" \n")
            self.assertEqual(drained(framing), [])
        framing.feed(b"<presence/>")
        self.assertEqual(len(drained(framing)), 1)

    def test_nothing_after_an_error(self) -> None:
        """One error is told, and nothing is kept or read any more."""
        for bad in (b"<message></iq>", b"\0", b"<message/>&", b"text<"):
            framing = StreamFraming(C2S, 10_000)
            framing.feed(HEADER + bad + b"<presence/>")
            self.assertIsInstance(drained(framing)[-1], StreamError)
            framing.feed(b"<presence/>" * 10)
            self.assertEqual((drained(framing), framing.backlog), ([], 0))

    def test_first_error_wins(self) -> None:
        """Bad XML before bad UTF-8 is what the peer hears of."""
        self.refused(b"</message>\xff", StreamCondition.NOT_WELL_FORMED)


class CutTests(SynchronousTestCase):
    """Any cut of the bytes gives the same items."""

    def assert_same(self, data: bytes, cuts: list[int], limit: int) -> None:
        whole = told(items(data, S2S, limit))
        framing = StreamFraming(S2S, limit)
        found = []
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            framing.feed(data[start:end])
            found += drained(framing)
        self.assertEqual(told(found), whole)

    @given(st.data(), st.lists(hostile_stanzas(NS_SERVER, (("db", "jabber:server:dialback"),), declared=True), max_size=3))
    def test_stanzas(self, data: st.DataObject, stanzas: list[str]) -> None:
        """Well-formed streams, with white space between the stanzas."""
        text = "\n ".join([HEADER_SERVER.decode(), *stanzas, "</stream:stream>"]).encode()
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
        self.assert_same(text, cuts, 10_000)

    @given(
        st.data(),
        st.lists(
            st.sampled_from(
                [
                    b"<message>",
                    b"</message>",
                    b"<a/>",
                    b"x",
                    b" ",
                    b"\xe2\x82\xac",
                    b"\xff",
                    b"\0",
                    b"<!--",
                    b"-->",
                    b"<a b='>",
                    b"'/>",
                    b"<db:x/>",
                    b"]]>",
                    b"&",
                    b"<![CDATA[",
                    b"</stream:stream>",
                ]
            )
        ),
    )
    def test_damaged_streams(self, data: st.DataObject, pieces: list[bytes]) -> None:
        """Streams that break off, at every limit, byte by byte or in a few pieces."""
        text = HEADER_SERVER + b"".join(pieces)
        limit = data.draw(st.sampled_from([len(HEADER_SERVER), len(HEADER_SERVER) + 5, 10_000]))
        cuts = data.draw(st.just(list(range(len(text)))) | st.lists(st.integers(0, len(text)), max_size=5).map(sorted))
        self.assert_same(text, cuts, limit)

    @given(st.lists(st.binary(max_size=40) | st.sampled_from([HEADER, b"<presence/>", b"<message>", b"</stream:stream>"])))
    def test_anything(self, pieces: list[bytes]) -> None:
        """Whatever comes, there are items and at most one error, the last."""
        framing = StreamFraming(C2S, 300)
        found: list[Item] = []
        for piece in pieces:
            framing.feed(piece)
            found += drained(framing)
            self.assertLessEqual(framing.backlog, 300)
        self.assertFalse(any(isinstance(item, StreamError) for item in found[:-1]))


class WritingTests(SynchronousTestCase):
    """What we send."""

    def test_header(self) -> None:
        """Row 30 of the notes on peers: these words, in this order; dialback between servers (XEP-0220, 2.1)."""
        opening = Opening("a", "b", "1", "1.0", "de")
        self.assertEqual(
            StreamFraming(C2S, 0).opening(opening),
            b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
            b"from='a' to='b' id='1' version='1.0' xml:lang='de'>",
        )
        self.assertEqual(
            StreamFraming(S2S, 0).opening(Opening()),
            b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
            b"xmlns:db='jabber:server:dialback'>",
        )

    def test_rest(self) -> None:
        """Stanzas in the header's namespace, elements as they are, the end."""
        framing = StreamFraming(S2S, 0)
        self.assertEqual(framing.stanza(Stanza("presence", NS_CLIENT, {})), b"<presence/>")
        self.assertEqual(framing.text("<a/>"), b"<a/>")
        self.assertEqual(framing.closing("wss://elsewhere/"), b"</stream:stream>")

    def test_what_we_send_we_understand(self) -> None:
        """Our own stream is read as what it says."""
        framing = StreamFraming(S2S, 0)
        element = Element("message", NS_CLIENT, {"id": "1"})
        element.add("body", text="a<b")
        data = framing.opening(OPENING) + framing.stanza(Stanza.from_element(element)) + framing.closing()
        [opening, stanza, closing] = items(data, S2S)
        self.assertEqual((opening, closing), (OPENING, Closing()))
        assert isinstance(stanza, Stanza)
        self.assertEqual(stanza.element, element.renamed(NS_CLIENT, NS_SERVER, ""))
