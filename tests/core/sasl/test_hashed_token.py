"""Tests for `xmppfed.core.sasl.hashed_token`."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.sasl.exchange import refusal
from xmppfed.core.sasl.hashed_token import HashedTokenClient, HashedTokenServer, TokenProof, token_mechanisms
from xmppfed.core.sasl.steps import Claim
from xmppfed.errors import SASLCondition, SASLError

BINDINGS = {"tls-exporter": b"e" * 32, "tls-server-end-point": b"p" * 32}
NAMES = ["HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"]


def proof(data: bytes, name: str = "HT-SHA-256-NONE", bindings: dict[str, bytes] = BINDINGS) -> TokenProof:
    """What a server makes of a message."""
    found = HashedTokenServer(name, bindings).respond(data).proof
    assert found is not None
    return found


class MechanismTests(SynchronousTestCase):
    """Which fit a stream."""

    def test_names(self) -> None:
        """Those whose channel binding exists, best first."""
        self.assertEqual(token_mechanisms(BINDINGS), NAMES)
        self.assertEqual(token_mechanisms(["tls-server-end-point"]), NAMES[1:])
        self.assertEqual(token_mechanisms([]), NAMES[2:])

    def test_known_answer(self) -> None:
        """What is hashed: the role, and the data of the binding (draft-schmaus-kitten-sasl-ht, 3)."""
        for name, binding in zip(NAMES, (b"e" * 32, b"p" * 32, b""), strict=True):
            client = HashedTokenClient(name, "juliet", "secret", BINDINGS)
            message = b"juliet\0" + hmac.digest(b"secret", b"Initiator" + binding, "sha256")
            self.assertEqual(client.start(), message)
            self.assertTrue(proof(message, name).fits("secret"))
            answer = proof(message, name).answer("secret")
            self.assertEqual(answer, hmac.digest(b"secret", b"Responder" + binding, "sha256"))
            client.finish(answer)

    def test_claim(self) -> None:
        """The username is prepared; nothing is judged yet, and the answer is still to be made."""
        claim = HashedTokenServer("HT-SHA-256-NONE", {}).respond(b"JULIET\0" + b"h" * 32)
        self.assertEqual(claim, Claim("HT-SHA-256-NONE", "juliet", proof=TokenProof(b"h" * 32, b"")))

    def test_username_of_the_client(self) -> None:
        """It is prepared too; one that nobody can have is not sent."""
        self.assertTrue(HashedTokenClient("HT-SHA-256-NONE", "JULIET", "t", {}).start().startswith(b"juliet\0"))
        condition = refusal(lambda: HashedTokenClient("HT-SHA-256-NONE", "a b", "t", {}))
        self.assertIs(condition, SASLCondition.NOT_AUTHORIZED)


class RefusalTests(SynchronousTestCase):
    """What proves nothing."""

    def test_other_token(self) -> None:
        """A proof of another token, of none, or of the server's own kind."""
        message = HashedTokenClient("HT-SHA-256-NONE", "juliet", "secret", {}).start()
        self.assertFalse(proof(message).fits("secret2"))
        for hashed in (b"", b"\0" * 32, message[7:-1], message[7:] + b"x", proof(message).answer("secret")):
            self.assertFalse(proof(b"juliet\0" + hashed).fits("secret"))

    def test_other_channel(self) -> None:
        """A proof for another channel, or another kind of binding."""
        message = HashedTokenClient("HT-SHA-256-EXPR", "juliet", "secret", {"tls-exporter": b"other"}).start()
        for name in NAMES:
            self.assertFalse(proof(message, name).fits("secret"))

    def test_malformed(self) -> None:
        """A message without a NUL, or with a name that is no text; a name nobody can have is a wrong one."""
        for data in (b"", b"juliet", b"\xff\0" + b"h" * 32):
            self.assertIs(refusal(lambda data=data: proof(data)), SASLCondition.MALFORMED_REQUEST)
        for data in (b"\0" + b"h" * 32, b"a b\0" + b"h" * 32):
            self.assertIs(refusal(lambda data=data: proof(data)), SASLCondition.NOT_AUTHORIZED)

    def test_server_without_proof(self) -> None:
        """A server that does not know the token is refused, and so is a challenge."""
        client = HashedTokenClient("HT-SHA-256-NONE", "juliet", "secret", {})
        for data in (b"", b"\0" * 32, client.start()[7:]):
            self.assertIs(refusal(lambda data=data: client.finish(data)), SASLCondition.NOT_AUTHORIZED)
        self.assertIs(refusal(lambda: client.respond(b"")), SASLCondition.MALFORMED_REQUEST)

    def test_not_shown(self) -> None:
        """The text of a claim does not hold the proof."""
        self.assertNotIn("hhh", repr(HashedTokenServer("HT-SHA-256-NONE", {}).respond(b"juliet\0" + b"h" * 32)))

    @given(st.binary())
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are a claim that proves nothing, or refused."""
        try:
            found = proof(data)
        except SASLError:
            return
        self.assertFalse(found.fits("secret"))
