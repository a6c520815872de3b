"""Tests for `xmppfed.e2e.inbox`: what waits until it is taken."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.inbox import Inbox


class Taking(SynchronousTestCase):
    """`async for one in inbox`."""

    def setUp(self) -> None:
        self.inbox: Inbox[str] = Inbox(10)
        self.taken: list[str] = []

    def take(self) -> Deferred[None]:
        """Take what comes."""

        async def take() -> None:
            async for one in self.inbox:
                self.taken.append(one)

        return Deferred.fromCoroutine(take())

    def test_order(self) -> None:
        """What came before somebody took it and what comes afterwards comes in its order, until the inbox is closed."""
        self.inbox.put("one", 1)
        self.inbox.put("two", 1)
        taking = self.take()
        self.inbox.put("three", 1)
        self.assertNoResult(taking)
        self.inbox.close()
        self.successResultOf(taking)
        self.assertEqual(self.taken, ["one", "two", "three"])

    def test_closed(self) -> None:
        """What has come can be taken after the end; nothing comes any more."""
        self.inbox.put("one", 1)
        self.inbox.close()
        self.assertFalse(self.inbox.put("two", 1))
        self.successResultOf(self.take())
        self.assertEqual(self.taken, ["one"])

    def test_bounded(self) -> None:
        """What does not fit is not taken, until there is room again."""
        self.assertEqual([self.inbox.put(one, 4) for one in ("one", "two", "three")], [True, True, False])
        taking = self.take()
        self.assertTrue(self.inbox.put("four", 10))
        self.inbox.close()
        self.successResultOf(taking)
        self.assertEqual(self.taken, ["one", "two", "four"])

    def test_several(self) -> None:
        """Several can take, each in its turn."""
        first, second = self.take(), self.take()
        self.inbox.put("one", 1)
        self.inbox.close()
        self.successResultOf(first)
        self.successResultOf(second)

    def test_given_up(self) -> None:
        """What comes when somebody has given up waiting is for the next."""
        given_up = self.take()
        given_up.addErrback(lambda failure: None)
        given_up.cancel()
        self.assertTrue(self.inbox.put("one", 1))
        self.inbox.close()
        self.successResultOf(self.take())
        self.assertEqual(self.taken, ["one"])
