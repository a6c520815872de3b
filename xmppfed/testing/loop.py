"""The event loop of a network in memory: calls that are due and sockets that are ready, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IReactorFDSet,
    IReactorFromThreads,
    IReactorTime,
    IReadDescriptor,
    IWriteDescriptor,
)
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppfed.testing.wire import Wiring

__all__ = ["ROUNDS", "Loop"]

ROUNDS = 100_000  # enough for 64 KiB byte by byte; two protocols that never stop are told so within seconds


@implementer(IReactorTime, IReactorFDSet, IReactorFromThreads)
class Loop(Clock):
    """Does what is due (`run_until_quiet`) and lets time pass (`advance`), never from within a protocol's own call.

    As in a real reactor, an exception raised by a delayed call is logged, and one raised by a protocol is logged and
    ends its connection; trial fails a test that leaves one behind.
    """

    log = Logger()

    def __init__(self) -> None:
        super().__init__()
        self.wiring = Wiring(self.seconds)
        self._from_threads: deque[Callable[[], object]] = deque()
        # Dicts for their order: that of a set would change from run to run.
        self._readers: dict[IReadDescriptor, None] = {}
        self._writers: dict[IWriteDescriptor, None] = {}

    def advance(self, amount: float) -> None:
        """Let `amount` seconds pass, stopping wherever a call is due or bytes arrive to do what follows from it."""
        end = self.rightNow + amount
        self.run_until_quiet()
        while (moment := self._next_moment()) <= end:
            self.rightNow = moment
            self.run_until_quiet()
        self.rightNow = end

    def callFromThread(self, callable: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Call when the reactor runs next; the one method that other threads may use."""
        self._from_threads.append(partial(callable, *args, **kwargs))

    def addReader(self, reader: IReadDescriptor) -> None:
        """Call `doRead` when something can be read."""
        self._readers[reader] = None

    def addWriter(self, writer: IWriteDescriptor) -> None:
        """Call `doWrite` when something can be written."""
        self._writers[writer] = None

    def removeReader(self, reader: IReadDescriptor) -> None:
        """Stop calling `doRead`."""
        self._readers.pop(reader, None)

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        """Stop calling `doWrite`."""
        self._writers.pop(writer, None)

    def getReaders(self) -> list[IReadDescriptor]:
        """Who waits to read."""
        return list(self._readers)

    def getWriters(self) -> list[IWriteDescriptor]:
        """Who waits to write."""
        return list(self._writers)

    def removeAll(self) -> list[IReadDescriptor | IWriteDescriptor]:
        """Stop calling everybody; returns who was called."""
        both: dict[IReadDescriptor | IWriteDescriptor, None] = dict.fromkeys(self._readers)
        both.update(dict.fromkeys(self._writers))
        self._readers.clear()
        self._writers.clear()
        return list(both)

    def run_until_quiet(self, rounds: int = ROUNDS) -> None:
        """Make all calls that are due and move all bytes that can move. Raises AssertionError if that never ends."""
        for _ in range(rounds):
            if not any([self._make_calls(), self._serve_readers(), self._serve_writers()]):
                return
        raise AssertionError(
            f"The network was not quiet after {rounds} rounds: {len(self.calls)} delayed calls, readers "
            f"{self.getReaders()}, writers {self.getWriters()}. Look for a call that schedules itself without delay, "
            "or for two protocols that answer each other for ever."
        )

    def _next_moment(self) -> float:
        return min([self.wiring.next_arrival(), *(call.getTime() for call in self.calls)])

    def _make_calls(self) -> bool:
        # What these calls schedule waits for the next round, so that a call for ever due cannot keep us here.
        due = [call for call in self.calls if call.getTime() <= self.rightNow]
        for call in due:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                self._attempt(partial(call.func, *call.args, **call.kw))
        queued = len(self._from_threads)
        for _ in range(queued):
            self._attempt(self._from_threads.popleft())
        return bool(due or queued)

    def _serve_readers(self) -> bool:
        sockets = self.wiring.sockets
        ready = [one for one in self._readers if (found := sockets.get(one.fileno())) and found.readable()]
        for reader in ready:
            if reader in self._readers and (why := self._attempt(reader.doRead)):
                self._attempt(partial(self._lost, reader, why, isinstance(why, ConnectionDone)))
        return bool(ready)

    def _serve_writers(self) -> bool:
        sockets = self.wiring.sockets
        ready = [one for one in self._writers if (found := sockets.get(one.fileno())) and found.writable()]
        for writer in ready:
            if writer in self._writers and (why := self._attempt(writer.doWrite)):
                self._attempt(partial(self._lost, writer, why, False))
        return bool(ready)

    def _lost(self, descriptor: Any, why: BaseException, half: bool) -> None:
        failure = Failure(why)
        self.removeReader(descriptor)
        if half and IHalfCloseableDescriptor.providedBy(descriptor):
            descriptor.readConnectionLost(failure)
        else:
            self.removeWriter(descriptor)
            descriptor.connectionLost(failure)

    def _attempt(self, call: Callable[[], Any]) -> Any:
        """What the call returns, or the exception it raised, which is logged."""
        try:
            return call()
        except Exception as raised:  # noqa: BLE001 -- the last resort of a loop, as in Twisted's reactors
            self.log.failure("An exception reached the network's loop")
            return raised
