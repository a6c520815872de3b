"""The throw-away authority."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.identity import PresentedNames
from xmppfed.net.certificates import PrivateKey, presented_names
from xmppfed.net.issuing import VALIDITY, Authority, create_private, new_key, self_signed, signed_by_itself

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def leaf(pem: bytes) -> x509.Certificate:
    """The first certificate of a file."""
    return x509.load_pem_x509_certificates(pem)[0]


class IssuingTests(SynchronousTestCase):
    """What the authority issues is a good certificate, unless it is asked for a bad one."""

    def setUp(self) -> None:
        self.authority = Authority(NOW)

    def assert_verified(self, pem: bytes, at: datetime = NOW) -> None:
        chain = x509.load_pem_x509_certificates(pem)
        verifier = PolicyBuilder().store(Store([self.authority.certificate])).time(at.replace(tzinfo=None))
        verifier.build_server_verifier(x509.DNSName("example.org")).verify(chain[0], chain[1:])

    def test_verifies(self) -> None:
        """Another implementation's path validation finds nothing wrong with it."""
        self.assert_verified(self.authority.issue("example.org"))

    def test_through_a_subordinate(self) -> None:
        """An intermediate's certificate is part of the chain in the file, the root's is not."""
        intermediate = Authority(NOW, "intermediate", issuer=self.authority)
        pem = Authority(NOW, "deeper", issuer=intermediate).issue("example.org")
        self.assert_verified(pem)
        self.assertEqual(len(x509.load_pem_x509_certificates(pem)), 3)
        self.assertNotIn(self.authority.pem, pem)

    def test_ten_days(self) -> None:
        """It holds from a little before now, for clocks that are late, and for ten days."""
        pem = self.authority.issue("example.org")
        self.assert_verified(pem, NOW - timedelta(minutes=50))
        self.assert_verified(pem, NOW + VALIDITY)
        self.assertRaises(VerificationError, self.assert_verified, pem, NOW + VALIDITY + timedelta(seconds=1))

    def test_key_is_in_the_file(self) -> None:
        """The private key in the file is the certificate's own."""
        pem = self.authority.issue("example.org")
        key = serialization.load_pem_private_key(pem, None)
        self.assertEqual(key.public_key(), leaf(pem).public_key())

    def test_names(self) -> None:
        """Every kind of name can be asked for; without asking there is the domain's dNSName, with A-labels."""
        pem = self.authority.issue(
            "a.example", dns=["b.example", "*.c.example"], xmpp_addresses=["é.example"], srv=["_x.d.example"]
        )
        expected = PresentedNames(("é.example",), ("_x.d.example",), ("b.example", "*.c.example"))
        self.assertEqual(presented_names(leaf(pem)), expected)
        self.assertEqual(presented_names(leaf(self.authority.issue("café.example"))).dns_names, ("xn--caf-dma.example",))

    def test_wrong_certificates(self) -> None:
        """Other dates, purposes, subjects and raw names are issued as asked, right or wrong."""
        begin, end = NOW - timedelta(days=3), NOW - timedelta(days=2)
        certificate = leaf(
            self.authority.issue(
                "example.org",
                not_before=begin,
                not_after=end,
                extended_key_usages=[ExtendedKeyUsageOID.CODE_SIGNING],
                common_name="other.example",
                san=bytes.fromhex("3003820161"),
            )
        )
        self.assertEqual((certificate.not_valid_before_utc, certificate.not_valid_after_utc), (begin, end))
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(list(usages), [ExtendedKeyUsageOID.CODE_SIGNING])
        self.assertEqual(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value, "other.example")
        self.assertEqual(presented_names(certificate), PresentedNames(dns_names=("a",)))

    def test_without_names_and_purposes(self) -> None:
        """A certificate with nothing but a common name can be had, to show that it proves nothing."""
        certificate = leaf(self.authority.issue("example.org", dns=(), extended_key_usages=()))
        kinds = [extension.oid for extension in certificate.extensions]
        self.assertNotIn(x509.SubjectAlternativeName.oid, kinds)
        self.assertNotIn(x509.ExtendedKeyUsage.oid, kinds)
        self.assertEqual(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value, "example.org")

    def test_long_domain(self) -> None:
        """A domain longer than a common name may be (RFC 5280, appendix A.1) is cut there, and whole in the dNSName."""
        domain = "a" * 60 + ".example.org"
        certificate = leaf(self.authority.issue(domain))
        self.assertEqual(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value, domain[:64])
        self.assertEqual(presented_names(certificate).dns_names, (domain,))

    def test_two_authorities(self) -> None:
        """Each authority has a key of its own: what another issues does not verify."""
        self.assertRaises(VerificationError, self.assert_verified, Authority(NOW).issue("example.org"))


class SelfSignedTests(SynchronousTestCase):
    """What `xmppfedctl init` writes when nobody else vouches."""

    def test_signed_by_itself(self) -> None:
        """The certificate's own key signed it, and it names the domain twice over."""
        pem = self_signed("example.org", NOW)
        certificate = leaf(pem)
        certificate.verify_directly_issued_by(certificate)
        self.assertEqual(presented_names(certificate), PresentedNames(("example.org",), (), ("example.org",)))
        key = serialization.load_pem_private_key(pem, None)
        self.assertEqual(key.public_key(), certificate.public_key())

    def test_any_key(self) -> None:
        """A key of any kind that we load signs for itself, for the names and the time that are asked for."""
        keys: list[PrivateKey] = [
            new_key(),
            ed25519.Ed25519PrivateKey.generate(),
            ed448.Ed448PrivateKey.generate(),
            rsa.generate_private_key(65537, 2048),
        ]
        for key in keys:
            end = NOW + timedelta(days=400)
            pem = signed_by_itself("x", key, NOW, end, dns=("a.example",), xmpp_addresses=("b@c",), srv=("_x.d",))
            certificate = leaf(pem)
            certificate.verify_directly_issued_by(certificate)
            self.assertEqual(certificate.public_key(), key.public_key())
            self.assertEqual(certificate.not_valid_after_utc, end)
            self.assertEqual(presented_names(certificate), PresentedNames(("b@c",), ("_x.d",), ("a.example",)))


class FileTests(SynchronousTestCase):
    """Keys are written for their owner."""

    def test_private(self) -> None:
        """A file for its owner alone; one that is there is left as it is."""
        path = Path(self.mktemp())
        create_private(path, b"secret")
        self.assertEqual((path.stat().st_mode & 0o777, path.read_bytes()), (0o600, b"secret"))
        self.assertRaises(FileExistsError, create_private, path, b"other")
        self.assertEqual(path.read_bytes(), b"secret")
