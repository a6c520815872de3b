"""Tests for `xmppfed.core.sasl.strings`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.sasl.exchange import refusal
from xmppfed.core.sasl.strings import (
    base64_text,
    decoded,
    from_base64,
    malformed,
    prepare_password,
    prepare_username,
    without_nul,
)
from xmppfed.errors import SASLCondition, SASLError

MALFORMED, NOT_AUTHORIZED = SASLCondition.MALFORMED_REQUEST, SASLCondition.NOT_AUTHORIZED


class DecodingTests(SynchronousTestCase):
    """Messages are UTF-8."""

    def test_utf8(self) -> None:
        """UTF-8 is read as it is, a NUL included where the grammar has it."""
        self.assertEqual(decoded(b"\xc3\xbc\0"), "\u00fc\0")
        self.assertEqual(without_nul(b"\xc3\xbc"), "\u00fc")

    def test_not_utf8(self) -> None:
        """Latin-1, overlong forms and surrogates are malformed."""
        for data in (b"\xfc", b"\xc0\x80", b"\xed\xa0\x80"):
            self.assertIs(refusal(lambda data=data: decoded(data)), MALFORMED)

    def test_nul(self) -> None:
        """A NUL is malformed where the grammar has none."""
        self.assertIs(refusal(lambda: without_nul(b"a\0")), MALFORMED)

    def test_error(self) -> None:
        """The error keeps its text."""
        self.assertEqual(str(malformed("wanted another")), "malformed-request: wanted another")


class PreparationTests(SynchronousTestCase):
    """Usernames and passwords are compared prepared."""

    def test_username(self) -> None:
        """A username is the localpart it names."""
        self.assertEqual(prepare_username("Juliet"), "juliet")

    def test_impossible_username(self) -> None:
        """A username that is no localpart gets the answer of an unknown one."""
        for username in ("", "juliet@example.org", "a b", "a" * 1024):
            self.assertIs(refusal(lambda username=username: prepare_username(username)), NOT_AUTHORIZED)

    def test_password(self) -> None:
        """Case stays, other spaces become the ASCII one (RFC 8265, 4.2)."""
        self.assertEqual(prepare_password("Rose\u00a0Garden"), "Rose Garden")

    def test_impossible_password(self) -> None:
        """Empty, endless and unprintable passwords are refused, and the error does not repeat them."""
        for password in ("", "a" * 1024, "secret\x07"):
            with self.assertRaises(SASLError) as caught:
                prepare_password(password)
            self.assertIs(caught.exception.condition, MALFORMED)
            self.assertNotIn("secret", str(caught.exception))


class Base64Tests(SynchronousTestCase):
    """Base64 has one spelling."""

    @given(st.binary())
    def test_round_trip(self, data: bytes) -> None:
        """What was encoded is decoded."""
        self.assertEqual(from_base64(base64_text(data)), data)

    def test_refused(self) -> None:
        """Strange letters, missing padding, spaces and spare bits are malformed."""
        for text in ("=", "QQ", "QQ=", "QR==", "QUI=\n", "Q UI=", "Q-==", "\u00fc", "QQ==QQ=="):
            self.assertIs(refusal(lambda text=text: from_base64(text)), MALFORMED, text)
