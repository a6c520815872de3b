"""Certificates of our own making: a throw-away authority for demos and tests, and those that nobody vouches for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import idna
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from xmppfed.net.certificates import IA5_STRING, SRV_NAME, UTF8_STRING, XMPP_ADDR, PrivateKey, primitive

__all__ = ["VALIDITY", "Authority", "create_private", "new_key", "self_signed", "signed_by_itself"]

VALIDITY = timedelta(days=10)
# Clocks differ: what is issued now must hold on a machine whose clock is late.
_BACKDATED = timedelta(hours=1)
_PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey | rsa.RSAPublicKey
_BOTH_PURPOSES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


class Authority:
    """A certificate authority whose key lives only in this object. `now` (UTC) starts its validity of ten days.

    With an `issuer` it is an intermediate, and what it issues carries the chain up to, and without, the root.
    """

    def __init__(
        self,
        now: datetime,
        name: str = "xmppfed throw-away authority",
        *,
        issuer: Authority | None = None,
        extended_key_usages: Sequence[x509.ObjectIdentifier] = (),
    ) -> None:
        self._now = now
        self._key = new_key()
        builder = _builder(_named(name), self._key.public_key(), now - _BACKDATED, now + VALIDITY)
        builder = _with_usages(builder, extended_key_usages, authority=True)
        self.certificate = issuer._sign(builder) if issuer else _sign(builder, _named(name), self._key)
        self._chain: tuple[x509.Certificate, ...] = (self.certificate, *issuer._chain) if issuer else ()

    @property
    def pem(self) -> bytes:
        """The authority's certificate, for `trust_anchors`."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        domain: str,
        *,
        dns: Sequence[str] | None = None,
        xmpp_addresses: Sequence[str] = (),
        srv: Sequence[str] = (),
        san: bytes | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        extended_key_usages: Sequence[x509.ObjectIdentifier] = _BOTH_PURPOSES,
        common_name: str | None = None,
    ) -> bytes:
        """A PEM file: certificate, chain and private key.

        `dns` is the domain unless it is given; `san` is a whole subjectAltName as DER in place of all names; without
        names there is no such extension, and without usages no extendedKeyUsage. `common_name` is the domain by default.
        """
        key = new_key()
        begin, end = not_before or self._now - _BACKDATED, not_after or self._now + VALIDITY
        builder = _builder(_named(domain if common_name is None else common_name), key.public_key(), begin, end)
        names = _alternative_names((domain,) if dns is None else dns, xmpp_addresses, srv, san)
        builder = _with_leaf_extensions(builder, names, extended_key_usages)
        return _pem((self._sign(builder), *self._chain), key)

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return _sign(builder, self.certificate.subject, self._key)


def self_signed(domain: str, now: datetime) -> bytes:
    """A PEM file with a certificate for the domain that nobody vouches for, and its private key."""
    return signed_by_itself(domain, new_key(), now, now + VALIDITY, dns=(domain,), xmpp_addresses=(domain,))


def signed_by_itself(
    common_name: str,
    key: PrivateKey,
    now: datetime,
    not_after: datetime,
    *,
    dns: Sequence[str] = (),
    xmpp_addresses: Sequence[str] = (),
    srv: Sequence[str] = (),
) -> bytes:
    """A PEM file with a certificate that `key` has signed for itself, for TLS servers and clients, and that key."""
    builder = _builder(_named(common_name), key.public_key(), now - _BACKDATED, not_after)
    builder = _with_leaf_extensions(builder, _alternative_names(dns, xmpp_addresses, srv, None), _BOTH_PURPOSES)
    return _pem((_sign(builder, _named(common_name), key),), key)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key on the curve P-256, which every implementation of TLS 1.3 knows (RFC 8446, 9.1)."""
    return ec.generate_private_key(ec.SECP256R1())


def create_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone can read, exclusively: nothing is overwritten. Raises OSError."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _builder(subject: x509.Name, key: _PublicKey, begin: datetime, end: datetime) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(end)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _with_leaf_extensions(
    builder: x509.CertificateBuilder, names: x509.ExtensionType | None, usages: Sequence[x509.ObjectIdentifier]
) -> x509.CertificateBuilder:
    builder = _with_usages(builder, usages, authority=False)
    return builder if names is None else builder.add_extension(names, critical=False)


def _with_usages(
    builder: x509.CertificateBuilder, usages: Sequence[x509.ObjectIdentifier], authority: bool
) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(authority), critical=True)
    return builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False) if usages else builder


def _sign(builder: x509.CertificateBuilder, issuer: x509.Name, key: PrivateKey) -> x509.Certificate:
    # RFC 8410: the Edwards curves hash by themselves.
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return builder.issuer_name(issuer).add_extension(identifier, critical=False).sign(key, algorithm)


def _alternative_names(
    dns: Sequence[str], xmpp_addresses: Sequence[str], srv: Sequence[str], san: bytes | None
) -> x509.ExtensionType | None:
    if san is not None:
        return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, san)
    names: list[x509.GeneralName] = [x509.DNSName(_a_labels(name)) for name in dns]
    names += [x509.OtherName(XMPP_ADDR, primitive(UTF8_STRING, address.encode())) for address in xmpp_addresses]
    names += [x509.OtherName(SRV_NAME, primitive(IA5_STRING, name.encode("ascii"))) for name in srv]
    return x509.SubjectAlternativeName(names) if names else None


def _a_labels(name: str) -> str:
    return name if name.isascii() else idna.encode(name).decode("ascii")


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _key_usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(chain: Sequence[x509.Certificate], key: PrivateKey) -> bytes:
    certificates = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)
    return certificates + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
