"""Tests for `xmppfed.core.stream` between two ends without a server (XEP-0246)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import FIRST_LIMIT, FRAMINGS, LIMIT, FramingType, Wired, create, kinds, stanza
from xmppfed.core.events import (
    AuthRequested,
    Established,
    Event,
    OpenRequested,
    StanzaReceived,
    StreamClosed,
    StreamFailed,
    StreamOpened,
    TLSAgreed,
)
from xmppfed.core.framing import E2E, Opening
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.negotiation.sasl import InitiatingSASL, ReceivingSASL
from xmppfed.core.negotiation.starttls import InitiatingStartTLS, ReceivingStartTLS
from xmppfed.core.sasl.external import ExternalClient
from xmppfed.core.stream import State
from xmppfed.core.streamframing import StreamFraming
from xmppfed.errors import StreamCondition

JULIET, ROMEO = "juliet@pronto", "romeo@forza"
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
FEATURES = "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>%s</stream:features>"
MECHANISMS = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"
MESSAGE = "<message xmlns='jabber:client' from='juliet@pronto'><body>hello</body></message>"


class End(Wired):
    """One end of an end-to-end stream; Juliet is the other."""

    profile = E2E

    def __init__(self, framing: FramingType = StreamFraming, features: tuple[Feature, ...] = (), *, open_to_all: bool = True):
        super().__init__(framing, features)
        self.stream.open_to_all = open_to_all

    def header(self, **changes: str | None) -> bytes:
        """Juliet's header."""
        return super().header(**{"to": ROMEO, "sender": JULIET, **changes})


class Receiving(End):
    """We were connected to."""

    def accepted(self, *features: Feature, **header: str | None) -> list[Event]:
        """What happens when Juliet's header was accepted."""
        self.receive(self.header(**header))
        self.stream.accept(ROMEO, features)
        return self.stream.take_events()


class Initiating(End):
    """We have connected, and sent our header."""

    receiving = False

    def opened(self) -> Initiating:
        """Our header is on its way."""
        self.stream.open(ROMEO, JULIET)
        self.sent()
        return self

    def answer(self, *features: str, **header: str | None) -> list[Event]:
        """Juliet answers with a header, and features if she has any."""
        return self.receive(self.header(**{"id": "j1", **header}), *features)


def condition(events: list[Event]) -> StreamCondition | None:
    """The error that ended the stream, if one did."""
    return next((event.error.condition for event in events if isinstance(event, StreamFailed)), None)


class HeaderTests(SynchronousTestCase):
    """E1 to E12: what the headers say."""

    def test_addresses(self) -> None:
        """E2, E3, L11: our header has both addresses, as they stand on the network."""
        for framing in FRAMINGS:
            end = Initiating(framing)
            end.stream.open(ROMEO, JULIET)
            self.assertEqual(end.sent(), end.peer.opening(Opening(ROMEO, JULIET, "", "1.0")))

    def test_answer(self) -> None:
        """E6, E7, E8, E10: the answer mirrors the addresses, has version and id, and features, which may be empty."""
        for framing in FRAMINGS:
            end = Receiving(framing)
            self.assertEqual(kinds(end.receive(end.header())), [OpenRequested])
            end.stream.accept(ROMEO, ())
            header, features = end.stream.data_to_send()
            self.assertEqual(header, end.peer.opening(Opening(ROMEO, JULIET, "id1", "1.0")))
            self.assertEqual(features.decode(), FEATURES % "")

    def test_declaration(self) -> None:
        """E1: an XML declaration may stand in front, and may be missing."""
        for declaration in ("", "<?xml version='1.0'?>", "<?xml version='1.0' encoding='UTF-8'?>\n"):
            end = Receiving()
            text = end.header().decode().partition("?>")[2]
            self.assertEqual(kinds(end.receive(declaration + text)), [OpenRequested])

    def test_nameless(self) -> None:
        """E5: who says neither who it is nor whom it wants is not sent away by the stream."""
        end = Receiving()
        self.assertEqual(kinds(end.accepted(sender=None, to=None)), [])
        self.assertIs(end.stream.state, State.NEGOTIATING)
        other = Initiating().opened()
        self.assertEqual(kinds(other.answer(FEATURES % "", sender=None, to=None, id=None)), [StreamOpened, Established])

    def test_no_id(self) -> None:
        """E8: an answer without id is one."""
        self.assertEqual(kinds(Initiating().opened().answer(FEATURES % "", id=None)), [StreamOpened, Established])

    def test_somebody_else(self) -> None:
        """Who answers in another name is not who was called; capitals do not count."""
        self.assertIs(condition(Initiating().opened().answer(sender="tybalt@pronto")), StreamCondition.INVALID_FROM)
        end = Initiating()
        end.stream.open(ROMEO, "Juliet Capulet@pronto")
        self.assertEqual(kinds(end.answer(sender="juliet capulet@PRONTO")), [StreamOpened])

    def test_versions(self) -> None:
        """E11: of other versions the later is answered as 1.0; 0.9 is the old way; what is no version is none of ours."""
        for version, legacy, failure in (
            ("1.1", False, None),
            ("2.0", False, None),
            ("0.9", True, None),
            (None, True, None),
            ("0.8", False, StreamCondition.UNSUPPORTED_VERSION),
            ("x", False, StreamCondition.UNSUPPORTED_VERSION),
        ):
            end = Receiving()
            self.assertIs(condition(end.receive(end.header(version=version))), failure, version)
            self.assertIs(end.stream.legacy, legacy, version)

    def test_namespaces(self) -> None:
        """E12: `jabber:client` is the only language, also between services."""
        header = Receiving().header().decode()
        for wrong, failure in (
            (header.replace("jabber:client", "jabber:server"), StreamCondition.INVALID_NAMESPACE),
            (header.replace("http://etherx.jabber.org/streams", "urn:other"), StreamCondition.INVALID_NAMESPACE),
        ):
            self.assertIs(condition(Receiving().receive(wrong)), failure)


class LegacyTests(SynchronousTestCase):
    """E9: peers whose header has no version know no features, no TLS and no errors."""

    def test_receiving(self) -> None:
        """Our answer has no version either, no features follow, and stanzas pass both ways."""
        end = Receiving()
        self.assertEqual(kinds(end.accepted(ReceivingStartTLS(required=False), version=None)), [Established])
        self.assertEqual(end.sent(), end.peer.opening(Opening(ROMEO, JULIET, "id1", None)))
        self.assertEqual(kinds(end.receive(MESSAGE)), [StanzaReceived])
        self.assertTrue(end.stream.send(stanza()))

    def test_initiating(self) -> None:
        """A header without version is all of the answer."""
        end = Initiating().opened()
        self.assertEqual(kinds(end.answer(version=None)), [StreamOpened, Established])
        self.assertTrue(end.stream.send(stanza()))

    def test_tls_wanted(self) -> None:
        """Where TLS is wanted the stream ends before any stanza, and without an error element (X1)."""
        end = Receiving(open_to_all=False)
        self.assertIs(condition(end.accepted(version=None)), StreamCondition.UNSUPPORTED_VERSION)
        self.assertEqual(end.sent(), end.peer.opening(Opening(ROMEO, JULIET, "id1", None)) + end.closing())
        other = Initiating(open_to_all=False).opened()
        self.assertIs(condition(other.answer(version=None)), StreamCondition.UNSUPPORTED_VERSION)
        self.assertEqual(other.sent(), other.closing())

    def test_limit(self) -> None:
        """The first stanzas are bounded as strangers' are, the others as stanzas are."""
        end = Receiving()
        self.assertEqual(end.stream.framing.limit, FIRST_LIMIT)
        end.accepted(version=None)
        self.assertEqual(end.stream.framing.limit, LIMIT)


class TLSTests(SynchronousTestCase):
    """E13, E22, T1: TLS is offered, and asked for."""

    def test_agreed(self) -> None:
        """Both ends agree on it, whether it is required or not."""
        for required in (True, False):
            end = Receiving(open_to_all=not required)
            end.accepted(ReceivingStartTLS(required=required))
            self.assertEqual(b"<required/>" in end.sent(), required)
            self.assertEqual(kinds(end.receive(STARTTLS)), [TLSAgreed])
            self.assertEqual(end.sent().decode(), PROCEED)
            other = Initiating(features=(InitiatingStartTLS(required=required),), open_to_all=not required).opened()
            other.answer(FEATURES % STARTTLS)
            self.assertEqual(kinds(other.receive(PROCEED)), [TLSAgreed])

    def test_offer_with_unknown_methods(self) -> None:
        """T1: what XEP-0250 puts into the offer is passed by."""
        end = Initiating(features=(InitiatingStartTLS(),), open_to_all=False).opened()
        offer = STARTTLS.replace("/>", "><required/><offer xmlns='urn:xmpp:tmp:c2ctls'><srp/><x509/><magic/></offer></starttls>")
        end.answer(FEATURES % offer)
        self.assertEqual(end.sent().decode(), STARTTLS)

    def test_not_offered(self) -> None:
        """A peer without TLS is spoken to where TLS is not required, and nowhere else."""
        self.assertEqual(
            kinds(Initiating(features=(InitiatingStartTLS(required=False),)).opened().answer(FEATURES % "")),
            [StreamOpened, Established],
        )
        strict = Initiating(features=(InitiatingStartTLS(),), open_to_all=False).opened()
        self.assertIs(condition(strict.answer(FEATURES % "")), StreamCondition.POLICY_VIOLATION)

    def test_stanza_instead(self) -> None:
        """A stanza instead of TLS is the peer's choice where it has one; where it has none the stream ends."""
        end = Receiving()
        end.accepted(ReceivingStartTLS(required=False))
        self.assertEqual(kinds(end.receive(MESSAGE)), [Established, StanzaReceived])
        self.assertIs(condition(end.receive(STARTTLS)), StreamCondition.UNSUPPORTED_STANZA_TYPE)
        strict = Receiving()
        strict.accepted(ReceivingStartTLS())
        self.assertIs(condition(strict.receive(MESSAGE)), StreamCondition.NOT_AUTHORIZED)

    def test_smuggled(self) -> None:
        """What stands behind the last word before TLS is a third party's, and ends the stream."""
        end = Receiving()
        end.accepted(ReceivingStartTLS())
        self.assertIs(condition(end.receive(STARTTLS + MESSAGE)), StreamCondition.NOT_AUTHORIZED)
        other = Initiating(features=(InitiatingStartTLS(),), open_to_all=False).opened()
        other.answer(FEATURES % STARTTLS)
        self.assertIs(condition(other.receive(PROCEED + MESSAGE)), StreamCondition.NOT_AUTHORIZED)


class AuthenticationTests(SynchronousTestCase):
    """E14, E15, T5: EXTERNAL after TLS, and nothing behind it."""

    def test_external(self) -> None:
        """The receiving end judges; a new stream follows, without binding, and stanzas pass."""
        sasl = ReceivingSASL(("EXTERNAL",), create)
        end = Receiving()
        end.accepted(sasl)
        [event] = end.receive("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>")
        assert isinstance(event, AuthRequested)
        sasl.accept(end.stream, None, event.claim)
        end.stream.take_events()
        self.assertIs(end.stream.state, State.RESTARTING)
        end.sent()
        self.assertEqual(kinds(end.receive(end.header())), [Established])
        self.assertNotIn(b"mechanism", end.sent())

    def test_initiating(self) -> None:
        """We authenticate before anything else."""
        end = Initiating(features=(InitiatingSASL(lambda _: ExternalClient()),)).opened()
        self.assertEqual(kinds(end.answer(FEATURES % MECHANISMS)), [StreamOpened])
        self.assertIn(b"mechanism='EXTERNAL'>=", end.sent())
        end.receive("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        self.assertEqual(end.sent(), end.peer.opening(Opening(ROMEO, JULIET, "", "1.0")))
        self.assertIn(Established, kinds(end.answer(FEATURES % "")))

    def test_not_wanted(self) -> None:
        """E15: a peer that does not authenticate by SASL may speak where nothing else is asked of it."""
        end = Receiving()
        end.accepted(ReceivingSASL(("EXTERNAL",), create))
        self.assertEqual(kinds(end.receive(MESSAGE)), [Established, StanzaReceived])

    def test_nonsense(self) -> None:
        """An element without meaning ends an open stream as it does an authenticated one."""
        end = Receiving()
        end.accepted(version="1.0")
        self.assertIs(condition(end.receive("<x xmlns='urn:x'/>")), StreamCondition.UNSUPPORTED_STANZA_TYPE)


class ClosingTests(SynchronousTestCase):
    """E21, X2: either side closes."""

    def test_both_ways(self) -> None:
        """The peer's closing is answered; after ours, what comes is still delivered, up to the peer's."""
        end = Receiving()
        end.accepted(version=None)
        end.sent()
        self.assertEqual(kinds(end.receive(end.closing())), [StreamClosed])
        self.assertEqual(end.sent(), end.closing())
        other = Receiving()
        other.accepted(version=None)
        other.stream.close()
        self.assertEqual(kinds(other.receive(MESSAGE, other.closing())), [StanzaReceived, StreamClosed])


class AnyInput(SynchronousTestCase):
    """Whatever a peer says, in whatever order, ends in a known state."""

    pieces = st.sampled_from(
        [
            Receiving().header(),
            Receiving().header(version=None),
            Receiving().header(sender=None, to=None),
            STARTTLS.encode(),
            MESSAGE.encode(),
            (FEATURES % MECHANISMS).encode(),
            b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
            b"</stream:stream>",
            b"<x",
        ]
    )

    @given(st.lists(pieces, max_size=6), st.booleans())
    def test_receiving(self, pieces: list[bytes], open_to_all: bool) -> None:
        """No stanza passes before the peer may say one, and nothing is raised."""
        end = Receiving(open_to_all=open_to_all)
        for piece in pieces:
            events = end.receive(piece)
            if end.stream.state is State.HEADER_RECEIVED:
                end.stream.accept(ROMEO, [ReceivingStartTLS(required=not open_to_all)])
                events += end.stream.take_events()
            if any(isinstance(event, StanzaReceived) for event in events):
                self.assertTrue(open_to_all)
