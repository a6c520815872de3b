"""How often somebody may do something."""

from __future__ import annotations

from collections import OrderedDict, deque

__all__ = ["Limiter"]


class Limiter:
    """At most so many times within so many seconds, for each key; the clock is the caller's."""

    def __init__(self, most: int, seconds: float, keys: int = 10_000) -> None:
        """Of more than `keys` keys the one that was quiet for longest is forgotten."""
        self._most = most
        self._seconds = seconds
        self._keys = keys
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def allow(self, key: str, now: float) -> bool:
        """Whether it may be done once more; then it counts as done."""
        allowed = self.has_room(key, now)
        if allowed:
            self.count(key, now)
        return allowed

    def has_room(self, key: str, now: float) -> bool:
        """Whether it may be done once more."""
        times = self._times.get(key, ())
        return sum(1 for time in times if time > now - self._seconds) < self._most

    def count(self, key: str, now: float) -> None:
        """It was done."""
        self._times.setdefault(key, deque(maxlen=self._most)).append(now)
        self._times.move_to_end(key)
        if len(self._times) > self._keys:
            self._times.popitem(last=False)
