"""The certificates a domain of a test can have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.net.certificates import presented_names, validity_problem
from xmppfed.net.issuing import Authority
from xmppfed.testing.certificates import CertificateKind, certificate

NOW = datetime(2027, 1, 15, tzinfo=UTC)


class Certificates(SynchronousTestCase):
    """Each bad certificate is bad in one way."""

    def setUp(self) -> None:
        self.authority = Authority(NOW)

    def made(self, kind: CertificateKind) -> x509.Certificate:
        return x509.load_pem_x509_certificates(certificate("capulet.example", kind, self.authority, NOW))[0]

    def facts(self, kind: CertificateKind) -> tuple[bool, tuple[str, ...], bool]:
        """Whether it is in time, its names, and whether the authority vouches for it."""
        made = self.made(kind)
        vouched = made.issuer == self.authority.certificate.subject
        return validity_problem(made, NOW) is None, presented_names(made).dns_names, vouched

    def test_valid(self) -> None:
        """In time, for the domain, and vouched for; so is that of a server that does not show it."""
        kinds: tuple[CertificateKind, ...] = ("valid", "none")
        for kind in kinds:
            self.assertEqual(self.facts(kind), (True, ("capulet.example",), True))

    def test_expired(self) -> None:
        """Its time is over, and only that is wrong."""
        self.assertEqual(self.facts("expired"), (False, ("capulet.example",), True))
        self.assertIsNone(validity_problem(self.made("expired"), NOW - timedelta(days=1, hours=1)))

    def test_wrong_name(self) -> None:
        """It is for another domain."""
        self.assertEqual(self.facts("wrong-name"), (True, ("not-capulet.example",), True))

    def test_self_signed(self) -> None:
        """Nobody vouches for it."""
        self.assertEqual(self.facts("self-signed"), (True, ("capulet.example",), False))

    def test_unknown_kind(self) -> None:
        """A kind that does not exist is an error that names those that do."""
        unknown: Any = "stale"
        error = self.assertRaises(ValueError, self.made, unknown)
        self.assertIn("found 'stale' as the certificate of capulet.example; wanted valid, expired", str(error))
