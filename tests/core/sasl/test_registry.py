"""Tests for `xmppfed.core.sasl.registry`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.sasl.exchange import refusal
from xmppfed.core.sasl.anonymous import AnonymousClient, AnonymousServer
from xmppfed.core.sasl.external import ExternalClient, ExternalServer
from xmppfed.core.sasl.hashed_token import HashedTokenClient, HashedTokenServer
from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.core.sasl.plain import PlainClient, PlainServer
from xmppfed.core.sasl.registry import Credentials, Token, create_client, create_server, offered
from xmppfed.core.sasl.scram import offer_hash
from xmppfed.core.sasl.scram_client import ScramClient
from xmppfed.core.sasl.scram_server import ScramServer
from xmppfed.core.sasl.steps import ClientMechanism, Offer
from xmppfed.errors import SASLCondition, SASLError

BINDINGS = {"tls-exporter": b"e"}
PLUS = ["SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"]
SCRAM = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"]
JULIET = Credentials("juliet", "r0m30", "juliet@example.org")


def chosen(
    offer: list[str], credentials: Credentials = JULIET, bindings: dict[str, bytes] | None = None, encrypted: bool = True
) -> ClientMechanism:
    """The mechanism a client takes from `offer`."""
    return create_client(Offer(offer), credentials, "nonce", bindings or {}, encrypted=encrypted)


class OfferedTests(SynchronousTestCase):
    """A stream offers what fits it."""

    def test_all(self) -> None:
        """Strongest first: certificate, SCRAM with and without binding, PLAIN; guests last."""
        names = offered(bindings=BINDINGS, encrypted=True, external=True, anonymous=True)
        self.assertEqual(names, ["EXTERNAL", *PLUS, *SCRAM, "PLAIN", "ANONYMOUS"])

    def test_no_binding(self) -> None:
        """Without a channel binding there is no -PLUS."""
        self.assertEqual(offered(bindings=(), encrypted=True), [*SCRAM, "PLAIN"])

    def test_not_encrypted(self) -> None:
        """Without encryption there is no PLAIN."""
        self.assertEqual(offered(bindings=(), encrypted=False), SCRAM)

    def test_no_passwords(self) -> None:
        """Where nobody has a password there is neither SCRAM nor PLAIN."""
        self.assertEqual(offered(bindings=BINDINGS, encrypted=True, passwords=False, external=True), ["EXTERNAL"])
        self.assertEqual(offered(bindings=BINDINGS, encrypted=True, passwords=False), [])


class CreateServerTests(SynchronousTestCase):
    """The receiving side of each mechanism."""

    def test_each(self) -> None:
        """Every mechanism that can be offered can be made, and knows its name."""
        tokens = ["HT-SHA-256-EXPR", "HT-SHA-256-NONE"]
        kinds: dict[str, type[object]] = {"EXTERNAL": ExternalServer, "PLAIN": PlainServer, "ANONYMOUS": AnonymousServer}
        kinds |= dict.fromkeys(tokens, HashedTokenServer)
        for name in [*offered(bindings=BINDINGS, encrypted=True, external=True, anonymous=True), *tokens]:
            mechanism = create_server(name, "nonce", BINDINGS)
            self.assertIsInstance(mechanism, kinds.get(name, ScramServer))
            self.assertEqual(mechanism.name, name)

    def test_unknown(self) -> None:
        """Other names, and -PLUS without a binding, are refused."""
        for name in ("", "plain", "DIGEST-MD5", "SCRAM-SHA-224", "SCRAM-SHA-1-PLUS", "PLAIN-PLUS", "HT-SHA-256-EXPR"):
            condition = refusal(lambda name=name: create_server(name, "nonce", {}))
            self.assertIs(condition, SASLCondition.INVALID_MECHANISM, name)

    def test_arguments(self) -> None:
        """The nonce, the bindings and what is offered beside reach the mechanism."""
        mechanism = create_server("SCRAM-SHA-1", "nonce", BINDINGS)
        self.assertIs(refusal(lambda: mechanism.respond(b"y,,n=user,r=n")), SASLCondition.NOT_AUTHORIZED)
        mechanism = create_server("SCRAM-SHA-1", "nonce", {}, SCRAM)
        assert isinstance(mechanism, ScramServer)
        mechanism.respond(b"n,,n=user,r=n")
        keys = ScramKeys.derive("sha1", "pencil", b"salt", 4096)
        self.assertIn(b",h=" + offer_hash("sha1", Offer(SCRAM)).encode(), mechanism.provide(keys).data)


class CreateClientTests(SynchronousTestCase):
    """The initiating side of the best mechanism."""

    def test_strongest(self) -> None:
        """The order of the server's list means nothing, strength does."""
        self.assertEqual(chosen(["PLAIN", "X", "SCRAM-SHA-1", "SCRAM-SHA-256"]).name, "SCRAM-SHA-256")

    def test_plus(self) -> None:
        """With a binding even the weakest -PLUS comes before all others, and binds."""
        mechanism = chosen([*SCRAM, "SCRAM-SHA-1-PLUS"], bindings=BINDINGS)
        self.assertIsInstance(mechanism, ScramClient)
        self.assertEqual(mechanism.start(), b"p=tls-exporter,a=juliet@example.org,n=juliet,r=nonce")

    def test_no_plus(self) -> None:
        """Without a binding -PLUS is passed over."""
        self.assertEqual(chosen([*PLUS, "SCRAM-SHA-1"]).name, "SCRAM-SHA-1")

    def test_plain(self) -> None:
        """PLAIN is the last resort."""
        mechanism = chosen(["PLAIN"])
        self.assertIsInstance(mechanism, PlainClient)
        self.assertEqual(mechanism.start(), b"juliet@example.org\0juliet\0r0m30")

    def test_plain_needs_encryption(self) -> None:
        """No password goes over an open stream, and the error says what could have been used."""
        with self.assertRaises(SASLError) as caught:
            chosen(["PLAIN"], encrypted=False)
        self.assertIs(caught.exception.condition, SASLCondition.INVALID_MECHANISM)
        self.assertIn(", ".join(SCRAM), caught.exception.text)

    def test_external(self) -> None:
        """A certificate comes before a password, where there is one."""
        mechanism = chosen(["PLAIN", "EXTERNAL"], Credentials("juliet", "r0m30", "a@b", certificate=True))
        self.assertIsInstance(mechanism, ExternalClient)
        self.assertEqual(mechanism.start(), b"a@b")
        self.assertEqual(chosen(["PLAIN", "EXTERNAL"]).name, "PLAIN")

    def test_anonymous(self) -> None:
        """Nobody becomes a guest without wishing it."""
        self.assertIsInstance(chosen(["ANONYMOUS"], Credentials(anonymous=True)), AnonymousClient)
        for credentials in (JULIET, Credentials(certificate=True), Credentials()):
            condition = refusal(lambda credentials=credentials: chosen(["ANONYMOUS"], credentials))
            self.assertIs(condition, SASLCondition.INVALID_MECHANISM)

    def test_no_credentials(self) -> None:
        """Without credentials the error says so."""
        with self.assertRaisesRegex(SASLError, "none, for there are no credentials"):
            chosen(SCRAM, Credentials())

    def test_binding_announced(self) -> None:
        """Of several bindings the first that the server announces is used (XEP-0440)."""
        bindings = {"tls-exporter": b"e", "tls-server-end-point": b"p"}
        for announced, header in (
            (("tls-server-end-point", "x"), b"p=tls-server-end-point,"),
            (("tls-server-end-point", "tls-exporter"), b"p=tls-exporter,"),
            ((), b"p=tls-exporter,"),
        ):
            mechanism = create_client(Offer(PLUS, announced), JULIET, "nonce", bindings, encrypted=True)
            self.assertTrue((mechanism.start() or b"").startswith(header), announced)

    def test_binding_not_announced(self) -> None:
        """Where the server announces none of ours we bind nothing, and do not call it a downgrade (XEP-0474, 5)."""
        mechanism = create_client(Offer([*PLUS, *SCRAM], ["x"]), JULIET, "nonce", BINDINGS, encrypted=True)
        self.assertEqual(mechanism.name, "SCRAM-SHA-512")
        self.assertTrue((mechanism.start() or b"").startswith(b"n,"))

    def test_token(self) -> None:
        """Who has a token logs in by that, whatever else is offered."""
        credentials = Credentials("juliet", "r0m30", token=Token("HT-SHA-256-EXPR", "secret"))
        offer = Offer([*PLUS, *SCRAM], (), ["HT-SHA-256-NONE", "HT-SHA-256-EXPR"])
        mechanism = create_client(offer, credentials, "nonce", BINDINGS, encrypted=True)
        self.assertIsInstance(mechanism, HashedTokenClient)
        self.assertEqual(mechanism.start(), HashedTokenClient("HT-SHA-256-EXPR", "juliet", "secret", BINDINGS).start())

    def test_token_does_not_fit(self) -> None:
        """A token is good for one mechanism; the error says what the server takes."""
        credentials = Credentials("juliet", "r0m30", token=Token("HT-SHA-256-EXPR", "secret"))
        for bindings, tokens, text in (
            (BINDINGS, ["HT-SHA-256-NONE"], "no token by HT-SHA-256-EXPR here, but by: HT-SHA-256-NONE"),
            (BINDINGS, [], "but by: nothing"),
            ({}, ["HT-SHA-256-EXPR"], "no token by HT-SHA-256-EXPR here"),
        ):
            with self.assertRaisesRegex(SASLError, f"invalid-mechanism: .*{text}"):
                create_client(Offer(SCRAM, (), tokens), credentials, "nonce", bindings, encrypted=True)

    def test_offer_is_checked(self) -> None:
        """SCRAM is told what was offered, to find out who changed it (XEP-0474)."""
        mechanism = create_client(Offer(SCRAM), JULIET, "nonce", {}, encrypted=True)
        self.assertIs(refusal(lambda: mechanism.respond(b"r=nonceX,s=QSXC,i=4096,h=x")), SASLCondition.NOT_AUTHORIZED)

    def test_password_is_not_shown(self) -> None:
        """The text of credentials does not hold the password."""
        self.assertNotIn("r0m30", repr(JULIET))
        self.assertNotIn("secret", repr(Credentials(token=Token("HT-SHA-256-NONE", "secret"))))
