"""Tests for `xmppfed.core.element`."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.element import Element, escape_attribute, escape_text, write_attributes
from xmppfed.core.namespaces import NS_CLIENT, NS_DIALBACK, NS_FORWARD, NS_SERVER, NS_STREAM, NS_XML
from xmppfed.core.tree import parse_tree

NAMES = st.sampled_from(["a", "body", "x-y", "é", "_1", "message"])
NAMESPACES = st.sampled_from(["", NS_CLIENT, NS_SERVER, NS_STREAM, NS_DIALBACK, NS_XML, "urn:x", 'urn:it\'s&<"x"'])
XML_TEXT = st.text(
    st.characters(
        exclude_categories=["Cs"], exclude_characters="\ufffe\uffff" + "".join(map(chr, [*range(9), 11, 12, *range(14, 32)]))
    )
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["id", "to", f"{{{NS_XML}}}lang", "{urn:x}id", "{urn:x}to", "{urn:y'&<}id", f"{{{NS_CLIENT}}}id"]),
    XML_TEXT,
    max_size=4,
)


def _with_children(element: Element, children: list[Element | str]) -> Element:
    """Adjacent texts are one to a parser, and empty ones none."""
    merged: list[Element | str] = []
    for child in children:
        if isinstance(child, str) and merged and isinstance(merged[-1], str):
            merged[-1] += child
        elif child != "":
            merged.append(child)
    return Element(element.name, element.namespace, element.attributes, merged)


LEAVES = st.builds(Element, NAMES, NAMESPACES, ATTRIBUTES)
TREES = st.recursive(
    LEAVES, lambda inner: st.builds(_with_children, LEAVES, st.lists(inner | XML_TEXT, max_size=4)), max_leaves=8
)


class EscapingTests(SynchronousTestCase):
    """What has a meaning in XML is written so that it has none."""

    def test_text(self) -> None:
        """`>` is escaped, so that `]]>` cannot stand in text, and a carriage return would be lost otherwise."""
        self.assertEqual(escape_text("a<b>&c]]>\r\n'\""), "a&lt;b&gt;&amp;c]]&gt;&#13;\n'\"")

    def test_attribute(self) -> None:
        """Both quotes and all white space but the blank are escaped: normalization leaves them alone (XML 1.0, 3.3.3)."""
        self.assertEqual(escape_attribute("<>&'\" \t\n\r"), "&lt;&gt;&amp;&apos;&quot; &#9;&#10;&#13;")

    def test_plain(self) -> None:
        """What needs no escape is the same object again."""
        text = "plain \u00e9"
        self.assertIs(escape_text(text), text)
        self.assertIs(escape_attribute(text), text)

    def test_what_xml_cannot_write(self) -> None:
        """Characters that no XML may hold become U+FFFD: a text of ours must not end a stream (XML 1.0, 2.2)."""
        for bad in ("\0", "\x08", "\x0b", "\x0c", "\x1f", "\ud800", "\udfff", "\ufffe", "\uffff"):
            self.assertEqual(escape_text(f"a{bad}b"), "a\ufffdb")
            self.assertEqual(escape_attribute(f"a{bad}b"), "a\ufffdb")

    @given(st.text(st.characters()))
    def test_any_text_can_be_sent(self, text: str) -> None:
        """Whatever a text holds, lone surrogates too, what is written is UTF-8 that another parser takes."""
        written = Element("a", "", {"b": text}, [text]).to_xml().encode()
        self.assertEqual(ElementTree.fromstring(written).tag, "a")


class WriteAttributesTests(SynchronousTestCase):
    """Attributes of a start tag."""

    def test_none(self) -> None:
        """No attribute is no text."""
        self.assertEqual(write_attributes({}), "")

    def test_order_and_quotes(self) -> None:
        """In their order, in single quotes, with a blank before each."""
        self.assertEqual(write_attributes({"to": "a", "from": "b'c"}), " to='a' from='b&apos;c'")

    def test_xml_lang(self) -> None:
        """The prefix `xml` needs no declaration."""
        self.assertEqual(write_attributes({f"{{{NS_XML}}}lang": "de"}), " xml:lang='de'")

    def test_foreign(self) -> None:
        """An attribute of another namespace brings its own prefix."""
        self.assertEqual(
            write_attributes({"{urn:x}a": "1", "{urn:'y}b": "2"}), " xmlns:a0='urn:x' a0:a='1' xmlns:a1='urn:&apos;y' a1:b='2'"
        )


class LookingTests(SynchronousTestCase):
    """What one asks of an element."""

    def setUp(self) -> None:
        self.element = Element("iq", NS_CLIENT, {"id": "1"})
        self.query = self.element.add("query", "jabber:iq:roster", ver="7")
        self.element.children.append("tail")
        self.element.add("body", text="hello")

    def test_tag(self) -> None:
        """Names are compared with their namespace."""
        self.assertEqual(self.element.tag, "{jabber:client}iq")
        self.assertEqual(self.query.tag, "{jabber:iq:roster}query")

    def test_text(self) -> None:
        """The text directly inside, and not that of children."""
        self.assertEqual(self.element.text, "tail")

    def test_child(self) -> None:
        """The first child of that namespace and name, or none."""
        self.assertIs(self.element.child("{jabber:iq:roster}query"), self.query)
        self.assertIsNone(self.element.child("{jabber:client}query"))

    def test_added_child_is_of_our_namespace(self) -> None:
        """Unless another is named."""
        body = self.element.child("{jabber:client}body")
        assert body is not None
        self.assertEqual((body.text, body.attributes), ("hello", {}))

    def test_child_of_no_namespace(self) -> None:
        """The empty namespace is a namespace to name."""
        self.assertEqual(self.element.add("x", "").tag, "{}x")

    def test_get(self) -> None:
        """An attribute, or what is given for its absence."""
        self.assertEqual((self.element.get("id"), self.element.get("to"), self.element.get("to", "")), ("1", None, ""))


class WritingTests(SynchronousTestCase):
    """Canonical text."""

    def test_inherited_namespace(self) -> None:
        """A default namespace is declared where it changes, and there alone."""
        element = Element("message", NS_CLIENT)
        element.add("body", text="a")
        element.add("x", "urn:x").add("y")
        self.assertEqual(element.to_xml(), "<message xmlns='jabber:client'><body>a</body><x xmlns='urn:x'><y/></x></message>")
        self.assertEqual(element.to_xml(NS_CLIENT), "<message><body>a</body><x xmlns='urn:x'><y/></x></message>")

    def test_no_namespace(self) -> None:
        """A child of no namespace says so."""
        element = Element("a", "urn:x")
        element.add("b", "")
        self.assertEqual(element.to_xml(), "<a xmlns='urn:x'><b xmlns=''/></a>")

    def test_prefixes_of_the_standard(self) -> None:
        """`stream:` and `db:` are written with their prefix, declared once (RFC 6120, 4.8.5; XEP-0220, 2.1)."""
        element = Element("features", NS_STREAM)
        element.add("inner").add("dialback", "urn:d")
        self.assertEqual(
            element.to_xml(),
            "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>"
            "<stream:inner><dialback xmlns='urn:d'/></stream:inner></stream:features>",
        )
        self.assertEqual(
            Element("result", NS_DIALBACK, {"type": "valid"}).to_xml(),
            "<db:result xmlns:db='jabber:server:dialback' type='valid'/>",
        )

    def test_default_namespace_survives_a_prefix(self) -> None:
        """Inside a prefixed element the default namespace is still the one around it."""
        element = Element("a", "urn:x")
        element.add("error", NS_STREAM).add("b", "urn:x")
        self.assertEqual(
            element.to_xml(),
            "<a xmlns='urn:x'><stream:error xmlns:stream='http://etherx.jabber.org/streams'><b/></stream:error></a>",
        )

    def test_element_of_xml_itself(self) -> None:
        """The namespace of XML cannot be declared as a default, so its prefix is written (Namespaces in XML, 3)."""
        element = Element("a", "urn:x")
        element.add("b", NS_XML)
        self.assertEqual(element.to_xml(), "<a xmlns='urn:x'><xml:b/></a>")

    def test_deep_tree(self) -> None:
        """Nothing recurses: a tree may be deeper than Python's stack."""
        root = element = Element("a", "")
        for _ in range(5000):
            element = element.add("a")
        self.assertEqual(len(root.to_xml()), 5000 * 7 + 4)

    @given(TREES)
    def test_parse_of_written_is_identity(self, tree: Element) -> None:
        """Our parser gives back what was written."""
        self.assertEqual(parse_tree(tree.to_xml().encode()), tree)

    @given(TREES)
    def test_another_parser_agrees(self, tree: Element) -> None:
        """A second parser sees the same names, attributes and text."""
        self.assertEqual(_seen(ElementTree.fromstring(tree.to_xml().encode())), tree)


def _seen(element: ElementTree.Element) -> Element:
    namespace, _, name = element.tag.rpartition("}")
    made = Element(name, namespace[1:], dict(element.attrib))
    parts = [element.text or "", *(part for child in element for part in (_seen(child), child.tail or ""))]
    made.children = [part for part in parts if part != ""]
    return made


class RenamedTests(SynchronousTestCase):
    """From one content namespace to another."""

    def test_all_levels(self) -> None:
        """Every element of the namespace changes, whatever stands between."""
        element = Element("message", NS_CLIENT, {"id": "1"}, ["text"])
        element.add("x", "urn:x").add("body", NS_CLIENT, text="a")
        renamed = element.renamed(NS_CLIENT, NS_SERVER, NS_FORWARD)
        expected = Element("message", NS_SERVER, {"id": "1"}, ["text"])
        expected.add("x", "urn:x").add("body", NS_SERVER, text="a")
        self.assertEqual(renamed, expected)

    def test_forwarded_is_kept(self) -> None:
        """What is forwarded keeps its own namespace (XEP-0297, 4)."""
        element = Element("message", NS_CLIENT)
        element.add("forwarded", NS_FORWARD).add("message", NS_CLIENT).add("body")
        renamed = element.renamed(NS_CLIENT, NS_SERVER, NS_FORWARD)
        self.assertEqual(renamed.namespace, NS_SERVER)
        self.assertEqual(renamed.children, element.children)

    def test_original_is_left_alone(self) -> None:
        """The tree is shared by who receives it, so a copy changes."""
        element = Element("message", NS_CLIENT)
        element.add("body").add("b")
        before = element.to_xml()
        element.renamed(NS_CLIENT, NS_SERVER, NS_FORWARD)
        self.assertEqual(element.to_xml(), before)
