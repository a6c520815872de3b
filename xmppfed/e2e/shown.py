"""Names and keys of peers as people see and type them.

A name may come from anybody on the network, so that nothing in it may steer a terminal or turn a line around.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

__all__ = ["abbreviated", "base64_pin", "fingerprint", "key_of", "key_part", "printable"]

_ALGORITHM = re.compile(r"\s*sha-?256[\s:/=]+", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]{64}")
_HEX_PART = re.compile(r"[0-9a-f]{8,64}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{43}")
_URL_SAFE = str.maketrans("-_", "+/")


def printable(name: str) -> str:
    """The name with everything escaped that cannot be seen: control characters, and those that change the direction."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)


def fingerprint(spki_sha256: bytes) -> str:
    """A key's hash to compare and to paste: hexadecimal, in groups of four digits."""
    return spki_sha256.hex(":", 2)


def abbreviated(spki_sha256: bytes) -> str:
    """The beginning of `fingerprint`, to tell keys apart by; nobody should be let in for it."""
    return fingerprint(spki_sha256)[:19]


def base64_pin(spki_sha256: bytes) -> str:
    """A key's hash as others write it (RFC 7469, XEP-0487)."""
    return b64encode(spki_sha256).decode()


def key_of(text: str) -> bytes | None:
    """The hash of a key (SPKI, SHA-256) that `text` writes, in hexadecimal with or without colons, or in base64; the name
    of the algorithm may stand before it (XTLS, XEP-0300). None for what is none."""
    for candidate in (text, _ALGORITHM.sub("", text, count=1)):
        digits = _digits(candidate)
        if _HEX.fullmatch(digits):
            return bytes.fromhex(digits)
        letters = candidate.strip().rstrip("=").translate(_URL_SAFE)
        if _BASE64.fullmatch(letters):
            return b64decode(f"{letters}=")
    return None


def key_part(text: str) -> str:
    """The hexadecimal digits with which a key begins that `text` writes or abbreviates; nothing if they are too few."""
    key = key_of(text)
    digits = key.hex() if key else _digits(text)
    return digits if _HEX_PART.fullmatch(digits) else ""


def _digits(text: str) -> str:
    return re.sub(r"[\s:]", "", text).lower()
