"""What both sides of SCRAM share: names, grammar and signatures (RFC 5802, RFC 7677)."""

from __future__ import annotations

import hashlib
import hmac
import re

from xmppfed.core.sasl.steps import Offer
from xmppfed.core.sasl.strings import base64_text, malformed

__all__ = [
    "EXTENSIONS",
    "HASHES",
    "NONCE",
    "escape_name",
    "hash_of",
    "offer_hash",
    "proof_fits",
    "sign",
    "unescape_name",
    "xor",
]

HASHES = {"SCRAM-SHA-512": "sha512", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
"""Mechanisms without channel binding, strongest first, and the name hashlib has for their hash."""

NONCE = r"[!-+\--~]"  # one character: printable ASCII but the comma (RFC 5802, 7)
# Optional extensions are signed and otherwise ignored; `m` is reserved and must fail (RFC 5802, 5.1).
EXTENSIONS = r"(?:,[A-Za-ln-z]=[^,]+)*"

_BAD_ESCAPE = re.compile("=(?!2C|3D)")


def hash_of(mechanism: str) -> str:
    """hashlib's name of the hash of a SCRAM mechanism, with or without `-PLUS`."""
    return HASHES[mechanism.removesuffix("-PLUS")]


def escape_name(name: str) -> str:
    """`name` as a saslname (RFC 5802, 5.1)."""
    return name.replace("=", "=3D").replace(",", "=2C")


def unescape_name(saslname: str) -> str:
    """The name that a saslname writes; raises `SASLError` for any other use of `=`."""
    if _BAD_ESCAPE.search(saslname):
        raise malformed("a name holds = that is neither =2C nor =3D")
    return saslname.replace("=2C", ",").replace("=3D", "=")


def offer_hash(hash_name: str, offer: Offer) -> str:
    """The attribute `h` of the server-first-message: whoever changes the offer on its way is found out (XEP-0474, 4.1)."""
    text = "\x1e".join(sorted(offer.mechanisms))
    if offer.bindings:
        text += "\x1f" + "\x1e".join(sorted(offer.bindings))
    return base64_text(hashlib.new(hash_name, text.encode()).digest())


def sign(hash_name: str, key: bytes, message: str) -> bytes:
    """ClientSignature or ServerSignature of the AuthMessage (RFC 5802, 3)."""
    return hmac.digest(key, message.encode(), hash_name)


def xor(left: bytes, right: bytes) -> bytes:
    """Bytewise exclusive or of two strings of one length."""
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def proof_fits(hash_name: str, stored_key: bytes, message: str, proof: bytes) -> bool:
    """Whether `proof` could only be made by who knows the client key (RFC 5802, 3)."""
    signature = sign(hash_name, stored_key, message)
    if len(proof) != len(signature):
        return False
    client_key = xor(proof, signature)
    return hmac.compare_digest(hashlib.new(hash_name, client_key).digest(), stored_key)
