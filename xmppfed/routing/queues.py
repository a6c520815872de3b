"""What waits for other domains: each pair of domains has a lane, and the lanes to one remote domain share a bound."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from xmppfed.core.events import Pair
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaError

__all__ = ["Lane", "Remote", "Waiting", "Way", "cost", "pair_of"]

_STANZA_BYTES = 1024
"""What a waiting stanza costs besides its text: twice the 0.5 KB measured, so that small ones are bounded as well."""


def cost(stanza: Stanza) -> int:
    """The bytes of memory that a waiting stanza takes, about."""
    return _STANZA_BYTES + len(stanza.letter) + sum(map(len, stanza.attributes.values()))


class Way(Protocol):
    """A stream that carries stanzas of a pair."""

    def __call__(self, stanza: Stanza, sendings: int = 0, /) -> bool:
        """Take one that was sent so often before. False when it has no room, of which `Remotes.freed` tells, or is at its
        end: then `lost` follows."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A stanza that waits for a stream, or is `held` until it is known what became of it."""

    stanza: Stanza
    size: int
    deadline: float
    sendings: int = 0
    held: bool = False


@dataclass(slots=True, eq=False)
class Lane:
    """One pair: the ways it has, of which the first is used, and stanzas in their order until one takes them."""

    ways: list[Way] = field(default_factory=list)
    waiting: deque[Waiting] = field(default_factory=deque)
    flushing: bool = False
    asked: bool = False  # for a stream
    failure: StanzaError | None = None  # why there was none when it was last asked for


class Remote:
    """One remote domain: its lanes by our domain, and the bound they share."""

    __slots__ = ("bytes", "lanes", "timer")

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}
        self.bytes = 0
        self.timer: IDelayedCall | None = None

    def take_out(self, lane: Lane, which: Callable[[Waiting], bool]) -> list[Waiting]:
        """Those of a lane that wait no longer."""
        taken = [entry for entry in lane.waiting if which(entry)]
        if taken:
            lane.waiting = deque(entry for entry in lane.waiting if not which(entry))
            self.bytes -= sum(entry.size for entry in taken)
        return taken

    def deadline(self) -> float | None:
        """When the next waiting stanza has waited too long."""
        deadlines = (entry.deadline for lane in self.lanes.values() for entry in lane.waiting if not entry.held)
        return min(deadlines, default=None)


def pair_of(stanza: Stanza) -> Pair:
    """The pair of a stanza that has both addresses."""
    sender, to = stanza.sender, stanza.to
    assert sender is not None and to is not None  # `Remotes.send` has seen to that
    return Pair(sender.domain, to.domain)
