"""Tests for `xmppfed.core.sasl.scram_server`."""

from __future__ import annotations

from base64 import b64decode, b64encode

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.sasl.exchange import refusal
from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.core.sasl.scram_server import ScramServer
from xmppfed.core.sasl.steps import Challenge, Claim, KeysNeeded
from xmppfed.errors import SASLCondition, SASLError

MALFORMED, NOT_AUTHORIZED = SASLCondition.MALFORMED_REQUEST, SASLCondition.NOT_AUTHORIZED
BINDINGS = {"tls-exporter": b"exporter", "tls-server-end-point": b"end-point"}
KEYS = ScramKeys.derive("sha1", "pencil", b64decode("QSXCR+Q6sek8bf92"), 4096)
CLIENT_FIRST = b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
NONCE = "3rfcNHYJY1ZVvWVs7j"
SERVER_FIRST = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
UNPROVEN = b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"
CLIENT_FINAL = UNPROVEN + b",p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="


def first(message: bytes, name: str = "SCRAM-SHA-1", bindings: dict[str, bytes] | None = None) -> object:
    """What the server says to a client-first-message."""
    return ScramServer(name, NONCE, bindings or {}).respond(message)


def challenged() -> ScramServer:
    """A server in the middle of the login of RFC 5802, 5."""
    server = ScramServer("SCRAM-SHA-1", NONCE, {})
    server.respond(CLIENT_FIRST)
    server.provide(KEYS)
    return server


class KnownAnswerTests(SynchronousTestCase):
    """The examples in the RFCs."""

    def test_sha1(self) -> None:
        """RFC 5802, 5."""
        server = ScramServer("SCRAM-SHA-1", NONCE, {})
        self.assertEqual(server.respond(CLIENT_FIRST), KeysNeeded("user", "sha1"))
        self.assertEqual(server.provide(KEYS), Challenge(SERVER_FIRST))
        final = b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="
        self.assertEqual(server.respond(CLIENT_FINAL), Claim("SCRAM-SHA-1", "user", final=final))

    def test_sha256(self) -> None:
        """RFC 7677, 3."""
        nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        server = ScramServer("SCRAM-SHA-256", nonce.removeprefix("rOprNGfwEbeRWgbNEkqO"), {})
        self.assertEqual(server.respond(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), KeysNeeded("user", "sha256"))
        keys = ScramKeys.derive("sha256", "pencil", b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
        self.assertEqual(server.provide(keys), Challenge(f"r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()))
        claim = server.respond(f"c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".encode())
        final = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        self.assertEqual(claim, Claim("SCRAM-SHA-256", "user", final=final))


class ClientFirstTests(SynchronousTestCase):
    """The client-first-message is read strictly (RFC 5802, 7)."""

    def test_username(self) -> None:
        """The username is unescaped and prepared before it is looked up."""
        self.assertEqual(first(b"n,,n=J=3Dul=2CIET,r=n"), KeysNeeded("j=ul,iet", "sha1"))

    def test_extensions(self) -> None:
        """Optional extensions are passed over."""
        self.assertEqual(first(b"n,,n=user,r=n,x=\xc3\xbc,y=="), KeysNeeded("user", "sha1"))

    def test_longest_nonce(self) -> None:
        """A nonce has 1 to 256 characters."""
        self.assertEqual(first(b"n,,n=user,r=" + b"!" * 256), KeysNeeded("user", "sha1"))
        self.assertIs(refusal(lambda: first(b"n,,n=user,r=" + b"!" * 257)), MALFORMED)

    def test_impossible_username(self) -> None:
        """A name nobody can have gets the answer of a wrong password."""
        self.assertIs(refusal(lambda: first(b"n,,n=a b,r=n")), NOT_AUTHORIZED)

    def test_malformed(self) -> None:
        """What is no client-first-message is refused."""
        for message in (
            b"",
            b"n",
            b"n,",
            b"n,,",
            b",,n=user,r=n",
            b"N,,n=user,r=n",
            b"x,,n=user,r=n",
            b"n=user,r=n",
            b"n,n=user,r=n",
            b"n,user,n=user,r=n",
            b"n,a=,n=user,r=n",
            b"n,a==,n=user,r=n",
            b"n,,n=,r=n",
            b"n,,n==,r=n",
            b"n,,n=us=er,r=n",
            b"n,,n=user,r=",
            b"n,,n=user,r=a b",
            b"n,,n=user,r=\xc3\xbc",
            b"n,,n=user",
            b"n,,r=n,n=user",
            b"n,,n=user,r=n,",
            b"n,,n=user,r=n,x",
            b"n,,n=user,r=n,x=",
            b"n,,n=user,r=n,1=x",
            b"n,,n=us\0er,r=n",
            b"n,,n=\xff,r=n",
            b"p=,,n=user,r=n",
            b"p=tls/x,,n=user,r=n",
        ):
            self.assertIs(refusal(lambda message=message: first(message)), MALFORMED, message)

    def test_mandatory_extension(self) -> None:
        """The reserved `m=` must fail, first or last (RFC 5802, 5.1)."""
        for message in (b"n,,m=x,n=user,r=n", b"n,,n=user,r=n,m=x"):
            self.assertIs(refusal(lambda message=message: first(message)), MALFORMED, message)


class ChannelBindingTests(SynchronousTestCase):
    """Channel binding is used when it can be (RFC 5802, 6)."""

    def test_downgrade(self) -> None:
        """`y` is refused where -PLUS was offered: somebody took it out of the list."""
        self.assertIs(refusal(lambda: first(b"y,,n=user,r=n", bindings=BINDINGS)), NOT_AUTHORIZED)

    def test_no_downgrade(self) -> None:
        """`y` is fine where -PLUS was not offered, and `n` always."""
        self.assertEqual(first(b"y,,n=user,r=n"), KeysNeeded("user", "sha1"))
        self.assertEqual(first(b"n,,n=user,r=n", bindings=BINDINGS), KeysNeeded("user", "sha1"))

    def test_unknown_type(self) -> None:
        """A binding type that this stream does not have is refused, and the error says which it has."""
        with self.assertRaises(SASLError) as caught:
            first(b"p=tls-unique,,n=user,r=n", "SCRAM-SHA-1-PLUS", BINDINGS)
        self.assertIs(caught.exception.condition, MALFORMED)
        self.assertIn("wanted one of: tls-exporter, tls-server-end-point", caught.exception.text)

    def test_flag_fits_mechanism(self) -> None:
        """Mechanisms without -PLUS do not bind, and who chose -PLUS cannot say that it was not offered."""
        self.assertIs(refusal(lambda: first(b"p=tls-exporter,,n=user,r=n", bindings=BINDINGS)), MALFORMED)
        self.assertIs(refusal(lambda: first(b"y,,n=user,r=n", "SCRAM-SHA-1-PLUS", BINDINGS)), NOT_AUTHORIZED)

    def test_unable_to_bind(self) -> None:
        """A client that chose -PLUS and cannot bind is logged in, by the plain mechanism (StanzaJS chooses so)."""
        server = ScramServer("SCRAM-SHA-1-PLUS", "s", BINDINGS)
        self.assertEqual(server.respond(b"n,,n=user,r=c"), KeysNeeded("user", "sha1"))
        self.assertEqual(server.name, "SCRAM-SHA-1")

    def test_binding_removed(self) -> None:
        """Who turns the `p` of a client into an `n` on the way is found out: the client repeats its own header."""
        server = ScramServer("SCRAM-SHA-1-PLUS", "s", BINDINGS)
        server.respond(b"n,,n=user,r=c")
        server.provide(KEYS)
        data = b64encode(b"p=tls-exporter,,exporter")
        with self.assertRaisesRegex(SASLError, "not-authorized: the channel binding does not match"):
            server.respond(b"c=" + data + b",r=cs,p=" + b64encode(b"p" * 20))

    def test_data_is_compared(self) -> None:
        """The client must repeat its header and the data of the binding it chose."""
        for data in (b"p=tls-exporter,,end-point", b"p=tls-server-end-point,,exporter", b"p=tls-exporter,,", b"n,,"):
            server = ScramServer("SCRAM-SHA-1-PLUS", "s", BINDINGS)
            server.respond(b"p=tls-exporter,,n=user,r=c")
            server.provide(KEYS)
            message = b"c=" + b64encode(data) + b",r=cs,p=" + b64encode(b"p" * 20)
            with self.assertRaisesRegex(SASLError, "not-authorized: the channel binding does not match"):
                server.respond(message)


class ClientFinalTests(SynchronousTestCase):
    """The client-final-message is read strictly, and proves the password."""

    def test_other_nonce(self) -> None:
        """A message of another login is refused."""
        with self.assertRaisesRegex(SASLError, "not-authorized: the nonce is not the one of this login"):
            challenged().respond(CLIENT_FINAL.replace(b"Vs7j,", b"Vs7k,"))

    def test_wrong_proof(self) -> None:
        """A proof of something else is refused, whatever its length."""
        for proof in (b"proof", b"p" * 20, b"p" * 32):
            with self.assertRaisesRegex(SASLError, "not-authorized: wrong username or password"):
                challenged().respond(UNPROVEN + b",p=" + b64encode(proof))

    def test_proof_covers_extensions(self) -> None:
        """An extension that was slipped in spoils the proof."""
        self.assertIs(refusal(lambda: challenged().respond(UNPROVEN + b",x=y" + CLIENT_FINAL[len(UNPROVEN) :])), NOT_AUTHORIZED)

    def test_malformed(self) -> None:
        """What is no client-final-message is refused."""
        for message in (
            b"",
            UNPROVEN,
            UNPROVEN + b",p=",
            UNPROVEN + b",p=*",
            UNPROVEN + b",p=v0X8v3Bz2T0CJGbJQyF0X+HI4Tt=",
            UNPROVEN + b",m=x" + CLIENT_FINAL[len(UNPROVEN) :],
            CLIENT_FINAL + b",x=y",
            CLIENT_FINAL + b"\0",
            CLIENT_FINAL.replace(b"biws", b"bi=s"),
            CLIENT_FINAL.replace(b"biws", b""),
            CLIENT_FINAL.replace(b"biws", b"\xff"),
            CLIENT_FINAL.removeprefix(b"c=biws,"),
        ):
            self.assertIs(refusal(lambda message=message: challenged().respond(message)), MALFORMED, message)


class OrderTests(SynchronousTestCase):
    """Messages come in their turn."""

    def test_before_the_keys(self) -> None:
        """Who answers before the challenge is refused."""
        server = ScramServer("SCRAM-SHA-1", NONCE, {})
        server.respond(CLIENT_FIRST)
        self.assertIs(refusal(lambda: server.respond(CLIENT_FINAL)), MALFORMED)

    def test_after_the_claim(self) -> None:
        """Nothing follows a claim."""
        server = challenged()
        server.respond(CLIENT_FINAL)
        self.assertIs(refusal(lambda: server.respond(CLIENT_FINAL)), MALFORMED)

    def test_one_guess(self) -> None:
        """After a wrong proof the right one comes too late: one login is one guess."""
        server = challenged()
        self.assertIs(refusal(lambda: server.respond(UNPROVEN + b",p=" + b64encode(b"p" * 20))), NOT_AUTHORIZED)
        self.assertIs(refusal(lambda: server.respond(CLIENT_FINAL)), MALFORMED)


class PropertyTests(SynchronousTestCase):
    """What holds for all bytes."""

    @given(
        st.sampled_from(["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"]),
        st.binary() | st.from_regex(rb"[nyp](=tls-exporter)?,(a=[^,]+)?,n=[^,]+,r=[!-+]{1,9}(,x=[^,])?", fullmatch=True),
        st.binary() | st.from_regex(rb"c=[a-z]{4},r=[!-+]{1,9},p=[a-zA-Z]{4}", fullmatch=True),
    )
    @example("SCRAM-SHA-1", CLIENT_FIRST, UNPROVEN + b",p=AAAA")
    def test_no_other_error(self, name: str, client_first: bytes, client_final: bytes) -> None:
        """Any bytes are answered with a step or a `SASLError`, and guessing never ends in a claim."""
        server = ScramServer(name, NONCE, BINDINGS)
        try:
            self.assertIsInstance(server.respond(client_first), KeysNeeded)
            server.provide(KEYS)
            server.respond(client_final)
        except SASLError:
            return
        self.fail("a claim came of nothing")
