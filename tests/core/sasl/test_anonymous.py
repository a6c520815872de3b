"""Tests for `xmppfed.core.sasl.anonymous`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.sasl.exchange import refusal
from xmppfed.core.sasl.anonymous import AnonymousClient, AnonymousServer
from xmppfed.core.sasl.steps import Claim
from xmppfed.errors import SASLCondition, SASLError

MALFORMED = SASLCondition.MALFORMED_REQUEST


class ServerTests(SynchronousTestCase):
    """A guest claims nothing."""

    def test_trace(self) -> None:
        """The trace is no identity and goes no further (RFC 4505, 2)."""
        for data in (b"", b"admin@example.org", "\u00fc".encode() * 255):
            self.assertEqual(AnonymousServer().respond(data), Claim("ANONYMOUS"))

    def test_malformed(self) -> None:
        """A trace has at most 255 characters of UTF-8 and no NUL."""
        for data in (b"a" * 256, b"\0", b"\xff"):
            self.assertIs(refusal(lambda data=data: AnonymousServer().respond(data)), MALFORMED)

    @given(st.binary())
    def test_no_other_error(self, data: bytes) -> None:
        """Any bytes are the same claim, or refused with `SASLError`."""
        try:
            self.assertEqual(AnonymousServer().respond(data), Claim("ANONYMOUS"))
        except SASLError as error:
            self.assertIs(error.condition, MALFORMED)


class ClientTests(SynchronousTestCase):
    """The message that the server reads."""

    def test_message(self) -> None:
        """We leave no trace."""
        self.assertEqual(AnonymousClient().start(), b"")
        self.assertIsNone(AnonymousClient().finish(b""))

    def test_challenge(self) -> None:
        """There are no challenges."""
        self.assertIs(refusal(lambda: AnonymousClient().respond(b"")), MALFORMED)
