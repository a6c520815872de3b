"""Tests for `xmppfed.e2e.session`: what outlives a stream."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.e2e.ends import body_of, message
from xmppfed.core.ledger import Ledger
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.session import Session, new_id, new_ledger
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.timeouts import Timeouts

TIMEOUTS = Timeouts(queue=60, hibernation=600)


class Sessions(SynchronousTestCase):
    """A session of one peer (X4)."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lost: list[str] = []
        self.session = Session(self.clock, TIMEOUTS, lambda stanzas: self.lost.extend(map(body_of, stanzas)))

    def ledger(self, *said: str) -> Ledger:
        """With stanzas that nobody acknowledged."""
        ledger = new_ledger(new_id(), TIMEOUTS)
        for body in said:
            ledger.sent(message(body), 100)
        return ledger

    def bodies(self, stanzas: list[Stanza]) -> list[str]:
        """What they say."""
        return [body_of(stanza) for stanza in stanzas]

    def test_ids(self) -> None:
        """They are long, and each is another."""
        self.assertEqual(len({new_id() for _ in range(100)}), 100)
        self.assertGreaterEqual(len(new_id()), 20)

    def test_found(self) -> None:
        """By its id, and by no other."""
        ledger = self.ledger("one")
        self.session.keep(ledger)
        self.assertIs(self.session.find(ledger.id, yields=False), ledger)
        for wrong in ("", new_id(), "\u00e9"):
            error = self.assertRaises(StanzaError, self.session.find, wrong, yields=True)
            self.assertIs(error.condition, StanzaCondition.ITEM_NOT_FOUND)
        self.assertEqual(self.bodies(self.session.end()), ["one"])
        self.assertRaises(StanzaError, self.session.find, ledger.id, yields=True)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_both_at_once(self) -> None:
        """A call of ours has it once; meanwhile the peer gets it only where we yield."""
        ledger = self.ledger()
        self.assertIsNone(self.session.take())
        self.session.keep(ledger)
        self.assertIs(self.session.take(), ledger)
        self.assertIsNone(self.session.take())
        error = self.assertRaises(StanzaError, self.session.find, ledger.id, yields=False)
        self.assertIs(error.condition, StanzaCondition.CONFLICT)
        self.assertIs(self.session.find(ledger.id, yields=True), ledger)
        self.session.end()

    def test_given_up(self) -> None:
        """With something to say it waits as long as a queue does, without as long as sessions hibernate."""
        self.session.keep(self.ledger("one", "two"))
        self.clock.advance(60)
        self.assertEqual((self.lost, self.session.ledger), (["one", "two"], None))
        self.session.keep(self.ledger())
        self.clock.advance(599)
        self.assertIsNotNone(self.session.ledger)
        self.clock.advance(1)
        self.assertIsNone(self.session.ledger)

    def test_another_one(self) -> None:
        """Two streams broke: the later session can be resumed, and what the earlier had to say is not lost."""
        self.assertEqual(self.session.keep(self.ledger("one")), [])
        self.assertEqual(self.bodies(self.session.keep(self.ledger("two"))), ["one"])
        self.assertEqual(self.bodies(self.session.end()), ["two"])
