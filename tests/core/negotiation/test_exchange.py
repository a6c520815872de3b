"""Tests for `xmppfed.core.negotiation.exchange`; each profile is tested by itself beside it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import Client, auth, create, kinds
from xmppfed.core.events import AuthFailed, AuthRequested, StreamFailed
from xmppfed.core.negotiation.exchange import Attempts, decode, encode
from xmppfed.core.negotiation.sasl import ReceivingSASL
from xmppfed.errors import SASLCondition, SASLError, StreamCondition


class Other(ReceivingSASL):
    """A second profile."""

    tags = frozenset({f"{{urn:x}}{name}" for name in ("auth", "response", "{urn:x}abort")})


def other(data: bytes) -> bytes:
    """The same element of the second profile."""
    return data.replace(b"urn:ietf:params:xml:ns:xmpp-sasl", b"urn:x")


class Both(Client):
    """A stream with two profiles side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts = Attempts()
        self.sasl = ReceivingSASL(["PLAIN"], create, self.attempts)
        self.other = Other(["PLAIN"], create, self.attempts)
        self.receive(self.header())
        self.stream.accept("b.example", [self.sasl, self.other])
        self.sent()


class AttemptsTests(SynchronousTestCase):
    """What profiles share that are offered side by side."""

    def test_one_after_another(self) -> None:
        """A login by the one may fail, and another by the other may follow; the owner finds which it is."""
        both = Both()
        both.receive(auth("PLAIN", b"\0juliet\0pw"))
        self.assertIs(both.attempts.current, both.sasl)
        both.sasl.reject(both.stream, SASLError(SASLCondition.NOT_AUTHORIZED))
        self.assertIsNone(both.attempts.current)
        self.assertEqual(kinds(both.receive(other(auth("PLAIN", b"\0juliet\0pw")))), [AuthFailed, AuthRequested])
        self.assertIs(both.attempts.current, both.other)

    def test_at_once(self) -> None:
        """While a login by the one is under way, whatever comes of the other ends the stream."""
        for data in (auth("PLAIN"), auth("X"), b"<response xmlns='urn:x'/>"):
            both = Both()
            both.receive(auth("PLAIN", None))
            [event] = both.receive(other(data))
            assert isinstance(event, StreamFailed)
            self.assertIs(event.error.condition, StreamCondition.POLICY_VIOLATION)

    def test_failures_are_counted_together(self) -> None:
        """The fifth failure ends the stream, by whichever profile they came."""
        both = Both()
        events = both.receive(auth("X"), other(auth("X")), auth("X"), other(auth("X")))
        self.assertEqual(kinds(events), [AuthFailed] * 4)
        self.assertEqual(kinds(both.receive(auth("X"))), [AuthFailed, StreamFailed])

    def test_answer_to_the_wrong_one(self) -> None:
        """An answer to a profile that has not asked does nothing."""
        both = Both()
        both.receive(auth("PLAIN", b"\0juliet\0pw"))
        both.other.reject(both.stream, SASLError(SASLCondition.NOT_AUTHORIZED))
        self.assertEqual((both.stream.take_events(), both.sent()), ([], b""))


class CodingTests(SynchronousTestCase):
    """How bytes stand in XML (RFC 6120, 6.4.2)."""

    def test_there_and_back(self) -> None:
        """Base64; an equals sign alone is nothing."""
        for data in (b"", b"\0a\xff"):
            self.assertEqual(decode(encode(data)), data)
        self.assertEqual(decode("="), b"")
