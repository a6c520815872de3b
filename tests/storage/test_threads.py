"""Functions that block, away from the reactor."""

from __future__ import annotations

import threading
from typing import cast

from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import SynchronousTestCase, TestCase

from xmppfed.storage.threads import OneThread, at_once


class AtOnce(SynchronousTestCase):
    """Here and now, with the answer of a thread."""

    def test_result(self) -> None:
        """The result is there at once."""
        self.assertEqual(self.successResultOf(at_once(lambda: 5)), 5)

    def test_exception(self) -> None:
        """An exception is a failure, as it would be from a thread."""
        self.failureResultOf(at_once(lambda: 1 // 0), ZeroDivisionError)


class InAThread(TestCase):
    """A real thread, and only one."""

    async def test_one(self) -> None:
        """All functions run in the same thread, which is not ours and does not keep the process alive."""
        from twisted.internet import reactor

        thread = OneThread(cast(IReactorFromThreads, reactor), "test")
        used = await gatherResults([thread(threading.current_thread) for _ in range(5)])
        self.assertEqual(len(set(used)), 1)
        self.assertIsNot(used[0], threading.current_thread())
        self.assertTrue(used[0].daemon)
        thread.stop()
        self.assertFalse(used[0].is_alive())
