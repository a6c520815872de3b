"""TLS contexts and endpoints: what is agreed, what is refused, and which certificate is shown."""

from __future__ import annotations

import gc
import os
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.net.tls_pairs import AUTHORITY, NO_TRUST, NOW, TRUST, Pair, Raw, Recorder, connect, loaded
from xmppfed.errors import ConfigError
from xmppfed.net.certificates import presented_names
from xmppfed.net.issuing import Authority, self_signed
from xmppfed.net.tls import (
    CertificateRefused,
    ServerContexts,
    TrustRoots,
    client_connection_creator,
    judge,
    own_leaf,
    strict_connection_creator,
    tls_endpoint,
)


class ContextsTestCase(SynchronousTestCase):
    """A server for two domains, and one certificate with other names."""

    def setUp(self) -> None:
        self.files = {"one.example": Path(self.mktemp()), "two.example": Path(self.mktemp())}
        self.files["one.example"].write_bytes(AUTHORITY.issue("one.example"))
        names = ["two.example", "xmpp.two.example", "*.chat.two.example"]
        self.files["two.example"].write_bytes(AUTHORITY.issue("two.example", dns=names))
        self.contexts = ServerContexts(self.files, TRUST)

    def shown(self, pair: Pair) -> tuple[str, ...]:
        leaf = pair.client.getPeerCertificate()
        self.assertTrue(pair.shaken)
        return presented_names(leaf.to_cryptography()).dns_names

    def connect(self, sni: str = "one.example") -> Pair:
        return connect(self.contexts.creator(), client_connection_creator(sni, None, TRUST))


class ServerNameTests(ContextsTestCase):
    """SNI picks the certificate (RFC 6066, 3)."""

    def test_each_domain(self) -> None:
        """Each domain is shown its own certificate, and the server's end knows which."""
        self.assertEqual(self.shown(self.connect("one.example")), ("one.example",))
        pair = self.connect("two.example")
        self.assertEqual(self.shown(pair)[0], "two.example")
        leaf = own_leaf(pair.server)
        assert leaf is not None
        self.assertEqual(presented_names(leaf).dns_names[0], "two.example")

    def test_names_in_certificates(self) -> None:
        """A host name that is no domain of ours, but stands in a certificate, gets that one; a wildcard covers one label."""
        self.assertEqual(self.shown(self.connect("xmpp.two.example"))[0], "two.example")
        self.assertEqual(self.shown(self.connect("a.chat.two.example"))[0], "two.example")
        self.assertEqual(self.shown(self.connect("a.b.chat.two.example"))[0], "one.example")

    def test_case(self) -> None:
        """Names are compared without case."""
        raw = Raw(connection=lambda connection: connection.set_tlsext_host_name(b"TWO.Example"))
        self.assertEqual(self.shown(connect(self.contexts.creator(), raw))[0], "two.example")

    def test_internationalized(self) -> None:
        """A domain with U-labels is found by its A-labels."""
        path = Path(self.mktemp())
        path.write_bytes(AUTHORITY.issue("café.example"))
        self.contexts = ServerContexts({**self.files, "café.example": path}, TRUST)
        self.assertEqual(self.shown(self.connect("café.example")), ("xn--caf-dma.example",))

    def test_unknown_name(self) -> None:
        """Any other name gets the first certificate: some peers name the host of a link, some the domain."""
        for sni in ["three.example", "example", "192.0.2.1"]:
            self.assertEqual(self.shown(self.connect(sni)), ("one.example",))
        raw = Raw(connection=lambda connection: connection.set_tlsext_host_name(b"\xff\xfe"))
        self.assertEqual(self.shown(connect(self.contexts.creator(), raw)), ("one.example",))

    def test_no_name(self) -> None:
        """So does a client that names nothing."""
        self.assertEqual(self.shown(connect(self.contexts.creator(), Raw())), ("one.example",))

    def test_stream_named_a_domain(self) -> None:
        """Where a stream came before TLS, a client that names nothing is shown the certificate of the stream's domain, in any
        spelling; what it does name counts more."""
        creator = self.contexts.creator(domain="TWO.example")
        self.assertEqual(self.shown(connect(creator, Raw()))[0], "two.example")
        self.assertEqual(self.shown(connect(creator, client_connection_creator("one.example", None, TRUST))), ("one.example",))
        self.assertEqual(self.shown(connect(creator, client_connection_creator("three.example", None, TRUST)))[0], "two.example")
        unknown = self.contexts.creator(domain="three.example")
        self.assertEqual(self.shown(connect(unknown, Raw())), ("one.example",))

    def test_own_certificate_of_a_domain(self) -> None:
        """The certificate to present as a client is found by domain, in any spelling."""
        own = self.contexts.certificate("TWO.example")
        assert own is not None
        self.assertEqual(presented_names(own.leaf).dns_names[0], "two.example")
        self.assertIsNone(self.contexts.certificate("xmpp.two.example"))
        self.assertIsNone(self.contexts.certificate("192.0.2.1"))


class ReloadTests(ContextsTestCase):
    """Certificates are replaced under running streams."""

    def test_new_certificate(self) -> None:
        """New connections see the new certificate while an old one lives on."""
        old = self.connect()
        self.files["one.example"].write_bytes(AUTHORITY.issue("one.example", dns=["one.example", "new.example"]))
        self.contexts.reload(self.files, TRUST)
        gc.collect()
        self.assertEqual(self.shown(self.connect()), ("one.example", "new.example"))
        self.assertEqual(old.exchange(b"still here"), b"still here" * 2)

    def test_during_a_handshake(self) -> None:
        """A handshake that began before the reload ends well after it: the client's certificate is still verified."""
        own = loaded(self.mktemp(), AUTHORITY.issue("peer.example"))
        pair = connect(self.contexts.creator(), client_connection_creator("two.example", own, TRUST), handshake=False)
        pair.pump.pump()
        self.assertFalse(pair.server_side.shaken)
        self.contexts.reload(self.files, TRUST)
        gc.collect()
        pair.flush()
        self.assertEqual(self.shown(pair)[0], "two.example")
        peer = judge(pair.server, NOW)
        self.assertEqual(peer and peer.problems, ())

    def test_listener_stays(self) -> None:
        """A creator made before the reload, which a listening port holds, shows the new certificate."""
        creator = self.contexts.creator()
        self.files["one.example"].write_bytes(AUTHORITY.issue("one.example", dns=["new.example"]))
        self.contexts.reload(self.files, TRUST)
        pair = connect(creator, client_connection_creator("one.example", None, TRUST))
        self.assertEqual(self.shown(pair), ("new.example",))

    def test_broken_file(self) -> None:
        """A reload that fails names the file and leaves everything as it was."""
        self.files["two.example"].write_bytes(b"broken")
        error = self.assertRaises(ConfigError, self.contexts.reload, self.files, TRUST)
        self.assertIn(str(self.files["two.example"]), str(error))
        self.assertEqual(self.shown(self.connect("two.example"))[0], "two.example")

    def test_new_trust(self) -> None:
        """Authorities that are trusted since the reload count for connections since then."""
        own = loaded(self.mktemp(), AUTHORITY.issue("peer.example"))
        client = client_connection_creator("one.example", own, TRUST)
        self.contexts.reload(self.files, NO_TRUST)
        before = connect(self.contexts.creator(), client)
        self.contexts.reload(self.files, TRUST)
        peers = [judge(pair.server, NOW) for pair in (before, connect(self.contexts.creator(), client))]
        self.assertEqual([peer is not None and peer.trusted for peer in peers], [False, True])

    def test_nothing_configured(self) -> None:
        """A server without any certificate cannot speak TLS, and says so."""
        self.assertIn("wanted", str(self.assertRaises(ConfigError, ServerContexts, {}, TRUST)))

    def test_weak_key(self) -> None:
        """A key that OpenSSL thinks too weak stops the start, not the first handshake."""
        key = rsa.generate_private_key(65537, 1024)
        name = x509.Name([])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("weak.example")]), critical=False)
        pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.files["one.example"].write_bytes(pem)
        error = str(self.assertRaises(ConfigError, ServerContexts, self.files, TRUST))
        self.assertIn("weak.example", error)
        self.assertIn("2048", error)


class ServerRefusalTests(ContextsTestCase):
    """What a server does not do."""

    def test_interface(self) -> None:
        """Twisted sees a server's connection creator."""
        verifyObject(IOpenSSLServerConnectionCreator, self.contexts.creator())

    def test_old_versions(self) -> None:
        """TLS 1.1 is refused, 1.2 and 1.3 are spoken."""
        for version, accepted in [
            (SSL.TLS1_1_VERSION, False),
            (SSL.TLS1_2_VERSION, True),
            (SSL.TLS1_3_VERSION, True),
        ]:
            pair = connect(
                self.contexts.creator(),
                Raw(
                    lambda context: context.set_cipher_list(b"DEFAULT:@SECLEVEL=0"),
                    lambda context, version=version: context.set_min_proto_version(SSL.TLS1_VERSION),
                    lambda context, version=version: context.set_max_proto_version(version),
                ),
            )
            self.assertEqual(pair.shaken, accepted)
            if not accepted:
                self.assertIn("unsupported protocol", str(pair.server_side.reason).lower())

    def test_old_ciphers(self) -> None:
        """A client of TLS 1.2 without authenticated encryption and forward secrecy finds nothing in common."""
        for ciphers in [b"ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", b"AES128-GCM-SHA256:@SECLEVEL=0"]:
            raw = Raw(
                lambda context, ciphers=ciphers: context.set_cipher_list(ciphers),
                lambda context: context.set_max_proto_version(SSL.TLS1_2_VERSION),
            )
            self.assertFalse(connect(self.contexts.creator(), raw).shaken)

    def test_renegotiation(self) -> None:
        """A client that asks for a new handshake within TLS 1.2 does not get one."""
        raw = Raw(lambda context: context.set_max_proto_version(SSL.TLS1_2_VERSION))
        pair = connect(self.contexts.creator(), raw)
        connection, asked = pair.client.getHandle(), pair.server.getHandle()
        connection.renegotiate()
        self.assertRaises(SSL.WantReadError, connection.do_handshake)
        pair.client._flushSendBIO()
        pair.flush()
        self.assertEqual(asked.total_renegotiations(), 0)
        self.assertIn("no renegotiation", str(pair.client_side.reason))

    def test_resumption(self) -> None:
        """No session is resumed: the verify callback sees every certificate anew."""
        own = loaded(self.mktemp(), AUTHORITY.issue("peer.example"))
        for version in [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]:
            client = Raw(
                lambda context, version=version: context.set_max_proto_version(version),
                lambda context: context.use_certificate(own.leaf),
                lambda context: context.use_privatekey(own.key),
            )
            first = connect(self.contexts.creator(), client)
            first.exchange(b"so that tickets arrive")
            session = first.client.getHandle().get_session()
            client.configure = lambda connection, session=session: connection.set_session(session)
            peer = judge(connect(self.contexts.creator(), client).server, NOW)
            assert peer is not None
            self.assertEqual(peer.problems, ())

    def test_no_authorities_named(self) -> None:
        """The request for a certificate names no authority: any may be presented (RFC 8446, 4.2.4)."""
        raw = Raw(lambda context: context.set_max_proto_version(SSL.TLS1_2_VERSION))
        pair = connect(self.contexts.creator(), raw)
        self.assertEqual(pair.client.getHandle().get_client_ca_list(), [])

    def test_no_certificate_requested(self) -> None:
        """A listener that does not want certificates gets none, and hears the others all the same."""
        own = loaded(self.mktemp(), AUTHORITY.issue("peer.example"))
        creator = self.contexts.creator(client_certificates=False)
        pair = connect(creator, client_connection_creator("two.example", own, TRUST))
        self.assertEqual(self.shown(pair)[0], "two.example")
        self.assertIsNone(pair.server.getPeerCertificate())

    def test_browsers(self) -> None:
        """Who offers http/1.1 is not asked: Chromium ends a WebSocket when it is. TLS 1.2 and 1.3 alike."""
        own = loaded(self.mktemp(), AUTHORITY.issue("peer.example"))
        for version in [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]:
            for offered, asked in [([b"http/1.1"], False), ([b"h2", b"http/1.1"], False), ([b"xmpp-server"], True)]:
                client = Raw(
                    lambda context, version=version: context.set_max_proto_version(version),
                    lambda context: context.use_certificate(own.leaf),
                    lambda context: context.use_privatekey(own.key),
                    lambda context, offered=offered: context.set_alpn_protos(offered),
                )
                pair = connect(self.contexts.creator(), client)
                self.assertTrue(pair.shaken)
                self.assertEqual(judge(pair.server, NOW) is not None, asked)


class ProtocolNegotiationTests(ContextsTestCase):
    """ALPN (RFC 7301) agrees on http/1.1 where it is offered, and ends no connection unless it is asked to."""

    def agreed(self, offered: list[bytes], **options: Any) -> bytes | None:
        client = Raw(lambda context: context.set_alpn_protos(offered)) if offered else Raw()
        pair = connect(self.contexts.creator(**options), client)
        self.assertTrue(pair.shaken)
        self.assertEqual(pair.client.negotiatedProtocol, pair.server.negotiatedProtocol)
        return pair.client.negotiatedProtocol

    def test_http(self) -> None:
        """http/1.1 is chosen, among others too."""
        self.assertEqual(self.agreed([b"http/1.1"]), b"http/1.1")
        self.assertEqual(self.agreed([b"h2", b"xmpp-client", b"http/1.1"]), b"http/1.1")

    def test_nothing_in_common(self) -> None:
        """A client that offers xmpp-server alone is served without an agreement, and decides for itself."""
        self.assertIsNone(self.agreed([b"xmpp-server"]))

    def test_nothing_offered(self) -> None:
        """A client without ALPN is served."""
        self.assertIsNone(self.agreed([]))

    def test_other_listeners(self) -> None:
        """A listener for Direct TLS says so (XEP-0368), in its own order, on every domain's context."""
        self.assertEqual(self.agreed([b"xmpp-server"], protocols=(b"xmpp-server",)), b"xmpp-server")
        self.assertEqual(self.agreed([b"a", b"b"], protocols=(b"b", b"a")), b"b")

    def test_strict(self) -> None:
        """A strict listener refuses a client that means something else, with the alert of RFC 7301, 3.2, and no other."""
        options: dict[str, Any] = {"protocols": (b"xmpp-client",), "strict_alpn": True}
        self.assertEqual(self.agreed([b"h2", b"xmpp-client"], **options), b"xmpp-client")
        self.assertIsNone(self.agreed([], **options))
        for offered in ([b"xmpp-server"], [b"h2", b"http/1.1"]):
            pair = connect(self.contexts.creator(**options), Raw(lambda context, names=offered: context.set_alpn_protos(names)))
            self.assertFalse(pair.shaken)
            self.assertIn("no application protocol", str(pair.client_side.reason))
            self.assertIn("no application protocol", str(pair.server_side.reason))
        self.assertTrue(connect(self.contexts.creator(**options), Raw()).shaken)


class ClientTests(ContextsTestCase):
    """What an outgoing connection says of itself."""

    def test_interface(self) -> None:
        """Twisted sees a client's connection creator."""
        verifyObject(IOpenSSLClientConnectionCreator, client_connection_creator("one.example", None, TRUST))

    def server_name(self, sni: str) -> bytes | None:
        return self.connect(sni).server.getHandle().get_servername()

    def test_server_name(self) -> None:
        """SNI holds A-labels in lower case, and no IP address (RFC 6066, 3)."""
        self.assertEqual(self.server_name("Café.example"), b"xn--caf-dma.example")
        for address in ["192.0.2.1", "[2001:db8::1]", "2001:db8::1"]:
            self.assertIsNone(self.server_name(address))

    def test_whole_chain(self) -> None:
        """The whole chain is presented: the peer need not know our intermediate."""
        pem = Authority(NOW, "intermediate", issuer=AUTHORITY).issue("peer.example")
        own = loaded(self.mktemp(), pem)
        pair = connect(self.contexts.creator(), client_connection_creator("one.example", own, TRUST))
        # OpenSSL leaves the leaf out of a client's chain.
        above = [certificate.to_cryptography() for certificate in pair.server.getHandle().get_peer_cert_chain()]
        self.assertEqual([pair.server.getPeerCertificate().to_cryptography(), *above], [own.leaf, *own.chain])
        peer = judge(pair.server, NOW)
        self.assertTrue(peer is not None and peer.trusted)

    def test_without_certificate(self) -> None:
        """Without a certificate of its own a client is served, and judged to have none."""
        pair = self.connect()
        self.assertTrue(pair.shaken)
        self.assertIsNone(judge(pair.server, NOW))

    def test_protocols_offered(self) -> None:
        """ALPN says what the connection is for (XEP-0368)."""
        pair = connect(
            self.contexts.creator(protocols=(b"xmpp-server",)),
            client_connection_creator("one.example", None, TRUST, (b"xmpp-server",)),
        )
        self.assertEqual(pair.client.negotiatedProtocol, b"xmpp-server")

    def test_no_protocols_offered(self) -> None:
        """No ALPN: a peer that speaks XMPP alone would end a connection that offers http/1.1."""
        offers: list[list[bytes]] = []
        own = loaded(self.mktemp(), AUTHORITY.issue("one.example"))
        server = Raw(
            lambda context: context.use_certificate(own.leaf),
            lambda context: context.use_privatekey(own.key),
            lambda context: context.set_alpn_select_callback(lambda _, offered: offers.append(offered) or b""),
        )
        self.assertTrue(connect(server, client_connection_creator("one.example", None, TRUST)).shaken)
        self.assertEqual(offers, [])

    def test_old_versions(self) -> None:
        """A server of TLS 1.1 is not spoken to."""
        own = loaded(self.mktemp(), AUTHORITY.issue("one.example"))
        server = Raw(
            lambda context: context.set_cipher_list(b"DEFAULT:@SECLEVEL=0"),
            lambda context: context.use_certificate(own.leaf),
            lambda context: context.use_privatekey(own.key),
            lambda context: context.set_max_proto_version(SSL.TLS1_1_VERSION),
        )
        pair = connect(server, client_connection_creator("one.example", None, TRUST))
        self.assertFalse(pair.shaken)

    def test_unknown_authority(self) -> None:
        """A certificate of an unknown authority does not end the handshake, on either side."""
        own = loaded(self.mktemp(), self_signed("peer.example", NOW))
        self.contexts.reload(self.files, NO_TRUST)
        pair = connect(self.contexts.creator(), client_connection_creator("one.example", own, NO_TRUST))
        self.assertTrue(pair.shaken)
        self.assertEqual(pair.exchange(b"x"), b"xx")


class StrictClientTests(ContextsTestCase):
    """HTTPS documents come only from the host we meant."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.clock.advance(NOW.timestamp())

    def get(self, host: str, pem: bytes | None = None, trust: TrustRoots = TRUST) -> Pair:
        if pem is not None:
            self.files["one.example"].write_bytes(pem)
            self.contexts.reload(self.files, TRUST)
        return connect(self.contexts.creator(), strict_connection_creator(host, trust, self.clock))

    def assert_refused(self, pair: Pair, *words: str) -> None:
        self.assertFalse(pair.shaken)
        reason = pair.client_side.reason
        self.assertIsInstance(reason, CertificateRefused)
        for word in (*words, "wanted"):
            self.assertIn(word, str(reason))
        self.assertEqual(pair.server_side.received + pair.client_side.received, b"")

    def test_interface(self) -> None:
        """Twisted sees a client's connection creator."""
        verifyObject(IOpenSSLClientConnectionCreator, strict_connection_creator("one.example", TRUST, self.clock))

    def test_good(self) -> None:
        """The right name from a known authority, also through an intermediate, is accepted."""
        for host in ["one.example", "TWO.example", "a.chat.two.example"]:
            self.assertEqual(self.get(host).exchange(b"x"), b"xx")
        pem = Authority(NOW, "intermediate", issuer=AUTHORITY).issue("one.example")
        self.assertTrue(self.get("one.example", pem).shaken)

    def test_wrong_host(self) -> None:
        """Another name is refused, and the reason names both."""
        self.assert_refused(self.get("other.example"), "other.example", "DNS one.example")

    def test_common_name(self) -> None:
        """A common name proves no host."""
        pem = AUTHORITY.issue("one.example", dns=(), xmpp_addresses=["one.example"], srv=["_xmpp-server.one.example"])
        self.assert_refused(self.get("one.example", pem), "xmppAddr one.example")

    def test_address(self) -> None:
        """An IP address is never proved."""
        self.assert_refused(self.get("192.0.2.1"), "192.0.2.1")

    def test_unknown_authority(self) -> None:
        """Another authority's certificate is refused."""
        self.assert_refused(self.get("one.example", Authority(NOW).issue("one.example")), "unknown authority")
        self.assert_refused(self.get("one.example", AUTHORITY.issue("one.example"), NO_TRUST), "unknown authority")

    def test_self_signed(self) -> None:
        """So is one that nobody vouches for."""
        self.assert_refused(self.get("one.example", self_signed("one.example", NOW)), "self-signed")

    def test_dates(self) -> None:
        """Dates are compared with the clock that is given."""
        self.clock.advance(timedelta(days=11).total_seconds())
        self.assert_refused(self.get("one.example"), "expired")
        later = NOW + timedelta(days=30)
        begins = AUTHORITY.issue("one.example", not_before=later, not_after=later + timedelta(days=1))
        self.clock.rightNow = NOW.timestamp()
        self.assert_refused(self.get("one.example", begins), "not valid before 2026-07-01")

    def test_expired_authority(self) -> None:
        """An intermediate that has expired is told from a leaf that has."""
        intermediate = Authority(NOW - timedelta(days=20), "old", issuer=AUTHORITY)
        pem = intermediate.issue("one.example", not_after=NOW + timedelta(days=1))
        self.assert_refused(self.get("one.example", pem), "expired", "authority 1 above")

    def test_purpose(self) -> None:
        """A certificate for clients alone is no server's."""
        pem = AUTHORITY.issue("one.example", extended_key_usages=[x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH])
        self.assert_refused(self.get("one.example", pem), "invalid purpose")


class TrustRootsTests(SynchronousTestCase):
    """Whom we believe."""

    def trusted(self, trust: TrustRoots, authority: Authority) -> bool:
        path = self.mktemp()
        Path(path).write_bytes(authority.issue("one.example"))
        contexts = ServerContexts({"one.example": path}, NO_TRUST)
        peer = judge(connect(contexts.creator(), client_connection_creator("one.example", None, trust)).client, NOW)
        assert peer is not None
        return peer.trusted

    def test_files(self) -> None:
        """Every certificate in every file of `trust_anchors` is believed, and no other."""
        authorities = [Authority(NOW, f"authority {number}") for number in range(3)]
        paths = [Path(self.mktemp()), Path(self.mktemp())]
        paths[0].write_bytes(authorities[0].pem + authorities[1].pem)
        paths[1].write_bytes(authorities[2].pem)
        trust = TrustRoots.load(paths)
        self.assertEqual([self.trusted(trust, a) for a in [*authorities, AUTHORITY]], [True, True, True, False])

    def test_bad_file(self) -> None:
        """A file that cannot be used stops the start, and is named."""
        path = self.mktemp()
        self.assertIn(path, str(self.assertRaises(ConfigError, TrustRoots.load, [path])))

    def test_system(self) -> None:
        """The system's authorities are believed unless that is switched off."""
        path = self.mktemp()
        Path(path).write_bytes(AUTHORITY.pem)
        self.enterContext(mock.patch.dict(os.environ, SSL_CERT_FILE=str(Path(path).resolve())))
        self.assertTrue(self.trusted(TrustRoots(), AUTHORITY))
        self.assertFalse(self.trusted(TrustRoots(system=False), AUTHORITY))

    def test_contexts_are_kept(self) -> None:
        """One context serves all connections with the same certificate, and goes when the certificate does."""
        trust = TrustRoots(system=False)
        own, other = (loaded(self.mktemp(), AUTHORITY.issue("one.example")) for _ in range(2))
        self.assertIs(trust.client_context(own), trust.client_context(own))
        self.assertIsNot(trust.client_context(own), trust.client_context(other))
        self.assertIs(trust.client_context(None), trust.client_context(None))
        self.assertIsNot(trust.client_context(own), trust.client_context(None))
        del other
        gc.collect()
        self.assertEqual(list(trust._with_certificate), [own])


class MemoryTests(SynchronousTestCase):
    """An idle connection holds as little as OpenSSL lets it."""

    def test_buffers_are_released(self) -> None:
        """Read and write buffers do not outlive the record they were for."""
        mode = TrustRoots(system=False).client_context(None).set_mode(0)
        self.assertTrue(mode & SSL.MODE_RELEASE_BUFFERS)


class EndpointTests(ContextsTestCase):
    """An endpoint with TLS on top of another."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = MemoryReactorClock()
        inner = TCP4ClientEndpoint(self.reactor, "192.0.2.1", 443)
        self.endpoint = tls_endpoint(self.reactor, inner, client_connection_creator("one.example", None, TRUST))

    def test_interface(self) -> None:
        """It is an endpoint like any other."""
        verifyObject(IStreamClientEndpoint, self.endpoint)

    def test_protocol(self) -> None:
        """Who connects gets the protocol of the factory, with TLS as its transport, and the ClientHello is on its way."""
        connecting = self.endpoint.connect(Factory.forProtocol(Recorder))
        (_, _, factory, _, _) = self.reactor.tcpClients[0]
        below, wire = factory.buildProtocol(None), StringTransport()
        below.makeConnection(wire)
        protocol = self.successResultOf(connecting)
        self.assertIsInstance(protocol, Recorder)
        self.assertEqual(wire.value()[:2], b"\x16\x03")
        self.assertIsInstance(protocol.transport.getHandle(), SSL.Connection)

    def test_clock(self) -> None:
        """What TLS puts off, it puts off on the reactor that was given."""
        connecting = self.endpoint.connect(Factory.forProtocol(Recorder))
        (_, _, factory, _, _) = self.reactor.tcpClients[0]
        factory.buildProtocol(None).makeConnection(StringTransport())
        self.successResultOf(connecting).transport.write(b"x")
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)

    def test_failure(self) -> None:
        """A connection that fails, fails for who asked."""
        connecting = self.endpoint.connect(Factory.forProtocol(Recorder))
        (_, _, factory, _, _) = self.reactor.tcpClients[0]
        cast(Any, factory).clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        self.failureResultOf(connecting, ConnectionRefusedError)
