"""Tests for `xmppfed.core.tree`."""

from __future__ import annotations

from pyexpat import ExpatError

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.element import Element
from xmppfed.core.tree import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_NAME,
    MAX_NAMESPACES,
    TreeBuilder,
    check_element,
    check_text,
    check_uri,
    new_parser,
    parse_tree,
)
from xmppfed.errors import StreamCondition, StreamError

ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32")


class CheckTextTests(SynchronousTestCase):
    """Text is judged before expat sees it (DESIGN, 4)."""

    def refused(self, data: bytes) -> str:
        error = self.assertRaises(StreamError, check_text, data)
        self.assertIs(error.condition, StreamCondition.UNSUPPORTED_ENCODING)
        return error.text

    def test_utf8(self) -> None:
        """UTF-8 of every length passes, and so does nothing at all."""
        for text in ("", "<a/>", "\u00e9", "\u20ac", "\U0001f600", "\ufeff"[:0]):
            check_text(text.encode())

    def test_other_encodings(self) -> None:
        """UTF-16 and UTF-32, with and without a byte order mark, and UTF-8 with one."""
        for encoding in ENCODINGS:
            self.refused("<message/>".encode(encoding))
            self.refused("<\u20ac/>".encode(encoding))

    def test_marks(self) -> None:
        """Each byte order mark is one."""
        for mark in (b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe"):
            self.assertIn("byte order mark", self.refused(mark + b"<a/>"))

    def test_nul(self) -> None:
        """A NUL is refused wherever it stands, beside any other character."""
        for data in (b"\0", b"<a/>\0", b"<a>\0</a>", "<\u00e9>\0".encode()):
            self.assertIn("NUL", self.refused(data))

    def test_bad_utf8(self) -> None:
        """Overlong forms, surrogates, what is cut off, what is beyond Unicode: the place is named."""
        for bad in (
            b"\xff",
            b"\x80",
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xe2\x82",
            b"\xf8\x88",
        ):
            self.assertIn("at offset 3", self.refused(b"<a>" + bad + b"</a>"))

    @given(st.binary())
    def test_verdict_is_pythons(self, data: bytes) -> None:
        """What passes is what Python decodes, without NUL and byte order mark."""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = "\0"
        try:
            check_text(data)
        except StreamError:
            self.assertTrue("\0" in text or text.startswith("\ufeff"))
        else:
            self.assertFalse("\0" in text or text.startswith("\ufeff"))


class LimitTests(SynchronousTestCase):
    """What one element may be."""

    def refused(self, name: str, attributes: dict[str, str], depth: int, count: int) -> None:
        error = self.assertRaises(StreamError, check_element, name, attributes, depth, count)
        self.assertIs(error.condition, StreamCondition.POLICY_VIOLATION)

    def test_at_the_limit(self) -> None:
        """What is as large as allowed passes."""
        attributes = {str(number): "" for number in range(MAX_ATTRIBUTES - 1)} | {"x" * MAX_NAME: ""}
        check_element("x" * MAX_NAME, attributes, MAX_DEPTH - 1, MAX_ELEMENTS)

    def test_beyond(self) -> None:
        """One more of anything does not."""
        self.refused("a", {}, MAX_DEPTH, 1)
        self.refused("a", {}, 0, MAX_ELEMENTS + 1)
        self.refused("a", {str(number): "" for number in range(MAX_ATTRIBUTES + 1)}, 0, 1)
        self.refused("x" * (MAX_NAME + 1), {}, 0, 1)
        self.refused("a", {"b": "", "x" * (MAX_NAME + 1): ""}, 0, 1)


class UriTests(SynchronousTestCase):
    """A namespace must be able to be a URI."""

    def test_usual(self) -> None:
        """Names that are in use pass, and so does none."""
        for uri in (None, "", "jabber:client", "http://etherx.jabber.org/streams", "urn:\u00e9", "a'b\"<&"):
            check_uri(uri)

    def test_refused(self) -> None:
        """White space, control characters and our own separator are refused, and shown harmlessly."""
        for uri in ("urn: x", "urn:\x0cx", "urn:\tx", "urn:\nx", "urn}x", "urn:\u2028", "urn:\u00a0x"):
            error = self.assertRaises(StreamError, check_uri, uri)
            self.assertIs(error.condition, StreamCondition.NOT_WELL_FORMED)
            self.assertTrue(error.text.isascii() and error.text.isprintable())


class ParseTreeTests(SynchronousTestCase):
    """Trees from text."""

    def test_all_of_it(self) -> None:
        """Names, namespaces, attributes, text and references."""
        self.assertEqual(
            parse_tree(b"<a xmlns='urn:x' xmlns:p='urn:y' b='1' p:c='&lt;' xml:lang='de'>t&amp;<p:d/>u<![CDATA[<]]></a>"),
            Element(
                "a",
                "urn:x",
                {"b": "1", "{urn:y}c": "<", "{http://www.w3.org/XML/1998/namespace}lang": "de"},
                ["t&", Element("d", "urn:y"), "u<"],
            ),
        )

    def test_context(self) -> None:
        """Namespaces may be declared by start tags around the element, which are no part of it."""
        self.assertEqual(
            parse_tree(b"<p:a/>", b"<s xmlns='urn:x' xmlns:p='urn:y'>"),
            Element("a", "urn:y"),
        )

    def test_not_well_formed(self) -> None:
        """Expat's verdict is a stream error."""
        for data in (b"<a>", b"<a></b>", b"<p:a/>", b"<a b='1' b='2'/>", b"<a/><b/>", b""):
            self.assertIs(self.assertRaises(StreamError, parse_tree, data).condition, StreamCondition.NOT_WELL_FORMED)

    def test_restricted(self) -> None:
        """What RFC 6120, 11.1 forbids is refused by its own condition."""
        for data in (b"<!DOCTYPE a><a/>", b"<a><!-- x --></a>", b"<a><?x y?></a>", b"<a>&x;</a>"):
            self.assertIs(self.assertRaises(StreamError, parse_tree, data).condition, StreamCondition.RESTRICTED_XML)

    def test_long_namespace_on_a_short_prefix(self) -> None:
        """A namespace that would be written for each of many elements or attributes is a policy violation."""
        uri = b"u" * 1000
        for inner in (b"<p:a/><b/>", b"<b p:a=''/>"):
            data = b"<a xmlns='urn:a' xmlns:p='%b'>%b</a>" % (uri, inner * 100)
            error = self.assertRaises(StreamError, parse_tree, data)
            self.assertIs(error.condition, StreamCondition.POLICY_VIOLATION)
            parse_tree(b"<a xmlns='urn:a' xmlns:p='%b'>%b</a>" % (uri, inner * 10))

    def test_default_namespace_is_written_once(self) -> None:
        """Children of their parent's namespace cost nothing."""
        parse_tree(b"<a xmlns='%b'>%b</a>" % (b"u" * 1000, b"<b/>" * 1000))


class TreeBuilderTests(SynchronousTestCase):
    """The builder counts as it goes."""

    def test_room(self) -> None:
        """The room for namespaces is used up by changes of namespace and by foreign attributes."""
        builder = TreeBuilder(10)
        builder.start("12345678901}a", {})
        builder.start("1234}b", {"x": ""})
        builder.start("1234}b", {"123}x": ""})
        builder.start("1}b", {})
        self.assertRaises(StreamError, builder.start, "1}b", {"}x": ""})

    def test_limits(self) -> None:
        """Depth and elements are counted."""
        builder = TreeBuilder()
        for _ in range(MAX_DEPTH):
            builder.start("a", {})
        self.assertRaises(StreamError, builder.start, "a", {})
        builder = TreeBuilder()
        builder.start("a", {})
        for _ in range(MAX_ELEMENTS - 1):
            builder.start("b", {})
            builder.end("b")
        self.assertRaises(StreamError, builder.start, "b", {})

    def test_room_by_default(self) -> None:
        """Without another word it is that of a large stanza."""
        builder = TreeBuilder()
        builder.start("a", {})
        for _ in range(MAX_NAMESPACES // 1000):
            builder.start("u" * 999 + "}b", {})
            builder.end("")
        self.assertTrue(builder.open)

    def test_open(self) -> None:
        """Until the root's end tag."""
        builder = TreeBuilder()
        builder.start("a", {})
        builder.start("b", {})
        builder.end("b")
        self.assertTrue(builder.open)
        builder.end("a")
        self.assertFalse(builder.open)
        self.assertEqual(builder.root, Element("a", "", {}, [Element("b", "")]))


class NewParserTests(SynchronousTestCase):
    """The parser itself."""

    def test_restricted_handlers_are_left_out(self) -> None:
        """Where no markup can be, nothing looks for it."""
        self.assertIsNone(new_parser(markup=False).CommentHandler)
        self.assertIsNotNone(new_parser(markup=True).CommentHandler)

    def test_expat_refuses_our_separator(self) -> None:
        """`}` cannot stand in a namespace: names could not be told apart (expat 2.4.5 refuses it, and so do we)."""
        parser = new_parser(markup=False)
        parser.StartNamespaceDeclHandler = lambda prefix, uri: check_uri(uri)
        self.assertRaises((ExpatError, StreamError), parser.Parse, b"<a xmlns='u}b'/>", True)
