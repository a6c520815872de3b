"""Work that is shared by those who ask for the same."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.shared import SharedWork, together


class SharedWorkTests(SynchronousTestCase):
    """One piece of work per key at a time."""

    def setUp(self) -> None:
        """Work that ends when the test says so."""
        self.shared: SharedWork[str] = SharedWork()
        self.started: list[Deferred[str]] = []

    def join(self, key: str = "a") -> Deferred[str]:
        """Ask for the work of a key."""

        async def work() -> str:
            result: Deferred[str] = Deferred()
            self.started.append(result)
            return await result

        return self.shared.join(key, work)

    def test_joined(self) -> None:
        """Whoever asks meanwhile gets the same result without more work; another key is other work."""
        first, second, other = self.join(), self.join(), self.join("b")
        self.assertEqual(len(self.started), 2)
        self.started[0].callback("done")
        self.assertEqual([self.successResultOf(first), self.successResultOf(second)], ["done", "done"])
        self.assertNoResult(other)

    def test_failure(self) -> None:
        """A failure reaches everybody."""
        waiting = [self.join(), self.join()]
        self.started[0].errback(ValueError("no"))
        for waiter in waiting:
            self.failureResultOf(waiter, ValueError)

    def test_over(self) -> None:
        """What is over is not shared: the next one who asks starts anew."""
        self.join()
        self.started[0].callback("old")
        again = self.join()
        self.started[1].callback("new")
        self.assertEqual(self.successResultOf(again), "new")

    def test_at_once(self) -> None:
        """Work that ends before it waits has its result at once, and leaves nothing behind."""

        async def work() -> str:
            return "now"

        self.assertEqual(self.successResultOf(self.shared.join("a", work)), "now")
        again = self.join()
        self.assertNoResult(again)

    def test_one_gives_up(self) -> None:
        """One who gives up leaves the work to the others."""
        first, second = self.join(), self.join()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.started[0].callback("done")
        self.assertEqual(self.successResultOf(second), "done")

    def test_all_give_up(self) -> None:
        """When the last one gives up the work is canceled, and the next one starts anew."""
        first, second = self.join(), self.join()
        for waiter in (first, second):
            waiter.cancel()
            self.failureResultOf(waiter, CancelledError)
        self.assertTrue(self.started[0].called)
        self.join()
        self.assertEqual(len(self.started), 2)

    def test_work_that_takes_time_to_give_up(self) -> None:
        """Work that is canceled but not over yet is not joined, and its end does not disturb its successor."""
        slow: Deferred[str] = Deferred()

        async def work() -> str:
            try:
                return await Deferred()
            except CancelledError:
                return await slow

        abandoned = self.shared.join("a", work)
        abandoned.cancel()
        self.failureResultOf(abandoned, CancelledError)
        first, second = self.join(), self.join()
        self.assertEqual(len(self.started), 1)
        slow.callback("late")
        third = self.join()
        self.started[0].callback("done")
        self.assertEqual([self.successResultOf(one) for one in (first, second, third)], ["done"] * 3)


class TogetherTests(SynchronousTestCase):
    """Several pieces of work at the same time."""

    def setUp(self) -> None:
        """Two that wait."""
        self.waiting: list[Deferred[int]] = [Deferred(), Deferred()]

        async def work(number: int) -> int:
            return await self.waiting[number]

        self.result = Deferred.fromCoroutine(together([work(0), work(1)]))

    def test_results(self) -> None:
        """The results come in the order of the work, whichever is done first."""
        self.waiting[1].callback(2)
        self.assertNoResult(self.result)
        self.waiting[0].callback(1)
        self.assertEqual(self.successResultOf(self.result), [1, 2])

    def test_error(self) -> None:
        """The first error is raised as it is, and later ones are not left over."""
        self.waiting[0].errback(ValueError("first"))
        self.assertEqual(str(self.failureResultOf(self.result, ValueError).value), "first")
        self.waiting[1].errback(ZeroDivisionError())

    def test_canceled(self) -> None:
        """Who gives up gives all of it up."""
        self.result.cancel()
        self.failureResultOf(self.result, CancelledError)
        self.assertTrue(all(one.called for one in self.waiting))

    def test_nothing(self) -> None:
        """Nothing to do is done at once."""
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(together([]))), [])
