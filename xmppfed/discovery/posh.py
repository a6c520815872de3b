"""PKIX over Secure HTTP (RFC 7711): a domain lists the certificates of its service over HTTPS. Pure; a stranger's bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from xmppfed.discovery.documents import check_number, decoded_hash, json_object
from xmppfed.discovery.urls import shown, split_url
from xmppfed.errors import DiscoveryError

__all__ = ["SERVICE", "Fingerprint", "POSHDocument", "parse_posh", "posh_url"]

SERVICE = "xmpp-server"
_HASHES: Mapping[str, tuple[Callable[[bytes], Any], int]] = {
    "sha-256": (hashlib.sha256, 32),
    "sha-512": (hashlib.sha512, 64),
}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One certificate (RFC 7711, 3.1): its hashes by the name of the function. All that we know must be right."""

    hashes: tuple[tuple[str, bytes], ...]

    def is_of(self, der: bytes) -> bool:
        """Whether it is that of this certificate."""
        return all(_HASHES[name][0](der).digest() == value for name, value in self.hashes)


@dataclass(frozen=True, slots=True)
class POSHDocument:
    """Either the `fingerprints`, or in `url` where they are (RFC 7711, 3.2). It holds for `expires` seconds."""

    expires: int
    fingerprints: tuple[Fingerprint, ...] = ()
    url: str = ""


def posh_url(host: str) -> str:
    """Where a host has its document."""
    return f"https://{host}/.well-known/posh/{SERVICE}.json"


def parse_posh(data: bytes) -> POSHDocument:
    """Read a document; raises DiscoveryError for one that is too large, or says nothing that can be used.

    Fingerprints of hash functions that are not known here are left out, SHA-1 among them.
    """
    document = json_object(data)
    expires = document.get("expires")
    if type(expires) is not int or expires < 0:
        raise DiscoveryError(f"its expires is {shown(str(expires))}, wanted a number of seconds")
    if "url" in document:
        url = document["url"]
        if "fingerprints" in document or not isinstance(url, str):
            raise DiscoveryError("its url is no text, or stands beside fingerprints")
        split_url(url, "https")
        return POSHDocument(expires, url=url)
    listed = document.get("fingerprints")
    if not isinstance(listed, list):
        raise DiscoveryError("it has neither fingerprints nor url")
    check_number(len(listed), "fingerprints")
    known = [hashes for hashes in map(_hashes, listed) if hashes]
    if not known:
        raise DiscoveryError(f"none of its {len(listed)} fingerprints is {' or '.join(_HASHES)}")
    return POSHDocument(expires, tuple(map(Fingerprint, known)))


def _hashes(listed: object) -> tuple[tuple[str, bytes], ...]:
    """The hashes that can be checked; raises DiscoveryError for one that is none of its function."""
    fields = listed if isinstance(listed, dict) else {}
    return tuple((name, _hash(name, fields[name], size)) for name, (_, size) in _HASHES.items() if name in fields)


def _hash(name: str, text: object, size: int) -> bytes:
    value = decoded_hash(text, size) if isinstance(text, str) else None
    if value is None:
        raise DiscoveryError(f"its {name} {shown(str(text))} is no such hash in base64")
    return value
