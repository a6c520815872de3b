"""Tests for `xmppfed.core.sasl.external`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.sasl.exchange import refusal
from xmppfed.core.sasl.external import ExternalClient, ExternalServer
from xmppfed.core.sasl.steps import Claim
from xmppfed.errors import SASLCondition, SASLError

MALFORMED = SASLCondition.MALFORMED_REQUEST


class ServerTests(SynchronousTestCase):
    """One message is a claim; the certificate decides (XEP-0178)."""

    def test_authzid(self) -> None:
        """The identity asked for is handed on as it came, and nothing else is claimed."""
        self.assertEqual(ExternalServer().respond(b"Example.org"), Claim("EXTERNAL", "", "Example.org"))

    def test_none(self) -> None:
        """An empty message, or the sign XML has for it, asks for no identity."""
        for data in (b"", b"="):
            self.assertEqual(ExternalServer().respond(data), Claim("EXTERNAL"))

    def test_malformed(self) -> None:
        """NUL and text that is not UTF-8 are malformed."""
        for data in (b"example.org\0", b"\xff"):
            self.assertIs(refusal(lambda data=data: ExternalServer().respond(data)), MALFORMED)

    @given(st.binary())
    def test_no_other_error(self, data: bytes) -> None:
        """Any bytes are a claim without name of its own, or refused with `SASLError`."""
        try:
            claim = ExternalServer().respond(data)
        except SASLError:
            return
        self.assertEqual(claim.authcid, "")


class ClientTests(SynchronousTestCase):
    """The message that the server reads."""

    def test_message(self) -> None:
        """The identity, or nothing."""
        self.assertEqual(ExternalClient("example.org").start(), b"example.org")
        self.assertEqual(ExternalClient().start(), b"")
        self.assertIsNone(ExternalClient().finish(b""))

    def test_empty_challenge(self) -> None:
        """A server that ignored the initial response and asks for it gets it."""
        self.assertEqual(ExternalClient("example.org").respond(b""), b"example.org")

    def test_challenge(self) -> None:
        """There is no other challenge."""
        self.assertIs(refusal(lambda: ExternalClient("example.org").respond(b"x")), MALFORMED)
