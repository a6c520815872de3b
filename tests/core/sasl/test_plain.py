"""Tests for `xmppfed.core.sasl.plain`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.sasl.exchange import refusal
from xmppfed.core.sasl.plain import PlainClient, PlainServer
from xmppfed.core.sasl.steps import Claim
from xmppfed.errors import SASLCondition, SASLError

MALFORMED, NOT_AUTHORIZED = SASLCondition.MALFORMED_REQUEST, SASLCondition.NOT_AUTHORIZED


class ServerTests(SynchronousTestCase):
    """One message is a claim with a password (RFC 4616, 2)."""

    def test_claim(self) -> None:
        """Username and password are prepared, the identity asked for is handed on as it came."""
        claim = PlainServer().respond("Juliet@E\0JULIET\0R0m30\u00a0".encode())
        self.assertEqual(claim, Claim("PLAIN", "juliet", "Juliet@E", "R0m30 "))

    def test_no_authzid(self) -> None:
        """Without an identity asked for it is empty."""
        self.assertEqual(PlainServer().respond(b"\0juliet\0r0m30").authzid, "")

    def test_malformed(self) -> None:
        """Too few or many parts, no password, and text that is not UTF-8 are malformed."""
        for data in (b"", b"\0", b"juliet\0r0m30", b"\0a\0b\0c", b"\0a\0b\0", b"\0juliet\0", b"\0juliet\0\xff", b"\0a\0\x07"):
            self.assertIs(refusal(lambda data=data: PlainServer().respond(data)), MALFORMED, data)

    def test_impossible_username(self) -> None:
        """A name nobody can have gets the answer of a wrong password."""
        for data in (b"\0\0r0m30", b"\0a b\0r0m30", b"\0juliet@example.org\0r0m30"):
            self.assertIs(refusal(lambda data=data: PlainServer().respond(data)), NOT_AUTHORIZED, data)

    @given(st.binary() | st.from_regex(rb"[^\0]*\0[^\0]+\0[^\0]+", fullmatch=True))
    def test_no_other_error(self, data: bytes) -> None:
        """Any bytes are a claim or refused with `SASLError`."""
        try:
            claim = PlainServer().respond(data)
        except SASLError:
            return
        self.assertTrue(claim.authcid and claim.password)


class ClientTests(SynchronousTestCase):
    """The message that the server reads."""

    def test_message(self) -> None:
        """Identity, username and password, as RFC 4616, 2 orders them."""
        self.assertEqual(PlainClient("Juliet", "r0m30", "a@b").start(), b"a@b\0juliet\0r0m30")
        self.assertIsNone(PlainClient("juliet", "r0m30").finish(b""))

    def test_challenge(self) -> None:
        """There are no challenges."""
        self.assertIs(refusal(lambda: PlainClient("juliet", "r0m30").respond(b"")), MALFORMED)

    def test_impossible(self) -> None:
        """Names and passwords that nobody can have are not sent."""
        self.assertIs(refusal(lambda: PlainClient("a b", "r0m30")), NOT_AUTHORIZED)
        self.assertIs(refusal(lambda: PlainClient("juliet", "r0m\0")), MALFORMED)

    @given(st.text("ab,=\u00fc", min_size=1), st.text("aB ,=\u00fc", min_size=1), st.text("aB@/=\u00fc"))
    def test_agree(self, username: str, password: str, authzid: str) -> None:
        """The server reads what the client wrote."""
        claim = PlainServer().respond(PlainClient(username, password, authzid).start())
        self.assertEqual(claim, Claim("PLAIN", username, authzid, password))
