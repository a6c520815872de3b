"""Certificates: read from PEM files, and what others ask of them: names, dates, fingerprints, bindings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike, fspath
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from twisted.internet.interfaces import IReactorTime

from xmppfed.core.identity import PresentedNames
from xmppfed.errors import ConfigError

__all__ = [
    "IA5_STRING",
    "SRV_NAME",
    "UTF8_STRING",
    "XMPP_ADDR",
    "LoadedCertificate",
    "PrivateKey",
    "endpoint_binding",
    "load_anchors",
    "load_certificate",
    "moment",
    "presented_names",
    "primitive",
    "spki_sha256",
    "validity_problem",
]

UTF8_STRING, IA5_STRING = 0x0C, 0x16  # tags of X.680, 8.4
XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
SRV_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | rsa.RSAPrivateKey


# Compared by identity: a certificate read again is another one, and contexts made of the old one are let go with it.
@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LoadedCertificate:
    """A certificate we can present: `leaf`, its `chain` of authorities in the order of the file, the leaf's private `key`."""

    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: PrivateKey


def load_certificate(path: str | PathLike[str], key_path: str | PathLike[str] | None = None) -> LoadedCertificate:
    """Read leaf, chain and private key (unencrypted) from a PEM file, or the key from a file of its own.

    Raises ConfigError when a file cannot be read or holds something else, and when the key is not that of the first
    certificate.
    """
    path = fspath(path)
    key_path = path if key_path is None else fspath(key_path)
    leaf, *chain = _certificates(path)
    key = _private_key(key_path)
    if _spki(key.public_key()) != _spki(leaf.public_key()):
        raise ConfigError(
            f"{key_path}: found a private key that does not belong to the first certificate of {path} "
            f"({leaf.subject.rfc4514_string() or presented_names(leaf)}); wanted the key of that certificate, "
            "and the server's own certificate before those of its authorities"
        )
    return LoadedCertificate(leaf, tuple(chain), key)


def load_anchors(path: str | PathLike[str]) -> tuple[x509.Certificate, ...]:
    """Read the certificates of the authorities in a PEM file. Raises ConfigError as `load_certificate` does."""
    return tuple(_certificates(fspath(path)))


def presented_names(certificate: x509.Certificate) -> PresentedNames:
    """The names in the certificate's subjectAltName, unchecked. A name that is not strict DER is left out, and so are
    all names of an extension that cannot be read: it then proves nothing."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return PresentedNames()
    return PresentedNames(
        xmpp_addresses=tuple(_other_names(names, XMPP_ADDR, UTF8_STRING, "utf-8")),
        srv_names=tuple(_other_names(names, SRV_NAME, IA5_STRING, "ascii")),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)),
    )


def moment(clock: IReactorTime) -> datetime:
    """What time the clock says it is, in UTC."""
    return datetime.fromtimestamp(clock.seconds(), UTC)


def validity_problem(certificate: x509.Certificate, now: datetime) -> str | None:
    """What is wrong with the certificate's dates at that moment (RFC 5280, 4.1.2.5), or None."""
    if now < certificate.not_valid_before_utc:
        return f"certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    if now > certificate.not_valid_after_utc:
        return f"certificate has expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    return None


def spki_sha256(certificate: x509.Certificate) -> bytes:
    """SHA-256 (32 bytes) of the SubjectPublicKeyInfo: the pin of RFC 7469, 2.4 and XEP-0487, before base64."""
    return hashlib.sha256(_spki(certificate.public_key())).digest()


def endpoint_binding(certificate: x509.Certificate) -> bytes | None:
    """Channel binding `tls-server-end-point` of the server's certificate (RFC 5929, 4.1).

    None where it is not defined: signatures without one hash function, such as Ed25519.
    """
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    weak = isinstance(algorithm, hashes.MD5 | hashes.SHA1)
    return certificate.fingerprint(hashes.SHA256() if weak else algorithm)


def _other_names(names: x509.SubjectAlternativeName, kind: x509.ObjectIdentifier, tag: int, encoding: str) -> Iterator[str]:
    found = (_text(tag, encoding, name.value) for name in names.get_values_for_type(x509.OtherName) if name.type_id == kind)
    return (text for text in found if text is not None)


def _certificates(path: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise ConfigError(f"{path}: found no readable certificate ({error}); wanted a chain in PEM, the leaf first") from None


def _private_key(path: str) -> PrivateKey:
    data = _read(path)
    try:
        key = serialization.load_pem_private_key(data, None)
    except TypeError:
        raise ConfigError(f"{path}: found an encrypted private key; wanted one without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: found no readable private key ({error}); wanted one in PEM") from None
    if not isinstance(key, PrivateKey):
        raise ConfigError(f"{path}: found a private key of type {type(key).__name__}; wanted ECDSA, RSA, Ed25519 or Ed448")
    return key


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); wanted a PEM file") from None


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def primitive(tag: int, contents: bytes) -> bytes:
    """The DER encoding of a primitive value (X.690, 8.1.3 and 10.1)."""
    size = len(contents)
    long_form = size.to_bytes((size.bit_length() + 7) // 8, "big") if size > 0x7F else b""
    length = bytes([0x80 | len(long_form)]) + long_form if long_form else bytes([size])
    return bytes([tag]) + length + contents


def _text(tag: int, encoding: str, der: bytes) -> str | None:
    # What does not encode to the same bytes again was not DER: wrong tag, another length, a length in a longer form.
    contents = der[2 + (der[1] & 0x7F) :] if der[1:2] > b"\x80" else der[2:]
    try:
        return contents.decode(encoding) if primitive(tag, contents) == der else None
    except UnicodeDecodeError:
        return None
