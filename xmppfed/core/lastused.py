"""Values that are costly to get: kept while somebody uses or needs them, and of the others the last few."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["LastUsed"]

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Used(Generic[T]):
    value: T
    users: int = 0


class LastUsed(Generic[T]):
    """One value for each key; whoever uses a key at the same time has the same value."""

    def __init__(self, make: Callable[[], T], is_needed: Callable[[str], bool], most_idle: int) -> None:
        """`make` makes a value for a new key. While `is_needed` says so of a key its value stays; when it does no more, call
        `discard`."""
        self._make = make
        self._is_needed = is_needed
        self._most_idle = most_idle
        self._used: dict[str, _Used[T]] = {}
        self._idle: OrderedDict[str, T] = OrderedDict()

    def get(self, key: str) -> T | None:
        """The value, if there is one."""
        used = self._used.get(key)
        return self._idle.get(key) if used is None else used.value

    @contextmanager
    def using(self, key: str) -> Iterator[T]:
        """The value, which stays at least until the end of the context."""
        used = self._used.get(key)
        if used is None:
            idle = self._idle.pop(key, None)
            used = self._used[key] = _Used(self._make() if idle is None else idle)
        used.users += 1
        try:
            yield used.value
        finally:
            used.users -= 1
            self._let_go(key, used)

    def discard(self, key: str) -> None:
        """Keep the value no longer than somebody uses it."""
        self._idle.pop(key, None)
        used = self._used.get(key)
        if used is not None and not used.users:
            del self._used[key]

    def _let_go(self, key: str, used: _Used[T]) -> None:
        if used.users or self._is_needed(key):
            return
        del self._used[key]
        self._idle[key] = used.value
        if len(self._idle) > self._most_idle:
            self._idle.popitem(last=False)
