"""Races: who begins when, who wins, and what becomes of the others."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.net.racing import Finish, Start, race


class Way:
    """One way; the test says where it leads."""

    fault: Exception | None = None

    def __init__(self, case: RaceCase, name: str) -> None:
        self.case = case
        self.name = name
        self.canceled = False

    def __call__(self) -> Deferred[str | None]:
        """Begin."""
        self.case.begun.append((self.case.clock.seconds(), self.name))
        self.result: Deferred[str | None] = Deferred(self._cancel)
        return self.result

    def _cancel(self, result: Deferred[str | None]) -> None:
        self.canceled = True
        if self.fault is not None:
            result.errback(self.fault)


class RaceCase(SynchronousTestCase):
    """Ways that are named by letters, a quarter of a second apart."""

    def setUp(self) -> None:
        """A clock."""
        self.clock = Clock()
        self.begun: list[tuple[float, str]] = []

    def race(self, names: str, at_once: int = 9) -> Deferred[Finish[str]]:
        """Begin."""
        self.ways = {name: Way(self, name) for name in names}
        return race(self.clock, self.ways.values(), delay=0.25, at_once=at_once)

    def end(self, name: str, result: str | None = None) -> None:
        """A way ends: nowhere, or there."""
        self.ways[name].result.callback(result)

    def names(self) -> str:
        """Who has begun."""
        return "".join(name for _, name in self.begun)


class Beginning(RaceCase):
    """When each way begins."""

    def test_delay(self) -> None:
        """Each begins a quarter of a second after the one before."""
        self.race("abc")
        self.clock.pump([0.125] * 8)
        self.assertEqual(self.begun, [(0, "a"), (0.25, "b"), (0.5, "c")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failure(self) -> None:
        """As soon as one has led nowhere the next one begins, and the delay counts from there."""
        self.race("abcd")
        self.clock.advance(0.125)
        self.end("a")
        self.assertEqual(self.begun, [(0, "a"), (0.125, "b")])
        self.clock.advance(0.125)
        self.assertEqual(self.names(), "ab")
        self.clock.advance(0.125)
        self.assertEqual(self.begun[2:], [(0.375, "c")])

    def test_at_once(self) -> None:
        """No more than so many are under way: the next waits until one has led nowhere."""
        self.race("abcd", at_once=2)
        self.clock.pump([0.25] * 8)
        self.assertEqual(self.names(), "ab")
        self.end("b")
        self.assertEqual(self.names(), "abc")
        self.clock.pump([0.25] * 8)
        self.assertEqual(self.names(), "abc")


class Ending(RaceCase):
    """How a race ends."""

    def test_winner(self) -> None:
        """The first that comes there wins, whenever it began; the others are given up, and told with those that never
        began, in their order; those that led nowhere are not."""
        racing = self.race("abcd")
        self.clock.advance(0.25)
        self.end("a")
        self.end("c", "there")
        finish = self.successResultOf(racing)
        self.assertEqual(finish, Finish("there", (self.ways["b"], self.ways["d"])))
        self.assertTrue(self.ways["b"].canceled)
        self.assertEqual((self.names(), self.clock.getDelayedCalls()), ("abc", []))

    def test_nobody(self) -> None:
        """Where all lead nowhere there is no winner, and nothing is left."""
        racing = self.race("ab")
        self.end("a")
        self.assertNoResult(racing)
        self.end("b")
        self.assertEqual(self.successResultOf(racing), Finish(None))

    def test_nothing(self) -> None:
        """Without a way there is no winner."""
        self.assertEqual(self.successResultOf(self.race("")), Finish(None))

    def test_ends_while_it_begins(self) -> None:
        """A way that leads nowhere at once makes room for the next without a pause; one that is there at once wins."""
        ends: list[str | None] = [None, None, "there", "never"]
        ways: list[Start[str]] = [partial(succeed, end) for end in ends]
        finish: Finish[str] = self.successResultOf(race(self.clock, ways, delay=0.25, at_once=1))
        self.assertEqual((finish.winner, finish.left), ("there", tuple(ways[3:])))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_fault(self) -> None:
        """An exception is no way that leads nowhere: it ends the race, and the others are given up."""
        racing = self.race("abc")
        self.clock.advance(0.25)
        self.ways["a"].result.errback(ZeroDivisionError())
        self.failureResultOf(racing, ZeroDivisionError)
        self.assertTrue(self.ways["b"].canceled)
        self.assertEqual((self.names(), self.clock.getDelayedCalls()), ("ab", []))

    def test_canceled(self) -> None:
        """Who gives the race up gives every way up."""
        racing = self.race("abc")
        self.clock.advance(0.25)
        racing.cancel()
        self.failureResultOf(racing, CancelledError)
        self.assertEqual([self.ways[name].canceled for name in "ab"], [True, True])
        self.assertEqual((self.names(), self.clock.getDelayedCalls()), ("ab", []))

    def test_fault_of_a_loser(self) -> None:
        """A fault in giving up is logged; the winner stays."""
        racing = self.race("ab")
        self.clock.advance(0.25)
        self.ways["a"].fault = ZeroDivisionError()
        self.end("b", "there")
        self.assertEqual(self.successResultOf(racing).winner, "there")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Properties(RaceCase):
    """Whatever happens in whatever order."""

    @given(
        st.integers(1, 6),
        st.integers(1, 6),
        st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans(), st.sampled_from([0, 0.125, 0.25])), max_size=12),
    )
    def test_any_course(self, number: int, at_once: int, course: list[tuple[str, bool, float]]) -> None:
        """Nobody begins twice or out of turn, no more than allowed are under way, and nothing is left when it is over."""
        self.setUp()
        names = "abcdef"[:number]
        racing = self.race(names, at_once)
        results: list[Finish[str]] = []
        racing.addCallbacks(results.append, lambda failure: failure.trap(CancelledError))
        ended: set[str] = set()
        for name, there, seconds in course:
            self.clock.advance(seconds)
            if not results and name in self.names() and name not in ended:
                ended.add(name)
                self.end(name, name if there else None)
            self.assertEqual(self.names(), names[: len(self.begun)])
            self.assertLessEqual(len(set(self.names()) - ended), at_once)
        if results:
            canceled = [name for name in self.names() if self.ways[name].canceled]
            self.assertEqual(set(self.names()), ended | set(canceled))
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertEqual(results[0].left, tuple(self.ways[name] for name in names if name not in ended))
        else:
            self.assertTrue(set(self.names()) - ended)
        racing.cancel()
