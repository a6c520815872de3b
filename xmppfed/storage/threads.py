"""Work that would block the reactor, done elsewhere: what calls it, and the one thread of the storage."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

__all__ = ["OneThread", "RunInThread", "at_once"]

T = TypeVar("T")


class RunInThread(Protocol):
    """Runs a function where it may block; the Deferred has its result, or the exception that it raised."""

    def __call__(self, function: Callable[[], T], /) -> Deferred[T]:
        """Begin, and answer in the reactor's thread."""
        ...


class OneThread:
    """A thread for functions that must not run side by side. It starts with the first and does not keep a process
    alive."""

    def __init__(self, reactor: IReactorFromThreads, name: str) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, 1, name=name)
        self._pool.threadFactory = _DaemonThread
        self._pool.start()

    def __call__(self, function: Callable[[], T], /) -> Deferred[T]:
        """Run `function` after those that came before it."""
        return deferToThreadPool(self._reactor, self._pool, function)

    def stop(self) -> None:
        """End the thread. Waits for the function that runs, so call it when all have answered."""
        self._pool.stop()


def at_once(function: Callable[[], T], /) -> Deferred[T]:
    """Run `function` here and now: for command lines and tests, where nobody waits for a reactor."""
    return execute(function)


class _DaemonThread(Thread):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, daemon=True)
