"""Several ways to the same end, begun one after another until the first has come there (RFC 8305, 5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

__all__ = ["Finish", "Start", "race"]

T = TypeVar("T")
Start = Callable[[], "Deferred[T | None]"]
"""Begins one way; the result is None where it has led nowhere. An exception is a fault, and ends the race."""


@dataclass(frozen=True, slots=True)
class Finish(Generic[T]):
    """How a race ended: its winner, if there is one, and the ways that have not led nowhere: given up, or never begun."""

    winner: T | None
    left: tuple[Start[T], ...] = ()


def race(clock: IReactorTime, ways: Iterable[Start[T]], *, delay: float, at_once: int) -> Deferred[Finish[T]]:
    """Begin the ways in their order, each `delay` seconds after the one before, or as soon as that has led nowhere.

    No more than `at_once` are under way at the same time. The first that comes to its end wins, and the others are
    canceled. Canceling the answer cancels them all.
    """
    running = _Race(clock, ways, delay, at_once)
    running.begin_next()
    return running.finished


class _Race(Generic[T]):
    log = Logger()

    def __init__(self, clock: IReactorTime, ways: Iterable[Start[T]], delay: float, at_once: int) -> None:
        self._clock = clock
        self._delay = delay
        self._at_once = at_once
        self._waiting = deque(ways)
        self._running: dict[Deferred[T | None], Start[T]] = {}
        self._timer: IDelayedCall | None = None
        self._over = False
        self.finished: Deferred[Finish[T]] = Deferred(self._give_up)

    def begin_next(self) -> None:
        """Begin the next way, if there is one and room for it; the one after it comes when its time has come."""
        self._cancel_timer()
        if self._waiting and len(self._running) < self._at_once:
            way = self._waiting.popleft()
            begun = way()
            self._running[begun] = way
            if self._waiting:
                self._timer = self._clock.callLater(self._delay, self.begin_next)
            begun.addBoth(self._ended, begun)
        elif not self._running:
            self._over = True
            self.finished.callback(Finish(None))

    def _ended(self, result: T | Failure | None, begun: Deferred[T | None]) -> None:
        del self._running[begun]
        if self._over:
            if isinstance(result, Failure) and not result.check(CancelledError, ConnectingCancelledError):
                self.log.failure("fault while giving up a way that another was faster than", result)
        elif result is None:
            self.begin_next()
        else:
            left = self._stop()
            self.finished.callback(result if isinstance(result, Failure) else Finish(result, left))

    def _give_up(self, finished: Deferred[Finish[T]]) -> None:
        self._stop()

    def _stop(self) -> tuple[Start[T], ...]:
        """End everything that is under way; returns what has not led nowhere."""
        self._over = True
        self._cancel_timer()
        left = (*self._running.values(), *self._waiting)
        for begun in list(self._running):
            begun.cancel()
        return left

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
