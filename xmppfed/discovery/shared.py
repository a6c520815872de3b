"""Work shared: one piece per key at a time, which whoever asks meanwhile joins; and several pieces at the same time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

__all__ = ["SharedWork", "together"]

T = TypeVar("T")


class _Flight(Generic[T]):
    """A piece of work under way, and those who wait for it."""

    def __init__(self) -> None:
        self.work: Deferred[T] | None = None
        self.waiters: list[Deferred[T]] = []

    def join(self) -> Deferred[T]:
        waiter: Deferred[T] = Deferred(self._leave)
        self.waiters.append(waiter)
        return waiter

    def _leave(self, waiter: Deferred[T]) -> None:
        """A waiter who gives up leaves the work to the others; the last one ends it."""
        self.waiters.remove(waiter)
        if not self.waiters and self.work is not None:
            self.work.cancel()


class SharedWork(Generic[T]):
    """Runs at most one coroutine per key."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    def join(self, key: str, start: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        """The result of the work under way for `key`, started with `start` when there is none.

        Canceling the answer only withdraws this caller, unless it was the last: then the work is canceled.
        """
        flight = self._flights.get(key)
        if flight is not None and flight.waiters:
            return flight.join()
        flight = self._flights[key] = _Flight()
        waiter = flight.join()
        work = flight.work = Deferred.fromCoroutine(start())
        work.addBoth(self._end, key, flight)
        return waiter

    def _end(self, result: T | Failure, key: str, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        waiters, flight.waiters = flight.waiters, []
        for waiter in waiters:
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)


async def together(work: Iterable[Coroutine[Deferred[Any], Any, T]]) -> list[T]:
    """The results of all, in their order, worked on at the same time; the first error of one is raised as it is."""
    try:
        return await gatherResults([Deferred.fromCoroutine(each) for each in work], consumeErrors=True)
    except FirstError as first:
        first.subFailure.raiseException()
