"""All streams of a service, and when the last one is gone."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.gathering import Gathering

SHUTDOWN = StreamError(StreamCondition.SYSTEM_SHUTDOWN)


class Somebody:
    """The owner of a stream; it goes when told, if it is `quick`."""

    def __init__(self, gathering: Gathering[Somebody], *, quick: bool = False) -> None:
        self.gathering = gathering
        self.quick = quick
        self.errors: list[StreamError] = []
        gathering.add(self)

    def end(self, error: StreamError) -> None:
        """Keep it."""
        self.errors.append(error)
        if self.quick:
            self.gathering.discard(self)


class Ending(SynchronousTestCase):
    """`end_all`."""

    def setUp(self) -> None:
        """Nobody is there."""
        self.gathering: Gathering[Somebody] = Gathering()

    def test_nobody(self) -> None:
        """There is nothing to wait for."""
        self.assertIsNone(self.successResultOf(self.gathering.end_all(SHUTDOWN)))

    def test_the_last_one(self) -> None:
        """Everybody is told why; the result comes with the last one, also when some go at that very moment."""
        slow, other = Somebody(self.gathering), Somebody(self.gathering)
        quick = Somebody(self.gathering, quick=True)
        done = self.gathering.end_all(SHUTDOWN)
        self.assertEqual([one.errors for one in (slow, other, quick)], [[SHUTDOWN]] * 3)
        self.gathering.discard(slow)
        self.assertNoResult(done)
        self.assertEqual(len(self.gathering), 1)
        self.gathering.discard(other)
        self.assertIsNone(self.successResultOf(done))

    def test_all_quick(self) -> None:
        """When all go at once the result is there at once."""
        for _ in range(3):
            Somebody(self.gathering, quick=True)
        self.assertIsNone(self.successResultOf(self.gathering.end_all(SHUTDOWN)))

    def test_late_comers(self) -> None:
        """Who comes while the others go is waited for as well."""
        first = Somebody(self.gathering)
        done = self.gathering.end_all(SHUTDOWN)
        second = Somebody(self.gathering)
        self.gathering.discard(first)
        self.assertNoResult(done)
        self.gathering.discard(second)
        self.successResultOf(done)

    def test_twice(self) -> None:
        """Two who wait both hear of it."""
        somebody = Somebody(self.gathering)
        waiting = [self.gathering.end_all(SHUTDOWN), self.gathering.end_all(SHUTDOWN)]
        self.gathering.discard(somebody)
        for one in waiting:
            self.successResultOf(one)

    def test_going_without_an_end(self) -> None:
        """Who is not waited for goes unnoticed; saying it twice does no harm."""
        somebody = Somebody(self.gathering)
        self.gathering.discard(somebody)
        self.gathering.discard(somebody)
        self.assertEqual((len(self.gathering), somebody.errors), (0, []))
