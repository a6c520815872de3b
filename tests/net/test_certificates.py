"""Reading certificates."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.identity import PresentedNames
from xmppfed.errors import ConfigError
from xmppfed.net.certificates import (
    IA5_STRING,
    SRV_NAME,
    UTF8_STRING,
    XMPP_ADDR,
    PrivateKey,
    endpoint_binding,
    load_anchors,
    load_certificate,
    moment,
    presented_names,
    primitive,
    spki_sha256,
    validity_problem,
)
from xmppfed.net.issuing import Authority

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AUTHORITY = Authority(NOW)

# ecdsa-with-SHA1, which no library of ours signs any more.
SHA1_PEM = b"""\
-----BEGIN CERTIFICATE-----
MIIBgDCCASigAwIBAgIUNsRvibpVlDoB7kNhPfR31Pi/YaAwCQYHKoZIzj0EATAX
MRUwEwYDVQQDDAxzaGExLmV4YW1wbGUwHhcNMjYxMTI0MDM0NDU5WhcNMzYxMTIx
MDM0NDU5WjAXMRUwEwYDVQQDDAxzaGExLmV4YW1wbGUwWTATBgcqhkjOPQIBBggq
hkjOPQMBBwNCAAS8jdIV+CexV4wrrCPK8J8AwiJ7FfMWxoym9j+mpunac4hU/btx
/cz+Onc7/IQZstK17Nnc6rruiMDibIq/BNT/o1MwUTAdBgNVHQ4EFgQUN/P3G3Dq
9Rk93l/FIBQva+O90DMwHwYDVR0jBBgwFoAUN/P3G3Dq9Rk93l/FIBQva+O90DMw
DwYDVR0TAQH/BAUwAwEB/zAJBgcqhkjOPQQBA0cAMEQCIEq/atjC7984YzFwMKX5
ZXiogVdKRl/jDqrN2r7GJP0EAiBMaDPzuijZLSimgSeX9nIrFqytQ7tBfxaKB5Wu
1iUIqA==
-----END CERTIFICATE-----
"""


def private_key_pem(key: PrivateKey | dsa.DSAPrivateKey, password: bytes | None = None) -> bytes:
    """The key as a file holds it."""
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def certificates_only(pem: bytes) -> bytes:
    """The file without its private key."""
    return pem[: pem.index(b"-----BEGIN PRIVATE KEY")]


def certificate_with(*names: x509.GeneralName) -> x509.Certificate:
    """A certificate with these names."""
    return certificate_with_raw(x509.SubjectAlternativeName(names).public_bytes())


def certificate_with_raw(san: bytes) -> x509.Certificate:
    """A certificate with these bytes in the place of its names."""
    return x509.load_pem_x509_certificates(AUTHORITY.issue("example.org", san=san))[0]


def raw_other_name(kind: x509.ObjectIdentifier, value: bytes) -> bytes:
    """A subjectAltName with one otherName (RFC 5280, 4.2.1.6) whose value is these bytes, a TLV or not."""
    last_arc = int(kind.dotted_string.rpartition(".")[2])
    oid = primitive(0x06, bytes.fromhex("2b060105050708") + bytes([last_arc]))
    return primitive(0x30, primitive(0xA0, oid + primitive(0xA0, value)))


def signed_with(key: PrivateKey, algorithm: hashes.HashAlgorithm | None) -> x509.Certificate:
    """A self-signed certificate."""
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    return builder.sign(key, algorithm)  # type: ignore[arg-type]  # Any of the hashes; cryptography lists them one by one.


class LoadingTests(SynchronousTestCase):
    """A PEM file gives leaf, chain and key, or an error that says what to do."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.key_path = Path(self.mktemp())
        self.pem = Authority(NOW, "intermediate", issuer=AUTHORITY).issue("example.org")

    def assert_refused(self, *words: str) -> None:
        key_path = self.key_path if self.key_path.exists() else None
        error = str(self.assertRaises(ConfigError, load_certificate, self.path, key_path))
        for word in (*words, "wanted"):
            self.assertIn(word, error)

    def test_one_file(self) -> None:
        """Leaf, intermediate and key stand in one file."""
        self.path.write_bytes(self.pem)
        loaded = load_certificate(self.path)
        self.assertEqual(presented_names(loaded.leaf).dns_names, ("example.org",))
        self.assertEqual(loaded.leaf.issuer, loaded.chain[0].subject)
        self.assertEqual(len(loaded.chain), 1)
        self.assertEqual(loaded.key.public_key(), loaded.leaf.public_key())

    def test_key_first(self) -> None:
        """The key may stand before the certificates."""
        certificates = certificates_only(self.pem)
        self.path.write_bytes(self.pem.removeprefix(certificates) + certificates)
        self.assertEqual(len(load_certificate(str(self.path)).chain), 1)

    def test_key_in_its_own_file(self) -> None:
        """The key may have a file of its own, as certbot writes them."""
        certificates = certificates_only(self.pem)
        self.path.write_bytes(certificates)
        self.key_path.write_bytes(self.pem.removeprefix(certificates))
        loaded = load_certificate(self.path, self.key_path)
        self.assertEqual(loaded.key.public_key(), loaded.leaf.public_key())

    def test_missing(self) -> None:
        """A missing file is named, with the reason."""
        self.assert_refused(str(self.path), "No such file")

    def test_not_pem(self) -> None:
        """A file without certificates is named."""
        self.path.write_bytes(b"hello")
        self.assert_refused(str(self.path), "no readable certificate")

    def test_broken_certificate(self) -> None:
        """A certificate that cannot be parsed is not skipped."""
        self.path.write_bytes(b"-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n" + self.pem)
        self.assert_refused(str(self.path), "no readable certificate")

    def test_no_key(self) -> None:
        """Certificates without a private key cannot be presented."""
        self.path.write_bytes(certificates_only(self.pem))
        self.assert_refused(str(self.path), "no readable private key")

    def test_missing_key_file(self) -> None:
        """When the key's file is missing, that file is named and not the other."""
        self.path.write_bytes(self.pem)
        error = str(self.assertRaises(ConfigError, load_certificate, self.path, self.key_path))
        self.assertIn(str(self.key_path), error)

    def test_encrypted_key(self) -> None:
        """Nobody is there to type a passphrase when a server starts."""
        key = ec.generate_private_key(ec.SECP256R1())
        self.path.write_bytes(certificates_only(self.pem) + private_key_pem(key, b"secret"))
        self.assert_refused(str(self.path), "encrypted")

    def test_foreign_key(self) -> None:
        """A key that belongs to another certificate is refused, with both files and the subject named."""
        self.path.write_bytes(self.pem)
        self.key_path.write_bytes(private_key_pem(ec.generate_private_key(ec.SECP256R1())))
        self.assert_refused(str(self.path), str(self.key_path), "CN=example.org", "does not belong")

    def test_wrong_order(self) -> None:
        """An authority's certificate before the leaf is refused: clients would take it for ours."""
        self.path.write_bytes(AUTHORITY.pem + self.pem)
        self.assert_refused(str(self.path), "does not belong", "before those of its authorities")

    def test_unfit_kind_of_key(self) -> None:
        """A key of a kind that TLS 1.3 has no use for is named."""
        self.path.write_bytes(certificates_only(self.pem) + private_key_pem(dsa.generate_private_key(1024)))
        self.assert_refused(str(self.path), "DSA", "ECDSA")

    def test_anchors(self) -> None:
        """A file of authorities gives all of them; a file without any is refused."""
        self.path.write_bytes(AUTHORITY.pem + Authority(NOW, "other").pem)
        self.assertEqual(len(load_anchors(self.path)), 2)
        self.path.write_bytes(b"")
        self.assertRaises(ConfigError, load_anchors, self.path)


class NamesTests(SynchronousTestCase):
    """Names come from the subjectAltName alone, and only from strict DER."""

    def test_all_kinds(self) -> None:
        """xmppAddr, SRVName and dNSName are found, in their order; others are passed over."""
        names = presented_names(
            certificate_with(
                x509.DNSName("a.example"),
                x509.OtherName(XMPP_ADDR, primitive(UTF8_STRING, "é.example".encode())),
                x509.OtherName(SRV_NAME, primitive(IA5_STRING, b"_xmpp-server.a.example")),
                x509.OtherName(x509.ObjectIdentifier("1.2.3.4"), primitive(UTF8_STRING, b"c.example")),
                x509.RFC822Name("d@example.org"),
                x509.DNSName("b.example"),
            )
        )
        self.assertEqual(names, PresentedNames(("é.example",), ("_xmpp-server.a.example",), ("a.example", "b.example")))

    def test_common_name(self) -> None:
        """(a), (b): a common name, or text that looks like one elsewhere in the subject, is no name."""
        certificate = x509.load_pem_x509_certificates(AUTHORITY.issue("example.org", dns=(), common_name="OU/CN=example.org"))[0]
        self.assertEqual(presented_names(certificate), PresentedNames())

    def test_wrong_der(self) -> None:
        """A name with another tag, another length or other bytes than its type has is left out."""
        for kind, value in [
            (XMPP_ADDR, b"\x16\x01a"),
            (XMPP_ADDR, b"\x0c\x02a"),
            (XMPP_ADDR, b"\x0c\x01ab"),
            (XMPP_ADDR, b"\x0c\x81\x01a"),
            (XMPP_ADDR, b"\x0c\x80a\x00\x00"),
            (XMPP_ADDR, b"\x0c\x01\xff"),
            (XMPP_ADDR, b"\x0c\x03\xed\xa0\x80"),
            (XMPP_ADDR, b"\x2c\x03\x0c\x01a"),
            (XMPP_ADDR, b"\x0c\xff"),
            (XMPP_ADDR, b"\x0c"),
            (SRV_NAME, b"\x0c\x01a"),
            (SRV_NAME, b"\x16\x01\xe9"),
            (SRV_NAME, b"\x16\x02\xc3\xa9"),
        ]:
            self.assertEqual(presented_names(certificate_with_raw(raw_other_name(kind, value))), PresentedNames(), value)
        good = certificate_with_raw(raw_other_name(XMPP_ADDR, b"\x0c\x01a"))
        self.assertEqual(presented_names(good).xmpp_addresses, ("a",))

    def test_good_names_beside_a_bad_one(self) -> None:
        """One name that cannot be read does not hide the others."""
        bad = x509.OtherName(XMPP_ADDR, b"\x16\x01a")
        self.assertEqual(presented_names(certificate_with(bad, x509.DNSName("a.example"))).dns_names, ("a.example",))

    def test_nul_is_kept(self) -> None:
        """(d): a name is text as it was found, with its NUL, so that it can be refused later."""
        san = bytes.fromhex("3005820361") + b"\x00b"
        self.assertEqual(presented_names(certificate_with_raw(san)).dns_names, ("a\0b",))

    def test_unreadable_extension(self) -> None:
        """(e): an extension that is broken as a whole, such as by a dNSName that is not ASCII, proves nothing."""
        for san in [b"\x30\x03\x82\x01\xe9", b"\x30\x05\x82\x01a", b"", b"\x30\x02\xa3\x00"]:
            self.assertEqual(presented_names(certificate_with_raw(san)), PresentedNames(), san)

    @given(st.text(max_size=300))
    def test_any_address_comes_back(self, text: str) -> None:
        """Reading what was written gives the same text, of any length."""
        name = x509.OtherName(XMPP_ADDR, primitive(UTF8_STRING, text.encode("utf-8")))
        self.assertEqual(presented_names(certificate_with(name)).xmpp_addresses, (text,))

    @given(st.binary(max_size=200))
    def test_any_extension_is_answered(self, san: bytes) -> None:
        """No bytes in place of the names raise."""
        presented_names(certificate_with_raw(san))


class DatesTests(SynchronousTestCase):
    """(f): dates are compared with the time that is given."""

    def setUp(self) -> None:
        pem = AUTHORITY.issue("example.org", not_before=NOW, not_after=NOW + timedelta(days=1))
        self.certificate = x509.load_pem_x509_certificates(pem)[0]

    def test_valid(self) -> None:
        """Both ends belong to the time of validity (RFC 5280, 4.1.2.5)."""
        for now in [NOW, NOW + timedelta(hours=1), NOW + timedelta(days=1)]:
            self.assertIsNone(validity_problem(self.certificate, now))

    def test_not_yet(self) -> None:
        """Before it there is a reason with the date."""
        problem = validity_problem(self.certificate, NOW - timedelta(seconds=1))
        self.assertEqual(problem, "certificate is not valid before 2026-06-01 12:00 UTC")

    def test_expired(self) -> None:
        """And after it as well."""
        problem = validity_problem(self.certificate, NOW + timedelta(days=1, seconds=1))
        self.assertEqual(problem, "certificate has expired on 2026-06-02 12:00 UTC")

    def test_moment(self) -> None:
        """A clock's seconds count from 1970 in UTC."""
        clock = Clock()
        clock.advance(86400)
        self.assertEqual(moment(clock), datetime(1970, 1, 2, tzinfo=UTC))


class FingerprintTests(SynchronousTestCase):
    """Pins and channel bindings."""

    def test_pin(self) -> None:
        """The pin is of the key: a renewed certificate with the same key has the same."""
        key = ec.generate_private_key(ec.SECP256R1())
        first, second = signed_with(key, hashes.SHA256()), signed_with(key, hashes.SHA384())
        der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.assertEqual(spki_sha256(first), hashlib.sha256(der).digest())
        self.assertEqual(spki_sha256(first), spki_sha256(second))

    def test_endpoint_binding(self) -> None:
        """RFC 5929, 4.1: the hash of the signature, but SHA-256 where that is MD5 or SHA-1."""
        rsa_key = rsa.generate_private_key(65537, 2048)
        cases: list[tuple[PrivateKey, hashes.HashAlgorithm, Any]] = [
            (ec.generate_private_key(ec.SECP256R1()), hashes.SHA256(), hashlib.sha256),
            (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384(), hashlib.sha384),
            (rsa_key, hashes.SHA512(), hashlib.sha512),
        ]
        for key, algorithm, expected in cases:
            certificate = signed_with(key, algorithm)
            der = certificate.public_bytes(serialization.Encoding.DER)
            self.assertEqual(endpoint_binding(certificate), expected(der).digest())

    def test_weak_hash(self) -> None:
        """A certificate signed with SHA-1 is bound by SHA-256."""
        certificate = x509.load_pem_x509_certificate(SHA1_PEM)
        self.assertEqual(certificate.signature_hash_algorithm and certificate.signature_hash_algorithm.name, "sha1")
        der = certificate.public_bytes(serialization.Encoding.DER)
        self.assertEqual(endpoint_binding(certificate), hashlib.sha256(der).digest())

    def test_undefined(self) -> None:
        """There is no binding for a signature without one hash function."""
        self.assertIsNone(endpoint_binding(signed_with(ed25519.Ed25519PrivateKey.generate(), None)))

    def test_unknown_signature(self) -> None:
        """Nor for a signature algorithm that nobody here knows."""
        certificate = signed_with(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        der = certificate.public_bytes(serialization.Encoding.DER)
        ecdsa_with_sha256, unknown = bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d04037f")
        self.assertIsNone(endpoint_binding(x509.load_der_x509_certificate(der.replace(ecdsa_with_sha256, unknown))))
