"""Host-meta documents: XEP-0487 and XEP-0156, in JSON and XRD."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.documents import MAX_DOCUMENT, MAX_ITEMS
from xmppfed.discovery.hostmeta import REL, REL_TLS, HostMeta, parse_json, parse_xrd
from xmppfed.discovery.xrd import NS_XRD
from xmppfed.errors import DiscoveryError

PIN = "4/mggdlVx8A3pvHAWW5sD+qJyMtUHgiRuPjVC48N0XQ="
C2S = "urn:xmpp:alt-connections:websocket"


def link(**fields: Any) -> dict[str, Any]:
    """A complete XEP-0487 link with some fields replaced; None removes one."""
    complete = {
        "rel": REL,
        "href": "wss://xmpp.example/ws",
        "ips": ["198.51.100.1"],
        "priority": 5,
        "weight": 50,
        "sni": "front.example",
    }
    return {name: value for name, value in {**complete, **fields}.items() if value is not None}


def read(*links: Any, **top: Any) -> HostMeta:
    """The JSON document with these links, and these members beside them."""
    return parse_json(json.dumps({**top, "links": list(links)}).encode(), "example.org")


def xrd(*links: str) -> HostMeta:
    """The XRD with this content."""
    return parse_xrd(f"<XRD xmlns='{NS_XRD}'>{''.join(links)}</XRD>".encode(), "example.org")


class JSONTests(SynchronousTestCase):
    """What a JSON document says."""

    def test_complete(self) -> None:
        """A XEP-0487 document: every field is read, and it is authoritative."""
        found = read(link(), xmpp={"ttl": 3000, "public-key-pins-sha-256": [PIN], "new": 1}, subject="x")
        self.assertEqual((found.ttl, found.authoritative, found.pins, found.skipped), (3000, True, {b64decode(PIN)}, ()))
        (one,) = found.candidates
        self.assertEqual((one.host, one.port, one.path, one.sni), ("xmpp.example", 443, "/ws", "front.example"))
        self.assertEqual((one.addresses, one.priority, one.weight), (("198.51.100.1",), 5, 50))
        self.assertEqual(one.accepted_names, {"xmpp.example", "front.example"})
        self.assertEqual((one.kind, one.source), ("s2s-websocket", "host-meta.json"))

    def test_legacy(self) -> None:
        """A XEP-0156 link has rel and href alone; it comes last, and its host is to be resolved."""
        found = read({"rel": REL, "href": "wss://xmpp.example/ws"})
        self.assertEqual((found.ttl, found.authoritative), (None, False))
        (one,) = found.candidates
        self.assertEqual((one.addresses, one.sni, one.priority), ((), "xmpp.example", 65535))

    def test_direct_tls(self) -> None:
        """A link to a port: the name in `sni` is sent and accepted beside the domain."""
        found = read(link(rel=REL_TLS, href=None, port=5270, priority=1))
        (one,) = found.candidates
        self.assertEqual((one.kind, one.url, one.port), ("xmpps-server", "xmpps-server:front.example:5270", 5270))
        self.assertEqual((one.addresses, one.priority, one.weight), (("198.51.100.1",), 1, 50))
        self.assertEqual((one.sni, one.accepted_names, one.source), ("front.example", {"front.example"}, "host-meta.json"))

    def test_direct_tls_without_ips(self) -> None:
        """Where the mandatory `ips` are missing the name is resolved: that of `sni`, else the domain."""
        for sni, host in (("front.example", "front.example"), (None, "example.org")):
            (one,) = read(link(rel=REL_TLS, href=None, port=5270, ips=None, sni=sni)).candidates
            self.assertEqual((one.host, one.sni, one.addresses), (host, host, ()))

    def test_other_ways_between_servers(self) -> None:
        """A way for servers that is not known here is told, others are none of our business."""
        found = read(link(rel="urn:xmpp:alt-connections:s2s-quic", port=443), link(rel="urn:xmpp:alt-connections:quic"))
        self.assertEqual(found.candidates, ())
        self.assertEqual(
            found.skipped, ("link 1: 'urn:xmpp:alt-connections:s2s-quic' is a way to connect that is not known here",)
        )

    def test_other_relations_are_ignored(self) -> None:
        """Unknown relations and unknown fields are neither used nor worth a word."""
        found = read({"rel": C2S, "href": 7}, {"rel": "lrdd", "template": "x"}, link(ech="eA==", new=[1]))
        self.assertEqual((len(found.candidates), found.skipped), (1, ()))

    def test_no_links(self) -> None:
        """A document without links is one that offers nothing."""
        self.assertEqual(parse_json(b"{}", "example.org"), HostMeta(()))

    def test_address_as_host(self) -> None:
        """For a URL with an address the XMPP domain is sent as SNI."""
        self.assertEqual(read(link(href="wss://198.51.100.1/", sni=None)).candidates[0].sni, "example.org")


class SkippedTests(SynchronousTestCase):
    """A link that cannot be used is skipped with the reason, and the others count."""

    def test_reasons(self) -> None:
        """Each fault is named, with the number of the link."""
        cases: list[tuple[Any, str]] = [
            (7, "no object"),
            ({"href": "wss://a.example/"}, "no object with a text rel"),
            (link(rel=["x"]), "no object with a text rel"),
            (link(href=None), "href"),
            (link(href=7), "Expected `str`, got `int` - at `$.href`"),
            (link(href="ws://a.example/"), "wanted wss:"),
            (link(href="wss://a:b@a.example/"), "credentials"),
            (link(priority="5"), "$.priority"),
            (link(priority=-1), "$.priority"),
            (link(weight=65536), "$.weight"),
            (link(weight=True), "$.weight"),
            (link(sni="a b"), "its sni is 'a b'"),
            (link(sni="198.51.100.1"), "wanted a host name"),
            (link(sni=5), "$.sni"),
            (link(ips="198.51.100.1"), "$.ips"),
            (link(ips=[5]), "$.ips[0]"),
            (link(rel=REL_TLS), "port"),
            (link(rel=REL_TLS, port=0), "$.port"),
            (link(rel=REL_TLS, port=65536), "$.port"),
            (link(ips=["xmpp.example"]), "none of its ips is an IP address, found 'xmpp.example'"),
        ]
        for wrong, reason in cases:
            found = read(wrong, link())
            self.assertEqual(len(found.candidates), 1, wrong)
            self.assertTrue(found.skipped[-1].startswith("link 1: "), found.skipped)
            self.assertIn(reason, found.skipped[-1])

    def test_some_ips(self) -> None:
        """Wrong and repeated ips are dropped, at most 16 are kept, and it is said."""
        found = read(link(ips=["x", "198.51.100.1", "198.51.100.1", *(f"198.51.100.{n}" for n in range(2, 40))]))
        self.assertEqual(found.candidates[0].addresses, tuple(f"198.51.100.{n}" for n in range(1, 17)))
        self.assertIn("25 of its ips", found.skipped[0])

    def test_unusable_xmpp_object(self) -> None:
        """Without a usable ttl the object still makes the document authoritative, but it gives no pins."""
        for xmpp in ({}, {"ttl": "1"}, {"ttl": -1}, {"ttl": 1, "public-key-pins-sha-256": "x"}):
            found = read(link(), xmpp=xmpp)
            self.assertEqual((found.authoritative, found.ttl, found.pins), (True, None, frozenset()))
            self.assertIn("the object xmpp", found.skipped[0])

    def test_unusable_pins(self) -> None:
        """A pin that is no SHA-256 hash in base64 is skipped, and told; the others count."""
        wrong = ["", "4/mggdlV", PIN[:-1], "!" + PIN, PIN.replace("4", "-")]
        found = read(xmpp={"ttl": 1, "public-key-pins-sha-256": [PIN, *wrong]})
        self.assertEqual(found.pins, {b64decode(PIN)})
        self.assertEqual(found.skipped, tuple(f"the key pin {pin!r} is no SHA-256 hash in base64" for pin in wrong))
        many = read(xmpp={"ttl": 1, "public-key-pins-sha-256": [PIN] * (MAX_ITEMS + 1)})
        self.assertEqual((many.pins, len(many.skipped)), (frozenset(), 1))

    def test_xmpp_is_no_object(self) -> None:
        """A member xmpp that is no object does not make a document authoritative."""
        self.assertFalse(read(link(), xmpp=True).authoritative)


class RefusedTests(SynchronousTestCase):
    """Documents that are refused whole."""

    def test_json(self) -> None:
        """Too large, too deep, too many links, not JSON in UTF-8, or no object: the reason says which."""
        cases: dict[bytes, str] = {
            b" " * (MAX_DOCUMENT + 1): "65537 bytes, wanted at most 65536",
            b"[" * 60_000: "nested too deeply",
            b'{"a":' + b"[" * 16 + b"]" * 16 + b"}": "nested too deeply",
            b'{"a":' * 16 + b"{}" + b"}" * 16: "nested too deeply",
            json.dumps({"links": [{}] * (MAX_ITEMS + 1)}).encode(): "more than 32 links",
            b'{"links": {}}': "its links are not an array",
            b"[]": "not a JSON object",
            b"": "not JSON",
            b'{"links": NaN}': "not JSON",
            b'{"links": "\xff"}': "not JSON",
            '{"links": []}'.encode("utf-16"): "not JSON",
            b"<html/>": "not JSON",
        }
        for data, reason in cases.items():
            with self.assertRaises(DiscoveryError, msg=data[:40]) as caught:
                parse_json(data, "example.org")
            self.assertIn(reason, str(caught.exception))

    def test_depth_that_is_allowed(self) -> None:
        """Sixteen levels are read."""
        self.assertEqual(parse_json(b'{"a":' + b"[" * 15 + b"]" * 15 + b"}", "example.org").candidates, ())

    @given(
        st.binary()
        | st.recursive(
            st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([REL, "wss://a.example/"]),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(st.sampled_from(["links", "rel", "href", "ips", "sni", "xmpp", "ttl", "priority"]), inner)
            ),
            max_leaves=20,
        ).map(lambda value: json.dumps(value).encode())
    )
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are a HostMeta or a DiscoveryError."""
        try:
            self.assertIsInstance(parse_json(data, "example.org"), HostMeta)
        except DiscoveryError as error:
            self.assertTrue(str(error))

    @given(
        st.dictionaries(
            st.sampled_from(["href", "ips", "sni", "priority", "weight"]),
            st.none() | st.integers() | st.text() | st.lists(st.text() | st.ip_addresses().map(str)),
        )
    )
    def test_any_link(self, fields: dict[str, Any]) -> None:
        """Whatever a link has in its fields, it is a candidate or it is skipped with a reason."""
        found = read({**link(), **fields})
        self.assertTrue(found.candidates or found.skipped)


class XRDTests(SynchronousTestCase):
    """What an XRD says (XEP-0156)."""

    def test_links(self) -> None:
        """The s2s link counts, in any prefix and place; other relations and namespaces do not."""
        found = xrd(
            f"<Subject>x</Subject><Link rel='{C2S}' href='wss://c2s.example/'/>",
            f"<Link href='wss://xmpp.example:5281/ws' rel='{REL}'><Title>t</Title></Link>",
            f"<Link xmlns='other' rel='{REL}' href='wss://other.example/'/>",
            f"<x><Link rel='{REL}' href='wss://deep.example/'/></x>",
        )
        (one,) = found.candidates
        self.assertEqual((one.host, one.port, one.sni, one.source), ("xmpp.example", 5281, "xmpp.example", "host-meta"))
        self.assertEqual((found.authoritative, found.ttl, found.skipped), (False, None, ()))

    def test_prefix_declaration_and_byte_order_mark(self) -> None:
        """A prefixed root, an XML declaration and a byte order mark are legal XML."""
        text = f"\ufeff<?xml version='1.0' encoding='UTF-8'?><x:XRD xmlns:x='{NS_XRD}'><x:Link rel='{REL}' href='wss://a.example/'/></x:XRD>"
        self.assertEqual(parse_xrd(text.encode(), "example.org").candidates[0].host, "a.example")

    def test_skipped(self) -> None:
        """A link without href, or one that is not wss:, is skipped with the reason."""
        found = xrd(f"<Link rel='{REL}'/>", f"<Link rel='{REL}' href='https://a.example/'/>", "<Link/>")
        self.assertEqual(found.candidates, ())
        self.assertEqual([reason[:7] for reason in found.skipped], ["link 1:", "link 2:"])

    def test_refused(self) -> None:
        """DOCTYPE, entities, another root, depth, too many links, other encodings and broken XML are refused whole."""
        bomb = "<!DOCTYPE XRD [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>"
        cases = {
            f"{bomb}<XRD xmlns='{NS_XRD}'>&b;</XRD>".encode(): "DOCTYPE",
            f"<!DOCTYPE XRD SYSTEM 'file:///etc/passwd'><XRD xmlns='{NS_XRD}'/>".encode(): "DOCTYPE",
            b"<XRD/>": "its root is 'XRD'",
            b"<html xmlns='http://www.w3.org/1999/xhtml'/>": "its root is",
            f"<XRD xmlns='{NS_XRD}'>{'<a>' * 16}".encode(): "nested too deeply",
            f"<XRD xmlns='{NS_XRD}'>{'<Link/>' * 33}</XRD>".encode(): "more than 32 links",
            f"<XRD xmlns='{NS_XRD}'/>".encode("utf-16"): "not XML in UTF-8",
            f"<XRD xmlns='{NS_XRD}'>&x;</XRD>".encode(): "not XML in UTF-8",
            f"<XRD xmlns='{NS_XRD}'>".encode(): "not XML in UTF-8",
            b"": "not XML in UTF-8",
            b"<" * (MAX_DOCUMENT + 1): "65537 bytes",
        }
        for data, reason in cases.items():
            with self.assertRaises(DiscoveryError, msg=data[:60]) as caught:
                parse_xrd(data, "example.org")
            self.assertIn(reason, str(caught.exception))

    @given(
        st.binary()
        | st.lists(
            st.sampled_from(
                [
                    "<?xml version='1.0' encoding='",
                    "koi8-r",
                    "utf-16",
                    "utf-7",
                    "none",
                    "'?>",
                    f"<XRD xmlns='{NS_XRD}'>",
                    "<Link",
                    f" rel='{REL}'",
                    " href='wss://a.example/'",
                    "/>",
                    "</XRD>",
                    "<!DOCTYPE a>",
                    "<![CDATA[",
                    "]]>",
                    "&amp;",
                    "&x;",
                    "\0",
                ]
            )
        ).map(lambda parts: "".join(parts).encode())
    )
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are a HostMeta or a DiscoveryError."""
        try:
            self.assertIsInstance(parse_xrd(data, "example.org"), HostMeta)
        except DiscoveryError as error:
            self.assertTrue(str(error))
