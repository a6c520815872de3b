"""The peer's certificate after the handshake: what it says, what is wrong with it, and what binds a login to this TLS.

A certificate does not end a handshake: an unknown authority may still be a pinned key, a POSH certificate, or a domain
that proves itself by dialback. OpenSSL's objections are kept with the connection, and `judge` reports them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError
from twisted.internet.interfaces import ISystemHandle

from xmppfed.core.identity import PresentedNames
from xmppfed.net.certificates import endpoint_binding, presented_names, spki_sha256, validity_problem

__all__ = [
    "Connection",
    "PeerCertificate",
    "channel_bindings",
    "dates_alone",
    "judge",
    "judge_presented",
    "keep_verdict",
    "own_leaf",
    "verdict_problem",
]

_HANDSHAKE_DONE = b"SSL negotiation finished successfully"

_Codes = SSL.X509VerificationCodes
_WORDS = {
    number: name.removeprefix("ERR_").lower().replace("_", " ")
    for name, number in vars(_Codes).items()
    if name.startswith("ERR_")
}
# OpenSSL says in several ways that it knows nobody who vouches for a chain.
_UNKNOWN_AUTHORITY = {
    _Codes.ERR_SELF_SIGNED_CERT_IN_CHAIN,
    _Codes.ERR_UNABLE_TO_GET_ISSUER_CERT,
    _Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
    _Codes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
}
# Judged by us: dates by the caller's clock, purposes because OpenSSL asks a client's certificate for clientAuth alone.
_DATE_ERRORS = {_Codes.ERR_CERT_NOT_YET_VALID, _Codes.ERR_CERT_HAS_EXPIRED}
_Extensions = x509.Extensions | None  # None: they cannot be read, so nothing may rest on them.
_TLS_PURPOSES = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH})


class Connection(SSL.Connection):
    """A TLS connection that keeps what OpenSSL said of the peer's chain: `verdicts` holds an (error, depth) for every
    certificate looked at, error 0 for a good one. No verdicts: nothing was verified in this handshake.

    Of `protocols` a server chooses by ALPN; with `strict_alpn` a client that offers none of them is refused.
    """

    def __init__(self, context: SSL.Context, protocols: Sequence[bytes] = (), *, strict_alpn: bool = False) -> None:
        super().__init__(context, None)
        self.verdicts: list[tuple[int, int]] = []
        self.protocols = protocols
        self.strict_alpn = strict_alpn
        # A second ClientHello (RFC 8446, 4.1.4) calls the first context's callbacks again, after a reload too.
        self.first_context = context


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What the peer's certificate says and what is wrong with it: the chain is `trusted` when there are no `problems`.

    `names` are claims until the chain is trusted, or its key (`spki_sha256`, 32 bytes) or `der` is known otherwise.
    `not_after` (UTC) is when the first certificate of the chain expires: then judge again.
    """

    names: PresentedNames
    problems: tuple[str, ...]
    not_after: datetime
    spki_sha256: bytes
    der: bytes

    @property
    def trusted(self) -> bool:
        """Whether an authority we believe vouches for the names, at the moment of judging, for TLS."""
        return not self.problems


def judge(transport: object, now: datetime) -> PeerCertificate | None:
    """The peer's certificate, judged at `now` (UTC). `transport` is a Twisted TLS transport or an OpenSSL connection.

    None when there is no TLS, no certificate or none that can be read, or before the handshake is complete: only then
    has the peer proved to hold the key. Dates of the whole chain are compared with `now`, so a long stream can be
    judged again. A certificate for TLS servers alone counts for clients too: public authorities issue no other.
    """
    connection = _established(transport)
    if connection is None:
        return None
    try:
        leaf = connection.get_peer_certificate(as_cryptography=True)
        chain = connection.get_verified_chain(as_cryptography=True) or []
    except ValueError:
        return None
    return None if leaf is None else _described(leaf, chain, _problems(connection, chain, now))


def judge_presented(
    leaf: x509.Certificate, chain: Sequence[x509.Certificate], store: X509Store, now: datetime
) -> PeerCertificate:
    """A certificate that a client showed to a proxy in front of us, which has seen that it holds the key (RFC 9440).

    `chain` are the certificates shown with it, `store` has the authorities that are believed (`TrustRoots.store`).
    """
    shown = [X509.from_cryptography(certificate) for certificate in chain]
    try:
        verified = X509StoreContext(store, X509.from_cryptography(leaf), shown).get_verified_chain()
    except X509StoreContextError as error:
        code, depth, _ = error.errors
        return _described(leaf, (), [_worded(code, depth)])
    found = [certificate.to_cryptography() for certificate in verified]
    return _described(leaf, found, [*_date_problems(found, now), *_purpose_problems(list(map(_extensions, found)))])


def _described(leaf: x509.Certificate, chain: Sequence[x509.Certificate], problems: Iterable[str]) -> PeerCertificate:
    return PeerCertificate(
        names=presented_names(leaf),
        problems=tuple(dict.fromkeys(problems)),
        not_after=min(certificate.not_valid_after_utc for certificate in (leaf, *chain)),
        spki_sha256=spki_sha256(leaf),
        der=leaf.public_bytes(serialization.Encoding.DER),
    )


def dates_alone(certificate: PeerCertificate, now: datetime) -> tuple[str | None, datetime]:
    """What is wrong at `now` with the dates of the certificate itself, whoever has signed it, and when it expires."""
    leaf = x509.load_der_x509_certificate(certificate.der)
    return validity_problem(leaf, now), leaf.not_valid_after_utc


def channel_bindings(transport: object, server_leaf: x509.Certificate | None) -> dict[str, bytes]:
    """The data of each channel binding this stream has, by name: `tls-exporter` (RFC 9266) on TLS 1.3, and
    `tls-server-end-point` (RFC 5929) of the server's certificate: `own_leaf` on our server, the configured one behind
    a proxy, the peer's on a client."""
    bindings = {}
    connection = _established(transport)
    if connection is not None and connection.get_protocol_version() == SSL.TLS1_3_VERSION:
        bindings["tls-exporter"] = connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
    endpoint = None if server_leaf is None else endpoint_binding(server_leaf)
    if endpoint is not None:
        bindings["tls-server-end-point"] = endpoint
    return bindings


def own_leaf(transport: object) -> x509.Certificate | None:
    """The certificate our server presents on this connection, as SNI chose it."""
    connection = _established(transport)
    return None if connection is None else connection.get_certificate(as_cryptography=True)


def keep_verdict(connection: SSL.Connection, certificate: X509, error: int, depth: int, ok: int) -> bool:
    """The verify callback that lets every handshake go on, and remembers."""
    cast(Connection, connection).verdicts.append((error, depth))
    return True


def verdict_problem(certificate: x509.Certificate, error: int, depth: int, now: datetime) -> str | None:
    """One verdict of a verify callback in words, with the certificate's dates judged at `now` (UTC); None when good."""
    if error != _Codes.OK and error not in _DATE_ERRORS:
        return _worded(error, depth)
    dates = validity_problem(certificate, now)
    return None if dates is None else _placed(dates, depth)


def _established(transport: object) -> SSL.Connection | None:
    handle = transport.getHandle() if ISystemHandle.providedBy(transport) else transport
    if isinstance(handle, SSL.Connection) and handle.get_state_string() == _HANDSHAKE_DONE:
        return handle
    return None


def _problems(connection: SSL.Connection, chain: Sequence[x509.Certificate], now: datetime) -> Iterator[str]:
    verdicts = connection.verdicts if isinstance(connection, Connection) else []
    if not verdicts:
        yield "certificate was not verified in this handshake"
        return
    extensions = [_extensions(certificate) for certificate in chain]
    yield from (_worded(*verdict) for verdict in verdicts if not _judged_here(*verdict, extensions))
    yield from _date_problems(chain, now)
    yield from _purpose_problems(extensions)


def _date_problems(chain: Sequence[x509.Certificate], now: datetime) -> Iterator[str]:
    dates = [validity_problem(certificate, now) for certificate in chain]
    yield from (_placed(problem, depth) for depth, problem in enumerate(dates) if problem is not None)


def _purpose_problems(extensions: Sequence[_Extensions]) -> Iterator[str]:
    if not frozenset.intersection(_TLS_PURPOSES, *map(_purposes, extensions)):
        yield "certificate is neither for TLS servers nor for TLS clients (extended key usage)"
    if not extensions or not _for_tls(extensions[0]):
        yield "certificate's key is not for TLS (key usage)"


def _judged_here(error: int, depth: int, extensions: Sequence[_Extensions]) -> bool:
    if error != _Codes.ERR_INVALID_PURPOSE:
        return error == _Codes.OK or error in _DATE_ERRORS
    # OpenSSL misses one of the purposes; who states both, or none, is refused for another reason.
    usages = _usages(extensions[depth]) if depth < len(extensions) else None
    return usages is not None and not usages >= _TLS_PURPOSES


def _worded(error: int, depth: int) -> str:
    if error == _Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "self-signed certificate"
    if error in _UNKNOWN_AUTHORITY:
        return "certificate of an unknown authority"
    return _placed(_WORDS.get(error, f"OpenSSL error {error}"), depth)


def _placed(problem: str, depth: int) -> str:
    return f"{problem} (authority {depth} above the certificate)" if depth else problem


def _extensions(certificate: x509.Certificate) -> _Extensions:
    try:
        return certificate.extensions
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return None


def _usages(extensions: _Extensions) -> frozenset[x509.ObjectIdentifier] | None:
    try:
        return frozenset(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) if extensions else frozenset()
    except x509.ExtensionNotFound:
        return None


def _purposes(extensions: _Extensions) -> frozenset[x509.ObjectIdentifier]:
    usages = _usages(extensions)
    if usages is None or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages:
        return _TLS_PURPOSES
    return usages & _TLS_PURPOSES


def _for_tls(extensions: _Extensions) -> bool:
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value if extensions else None
    except x509.ExtensionNotFound:
        return True
    return usage is not None and (usage.digital_signature or usage.key_encipherment or usage.key_agreement)
