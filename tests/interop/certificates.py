"""A throw-away authority that is not ours, so that our own way to issue certificates is not tested with itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID

__all__ = ["Certificates", "issue"]

_END = datetime.now(UTC) + timedelta(days=30)
"""For ejabberd, whose timers do not reach as far as the years that trustme gives."""


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: the authority's certificate, per name the chain with the key, and one `joint` for all names.

    Those in `servers` lack the purpose of clients, as what public authorities issue since 2026.
    """

    authority: Path
    hosts: Mapping[str, Path]
    servers: Mapping[str, Path]
    joint: Path


def issue(folder: Path, *names: str) -> Certificates:
    """An authority, certificates for each of `names`, and a joint one for servers that can show only one."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))

    def write(file: str, pem: bytes) -> Path:
        path = folder / file
        path.write_bytes(pem)
        path.chmod(0o644)  # Prosody may give up root before it reads.
        return path

    def both(*names: str) -> bytes:
        return authority.issue_cert(*names, not_after=_END).private_key_and_cert_chain_pem.bytes()

    return Certificates(
        folder / "authority.pem",
        {name: write(f"{name}.pem", both(name)) for name in names},
        {name: write(f"{name}.server.pem", _for_servers_only(authority, name)) for name in names},
        write("joint.pem", both(*names)),
    )


def _for_servers_only(authority: trustme.CA, name: str) -> bytes:
    """What trustme issues, signed again with one purpose alone, which trustme does not offer; the key and the certificate."""
    leaf = authority.issue_cert(name, not_after=_END)
    issued = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(signer, EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder(issued.issuer, issued.subject, issued.public_key(), x509.random_serial_number())
        .not_valid_before(issued.not_valid_before_utc)
        .not_valid_after(issued.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=True)
    )
    for extension in issued.extensions:
        if not isinstance(extension.value, x509.ExtendedKeyUsage):
            builder = builder.add_extension(extension.value, extension.critical)
    certificate = builder.sign(signer, hashes.SHA256())
    return leaf.private_key_pem.bytes() + certificate.public_bytes(serialization.Encoding.PEM)
