"""What a server keeps instead of passwords (RFC 5802, 3), and what it shows for users who do not exist (9)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from xmppfed.core.sasl.strings import prepare_password

__all__ = [
    "DEFAULT_ITERATIONS",
    "HASH_NAMES",
    "SALT_LENGTH",
    "ScramKeys",
    "client_key_of",
    "decoy_keys",
    "derive_all",
    "fingerprint",
    "salted_password",
    "server_key_of",
    "verify_password",
]

DEFAULT_ITERATIONS = 10_000
HASH_NAMES = ("sha512", "sha256", "sha1")  # strongest first, as hashlib calls them
SALT_LENGTH = 16  # octets; decoys have as many, so real salts should


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """The keys of one account under one hash (RFC 5802, 3). With them a server checks a password, no more."""

    hash_name: str
    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def derive(cls, hash_name: str, password: str, salt: bytes, iterations: int = DEFAULT_ITERATIONS) -> ScramKeys:
        """The keys of `password`, prepared here; costs milliseconds. Raises `SASLError` if it cannot be used."""
        salted = salted_password(hash_name, password, salt, iterations)
        stored_key = hashlib.new(hash_name, client_key_of(hash_name, salted)).digest()
        return cls(hash_name, salt, iterations, stored_key, server_key_of(hash_name, salted))


def derive_all(password: str, salts: Mapping[str, bytes], iterations: int = DEFAULT_ITERATIONS) -> dict[str, ScramKeys]:
    """The keys of `password` for each hash that `salts` has a salt for; raises `SASLError` if it cannot be used."""
    return {hash_name: ScramKeys.derive(hash_name, password, salt, iterations) for hash_name, salt in salts.items()}


def salted_password(hash_name: str, password: str, salt: bytes, iterations: int) -> bytes:
    """SaltedPassword of RFC 5802, 3; the password is prepared here. Raises `SASLError` if it cannot be used."""
    return hashlib.pbkdf2_hmac(hash_name, prepare_password(password).encode(), salt, iterations)


def client_key_of(hash_name: str, salted: bytes) -> bytes:
    """ClientKey of RFC 5802, 3."""
    return hmac.digest(salted, b"Client Key", hash_name)


def server_key_of(hash_name: str, salted: bytes) -> bytes:
    """ServerKey of RFC 5802, 3."""
    return hmac.digest(salted, b"Server Key", hash_name)


def verify_password(keys: ScramKeys, password: str) -> bool:
    """Whether `keys` were derived from `password`; costs as much as deriving. Raises `SASLError` as `derive` does."""
    candidate = ScramKeys.derive(keys.hash_name, password, keys.salt, keys.iterations)
    return hmac.compare_digest(candidate.stored_key, keys.stored_key)


def fingerprint(keys: Mapping[str, ScramKeys]) -> bytes:
    """Tells the password that `keys` were derived from, at that time, from any other; good for nothing else."""
    whole = hashlib.sha256()
    for name in sorted(keys):
        whole.update(keys[name].salt + keys[name].stored_key)
    return whole.digest()


def decoy_keys(secret: bytes, domain: str, username: str, hash_name: str, iterations: int = DEFAULT_ITERATIONS) -> ScramKeys:
    """Keys that no password has, the same each time they are asked for.

    `secret` must be random and survive restarts, and `iterations` be those of real accounts, or a stranger could tell.
    """

    def made(purpose: str) -> bytes:
        return hmac.digest(secret, "\0".join((purpose, hash_name, domain, username)).encode(), hash_name)

    return ScramKeys(hash_name, made("salt")[:SALT_LENGTH], iterations, made("stored key"), made("server key"))
