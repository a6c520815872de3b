"""Tests for `xmppfed.core.limiter`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.limiter import Limiter


class LimiterTests(SynchronousTestCase):
    """So many times within so many seconds."""

    def test_each_key_by_itself(self) -> None:
        """What was refused does not count, and room comes back one by one."""
        limiter = Limiter(2, 10)
        times = (0, 4, 5, 9.9, 10, 13, 14)
        self.assertEqual([limiter.allow("a", now) for now in times], [True, True, False, False, True, False, True])
        self.assertEqual([limiter.allow("b", now) for now in (14, 14, 14)], [True, True, False])

    def test_bounded(self) -> None:
        """Of too many keys the quietest is forgotten: it may begin anew, and the others may not."""
        limiter = Limiter(1, 10, keys=2)
        self.assertEqual([limiter.allow(key, 0) for key in "abac"], [True, True, False, True])
        self.assertEqual([limiter.allow(key, 1) for key in "acb"], [True, False, True])

    def test_looking_is_not_doing(self) -> None:
        """To ask for room takes none."""
        limiter = Limiter(1, 10)
        self.assertEqual([limiter.has_room("a", 0) for _ in range(3)], [True] * 3)
        limiter.count("a", 0)
        self.assertEqual([limiter.has_room("a", now) for now in (0, 9, 10)], [False, False, True])

    @given(st.lists(st.floats(0, 100), max_size=40), st.integers(1, 5))
    def test_never_more(self, moments: list[float], most: int) -> None:
        """However they are spread, no ten seconds have more than what is allowed, and none are refused without need."""
        limiter, done = Limiter(most, 10), []
        for now in sorted(moments):
            recent = sum(1 for each in done if each > now - 10)
            self.assertIs(limiter.allow("a", now), recent < most)
            if recent < most:
                done.append(now)
