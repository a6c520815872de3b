"""Tests for `xmppfed.core.negotiation.sasl`."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import FIRST_LIMIT, FRAMINGS, MECHANISMS, Client, FramingType, ToServer, auth, create, features, kinds
from xmppfed.core.element import Element
from xmppfed.core.events import Authenticated, AuthFailed, AuthRequested, KeysRequested, StreamFailed
from xmppfed.core.framing import MessageFraming
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.sasl import ReceivingSASL
from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.core.sasl.plain import PlainClient
from xmppfed.core.sasl.registry import Credentials, create_client
from xmppfed.core.sasl.scram_client import ScramClient
from xmppfed.core.sasl.steps import Claim, ClientMechanism, Offer
from xmppfed.core.stream import State
from xmppfed.errors import SASLCondition, SASLError, StreamCondition

NS = "urn:ietf:params:xml:ns:xmpp-sasl"
JULIET = JID("juliet", "b.example")
KEYS = ScramKeys.derive("sha256", "pw", b"salt", 4096)
SUCCESS = f"<success xmlns='{NS}'/>"
MECHANISMS_OF_OURS = ("SCRAM-SHA-256", "PLAIN")


def said(name: str, data: bytes | None = None) -> bytes:
    """A SASL element with its data."""
    return f"<{name} xmlns='{NS}'>{b64encode(data or b'').decode()}</{name}>".encode()


class Login(Client):
    """A client's stream on which `sasl` judges."""

    def __init__(
        self,
        framing: FramingType = MessageFraming,
        mechanisms: Sequence[str] = MECHANISMS_OF_OURS,
    ) -> None:
        super().__init__(framing)
        self.sasl = ReceivingSASL(mechanisms, create)
        self.opened()


class OfferTests(SynchronousTestCase):
    """What a stranger is offered."""

    def test_mechanisms(self) -> None:
        """In the order given, until somebody is authenticated."""
        login = Login()
        expected = f"<mechanisms xmlns='{NS}'><mechanism>SCRAM-SHA-256</mechanism><mechanism>PLAIN</mechanism></mechanisms>"
        self.assertEqual(login.sasl.offer(login.stream), expected)
        self.assertEqual(login.sasl.offer(Client().authenticated().stream), "")

    def test_none(self) -> None:
        """Nothing to offer is not offered."""
        login = Login(mechanisms=())
        self.assertEqual(login.sasl.offer(login.stream), "")


class ReceivingTests(SynchronousTestCase):
    """A peer authenticates."""

    def test_one_message(self) -> None:
        """PLAIN with its initial response: the owner judges, and a new stream follows."""
        for framing in FRAMINGS:
            login = Login(framing)
            [event] = login.receive(auth("PLAIN", b"\0juliet\0pw"))
            claim = Claim("PLAIN", "juliet", "", "pw")
            self.assertEqual(event, AuthRequested(claim))
            login.sasl.accept(login.stream, JULIET, claim)
            self.assertEqual(login.sent(), SUCCESS.encode())
            self.assertEqual(login.stream.take_events(), [Authenticated(JULIET, "PLAIN")])
            self.assertEqual((login.stream.peer, login.stream.authenticated), (JULIET, True))
            self.assertIs(login.stream.state, State.RESTARTING)

    def test_without_initial_response(self) -> None:
        """An empty challenge asks for it (RFC 6120, 6.4.2)."""
        login = Login()
        self.assertEqual(login.receive(auth("PLAIN", None)), [])
        self.assertEqual(login.sent(), f"<challenge xmlns='{NS}'/>".encode())
        self.assertEqual(kinds(login.receive(said("response", b"\0juliet\0pw"))), [AuthRequested])

    def test_scram(self) -> None:
        """Keys are asked for, challenges go out, and success carries the server's proof."""
        for framing in FRAMINGS:
            login = Login(framing)
            client = ScramClient("SCRAM-SHA-256", "juliet", "pw", "client-nonce", {})
            self.assertEqual(
                login.receive(auth("SCRAM-SHA-256", client.start())), [KeysRequested("SCRAM-SHA-256", "juliet", "sha256")]
            )
            self.assertEqual(login.sent(), b"")
            login.sasl.provide_keys(login.stream, KEYS)
            challenge = login.sent().removeprefix(f"<challenge xmlns='{NS}'>".encode()).removesuffix(b"</challenge>")
            [event] = login.receive(said("response", client.respond(b64decode(challenge))))
            assert isinstance(event, AuthRequested)
            login.sasl.accept(login.stream, JULIET, event.claim)
            success = login.sent().removeprefix(f"<success xmlns='{NS}'>".encode()).removesuffix(b"</success>")
            client.finish(b64decode(success))
            self.assertEqual(kinds(login.stream.take_events()), [Authenticated])

    def test_rejected(self) -> None:
        """The owner's no is a failure; the peer may try again."""
        login = Login()
        for _ in range(4):
            login.receive(auth("PLAIN", b"\0juliet\0pw"))
            error = SASLError(SASLCondition.NOT_AUTHORIZED, "No.")
            login.sasl.reject(login.stream, error)
            self.assertEqual(login.stream.take_events(), [AuthFailed("PLAIN", error)])
            self.assertEqual(login.sent(), error.to_xml().encode())
        self.assertIs(login.stream.state, State.NEGOTIATING)

    def test_rejected_keys(self) -> None:
        """Also where keys were asked for, when they cannot be had."""
        login = Login()
        login.receive(auth("SCRAM-SHA-256", b"n,,n=juliet,r=nonce"))
        login.sasl.reject(login.stream, SASLError(SASLCondition.TEMPORARY_AUTH_FAILURE))
        self.assertEqual(kinds(login.stream.take_events()), [AuthFailed])
        self.assertIn(b"<temporary-auth-failure/>", login.sent())

    def test_sasl_authzid(self) -> None:
        """sasl-authzid-other: what the peer wants to act as reaches the owner as it was written, and decides nothing here."""
        login = Login()
        [event] = login.receive(auth("PLAIN", b"romeo@b.example\0juliet\0pw"))
        assert isinstance(event, AuthRequested)
        self.assertEqual((event.claim.authzid, event.claim.authcid), ("romeo@b.example", "juliet"))
        login.sasl.reject(login.stream, SASLError(SASLCondition.INVALID_AUTHZID))
        self.assertIn(b"<invalid-authzid/>", login.sent())
        self.assertFalse(login.stream.authenticated)

    def test_late_answers(self) -> None:
        """Answers behind the end of the stream, or given twice, do nothing."""
        claim = Claim("PLAIN", "juliet", "", "pw")
        login = Login()
        login.receive(auth("PLAIN", b"\0juliet\0pw"))
        login.stream.close()
        login.sent()
        login.sasl.accept(login.stream, JULIET, claim)
        login.sasl.reject(login.stream, SASLError(SASLCondition.NOT_AUTHORIZED))
        login.sasl.provide_keys(login.stream, KEYS)
        self.assertEqual((login.stream.take_events(), login.sent(), login.stream.authenticated), ([], b"", False))
        login = Login()
        login.receive(auth("PLAIN", b"\0juliet\0pw"))
        login.sasl.accept(login.stream, JULIET, claim)
        login.sent()
        login.sasl.accept(login.stream, JULIET, claim)
        self.assertEqual((kinds(login.stream.take_events()), login.sent()), ([Authenticated], b""))


class RefusalTests(SynchronousTestCase):
    """What a peer must not say."""

    def failed(self, login: Login, data: bytes, condition: SASLCondition) -> None:
        [event] = login.receive(data)
        assert isinstance(event, AuthFailed), event
        self.assertIs(event.error.condition, condition)
        self.assertIn(f"<failure xmlns='{NS}'><{condition.value}/>".encode(), login.sent())
        self.assertIs(login.stream.state, State.NEGOTIATING)

    def test_mechanism_not_offered(self) -> None:
        """Also one that we know, and none at all."""
        for data in (auth("EXTERNAL"), auth("X" * 1000), auth(""), auth("PLAIN").replace(b" mechanism='PLAIN'", b"")):
            self.failed(Login(), data, SASLCondition.INVALID_MECHANISM)

    def test_mechanism_that_cannot_begin(self) -> None:
        """A mechanism may refuse to be made."""
        self.failed(Login(mechanisms=["X"]), auth("X"), SASLCondition.INVALID_MECHANISM)

    def test_not_base64(self) -> None:
        """White space, other letters, wrong length (RFC 6120, 6.4.2 and 6.5.5)."""
        for text in (b"AA AA", b"AAA", b"A=", b"?", "\u00e4".encode(), b"==", b"A===", b"AA==AA"):
            self.failed(Login(), auth("PLAIN", None).replace(b"><", b">%b<" % text), SASLCondition.INCORRECT_ENCODING)

    def test_malformed(self) -> None:
        """What the mechanism does not understand; sasl-nul-in-user among it."""
        for data in (b"", b"\0juliet", b"\0jul\0iet\0pw", b"\0juliet\0\xff"):
            self.failed(Login(), auth("PLAIN", data), SASLCondition.MALFORMED_REQUEST)
        self.failed(Login(), auth("SCRAM-SHA-256", b"n,,n=a\0b,r=c"), SASLCondition.MALFORMED_REQUEST)

    def test_response_to_nothing(self) -> None:
        """A response without an attempt, and one behind its end."""
        login = Login()
        self.failed(login, said("response"), SASLCondition.MALFORMED_REQUEST)
        self.failed(login, auth("PLAIN", b""), SASLCondition.MALFORMED_REQUEST)
        self.failed(login, said("response", b"\0juliet\0pw"), SASLCondition.MALFORMED_REQUEST)

    def test_begun_again(self) -> None:
        """One attempt at a time: a second `<auth/>` ends the first, and counts."""
        login = Login()
        login.receive(auth("PLAIN", None))
        login.sent()
        self.failed(login, auth("PLAIN", b"\0juliet\0pw"), SASLCondition.MALFORMED_REQUEST)
        self.assertEqual(kinds(login.receive(auth("PLAIN", b"\0juliet\0pw"))), [AuthRequested])

    def test_aborted(self) -> None:
        """A peer may give up, in the middle or at any time (RFC 6120, 6.4.4)."""
        login = Login()
        login.receive(auth("PLAIN", None))
        login.sent()
        self.failed(login, said("abort"), SASLCondition.ABORTED)
        self.failed(login, said("abort"), SASLCondition.ABORTED)

    def test_sasl_retry_limit(self) -> None:
        """sasl-retry-limit: the fifth failure ends the stream, whatever kinds they were (RFC 6120, 6.4.5)."""
        login = Login()
        attempts = [auth("X"), said("abort"), auth("PLAIN", b""), said("response"), auth("PLAIN", b"a\0b\0c")]
        events = login.receive(*attempts)
        login.sasl.reject(login.stream, SASLError(SASLCondition.NOT_AUTHORIZED))
        events += login.stream.take_events()
        self.assertEqual(kinds(events), [AuthFailed] * 4 + [AuthRequested, AuthFailed, StreamFailed])
        self.assertIs(login.stream.failure and login.stream.failure.condition, StreamCondition.POLICY_VIOLATION)
        self.assertEqual(login.sent().count(b"<failure "), 5)
        self.assertEqual(login.receive(auth("PLAIN", b"\0juliet\0pw")), [])

    def test_sasl_huge_initial(self) -> None:
        """sasl-huge-initial: a stranger's message has its limit before anything is decoded."""
        for framing in FRAMINGS:
            [event] = Login(framing).receive(auth("PLAIN", b"\0juliet\0" + b"p" * FIRST_LIMIT))
            assert isinstance(event, StreamFailed)
            self.assertIs(event.error.condition, StreamCondition.POLICY_VIOLATION)

    def test_authenticated_already(self) -> None:
        """Nobody becomes somebody else (RFC 6120, 6.4.6): before the restart, behind it, and later."""
        login = Login()
        login.receive(auth("PLAIN", b"\0juliet\0pw"))
        login.sasl.accept(login.stream, JULIET, Claim("PLAIN"))
        login.stream.take_events()
        for client, data, condition in (
            (login, auth("PLAIN", b"\0romeo\0pw"), StreamCondition.UNSUPPORTED_STANZA_TYPE),
            (Client().authenticated(), auth("ANONYMOUS"), StreamCondition.NOT_AUTHORIZED),
            (Client().authenticated(), said("response"), StreamCondition.NOT_AUTHORIZED),
            (Client().established(), auth("ANONYMOUS"), StreamCondition.NOT_AUTHORIZED),
        ):
            [event] = client.receive(data)
            assert isinstance(event, StreamFailed)
            self.assertIs(event.error.condition, condition)


class InitiatingTests(SynchronousTestCase):
    """We authenticate."""

    def begun(self, mechanism: ClientMechanism, framing: FramingType = MessageFraming) -> ToServer:
        wired = ToServer(framing, choose=lambda offer: mechanism).opened()
        wired.receive(features(MECHANISMS % mechanism.name))
        return wired

    def test_names_offered(self) -> None:
        """The chooser sees the names, and the channel bindings that are announced, and nothing else beside them."""
        seen: list[object] = []
        wired = ToServer(choose=lambda offer: seen.append(offer)).opened()
        bindings = "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='d'/></sasl-channel-binding>"
        wired.receive(features(MECHANISMS % "A</mechanism><x>B</x><mechanism>C", bindings))
        self.assertEqual(seen, [Offer(("A", "C"), ("d",))])

    def test_initial_response(self) -> None:
        """An empty one is `=`; where a mechanism has none the element is empty (RFC 6120, 6.4.2)."""

        class Waiting(PlainClient):
            def start(self) -> None:  # type: ignore[override]  # as the protocol allows
                return None

        for mechanism, expected in (
            (PlainClient("juliet", "pw"), auth("PLAIN", b"\0juliet\0pw")),
            (Waiting("juliet", "pw"), auth("PLAIN", None)),
        ):
            self.assertEqual(self.begun(mechanism).sent(), expected)
        wired = ToServer().opened()
        wired.receive(features(MECHANISMS % "ANONYMOUS"))
        self.assertEqual(wired.sent(), auth("ANONYMOUS", b""))

    def test_success(self) -> None:
        """A new stream follows, with our header as before; the server has given us no name yet."""
        for framing in FRAMINGS:
            wired = self.begun(PlainClient("juliet", "pw"), framing)
            wired.sent()
            self.assertEqual(wired.receive(SUCCESS), [Authenticated(None, "PLAIN")])
            self.assertIn(b" to='b.example' version='1.0'", wired.sent())
            self.assertIs(wired.stream.state, State.HEADER_SENT)

    def test_scram_with_proof(self) -> None:
        """A challenge is answered, and the server's proof judged."""
        for proof, right in ((True, True), (False, False)):
            wired = self.begun(ScramClient("SCRAM-SHA-256", "juliet", "pw", "client-nonce", {}))
            login = Login()
            login.receive(wired.sent())
            login.sasl.provide_keys(login.stream, KEYS)
            wired.receive(login.sent())
            [event] = login.receive(wired.sent())
            assert isinstance(event, AuthRequested)
            login.sasl.accept(login.stream, JULIET, event.claim)
            events = wired.receive(login.sent() if proof else SUCCESS)
            self.assertEqual(kinds(events), [Authenticated] if right else [StreamFailed])
            self.assertIs(wired.stream.authenticated, right)
            self.assertNotIn(b"<abort", wired.sent())

    def test_challenge_not_understood(self) -> None:
        """We abort, and end the stream (RFC 6120, 6.4.4)."""
        for challenge in (said("challenge", b"x"), f"<challenge xmlns='{NS}'>?</challenge>".encode()):
            wired = self.begun(PlainClient("juliet", "pw"))
            wired.sent()
            [event] = wired.receive(challenge)
            assert isinstance(event, StreamFailed)
            self.assertIs(event.error.condition, StreamCondition.NOT_AUTHORIZED)
            self.assertTrue(wired.sent().startswith(f"<abort xmlns='{NS}'/>".encode()))

    def test_refused(self) -> None:
        """The server's condition and words are told; without another way the stream ends."""
        for inside, condition, text in (
            ("<account-disabled/><text>Pay.</text>", SASLCondition.ACCOUNT_DISABLED, "Pay."),
            ("<unheard-of/>", SASLCondition.NOT_AUTHORIZED, ""),
            ("", SASLCondition.NOT_AUTHORIZED, ""),
        ):
            wired = self.begun(PlainClient("juliet", "pw"))
            [failed, ended] = wired.receive(f"<failure xmlns='{NS}'>{inside}</failure>")
            assert isinstance(failed, AuthFailed)
            self.assertEqual((failed.mechanism, failed.error.condition, failed.error.text), ("PLAIN", condition, text))
            self.assertIsInstance(ended, StreamFailed)

    def test_nothing_fits(self) -> None:
        """A chooser may say so by an error; why is told, and other features have their turn."""

        def refuse(offer: Offer) -> ClientMechanism:
            return create_client(offer, Credentials(), "", {}, encrypted=True)

        wired = ToServer(choose=refuse).opened()
        [failed, ended] = wired.receive(features(MECHANISMS % "X"))
        assert isinstance(failed, AuthFailed) and isinstance(ended, StreamFailed)
        self.assertEqual((failed.mechanism, failed.error.condition), ("", SASLCondition.INVALID_MECHANISM))
        self.assertIs(ended.error.condition, StreamCondition.UNSUPPORTED_FEATURE)

    def test_cannot_start(self) -> None:
        """A mechanism that cannot make its first message has failed."""

        class Broken(PlainClient):
            def start(self) -> bytes:
                raise SASLError(SASLCondition.MALFORMED_REQUEST)

        wired = ToServer(choose=lambda offer: Broken("juliet", "pw")).opened()
        events = wired.receive(features(MECHANISMS % "PLAIN"))
        self.assertEqual(kinds(events), [AuthFailed, StreamFailed])
        self.assertNotIn(b"<auth ", wired.sent())

    def test_what_we_did_not_begin(self) -> None:
        """SASL of the server before ours, and behind its end, is not authorized: success cannot be given away."""
        for data in (SUCCESS, f"<challenge xmlns='{NS}'/>", f"<failure xmlns='{NS}'/>"):
            wired = ToServer().opened()
            wired.receive(features(MECHANISMS % "ANONYMOUS"), SUCCESS, wired.header())
            wired.stream.offered = None
            wired.stream.state = State.NEGOTIATING
            [event] = wired.receive(data)
            assert isinstance(event, StreamFailed)
            self.assertIs(event.error.condition, StreamCondition.NOT_AUTHORIZED)

    def test_not_offered(self) -> None:
        """Where no mechanisms are offered, nothing begins; neither does it twice, nor behind authentication."""
        wired = ToServer().opened()
        offer = Element("features", "")
        self.assertFalse(wired.sasl.start(wired.stream, offer))
        offer.add("mechanisms", NS).add("mechanism", text="ANONYMOUS")
        self.assertTrue(wired.sasl.start(wired.stream, offer))
        self.assertFalse(wired.sasl.start(wired.stream, offer))
