"""The attacks of the notes on security that the core answers, by their names. Nothing of any of them is delivered."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import FIRST_LIMIT, FRAMINGS, LIMIT, Client, FramingType, Server, Wired, auth, kinds
from xmppfed.core.events import StanzaReceived, StreamFailed
from xmppfed.core.framing import MessageFraming
from xmppfed.core.streamframing import StreamFraming
from xmppfed.errors import StreamCondition

BAD_FORMAT = StreamCondition.BAD_FORMAT
ENCODING = StreamCondition.UNSUPPORTED_ENCODING
NAMESPACE = StreamCondition.INVALID_NAMESPACE
NOT_AUTHORIZED = StreamCondition.NOT_AUTHORIZED
POLICY = StreamCondition.POLICY_VIOLATION
RESTRICTED = StreamCondition.RESTRICTED_XML
UNSUPPORTED = StreamCondition.UNSUPPORTED_STANZA_TYPE
WELL_FORMED = StreamCondition.NOT_WELL_FORMED

MESSAGE = "<message xmlns='jabber:client' to='romeo@b.example'>%s</message>"
BODY = MESSAGE % "<body>%s</body>"
ONE = MESSAGE % "<body>secret</body>"


class AttackTests(SynchronousTestCase):
    """Each ends the stream with its condition, over WebSocket and over TCP."""

    def refused(
        self,
        data: str | bytes,
        condition: StreamCondition,
        over: tuple[FramingType, ...] = FRAMINGS,
        make: type[Client] | type[Server] = Client,
    ) -> None:
        for framing in over:
            self.refused_by(make(framing).established(), data, condition)

    def refused_by(self, wired: Wired, data: str | bytes, condition: StreamCondition) -> None:
        events = wired.receive(data)
        self.assertEqual(kinds(events), [StreamFailed], (wired.kind.__name__, data[:80]))
        [event] = events
        assert isinstance(event, StreamFailed)
        self.assertIs(event.error.condition, condition, (wired.kind.__name__, data[:80]))
        sent = wired.sent()
        self.assertIn(f"<stream:error xmlns:stream='http://etherx.jabber.org/streams'><{condition.value} ".encode(), sent)
        self.assertTrue(sent.endswith(wired.closing()))

    def delivered(self, data: str) -> None:
        for framing in FRAMINGS:
            self.assertEqual(kinds(Client(framing).established().receive(data)), [StanzaReceived])


class RestrictedXMLTests(AttackTests):
    """RFC 6120, 11.1."""

    def test_x_doctype(self) -> None:
        """x-doctype-*: internal, external, with entities; before a stanza, and inside of one."""
        for doctype in (
            "<!DOCTYPE message>",
            "<!DOCTYPE message SYSTEM 'http://localhost/x.dtd'>",
            "<!DOCTYPE message [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>",
            "<!DOCTYPE message [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>",
            "<!DOCTYPE message [<!ATTLIST message to CDATA 'a@b'>]>",
        ):
            self.refused(doctype + BODY % "&b;", RESTRICTED)
        self.refused(MESSAGE % "<!DOCTYPE a><a/>", RESTRICTED, (StreamFraming,))
        self.refused(MESSAGE % "<!DOCTYPE a><a/>", WELL_FORMED, (MessageFraming,))

    def test_x_pi(self) -> None:
        """x-pi: an instruction before, behind and inside."""
        for data in ("<?x y?>" + ONE, MESSAGE % "<?x y?>", MESSAGE % "<body><?php ?></body>"):
            self.refused(data, RESTRICTED)
        self.refused_by(Client().established(), ONE + "<?x y?>", RESTRICTED)

    def test_x_declaration(self) -> None:
        """x-declaration: an XML declaration has no place in a message, and one alone on TCP."""
        self.refused("<?xml version='1.0'?>" + ONE, RESTRICTED, (MessageFraming,))
        self.refused("<?xml version='1.0'?>" + ONE, WELL_FORMED, (StreamFraming,))

    def test_x_comment(self) -> None:
        """x-comment, x-comment-before: inside, before and behind."""
        for data in ("<!-- c -->" + ONE, MESSAGE % "<!-- c -->", MESSAGE % "<body>a<!---->b</body>"):
            self.refused(data, RESTRICTED)
        self.refused_by(Client().established(), ONE + "<!-- c -->", RESTRICTED)

    def test_x_undefined_entity(self) -> None:
        """x-undefined-entity: only the five, in text and in values."""
        for data in (BODY % "&nbsp;", MESSAGE % "<body a='&copy;'/>", ONE.replace("romeo", "&romeo;")):
            self.refused(data, RESTRICTED)
        self.delivered(BODY % "&lt;&gt;&amp;&apos;&quot;")


class LimitTests(AttackTests):
    """RFC 6120, 13.12; XEP-0205."""

    def test_x_stanza_too_big(self) -> None:
        """x-stanza-too-big: behind authentication and before it."""
        self.refused(BODY % ("x" * LIMIT), POLICY)
        for framing in FRAMINGS:
            self.refused_by(Client(framing).opened(), BODY % ("x" * FIRST_LIMIT), POLICY)

    def test_x_nest_5k(self) -> None:
        """x-nest-5k."""
        self.refused(MESSAGE % ("<a>" * 5_000 + "</a>" * 5_000), POLICY)

    def test_x_nest_35k(self) -> None:
        """x-nest-35k, in a stanza and in another element."""
        deep = "<a>" * 35_000 + "</a>" * 35_000
        self.refused(MESSAGE % deep, POLICY)
        self.refused(f"<x xmlns='urn:x'>{deep}</x>", POLICY)

    def test_x_attrs_20k(self) -> None:
        """x-attrs-20k, on the root and on a child."""
        many = "".join(f" a{number}=''" for number in range(20_000))
        self.refused(f"<message xmlns='jabber:client'{many}/>", POLICY)
        self.refused(MESSAGE % f"<body{many}/>", POLICY)

    def test_x_nsdecls_10k(self) -> None:
        """x-nsdecls-10k, on one element and on many."""
        one = "".join(f" xmlns:p{number}='u'" for number in range(10_000))
        self.refused(f"<message xmlns='jabber:client'{one}/>", POLICY)
        self.refused(MESSAGE % f"<body{one}/>", POLICY)
        self.refused(MESSAGE % "".join(f"<p{number}:a xmlns:p{number}='u'/>" for number in range(1000)), POLICY)

    def test_x_elements(self) -> None:
        """x-elements: more than 10 000 in one stanza."""
        self.refused(MESSAGE % ("<a/>" * 10_001), POLICY)
        self.delivered(MESSAGE % ("<a/>" * 9_999))

    def test_x_long_name(self) -> None:
        """x-long-name: of an element, an attribute, with a long namespace."""
        for data in (f"<{'n' * 2000}/>", f"<a {'n' * 2000}=''/>", f"<a xmlns='{'n' * 2000}'/>", f"<p:a xmlns:p='{'n' * 2000}'/>"):
            self.refused(MESSAGE % data, POLICY)

    def test_x_namespace_growth(self) -> None:
        """x-namespace-growth: a long namespace on a short prefix would be written for every element that uses it."""
        self.refused(MESSAGE.replace(" to=", f" xmlns:p='{'u' * 1000}' to=") % ("<p:a/><b/>" * 4000), POLICY)


class EncodingTests(AttackTests):
    """RFC 6455, 8.1; RFC 6120, 11.6."""

    def test_x_utf_16(self) -> None:
        """x-utf-16: either order, with and without a mark, and UTF-8 with one."""
        for encoding in ("utf-16-le", "utf-16-be", "utf-16", "utf-8-sig"):
            self.refused(ONE.encode(encoding), ENCODING, (MessageFraming,))
        for encoding in ("utf-16-le", "utf-16-be", "utf-16"):
            self.refused(ONE.encode(encoding), ENCODING, (StreamFraming,))
        self.refused(ONE.encode("utf-8-sig"), BAD_FORMAT, (StreamFraming,))  # a mark in the middle of a stream is text

    def test_x_bad_utf8(self) -> None:
        """ws-bad-utf8: in text, in a value, cut off."""
        for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"):
            self.refused(ONE.encode().replace(b"secret", bad), ENCODING)
            self.refused(ONE.encode().replace(b"romeo", bad), ENCODING)

    def test_x_control_char(self) -> None:
        """x-control-char: no control character but tab and line ends; a NUL is no text at all."""
        for bad in ("\x01", "\x08", "\x0b", "\x0c", "\x1f"):
            self.refused(BODY % bad, WELL_FORMED)
        self.refused(BODY % "\0", ENCODING)
        self.delivered(BODY % "\t\r\n\x7f\x85")

    def test_x_charref(self) -> None:
        """x-charref-*: references to what may not stand for itself either."""
        for reference in (
            "&#0;",
            "&#1;",
            "&#x1f;",
            "&#xD800;",
            "&#xDFFF;",
            "&#xFFFE;",
            "&#xFFFF;",
            "&#x110000;",
            "&#99999999999;",
            "&#;",
            "&#x;",
            "&#xg;",
            "&#-1;",
        ):
            self.refused(BODY % reference, WELL_FORMED)
        self.delivered(BODY % "&#9;&#x10FFFF;&#65;")

    def test_x_noncharacter(self) -> None:
        """x-noncharacter: U+FFFE and U+FFFF are no XML characters; those of other planes are, though nobody should use them."""
        for bad in ("\ufffe", "\uffff"):
            self.refused(BODY % bad, WELL_FORMED)
        self.delivered(BODY % "\ufdd0\U0001fffe\U0010ffff")


class SmugglingTests(AttackTests):
    """RFC 7395, 3.3.3: each message is one element, alone."""

    def over_websocket(self, data: str, condition: StreamCondition = WELL_FORMED) -> None:
        self.refused(data, condition, (MessageFraming,))

    def test_x_two_roots(self) -> None:
        """x-two-roots: not even the first is taken."""
        self.over_websocket(ONE + ONE)

    def test_x_split_stanza(self) -> None:
        """x-split-stanza: half a stanza is none, and the other half neither."""
        self.over_websocket(ONE[:40])
        self.over_websocket(ONE[40:])

    def test_x_trailing_garbage(self) -> None:
        """x-trailing-garbage."""
        for garbage in (" ", "\n", "x", "<", "x>", "</message>", "&amp;"):
            self.over_websocket(ONE + garbage)

    def test_x_leading_space(self) -> None:
        """x-leading-space."""
        for garbage in (" ", "\n", "x", ">"):
            self.over_websocket(garbage + ONE)

    def test_x_stream_end_smuggle(self) -> None:
        """x-stream-end-smuggle: the end of a stream inside a message, from clients and from servers."""
        for data in ("</stream:stream>" + ONE, ONE + "</stream:stream>", MESSAGE % "</stream:stream>", "</stream:stream>"):
            self.over_websocket(data)
        server = ONE.replace("client", "server")
        self.refused("</stream:stream>" + server, WELL_FORMED, (MessageFraming,), Server)
        self.refused(server + "</stream:stream>", WELL_FORMED, (MessageFraming,), Server)

    def test_x_open_not_closed(self) -> None:
        """x-open-not-closed."""
        wired = Client()
        self.refused_by(wired, "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='b.example' version='1.0'>", WELL_FORMED)

    def test_stream_header_over_websocket(self) -> None:
        """A stream header in a client's message."""
        self.refused_by(
            Client(), "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", WELL_FORMED
        )

    def test_x_forged_span(self) -> None:
        """x-forged-span: what looks like the end of a child inside of one moves no boundary."""
        data = "<stanza-id xmlns='urn:xmpp:sid:0' id='&lt;/stanza-id>' by='b'/><body>&lt;stanza-id/></body>"
        [event] = Client().established().receive(MESSAGE % data)
        assert isinstance(event, StanzaReceived)
        self.assertEqual([event.stanza.span(0), event.stanza.span(1)], [(0, 63), (63, len(data))])


class NamespaceTests(AttackTests):
    """RFC 7395, 3.3; RFC 6120, 4.9.3.10; Namespaces in XML."""

    def test_x_open_wrong_ns(self) -> None:
        """x-open-wrong-ns."""
        for namespace in ("jabber:client", "urn:ietf:params:xml:ns:xmpp-framing-server", "urn:x", ""):
            self.refused_by(Client(), f"<open xmlns='{namespace}' to='b.example' version='1.0'/>", NAMESPACE)

    def test_x_server_ns_stanza(self) -> None:
        """x-server-ns-stanza: a server's stanza from a client."""
        self.refused(ONE.replace("client", "server"), NAMESPACE)

    def test_s2s_client_ns(self) -> None:
        """s2s-client-ns: a client's stanza from a server."""
        self.refused(ONE, NAMESPACE, make=Server)

    def test_x_no_ns_stanza(self) -> None:
        """x-no-ns-stanza: over WebSocket nothing is inherited; on TCP it has to be undone."""
        self.refused("<message><body/></message>", NAMESPACE, (MessageFraming,))
        self.refused("<message xmlns=''><body/></message>", NAMESPACE, (StreamFraming,))

    def test_x_unknown_top_level(self) -> None:
        """x-unknown-top-level."""
        for data in (
            "<x xmlns='urn:x'/>",
            "<query xmlns='jabber:client'/>",
            "<x xmlns=''/>",
            "<open xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        ):
            self.refused(data, UNSUPPORTED if "open" not in data else NAMESPACE, (MessageFraming,))
            self.refused(data, UNSUPPORTED, (StreamFraming,))

    def test_x_unbound_prefix(self) -> None:
        """x-unbound-prefix: of an element, an attribute, inside and outside."""
        for data in ("<p:message/>", MESSAGE % "<p:x/>", MESSAGE % "<x p:a=''/>", "<message xmlns='jabber:client' p:a=''/>"):
            self.refused(data, WELL_FORMED)

    def test_x_dup_attr(self) -> None:
        """x-dup-attr."""
        self.refused("<message xmlns='jabber:client' to='a' to='b'/>", WELL_FORMED)

    def test_x_dup_attr_ns(self) -> None:
        """x-dup-attr-ns: twice the same name by two prefixes, and twice the same declaration."""
        self.refused(MESSAGE % "<x xmlns:p='u' xmlns:q='u' p:a='' q:a=''/>", WELL_FORMED)
        self.refused(MESSAGE % "<x xmlns:p='u' xmlns:p='v'/>", WELL_FORMED)

    def test_x_rebind_xml_prefix(self) -> None:
        """x-rebind-xml-prefix, and the names that XML keeps for itself."""
        for data in (
            "<x xmlns:xml='urn:x'/>",
            "<x xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
            "<x xmlns='http://www.w3.org/XML/1998/namespace'/>",
            "<x xmlns:xmlns='urn:x'/>",
            "<x xmlns:p='http://www.w3.org/2000/xmlns/'/>",
            "<x xmlns:p=''/>",
        ):
            self.refused(MESSAGE % data, WELL_FORMED)

    def test_x_uri_with_white_space(self) -> None:
        """x-uri: a raw blank or form feed, which no URI has and which would forge a name."""
        for uri in ("urn:x y", "jabber:client message", "urn:&#x9;", "urn:x\x0cy", "urn:x}message"):
            for data in (f"<x xmlns='{uri}'/>", f"<p:x xmlns:p='{uri}'/>"):
                self.refused(data, WELL_FORMED)
                self.refused(MESSAGE % data, WELL_FORMED)


class OrderTests(AttackTests):
    """RFC 6120, 4.3 and 4.9.3.12."""

    def test_x_preauth_stanza(self) -> None:
        """x-preauth-stanza: from clients and from servers, before authentication and behind success."""
        for framing in FRAMINGS:
            self.refused_by(Client(framing).opened(), ONE, NOT_AUTHORIZED)
            self.refused_by(Server(framing).opened(), ONE.replace("client", "server"), NOT_AUTHORIZED)

    def test_x_preauth_large(self) -> None:
        """A refused stanza has raised no limit."""
        wired = Client().opened()
        wired.receive(auth("X"))
        self.assertEqual(wired.stream.framing.limit, FIRST_LIMIT)

    def test_x_stanza_before_open(self) -> None:
        """x-stanza-before-open."""
        self.refused_by(Client(), ONE, NOT_AUTHORIZED)

    def test_x_reopen_midstream(self) -> None:
        """x-reopen-midstream: a header without an authentication before it."""
        for wired in (Client().opened(), Client().authenticated(), Client().established(), Server().established()):
            self.refused_by(wired, wired.header(), NOT_AUTHORIZED)
        legacy = (
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='b.example' version='1.0'>"
        )
        self.refused_by(Server().established(), legacy, NOT_AUTHORIZED)

    def test_x_starttls_over_ws(self) -> None:
        """x-starttls-over-ws: before authentication and behind it; nothing answers `<proceed/>`."""
        starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
        self.refused_by(Client().opened(), starttls, NOT_AUTHORIZED)
        self.refused_by(Client().established(), starttls, UNSUPPORTED)
