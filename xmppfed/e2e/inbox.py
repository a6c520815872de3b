"""What has come for a program and was not taken yet: bounded, and iterated over."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

__all__ = ["Inbox"]

T = TypeVar("T")


class Inbox(Generic[T]):
    """Hands out what is put in, in its order, and ends when it is closed and empty: `async for one in inbox`."""

    def __init__(self, most: int) -> None:
        """`most` is how many bytes may wait."""
        self._most = most
        self._bytes = 0
        self._items: deque[tuple[T, int]] = deque()
        self._waiting: deque[Deferred[T | None]] = deque()
        self._closed = False

    def put(self, item: T, size: int) -> bool:
        """Keep something of that many bytes until it is taken; false when there is no room for it, or nobody to take it."""
        if self._closed or self._bytes + size > self._most:
            return False
        if self._waiting:
            self._waiting.popleft().callback(item)
        else:
            self._items.append((item, size))
            self._bytes += size
        return True

    def close(self) -> None:
        """Nothing comes any more; what is there can be taken."""
        self._closed = True
        while self._waiting:
            self._waiting.popleft().callback(None)

    def __aiter__(self) -> Inbox[T]:
        return self

    async def __anext__(self) -> T:
        if self._items:
            item, size = self._items.popleft()
            self._bytes -= size
            return item
        if self._closed:
            raise StopAsyncIteration
        waiting: Deferred[T | None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        found = await waiting
        if found is None:
            raise StopAsyncIteration
        return found
