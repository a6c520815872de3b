"""The peer's certificate, judged after the handshake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.net.tls_pairs import AUTHORITY, NO_TRUST, NOW, TRUST, Pair, Raw, connect, loaded
from xmppfed.core.identity import PresentedNames
from xmppfed.net.certificates import LoadedCertificate, endpoint_binding, spki_sha256, validity_problem
from xmppfed.net.issuing import Authority, self_signed
from xmppfed.net.peer import PeerCertificate, channel_bindings, judge, judge_presented, own_leaf, verdict_problem
from xmppfed.net.tls import ServerContexts, TrustRoots, client_connection_creator

UNKNOWN = "certificate of an unknown authority"
NO_PURPOSE = "certificate is neither for TLS servers nor for TLS clients (extended key usage)"
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


class JudgingTestCase(SynchronousTestCase):
    """The certificate under judgment is presented as a client's; both sides are judged by the same code."""

    def setUp(self) -> None:
        self.server_path = self.mktemp()
        Path(self.server_path).write_bytes(AUTHORITY.issue("server.example"))

    def connect(self, pem: bytes | LoadedCertificate | None, trust: TrustRoots = TRUST) -> Pair:
        own = loaded(self.mktemp(), pem) if isinstance(pem, bytes) else pem
        creator = ServerContexts({"server.example": self.server_path}, trust).creator()
        return connect(creator, client_connection_creator("server.example", own, trust))

    def judged(self, pem: bytes | LoadedCertificate, trust: TrustRoots = TRUST, now: datetime = NOW) -> PeerCertificate:
        pair = self.connect(pem, trust)
        self.assertTrue(pair.shaken, "the handshake must not end for any certificate")
        peer = judge(pair.server, now)
        assert peer is not None
        self.assertEqual(peer.trusted, not peer.problems)
        return peer

    def problems(self, pem: bytes | LoadedCertificate, trust: TrustRoots = TRUST, now: datetime = NOW) -> tuple[str, ...]:
        return self.judged(pem, trust, now).problems


class TrustedTests(JudgingTestCase):
    """A good certificate has no problems."""

    def test_what_it_says(self) -> None:
        """Names, end, key and bytes are told."""
        own = loaded(self.mktemp(), AUTHORITY.issue("peer.example", xmpp_addresses=["peer.example"]))
        peer = self.judged(own)
        self.assertTrue(peer.trusted)
        self.assertEqual(peer.names, PresentedNames(("peer.example",), (), ("peer.example",)))
        self.assertEqual(peer.not_after, own.leaf.not_valid_after_utc)
        self.assertEqual(peer.spki_sha256, spki_sha256(own.leaf))
        self.assertEqual(peer.der, own.leaf.public_bytes(serialization.Encoding.DER))

    def test_server(self) -> None:
        """A server's certificate is judged by the same rules on the client's side."""
        pair = self.connect(None)
        peer = judge(pair.client, NOW)
        self.assertEqual(peer and peer.problems, ())

    def test_purposes(self) -> None:
        """One purpose of TLS is enough: public authorities issue certificates for servers alone."""
        for usages in [(SERVER,), (CLIENT,), (SERVER, CLIENT), (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,), ()]:
            self.assertEqual(self.problems(AUTHORITY.issue("peer.example", extended_key_usages=usages)), ())

    def test_intermediate_for_servers(self) -> None:
        """Nor does an intermediate need more purposes than its leaves have."""
        intermediate = Authority(NOW, "for servers", issuer=AUTHORITY, extended_key_usages=[SERVER])
        for usages in [(SERVER,), (SERVER, CLIENT), ()]:
            self.assertEqual(self.problems(intermediate.issue("peer.example", extended_key_usages=usages)), ())

    def test_end_of_the_chain(self) -> None:
        """The end is that of the certificate of the chain that ends first."""
        old = Authority(NOW - timedelta(days=5), "old", issuer=AUTHORITY)
        peer = self.judged(old.issue("peer.example", not_after=NOW + timedelta(days=8)))
        self.assertEqual((peer.not_after, peer.problems), (NOW + timedelta(days=5), ()))

    def test_as_soon_as_the_handshake_is_complete(self) -> None:
        """Both ends can judge when Twisted tells them that the handshake is complete (IHandshakeListener)."""
        own = loaded(self.mktemp(), AUTHORITY.issue("peer.example"))
        creator = ServerContexts({"server.example": self.server_path}, TRUST).creator()
        pair = connect(creator, client_connection_creator("server.example", own, TRUST), handshake=False)
        names: list[str] = []
        for end in (pair.server, pair.client):
            end.wrappedProtocol.handshakeCompleted = lambda end=end: names.append(str(judge(end, NOW).names))
        pair.flush()
        self.assertEqual(sorted(names), ["DNS peer.example", "DNS server.example"])

    def test_connection(self) -> None:
        """An OpenSSL connection can be judged as well as the transport around it."""
        pair = self.connect(AUTHORITY.issue("peer.example"))
        self.assertEqual(judge(pair.server.getHandle(), NOW), judge(pair.server, NOW))


class ProblemTests(JudgingTestCase):
    """What is wrong is said, and the handshake goes on."""

    def test_unknown_authority(self) -> None:
        """A certificate whose authority we do not know, with its chain or without."""
        stranger = Authority(NOW, "stranger")
        self.assertEqual(self.problems(stranger.issue("peer.example")), (UNKNOWN,))
        self.assertEqual(self.problems(stranger.issue("peer.example") + stranger.pem), (UNKNOWN,))
        self.assertEqual(self.problems(AUTHORITY.issue("peer.example"), NO_TRUST), (UNKNOWN,))

    def test_namesake(self) -> None:
        """An authority with the name of one we know, but another key, is unknown."""
        namesake = Authority(NOW)
        self.assertEqual(namesake.certificate.subject, AUTHORITY.certificate.subject)
        self.assertFalse(self.judged(namesake.issue("peer.example")).trusted)
        self.assertFalse(self.judged(namesake.issue("peer.example") + namesake.pem).trusted)

    def test_missing_intermediate(self) -> None:
        """A chain with a gap does not reach the authority we know."""
        own = loaded(self.mktemp(), Authority(NOW, "intermediate", issuer=AUTHORITY).issue("peer.example"))
        self.assertEqual(self.problems(LoadedCertificate(own.leaf, (), own.key)), (UNKNOWN,))

    def test_self_signed(self) -> None:
        """(h): nobody vouches for a self-signed certificate; its key is told, so that a pin may."""
        pem = self_signed("peer.example", NOW)
        peer = self.judged(pem)
        self.assertEqual(peer.problems, ("self-signed certificate",))
        self.assertEqual(peer.spki_sha256, spki_sha256(x509.load_pem_x509_certificates(pem)[0]))

    def test_self_signed_anchor(self) -> None:
        """But one that the operator lists among the authorities is trusted."""
        pem = self_signed("peer.example", NOW)
        self.assertEqual(self.problems(pem, TrustRoots(x509.load_pem_x509_certificates(pem), system=False)), ())

    def test_dates(self) -> None:
        """(f): dates count at the moment of judging, so a long stream is judged again."""
        pair = self.connect(AUTHORITY.issue("peer.example", not_before=NOW, not_after=NOW + timedelta(days=1)))
        for hours, expected in [
            (-1, ("certificate is not valid before 2026-06-01 12:00 UTC",)),
            (1, ()),
            (25, ("certificate has expired on 2026-06-02 12:00 UTC",)),
        ]:
            peer = judge(pair.server, NOW + timedelta(hours=hours))
            self.assertEqual(peer and peer.problems, expected)

    def test_expired_authority(self) -> None:
        """An authority that has expired vouches no longer."""
        old = Authority(NOW - timedelta(days=20), "old", issuer=AUTHORITY)
        expected = ("certificate has expired on 2026-05-22 12:00 UTC (authority 1 above the certificate)",)
        self.assertEqual(self.problems(old.issue("peer.example", not_after=NOW + timedelta(days=1))), expected)

    def test_wrong_purpose(self) -> None:
        """(g): a certificate with purposes, none of them TLS, is no certificate for TLS."""
        pem = AUTHORITY.issue("peer.example", extended_key_usages=[ExtendedKeyUsageOID.CODE_SIGNING])
        self.assertEqual(self.problems(pem), (NO_PURPOSE,))

    def test_wrong_purpose_above(self) -> None:
        """An authority for something else cannot vouch for TLS, nor one for clients for a server."""
        for above, below in [([ExtendedKeyUsageOID.CODE_SIGNING], [SERVER, CLIENT]), ([CLIENT], [SERVER])]:
            intermediate = Authority(NOW, "intermediate", issuer=AUTHORITY, extended_key_usages=above)
            self.assertEqual(self.problems(intermediate.issue("peer.example", extended_key_usages=below)), (NO_PURPOSE,))

    def test_purpose_hides_nothing(self) -> None:
        """That OpenSSL's word on the purpose is passed over hides none of its other words."""
        stranger = Authority(NOW)
        late = NOW + timedelta(days=30)
        peer = self.judged(stranger.issue("peer.example", extended_key_usages=[SERVER]), now=late)
        self.assertIn("certificate has expired on 2026-06-11 12:00 UTC", peer.problems)
        self.assertTrue({UNKNOWN, "cert signature failure"} & set(peer.problems), peer.problems)
        pem = Authority(NOW, "stranger").issue("peer.example", extended_key_usages=[SERVER])
        self.assertEqual(self.problems(pem), (UNKNOWN,))
        pem = Authority(NOW, "stranger").issue("peer.example", extended_key_usages=[ExtendedKeyUsageOID.CODE_SIGNING])
        self.assertEqual(self.problems(pem), (UNKNOWN, NO_PURPOSE))

    def test_leaf_as_authority(self) -> None:
        """A certificate that is no authority's vouches for nothing, whatever its purposes."""
        for usages in [(SERVER,), (SERVER, CLIENT), ()]:
            issuer = loaded(self.mktemp(), AUTHORITY.issue("peer.example", extended_key_usages=usages))
            own = forged(issuer, usages)
            self.assertFalse(self.judged(own).trusted)
            self.assertIn("invalid ca (authority 1 above the certificate)", self.problems(own))

    def test_key_usage(self) -> None:
        """A key that may only sign certificates is not for TLS, also where the purpose is passed over."""
        for usages in [(SERVER,), (SERVER, CLIENT)]:
            peer = self.judged(signed_leaf(usages, x509.KeyUsage(*[i == 5 for i in range(9)])))
            self.assertIn("certificate's key is not for TLS (key usage)", peer.problems)

    def test_purpose_for_another_reason(self) -> None:
        """Where a certificate states both purposes, OpenSSL's word on them stands."""
        peer = self.judged(signed_leaf((SERVER, CLIENT), x509.KeyUsage(*[i == 5 for i in range(9)])))
        self.assertIn("invalid purpose", peer.problems)

    def test_no_key_usage(self) -> None:
        """A certificate without key usages may be used for everything (RFC 5280, 4.2.1.3)."""
        self.assertEqual(self.problems(signed_leaf((SERVER,), None)), ())

    def test_unreadable_extensions(self) -> None:
        """(e): a certificate whose names are not even ASCII is not trusted, and has no names; its key still counts."""
        peer = self.judged(AUTHORITY.issue("peer.example", san=b"\x30\x03\x82\x01\xe9"))
        self.assertFalse(peer.trusted)
        self.assertEqual(peer.names, PresentedNames())
        self.assertEqual(len(peer.spki_sha256), 32)

    def test_unverified(self) -> None:
        """A certificate that came by a connection of somebody else's making is not trusted."""
        own = loaded(self.mktemp(), AUTHORITY.issue("peer.example"))
        server = Raw(
            lambda context: context.use_certificate(own.leaf),
            lambda context: context.use_privatekey(own.key),
            lambda context: context.set_verify(SSL.VERIFY_PEER, lambda *_: True),
        )
        pair = connect(server, client_connection_creator("server.example", own, TRUST))
        peer = judge(pair.server, NOW)
        self.assertEqual(peer and peer.problems, ("certificate was not verified in this handshake",))


class NothingToJudgeTests(JudgingTestCase):
    """Where nobody proved anything there is no judgment."""

    def test_no_certificate(self) -> None:
        """A client that presents none."""
        self.assertIsNone(judge(self.connect(None).server, NOW))

    def test_no_tls(self) -> None:
        """A transport without TLS, whatever its handle is."""
        self.assertIsNone(judge(StringTransport(), NOW))
        self.assertIsNone(judge(None, NOW))

    def test_during_the_handshake(self) -> None:
        """A certificate that was shown proves nothing until the peer has signed with its key."""
        own = loaded(self.mktemp(), AUTHORITY.issue("peer.example"))
        creator = ServerContexts({"server.example": self.server_path}, TRUST).creator()
        pair = connect(creator, client_connection_creator("server.example", own, TRUST), handshake=False)
        self.assertIsNone(judge(pair.client, NOW))
        while not pair.client.getPeerCertificate():
            pair.pump.pump()
        self.assertIsNone(judge(pair.server, NOW))
        pair.flush()
        self.assertIsNotNone(judge(pair.server, NOW))

    def test_after_the_end(self) -> None:
        """A transport whose connection is gone."""
        pair = self.connect(AUTHORITY.issue("peer.example"))
        pair.client.abortConnection()
        pair.flush()
        self.assertIsNone(judge(pair.server, NOW))
        self.assertIsNone(own_leaf(pair.server))


class UnreadableCertificateTests(JudgingTestCase):
    """OpenSSL and cryptography do not agree on what is a certificate."""

    def test_unreadable(self) -> None:
        """A certificate that only OpenSSL can read is as good as none."""
        pair = self.connect(AUTHORITY.issue("peer.example"))
        connection = pair.server.getHandle()

        def unreadable(*, as_cryptography: bool) -> None:
            raise ValueError("no certificate")

        self.patch(connection, "get_peer_certificate", unreadable)
        self.assertIsNone(judge(pair.server, NOW))


class VerdictTests(SynchronousTestCase):
    """One verdict of OpenSSL in words."""

    def test_words(self) -> None:
        """Known errors have words, errors of later versions their number; dates are judged by the time that is given."""
        certificate = x509.load_pem_x509_certificates(AUTHORITY.issue("peer.example"))[0]
        codes = SSL.X509VerificationCodes
        late = NOW + timedelta(days=30)
        for error, depth, now, expected in [
            (codes.OK, 0, NOW, None),
            (codes.ERR_CERT_HAS_EXPIRED, 0, NOW, None),
            (codes.ERR_CERT_NOT_YET_VALID, 1, NOW, None),
            (codes.OK, 0, late, validity_problem(certificate, late)),
            (codes.ERR_CERT_REVOKED, 0, NOW, "cert revoked"),
            (codes.ERR_CERT_REVOKED, 2, NOW, "cert revoked (authority 2 above the certificate)"),
            (9999, 0, NOW, "OpenSSL error 9999"),
        ]:
            self.assertEqual(verdict_problem(certificate, error, depth, now), expected)


class ChannelBindingTests(JudgingTestCase):
    """What binds a login to this TLS."""

    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates(Path(self.server_path).read_bytes())[0]

    def test_both_sides_agree(self) -> None:
        """Both ends of TLS 1.3 have the same two bindings, and another connection has another."""
        pair, other = self.connect(None), self.connect(None)
        ours = channel_bindings(pair.server, own_leaf(pair.server))
        self.assertEqual(ours, channel_bindings(pair.client, self.leaf()))
        self.assertEqual(set(ours), {"tls-exporter", "tls-server-end-point"})
        self.assertEqual(len(ours["tls-exporter"]), 32)
        self.assertEqual(ours["tls-server-end-point"], endpoint_binding(self.leaf()))
        self.assertNotEqual(ours["tls-exporter"], channel_bindings(other.server, None)["tls-exporter"])

    def test_exporter_label(self) -> None:
        """The exporter is that of RFC 9266, 2."""
        pair = self.connect(None)
        expected = pair.client.getHandle().export_keying_material(b"EXPORTER-Channel-Binding", 32)
        self.assertEqual(channel_bindings(pair.server, None), {"tls-exporter": expected})

    def test_older_tls(self) -> None:
        """TLS 1.2 has the certificate's binding alone."""
        creator = ServerContexts({"server.example": self.server_path}, TRUST).creator()
        pair = connect(creator, Raw(lambda context: context.set_max_proto_version(SSL.TLS1_2_VERSION)))
        self.assertTrue(pair.shaken)
        self.assertEqual(set(channel_bindings(pair.server, own_leaf(pair.server))), {"tls-server-end-point"})

    def test_behind_a_proxy(self) -> None:
        """Where TLS ends before us there is only the certificate that is configured."""
        transport = StringTransport()
        self.assertIsNone(own_leaf(transport))
        self.assertEqual(channel_bindings(transport, None), {})
        self.assertEqual(channel_bindings(transport, self.leaf()), {"tls-server-end-point": endpoint_binding(self.leaf())})

    def test_before_the_handshake(self) -> None:
        """There is nothing to export before the handshake."""
        creator = ServerContexts({"server.example": self.server_path}, TRUST).creator()
        pair = connect(creator, client_connection_creator("server.example", None, TRUST), handshake=False)
        self.assertEqual(channel_bindings(pair.server, None), {})
        self.assertEqual(channel_bindings(pair.client, None), {})

    def test_undefined(self) -> None:
        """A certificate signed with Ed25519 has no binding of its own."""
        key = ed25519.Ed25519PrivateKey.generate()
        name = x509.Name([])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        certificate = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW).sign(key, None)
        self.assertEqual(channel_bindings(StringTransport(), certificate), {})


def forged(issuer: LoadedCertificate, usages: Sequence[x509.ObjectIdentifier]) -> LoadedCertificate:
    """A certificate issued by somebody whose own certificate is no authority's."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(issuer.leaf.subject).serial_number(1)
    builder = builder.public_key(key.public_key()).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("victim.example")]), critical=True)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    assert isinstance(issuer.key, ec.EllipticCurvePrivateKey)
    return LoadedCertificate(builder.sign(issuer.key, hashes.SHA256()), (issuer.leaf,), key)


def signed_leaf(usages: Sequence[x509.ObjectIdentifier], key_usage: x509.KeyUsage | None) -> LoadedCertificate:
    """A leaf with key usages of its own, signed by the authority we know."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).serial_number(1).public_key(key.public_key())
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("peer.example")]), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    return LoadedCertificate(AUTHORITY._sign(builder), (), key)


class PresentedTests(SynchronousTestCase):
    """A certificate that a proxy has seen (RFC 9440) is judged like one of our own handshakes."""

    def judged(self, pem: bytes, trust: TrustRoots = TRUST, now: datetime = NOW) -> PeerCertificate:
        own = loaded(self.mktemp(), pem)
        self.own = own
        return judge_presented(own.leaf, own.chain, trust.store(), now)

    def test_trusted(self) -> None:
        """A good one says all that one of a handshake would say."""
        peer = self.judged(AUTHORITY.issue("peer.example", xmpp_addresses=["peer.example"]))
        self.assertEqual(peer.problems, ())
        self.assertEqual(peer.names, PresentedNames(("peer.example",), (), ("peer.example",)))
        self.assertEqual((peer.not_after, peer.spki_sha256), (self.own.leaf.not_valid_after_utc, spki_sha256(self.own.leaf)))
        self.assertEqual(peer.der, self.own.leaf.public_bytes(serialization.Encoding.DER))

    def test_chain(self) -> None:
        """Intermediates count that were shown with it."""
        intermediate = Authority(NOW, "intermediate", issuer=AUTHORITY)
        own = loaded(self.mktemp(), intermediate.issue("peer.example"))
        self.assertEqual(judge_presented(own.leaf, own.chain, TRUST.store(), NOW).problems, ())
        self.assertEqual(judge_presented(own.leaf, (), TRUST.store(), NOW).problems, (UNKNOWN,))

    def test_purposes(self) -> None:
        """A certificate for TLS servers alone counts, one for neither side does not."""
        self.assertEqual(self.judged(AUTHORITY.issue("peer.example", extended_key_usages=[SERVER])).problems, ())
        usages = [ExtendedKeyUsageOID.CODE_SIGNING]
        self.assertEqual(self.judged(AUTHORITY.issue("peer.example", extended_key_usages=usages)).problems, (NO_PURPOSE,))

    def test_refused(self) -> None:
        """Unknown authorities, self-signed ones, and dates that are over or not come."""
        good = AUTHORITY.issue("peer.example")
        self.assertEqual(self.judged(good, NO_TRUST).problems, (UNKNOWN,))
        self.assertEqual(self.judged(self_signed("peer.example", NOW)).problems, ("self-signed certificate",))
        for moment in (NOW + timedelta(days=30), NOW - timedelta(days=30)):
            self.assertEqual(self.judged(good, now=moment).problems[0], validity_problem(self.own.leaf, moment))

    def test_another_time(self) -> None:
        """Each is judged at its own time, with the same authorities."""
        good = AUTHORITY.issue("peer.example")
        self.assertTrue(self.judged(good, now=NOW + timedelta(days=30)).problems)
        self.assertEqual(self.judged(good).problems, ())
