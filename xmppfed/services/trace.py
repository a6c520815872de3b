"""What was done to reach a domain, written down as it is done: every candidate, every try, and what came of it.

These are plain values for people: the error that a sender gets is made of them, and so is what an operator is told.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from xmppfed.core.events import Pair
from xmppfed.discovery.candidates import Candidate

__all__ = ["MAX_TRACES", "Attempt", "Outcome", "Trace", "Traces"]

MAX_TRACES = 256


class Outcome(Enum):
    """What came of a try."""

    UNDER_WAY = "under way"
    READY = "ready"
    FAILED = "failed"
    CANCELED = "canceled"
    """Another was faster, or nobody waited any more."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One try to open a stream at one address of a candidate, which says where it was learnt.

    `began` is seconds after the trace did. `wanted` are the names that the certificate may be for, `seen` those that it
    was for; `proof` says by what it was believed. `server_names` are the names that were asked for by SNI, `features`
    those that the server's stream offered last.
    """

    candidate: Candidate
    address: str
    began: float
    wanted: tuple[str, ...]
    outcome: Outcome = Outcome.UNDER_WAY
    seconds: float = 0
    reason: str = ""
    server_names: list[str] = field(default_factory=list)
    seen: str = ""
    proof: str = ""
    features: tuple[str, ...] = ()
    mechanism: str = ""

    def __str__(self) -> str:
        return f"{self.candidate.url} at {self.address}: {self.reason or self.outcome.value}"


@dataclass(slots=True, kw_only=True)
class Trace:
    """How one stream was made, or was not: it grows until `seconds` says how long that took.

    `began` is seconds since 1970. `explanations` has a line for everything that was looked at to find the candidates.
    """

    pair: Pair
    began: float
    seconds: float | None = None
    explanations: tuple[str, ...] = ()
    attempts: list[Attempt] = field(default_factory=list)
    failure: str = ""

    def begin(self, candidate: Candidate, address: str, now: float) -> Attempt:
        """Write down that an address is tried."""
        wanted = tuple(sorted({self.pair.to, *candidate.accepted_names}))
        attempt = Attempt(candidate=candidate, address=address, began=now - self.began, wanted=wanted)
        self.attempts.append(attempt)
        return attempt

    def explain(self, lines: Iterable[str]) -> None:
        """Add what else was looked at, each line once."""
        self.explanations = tuple(dict.fromkeys((*self.explanations, *lines)))

    def reasons(self) -> list[str]:
        """A line for everything that failed, and for everything that was looked at: other servers pass on the beginning."""
        return [*(str(attempt) for attempt in self.attempts if attempt.outcome is Outcome.FAILED), *self.explanations]


class Traces:
    """The last trace of each domain, for as many as were reached for last."""

    def __init__(self) -> None:
        self._traces: OrderedDict[str, Trace] = OrderedDict()

    def begin(self, pair: Pair, now: float) -> Trace:
        """A new trace, in the place of the last one for this domain."""
        trace = self._traces[pair.to] = Trace(pair=pair, began=now)
        self._traces.move_to_end(pair.to)
        if len(self._traces) > MAX_TRACES:
            self._traces.popitem(last=False)
        return trace

    def of(self, domain: str) -> Trace | None:
        """What was done last to reach the domain; None when that was long ago."""
        return self._traces.get(domain)
