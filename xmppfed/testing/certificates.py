"""The certificates that a domain of a test can have, good ones and bad ones."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from xmppfed.net.issuing import Authority, self_signed

__all__ = ["CertificateKind", "certificate"]

CertificateKind: TypeAlias = Literal["valid", "expired", "wrong-name", "self-signed", "none"]
"""`wrong-name` is valid for another domain. With `none` a server shows no certificate to the servers it connects to, and
a valid one to who connects: TLS cannot do without."""


def certificate(domain: str, kind: CertificateKind, authority: Authority, now: datetime) -> bytes:
    """A PEM file with chain and key; `now` (UTC) is the moment at which it is good or bad."""
    match kind:
        case "expired":
            return authority.issue(domain, not_before=now - timedelta(days=2), not_after=now - timedelta(days=1))
        case "wrong-name":
            return authority.issue(f"not-{domain}")
        case "self-signed":
            return self_signed(domain, now)
        case "valid" | "none":
            return authority.issue(domain)
    raise ValueError(f"found {kind!r} as the certificate of {domain}; wanted valid, expired, wrong-name, self-signed or none")
