"""XEP-0468 as its two deployed peers write it, and as we answer them. Frames as they were seen on the wire."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.test_framing import items
from xmppfed.core.element import Element
from xmppfed.core.framing import S2S, Closing, Dialect, MessageFraming, Opening
from xmppfed.core.namespaces import NS_DIALBACK, NS_SASL, NS_SERVER, NS_STREAM
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError, StreamCondition, StreamError

SERVER = "urn:ietf:params:xml:ns:xmpp-framing-server"

# xmpp-proxy 1.1.0: text replaced by text.
PROXY_OPEN = (
    b"<open to='two.example.org' xml:lang='en' xmlns:stream='http://etherx.jabber.org/streams' "
    b"xmlns='urn:ietf:params:xml:ns:xmpp-framing-server' id='' version='1.0' from='one.example.org'/>"
)
PROXY_OPEN_MANGLED = (
    b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing-server' xmlns:db='urn:ietf:params:xml:ns:xmpp-framing-server:dialback' "
    b"xmlns:stream='http://etherx.jabber.org/streams' from='one.example.org' to='two.example.org' version='1.0'/>"
)
PROXY_FEATURES = (
    b"<stream:features xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
    b"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms></stream:features>"
)
PROXY_AUTH = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>b25lLmV4YW1wbGUub3Jn</auth>"
PROXY_MESSAGE = (
    b"<message to='juliet@two.example.org/rig' type='chat' id='1' from='romeo@one.example.org' xml:lang='en' "
    b"xmlns='jabber:server'><body>hello</body></message>"
)
PROXY_DIALBACK = b"<db:result to='two.example.org' from='one.example.org' xmlns='jabber:server'>key</db:result>"
PROXY_ERROR = (
    b"<stream:error xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
    b"<host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
)
PROXY_CLOSE = b'<close xmlns="urn:ietf:params:xml:ns:xmpp-framing" />'

# The Prosody module of PeerTube's livechat.
PEERTUBE_HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
    b"xmlns:db='jabber:server:dialback' xml:lang='en' from='a.example' to='b.example' version='1.0'>"
)
PEERTUBE_OPEN = (
    b"<open id='abc' xml:lang='en' to='b.example' version='1.0' from='a.example' xmlns:db='jabber:server:dialback' "
    b"xmlns='urn:ietf:params:xml:ns:xmpp-framing-server'/>"
)
PEERTUBE_RESULT = b"<db:result xmlns='jabber:server' to='b.example' from='a.example'>key</db:result>"
PEERTUBE_FEATURES = (
    b"<stream:features xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server'>"
    b"<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback><bidi xmlns='urn:xmpp:features:bidi'/></stream:features>"
)


class ProxyTests(SynchronousTestCase):
    """What xmpp-proxy sends."""

    def setUp(self) -> None:
        self.framing = MessageFraming(S2S, 10_000)

    def test_open(self) -> None:
        """Its `<open/>`; an empty id is none."""
        self.assertEqual(
            items(self.framing, PROXY_OPEN), [Opening("one.example.org", "two.example.org", "", "1.0", "en", Dialect.STANDARD)]
        )

    def test_mangled_dialback(self) -> None:
        """Rows 1 and 4: the namespace of dialback, changed with the rest, shows the dialect."""
        [opening] = items(self.framing, PROXY_OPEN_MANGLED)
        assert isinstance(opening, Opening)
        self.assertIs(opening.dialect, Dialect.REWRITTEN)

    def test_exchange(self) -> None:
        """Features, authentication, a stanza, an error, each as it is."""
        [_, features, auth, message, error] = items(
            self.framing, PROXY_OPEN, PROXY_FEATURES, PROXY_AUTH, PROXY_MESSAGE, PROXY_ERROR
        )
        assert isinstance(features, Element) and isinstance(auth, Element) and isinstance(error, Element)
        self.assertEqual(features.tag, f"{{{NS_STREAM}}}features")
        self.assertIsNotNone(features.child(f"{{{NS_SASL}}}mechanisms"))
        self.assertEqual((auth.get("mechanism"), auth.text), ("EXTERNAL", "b25lLmV4YW1wbGUub3Jn"))
        assert isinstance(message, Stanza)
        self.assertEqual((message.namespace, message.children, message.verbatim), (NS_SERVER, ("{jabber:server}body",), True))
        self.assertEqual(error.tag, f"{{{NS_STREAM}}}error")

    def test_undeclared_dialback(self) -> None:
        """Row 3: `db` undeclared in the root of a top-level element."""
        [result] = items(self.framing, PROXY_DIALBACK)
        self.assertEqual(result, Element("result", NS_DIALBACK, {"to": "two.example.org", "from": "one.example.org"}, ["key"]))

    def test_close(self) -> None:
        """Row 2: it closes with the clients' namespace, also between servers."""
        self.assertEqual(items(self.framing, PROXY_CLOSE), [Closing()])

    def test_stanzas_without_their_namespace(self) -> None:
        """Row 1: on such a stream a stanza in the framing namespace or in none is one of `jabber:server`."""
        for xmlns in (b"", b" xmlns='urn:ietf:params:xml:ns:xmpp-framing-server'"):
            [_, message] = items(self.framing, PROXY_OPEN_MANGLED, b"<message%b><body/></message>" % xmlns)
            assert isinstance(message, Stanza)
            self.assertEqual((message.namespace, message.children), (NS_SERVER, ("{jabber:server}body",)))

    def test_only_on_such_a_stream(self) -> None:
        """Row 1: elsewhere they are refused, and a standard `<open/>` on the same stream ends the exception."""
        for before in ((PROXY_OPEN,), (PROXY_OPEN_MANGLED, PROXY_OPEN)):
            for xmlns in (b"", b" xmlns='urn:ietf:params:xml:ns:xmpp-framing-server'"):
                *_, item = items(MessageFraming(S2S, 10_000), *before, b"<message%b/>" % xmlns)
                assert isinstance(item, StreamError)
                self.assertIs(item.condition, StreamCondition.INVALID_NAMESPACE)


class PeerTubeTests(SynchronousTestCase):
    """What PeerTube's module sends."""

    def setUp(self) -> None:
        self.framing = MessageFraming(S2S, 10_000)

    def test_header(self) -> None:
        """Row 6: a stream header with its declaration, as the first message, as two forms of it."""
        expected = Opening("a.example", "b.example", "", "1.0", "en", Dialect.STREAM_HEADER)
        for declaration in (
            b"<?xml version='1.0'?>",
            b'<?xml version="1.0" encoding="UTF-8"?>\n',
            b"<?xml version='1.0' ?>",
            b"",
        ):
            self.assertEqual(items(self.framing, PEERTUBE_HEADER.replace(b"<?xml version='1.0'?>", declaration)), [expected])

    def test_open_as_server(self) -> None:
        """As server it writes `<open/>`, with the right namespace of dialback: no dialect."""
        self.assertEqual(
            items(self.framing, PEERTUBE_OPEN), [Opening("a.example", "b.example", "abc", "1.0", "en", Dialect.STANDARD)]
        )

    def test_exchange(self) -> None:
        """Features and dialback, `db` undeclared."""
        [features, result] = items(self.framing, PEERTUBE_FEATURES, PEERTUBE_RESULT)
        assert isinstance(features, Element)
        self.assertIsNotNone(features.child("{urn:xmpp:features:dialback}dialback"))
        self.assertEqual(result, Element("result", NS_DIALBACK, {"to": "b.example", "from": "a.example"}, ["key"]))

    def test_end_tag(self) -> None:
        """The literal end tag of a stream ends it."""
        self.assertEqual(items(self.framing, b"</stream:stream>"), [Closing()])

    def test_header_is_judged(self) -> None:
        """Another default namespace, another namespace of the prefix, text behind it, a value that looks like a declaration."""
        for old, new, condition in (
            (b"xmlns='jabber:server'", b"xmlns='jabber:client'", StreamCondition.INVALID_NAMESPACE),
            (b"xmlns='jabber:server'", b"", StreamCondition.INVALID_NAMESPACE),
            (b"xmlns='jabber:server'", b"id=\" xmlns='jabber:server'\"", StreamCondition.INVALID_NAMESPACE),
            (b"etherx", b"ether", StreamCondition.INVALID_NAMESPACE),
            (b"'1.0'>", b"'1.0'>text>", StreamCondition.INVALID_NAMESPACE),
            (b"'1.0'>", b"'1.0'> >", StreamCondition.INVALID_NAMESPACE),
            (b"'1.0'>", b"'1.0'><a/>", StreamCondition.RESTRICTED_XML),
            (b"'1.0'>", b"'1.0'/>", StreamCondition.RESTRICTED_XML),
            (b"?><", b"?><!--x--><", StreamCondition.RESTRICTED_XML),
            (b"?><", b" encoding='utf-16'?><", StreamCondition.RESTRICTED_XML),
            (b"'1.0'>", b"'1.0' a='\xff'>", StreamCondition.UNSUPPORTED_ENCODING),
            (b"'1.0'>", b"'1.0' a='1' a='2'>", StreamCondition.NOT_WELL_FORMED),
        ):
            [item] = items(
                self.framing, PEERTUBE_HEADER.replace(old, new, 1) if old != b"'1.0'>" else PEERTUBE_HEADER[: -len(old)] + new
            )
            assert isinstance(item, StreamError), (new, item)
            self.assertIs(item.condition, condition, new)

    def test_end_tag_is_literal(self) -> None:
        """Nothing may stand around it."""
        for message in (b"</stream:stream> ", b"<a/></stream:stream>", b"</stream:stream></stream:stream>"):
            [item] = items(self.framing, message)
            self.assertIsInstance(item, StreamError)


class RootPrefixTests(SynchronousTestCase):
    """Row 3: `db` and `stream` may be undeclared in the root of a top-level element of theirs, and nowhere else."""

    def test_accepted(self) -> None:
        """By a declaration put into that start tag."""
        for text, expected in (
            (b"<db:verify/>", Element("verify", NS_DIALBACK)),
            (b"<db:result type='valid'/>", Element("result", NS_DIALBACK, {"type": "valid"})),
            (b"<stream:error><a xmlns='urn:a'/></stream:error>", Element("error", NS_STREAM, {}, [Element("a", "urn:a")])),
            (b"<stream:features\nid='1'/>", Element("features", NS_STREAM, {"id": "1"})),
        ):
            self.assertEqual(items(MessageFraming(S2S, 10_000), text), [expected])

    def test_declared(self) -> None:
        """A declaration that is there is kept, also when it is another."""
        self.assertEqual(
            items(MessageFraming(S2S, 10_000), b"<db:x xmlns:db='urn:other'/>", b'<stream:x xmlns:stream="urn:other"/>'),
            [Element("x", "urn:other"), Element("x", "urn:other")],
        )

    def test_refused(self) -> None:
        """Inside a stanza or another element, in attributes, for other prefixes, behind anything."""
        for text in (
            b"<message xmlns='jabber:server'><db:x/></message>",
            b"<message xmlns='jabber:server' db:x='1'/>",
            b"<message xmlns='jabber:server'><stream:x/></message>",
            b"<db:result><stream:x/></db:result>",
            b"<stream:error><db:x/></stream:error>",
            b"<x:result/>",
            b"<dbx:result/>",
            b" <db:result/>",
            b"<db:result/><db:result/>",
            b"<db:result x='xmlns:db='/>",
            b"<db:result",
            b"<db:>",
        ):
            [item] = items(MessageFraming(S2S, 10_000), text)
            assert isinstance(item, StreamError), text
            self.assertIs(item.condition, StreamCondition.NOT_WELL_FORMED, text)


class WrittenTests(SynchronousTestCase):
    """What we send to either of them, to the byte."""

    def setUp(self) -> None:
        self.framing = MessageFraming(S2S, 10_000)

    def test_open(self) -> None:
        """Rows 1, 4 and 5: one lexical form, `<open ` first, dialback declared, no `>` but the last, an empty id left out."""
        self.assertEqual(
            self.framing.opening(Opening("one.example", "two.example", "", "1.0")),
            b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing-server' xmlns:db='jabber:server:dialback' "
            b"from='one.example' to='two.example' version='1.0'/>",
        )
        hostile = self.framing.opening(Opening("a'>\n\"", "b", "1", "1.0"))
        self.assertEqual((hostile.count(b">"), hostile.count(b"\n"), hostile[-2:]), (1, 0, b"/>"))

    def test_open_as_the_proxy_changes_it(self) -> None:
        """Its replacements make a stream header of it, with the namespaces of RFC 6120."""
        opening = self.framing.opening(Opening("one.example", "two.example", "7", "1.0"))
        self.assertTrue(opening.startswith(b"<open ") and opening.endswith(b"/>"))
        changed = opening.replace(b"<open ", b"<stream:stream ").replace(SERVER.encode(), NS_SERVER.encode())
        self.assertIn(b" xmlns='jabber:server' ", changed)
        self.assertIn(b" from='one.example'", changed)

    def test_close(self) -> None:
        """Row 2: in the servers' namespace, with a blank behind the name."""
        self.assertEqual(self.framing.closing(), b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing-server'/>")

    def test_dialback_and_errors_declare_their_prefix(self) -> None:
        """Row 3: what we write stands by itself."""
        for xml in (Element("result", NS_DIALBACK).to_xml(), StreamError(StreamCondition.RESET).to_xml()):
            self.assertEqual(len(items(self.framing, self.framing.text(xml))), 1)
            self.assertRegex(xml, r"^<(db|stream):[a-z]+ xmlns:\1='")

    def test_stanzas(self) -> None:
        """Rows 1 and 20: `jabber:server` declared first, one stanza, one message."""
        stanza = Stanza("message", "jabber:client", {"to": "a@b"}, b"<body>a</body>", ("{jabber:client}body",), (0,))
        self.assertEqual(self.framing.stanza(stanza), b"<message xmlns='jabber:server' to='a@b'><body>a</body></message>")
        error = stanza.error(StanzaError(StanzaCondition.GONE))
        self.assertTrue(self.framing.stanza(error).startswith(b"<message xmlns='jabber:server' from='a@b' type='error'><error "))
