"""Reverse proxies that are believed, and what they say."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from tests.net.tls_pairs import AUTHORITY, NOW, loaded
from xmppfed.net.arrival import host_of
from xmppfed.net.issuing import Authority
from xmppfed.net.proxies import CLIENT_CERT, Listed, Presented, TrustedProxies, Word

NETWORKS = Listed.of(["127.0.0.0/8", "2001:db8::/64"])


def binary(certificate: x509.Certificate) -> str:
    """A certificate as RFC 9440 writes it."""
    return f":{b64encode(certificate.public_bytes(Encoding.DER)).decode()}:"


class ListedTests(SynchronousTestCase):
    """Who is believed."""

    def test_networks(self) -> None:
        """An address of a listed network, in whatever form it is written; no other."""
        for host in ("127.0.0.1", "127.9.9.9", "2001:db8::7", "::ffff:127.0.0.1", "2001:db8::7%eth0"):
            self.assertTrue(NETWORKS.include(host), host)
        for host in ("128.0.0.1", "2001:db8:0:1::7", "::1", "::ffff:10.0.0.1"):
            self.assertFalse(NETWORKS.include(host), host)

    def test_unix(self) -> None:
        """Who comes through a Unix socket has no address: it counts if that is said."""
        self.assertFalse(NETWORKS.include(host_of(UNIXAddress(None))))
        self.assertTrue(Listed.of(["unix"]).include(host_of(UNIXAddress(None))))

    def test_nobody(self) -> None:
        """Nobody is believed who is not named."""
        self.assertFalse(TrustedProxies().include("127.0.0.1"))
        self.assertTrue(TrustedProxies(NETWORKS).include("127.0.0.1"))

    def test_no_network(self) -> None:
        """What is neither is refused."""
        self.assertRaises(ValueError, Listed.of, ["proxy.example"])


class ForwardedTests(SynchronousTestCase):
    """From where a connection came (RFC 7239)."""

    def address(self, value: str) -> str | None:
        """What is read from the header."""
        return TrustedProxies(NETWORKS).word({"forwarded": value}).address

    def test_for(self) -> None:
        """The address is read in each form: bare, quoted, in brackets, with a port, among other parameters."""
        for value, expected in (
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=192.0.2.1:4711;proto=https", "192.0.2.1"),
            ('proto=https; for="192.0.2.1:4711"', "192.0.2.1"),
            ('for="[2001:db8::7]:4711"', "2001:db8::7"),
            ('for="[2001:db8::7]"', "2001:db8::7"),
            ("for=2001:db8::7", "2001:db8::7"),
        ):
            self.assertEqual(self.address(value), expected, value)

    def test_last(self) -> None:
        """What the nearest proxy has added counts, not what its client wrote before."""
        self.assertEqual(self.address("for=6.6.6.6, for=192.0.2.1"), "192.0.2.1")

    def test_no_address(self) -> None:
        """What names no address, or two, says nothing."""
        for value in ("", "for=unknown", 'for="_hidden"', "for=", "by=192.0.2.1", "for=192.0.2.1;for=192.0.2.2", 'for="['):
            self.assertIsNone(self.address(value), value)

    @given(st.text(max_size=60))
    def test_any_text(self, value: str) -> None:
        """Whatever stands there, it is an address or nothing."""
        self.address(value)
        self.address(f"for={value}")


class CertificateTests(SynchronousTestCase):
    """Which certificate the client has shown to the proxy."""

    def setUp(self) -> None:
        intermediate = Authority(NOW, "intermediate", issuer=AUTHORITY)
        self.path = Path(self.mktemp())
        self.own = loaded(self.path, intermediate.issue("peer.example"))

    def presented(self, name: str, **headers: str) -> Presented | None:
        """What is read, with this as the name of the header."""
        return TrustedProxies(NETWORKS, certificate_header=name).word(headers).presented

    def test_client_cert(self) -> None:
        """A byte sequence, and a list of them for the chain (RFC 9440, 2.2 and 2.3)."""
        chain = ", ".join(map(binary, self.own.chain))
        headers = {"client-cert": binary(self.own.leaf), "client-cert-chain": chain}
        self.assertEqual(self.presented(CLIENT_CERT, **headers), Presented(self.own.leaf, self.own.chain))

    def test_without_chain(self) -> None:
        """The chain may be left out."""
        self.assertEqual(self.presented(CLIENT_CERT, **{"client-cert": binary(self.own.leaf)}), Presented(self.own.leaf))

    def test_nginx(self) -> None:
        """Under any other name it is the escaped PEM of nginx."""
        pem = quote(self.own.leaf.public_bytes(Encoding.PEM).decode(), safe="")
        self.assertEqual(self.presented("X-Client-PEM", **{"x-client-pem": pem}), Presented(self.own.leaf))

    def test_not_asked_for(self) -> None:
        """A header that the configuration does not name is not read."""
        self.assertEqual(TrustedProxies(NETWORKS).word({"client-cert": binary(self.own.leaf)}), Word())
        self.assertIsNone(self.presented("X-Client-PEM", **{"client-cert": binary(self.own.leaf)}))

    def test_twice(self) -> None:
        """A header that comes twice was not overwritten by the proxy: it proves nothing."""
        twice = f"{binary(self.own.leaf)},{binary(self.own.leaf)}"
        self.assertIsNone(self.presented(CLIENT_CERT, **{"client-cert": twice}))

    def test_no_certificate(self) -> None:
        """What is no certificate proves nothing, and does no harm."""
        for value in ("", ":", "::", ":YQ==:", "YQ==", ":a:", "-----BEGIN", "%00", "%"):
            self.assertIsNone(self.presented(CLIENT_CERT, **{"client-cert": value}), value)
            self.assertIsNone(self.presented("X-Client-PEM", **{"x-client-pem": value}), value)

    @given(st.text(max_size=60))
    def test_any_text(self, value: str) -> None:
        """Whatever stands there, it is a certificate or nothing."""
        self.assertIsNone(self.presented(CLIENT_CERT, **{"client-cert": value, "client-cert-chain": value}))
        self.assertIsNone(self.presented("X-Client-PEM", **{"x-client-pem": value}))
