"""Tests for `xmppfed.core.sasl.scram_client`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.sasl.exchange import refusal
from xmppfed.core.sasl.scram_client import MAX_ITERATIONS, MIN_ITERATIONS, ScramClient
from xmppfed.errors import SASLCondition, SASLError

MALFORMED, NOT_AUTHORIZED = SASLCondition.MALFORMED_REQUEST, SASLCondition.NOT_AUTHORIZED
NONCE = "fyko+d2lbbFgONRv9qkxdawL"
SERVER_FIRST = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
CLIENT_FINAL = b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
SERVER_FINAL = b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="


def client(name: str = "SCRAM-SHA-1", bindings: dict[str, bytes] | None = None, authzid: str = "") -> ScramClient:
    """The client of RFC 5802, 5."""
    return ScramClient(name, "user", "pencil", NONCE, bindings or {}, authzid)


def answered() -> ScramClient:
    """A client that has sent its proof."""
    answering = client()
    answering.respond(SERVER_FIRST)
    return answering


class KnownAnswerTests(SynchronousTestCase):
    """The examples in the RFCs."""

    def test_sha1(self) -> None:
        """RFC 5802, 5."""
        mechanism = client()
        self.assertEqual(mechanism.start(), b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL")
        self.assertEqual(mechanism.respond(SERVER_FIRST), CLIENT_FINAL)
        self.assertIsNone(mechanism.finish(SERVER_FINAL))

    def test_sha256(self) -> None:
        """RFC 7677, 3."""
        nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        mechanism = ScramClient("SCRAM-SHA-256", "user", "pencil", "rOprNGfwEbeRWgbNEkqO", {})
        self.assertEqual(mechanism.start(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        final = mechanism.respond(b"r=" + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
        self.assertEqual(final, b"c=biws,r=" + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
        self.assertIsNone(mechanism.finish(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))


class StartTests(SynchronousTestCase):
    """The client-first-message says what the client wants and sees."""

    def test_binding(self) -> None:
        """-PLUS binds by the first type there is (RFC 5802, 6)."""
        bindings = {"tls-exporter": b"e", "tls-server-end-point": b"p"}
        mechanism = client("SCRAM-SHA-1-PLUS", bindings)
        self.assertEqual(mechanism.start(), f"p=tls-exporter,,n=user,r={NONCE}".encode())
        self.assertTrue(mechanism.respond(SERVER_FIRST).startswith(b"c=cD10bHMtZXhwb3J0ZXIsLGU=,"))

    def test_not_offered(self) -> None:
        """A client that could bind says `y` when the server seems unable to: this uncovers who removed -PLUS."""
        self.assertTrue(client(bindings={"tls-exporter": b"e"}).start().startswith(b"y,,"))

    def test_names(self) -> None:
        """The username is prepared, and both names are escaped."""
        mechanism = ScramClient("SCRAM-SHA-1", "U,ser", "pencil", "n", {}, "a=b")
        self.assertEqual(mechanism.start(), b"n,a=a=3Db,n=u=2Cser,r=n")

    def test_impossible_username(self) -> None:
        """A username nobody can have is not sent."""
        self.assertIs(refusal(lambda: ScramClient("SCRAM-SHA-1", "a b", "pencil", "n", {})), NOT_AUTHORIZED)

    def test_impossible_password(self) -> None:
        """A password nobody can have is not hashed."""
        mechanism = ScramClient("SCRAM-SHA-1", "user", "", NONCE, {})
        self.assertIs(refusal(lambda: mechanism.respond(SERVER_FIRST)), MALFORMED)


class ServerFirstTests(SynchronousTestCase):
    """The client gives no proof to a server that asks for a weak or foreign one."""

    def test_iterations(self) -> None:
        """Too few iterations make the password easy to guess, too many keep us busy: both are refused."""
        for iterations in (1, MIN_ITERATIONS - 1, MAX_ITERATIONS + 1, 9_999_999_999):
            message = SERVER_FIRST.replace(b"4096", str(iterations).encode())
            condition = refusal(lambda message=message: client().respond(message))
            self.assertIs(condition, SASLCondition.MECHANISM_TOO_WEAK, iterations)

    def test_nonce(self) -> None:
        """The nonce of the server begins with ours and is longer (RFC 5802, 5.1)."""
        for nonce in (NONCE, NONCE[:-1] + "M123", "x" + NONCE, "x"):
            message = f"r={nonce},s=QSXCR+Q6sek8bf92,i=4096".encode()
            with self.assertRaisesRegex(SASLError, "malformed-request: the nonce of the server does not extend ours"):
                client().respond(message)

    def test_extensions(self) -> None:
        """Optional extensions are passed over, the reserved `m=` is refused."""
        self.assertTrue(client().respond(SERVER_FIRST + b",h=x"))
        for message in (SERVER_FIRST + b",m=x", b"m=x," + SERVER_FIRST):
            self.assertIs(refusal(lambda message=message: client().respond(message)), MALFORMED, message)

    def test_malformed(self) -> None:
        """What is no server-first-message is refused."""
        for message in (
            b"",
            b"e=other-error",
            SERVER_FIRST + b",",
            SERVER_FIRST + b"\0",
            SERVER_FIRST.replace(b"4096", b"04096"),
            SERVER_FIRST.replace(b"4096", b"-1"),
            SERVER_FIRST.replace(b"4096", b"99999999999"),
            SERVER_FIRST.replace(b"4096", "\u0664096".encode()),
            SERVER_FIRST.replace(b"QSXC", b"*"),
            SERVER_FIRST.replace(b"QSXCR+Q6sek8bf92", b""),
            b"\xff" + SERVER_FIRST,
        ):
            self.assertIs(refusal(lambda message=message: client().respond(message)), MALFORMED, message)


class ServerFinalTests(SynchronousTestCase):
    """The server has to prove itself."""

    def test_as_challenge(self) -> None:
        """The proof may come as a challenge; then success carries nothing (RFC 6120, 6.4.6)."""
        mechanism = answered()
        self.assertEqual(mechanism.respond(SERVER_FINAL), b"")
        self.assertIsNone(mechanism.finish(b""))

    def test_extensions(self) -> None:
        """Optional extensions behind the verifier are passed over."""
        self.assertIsNone(answered().finish(SERVER_FINAL + b",x=y"))

    def test_not_proven(self) -> None:
        """Success without proof, or with a wrong one, is no success."""
        for data in (b"", b"e=invalid-proof", b"v=", b"v=cm1GOQ==", SERVER_FINAL + b",m=x", b"x" + SERVER_FINAL):
            self.assertIs(refusal(lambda data=data: answered().finish(data)), NOT_AUTHORIZED, data)
            self.assertIs(refusal(lambda data=data: answered().respond(data)), NOT_AUTHORIZED, data)

    def test_malformed(self) -> None:
        """A proof that is not text or not base64 is no proof."""
        for data in (b"\xff", b"v=*", b"v=rmF9pqV8S7suAoZWja4dJRkFsKR=", SERVER_FINAL + b"\0"):
            self.assertIs(refusal(lambda data=data: answered().finish(data)), MALFORMED, data)

    def test_too_early(self) -> None:
        """A server that ends the login before it had to prove anything is refused."""
        self.assertIs(refusal(lambda: client().finish(b"")), MALFORMED)
        self.assertIs(refusal(lambda: client().finish(SERVER_FINAL)), MALFORMED)

    def test_too_much(self) -> None:
        """After the proof nothing is due: neither a challenge nor data with success."""
        for end in (ScramClient.finish, ScramClient.respond):
            mechanism = answered()
            mechanism.respond(SERVER_FINAL)
            self.assertIs(refusal(lambda end=end, mechanism=mechanism: end(mechanism, SERVER_FINAL)), MALFORMED)

    def test_after_failure(self) -> None:
        """A server that failed once cannot try again."""
        mechanism = answered()
        self.assertIs(refusal(lambda: mechanism.respond(b"v=cm1GOQ==")), NOT_AUTHORIZED)
        self.assertIs(refusal(lambda: mechanism.finish(SERVER_FINAL)), MALFORMED)


class PropertyTests(SynchronousTestCase):
    """What holds for all bytes."""

    @given(
        st.binary() | st.from_regex(rb"r=fyko\+d2lbbFgONRv9qkxdawL[!-+]{0,3},s=[^,]{1,8},i=[0-9]{1,4}(,.=.)?", fullmatch=True),
        st.binary() | st.from_regex(rb"v=[^,]{1,32}(,.=.)?", fullmatch=True),
    )
    def test_no_other_error(self, server_first: bytes, server_final: bytes) -> None:
        """Any bytes are answered or refused with `SASLError`, and a server that guesses never proves itself."""
        mechanism = client()
        with self.assertRaises(SASLError):
            mechanism.respond(server_first)
            mechanism.finish(server_final)
