"""Domains whose presence may have gone stale: asked whether they are there, then who of theirs is (docs/design/0004)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from xmppfed.timeouts import Timeouts

__all__ = ["Doubts"]


class _Phase(Enum):
    WAITING = auto()
    PINGED = auto()
    PROBED = auto()


class Doubts:
    """What is in doubt, by domain. How to ask, and what follows from it, is injected."""

    def __init__(
        self,
        clock: IReactorTime,
        timeouts: Timeouts,
        ping: Callable[[str], bool],
        probe: Callable[[str], None],
        give_up: Callable[[str], None],
    ) -> None:
        """`ping(domain)` asks whether the domain is there; false says that nobody wants to know. `probe(domain)` asks for
        everybody there, `give_up(domain)` lets go of who has not been confirmed."""
        self.clock = clock
        self.timeouts = timeouts
        self.ping = ping
        self.probe = probe
        self.give_up = give_up
        self._doubts: dict[str, _Doubt] = {}

    def __bool__(self) -> bool:
        return bool(self._doubts)

    def broken(self, domain: str) -> None:
        """The domain may not be what it was: what it said last is in doubt."""
        doubt = self._doubts.get(domain)
        if doubt is None:
            doubt = self._doubts[domain] = _Doubt(self, domain)
        doubt.broken()

    def unreachable(self, domain: str) -> None:
        """The domain could not be asked; it will be, again and again, unless it is already."""
        if domain not in self._doubts:
            self.broken(domain)

    def heard(self, domain: str) -> None:
        """Something came from the domain."""
        doubt = self._doubts.get(domain)
        if doubt is not None:
            doubt.heard()

    def stop(self) -> None:
        """Ask no more."""
        for domain in list(self._doubts):
            self.over(domain)

    def over(self, domain: str) -> None:
        """There is no doubt any more."""
        self._doubts.pop(domain).cancel()


class _Doubt:
    """One domain: waits, pings, waits for an answer, probes, waits for those; from the beginning if it breaks again."""

    def __init__(self, doubts: Doubts, domain: str) -> None:
        self._doubts = doubts
        self._domain = domain
        self._patience = self._pause = doubts.timeouts.presence_doubt
        self._phase = _Phase.WAITING
        self._call: IDelayedCall | None = None

    def broken(self) -> None:
        """Give it time to come back."""
        self._wait(self._patience)

    def heard(self) -> None:
        """It is there."""
        if self._phase is _Phase.PINGED:
            self._enter(_Phase.PROBED, self._patience)
            self._doubts.probe(self._domain)
        elif self._phase is _Phase.WAITING and self._left() > self._patience:
            self._wait(self._patience)

    def cancel(self) -> None:
        """Nothing is due any more."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _due(self) -> None:
        match self._phase:
            case _Phase.WAITING:
                self._enter(_Phase.PINGED, self._patience)
                if not self._doubts.ping(self._domain):
                    self._doubts.over(self._domain)
            case _Phase.PINGED:
                self._doubts.give_up(self._domain)
                self._pause = min(2 * self._pause, self._doubts.timeouts.presence_doubt_most)
                self._wait(self._pause)
            case _Phase.PROBED:
                self._doubts.over(self._domain)
                self._doubts.give_up(self._domain)

    def _wait(self, seconds: float) -> None:
        self._enter(_Phase.WAITING, seconds)

    def _enter(self, phase: _Phase, seconds: float) -> None:
        self.cancel()
        self._phase = phase
        self._call = self._doubts.clock.callLater(seconds, self._due)

    def _left(self) -> float:
        assert self._call is not None
        return self._call.getTime() - self._doubts.clock.seconds()
