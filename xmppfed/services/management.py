"""Stream management (XEP-0198) on one stream between servers: asks for acknowledgements, and sees to what lacks its own when
the stream has ended."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from twisted.logger import Logger

from xmppfed.core.events import Managed, Pair, Resumed, ResumptionFailed
from xmppfed.core.ledger import Ledger
from xmppfed.core.negotiation.sm import InitiatingSM, ReceivingSM
from xmppfed.core.stream import State
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.asking import Asking
from xmppfed.net.connection import Connection
from xmppfed.services.resumption import Resumption, Session

__all__ = ["Management"]


class Management:
    """What is counted on a stream, and for which session. Its `ledger` is none as long as nothing was agreed on."""

    log = Logger()
    __slots__ = (
        "_asking",
        "_began",
        "_connection",
        "_found",
        "_opens",
        "_proved",
        "_resumed",
        "_resumption",
        "_session",
        "ledger",
    )

    def __init__(self, resumption: Resumption, opens: Pair | None = None) -> None:
        """`opens` is for whom we open the stream; none on one that came in. Call `serve` next."""
        self._resumption = resumption
        self._opens = opens
        self._began = resumption.moment()
        self._connection: Connection[Any] | None = None
        self._proved: Collection[Pair] = ()
        self._resumed: Callable[[], None] = lambda: None
        self._session: Session | None = None
        self._found: dict[Ledger, Session] = {}  # to be resumed
        self._asking: Asking | None = None
        self.ledger: Ledger | None = None

    def serve(self, connection: Connection[Any], proved: Collection[Pair], resumed: Callable[[], None]) -> None:
        """The stream, the pairs that its peer has proved by now, and what to do before a former session goes on."""
        self._connection = connection
        self._asking = Asking(connection)
        self._proved = proved
        self._resumed = resumed

    # What the features ask.

    def receiving(self, *, early: bool) -> ReceivingSM:
        """The feature of a stream that came in."""
        new_id = self._resumption.new_id
        return ReceivingSM(lambda resume: self._resumption.ledger(new_id() if resume else ""), self._find, early=early)

    def initiating(self) -> InitiatingSM:
        """The feature of a stream that we open."""
        return InitiatingSM(self._resumption.ledger, self._former)

    def _find(self, id: str) -> Ledger:
        session = self._resumption.find(id, self._proved, self._began)
        self._found[session.ledger] = session
        return session.ledger

    def _former(self) -> Ledger | None:
        assert self._opens is not None  # the feature is that of a stream that we opened
        session = self._resumption.claim(self._opens, self)
        if session is None:
            return None
        self._found[session.ledger] = session
        return session.ledger

    # What happens on the stream.

    def handle(self, event: Managed | Resumed | ResumptionFailed) -> None:
        """Keep what the stream and its peer have agreed on."""
        match event:
            case Managed(ledger):
                self._manage(ledger)
            case Resumed(ledger):
                self._resume(self._found.pop(ledger))
            case ResumptionFailed(ledger, known, busy):
                self._refused(self._found.pop(ledger), known=known, busy=busy)

    def _manage(self, ledger: Ledger) -> None:
        self.ledger = ledger
        pair = self._opens or self._proved_to_us()
        if ledger.id:
            self._session = Session(pair, ledger, opened=self._opens is not None)
            self._resumption.attach(self._session, self)
        if self._opens is None:
            self._resumption.hurry(pair)

    def _proved_to_us(self) -> Pair:
        """For whom the session is on a stream that came in: mostly it has proved one pair."""
        proved = min(self._proved, key=lambda pair: (pair.sender, pair.to))
        return Pair(proved.to, proved.sender)

    def _resume(self, session: Session) -> None:
        """A former stream may stand without knowing that it is at its end: it is replaced."""
        self.log.info("session with {to} was resumed, which held {count} stanzas", to=session.pair.to, count=len(session.held))
        former = session.holder
        replaced = former.surrender() if former is not None else None
        held, handled = session.settle()
        self.ledger, self._session = session.ledger, session
        self._resumption.attach(session, self)
        if replaced is not None:  # before anything that waits could go there, where nothing is counted any more
            replaced.fail(StreamError(StreamCondition.CONFLICT, "The session of this stream was resumed on another."))
        self._resumed()
        self._resumption.remotes.release(held, handled, known=True)

    def _refused(self, session: Session, *, known: bool, busy: bool) -> None:
        """Another stream may have resumed the session, or be about to; otherwise it is lost."""
        if session.claimant is self:
            session.claimant = None
            if not busy:
                self._resumption.forget(session, known=known)

    def surrender(self) -> Connection[Any]:
        """Another stream has the session from now on; returns the connection, to be ended."""
        session, connection = self._session, self._connection
        assert session is not None and connection is not None  # who has no session cannot be replaced
        self._detach()
        session.held = self._resumption.remotes.put_back(list(session.ledger.unacknowledged), hold=True)
        return connection

    # What the way asks and tells.

    @property
    def unacknowledged(self) -> int | None:
        """How many stanzas are under way; none where nothing is counted."""
        return None if self.ledger is None else len(self.ledger.unacknowledged)

    def sent(self, sendings: int) -> None:
        """A stanza went out that had been sent so often before: ask for acknowledgement after some, or after a while."""
        if self.ledger is not None and self._asking is not None:
            self.ledger.unacknowledged[-1].sendings += sendings
            self._asking.sent()

    def ended(self, *, gone: bool) -> bool:
        """Nothing can be sent on the stream any more. False as long as the peer may still acknowledge what was, or say something
        that is to be counted: unless it is `gone`."""
        ledger = self.ledger
        if ledger is None:
            self._release_claim()
            return True
        speaks = self._connection is not None and self._connection.stream.state is State.CLOSING
        if not gone and (ledger.unacknowledged or speaks):
            return False
        session = self._session
        self._detach()
        if session is None or not self._resumption.hibernate(session):
            self._resumption.remotes.put_back(ledger.forget(), hold=False)
        return True

    def acknowledged(self) -> None:
        """The peer has answered."""
        if self._asking is not None:
            self._asking.answered()

    def _detach(self) -> None:
        self.ledger = self._session = None
        if self._connection is not None and self._asking is not None:
            self._asking.stop()
            self._connection.stream.ledger = None

    def _release_claim(self) -> None:
        """Who was about to resume a session leaves it to the next."""
        for session in self._found.values():
            if session.claimant is self:
                session.claimant = None
