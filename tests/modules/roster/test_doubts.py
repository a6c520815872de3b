"""Whom to ask when what another server said may not be true any more, and when."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.modules.roster.doubts import Doubts
from xmppfed.timeouts import Timeouts

DOMAIN = "example.net"


class Asking:
    """Doubts, and what they asked when."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.said: list[tuple[float, str]] = []
        self.is_wanted = True
        timeouts = Timeouts(presence_doubt=30, presence_doubt_most=100)
        self.doubts = Doubts(self.clock, timeouts, self.ping, self.note("probe"), self.note("give up"))

    def ping(self, domain: str) -> bool:
        self.said.append((self.clock.seconds(), "ping"))
        return self.is_wanted

    def note(self, what: str) -> Callable[[str], None]:
        return lambda domain: self.said.append((self.clock.seconds(), what))

    def let(self, seconds: float) -> list[tuple[float, str]]:
        """What is asked while time passes."""
        for _ in range(round(seconds)):
            self.clock.advance(1)
        said, self.said = self.said, []
        return said


class DoubtsTests(SynchronousTestCase):
    """One domain."""

    def setUp(self) -> None:
        """It has just broken."""
        self.asking = Asking()
        self.doubts = self.asking.doubts
        self.doubts.broken(DOMAIN)

    def test_it_answers(self) -> None:
        """It has time to come back; then it is pinged, then probed, and who has not answered by then is given up."""
        self.assertEqual(self.asking.let(30), [(30, "ping")])
        self.doubts.heard(DOMAIN)
        self.assertEqual(self.asking.let(40), [(30, "probe"), (60, "give up")])
        self.assertEqual((bool(self.doubts), self.asking.clock.getDelayedCalls()), (False, []))

    def test_it_does_not_answer(self) -> None:
        """Everybody is given up, and it is pinged again after a longer and longer while."""
        said = self.asking.let(460)
        pings = [moment for moment, what in said if what == "ping"]
        self.assertEqual(pings, [30, 120, 250, 380])
        self.assertEqual([moment for moment, what in said if what == "give up"], [60, 150, 280, 410])
        self.doubts.heard(DOMAIN)
        self.assertEqual(self.asking.let(30), [(490, "ping")])

    def test_it_comes_back_by_itself(self) -> None:
        """When something is heard it is pinged soon, not after the long while; what is due earlier stays."""
        self.asking.let(65)
        self.doubts.heard(DOMAIN)
        self.assertEqual(self.asking.let(29), [])
        self.doubts.heard(DOMAIN)
        self.assertEqual(self.asking.let(1), [(95, "ping")])

    def test_it_breaks_again(self) -> None:
        """Whatever was asked, it begins anew."""
        self.asking.let(20)
        self.doubts.broken(DOMAIN)
        self.assertEqual(self.asking.let(30), [(50, "ping")])
        self.doubts.broken(DOMAIN)
        self.assertEqual(self.asking.let(30), [(80, "ping")])
        self.doubts.heard(DOMAIN)
        self.doubts.broken(DOMAIN)
        self.assertEqual(self.asking.let(31), [(80, "probe"), (110, "ping")])

    def test_hearing_more(self) -> None:
        """Answers to probes change nothing about when they have to be there."""
        self.asking.let(30)
        for _ in range(3):
            self.doubts.heard(DOMAIN)
        self.assertEqual(self.asking.let(30), [(30, "probe"), (60, "give up")])

    def test_nobody_wants_to_know(self) -> None:
        """Then it is not asked, and there is no doubt."""
        self.asking.is_wanted = False
        self.asking.let(30)
        self.assertEqual((bool(self.doubts), self.asking.clock.getDelayedCalls()), (False, []))

    def test_unreachable(self) -> None:
        """A domain that could not be asked is in doubt; one that is in doubt already stays as it is."""
        self.asking.let(20)
        self.doubts.unreachable(DOMAIN)
        self.doubts.unreachable("other.example")
        self.assertEqual([moment for moment, what in self.asking.let(30) if what == "ping"], [30, 50])

    def test_others(self) -> None:
        """What is heard from a domain that is not in doubt means nothing."""
        self.doubts.heard("other.example")
        self.assertEqual(self.asking.let(29), [])

    def test_stop(self) -> None:
        """Nothing is left."""
        self.doubts.broken("other.example")
        self.doubts.stop()
        self.assertEqual((bool(self.doubts), self.asking.clock.getDelayedCalls()), (False, []))

    @given(st.lists(st.sampled_from(("broken", "unreachable", "heard", "time")), max_size=30))
    def test_any_order(self, steps: list[str]) -> None:
        """Whatever happens, a domain in doubt has one call that is due, and others none; in the end there is no doubt where
        the domain answers."""
        asking = Asking()
        for step in steps:
            if step == "time":
                asking.let(17)
            else:
                getattr(asking.doubts, step)(DOMAIN)
            self.assertEqual(len(asking.clock.getDelayedCalls()), int(bool(asking.doubts)))
        for _ in range(10):
            asking.let(30)
            asking.doubts.heard(DOMAIN)
        self.assertFalse(asking.doubts)
