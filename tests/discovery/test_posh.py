"""POSH documents (RFC 7711)."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.documents import MAX_DOCUMENT, MAX_ITEMS
from xmppfed.discovery.posh import POSHDocument, parse_posh, posh_url
from xmppfed.errors import DiscoveryError

CERTIFICATE, OTHER = b"one certificate in DER", b"another"


def hashed(name: str, certificate: bytes = CERTIFICATE) -> str:
    """A hash in base64."""
    return b64encode(hashlib.new(name.replace("-", ""), certificate).digest()).decode()


def read(**fields: Any) -> POSHDocument:
    """A document of these fields, which holds for a day."""
    return parse_posh(json.dumps({"expires": 86400, **fields}).encode())


class FingerprintTests(SynchronousTestCase):
    """Whose certificate is among them."""

    def test_each_function(self) -> None:
        """SHA-256 and SHA-512 both prove a certificate, and no other one."""
        for name in ("sha-256", "sha-512"):
            (one,) = read(fingerprints=[{name: hashed(name)}]).fingerprints
            self.assertTrue(one.is_of(CERTIFICATE))
            self.assertFalse(one.is_of(OTHER))

    def test_all_must_be_right(self) -> None:
        """Where one certificate has several hashes all that are known must be right; unknown ones say nothing."""
        right, wrong = hashed("sha-256"), hashed("sha-512", OTHER)
        (one,) = read(fingerprints=[{"sha-256": right, "sha-512": wrong}]).fingerprints
        self.assertFalse(one.is_of(CERTIFICATE))
        (one,) = read(fingerprints=[{"sha-256": right, "sha-1": "x", "sha3-256": "x"}]).fingerprints
        self.assertTrue(one.is_of(CERTIFICATE))

    def test_several(self) -> None:
        """A document may name several certificates; those with unknown hashes alone are left out."""
        found = read(fingerprints=[{"sha-1": "x"}, {"sha-256": hashed("sha-256", OTHER)}, {"sha-256": hashed("sha-256")}])
        self.assertEqual([one.is_of(CERTIFICATE) for one in found.fingerprints], [False, True])
        self.assertEqual((found.expires, found.url), (86400, ""))


class ReferenceTests(SynchronousTestCase):
    """A document that says where the fingerprints are."""

    def test_url(self) -> None:
        """Its URL, which is https."""
        found = read(url="https://hosting.example/.well-known/posh/xmpp-server.json")
        self.assertEqual((found.url, found.fingerprints), ("https://hosting.example/.well-known/posh/xmpp-server.json", ()))

    def test_own_url(self) -> None:
        """Where a host has its own."""
        self.assertEqual(posh_url("example.org"), "https://example.org/.well-known/posh/xmpp-server.json")


class RefusedTests(SynchronousTestCase):
    """Documents that are refused whole."""

    def test_reasons(self) -> None:
        """Each fault is named."""
        good = [{"sha-256": hashed("sha-256")}]
        cases: list[tuple[dict[str, Any], str]] = [
            ({}, "neither fingerprints nor url"),
            ({"fingerprints": {}}, "neither fingerprints nor url"),
            ({"fingerprints": []}, "none of its 0 fingerprints is sha-256 or sha-512"),
            ({"fingerprints": [{"sha-1": hashed("sha-1")}]}, "none of its 1 fingerprints"),
            ({"fingerprints": [7, "x"]}, "none of its 2 fingerprints"),
            ({"fingerprints": [{"sha-256": 7}]}, "its sha-256 '7' is no such hash in base64"),
            ({"fingerprints": [{"sha-256": hashed("sha-512")}]}, "is no such hash"),
            ({"fingerprints": [{"sha-512": "!" + hashed("sha-512")}]}, "is no such hash"),
            ({"fingerprints": good * (MAX_ITEMS + 1)}, "more than 32 fingerprints"),
            ({"fingerprints": good, "expires": None}, "its expires is 'None', wanted a number of seconds"),
            ({"fingerprints": good, "expires": -1}, "its expires is '-1'"),
            ({"fingerprints": good, "expires": True}, "its expires is 'True'"),
            ({"fingerprints": good, "expires": 1.5}, "its expires is '1.5'"),
            ({"fingerprints": good, "url": "https://a.example/"}, "stands beside fingerprints"),
            ({"url": 7}, "its url is no text"),
            ({"url": "http://a.example/"}, "wanted https:"),
            ({"url": "https://u:p@a.example/"}, "credentials"),
        ]
        for fields, reason in cases:
            with self.assertRaises(DiscoveryError, msg=str(fields)) as caught:
                read(**fields)
            self.assertIn(reason, str(caught.exception))

    def test_bytes(self) -> None:
        """Too large, too deep, not JSON, or no object."""
        for data, reason in (
            (b" " * (MAX_DOCUMENT + 1), "65537 bytes"),
            (b"[" * 60_000, "nested too deeply"),
            (b'{"fingerprints":' + b"[" * 20 + b"]" * 20 + b"}", "nested too deeply"),
            (b"<html/>", "not JSON"),
            (b"[]", "not a JSON object"),
        ):
            with self.assertRaises(DiscoveryError, msg=data[:40]) as caught:
                parse_posh(data)
            self.assertIn(reason, str(caught.exception))

    @given(
        st.dictionaries(
            st.sampled_from(["url", "expires", "fingerprints"]),
            st.recursive(
                st.none() | st.integers() | st.text() | st.sampled_from(["https://a.example/", hashed("sha-256")]),
                lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["sha-256", "sha-512", "sha-1"]), inner),
            ),
        ).map(lambda value: json.dumps(value).encode())
        | st.binary()
    )
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are a document that says something, or a DiscoveryError."""
        try:
            found = parse_posh(data)
        except DiscoveryError:
            return
        self.assertEqual(bool(found.url), not found.fingerprints)
