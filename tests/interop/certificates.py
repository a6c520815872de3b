"""A throw-away authority that is not ours, so that our own way to issue certificates is not tested with itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme

__all__ = ["Certificates", "issue"]


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: the authority's certificate, per name the chain with the key, and one `joint` for all names."""

    authority: Path
    hosts: dict[str, Path]
    joint: Path


def issue(folder: Path, *names: str) -> Certificates:
    """An authority, a certificate for each of `names`, and a joint one for servers that can show only one."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))

    def write(file: str, *identities: str) -> Path:
        path = folder / file
        authority.issue_cert(*identities).private_key_and_cert_chain_pem.write_to_path(str(path))
        path.chmod(0o644)  # Prosody may give up root before it reads.
        return path

    hosts = {name: write(f"{name}.pem", name) for name in names}
    return Certificates(folder / "authority.pem", hosts, write("joint.pem", *names))
