"""Tests for `xmppfed.core.parser`."""

from __future__ import annotations

import gc

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.hostile import hostile_stanzas
from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_CLIENT, NS_FRAMING_SERVER, NS_SERVER
from xmppfed.core.parser import CONTENT_NAMESPACES, ElementPass, parse_element, parse_stored, stanza_names
from xmppfed.core.stanza import Stanza
from xmppfed.core.tree import MAX_DEPTH, MAX_PREFIXES, new_parser
from xmppfed.errors import StreamCondition, StreamError

KINDS = stanza_names(NS_CLIENT)
DIALECT = stanza_names(NS_SERVER, NS_FRAMING_SERVER, "")
MESSAGE = "<message xmlns='jabber:client'>%s</message>"


def parsed(text: str) -> Stanza | Element:
    """What a client's message is."""
    return parse_element(text.encode(), KINDS, NS_CLIENT)


class NamesTests(SynchronousTestCase):
    """Which elements are stanzas."""

    def test_names(self) -> None:
        """The three kinds in each namespace, as expat names them."""
        self.assertEqual(
            stanza_names("urn:x", ""),
            {
                "urn:x}message": "message",
                "urn:x}presence": "presence",
                "urn:x}iq": "iq",
                "message": "message",
                "presence": "presence",
                "iq": "iq",
            },
        )

    def test_content_namespaces(self) -> None:
        """Clients, servers and components (XEP-0114)."""
        self.assertEqual(CONTENT_NAMESPACES, {"jabber:client", "jabber:server", "jabber:component:accept"})


class StanzaTests(SynchronousTestCase):
    """One pass tells the envelope, and the children by name and place."""

    def test_envelope(self) -> None:
        """Kind, namespace and attributes; the letter is the bytes between the tags, from the first child on."""
        stanza = parsed("<iq xmlns='jabber:client' id='1' xml:lang='de'> <a xmlns='urn:a'/>text<b/> </iq>")
        assert isinstance(stanza, Stanza)
        self.assertEqual((stanza.kind, stanza.namespace), ("iq", NS_CLIENT))
        self.assertEqual(stanza.attributes, {"id": "1", "{http://www.w3.org/XML/1998/namespace}lang": "de"})
        self.assertEqual(stanza.children, ("{urn:a}a", "{jabber:client}b"))
        self.assertEqual(stanza.letter, b"<a xmlns='urn:a'/>text<b/> ")
        self.assertEqual([stanza.span(0), stanza.span(1)], [(0, 22), (22, 27)])

    def test_without_children(self) -> None:
        """An empty stanza has an empty letter, however it is written."""
        for text in ("<iq xmlns='jabber:client'/>", MESSAGE % "", MESSAGE % " only text "):
            stanza = parsed(text)
            assert isinstance(stanza, Stanza)
            self.assertEqual((stanza.letter, stanza.children), (b"", ()))

    def test_spans_come_from_expat(self) -> None:
        """What looks like markup inside values, text and CDATA is none."""
        stanza = parsed(MESSAGE % "<a b='</message>'.replace/>".replace("'</message>'.replace", "'&lt;/message>'"))
        assert isinstance(stanza, Stanza)
        self.assertEqual(stanza.letter, b"<a b='&lt;/message>'/>")

    def test_large_as_small(self) -> None:
        """The pass that checks limits tells the same as the one for what cannot reach them."""
        children = "<a xmlns='urn:a'/><b x='1'><c/></b>"
        small, large = parsed(MESSAGE % children), parsed(MESSAGE % (children + "<d>" + "x" * 1000 + "</d>"))
        assert isinstance(small, Stanza) and isinstance(large, Stanza)
        self.assertEqual(large.children, (*small.children, "{jabber:client}d"))
        self.assertEqual(large.letter[: len(small.letter)], small.letter)

    def test_nothing_is_left_for_the_garbage_collector(self) -> None:
        """A parser and its handlers go at once, not when enough of them have piled up."""
        parsed(MESSAGE % "<body/>")
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                parsed(MESSAGE % "<body/>")
            self.assertEqual(gc.collect(), 0)
        finally:
            gc.enable()


class ElementPassTests(SynchronousTestCase):
    """A pass over an element that stands inside a document."""

    def test_complete(self) -> None:
        """Whoever drives the parser is told where the element ends, and where in the document it stood."""
        parser, context = new_parser(markup=True), b"<stream xmlns='jabber:client' xmlns:p='urn:p'>"
        found: list[int] = []
        parser.Parse(context, False)
        element = ElementPass(parser, KINDS, lambda: found.append(parser.CurrentByteIndex))
        element.attach()
        data = b"<message><p:x/></message>"
        parser.Parse(data, False)
        self.assertEqual(found, [len(context) + 15])
        stanza = element.result(data, NS_CLIENT, len(context), context, (b"p:",))
        assert isinstance(stanza, Stanza)
        self.assertEqual(stanza.letter, b"<x xmlns='urn:p'/>")

    def test_complete_tree(self) -> None:
        """Of any other element the end is told once, however it is nested."""
        parser = new_parser(markup=True)
        found: list[int] = []
        parser.Parse(b"<stream>", False)
        element = ElementPass(parser, KINDS, lambda: found.append(parser.CurrentByteIndex))
        element.attach()
        parser.Parse(b"<a><b><c/></b>x</a>", False)
        self.assertEqual(found, [8 + 15])
        self.assertEqual(element.result(b"", NS_CLIENT), Element("a", "", {}, [Element("b", "", {}, [Element("c", "")]), "x"]))


class OtherElementTests(SynchronousTestCase):
    """What is no stanza is a tree."""

    def test_tree(self) -> None:
        """With text, attributes and children."""
        self.assertEqual(
            parsed("<auth xmlns='urn:s' mechanism='PLAIN'>AA<x/>=</auth>"),
            Element("auth", "urn:s", {"mechanism": "PLAIN"}, ["AA", Element("x", "urn:s"), "="]),
        )

    def test_stanza_of_another_namespace(self) -> None:
        """Its name alone does not make a stanza."""
        self.assertIsInstance(parsed("<message xmlns='jabber:server'/>"), Element)

    def test_nested_stanza(self) -> None:
        """Nor does a place inside something else."""
        element = parsed("<x xmlns='urn:x'><message xmlns='jabber:client'/></x>")
        self.assertEqual(element, Element("x", "urn:x", {}, [Element("message", NS_CLIENT)]))


class StoredTests(SynchronousTestCase):
    """What was kept."""

    @given(hostile_stanzas(NS_CLIENT))
    def test_comes_back(self, text: str) -> None:
        """A stanza that was written for storage is read as the same stanza."""
        try:
            stanza = parsed(text)
        except StreamError:
            return
        assert isinstance(stanza, Stanza)
        stored = parse_stored(stanza.to_bytes(NS_CLIENT))
        self.assertEqual((stored.kind, stored.attributes, stored.children), (stanza.kind, stanza.attributes, stanza.children))
        self.assertEqual(list(stored.element.elements()), list(stanza.element.elements()))


class RenamedTests(SynchronousTestCase):
    """Stanzas that a dialect left in another namespace (the two peers of XEP-0468)."""

    def stanza(self, text: str) -> Stanza:
        item = parse_element(text.encode(), DIALECT, NS_SERVER)
        assert isinstance(item, Stanza)
        return item

    def test_children_share_it(self) -> None:
        """A child of the root's namespace is of the one the root is given; others keep theirs."""
        for xmlns in (f" xmlns='{NS_FRAMING_SERVER}'", "", " xmlns='jabber:server'"):
            stanza = self.stanza(f"<message{xmlns}><body><b/></body><x xmlns='urn:x'><y/></x></message>")
            self.assertEqual(stanza.children, ("{jabber:server}body", "{urn:x}x"))
            self.assertTrue(stanza.verbatim)
            self.assertEqual([child.tag for child in stanza.element.elements()], list(stanza.children))
            self.assertEqual(
                stanza.to_bytes(NS_CLIENT), b"<message xmlns='jabber:client'><body><b/></body><x xmlns='urn:x'><y/></x></message>"
            )

    def test_declared_again(self) -> None:
        """A child that declares the dialect's namespace once more is renamed with the rest."""
        stanza = self.stanza(
            f"<message xmlns='{NS_FRAMING_SERVER}'><x xmlns='urn:x'><y xmlns='{NS_FRAMING_SERVER}'/></x></message>"
        )
        self.assertEqual(
            stanza.to_bytes(NS_SERVER),
            b"<message xmlns='jabber:server'><x xmlns='urn:x'><y xmlns='jabber:server'/></x></message>",
        )

    def test_no_namespace_declared_again(self) -> None:
        """The same for a child that declares none."""
        stanza = self.stanza("<message><x xmlns='urn:x'/><y xmlns=''/></message>")
        self.assertEqual(stanza.children, ("{urn:x}x", "{jabber:server}y"))
        self.assertEqual(stanza.to_bytes(NS_SERVER), b"<message xmlns='jabber:server'><x xmlns='urn:x'/><y/></message>")
        alone = self.stanza("<message><y xmlns=''/></message>")
        self.assertEqual(alone.to_bytes(NS_SERVER), b"<message xmlns='jabber:server'><y/></message>")


class RefusalTests(SynchronousTestCase):
    """What is not taken, and what the peer hears."""

    def refused(self, data: bytes | str, condition: StreamCondition = StreamCondition.NOT_WELL_FORMED) -> None:
        data = data.encode() if isinstance(data, str) else data
        error = self.assertRaises(StreamError, parse_element, data, KINDS, NS_CLIENT)
        self.assertIs(error.condition, condition, data[:80])

    def test_not_one_element(self) -> None:
        """Nothing, text, two roots, something before or behind (RFC 7395, 3.3.3)."""
        root = MESSAGE % ""
        for text in (
            "",
            " ",
            "text",
            f" {root}",
            f"{root} ",
            f"{root}\n",
            root + root,
            root[:-1],
            f"{root}x>",
            f"x{root}",
            "<",
            ">",
            "<>",
        ):
            self.refused(text)

    def test_declaration(self) -> None:
        """An XML declaration has no place in a message."""
        self.refused("<?xml version='1.0'?>" + MESSAGE % "", StreamCondition.RESTRICTED_XML)

    def test_namespace_that_is_no_uri(self) -> None:
        """Also where it is the only one, declared by an element that is no stanza."""
        for uri in ("urn: x", "urn:&#x9;x"):
            self.refused(f"<x xmlns='{uri}'/>")
            self.refused(MESSAGE % f"<x xmlns='{uri}'/>")
            self.refused(MESSAGE % f"<p:x xmlns:p='{uri}'/>")

    def test_limits_count_from_the_root(self) -> None:
        """As deep as allowed passes, in stanzas and in other elements; one deeper does not."""
        for root in ("message xmlns='jabber:client'", "x xmlns='urn:x'"):
            name = root.split()[0]
            for depth, allowed in ((MAX_DEPTH - 1, True), (MAX_DEPTH, False)):
                text = f"<{root}>{'<a>' * depth}{'</a>' * depth}</{name}>"
                if allowed:
                    parsed(text)
                else:
                    self.refused(text, StreamCondition.POLICY_VIOLATION)

    def test_not_utf8(self) -> None:
        """Other encodings, and what is none."""
        for data in ((MESSAGE % "").encode("utf-16"), b"<a>\0</a>", b"<a>\xff</a>"):
            self.refused(data, StreamCondition.UNSUPPORTED_ENCODING)

    def test_restricted(self) -> None:
        """Comments, instructions, document types and entities (RFC 6120, 11.1)."""
        for text in (MESSAGE % "<!---->", MESSAGE % "<?x?>", "<!DOCTYPE a>" + MESSAGE % "", MESSAGE % "&x;"):
            self.refused(text, StreamCondition.RESTRICTED_XML)

    def test_prefixes(self) -> None:
        """Declared anywhere in one element, they are counted."""
        for count, allowed in ((MAX_PREFIXES, True), (MAX_PREFIXES + 1, False)):
            text = MESSAGE % "".join(f"<a xmlns:p{number}='u'/>" for number in range(count))
            if allowed:
                parsed(text)
            else:
                self.refused(text, StreamCondition.POLICY_VIOLATION)

    def test_small_elements_reach_no_limit(self) -> None:
        """The largest element that goes unchecked can neither be too deep nor have too many attributes."""
        deep = "".join(f"<{'abcdefghijklmnopqrstuvwxyz'[index % 26]}>" for index in range(150))
        self.refused(MESSAGE % deep)
        wide = "<a " + " ".join(f"{letter}{digit}=''" for letter in "abcdefghijklm" for digit in range(10)) + "/>"
        self.refused(MESSAGE % wide, StreamCondition.POLICY_VIOLATION)

    @given(st.binary(max_size=80) | st.text("<>/!?[]-='\" axmlns:&;\x00\ufffe\u00e9", max_size=60).map(str.encode))
    def test_anything(self, data: bytes) -> None:
        """Whatever comes, there is an item or a stream error."""
        for kinds in (KINDS, DIALECT, {}):
            try:
                item = parse_element(data, kinds, NS_CLIENT)
            except StreamError as error:
                self.assertTrue(error.to_xml().encode())
            else:
                self.assertIsInstance(item, Stanza | Element)

    @given(hostile_stanzas(NS_CLIENT), st.data())
    def test_damaged(self, text: str, data: st.DataObject) -> None:
        """A stanza with a piece cut out or put in is taken whole or refused, and what is taken can be sent."""
        at = data.draw(st.integers(0, len(text)))
        damage = data.draw(
            st.sampled_from(["", "<", ">", "&", "'", "<!--", "<?x?>", "<![CDATA[", "]]>", "</message>", " xmlns=''", "\x0c"])
        )
        damaged = (text[:at] + damage + text[at + data.draw(st.integers(0, 3)) :]).encode()
        try:
            item = parse_element(damaged, KINDS, NS_CLIENT)
        except StreamError:
            return
        if isinstance(item, Stanza):
            parse_element(item.to_bytes(NS_SERVER), stanza_names(NS_SERVER), NS_SERVER)
