"""Tests for `xmppfed.e2e.requests`: every request ends in an answer, or in an error that says why there is none."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.element import Element
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.requests import Requests, error_of
from xmppfed.errors import StanzaCondition, StanzaError


def iq(type: str = "get", **attributes: str) -> Stanza:
    """An iq."""
    return Stanza.from_element(Element("iq", "jabber:client", {"type": type, **attributes}, [Element("query", "urn:x")]))


class Asking(SynchronousTestCase):
    """RFC 6120, 8.2.3."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.requests = Requests(self.clock)
        self.sent, self.answer = self.requests.ask("romeo", iq(id="mine"), 30)

    def error(self) -> StanzaError:
        """How the request has failed."""
        raised = self.failureResultOf(self.answer, StanzaError).value
        assert isinstance(raised, StanzaError)
        return raised

    def clean(self) -> None:
        """Nothing waits any more."""
        self.assertEqual((self.requests._waiting, self.clock.getDelayedCalls()), ({}, []))

    def test_answered(self) -> None:
        """A result with the id of the request, from whom was asked, is the answer; a second one is nobody's."""
        self.assertNotIn(self.sent.id, ("mine", None))
        result = self.sent.reply()
        self.assertTrue(self.requests.answered("romeo", result))
        self.assertIs(self.successResultOf(self.answer), result)
        self.assertFalse(self.requests.answered("romeo", result))
        self.clean()

    def test_of_others(self) -> None:
        """What somebody else says, what is no iq, what is a request itself, and another id answer nothing."""
        result = self.sent.reply()
        self.assertFalse(self.requests.answered("tybalt", result))
        for other in (iq("result", id="guessed"), iq("result"), self.sent):
            self.assertFalse(self.requests.answered("romeo", other))
        message = Stanza("message", "jabber:client", {"id": str(self.sent.id)})
        self.assertFalse(self.requests.answered("romeo", message))
        self.assertNoResult(self.answer)
        self.requests.answered("romeo", result)

    def test_error(self) -> None:
        """An error is raised as it was meant: condition, type and text."""
        answer = self.sent.error(StanzaError(StanzaCondition.FORBIDDEN, "cancel", "Not you."))
        self.assertTrue(self.requests.answered("romeo", answer))
        error = self.error()
        self.assertEqual((error.condition, error.type, error.text), (StanzaCondition.FORBIDDEN, "cancel", "Not you."))
        self.clean()

    def test_strange_errors(self) -> None:
        """An error without a condition that we know is one all the same."""
        for letter in (b"", b"<error/>", b"<error><nonsense xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"):
            error = error_of(Stanza("iq", "jabber:client", {"type": "error"}, letter))
            self.assertEqual((error.condition, error.text), (StanzaCondition.UNDEFINED_CONDITION, ""))

    def test_never_answered(self) -> None:
        """Nobody waits for ever."""
        self.clock.advance(29)
        self.assertNoResult(self.answer)
        self.clock.advance(1)
        error = self.error()
        self.assertEqual((error.condition, error.text), (StanzaCondition.REMOTE_SERVER_TIMEOUT, "No answer within 30 seconds."))
        self.assertFalse(self.requests.answered("romeo", self.sent.reply()))
        self.clean()

    def test_failed(self) -> None:
        """Where no answer can come, the request fails at once: one by its id, or all of one peer."""
        _, second = self.requests.ask("romeo", iq(), 30)
        _, other = self.requests.ask("tybalt", iq(), 30)
        gone = StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE)
        self.assertTrue(self.requests.failed("romeo", gone, self.sent.id))
        self.assertIs(self.error(), gone)
        self.assertNoResult(second)
        self.assertTrue(self.requests.failed("romeo", gone))
        self.failureResultOf(second, StanzaError)
        self.assertFalse(self.requests.failed("romeo", gone))
        self.assertNoResult(other)
        self.requests.failed("tybalt", gone)
        self.failureResultOf(other, StanzaError)
        self.clean()
