"""Tests for `xmppfed.core.stanza`."""

from __future__ import annotations

from copy import deepcopy
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.hostile import CONTENT, PAIRS, hostile_stanzas, seen, seen_renamed
from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.core.namespaces import NS_CLIENT, NS_FORWARD, NS_SERVER
from xmppfed.core.parser import parse_element, stanza_names
from xmppfed.core.stanza import LANG, Stanza
from xmppfed.errors import JIDError, StanzaCondition, StanzaError


def parsed(data: bytes | str, namespace: str = NS_CLIENT) -> Stanza:
    """The stanza that `data` is on a stream of `namespace`."""
    item = parse_element(data.encode() if isinstance(data, str) else data, stanza_names(namespace), namespace)
    assert isinstance(item, Stanza), item
    return item


def both(namespace: str, written: str) -> tuple[Stanza, ElementTree.Element]:
    """The stanza, and what another parser makes of the same text."""
    return parsed(written, namespace), ElementTree.fromstring(written)


HOSTILE = st.sampled_from(CONTENT).flatmap(lambda namespace: st.tuples(st.just(namespace), hostile_stanzas(namespace)))


class RestampedTests(SynchronousTestCase):
    """Forwarding changes the envelope and the content namespace, and nothing else (DESIGN, 4)."""

    @given(HOSTILE)
    def test_every_pair_of_namespaces(self, case: tuple[str, str]) -> None:
        """For every ordered pair of content namespaces, what is sent is what came, as a second parser sees it."""
        source, written = case
        stanza = parsed(written, source)
        for target in [target for first, target in PAIRS if first == source]:
            expected = seen_renamed(ElementTree.fromstring(written), source, target)
            sent = stanza.to_bytes(target)
            self.assertEqual(seen(ElementTree.fromstring(sent)), expected)
            inside = b"<stream xmlns='%b'>%b</stream>" % (target.encode(), stanza.to_bytes(target, declare=False))
            self.assertEqual(seen(ElementTree.fromstring(inside)[0]), expected)

    @given(HOSTILE)
    def test_restamped(self, case: tuple[str, str]) -> None:
        """A stamp replaces `from`, and everything else stays; the tree says the same as the bytes."""
        source, written = case
        stamped = parsed(written, source).stamped("juliet@example.org/balcony", "de")
        expected = ElementTree.fromstring(written)
        expected.set("from", "juliet@example.org/balcony")
        expected.attrib.setdefault(LANG, "de")
        self.assertEqual(seen(ElementTree.fromstring(stamped.to_bytes(source))), seen(expected))
        self.assertEqual(seen(ElementTree.fromstring(stamped.element.to_xml())), seen(expected))

    @given(HOSTILE)
    def test_what_is_sent_cannot_be_misread(self, case: tuple[str, str]) -> None:
        """Who splits or replaces text meets no CDATA, no other prefix for a stanza, and the namespace in one form."""
        source, written = case
        sent = parsed(written, source).to_bytes(NS_SERVER)
        self.assertNotIn(b"<![CDATA[", sent)
        self.assertRegex(sent, rb"^<(message|presence|iq) xmlns='jabber:server'[ />]")

    @given(HOSTILE)
    def test_children_are_those_of_the_tree(self, case: tuple[str, str]) -> None:
        """Names of children tell what the tree would, and each span is one child."""
        source, written = case
        stanza, other = both(source, written)
        names = tuple(child.tag if child.tag.startswith("{") else f"{{}}{child.tag}" for child in other)
        self.assertEqual(stanza.children, names)
        self.assertEqual(tuple(child.tag for child in stanza.element.elements()), names)
        for index, name in enumerate(names):
            start, end = stanza.span(index)
            found = ElementTree.fromstring(b"<r xmlns='%b'>%b</r>" % (source.encode(), stanza.letter[start:end]))
            self.assertEqual([child.tag if child.tag.startswith("{") else f"{{}}{child.tag}" for child in found], [name])

    @given(HOSTILE)
    def test_sent_once_more(self, case: tuple[str, str]) -> None:
        """What was sent is taken by the next server, and sent by it in the same bytes."""
        source, written = case
        sent = parsed(written, source).to_bytes(source)
        self.assertEqual(parsed(sent, source).to_bytes(source), sent)


class ChildrenTests(SynchronousTestCase):
    """A child more, or some less."""

    @given(HOSTILE, st.sets(st.integers(0, 6)))
    def test_without(self, case: tuple[str, str], unwanted: set[int]) -> None:
        """The others stay, in their order and with their content, as a second parser sees them, on every kind of stream."""
        source, written = case
        stanza, expected = both(source, written)
        for index, child in reversed(list(enumerate(expected))):
            if index in unwanted:
                expected.remove(child)
        less = stanza.without(unwanted)
        self.assertEqual(less.children, tuple(name for at, name in enumerate(stanza.children) if at not in unwanted))
        for target in CONTENT:
            seen_there = seen(ElementTree.fromstring(less.to_bytes(target)))
            self.assertEqual([*seen_there], [*seen_renamed(deepcopy(expected), source, target)])
        self.assertEqual(less.without(range(9)).letter, b"")

    @given(HOSTILE)
    def test_with_child(self, case: tuple[str, str]) -> None:
        """The new child is the last one, and can be found and cut out again; one of a content namespace is renamed."""
        source, written = case
        stanza = parsed(written, source)
        for child in (
            Element("a", "urn:x", {"b": "'>"}),
            Element("body", source, {}, ["<"]),
            Element("m", "urn:x", {}, [_LETTER]),
        ):
            more = stanza.with_child(child)
            self.assertEqual((more.children, len(more.children)), ((*stanza.children, child.tag), len(stanza.children) + 1))
            self.assertEqual(list(more.element.elements())[-1], child)
            self.assertEqual(more.without([len(stanza.children)]).letter, stanza.letter)
            for target in CONTENT:
                last = ElementTree.fromstring(more.to_bytes(target))[-1]
                self.assertEqual(seen(last), seen_renamed(ElementTree.fromstring(child.to_xml()), source, target))


_LETTER = Element("body", NS_CLIENT, {}, ["inside"])


class VerbatimTests(SynchronousTestCase):
    """The letter goes as it came where that is safe."""

    def sent(self, letter: str, envelope: str = "<message xmlns='jabber:client' to='b'>") -> tuple[bool, str]:
        """Whether it went verbatim, and what went to a server."""
        stanza = parsed(f"{envelope}{letter}</message>")
        return stanza.verbatim and stanza.letter == letter.encode(), stanza.to_bytes(NS_SERVER).decode()

    def test_plain(self) -> None:
        """Odd quotes, blanks, references and `>` in text stay as they are."""
        letter = '<body  a="it\'s > x">&#65;>&amp;</body><x xmlns="urn:x"/>'
        self.assertEqual(self.sent(letter), (True, f"<message xmlns='jabber:server' to='b'>{letter}</message>"))

    def test_cdata(self) -> None:
        """CDATA is written as text."""
        self.assertEqual(
            self.sent("<body><![CDATA[</message>]]></body>"),
            (False, "<message xmlns='jabber:server' to='b'><body>&lt;/message&gt;</body></message>"),
        )

    def test_prefixed_root(self) -> None:
        """A prefixed stanza loses its prefix, and a child of no namespace stays one."""
        stanza = parsed("<c:message xmlns:c='jabber:client'><body/><c:body/></c:message>")
        self.assertEqual(stanza.children, ("{}body", "{jabber:client}body"))
        self.assertEqual(stanza.to_bytes(NS_SERVER), b"<message xmlns='jabber:server'><body xmlns=''/><body/></message>")

    def test_prefixed_root_with_another_default(self) -> None:
        """The default namespace around the children is not that of the stanza."""
        stanza = parsed("<c:message xmlns:c='jabber:client' xmlns='urn:x'><body/></c:message>")
        self.assertEqual(stanza.children, ("{urn:x}body",))
        self.assertEqual(stanza.to_bytes(NS_CLIENT), b"<message xmlns='jabber:client'><body xmlns='urn:x'/></message>")

    def test_prefix_bound_to_content_namespace(self) -> None:
        """A prefix of a content namespace is not passed on."""
        self.assertEqual(
            self.sent("<c:body xmlns:c='jabber:client'>a</c:body>"),
            (False, "<message xmlns='jabber:server' to='b'><body>a</body></message>"),
        )

    def test_prefix_of_the_envelope(self) -> None:
        """A prefix that the start tag declares would be lost with it."""
        sent = self.sent("<p:x/>", "<message xmlns='jabber:client' xmlns:p='urn:p' to='b'>")
        self.assertEqual(sent, (False, "<message xmlns='jabber:server' to='b'><x xmlns='urn:p'/></message>"))

    def test_redeclared_content_namespace(self) -> None:
        """A child that names the content namespace changes with its stanza, at any depth."""
        verbatim, sent = self.sent("<x xmlns='urn:x'><body xmlns='jabber:client'/></x>")
        self.assertEqual(
            (verbatim, sent),
            (False, "<message xmlns='jabber:server' to='b'><x xmlns='urn:x'><body xmlns='jabber:server'/></x></message>"),
        )

    def test_forwarded(self) -> None:
        """What is forwarded stays in the namespace it was sent in (XEP-0297, 4)."""
        forwarded = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>a</body></message></forwarded>"
        self.assertEqual(self.sent(forwarded)[1], f"<message xmlns='jabber:server' to='b'>{forwarded}</message>")

    def test_foreign_attribute_with_our_own_prefix(self) -> None:
        """A prefix that we would choose ourselves is no trouble."""
        stanza = parsed("<message xmlns='jabber:client' xmlns:a0='urn:a' a0:b='c'><a0:x/></message>")
        self.assertEqual(stanza.attributes, {"{urn:a}b": "c"})
        self.assertEqual(
            stanza.to_bytes(NS_CLIENT), b"<message xmlns='jabber:client' xmlns:a0='urn:a' a0:b='c'><x xmlns='urn:a'/></message>"
        )
        self.assertEqual(stanza.stamped("a@b", None).element.attributes, {"{urn:a}b": "c", "from": "a@b"})

    def test_namespace_with_quotes(self) -> None:
        """A namespace cannot break out of its declaration."""
        stanza = parsed("<message xmlns='jabber:client' xmlns:p=\"urn:'/&gt;&lt;a\"><p:x/></message>")
        self.assertEqual(stanza.stamped("a@b", None).element.children, [Element("x", "urn:'/><a")])

    def test_one_prefix_on_many_attributes(self) -> None:
        """A stanza written anew may declare more prefixes than one that comes in: its tree is at hand all the same."""
        many = "".join(f"<x p:a='{index}'/>" for index in range(200))
        stanza = parsed(f"<message xmlns='jabber:client' xmlns:p='urn:p'>{many}</message>").stamped("a@b", None)
        self.assertEqual(len(stanza.element.children), 200)


class OwnMakingTests(SynchronousTestCase):
    """Stanzas made from elements."""

    def test_letter(self) -> None:
        """The children are the letter, each with its place."""
        element = Element("message", NS_CLIENT, {"to": "a@b"})
        element.add("body", text="a<b")
        element.add("x", "urn:x")
        stanza = Stanza.from_element(element)
        self.assertEqual(stanza.letter, b"<body>a&lt;b</body><x xmlns='urn:x'/>")
        self.assertEqual([stanza.span(0), stanza.span(1)], [(0, 19), (19, 37)])
        self.assertEqual(stanza.children, ("{jabber:client}body", "{urn:x}x"))
        self.assertTrue(stanza.verbatim)
        self.assertIs(stanza.element, element)

    def test_without_children(self) -> None:
        """An empty stanza is an empty tag."""
        stanza = Stanza.from_element(Element("presence", NS_CLIENT))
        self.assertEqual((stanza.children, stanza.to_bytes(NS_SERVER)), ((), b"<presence xmlns='jabber:server'/>"))
        self.assertEqual(stanza.to_bytes(NS_CLIENT, declare=False), b"<presence/>")

    def test_content_namespace_deep_inside(self) -> None:
        """What we make ourselves changes its namespace like what came in."""
        element = Element("message", NS_CLIENT)
        element.add("x", "urn:x").add("body", NS_CLIENT)
        self.assertEqual(
            Stanza.from_element(element).to_bytes(NS_SERVER),
            b"<message xmlns='jabber:server'><x xmlns='urn:x'><body xmlns='jabber:server'/></x></message>",
        )

    def test_declared_by_the_header(self) -> None:
        """Written anew for a stream whose header declares the namespace, the stanza does not repeat it."""
        element = Element("message", NS_CLIENT)
        element.add("x", "urn:x").add("body", NS_CLIENT)
        self.assertEqual(
            Stanza.from_element(element).to_bytes(NS_SERVER, declare=False),
            b"<message><x xmlns='urn:x'><body xmlns='jabber:server'/></x></message>",
        )

    def test_attributes_are_copied(self) -> None:
        """A stanza does not change with the element it was made from."""
        element = Element("message", NS_CLIENT, {"id": "1"})
        stanza = Stanza.from_element(element)
        element.attributes["id"] = "2"
        self.assertEqual(stanza.id, "1")


class AttributesTests(SynchronousTestCase):
    """The envelope."""

    def test_addresses(self) -> None:
        """`to` and `from` are addresses; none where there is none."""
        stanza = parsed("<iq xmlns='jabber:client' to='A@b' from='c' type='get' id='7'/>")
        self.assertEqual((stanza.to, stanza.sender, stanza.type, stanza.id), (JID("a", "b"), JID("", "c"), "get", "7"))
        empty = parsed("<message xmlns='jabber:client'/>")
        self.assertEqual((empty.to, empty.sender, empty.type, empty.id), (None, None, None, None))

    def test_bad_addresses(self) -> None:
        """What is no address raises."""
        stanza = parsed("<iq xmlns='jabber:client' to='@' from='a@'/>")
        with self.assertRaises(JIDError):
            _ = stanza.to
        with self.assertRaises(JIDError):
            _ = stanza.sender

    def test_requests(self) -> None:
        """An iq of type get or set must be answered (RFC 6120, 8.2.3), and nothing else."""
        for kind, type, expected in (
            ("iq", "get", True),
            ("iq", "set", True),
            ("iq", "result", False),
            ("message", "get", False),
        ):
            self.assertIs(Stanza("iq" if kind == "iq" else "message", NS_CLIENT, {"type": type}).is_request, expected)

    def test_changed(self) -> None:
        """Attributes are set and removed in a new stanza; the letter is shared."""
        stanza = parsed("<message xmlns='jabber:client' to='a' id='1'><body/></message>")
        changed = stanza.with_attributes(to=None, sender="b", id="2")
        self.assertEqual(changed.attributes, {"from": "b", "id": "2"})
        self.assertEqual(stanza.attributes, {"to": "a", "id": "1"})
        self.assertIs(changed.letter, stanza.letter)
        self.assertEqual(stanza.with_attributes(type=None).attributes, stanza.attributes)

    def test_changed_tree(self) -> None:
        """A tree that was built is shared, with the new attributes on it."""
        stanza = parsed("<message xmlns='jabber:client' to='a'><body/></message>")
        before = stanza.element
        changed = stanza.with_attributes(to="b")
        self.assertEqual(changed.element.attributes, {"to": "b"})
        self.assertIs(changed.element.children, before.children)
        self.assertEqual(before.attributes, {"to": "a"})

    def test_repr(self) -> None:
        """Names and addresses, and no word of the letter."""
        self.assertNotIn("secret", repr(parsed("<message xmlns='jabber:client'><body>secret</body></message>")))


class LanguageTests(SynchronousTestCase):
    """The language of the sender's stream travels where a stanza has none of its own (RFC 6120, 8.1.5)."""

    def test_stamped(self) -> None:
        """It is added."""
        stanza = parsed("<message xmlns='jabber:client'/>").stamped("a@b", "de-CH")
        self.assertEqual(stanza.to_bytes(NS_CLIENT), b"<message xmlns='jabber:client' from='a@b' xml:lang='de-CH'/>")

    def test_own_language_is_kept(self) -> None:
        """Even an empty one, which says that none is known."""
        for lang in ("fr", ""):
            stanza = parsed(f"<message xmlns='jabber:client' xml:lang='{lang}'/>").stamped("a@b", "de")
            self.assertEqual(stanza.attributes[LANG], lang)

    def test_no_language(self) -> None:
        """A stream without one adds none."""
        self.assertNotIn(LANG, parsed("<message xmlns='jabber:client'/>").stamped("a@b", None).attributes)


class AnswerTests(SynchronousTestCase):
    """Replies and errors."""

    def test_reply(self) -> None:
        """Addresses swapped, the same id, a type of result, the children given (RFC 6120, 8.2.3)."""
        stanza = parsed("<iq xmlns='jabber:client' from='a@b/c' to='b' type='get' id='1' xml:lang='de'><q xmlns='urn:x'/></iq>")
        self.assertEqual(
            stanza.reply(Element("q", "urn:x")).to_bytes(NS_CLIENT),
            b"<iq xmlns='jabber:client' from='b' to='a@b/c' id='1' type='result'><q xmlns='urn:x'/></iq>",
        )

    def test_reply_to_what_has_no_addresses(self) -> None:
        """What is absent stays absent."""
        reply = parsed("<iq xmlns='jabber:client' type='get' id='1'/>").reply()
        self.assertEqual(reply.attributes, {"id": "1", "type": "result"})

    def test_error(self) -> None:
        """Of the kind it answers, with the condition inside, and that of the application (RFC 6120, 8.3.1 and 8.3.4)."""
        for kind in ("iq", "message", "presence"):
            stanza = parsed(f"<{kind} xmlns='jabber:client' from='a@b/c' to='b' type='get' id='1'><q xmlns='urn:x'/></{kind}>")
            error = stanza.error(StanzaError(StanzaCondition.ITEM_NOT_FOUND, text="a<b", specific="{urn:x}why"))
            self.assertEqual(error.attributes, {"from": "b", "to": "a@b/c", "id": "1", "type": "error"})
            self.assertEqual((error.kind, error.children), (kind, ("{jabber:client}error",)))
            found = error.element.child("{jabber:client}error")
            assert found is not None
            self.assertEqual([child.name for child in found.elements()], ["item-not-found", "text", "why"])
            self.assertEqual(list(found.elements())[-1], Element("why", "urn:x"))

    def test_error_on_another_stream(self) -> None:
        """The error is of the content namespace of the stream it is sent on."""
        error = parsed("<iq xmlns='jabber:server' id='1'/>", NS_SERVER).error(StanzaError(StanzaCondition.GONE))
        self.assertEqual(error.children, ("{jabber:server}error",))
        sent = ElementTree.fromstring(error.to_bytes(NS_CLIENT))
        self.assertEqual([child.tag for child in sent], ["{jabber:client}error"])


class TreeTests(SynchronousTestCase):
    """The tree is built when somebody asks."""

    def test_built_once(self) -> None:
        """And shared from then on."""
        stanza = parsed("<message xmlns='jabber:client' id='1'><body>a</body></message>")
        self.assertEqual(stanza.element, Element("message", NS_CLIENT, {"id": "1"}, [Element("body", NS_CLIENT, {}, ["a"])]))
        self.assertIs(stanza.element, stanza.element)

    def test_forwarded_namespace(self) -> None:
        """The constant that keeps forwarded stanzas is that of XEP-0297."""
        self.assertEqual(NS_FORWARD, "urn:xmpp:forward:0")
