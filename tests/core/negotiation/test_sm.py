"""Tests for `xmppfed.core.negotiation.sm`."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import (
    DIALBACK,
    FRAMINGS,
    MECHANISMS,
    PAIR,
    Client,
    FramingType,
    Server,
    ToPeer,
    auth,
    features,
    kinds,
    result,
    stanza,
)
from xmppfed.core.events import (
    Acknowledged,
    Authenticated,
    Established,
    Event,
    Managed,
    PairVerified,
    Resumed,
    ResumptionFailed,
    StanzaReceived,
    StreamClosed,
    StreamFailed,
)
from xmppfed.core.framing import MessageFraming
from xmppfed.core.jid import JID
from xmppfed.core.ledger import NS, REQUEST, Ledger
from xmppfed.core.negotiation.bidi import NS_FEATURE as NS_BIDI
from xmppfed.core.negotiation.bidi import InitiatingBidi
from xmppfed.core.negotiation.sasl import InitiatingSASL
from xmppfed.core.negotiation.sm import InitiatingSM, ReceivingSM
from xmppfed.core.sasl.external import ExternalClient
from xmppfed.core.sasl.steps import Claim
from xmppfed.core.stream import State
from xmppfed.errors import StanzaCondition, StanzaError, StreamCondition

OFFER = f"<sm xmlns='{NS}'/>"
ENABLE = f"<enable xmlns='{NS}'/>"
ENABLE_RESUMABLE = f"<enable xmlns='{NS}' resume='true'/>"
ENABLED = f"<enabled xmlns='{NS}' id='x' resume='1'/>"
SUCCESS = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
MESSAGE = "<message xmlns='jabber:server' from='x@a.example' to='y@b.example'/>"


def ledger(id: str = "") -> Ledger:
    """A new one."""
    return Ledger(id, most_stanzas=500, most_bytes=1_000_000)


def former(sent: int = 3, handled: int = 7) -> Ledger:
    """That of a session whose stream has ended."""
    made = ledger("old")
    made.handled = handled
    for number in range(sent):
        made.sent(stanza(id=str(number)), 100)
    return made


def answer(h: int) -> bytes:
    """What we say that we have handled."""
    return f"<a xmlns='{NS}' h='{h}'/>".encode()


def a(h: int | str) -> str:
    """What the peer has."""
    return f"<a xmlns='{NS}' h='{h}'/>"


def resume(h: int | str = 0, previd: str = "old") -> str:
    """`<resume/>`."""
    return f"<resume xmlns='{NS}' h='{h}' previd='{previd}'/>"


def resumed(h: int | str = 0, previd: str = "old") -> str:
    """`<resumed/>`."""
    return f"<resumed xmlns='{NS}' h='{h}' previd='{previd}'/>"


def failed(condition: str, more: str = "") -> bytes:
    """`<failed/>`."""
    return f"<failed xmlns='{NS}'{more}><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>".encode()


def failure(events: list[Event]) -> StreamCondition:
    """How the stream ended by our doing."""
    (error,) = [event.error for event in events if isinstance(event, StreamFailed)]
    return error.condition


class ReceivingCase(SynchronousTestCase):
    """A server opened a stream to us."""

    def setUp(self) -> None:
        self.kept: dict[str, Ledger] = {}

    def find(self, id: str) -> Ledger:
        """What the owner knows."""
        if id not in self.kept:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        return self.kept[id]

    def feature(self, *, early: bool = False, binds: bool = False) -> ReceivingSM:
        """Under test."""
        return ReceivingSM(lambda wanted: ledger("new" if wanted else ""), self.find, early=early, binds=binds)

    def opened(self, framing: FramingType = MessageFraming, *, early: bool = False) -> Server:
        """Up to our features."""
        wired = Server(framing)
        wired.receive(wired.header())
        wired.stream.accept("b.example", [wired.sasl, wired.dialback, self.feature(early=early)])
        return wired

    def established(self, framing: FramingType = MessageFraming) -> Server:
        """Up to stanzas."""
        wired = self.opened(framing)
        wired.receive(result())
        wired.dialback.answer(wired.stream, PAIR, True)
        wired.stream.take_events()
        wired.sent()
        return wired

    def enabled(self, framing: FramingType = MessageFraming) -> Server:
        """Up to the management of the stream."""
        wired = self.established(framing)
        wired.receive(ENABLE_RESUMABLE)
        wired.sent()
        return wired


class OfferTests(ReceivingCase):
    """When it is offered."""

    def test_behind_authentication(self) -> None:
        """It stands in the features that follow SASL, and not before (XEP-0198, 2)."""
        wired = self.opened()
        self.assertNotIn(OFFER.encode(), wired.sent())
        wired.receive(auth("EXTERNAL"))
        wired.sasl.accept(wired.stream, JID("", "a.example"), Claim("EXTERNAL"))
        wired.receive(wired.header())
        self.assertIn(OFFER.encode(), wired.sent())

    def test_early(self) -> None:
        """Where dialback may follow it is offered before: behind that come no features."""
        self.assertIn(OFFER.encode(), self.opened(early=True).sent())


class EnableTests(ReceivingCase):
    """The peer asks for it."""

    def test_enabled(self) -> None:
        """The owner says whether the session may be resumed; without being asked for that, it may not."""
        for asked, said in (
            (ENABLE, b""),
            (f"<enable xmlns='{NS}' resume='false'/>", b""),
            (ENABLE_RESUMABLE, b" id='new' resume='true'"),
            (f"<enable xmlns='{NS}' resume='1' max='60'/>", b" id='new' resume='true'"),
        ):
            for framing in FRAMINGS:
                wired = self.established(framing)
                (managed,) = wired.receive(asked)
                self.assertEqual(wired.sent(), b"<enabled xmlns='urn:xmpp:sm:3'%b/>" % said)
                self.assertEqual(managed, Managed(wired.stream.ledger))  # type: ignore[arg-type]  # it is there now

    def test_before_authentication(self) -> None:
        """Before that it is refused, and the stream goes on (XEP-0198, 3)."""
        wired = self.opened(early=True)
        wired.sent()
        self.assertEqual(wired.receive(ENABLE), [])
        self.assertEqual(wired.sent(), failed("unexpected-request"))
        self.assertEqual(len(wired.receive(result())), 1)
        self.assertIsNone(wired.stream.ledger)

    def test_twice(self) -> None:
        """The second attempt ends the stream (XEP-0198, 3)."""
        wired = self.enabled()
        self.assertIs(failure(wired.receive(ENABLE)), StreamCondition.POLICY_VIOLATION)
        self.assertTrue(wired.sent().startswith(failed("unexpected-request")))

    def test_before_binding(self) -> None:
        """A client has to bind a resource before (XEP-0198, 3)."""
        wired = Client()
        wired.receive(wired.header())
        wired.stream.accept("b.example", [*wired.features, self.feature(binds=True)])
        wired.receive(auth("ANONYMOUS"))
        wired.sasl.accept(wired.stream, JID("juliet", "b.example"), Claim("ANONYMOUS"))
        wired.receive(wired.header())
        wired.sent()
        wired.receive(ENABLE)
        self.assertEqual(wired.sent(), failed("unexpected-request"))


class CountTests(ReceivingCase):
    """What is counted, and said when asked."""

    def test_answered_at_once(self) -> None:
        """Stanzas are counted from `<enable/>` on, and nothing else is."""
        for framing in FRAMINGS:
            wired = self.established(framing)
            wired.receive(MESSAGE, ENABLE)
            wired.sent()
            events = wired.receive(MESSAGE, MESSAGE, a(0), REQUEST, MESSAGE, REQUEST)
            self.assertEqual(kinds(events), [StanzaReceived, StanzaReceived, Acknowledged, StanzaReceived])
            self.assertEqual(wired.sent(), answer(2) + answer(3))

    def test_acknowledged(self) -> None:
        """What we send is kept until the peer has it."""
        wired = self.enabled()
        made = wired.stream.ledger
        assert made is not None
        for number in range(3):
            wired.stream.send(stanza(id=str(number)))
        self.assertEqual(made.size, len(wired.sent()))
        self.assertEqual(wired.receive(a(2)), [Acknowledged()])
        self.assertEqual([sent.stanza.id for sent in made.unacknowledged], ["2"])

    def test_too_high(self) -> None:
        """Who acknowledges more than was sent is told so, and the stream ends (XEP-0198, 6)."""
        wired = self.enabled()
        wired.stream.send(stanza())
        self.assertIs(failure(wired.receive(a(2))), StreamCondition.UNDEFINED_CONDITION)
        self.assertIn(b"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='2' send-count='1'/>", wired.sent())

    def test_not_agreed_on(self) -> None:
        """Without management these elements have no meaning."""
        for element in (REQUEST, a(0)):
            self.assertIs(failure(self.established().receive(element)), StreamCondition.UNSUPPORTED_STANZA_TYPE)


class EndTests(ReceivingCase):
    """How a managed stream ends."""

    def test_by_us(self) -> None:
        """We say what we have, ask for the same, and hear the answer; then nothing is counted that nobody would hear of."""
        wired = self.enabled()
        wired.receive(MESSAGE)
        wired.stream.send(stanza(id="0"))
        wired.sent()
        wired.stream.close()
        self.assertEqual(wired.sent(), answer(1) + REQUEST.encode() + wired.closing())
        self.assertEqual(wired.receive(REQUEST, a(1)), [Acknowledged()])
        self.assertEqual(wired.sent(), b"")
        self.assertEqual(kinds(wired.receive(wired.closing())), [StreamClosed])

    def test_by_an_error_of_ours(self) -> None:
        """The same before an error."""
        wired = self.enabled()
        wired.stream.send(stanza(id="0"))
        wired.sent()
        self.assertIs(failure(wired.receive("<x xmlns='urn:x'/>")), StreamCondition.UNSUPPORTED_STANZA_TYPE)
        self.assertTrue(wired.sent().startswith(answer(0) + REQUEST.encode() + b"<stream:error"))
        self.assertEqual(wired.receive(a(1)), [Acknowledged()])

    def test_by_the_peer(self) -> None:
        """Our closing is preceded by what we have."""
        wired = self.enabled()
        self.assertEqual(kinds(wired.receive(MESSAGE, wired.closing())), [StanzaReceived, StreamClosed])
        self.assertEqual(wired.sent(), answer(1) + wired.closing())

    def test_too_high_at_the_end(self) -> None:
        """A lie at the end changes nothing more."""
        wired = self.enabled()
        wired.stream.close()
        wired.sent()
        self.assertEqual(kinds(wired.receive(a(5))), [StreamFailed])
        self.assertEqual((wired.sent(), wired.stream.state), (b"", State.ABANDONED))


class ResumeTests(ReceivingCase):
    """The peer asks for a former session."""

    def test_resumed(self) -> None:
        """Both say what they have handled; counting goes on from there (XEP-0198, 5)."""
        for framing in FRAMINGS:
            self.kept = {"old": former()}
            wired = self.established(framing)
            self.assertEqual(wired.receive(resume(2)), [Resumed(self.kept["old"])])
            self.assertEqual(wired.sent(), b"<resumed xmlns='urn:xmpp:sm:3' previd='old' h='7'/>")
            self.assertEqual(len(self.kept["old"].unacknowledged), 1)
            wired.receive(MESSAGE, REQUEST)
            self.assertEqual(wired.sent(), answer(8))

    def test_unknown(self) -> None:
        """What the owner does not know, or does not give, is not found; the peer may begin a new session."""
        wired = self.established()
        self.assertEqual(wired.receive(resume(previd="forged"), f"<resume xmlns='{NS}'/>"), [])
        self.assertEqual(wired.sent(), 2 * failed("item-not-found"))
        self.assertEqual(kinds(wired.receive(ENABLE)), [Managed])

    def test_too_high(self) -> None:
        """Who has handled more than was sent ends the stream, and the session waits as before."""
        self.kept = {"old": former()}
        wired = self.established()
        self.assertIs(failure(wired.receive(resume(4))), StreamCondition.UNDEFINED_CONDITION)
        self.assertNotIn(b"resumed", wired.sent())
        self.assertIsNone(wired.stream.ledger)
        self.assertEqual(len(self.kept["old"].unacknowledged), 3)

    def test_unexpected(self) -> None:
        """Not before authentication, and not when a session has begun."""
        self.kept = {"old": former()}
        for wired in (self.opened(), self.enabled()):
            wired.sent()
            self.assertEqual(wired.receive(resume()), [])
            self.assertEqual(wired.sent(), failed("unexpected-request"))

    def bound(self) -> Client:
        """A client's stream behind authentication."""
        wired = Client()
        wired.receive(wired.header())
        wired.stream.accept("b.example", [*wired.features, self.feature(binds=True)])
        wired.receive(auth("ANONYMOUS"))
        wired.sasl.accept(wired.stream, JID("juliet", "b.example"), Claim("ANONYMOUS"))
        wired.receive(wired.header())
        wired.sent()
        return wired

    def test_instead_of_binding(self) -> None:
        """Where a resource is bound, a session is resumed instead of that, and not behind it."""
        self.kept = {"old": former()}
        wired = self.bound()
        self.assertEqual(kinds(wired.receive(resume())), [Resumed, Established])
        wired = self.bound()
        wired.receive(wired.bind_request())
        wired.bind.accept(wired.stream, JID("juliet", "b.example", "x"))
        wired.stream.take_events()
        wired.sent()
        self.assertEqual(wired.receive(resume()), [])
        self.assertEqual(wired.sent(), failed("unexpected-request"))


class InitiatingCase(SynchronousTestCase):
    """We open a stream to a server."""

    former: ClassVar[list[Ledger]] = []

    def opened(self, *offers: str, framing: FramingType = MessageFraming) -> ToPeer:
        """Up to the features."""
        self.left = list(self.former)
        sm = InitiatingSM(ledger, lambda: self.left.pop(0) if self.left else None)
        sasl = InitiatingSASL(lambda offer: ExternalClient() if "EXTERNAL" in offer.mechanisms else None)
        wired = ToPeer(framing, before=[InitiatingBidi(50), sasl, sm])
        wired.opened().receive(features(*offers))
        return wired

    def authenticated(self, *offers: str, framing: FramingType = MessageFraming) -> ToPeer:
        """By SASL, up to the features behind it."""
        wired = self.opened(MECHANISMS % "EXTERNAL", f"<bidi xmlns='{NS_BIDI}'/>", framing=framing)
        wired.receive(SUCCESS, wired.header())
        wired.sent()
        self.events = wired.receive(features(*offers))
        return wired


class AskingTests(InitiatingCase):
    """We ask for a new session."""

    def test_enabled(self) -> None:
        """Nothing is established before the answer; then what we send is counted."""
        for framing in FRAMINGS:
            wired = self.authenticated(OFFER, framing=framing)
            self.assertEqual((self.events, wired.sent()), ([], ENABLE_RESUMABLE.encode()))
            (managed, _) = events = wired.receive(ENABLED)
            self.assertEqual(kinds(events), [Managed, Established])
            assert isinstance(managed, Managed) and managed.ledger is wired.stream.ledger
            self.assertEqual(managed.ledger.id, "x")
            wired.stream.send(stanza())
            self.assertEqual(len(managed.ledger.unacknowledged), 1)

    def test_not_resumable(self) -> None:
        """Acknowledgements alone are something; an id that is too long is none."""
        for more in ("", " id='x'", " id='x' resume='false'", " resume='true'", f" id='{'x' * 4001}' resume='true'"):
            wired = self.authenticated(OFFER)
            wired.receive(f"<enabled xmlns='{NS}'{more}/>")
            assert wired.stream.ledger is not None
            self.assertEqual(wired.stream.ledger.id, "")

    def test_not_offered(self) -> None:
        """A server that does not offer it is not asked."""
        wired = self.authenticated()
        self.assertEqual((kinds(self.events), wired.sent()), ([Established], b""))

    def test_refused(self) -> None:
        """A server that cannot after all has a stream as before."""
        wired = self.authenticated(OFFER)
        self.assertEqual(kinds(wired.receive(failed("internal-server-error"))), [Established])
        self.assertIsNone(wired.stream.ledger)

    def test_behind_dialback(self) -> None:
        """No features follow dialback: an offer among the first ones is taken up then."""
        wired = self.opened(OFFER, DIALBACK)
        self.assertNotIn(b"enable", wired.sent())
        events = wired.receive(result(more=" type='valid'", key=""))
        self.assertEqual(kinds(events), [PairVerified, Authenticated])
        self.assertEqual(wired.sent(), ENABLE_RESUMABLE.encode())
        self.assertEqual(kinds(wired.receive(ENABLED)), [Managed, Established])

    def test_peer_speaks_first(self) -> None:
        """On a bidirectional stream the server may speak while we wait for its answer; that is not counted yet."""
        wired = self.authenticated(OFFER)
        self.assertEqual(kinds(wired.receive(MESSAGE, ENABLED)), [StanzaReceived, Managed, Established])
        wired.sent()
        wired.receive(MESSAGE, REQUEST)
        self.assertEqual(wired.sent(), answer(1))

    def test_unexpected(self) -> None:
        """An answer to what we did not ask ends the stream."""
        asked = self.authenticated(OFFER)
        self.assertIs(failure(asked.receive(resumed())), StreamCondition.UNSUPPORTED_STANZA_TYPE)
        through = self.authenticated(OFFER)
        through.receive(ENABLED)
        self.assertIs(failure(through.receive(ENABLED)), StreamCondition.UNSUPPORTED_STANZA_TYPE)
        never = self.authenticated()
        self.assertIs(failure(never.receive(failed("item-not-found"))), StreamCondition.UNSUPPORTED_STANZA_TYPE)


class ResumingTests(InitiatingCase):
    """We ask for a former session."""

    def setUp(self) -> None:
        type(self).former = [former()]
        self.addCleanup(setattr, type(self), "former", [])

    def asked(self, *more: Ledger) -> ToPeer:
        """Up to the question."""
        self.former.extend(more)
        wired = self.authenticated(OFFER)
        self.assertEqual(wired.sent(), b"<resume xmlns='urn:xmpp:sm:3' h='7' previd='old'/>")
        return wired

    def test_resumed(self) -> None:
        """Both know then what was handled; counting goes on from there."""
        wired = self.asked()
        self.assertEqual(wired.receive(resumed(1)), [Resumed(self.former[0]), Established()])
        self.assertEqual(len(self.former[0].unacknowledged), 2)
        wired.receive(MESSAGE, REQUEST)
        self.assertEqual(wired.sent(), answer(8))

    def test_refused(self) -> None:
        """A new session follows. What had been handled the peer may still know."""
        for said, known, left in (
            (failed("item-not-found"), False, 3),
            (failed("item-not-found", " h='2'"), True, 1),
            (failed("feature-not-implemented"), False, 3),
        ):
            self.former[:] = [former()]
            wired = self.asked()
            self.assertEqual(wired.receive(said), [ResumptionFailed(self.former[0], known, busy=False)])
            self.assertEqual(len(self.former[0].unacknowledged), left)
            self.assertEqual(wired.sent(), ENABLE_RESUMABLE.encode())
            self.assertEqual(kinds(wired.receive(ENABLED)), [Managed, Established])

    def test_busy(self) -> None:
        """A session that another stream is about to resume is left alone; another may be waiting."""
        second = former()
        wired = self.asked(second)
        self.assertEqual(wired.receive(failed("conflict")), [ResumptionFailed(self.former[0], known=False, busy=True)])
        self.assertIn(b"<resume ", wired.sent())
        self.assertEqual(wired.receive(resumed()), [Resumed(second), Established()])

    def test_wrong_answers(self) -> None:
        """Another session than the one asked for, or a count that cannot be, ends the stream and changes nothing."""
        for said, condition in (
            (resumed(previd="other"), StreamCondition.POLICY_VIOLATION),
            (resumed(4), StreamCondition.UNDEFINED_CONDITION),
            (resumed("x"), StreamCondition.BAD_FORMAT),
            (failed("item-not-found", " h='4'").decode(), StreamCondition.UNDEFINED_CONDITION),
            (ENABLED, StreamCondition.UNSUPPORTED_STANZA_TYPE),
        ):
            self.former[:] = [former()]
            wired = self.asked()
            self.assertIs(failure(wired.receive(said)), condition)
            self.assertEqual((wired.stream.ledger, len(self.former[0].unacknowledged)), (None, 3))


class AnyOrderTests(ReceivingCase):
    """Whatever a peer sends, whenever."""

    @given(
        st.lists(
            st.sampled_from([ENABLE, ENABLE_RESUMABLE, ENABLED, resume(), resume(9), resumed(), REQUEST, a(0), a(1), MESSAGE])
        )
    )
    def test_known_state(self, pieces: list[str]) -> None:
        """The stream stands, or has ended with an error of ours; what it has handled is what its owner has seen."""
        self.kept = {"old": former(handled=0)}
        wired = self.established()
        seen = 0
        for piece in pieces:
            events = wired.receive(piece)
            seen += StanzaReceived in kinds(events) and wired.stream.ledger is not None
            if any(isinstance(event, StreamFailed) for event in events):
                break
        self.assertIn(wired.stream.state, (State.ESTABLISHED, State.ABANDONED))
        self.assertEqual(wired.stream.state is State.ABANDONED, wired.stream.failure is not None)
        if wired.stream.ledger is not None:
            self.assertEqual(wired.stream.ledger.handled, seen)
