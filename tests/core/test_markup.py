"""Tests for `xmppfed.core.markup`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.hostile import hostile_stanzas
from xmppfed.core.markup import MarkupScanner
from xmppfed.errors import StreamCondition, StreamError

PIECES = ["<", ">", "'", '"', "a", " ", "/", "=", "?", "!", "]", "]]>", "<![CDATA[", "<?", "?>", "</a>", "<a b='>'>"]


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The ends found in `data`, which comes cut into pieces, as the text up to each; and why it broke off, if it did."""
    scanner, buffer, found = MarkupScanner(), bytearray(), []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        buffer += data[start:end]
        try:
            while size := scanner.end(buffer):
                found.append(bytes(buffer[:size]))
                del buffer[:size]
                scanner.cut(size)
        except StreamError as error:
            return [*found, error.text.encode()]
    return found


class EndTests(SynchronousTestCase):
    """Where markup ends."""

    def assert_found(self, *expected: bytes, rest: bytes = b"") -> None:
        self.assertEqual(pieces(b"".join(expected) + rest, []), list(expected))

    def test_tags(self) -> None:
        """At their `>`, and the text before a tag goes with it."""
        self.assert_found(b"<a>", b"text > <b/>", b" </a>", rest=b" text")

    def test_quotes(self) -> None:
        """A `>` or `<` between quotes ends nothing; neither does a quote of the other kind."""
        self.assert_found(b"<a b='>' c=\">'\">", b'<a b="\'" c=\'">"\'/>', b"it's <b>", b'"</b>', rest=b"<a b='></a>")

    def test_sections(self) -> None:
        """CDATA ends at `]]>`, an instruction at `?>`, whatever they hold."""
        self.assert_found(b"<?xml version='1.0'?>", b"<a>", b"<![CDATA[<b c='>]]]]>", b"<?a > '?>", rest=b"<![CDATA[ ]]")

    def test_not_yet(self) -> None:
        """What may still become one thing or another waits."""
        for data in (b"", b"text", b"<", b"<!", b"<![CDATA", b"<a", b"<a b='c'", b"<?xml ?", b"<![CDATA[]]"):
            self.assert_found(rest=data)

    def test_nonsense(self) -> None:
        """What is no tag ends like one, and is expat's to refuse."""
        self.assert_found(b"<>", b"< >", b"<'>'>", b"<?>", rest=b"?>")

    def test_restricted(self) -> None:
        """Comments and document types are refused at their first letters."""
        for data in (b"<!-", b"<!D", b"<![I", b"<! ", b"<!>", b"x <!--"):
            error = self.assertRaises(StreamError, MarkupScanner().end, bytearray(data))
            self.assertIs(error.condition, StreamCondition.RESTRICTED_XML)


class CutTests(SynchronousTestCase):
    """Any cut gives the same ends."""

    @given(st.data(), st.lists(st.sampled_from(PIECES)).map("".join) | hostile_stanzas("jabber:client"))
    def test_cut(self, data: st.DataObject, text: str) -> None:
        """In a few pieces, or byte by byte."""
        written = text.encode()
        cuts = data.draw(st.just(list(range(len(written)))) | st.lists(st.integers(0, len(written)), max_size=5).map(sorted))
        self.assertEqual(pieces(written, cuts), pieces(written, []))

    @given(hostile_stanzas("jabber:client"))
    def test_all_of_a_stanza(self, text: str) -> None:
        """Every end of a well-formed stanza is found: the pieces are the whole."""
        self.assertEqual(b"".join(pieces(text.encode(), [])), text.encode())


class CostTests(SynchronousTestCase):
    """Pieces cost no more than their bytes."""

    def test_no_byte_is_looked_at_often(self) -> None:
        """Of a long tag, text, section or value that comes in pieces, what was looked at is passed over."""
        for start in (b"<a b='", b"<a ", b"text", b"<![CDATA[", b"<?"):
            scanner, buffer = MarkupScanner(), bytearray(start)
            for _ in range(100):
                buffer += b"xxxx"
                self.assertEqual(scanner.end(buffer), 0)
                self.assertGreaterEqual(scanner._at, len(buffer) - 4, start)
