"""TLS: contexts and endpoints for servers and clients.

Only `strict_connection_creator` refuses certificates during the handshake; elsewhere `judge` reports on them later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any, cast
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509Store
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppfed.core.identity import ascii_domain, host_matched
from xmppfed.errors import ConfigError, XMPPFedError
from xmppfed.net.certificates import LoadedCertificate, load_anchors, load_certificate, moment, presented_names
from xmppfed.net.peer import (
    Connection,
    PeerCertificate,
    channel_bindings,
    judge,
    keep_verdict,
    own_leaf,
    verdict_problem,
)

__all__ = [
    "CertificateRefused",
    "PeerCertificate",
    "ServerContexts",
    "TrustRoots",
    "channel_bindings",
    "client_connection_creator",
    "judge",
    "own_leaf",
    "server_connection_creator",
    "strict_connection_creator",
    "tls_client_factory",
    "tls_endpoint",
    "tls_server_factory",
]

# RFC 9325, 4.2.1: forward secrecy and authenticated encryption for TLS 1.2; TLS 1.3 has nothing else.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
# No tickets: a resumed session shows no certificate to the verify callback.
_OPTIONS = SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which pyOpenSSL has no name for


class CertificateRefused(XMPPFedError):
    """The server's certificate does not prove the host we meant: says which, what was found and what was wanted."""


class TrustRoots:
    """Whom we believe: the system's authorities and further ones. A reload makes a new value."""

    def __init__(self, anchors: Iterable[x509.Certificate] = (), *, system: bool = True) -> None:
        self._anchors = tuple(anchors)
        self._system = system
        self._without_certificate: SSL.Context | None = None
        self._judging: SSL.Context | None = None
        self._with_certificate: WeakKeyDictionary[LoadedCertificate, SSL.Context] = WeakKeyDictionary()

    @classmethod
    def load(cls, files: Iterable[str | PathLike[str]]) -> TrustRoots:
        """The system's authorities and those of the PEM files (`trust_anchors`). Raises ConfigError naming the file."""
        return cls(anchor for file in files for anchor in load_anchors(file))

    def apply(self, context: SSL.Context) -> None:
        """Let a new context believe these authorities."""
        if self._system:
            context.set_default_verify_paths()
        store = context.get_cert_store()
        assert store is not None  # OpenSSL makes one with every context.
        for anchor in self._anchors:
            store.add_cert(X509.from_cryptography(anchor))

    def store(self) -> X509Store:
        """These authorities, to verify a chain by that was shown elsewhere; dates are left to the caller."""
        # A context of its own, kept: the store lives as long as that, and its flags are for no handshake.
        self._judging = self._judging or _context(SSL.TLS_CLIENT_METHOD, None, self)
        store = self._judging.get_cert_store()
        assert store is not None  # OpenSSL makes one with every context.
        store.set_flags(_NO_CHECK_TIME)
        return store

    def client_context(self, own: LoadedCertificate | None) -> SSL.Context:
        """The context of outgoing connections that present `own` when asked; kept, as reading authorities takes time."""
        if own is None:
            self._without_certificate = self._without_certificate or _context(SSL.TLS_CLIENT_METHOD, None, self)
            return self._without_certificate
        if own not in self._with_certificate:
            self._with_certificate[own] = _context(SSL.TLS_CLIENT_METHOD, own, self)
        return self._with_certificate[own]


class ServerContexts:
    """Our certificates by domain. SNI chooses among them, and only that: the virtual host is the stream's `to`.

    `files` maps each domain to a PEM file with chain and key; the first is shown to clients that name none of them, unless
    their stream has named a domain before TLS.
    """

    def __init__(self, files: Mapping[str, str | PathLike[str]], trust: TrustRoots) -> None:
        self.reload(files, trust)

    def reload(self, files: Mapping[str, str | PathLike[str]], trust: TrustRoots) -> None:
        """Read all certificates again, for connections from now on; streams stay. ConfigError changes nothing."""
        if not files:
            raise ConfigError("domains: found no certificate; wanted at least one domain with `certificate`")
        loaded = {ascii_domain(domain) or domain: load_certificate(path) for domain, path in files.items()}
        contexts = {domain: self._context(own, trust) for domain, own in loaded.items()}
        by_name = dict(contexts)
        for domain, own in loaded.items():
            for name in presented_names(own.leaf).dns_names:
                by_name.setdefault(name.lower(), contexts[domain])
        self._certificates, self._contexts, self._default = loaded, by_name, next(iter(contexts.values()))

    def certificate(self, domain: str) -> LoadedCertificate | None:
        """The certificate of one of our domains, to present as a client or to bind channels to behind a proxy."""
        return self._certificates.get(ascii_domain(domain) or domain)

    def leaves(self) -> list[bytes]:
        """Each of our certificates in DER, as they are at the moment."""
        return [own.leaf.public_bytes(Encoding.DER) for own in self._certificates.values()]

    def creator(
        self,
        *,
        protocols: Sequence[bytes] = (b"http/1.1",),
        strict_alpn: bool = False,
        client_certificates: bool = True,
        domain: str = "",
    ) -> IOpenSSLServerConnectionCreator:
        """What a listener needs to speak TLS. A client without SNI sees the certificate of `domain`, which its stream is for.

        `protocols` are chosen from by ALPN (RFC 7301). A client that offers only others is served without, or with
        `strict_alpn` refused: what was meant for another port cannot be turned to this one then. Client certificates
        are asked for and never required, and not from those who offer http/1.1: these are browsers, of which Chromium
        ends a WebSocket when it is asked, and others bother a user who has a certificate.
        """
        return _ServerCreator(partial(self._connection, domain, tuple(protocols), strict_alpn, client_certificates))

    def _context(self, own: LoadedCertificate, trust: TrustRoots) -> SSL.Context:
        context = _context(SSL.TLS_SERVER_METHOD, own, trust)
        context.set_tlsext_servername_callback(self._choose)
        context.set_alpn_select_callback(_agree)
        return context

    def _choose(self, connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
        wildcard = "*." + name.partition(".")[2]
        named = self._contexts.get(name) or self._contexts.get(wildcard)
        if named is not None:
            connection.set_context(named)

    def _connection(
        self, domain: str, protocols: Sequence[bytes], strict_alpn: bool, client_certificates: bool
    ) -> SSL.Connection:
        context = self._contexts.get(ascii_domain(domain) or domain, self._default)
        connection = Connection(context, protocols, strict_alpn=strict_alpn)
        if not client_certificates:
            connection.set_verify(SSL.VERIFY_NONE)
        return connection


@implementer(IOpenSSLServerConnectionCreator)
class _ServerCreator:
    def __init__(self, connect: Callable[[], SSL.Connection]) -> None:
        self._connect = connect

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return self._connect()


def server_connection_creator(own: LoadedCertificate, trust: TrustRoots) -> IOpenSSLServerConnectionCreator:
    """TLS for who connects to us, showing `own` to everybody; asks for the peer's certificate, and leaves it to `judge`."""
    return _ServerCreator(partial(Connection, _context(SSL.TLS_SERVER_METHOD, own, trust)))


def client_connection_creator(
    sni: str, own: LoadedCertificate | None, trust: TrustRoots, protocols: Sequence[bytes] = ()
) -> IOpenSSLClientConnectionCreator:
    """TLS to another server: names `sni` (unless it is an IP address), presents `own` with its whole chain when asked,
    offers `protocols` by ALPN, and leaves the peer's certificate to `judge`."""
    return _ClientCreator(sni, own, trust, protocols)


@implementer(IOpenSSLClientConnectionCreator)
class _ClientCreator:
    def __init__(self, sni: str, own: LoadedCertificate | None, trust: TrustRoots, protocols: Sequence[bytes] = ()) -> None:
        self._sni, self._own, self._trust, self._protocols = ascii_domain(sni), own, trust, list(protocols)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = Connection(self._trust.client_context(self._own))
        if self._protocols:
            connection.set_alpn_protos(self._protocols)
        if self._sni is not None:
            connection.set_tlsext_host_name(self._sni.encode("ascii"))
        return connection


def strict_connection_creator(host: str, trust: TrustRoots, clock: IReactorTime) -> IOpenSSLClientConnectionCreator:
    """TLS for HTTPS: a chain that is not trusted at the clock's time, or a certificate without the host's dNSName
    (RFC 9110, 4.3.4), ends the connection with CertificateRefused. IP addresses are never proved."""
    return _StrictCreator(host, trust, clock)


@implementer(IOpenSSLClientConnectionCreator)
class _StrictCreator(_ClientCreator):
    def __init__(self, host: str, trust: TrustRoots, clock: IReactorTime) -> None:
        super().__init__(host, None, trust)
        self._host, self._clock = host, clock

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        def accepted(connection: SSL.Connection, shown: X509, error: int, depth: int, ok: int) -> bool:
            problem = self._problem(shown.to_cryptography(), error, depth)
            if problem is not None:
                wanted = f"wanted one that proves {self._host} (dNSName) from a trusted authority"
                refused = CertificateRefused(f"{self._host}: found {problem}; {wanted}")
                # Neither has types in Twisted.
                tlsProtocol.failVerification(Failure(refused))
            return problem is None

        connection = super().clientConnectionForTLS(tlsProtocol)
        connection.set_verify(SSL.VERIFY_PEER, accepted)
        return connection

    def _problem(self, certificate: x509.Certificate, error: int, depth: int) -> str | None:
        problem = verdict_problem(certificate, error, depth, moment(self._clock))
        names = presented_names(certificate)
        if problem is None and depth == 0 and host_matched(names, self._host) is None:
            return f"a certificate for {names}"
        return problem


@implementer(IStreamClientEndpoint)
class _TLSEndpoint:
    def __init__(self, reactor: IReactorTime, inner: IStreamClientEndpoint, creator: IOpenSSLClientConnectionCreator) -> None:
        self._reactor, self._inner, self._creator = reactor, inner, creator

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        factory = tls_client_factory(self._creator, protocolFactory, self._reactor)
        return self._inner.connect(factory).addCallback(_unwrapped)


def _unwrapped(protocol: IProtocol) -> IProtocol:
    return cast(TLSMemoryBIOProtocol, protocol).wrappedProtocol


def tls_endpoint(
    reactor: IReactorTime, inner: IStreamClientEndpoint, creator: IOpenSSLClientConnectionCreator
) -> IStreamClientEndpoint:
    """An endpoint that speaks TLS through `inner` on this reactor's time; Twisted's own takes the global reactor's.

    It has connected before the handshake is complete: the protocol's `handshakeCompleted` tells (IHandshakeListener).
    """
    return _TLSEndpoint(reactor, inner, creator)


def tls_client_factory(
    creator: IOpenSSLClientConnectionCreator, factory: IProtocolFactory, clock: IReactorTime
) -> TLSMemoryBIOFactory:
    """The factory to connect with, so that `factory`'s protocols speak through TLS on this clock's time."""
    return TLSMemoryBIOFactory(creator, True, factory, clock=clock)


def tls_server_factory(
    creator: IOpenSSLServerConnectionCreator, factory: IProtocolFactory, clock: IReactorTime
) -> TLSMemoryBIOFactory:
    """The factory to listen with, so that `factory`'s protocols speak through TLS on this clock's time."""
    return TLSMemoryBIOFactory(creator, False, factory, clock=clock)


def _context(method: int, own: LoadedCertificate | None, trust: TrustRoots) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_options(_OPTIONS)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # most connections are idle: 24 KB less for each (measured)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE, keep_verdict)
    trust.apply(context)
    if own is not None:
        _present(context, own)
    return context


def _present(context: SSL.Context, own: LoadedCertificate) -> None:
    try:
        context.use_certificate(own.leaf)
        context.use_privatekey(own.key)
    except SSL.Error as error:
        names = presented_names(own.leaf)
        raise ConfigError(
            f"certificate for {names}: OpenSSL refuses it ({error}); wanted ECDSA, or RSA of 2048 bits or more"
        ) from None
    for certificate in own.chain:
        context.add_extra_chain_cert(certificate)


def _agree(connection: SSL.Connection, offered: list[bytes]) -> Any:
    # Without the alert of RFC 7301, 3.2, unless it was asked for: what a peer also speaks elsewhere says nothing against
    # it here. The result is Any because pyOpenSSL keeps the type of its sentinel to itself.
    ours = cast(Connection, connection)
    agreed = [protocol for protocol in ours.protocols if protocol in offered]
    if not agreed and ours.strict_alpn:
        raise SSL.Error([("", "", "no application protocol")])  # pyOpenSSL sends the alert
    if agreed[:1] == [b"http/1.1"]:
        connection.set_verify(SSL.VERIFY_NONE)
    return agreed[0] if agreed else SSL.NO_OVERLAPPING_PROTOCOLS
