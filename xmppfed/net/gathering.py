"""The streams of a service, so that it can end them all and know when the last one is gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred

from xmppfed.errors import StreamError

__all__ = ["Gathering"]


class Endable(Protocol):
    """The owner of a stream."""

    def end(self, error: StreamError) -> None:
        """End the stream with an error."""


E = TypeVar("E", bound=Endable)


class Gathering(Generic[E]):
    """Owners of streams whose connections are not gone yet."""

    def __init__(self) -> None:
        self._owners: set[E] = set()
        self._waiting: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._owners)

    def __iter__(self) -> Iterator[E]:
        return iter(list(self._owners))

    def add(self, owner: E) -> None:
        """A connection has come."""
        self._owners.add(owner)

    def discard(self, owner: E) -> None:
        """Its connection is gone."""
        self._owners.discard(owner)
        self._tell()

    def end_all(self, error: StreamError) -> Deferred[None]:
        """End every stream; the result comes when every connection is gone."""
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        for owner in list(self._owners):
            owner.end(error)
        self._tell()
        return done

    def _tell(self) -> None:
        if not self._owners:
            waiting, self._waiting = self._waiting, []
            for done in waiting:
                done.callback(None)
