"""What outlives a stream with one peer (XEP-0198, 5): which of our stanzas it has not acknowledged, until another stream goes
on where the last one broke."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from xmppfed.core.ledger import Ledger
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.timeouts import Timeouts

__all__ = ["Session", "new_id", "new_ledger"]


def new_ledger(id: str, timeouts: Timeouts) -> Ledger:
    """The ledger of a session with this id. What it holds goes out at once when the session is resumed, and a stanza more: that
    must not be as much as ends a stream whose peer does not read."""
    return Ledger(id, most_stanzas=timeouts.hibernation_stanzas, most_bytes=timeouts.output_bytes // 2)


def new_id() -> str:
    """The id of a session: nobody can guess it."""
    return secrets.token_urlsafe(16)


class Session:
    """The last session with one peer whose stream broke, if there is one."""

    def __init__(self, clock: IReactorTime, timeouts: Timeouts, lost: Callable[[Iterable[Stanza]], None]) -> None:
        """`lost` gets what was never acknowledged when the session is given up."""
        self._clock = clock
        self._timeouts = timeouts
        self._lost = lost
        self._expiry: IDelayedCall | None = None
        self.ledger: Ledger | None = None
        self.taken = False
        """Whether a call of ours has tried to resume it."""

    def keep(self, ledger: Ledger) -> list[Stanza]:
        """A stream broke: somebody may resume it, for as long as stanzas wait, or longer where none do. A session that was kept
        before is given up for this one; what it had to say is returned."""
        former = self.end()
        self.ledger = ledger
        seconds = self._timeouts.queue if ledger.unacknowledged else self._timeouts.hibernation
        self._expiry = self._clock.callLater(seconds, self.give_up)
        return former

    def take(self) -> Ledger | None:
        """For a call of ours that would resume it; once for each."""
        if self.taken:
            return None
        self.taken = self.ledger is not None
        return self.ledger

    def find(self, id: str, *, yields: bool) -> Ledger:
        """The ledger with this id, for a peer that wants to go on. Raises StanzaError; where both want to at once, only one
        of them `yields`."""
        if self.ledger is None or not hmac.compare_digest(self.ledger.id.encode(), id.encode()):
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        if self.taken and not yields:
            raise StanzaError(StanzaCondition.CONFLICT)
        return self.ledger

    def end(self) -> list[Stanza]:
        """A stream stands again: what is to be sent on it before all else."""
        ledger, self.ledger = self.ledger, None
        if self._expiry is not None and self._expiry.active():
            self._expiry.cancel()
        return [] if ledger is None else [sent.stanza for sent in ledger.forget()]

    def give_up(self) -> None:
        """Nobody has gone on with it."""
        self._lost(self.end())
