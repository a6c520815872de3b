"""Values that are kept while they are used or needed, and of the others the last few."""

from __future__ import annotations

from contextlib import ExitStack

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.lastused import LastUsed


class LastUsedTests(SynchronousTestCase):
    """Values that are new lists."""

    def setUp(self) -> None:
        """Nobody needs anything; one idle value stays."""
        self.needed: set[str] = set()
        self.values: LastUsed[list[int]] = LastUsed(list, self.needed.__contains__, 1)

    def use(self, key: str) -> list[int]:
        """Use a value for a moment."""
        with self.values.using(key) as value:
            return value

    def test_one_value_for_all_users(self) -> None:
        """Whoever uses a key at the same time, or soon after, has the same value; other keys have their own."""
        with self.values.using("a") as first, self.values.using("a") as second, self.values.using("b") as other:
            self.assertIs(first, second)
            self.assertIsNot(first, other)
            self.assertIs(self.values.get("a"), first)
        self.assertIs(self.use("a"), first)

    def test_idle_ones_go(self) -> None:
        """Of those that nobody uses the last few stay, the longest unused goes."""
        first = self.use("a")
        self.assertIs(self.values.get("a"), first)
        self.use("b")
        self.assertIsNone(self.values.get("a"))
        self.assertIsNot(self.use("a"), first)

    def test_needed_ones_stay(self) -> None:
        """A value that is needed stays, unused, until it is discarded."""
        self.needed.add("a")
        first = self.use("a")
        for key in "bc":
            self.use(key)
        self.assertIs(self.values.get("a"), first)
        self.needed.clear()
        self.values.discard("a")
        self.assertIsNone(self.values.get("a"))

    def test_discard(self) -> None:
        """An idle value goes at once, a used one when its last user has gone; one that is not there is nothing to do."""
        self.use("a")
        self.values.discard("a")
        self.assertIsNone(self.values.get("a"))
        with self.values.using("a") as value:
            self.values.discard("a")
            self.assertIs(self.values.get("a"), value)
        self.values.discard("b")

    def test_a_fault_of_a_user(self) -> None:
        """Ends its use like any other end."""

        def fail() -> None:
            with self.values.using("a"):
                raise KeyError("x")

        self.assertRaises(KeyError, fail)
        self.use("b")
        self.assertIsNone(self.values.get("a"))

    @given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(("use", "keep", "end", "discard"))), max_size=30))
    def test_no_more_than_it_says(self, steps: list[tuple[str, str]]) -> None:
        """Whatever is done, there are as many values as are in use, needed, and one more."""
        self.setUp()
        open_: dict[str, ExitStack] = {}
        for key, step in steps:
            match step:
                case "use":
                    self.use(key)
                case "keep":
                    open_.setdefault(key, ExitStack()).enter_context(self.values.using(key))
                case "end":
                    open_.pop(key, ExitStack()).close()
                case _:
                    self.values.discard(key)
            present = {key for key in "abcd" if self.values.get(key) is not None}
            self.assertLessEqual(set(open_), present)
            self.assertLessEqual(len(present), len(open_) + 1)
