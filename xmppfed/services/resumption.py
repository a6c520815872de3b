"""The sessions between servers that can be resumed on another stream (XEP-0198, 5): found by the pair of domains that the
stream has proved, and kept for a while when theirs has ended."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterable
from itertools import count
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from xmppfed.core.events import Pair
from xmppfed.core.ledger import Ledger
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.routing.queues import Waiting
from xmppfed.routing.remotes import Remotes
from xmppfed.timeouts import Timeouts

if TYPE_CHECKING:
    from xmppfed.services.management import Management

__all__ = ["MOST_OF_A_PAIR", "Resumption", "Session"]

MOST_OF_A_PAIR = 4
"""Sessions of one pair that wait for a stream: two servers need two, when both connect at once."""
_FIRST_PAUSE = 5.0  # seconds until a session that holds stanzas is tried again; then each time twice as many


class Session:
    """What was agreed on one stream and can go on upon another. Its `pair` is from a domain of ours to one of theirs."""

    __slots__ = ("attached", "claimant", "held", "holder", "ledger", "opened", "pair", "pause", "seen", "timer", "until")

    def __init__(self, pair: Pair, ledger: Ledger, *, opened: bool) -> None:
        """`opened` says that we opened its first stream."""
        self.pair = pair
        self.ledger = ledger
        self.opened = opened
        self.attached = 0  # when it got its stream, in the order of streams
        self.holder: Management | None = None  # whose stream it has
        self.claimant: Management | None = None  # who has asked the peer to resume it
        self.held: list[Waiting] = []  # what lacks its acknowledgement, in the queues
        self.seen = 0  # how many stanzas had been exchanged when it last lost its stream
        self.until = self.pause = 0.0
        self.timer: IDelayedCall | None = None

    def settle(self) -> tuple[list[Waiting], int]:
        """The ledger has heard what had arrived, or will hear no more: what was held, and how many of that had arrived."""
        held, self.held = self.held, []
        return held, len(held) - len(self.ledger.forget())


class Resumption:
    """All sessions of a federation that can be resumed. Either server resumes them, whoever reconnects first."""

    log = Logger()

    def __init__(self, clock: IReactorTime, remotes: Remotes, timeouts: Timeouts, connect: Callable[[Pair], None]) -> None:
        """`connect(pair)` makes a stream, which then resumes a session of the pair."""
        self.clock = clock
        self.remotes = remotes
        self.timeouts = timeouts
        self._connect = connect
        self._sessions: dict[Pair, list[Session]] = {}
        self._waiting: dict[Session, None] = {}  # the oldest first
        self._order = count(1)
        self._stopped = False

    def moment(self) -> int:
        """A number greater than all before: what came first in the order of streams."""
        return next(self._order)

    def ledger(self, id: str = "") -> Ledger:
        """A new one."""
        limits = self.timeouts
        most_bytes = limits.output_bytes // 2  # it is all sent at once when the session is resumed
        return Ledger(id, most_stanzas=limits.hibernation_stanzas, most_bytes=most_bytes)

    def new_id(self) -> str:
        """One that nobody guesses."""
        return secrets.token_urlsafe(24)

    def describe(self) -> list[dict[str, object]]:
        """What an operator is told of the sessions without a stream."""
        now = self.clock.seconds()
        return [
            {"pair": (one.pair.sender, one.pair.to), "stanzas": len(one.held), "seconds": one.until - now}
            for one in self._waiting
        ]

    def expects(self, pair: Pair) -> bool:
        """Whether the other server, which opened the first stream of a session that broke, is about to come back."""
        return not self._stopped and any(one.holder is None and not one.opened for one in self._sessions.get(pair, ()))

    def claim(self, pair: Pair, claimant: Management) -> Session | None:
        """The session to resume on a stream that we have opened for `pair`; one that the other server opened is better left to
        it, and so comes last, or not at all when we hold nothing for it."""
        known = [one for one in self._sessions.get(pair, ()) if one.opened or one.held]
        free = [one for one in known if one.holder is None and one.claimant is None]
        session = max(free, key=lambda one: (one.opened, bool(one.held)), default=None)
        if session is not None:
            session.claimant = claimant
        return session

    def find(self, id: str, proved: Iterable[Pair], began: int) -> Session:
        """The session that a server asks for on a stream that began then and has `proved` these pairs. Raises `StanzaError`.

        Where both of us ask at once, the one that opened the first stream wins. What it has resumed a moment ago is not
        taken away by a stream that began before that.
        """
        pairs = [Pair(pair.to, pair.sender) for pair in proved]
        known = [session for pair in pairs for session in self._sessions.get(pair, ())]
        found = [session for session in known if hmac.compare_digest(session.ledger.id.encode(), id.encode())]
        if not found:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        session = found[0]
        if session.opened and (session.claimant is not None or session.attached > began):
            raise StanzaError(StanzaCondition.CONFLICT)
        return session

    def attach(self, session: Session, holder: Management) -> None:
        """The session has a stream."""
        self._wake(session)
        if session not in (sessions := self._sessions.setdefault(session.pair, [])):
            sessions.append(session)
        session.holder, session.claimant = holder, None
        session.attached = self.moment()

    def hurry(self, pair: Pair) -> None:
        """The server has come with something new instead of resuming a session that holds something: ask it now."""
        if any(one.held and one.claimant is None for one in self._sessions.get(pair, ())):
            self._connect(pair)

    def hibernate(self, session: Session) -> bool:
        """The stream of a session has ended; false when it cannot be kept.

        Who opened the first stream opens the next, if the last was in use: the other may hold something, and be unable to
        reach us. It tries only after a while.
        """
        if self._stopped:
            self._remove(session)
            return False
        session.holder = None
        session.until = self.clock.seconds() + self.timeouts.hibernation
        session.pause = _FIRST_PAUSE
        session.held = self.remotes.put_back(list(session.ledger.unacknowledged), hold=True)
        self._waiting[session] = None
        self._bound(session.pair)
        if session not in self._waiting:  # it was one too many itself
            return True
        exchanged = session.ledger.handled + session.ledger.acknowledged + len(session.held)
        in_use, session.seen = exchanged != session.seen, exchanged
        self._wait(session)
        if session.opened and (session.held or in_use):
            self._connect(session.pair)
        return True

    def forget(self, session: Session, *, known: bool = False) -> None:
        """A session will not be resumed; what it holds is sent again, unless it is `known` what had arrived."""
        self._remove(session)
        self.remotes.release(*session.settle(), known=known)

    def stop(self) -> None:
        """The server stops: what is held returns to its senders."""
        self._stopped = True
        for session in list(self._waiting):
            self._give_up(session, "This server is stopping.")

    def _wait(self, session: Session) -> None:
        """Until the session is tried again, if it holds something, or else to its end."""
        left = session.until - self.clock.seconds()
        delay = min(session.pause, left) if session.held else left
        session.pause *= 2
        session.timer = self.clock.callLater(delay, self._due, session)

    def _due(self, session: Session) -> None:
        session.timer = None
        if self.clock.seconds() >= session.until:
            text = f"{session.pair.to} did not come back within {self.timeouts.hibernation:g} seconds."
            self._give_up(session, text)
            return
        self._wait(session)
        self._connect(session.pair)

    def _give_up(self, session: Session, text: str) -> None:
        self._remove(session)
        held, _ = session.settle()
        self.log.info("session with {to} is given up; {count} stanzas return", to=session.pair.to, count=len(held))
        self.remotes.give_up(held, StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, text=text))

    def _bound(self, pair: Pair) -> None:
        """Not too many wait, of one pair or altogether: the oldest goes, and sends again what it holds."""
        of_pair = [one for one in self._waiting if one.pair == pair]
        if len(of_pair) > MOST_OF_A_PAIR:
            self.forget(min(of_pair, key=lambda one: bool(one.held)))
        if len(self._waiting) > self.timeouts.hibernation_sessions:
            self.forget(next(iter(self._waiting)))

    def _wake(self, session: Session) -> None:
        self._waiting.pop(session, None)
        timer, session.timer = session.timer, None
        if timer is not None:
            timer.cancel()

    def _remove(self, session: Session) -> None:
        self._wake(session)
        session.holder = session.claimant = None
        sessions = self._sessions.get(session.pair, [])
        if session in sessions:
            sessions.remove(session)
        if not sessions:
            self._sessions.pop(session.pair, None)
