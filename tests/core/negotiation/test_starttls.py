"""Tests for `xmppfed.core.negotiation.starttls`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import MECHANISMS, ToServer, Wired, auth, features, kinds, result, stanza
from xmppfed.core.events import Event, OpenRequested, StreamClosed, StreamFailed, StreamOpened, TLSAgreed
from xmppfed.core.framing import C2S, S2S, Profile
from xmppfed.core.negotiation.starttls import NS, InitiatingStartTLS, ReceivingStartTLS
from xmppfed.core.stream import State
from xmppfed.core.streamframing import StreamFraming
from xmppfed.errors import StreamCondition

OFFER = f"<starttls xmlns='{NS}'><required/></starttls>"
STARTTLS = f"<starttls xmlns='{NS}'/>"
PROCEED = f"<proceed xmlns='{NS}'/>"
FAILURE = f"<failure xmlns='{NS}'/>"
MESSAGE = "<message to='b.example'><body>smuggled</body></message>"


class Plain(Wired):
    """A stream that somebody opened to us without TLS."""

    def __init__(self, profile: Profile = C2S) -> None:
        self.profile = profile
        super().__init__(StreamFraming)

    def opened(self) -> Plain:
        """Up to our features."""
        self.receive(self.header())
        self.stream.accept("b.example", [ReceivingStartTLS()])
        return self


class ToPlain(Wired):
    """A stream that we open without TLS."""

    profile = S2S
    receiving = False

    def __init__(self) -> None:
        super().__init__(StreamFraming, [InitiatingStartTLS()])

    def header(self, **changes: str | None) -> bytes:
        """The server's answer."""
        return super().header(**{"to": None, "sender": "b.example", "id": "s1", **changes})

    def opened(self) -> ToPlain:
        """Up to the server's header."""
        self.stream.open("a.example", "b.example")
        self.receive(self.header())
        self.sent()
        return self

    def asked(self) -> ToPlain:
        """Up to our request."""
        self.opened().receive(features(OFFER))
        return self


class PlainTestCase(SynchronousTestCase):
    """What both sides share."""

    def failure(self, events: list[Event]) -> StreamFailed:
        """The one event is a failure of ours."""
        self.assertEqual(kinds(events), [StreamFailed])
        [event] = events
        assert isinstance(event, StreamFailed)
        self.assertTrue(event.sent)
        return event


class ReceivingTests(PlainTestCase):
    """A peer has to ask for TLS before it may ask for anything else (RFC 6120, 5)."""

    def test_offered_alone(self) -> None:
        """TLS is required, and nothing else is offered beside it."""
        for profile in (C2S, S2S):
            self.assertTrue(Plain(profile).opened().sent().endswith(features(OFFER)))

    def test_agreed(self) -> None:
        """Who asks gets `<proceed/>`; that is the stream's last word, and its last event."""
        for profile in (C2S, S2S):
            wired = Plain(profile).opened()
            wired.sent()
            self.assertEqual(wired.receive(STARTTLS), [TLSAgreed()])
            self.assertEqual(wired.sent(), PROCEED.encode())
            self.assertIs(wired.stream.state, State.DECIDING)

    def test_bytes_behind(self) -> None:
        """`<starttls/>` and more in one piece: refused, as the rest may be somebody else's. It is never read."""
        for behind in (MESSAGE, auth("PLAIN"), "<iq", " ", "\x16\x03\x01", STARTTLS, "é", "\0", b"\xff", b"\xc3"):
            wired = Plain().opened()
            wired.sent()
            failure = self.failure(wired.receive(STARTTLS.encode() + (behind if isinstance(behind, bytes) else behind.encode())))
            self.assertIs(failure.error.condition, StreamCondition.NOT_AUTHORIZED)
            self.assertIn("behind <starttls/>", failure.error.text)
            self.assertNotIn(b"proceed", wired.sent())

    @given(st.binary(max_size=40))
    def test_nothing_is_read_behind(self, behind: bytes) -> None:
        """Whatever comes behind `<starttls/>` in the same piece ends the stream, also what is no text at all; what comes
        later makes no event."""
        together, later = Plain().opened(), Plain().opened()
        found = set(kinds(together.receive(STARTTLS.encode() + behind)))
        self.assertLessEqual(found - {StreamClosed}, {StreamFailed} if behind else {TLSAgreed})
        later.receive(STARTTLS)
        self.assertEqual(later.receive(behind), [])

    def test_any_cut(self) -> None:
        """The request may come in pieces."""
        wired = Plain().opened()
        pieces = [bytes((byte,)) for byte in STARTTLS.encode()]
        self.assertEqual(wired.receive(*pieces), [TLSAgreed()])

    def test_before_tls(self) -> None:
        """A stanza, a login and a claim by dialback are not authorized without TLS (RFC 6120, 4.9.3.12)."""
        client = [stanza().to_bytes("jabber:client"), auth("PLAIN"), auth("EXTERNAL"), PROCEED.encode()]
        for profile, said in ((C2S, client), (S2S, [auth("EXTERNAL"), result()])):
            for one in said:
                failure = self.failure(Plain(profile).opened().receive(one))
                self.assertIs(failure.error.condition, StreamCondition.NOT_AUTHORIZED, one)

    def test_before_our_features(self) -> None:
        """Who asks without waiting for our header has its request read behind it, and nothing behind that."""
        wired = Plain()
        self.assertEqual(kinds(wired.receive(wired.header() + STARTTLS.encode())), [OpenRequested])
        wired.stream.accept("b.example", [ReceivingStartTLS()])
        self.assertEqual(wired.stream.take_events(), [TLSAgreed()])


class InitiatingTests(PlainTestCase):
    """We go on with TLS or not at all."""

    def test_asked(self) -> None:
        """TLS is asked for where it is offered, required or not, whatever is offered beside it."""
        for offers in ((OFFER,), (STARTTLS,), (MECHANISMS, STARTTLS)):
            wired = ToPlain().opened()
            self.assertEqual(wired.receive(features(*offers)), [])
            self.assertEqual(wired.sent(), STARTTLS.encode())

    def test_agreed(self) -> None:
        """`<proceed/>` is the last that is read."""
        wired = ToPlain().asked()
        wired.sent()
        self.assertEqual(wired.receive(PROCEED), [TLSAgreed()])
        self.assertEqual(wired.receive(features(MECHANISMS)), [])
        self.assertEqual(wired.sent(), b"")

    def test_bytes_behind(self) -> None:
        """In TLS the client speaks first: what stands behind `<proceed/>` is injected."""
        for behind in (features(MECHANISMS).decode(), MESSAGE, " ", "<"):
            failure = self.failure(ToPlain().asked().receive(PROCEED + behind))
            self.assertIs(failure.error.condition, StreamCondition.NOT_AUTHORIZED)
            self.assertIn("behind <proceed/>", failure.error.text)

    def test_not_offered(self) -> None:
        """Without the offer the stream ends, and the reason says what was offered."""
        for offers, found in ((MECHANISMS, "{urn:ietf:params:xml:ns:xmpp-sasl}mechanisms"), ("", "nothing")):
            failure = self.failure(ToPlain().opened().receive(features(offers)))
            self.assertIs(failure.error.condition, StreamCondition.POLICY_VIOLATION)
            self.assertEqual(failure.error.text, f"The server offered {found}; wanted STARTTLS.")

    def test_refused(self) -> None:
        """`<failure/>` ends it (RFC 6120, 5.4.2.2)."""
        failure = self.failure(ToPlain().asked().receive(FAILURE))
        self.assertIs(failure.error.condition, StreamCondition.POLICY_VIOLATION)
        self.assertIn("failed to start TLS", failure.error.text)

    def test_unasked(self) -> None:
        """`<proceed/>` in place of features is no agreement."""
        self.failure(ToPlain().opened().receive(PROCEED))

    def test_stream_of_another(self) -> None:
        """The header is judged before TLS as well as behind it."""
        wired = ToPlain()
        wired.stream.open("a.example", "b.example")
        failure = self.failure(wired.receive(wired.header(sender="c.example")))
        self.assertIs(failure.error.condition, StreamCondition.INVALID_FROM)
        wired = ToPlain()
        wired.stream.open("a.example", "b.example")
        self.assertEqual(kinds(wired.receive(wired.header())), [StreamOpened])

    def test_without_the_feature(self) -> None:
        """A stream that was not given the feature, such as one over TLS, neither asks nor goes along."""
        wired = ToServer(StreamFraming).opened()
        self.assertEqual(wired.receive(features(OFFER, MECHANISMS % "ANONYMOUS")), [])
        self.assertNotIn(b"starttls", wired.sent())
        self.failure(wired.receive(PROCEED))
