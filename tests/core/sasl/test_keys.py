"""Tests for `xmppfed.core.sasl.keys`."""

from __future__ import annotations

from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.sasl.exchange import refusal
from xmppfed.core.sasl.keys import (
    DEFAULT_ITERATIONS,
    HASH_NAMES,
    SALT_LENGTH,
    ScramKeys,
    decoy_keys,
    derive_all,
    fingerprint,
    verify_password,
)
from xmppfed.errors import SASLCondition

SECRET = b"of this server"


class DeriveTests(SynchronousTestCase):
    """Keys are derived as RFC 5802, 3 says."""

    def test_known_keys(self) -> None:
        """The stored key fits the proof, and the server key the signature, of the example in RFC 5802, 5."""
        keys = ScramKeys.derive("sha1", "pencil", b64decode("QSXCR+Q6sek8bf92"), 4096)
        self.assertEqual(keys.stored_key.hex(), "e9d94660c39d65c38fbad91c358f14da0eef2bd6")
        self.assertEqual(keys.server_key.hex(), "0fe09258b3ac852ba502cc62ba903eaacdbf7d31")

    def test_password_is_prepared(self) -> None:
        """Two spellings of one password have the same keys."""
        self.assertEqual(
            ScramKeys.derive("sha256", "\u00fc\u00a0", b"salt", 1), ScramKeys.derive("sha256", "u\u0308 ", b"salt", 1)
        )

    def test_impossible_password(self) -> None:
        """A password that nobody can type is refused."""
        self.assertIs(refusal(lambda: ScramKeys.derive("sha1", "", b"salt", 1)), SASLCondition.MALFORMED_REQUEST)

    def test_all(self) -> None:
        """One call derives the keys for every hash, each with its salt and the usual iterations."""
        keys = derive_all("pencil", {"sha1": b"one", "sha256": b"two"})
        self.assertEqual(
            keys, {name: ScramKeys.derive(name, "pencil", salt) for name, salt in (("sha1", b"one"), ("sha256", b"two"))}
        )
        self.assertEqual(keys["sha1"].iterations, DEFAULT_ITERATIONS)

    def test_not_shown(self) -> None:
        """The text of keys does not hold them."""
        keys = ScramKeys.derive("sha1", "pencil", b"salt", 1)
        self.assertNotIn("_key", repr(keys))


class VerifyTests(SynchronousTestCase):
    """Keys tell whether a password is theirs."""

    @given(st.sampled_from(HASH_NAMES), st.text("abcA \u00fc", min_size=1), st.text("abcA \u00fc", min_size=1))
    def test_verify(self, hash_name: str, password: str, other: str) -> None:
        """A password fits its own keys, and those of another only when it is the same."""
        keys = ScramKeys.derive(hash_name, password, b"salt", 2)
        self.assertTrue(verify_password(keys, password))
        self.assertEqual(verify_password(keys, other), other == password)


class DecoyTests(SynchronousTestCase):
    """Who does not exist has keys too (RFC 5802, 9)."""

    def test_stable(self) -> None:
        """Asked twice, the answer is the same, so that repeating a login tells nothing."""
        self.assertEqual(*(decoy_keys(SECRET, "example.org", "tybalt", "sha256", 4096) for _ in range(2)))

    def test_shape(self) -> None:
        """Decoys look like real keys: same salt length, iterations and key lengths."""
        for hash_name in HASH_NAMES:
            decoy = decoy_keys(SECRET, "example.org", "tybalt", hash_name)
            real = ScramKeys.derive(hash_name, "pencil", b"s" * SALT_LENGTH)
            self.assertEqual((decoy.hash_name, decoy.iterations), (real.hash_name, real.iterations))
            for name in ("salt", "stored_key", "server_key"):
                self.assertEqual(len(getattr(decoy, name)), len(getattr(real, name)))

    def test_different(self) -> None:
        """Each secret, domain, user and hash has decoys of its own, and the parts do not run into each other."""
        decoys = [
            decoy_keys(SECRET, "example.org", "tybalt", "sha256"),
            decoy_keys(b"other", "example.org", "tybalt", "sha256"),
            decoy_keys(SECRET, "example.com", "tybalt", "sha256"),
            decoy_keys(SECRET, "example.org", "mercutio", "sha256"),
            decoy_keys(SECRET, "example.org", "tybalt", "sha512"),
            decoy_keys(SECRET, "example.orgt", "ybalt", "sha256"),
        ]
        self.assertEqual(len({decoy.salt for decoy in decoys}), len(decoys))
        self.assertNotEqual(decoys[0].stored_key, decoys[0].server_key)

    def test_no_password_fits(self) -> None:
        """No password has the keys of a decoy."""
        self.assertFalse(verify_password(decoy_keys(SECRET, "example.org", "tybalt", "sha1", 1), "pencil"))


class FingerprintTests(SynchronousTestCase):
    """What tells a password from the one that follows it."""

    def test_same_keys(self) -> None:
        """The same keys, in whatever order they come from storage."""
        keys = derive_all("pencil", {"sha1": b"salt", "sha256": b"pepper"}, 1)
        self.assertEqual(fingerprint(keys), fingerprint(dict(reversed(keys.items()))))

    def test_other_keys(self) -> None:
        """Another password, or the same one set again, is another; so is one hash less."""
        keys = derive_all("pencil", {"sha1": b"salt", "sha256": b"salt"}, 1)
        others = [
            derive_all("pen", {"sha1": b"salt", "sha256": b"salt"}, 1),
            derive_all("pencil", {"sha1": b"salt", "sha256": b"pepper"}, 1),
            derive_all("pencil", {"sha1": b"salt"}, 1),
            {},
        ]
        self.assertEqual(len({fingerprint(one) for one in [keys, *others]}), 5)

    def test_says_nothing(self) -> None:
        """Nobody gets in by it: it is no key."""
        keys = derive_all("pencil", {"sha256": b"salt"}, 1)
        self.assertNotIn(fingerprint(keys), (keys["sha256"].stored_key, keys["sha256"].server_key))
