"""Tests for `xmppfed.core.negotiation.sasl2`. What it shares with SASL is tested in `test_sasl` and `test_exchange`."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import (
    AUTHENTICATION,
    BIND,
    BIND2,
    FRAMINGS,
    LIMIT,
    MECHANISMS,
    USER_AGENT,
    Client,
    FramingType,
    SecureClient,
    ToServer,
    ToServer2,
    auth,
    authenticate,
    create,
    features,
    kinds,
)
from xmppfed.core.element import Element
from xmppfed.core.events import (
    Authenticated,
    AuthFailed,
    AuthRequested,
    BindRequested,
    Bound,
    Established,
    Event,
    KeysRequested,
    StreamFailed,
)
from xmppfed.core.framing import MessageFraming
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.sasl2 import ReceivingSASL2, user_agent_id
from xmppfed.core.sasl.hashed_token import HashedTokenClient
from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.core.sasl.plain import PlainClient
from xmppfed.core.sasl.scram_client import ScramClient
from xmppfed.core.sasl.steps import Claim, ClientMechanism, Offer
from xmppfed.core.stream import State
from xmppfed.core.tree import parse_tree
from xmppfed.errors import SASLCondition, SASLError, StreamCondition

NS = "urn:xmpp:sasl:2"
JULIET, BALCONY = JID("juliet", "b.example"), JID("juliet", "b.example", "balcony")
KEYS = ScramKeys.derive("sha256", "pw", b"salt", 4096)
NAMES = ("SCRAM-SHA-256", "PLAIN")
PLAIN = authenticate("PLAIN", b"\0juliet\0pw")
FAST = "<fast xmlns='urn:xmpp:fast:0'/>"


def said(name: str, data: bytes = b"") -> bytes:
    """An element of SASL2 with its data."""
    return f"<{name} xmlns='{NS}'>{b64encode(data).decode()}</{name}>".encode()


class Login(SecureClient):
    """A client's stream with TLS, on which `sasl2` judges beside `sasl`."""

    def __init__(
        self, framing: FramingType = MessageFraming, mechanisms: Sequence[str] = NAMES, sender: str | None = None
    ) -> None:
        super().__init__(framing)
        self.sender = sender
        inline = f"{BIND2}<x xmlns='urn:x'/>"
        self.sasl2 = ReceivingSASL2(mechanisms, create, self.attempts, self.bind, ["HT-SHA-256-NONE"], inline)
        self.opened()

    def header(self, **changes: str | None) -> bytes:
        """A client may say who it is."""
        return super().header(**{"sender": self.sender, **changes})


class OfferTests(SynchronousTestCase):
    """What a stranger is offered."""

    def test_mechanisms_and_inline(self) -> None:
        """In the order given; what can be asked for besides stands inline, and tokens stand for themselves."""
        login = Login()
        expected = (
            "<authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-256</mechanism><mechanism>PLAIN</mechanism>"
            "<inline><bind xmlns='urn:xmpp:bind:0'/><x xmlns='urn:x'/></inline></authentication>"
        )
        self.assertEqual(login.sasl2.offer(login.stream), expected)

    def test_not_offered(self) -> None:
        """Not to who is authenticated, not without TLS, and not without a mechanism (XEP-0388, 2.1 and 6)."""
        for client in (SecureClient().authenticated(), Client().opened(), Login(mechanisms=())):
            self.assertEqual(client.sasl2.offer(client.stream), "")

    def test_beside_sasl(self) -> None:
        """Clients that do not know it find what they know."""
        client = SecureClient()
        client.receive(client.header())
        client.stream.accept("b.example", client.features)
        sent = client.sent()
        self.assertIn(b"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>ANONYMOUS</mechanism>", sent)
        self.assertIn(b"<authentication xmlns='urn:xmpp:sasl:2'><mechanism>ANONYMOUS</mechanism>", sent)


class ReceivingTests(SynchronousTestCase):
    """A peer authenticates."""

    def accepted(self, login: Login, peer: JID, claim: Claim, *answers: Element) -> tuple[list[bytes], list[Event]]:
        """What is sent, and what happens, when the owner says yes."""
        login.sasl2.accept(login.stream, peer, claim, answers)
        return login.stream.data_to_send(), login.stream.take_events()

    def test_one_message(self) -> None:
        """PLAIN with its initial response: success, and features without a new stream (XEP-0388, 2.6.1)."""
        for framing in FRAMINGS:
            login = Login(framing)
            claim = Claim("PLAIN", "juliet", "", "pw")
            [event] = login.receive(PLAIN)
            assert isinstance(event, AuthRequested)
            self.assertEqual((event.claim, event.request), (claim, parse_tree(PLAIN)))
            [success, offered], events = self.accepted(login, JULIET, claim)
            identifier = "<authorization-identifier>juliet@b.example</authorization-identifier>"
            self.assertEqual(success, f"<success xmlns='{NS}'>{identifier}</success>".encode())
            self.assertIn(BIND.encode(), offered)
            self.assertNotIn(b"mechanism", offered)
            self.assertEqual(events, [Authenticated(JULIET, "PLAIN")])
            self.assertEqual((login.stream.peer, login.stream.state), (JULIET, State.NEGOTIATING))
            self.assertEqual(login.stream.framing.limit, LIMIT)

    def test_bound_behind_it(self) -> None:
        """Without an inline request the resource is bound as ever."""
        client = SecureClient().authenticated()
        self.assertEqual(client.receive(client.bind_request()), [BindRequested("x")])
        client.bind.accept(client.stream, BALCONY)
        self.assertIs(client.stream.state, State.ESTABLISHED)

    def test_bound_with_it(self) -> None:
        """A peer that has a resource by then is bound: stanzas may pass, and binding is not offered any more."""
        for framing in FRAMINGS:
            login = Login(framing)
            login.receive(authenticate("PLAIN", b"\0juliet\0pw", BIND2))
            [success, offered], events = self.accepted(login, BALCONY, Claim("PLAIN"), Element("bound", "urn:xmpp:bind:0"))
            identifier = "<authorization-identifier>juliet@b.example/balcony</authorization-identifier>"
            self.assertEqual(success, f"<success xmlns='{NS}'>{identifier}<bound xmlns='urn:xmpp:bind:0'/></success>".encode())
            self.assertNotIn(BIND.encode(), offered)
            self.assertEqual(events, [Authenticated(JULIET, "PLAIN"), Established(), Bound(BALCONY)])
            self.assertEqual((login.stream.peer, login.stream.state), (JULIET, State.ESTABLISHED))

    def test_bound_twice(self) -> None:
        """Who is bound gets no second resource: the request is left to those who answer stanzas."""
        login = Login()
        login.receive(authenticate("PLAIN", b"\0juliet\0pw", BIND2))
        self.accepted(login, BALCONY, Claim("PLAIN"))
        self.assertNotIn(BindRequested, kinds(login.receive(login.bind_request())))

    def test_without_initial_response(self) -> None:
        """An empty challenge asks for it; an empty initial response is one (XEP-0388, 2.2)."""
        login = Login()
        self.assertEqual(login.receive(authenticate("PLAIN", None)), [])
        self.assertEqual(login.sent(), f"<challenge xmlns='{NS}'/>".encode())
        self.assertEqual(kinds(login.receive(said("response", b"\0juliet\0pw"))), [AuthRequested])
        [event] = Login().receive(authenticate("PLAIN", b""))
        assert isinstance(event, AuthFailed)
        self.assertIs(event.error.condition, SASLCondition.MALFORMED_REQUEST)

    def test_scram(self) -> None:
        """Keys are asked for, challenges go out, and success carries the server's proof beside the identity."""
        for framing in FRAMINGS:
            login = Login(framing)
            client = ScramClient("SCRAM-SHA-256", "juliet", "pw", "client-nonce", {})
            asked = login.receive(authenticate("SCRAM-SHA-256", client.start()))
            self.assertEqual(asked, [KeysRequested("SCRAM-SHA-256", "juliet", "sha256")])
            login.sasl2.provide_keys(login.stream, KEYS)
            challenge = parse_tree(login.sent())
            self.assertEqual(challenge.tag, f"{{{NS}}}challenge")
            [event] = login.receive(said("response", client.respond(b64decode(challenge.text))))
            assert isinstance(event, AuthRequested) and event.request is not None
            self.assertEqual(event.request.name, "authenticate")
            [success, _], _ = self.accepted(login, JULIET, event.claim)
            data = parse_tree(success).child(f"{{{NS}}}additional-data")
            client.finish(b64decode(data.text if data else ""))

    def test_token(self) -> None:
        """Who says that it has a token may use the mechanisms for that, and no others; who does not say so, the others."""
        for name, more, allowed in (
            ("HT-SHA-256-NONE", FAST, True),
            ("HT-SHA-256-NONE", "", False),
            ("PLAIN", FAST, False),
            ("PLAIN", "", True),
        ):
            data = b"\0juliet\0pw" if name == "PLAIN" else b"juliet\0hashed"
            [event] = Login().receive(authenticate(name, data, more))
            if allowed:
                self.assertIsInstance(event, AuthRequested)
            else:
                assert isinstance(event, AuthFailed)
                self.assertIs(event.error.condition, SASLCondition.INVALID_MECHANISM)

    def test_rejected(self) -> None:
        """The condition stands in the namespace of RFC 6120, and nothing that was asked for is done (XEP-0388, 2.6.2)."""
        login = Login()
        login.receive(authenticate("PLAIN", b"\0juliet\0pw", BIND2))
        login.sasl2.reject(login.stream, SASLError(SASLCondition.NOT_AUTHORIZED, "<No>"))
        condition = "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
        self.assertEqual(login.sent(), f"<failure xmlns='{NS}'>{condition}<text>&lt;No&gt;</text></failure>".encode())
        self.assertEqual(kinds(login.stream.take_events()), [AuthFailed])
        self.assertFalse(login.stream.authenticated)
        login.receive(PLAIN)
        login.sasl2.reject(login.stream, SASLError(SASLCondition.NOT_AUTHORIZED))
        self.assertEqual(login.sent(), f"<failure xmlns='{NS}'>{condition}</failure>".encode())


class RefusalTests(SynchronousTestCase):
    """What a peer must not say."""

    def failed(self, login: Client, data: bytes, condition: SASLCondition) -> None:
        [event] = login.receive(data)
        assert isinstance(event, AuthFailed), event
        self.assertIs(event.error.condition, condition)
        self.assertIn(f"<failure xmlns='{NS}'><{condition.value} ".encode(), login.sent())
        self.assertIs(login.stream.state, State.NEGOTIATING)

    def ended(self, client: Client, data: bytes, condition: StreamCondition) -> None:
        event = client.receive(data)[-1]
        assert isinstance(event, StreamFailed), event
        self.assertIs(event.error.condition, condition)

    def test_not_offered(self) -> None:
        """A mechanism that was not offered, and all of it where there is no TLS."""
        for data in (authenticate("EXTERNAL"), authenticate(""), PLAIN.replace(b" mechanism='PLAIN'", b"")):
            self.failed(Login(), data, SASLCondition.INVALID_MECHANISM)
        for data in (authenticate("ANONYMOUS"), said("response"), said("abort")):
            self.failed(Client().opened(), data, SASLCondition.ENCRYPTION_REQUIRED)

    def test_not_base64(self) -> None:
        """White space, other letters, wrong length."""
        for text in ("AA AA", "AAA", "A=", "?", "\n"):
            data = authenticate("PLAIN", None, f"<initial-response>{text}</initial-response>")
            self.failed(Login(), data, SASLCondition.INCORRECT_ENCODING)

    def test_response_to_nothing(self) -> None:
        """A response without an attempt, and an abort."""
        self.failed(Login(), said("response"), SASLCondition.MALFORMED_REQUEST)
        self.failed(Login(), said("abort"), SASLCondition.ABORTED)

    def test_aborted(self) -> None:
        """A peer may give up in the middle, say why, and begin again (XEP-0388, 3.2)."""
        login = Login()
        login.receive(authenticate("PLAIN", None))
        login.sent()
        self.failed(login, said("abort").replace(b"><", b"><text>why</text><"), SASLCondition.ABORTED)
        self.assertEqual(kinds(login.receive(PLAIN)), [AuthRequested])

    def test_begun_again(self) -> None:
        """Nothing but responses may come while an attempt is under way (XEP-0388, 2.4)."""
        for data in (PLAIN, auth("ANONYMOUS"), said("next"), said("task-data"), b"<message xmlns='jabber:client'/>"):
            login = Login()
            login.receive(authenticate("PLAIN", None))
            condition = StreamCondition.NOT_AUTHORIZED
            if data in (PLAIN, auth("ANONYMOUS")):
                condition = StreamCondition.POLICY_VIOLATION
            self.ended(login, data, condition)

    def test_both_at_once(self) -> None:
        """Nor may SASL2 begin while SASL is under way."""
        login = SecureClient().opened()
        login.receive(auth("EXTERNAL", None))
        self.ended(login, authenticate("ANONYMOUS"), StreamCondition.POLICY_VIOLATION)

    def test_sasl_retry_limit(self) -> None:
        """sasl-retry-limit: who has failed by the one has not more attempts by the other."""
        login = Login()
        events = login.receive(auth("X"), authenticate("X"), auth("X"), authenticate("X"), auth("X"))
        self.assertEqual(kinds(events), [AuthFailed] * 5 + [StreamFailed])
        self.assertIs(login.stream.failure and login.stream.failure.condition, StreamCondition.POLICY_VIOLATION)

    def test_authenticated_already(self) -> None:
        """Behind success any further attempt ends the stream (XEP-0388, 3.6), by either profile."""
        for data in (PLAIN, auth("ANONYMOUS"), said("response"), said("abort")):
            self.ended(SecureClient().authenticated(), data, StreamCondition.NOT_AUTHORIZED)
            login = Login()
            login.receive(authenticate("PLAIN", b"\0juliet\0pw", BIND2))
            login.sasl2.accept(login.stream, BALCONY, Claim("PLAIN"))
            self.ended(login, data, StreamCondition.NOT_AUTHORIZED)

    def test_restart(self) -> None:
        """There is no new stream behind SASL2."""
        client = SecureClient().authenticated()
        self.ended(client, client.header(), StreamCondition.NOT_AUTHORIZED)

    def test_another_sender(self) -> None:
        """Who names an identity and has named another in the stream's header is refused (XEP-0388, 2.3)."""
        for sender, authzid, allowed in (
            (None, "juliet@b.example", True),
            ("juliet@b.example", "", True),
            ("juliet@b.example", "JULIET@b.example", True),
            ("juliet@b.example/x", "juliet@b.example", True),
            ("romeo@b.example", "juliet@b.example", False),
            ("@", "juliet@b.example", False),
            ("juliet@b.example", "@", False),
        ):
            login = Login(sender=sender)
            data = authenticate("PLAIN", f"{authzid}\0juliet\0pw".encode())
            if allowed:
                self.assertEqual(kinds(login.receive(data)), [AuthRequested])
            else:
                self.failed(login, data, SASLCondition.INVALID_AUTHZID)

    def test_late_answers(self) -> None:
        """Answers behind the end of the stream, or given twice, do nothing."""
        login = Login()
        login.receive(PLAIN)
        login.stream.close()
        login.sent()
        login.sasl2.accept(login.stream, BALCONY, Claim("PLAIN"))
        self.assertEqual((login.stream.take_events(), login.sent(), login.stream.authenticated), ([], b"", False))
        login = Login()
        login.receive(PLAIN)
        login.sasl2.accept(login.stream, JULIET, Claim("PLAIN"))
        login.receive(login.bind_request())
        login.sent()
        login.sasl2.accept(login.stream, BALCONY, Claim("PLAIN"))
        login.sasl2.reject(login.stream, SASLError(SASLCondition.NOT_AUTHORIZED))
        login.sasl2.provide_keys(login.stream, KEYS)
        self.assertEqual((login.stream.take_events(), login.sent(), login.stream.state), ([], b"", State.DECIDING))


class UserAgentTests(SynchronousTestCase):
    """What a client says of its installation (XEP-0388, 2.3)."""

    def test_id(self) -> None:
        """A UUID, in lower case; whatever else stands there is nothing, for it becomes a key."""
        for agent, expected in (
            (f"<user-agent id='{USER_AGENT}'><software>x</software></user-agent>", USER_AGENT),
            (f"<user-agent id='{USER_AGENT.upper()}'/>", USER_AGENT),
            (f"<user-agent id='{USER_AGENT}0'/>", ""),
            (f"<user-agent id='{USER_AGENT}&#10;'/>", ""),
            ("<user-agent id='laptop'/>", ""),
            ("<user-agent/>", ""),
            (f"<user-agent xmlns='urn:x' id='{USER_AGENT}'/>", ""),
            ("", ""),
        ):
            self.assertEqual(user_agent_id(parse_tree(authenticate("PLAIN", None, agent))), expected)
        self.assertEqual(user_agent_id(None), "")


class InitiatingTests(SynchronousTestCase):
    """We authenticate."""

    def begun(self, mechanism: ClientMechanism, inline: str = "", framing: FramingType = MessageFraming) -> ToServer2:
        wired = ToServer2(framing, choose=lambda offer: mechanism).opened()
        assert isinstance(wired, ToServer2)
        wired.receive(features(AUTHENTICATION % (mechanism.name, inline)))
        return wired

    def success(self, identity: str = "", *more: str) -> str:
        return f"<success xmlns='{NS}'><authorization-identifier>{identity}</authorization-identifier>{''.join(more)}</success>"

    def test_offer(self) -> None:
        """The chooser sees mechanisms, bindings, and mechanisms for tokens."""
        for inline, tokens in ((FAST.replace("/>", "><mechanism>T</mechanism></fast>"), ("T",)), (FAST, ()), ("", ())):
            seen: list[object] = []
            wired = ToServer2(choose=lambda offer, seen=seen: seen.append(offer)).opened()
            wired.receive(features(AUTHENTICATION % ("A</mechanism><mechanism>B", inline)))
            self.assertEqual(seen, [Offer(("A", "B"), (), tokens)])
        seen = []
        wired = ToServer2(choose=lambda offer: seen.append(offer)).opened()
        wired.receive(features("<authentication xmlns='urn:xmpp:sasl:2'><mechanism>A</mechanism></authentication>"))
        self.assertEqual(seen, [Offer(("A",))])

    def test_not_offered(self) -> None:
        """A server that offers SASL alone gets nothing of this."""
        wired = ToServer2().opened()
        wired.receive(features(MECHANISMS % "ANONYMOUS"))
        self.assertNotIn(b"<authenticate ", wired.sent())

    def test_initial_response(self) -> None:
        """An empty one is an empty element; where a mechanism has none there is no element (XEP-0388, 2.2)."""

        class Waiting(PlainClient):
            def start(self) -> None:  # type: ignore[override]  # as the protocol allows
                return None

        agent = f"<user-agent id='{USER_AGENT}'/>"
        self.assertEqual(self.begun(PlainClient("juliet", "pw")).sent(), authenticate("PLAIN", b"\0juliet\0pw", agent))
        self.assertEqual(self.begun(Waiting("juliet", "pw")).sent(), authenticate("PLAIN", None, agent))
        wired = ToServer2().opened()
        wired.sasl2._user_agent = ""
        wired.receive(features(AUTHENTICATION % ("ANONYMOUS", "")))
        sent = wired.sent().replace(b"<initial-response/>", b"<initial-response></initial-response>")
        self.assertEqual(sent, authenticate("ANONYMOUS", b""))

    def test_bound_behind_it(self) -> None:
        """A server without Bind 2: features, then a request to bind, on the same stream."""
        for framing in FRAMINGS:
            wired = self.begun(PlainClient("juliet", "pw"), framing=framing)
            wired.sent()
            self.assertEqual(wired.receive(self.success("juliet@b.example")), [Authenticated(None, "PLAIN")])
            self.assertEqual((wired.sent(), wired.stream.state), (b"", State.AWAITING_FEATURES))
            wired.receive(features(BIND))
            self.assertIn(b"<resource>x</resource>", wired.sent())

    def test_bound_with_it(self) -> None:
        """With Bind 2 the features end it."""
        for framing in FRAMINGS:
            wired = self.begun(PlainClient("juliet", "pw"), BIND2, framing)
            self.assertIn(b"<bind xmlns='urn:xmpp:bind:0'><tag>x</tag><enable xmlns='urn:x'/></bind>", wired.sent())
            events = wired.receive(self.success("juliet@b.example/x/1", "<bound xmlns='urn:xmpp:bind:0'/>"), features())
            self.assertEqual(events, [Authenticated(None, "PLAIN"), Bound(JID("juliet", "b.example", "x/1")), Established()])
            self.assertEqual(wired.sent(), b"")

    def test_scram_with_proof(self) -> None:
        """A challenge is answered, and the server's proof judged: without it success is none."""
        for final in (b"", b"v=AAAA"):
            wired = self.begun(ScramClient("SCRAM-SHA-256", "juliet", "pw", "nonce", {}))
            wired.sent()
            wired.receive(said("challenge", b"r=nonceX,s=QSXC,i=4096"))
            self.assertTrue(wired.sent().startswith(f"<response xmlns='{NS}'>".encode()))
            data = f"<additional-data>{b64encode(final).decode()}</additional-data>" if final else ""
            [event] = wired.receive(self.success("juliet@b.example", data))
            assert isinstance(event, StreamFailed)
            self.assertIs(event.error.condition, StreamCondition.NOT_AUTHORIZED)

    def test_token(self) -> None:
        """Who uses a token says so, and the server has to know it too."""
        mechanism = HashedTokenClient("HT-SHA-256-NONE", "juliet", "secret", {})
        wired = ToServer2(choose=lambda offer: mechanism, used=mechanism.name).opened()
        wired.receive(features(AUTHENTICATION % ("X", "")))
        self.assertIn(b"<fast xmlns='urn:xmpp:fast:0'/>", wired.sent())
        [event] = wired.receive(self.success("juliet@b.example", "<additional-data>AAAA</additional-data>"))
        self.assertIsInstance(event, StreamFailed)

    def test_refused(self) -> None:
        """The server's condition and words are told."""
        wired = self.begun(PlainClient("juliet", "pw"))
        condition = "<account-disabled xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
        failed, ended = wired.receive(f"<failure xmlns='{NS}'>{condition}<text>Pay.</text></failure>")
        assert isinstance(failed, AuthFailed)
        self.assertEqual((failed.error.condition, failed.error.text), (SASLCondition.ACCOUNT_DISABLED, "Pay."))
        self.assertIsInstance(ended, StreamFailed)

    def test_abort(self) -> None:
        """What we do not understand is aborted, in the words of the profile."""
        wired = self.begun(ScramClient("SCRAM-SHA-256", "juliet", "pw", "nonce", {}))
        wired.sent()
        wired.receive(said("challenge", b"?"))
        self.assertTrue(wired.sent().startswith(f"<abort xmlns='{NS}'/>".encode()))

    def test_what_we_did_not_begin(self) -> None:
        """Success cannot be given away."""
        for make in (ToServer2, ToServer):
            wired = make().opened()
            self.assertIsInstance(wired.receive(features(), self.success("a@b"))[-1], StreamFailed)
            self.assertFalse(wired.stream.authenticated)
