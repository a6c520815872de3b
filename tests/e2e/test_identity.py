"""Who we are to our peers: E16, E17, T3."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.identity import PresentedNames, domain_name_matched, jid_matched
from xmppfed.core.jid import JID
from xmppfed.e2e.identity import (
    VALIDITY,
    Identity,
    address_of,
    create_identity,
    identity_path,
    issue_identity,
    load_identity,
    renew_identity,
)
from xmppfed.errors import ConfigError, JIDError
from xmppfed.net.certificates import presented_names
from xmppfed.net.issuing import Authority

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=3000)


def names(address: str) -> PresentedNames:
    """What a certificate for `address` names."""
    return presented_names(x509.load_pem_x509_certificates(issue_identity(address, NOW))[0])


class Issued(SynchronousTestCase):
    """What stands in a certificate of ours."""

    def test_user(self) -> None:
        """T3, E17: a user's certificate has the bare address as xmppAddr, prepared, and no name of a host."""
        self.assertEqual(names("Juliet@Example.org"), PresentedNames(("juliet@example.org",)))
        self.assertIsNotNone(jid_matched(names("juliet@example.org"), JID.parse("juliet@example.org")))

    def test_link(self) -> None:
        """T3: a name on the link is an xmppAddr too; one that is no JID stands there as it is (L10)."""
        self.assertEqual(names("juliet@pronto"), PresentedNames(("juliet@pronto",)))
        self.assertEqual(names("Juliet C. @home@pronto"), PresentedNames(("Juliet C. @home@pronto",)))

    def test_service(self) -> None:
        """T3, E17: a service's certificate has its domain as dNSName, as SRV-ID and as xmppAddr."""
        shown = names("MUC.example.org")
        wanted = PresentedNames(("muc.example.org",), ("_xmpp-server.muc.example.org",), ("muc.example.org",))
        self.assertEqual(shown, wanted)
        addresses, services, domains = shown.xmpp_addresses, shown.srv_names, shown.dns_names
        for one in (PresentedNames(addresses), PresentedNames((), services), PresentedNames((), (), domains)):
            self.assertIsNotNone(domain_name_matched(one, "muc.example.org"))

    def test_international_service(self) -> None:
        """In DNS names a domain has its A-labels, in an xmppAddr its own letters."""
        wanted = PresentedNames(("café.example",), ("_xmpp-server.xn--caf-dma.example",), ("xn--caf-dma.example",))
        self.assertEqual(names("café.example"), wanted)

    def test_without_dns(self) -> None:
        """A domain that DNS cannot hold is an xmppAddr alone."""
        self.assertEqual(names("[::1]"), PresentedNames(("[::1]",)))

    def test_certificate(self) -> None:
        """E16: signed by its own key on P-256, for servers and clients, no authority, for ten years."""
        [leaf] = x509.load_pem_x509_certificates(issue_identity("juliet@example.org", NOW))
        leaf.verify_directly_issued_by(leaf)
        key = leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self.assertEqual(key.curve.name, "secp256r1")
        usages = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        self.assertEqual(usages, {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH})
        self.assertFalse(leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
        self.assertEqual(leaf.not_valid_after_utc, NOW + VALIDITY)
        self.assertLess(leaf.not_valid_before_utc, NOW)

    def test_refused(self) -> None:
        """An address of one resource, what no peer can be called, and what would steer a terminal."""
        one_resource = ("juliet@example.org/balcony", "a/b@pronto")
        for text in (*one_resource, "", "@pronto", "a b", "ju liet@exa.mple", "a b@", f"{'a b' * 30}@x"):
            self.assertRaises(JIDError, issue_identity, text, NOW)
        for text in ("a\x1bb@pronto", "a \u202eb@pronto", "a \udcff@pronto"):
            self.assertRaises(JIDError, address_of, text)
        error = self.assertRaises(JIDError, address_of, "juliet@example.org/balcony")
        self.assertIn("wanted juliet@example.org", str(error))


class Kept(SynchronousTestCase):
    """Identities in files."""

    def setUp(self) -> None:
        self.data_dir = Path(self.mktemp())
        self.data_dir.mkdir()
        self.path = identity_path(self.data_dir, "juliet@example.org")

    def create(self) -> Identity:
        """Juliet's identity."""
        return create_identity(self.path, "juliet@example.org", NOW)

    def refused(self, *, address: str = "juliet@example.org", with_new_key: bool = False) -> str:
        """Why a renewal is refused; the file stays as it was."""
        before = self.path.read_bytes() if self.path.exists() else b""
        error = self.assertRaises(ConfigError, renew_identity, self.path, address, LATER, with_new_key=with_new_key)
        self.assertTrue(str(error).startswith(f"{self.path}: "), str(error))
        self.assertEqual(self.path.read_bytes() if self.path.exists() else b"", before)
        return str(error)

    def test_created(self) -> None:
        """The file is in a folder of its own, both for the owner alone; what was created is what is loaded."""
        made = self.create()
        self.assertEqual(made.addresses, ("juliet@example.org",))
        self.assertEqual(self.path, self.data_dir / "e2e" / "juliet@example.org.pem")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.path.parent.stat().st_mode & 0o777, 0o700)
        loaded = load_identity(self.path)
        self.assertEqual((loaded.addresses, loaded.spki_sha256), (made.addresses, made.spki_sha256))
        self.assertEqual(len(loaded.spki_sha256), 32)

    def test_never_overwritten(self) -> None:
        """A key that peers know is not lost by a second thought."""
        self.create()
        before = self.path.read_bytes()
        error = self.assertRaises(ConfigError, create_identity, self.path, "juliet@example.org", NOW)
        self.assertIn(f"{self.path}: found a file, wanted none", str(error))
        self.assertEqual(self.path.read_bytes(), before)

    def test_unwritable(self) -> None:
        """A place that cannot be written to is told."""
        error = self.assertRaises(ConfigError, create_identity, self.data_dir / "no" / "folder" / "x.pem", "a@b", NOW)
        self.assertIn("cannot be written (No such file or directory)", str(error))

    def test_renewed(self) -> None:
        """T4: a certificate made anew has the same key, so that pins hold, and holds longer."""
        old = self.create()
        new = renew_identity(self.path, "Juliet@example.org", LATER, with_new_key=False)
        self.assertEqual(new.spki_sha256, old.spki_sha256)
        self.assertEqual(new.certificate.leaf.not_valid_after_utc, LATER + VALIDITY)
        self.assertNotEqual(new.certificate.leaf.serial_number, old.certificate.leaf.serial_number)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_new_key(self) -> None:
        """A new key takes the place of the old one, if that is what is asked for."""
        old = self.create()
        new = renew_identity(self.path, "juliet@example.org", LATER, with_new_key=True)
        self.assertNotEqual(new.spki_sha256, old.spki_sha256)
        self.assertEqual(new.addresses, old.addresses)

    def test_left_over(self) -> None:
        """What a renewal left that was cut short does not stand in the way, and is not written through."""
        self.create()
        precious = self.data_dir / "precious"
        precious.write_text("precious")
        self.path.with_name(f"{self.path.name}.new").symlink_to(precious)
        renew_identity(self.path, "juliet@example.org", LATER, with_new_key=False)
        self.assertEqual(precious.read_text(), "precious")
        self.assertFalse(self.path.is_symlink())

    def test_nothing_to_renew(self) -> None:
        """Without a file there is nothing to renew."""
        self.assertIn("cannot be read", self.refused())

    def test_somebody_else(self) -> None:
        """A file of somebody else is not renewed as ours."""
        self.create()
        reason = self.refused(address="romeo@example.org")
        self.assertIn("found a certificate for juliet@example.org; wanted one for romeo@example.org", reason)

    def test_authority(self) -> None:
        """An authority's certificate is not replaced by one that nobody vouches for."""
        self.path.parent.mkdir()
        self.path.write_bytes(Authority(NOW, "Escalus").issue("x", dns=(), xmpp_addresses=("juliet@example.org",)))
        self.assertIn("CN=Escalus", self.refused())

    def test_folder_is_full(self) -> None:
        """A renewal that cannot be written leaves the old certificate."""
        self.create()
        (self.path.with_name(f"{self.path.name}.new")).mkdir()
        self.assertIn("cannot be written", self.refused())

    @given(st.text(min_size=1, max_size=40))
    def test_path(self, address: str) -> None:
        """Whatever a name on the link holds, its file stays in the folder."""
        try:
            path = identity_path(self.data_dir, address)
        except UnicodeEncodeError:
            return
        self.assertEqual(path.parent, self.data_dir / "e2e")
        self.assertTrue(path.name.isascii() and path.name.isprintable())

    def test_paths_differ(self) -> None:
        """No two names share a file."""
        addresses = ("a@b", "a%40b", "a/b", "../a", "a", "a.pem", "..")
        self.assertEqual(len({identity_path(self.data_dir, address) for address in addresses}), len(addresses))


class Loaded(SynchronousTestCase):
    """Identities that others have issued."""

    def load(self, pem: bytes) -> Identity:
        """What the file holds."""
        self.path = Path(self.mktemp())
        self.path.write_bytes(pem)
        return load_identity(self.path)

    def test_public_authority(self) -> None:
        """E17: a service may show what a public authority issued: its domains are its addresses, each once."""
        services = ["_Xmpp-server.c.example", "_xmpp-client.d.example"]
        pem = Authority(NOW).issue("x", dns=["xn--caf-dma.example", "*.b.example"], srv=services)
        self.assertEqual(self.load(pem).addresses, ("c.example", "café.example"))

    def test_user_first(self) -> None:
        """T3: several addresses are all there, those of XMPP before the domains; what is none is left out."""
        pem = Authority(NOW).issue("a.example", xmpp_addresses=["B@a.example", "a.example", "c@a.example/r", "d d"])
        self.assertEqual(self.load(pem).addresses, ("b@a.example", "a.example"))

    def test_nobody(self) -> None:
        """E16: a certificate without any such name is refused, its common name notwithstanding, with file, found and wanted."""
        error = self.assertRaises(ConfigError, self.load, Authority(NOW).issue("a.example", dns=["*.a.example"]))
        self.assertIn(f"{self.path}: found a certificate for DNS *.a.example; wanted one that names an XMPP address", str(error))

    def test_no_certificate(self) -> None:
        """A file that holds something else is refused in the same manner."""
        self.assertIn("found no readable certificate", str(self.assertRaises(ConfigError, self.load, b"x")))
