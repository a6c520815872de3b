"""Tests for `xmppfed.core.negotiation.offers`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import FRAMINGS, Client, FramingType
from xmppfed.core.element import Element
from xmppfed.core.events import NonzaReceived, StanzaReceived, StrangerAsked, StreamFailed
from xmppfed.core.framing import MessageFraming
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.offers import Offers
from xmppfed.core.stream import State
from xmppfed.errors import StreamCondition

ASK, WAVE = "{urn:x}ask", "{urn:x}wave"
REQUEST = "<iq xmlns='jabber:client' type='%s' id='1'><ask xmlns='urn:x'/></iq>"


def opened(framing: FramingType = MessageFraming) -> tuple[Client, Offers]:
    """A client's stream whose features have been sent."""
    wired, offers = Client(framing), Offers("<before/>", "<after/>", nonzas=[WAVE], requests=[ASK])
    wired.receive(wired.header())
    wired.stream.accept("b.example", [wired.sasl, wired.bind, offers])
    return wired, offers


class OfferedTests(SynchronousTestCase):
    """What stands in the features (RFC 6120, 4.3.2)."""

    def test_by_authentication(self) -> None:
        """Something else before and after."""
        wired, offers = opened()
        sent = wired.sent()
        self.assertIn(b"<before/>", sent)
        self.assertNotIn(b"<after/>", sent)
        wired.stream.prove(JID("juliet", "b.example"), "X")
        self.assertEqual(offers.offer(wired.stream), "<after/>")


class NonzaTests(SynchronousTestCase):
    """Elements that are no stanzas."""

    def test_on_an_established_stream(self) -> None:
        """The owner is told, nothing is answered, and stanzas go on."""
        for framing in FRAMINGS:
            wired, _ = opened(framing)
            wired.stream.establish()
            wired.sent(), wired.stream.take_events()
            self.assertEqual(wired.receive("<wave xmlns='urn:x'/>"), [NonzaReceived(Element("wave", "urn:x"))])
            self.assertEqual((wired.sent(), wired.stream.state), (b"", State.ESTABLISHED))

    def test_before(self) -> None:
        """Nothing but negotiation may come before there is a session (RFC 6120, 4.3.5)."""
        wired, _ = opened()
        (failed,) = wired.receive("<wave xmlns='urn:x'/>")
        assert isinstance(failed, StreamFailed)
        self.assertIs(failed.error.condition, StreamCondition.NOT_AUTHORIZED)

    def test_unknown(self) -> None:
        """What nobody takes ends the stream (RFC 6120, 4.9.3.24)."""
        wired, _ = opened()
        wired.stream.prove(JID("juliet", "b.example"), "X")
        wired.stream.establish()
        (failed,) = wired.receive("<shout xmlns='urn:x'/>")[-1:]
        assert isinstance(failed, StreamFailed)
        self.assertIs(failed.error.condition, StreamCondition.UNSUPPORTED_STANZA_TYPE)


class StrangerTests(SynchronousTestCase):
    """Requests before a login."""

    def test_asked_and_answered(self) -> None:
        """The owner is asked, and what comes meanwhile waits for the answer; then there can be another."""
        for framing in FRAMINGS:
            wired, offers = opened(framing)
            wired.sent()
            for type in ("get", "set"):
                events = wired.receive(REQUEST % type, REQUEST % type)
                (asked,) = events
                assert isinstance(asked, StrangerAsked)
                self.assertEqual((asked.stanza.type, wired.stream.state), (type, State.DECIDING))
                offers.answer(wired.stream, asked.stanza.reply())
                self.assertRegex(wired.sent().decode(), "^<iq( xmlns='jabber:client')? id='1' type='result'/>$")
                (again,) = wired.stream.take_events()
                assert isinstance(again, StrangerAsked)
                offers.answer(wired.stream, again.stanza.reply())
                wired.sent()

    def test_an_answer_too_late(self) -> None:
        """A stream that ended meanwhile gets none."""
        wired, offers = opened()
        (asked,) = wired.receive(REQUEST % "get")
        assert isinstance(asked, StrangerAsked)
        wired.stream.connection_lost()
        wired.sent()
        offers.answer(wired.stream, asked.stanza.reply())
        self.assertEqual(wired.sent(), b"")

    def test_no_request(self) -> None:
        """Answers, and requests that nobody takes, may not come before a login (RFC 6120, 4.3.5)."""
        for data in (
            REQUEST % "result",
            REQUEST % "error",
            "<iq xmlns='jabber:client' type='get' id='1'><wave xmlns='urn:x'/></iq>",
        ):
            wired, _ = opened()
            (failed,) = wired.receive(data)
            assert isinstance(failed, StreamFailed)
            self.assertIs(failed.error.condition, StreamCondition.NOT_AUTHORIZED)

    def test_behind_authentication(self) -> None:
        """Who has logged in is a stranger no more: before binding nothing may come, afterwards it is a stanza like others."""
        wired, _ = opened()
        wired.stream.prove(JID("juliet", "b.example"), "X")
        wired.stream.establish()
        wired.stream.take_events()
        (received,) = wired.receive(REQUEST % "get")
        self.assertIsInstance(received, StanzaReceived)
