"""What a certificate proves: each way, and in words why not."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.identity import PresentedNames
from xmppfed.discovery.posh import Fingerprint
from xmppfed.discovery.vouching import Vouched
from xmppfed.net.certificates import load_certificate
from xmppfed.net.issuing import self_signed
from xmppfed.net.peer import PeerCertificate
from xmppfed.services.proof import CLIENT, Proof, prove

NOW = datetime(2027, 1, 15, tzinfo=UTC)
UNTIL = NOW + timedelta(days=90)
DOMAIN = "example.org"


class Proofs(SynchronousTestCase):
    """Certificates of example.org."""

    def certificate(self, *names: str, problems: tuple[str, ...] = (), der: bytes = b"") -> PeerCertificate:
        """One for these DNS names."""
        return PeerCertificate(PresentedNames(dns_names=names), problems, UNTIL, b"key", der)

    def test_name(self) -> None:
        """A name of the domain, and a trusted authority: until the first certificate of the chain expires."""
        self.assertEqual(prove(DOMAIN, self.certificate(DOMAIN), NOW), Proof(f"DNS {DOMAIN} and a trusted authority", UNTIL))

    def test_accepted_host(self) -> None:
        """A host that was delegated to stands for the domain, where it is accepted."""
        certificate = self.certificate("host.example")
        found = prove(DOMAIN, certificate, NOW, accepted=["other.example", "host.example"])
        self.assertEqual(found.by, "DNS host.example and a trusted authority")
        self.assertEqual(
            prove(DOMAIN, certificate, NOW, accepted=["other.example"]).problem,
            f"found a certificate for DNS host.example; wanted one for {DOMAIN}, other.example",
        )

    def test_problems(self) -> None:
        """The right name is worth nothing without a trusted authority."""
        self.assertEqual(
            prove(DOMAIN, self.certificate(DOMAIN, problems=("self-signed certificate",)), NOW, what=CLIENT),
            Proof(
                problem=f"found a client certificate for DNS {DOMAIN} (self-signed certificate); "
                f"wanted a trusted one for {DOMAIN}"
            ),
        )

    def test_none(self) -> None:
        """Without a certificate there is no proof, whatever is vouched for."""
        self.assertEqual(
            prove(DOMAIN, None, NOW, what=CLIENT, vouched=Vouched(frozenset([b"key"]))),
            Proof(problem=f"found no client certificate; wanted one for {DOMAIN}"),
        )

    def test_vouched(self) -> None:
        """What the domain vouches for is proved until the certificate itself expires, and not before it is valid."""
        path = Path(self.mktemp())
        path.write_bytes(self_signed("whatever.example", NOW))
        leaf = load_certificate(path).leaf
        der = leaf.public_bytes(Encoding.DER)
        certificate = self.certificate("whatever.example", problems=("self-signed certificate",), der=der)
        named = Vouched(fingerprints=(Fingerprint((("sha-256", hashlib.sha256(der).digest()),)),))
        for vouched, word in ((named, "POSH"), (Vouched(frozenset([b"key"])), "pins")):
            found = prove(DOMAIN, certificate, NOW, vouched=vouched)
            self.assertIn(word, found.by)
            self.assertEqual(found.until, leaf.not_valid_after_utc)
            for moment in (leaf.not_valid_before_utc, leaf.not_valid_after_utc):
                self.assertTrue(prove(DOMAIN, certificate, moment, vouched=vouched).by)
            for moment in (leaf.not_valid_before_utc - timedelta(1), leaf.not_valid_after_utc + timedelta(1)):
                self.assertEqual(prove(DOMAIN, certificate, moment, vouched=vouched).by, "")
        other = Vouched(frozenset([b"another key"]), (Fingerprint((("sha-256", bytes(32)),)),))
        self.assertEqual(prove(DOMAIN, certificate, NOW, vouched=other).by, "")

    def test_foreign_names(self) -> None:
        """Names that a stranger had signed cannot move a cursor in the log."""
        problem = prove(DOMAIN, self.certificate("a\x1b[2J\n.example"), NOW).problem
        self.assertIn("a\\x1b[2J\\x0a.example", problem)
