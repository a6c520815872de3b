"""Who is connected: accounts, their resources, and which of these is the most available one.

Addresses are looked up as text. A session's own text is its prepared address, and nearly every stanza comes with just
that: one dictionary look-up then finds the way, without parsing or hashing an address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from xmppfed.core.jid import JID
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppfed.options import MAX_SESSIONS

__all__ = ["Account", "Resource", "Session", "Sessions"]


class Session(Protocol):
    """One bound resource and its stream, as the service that owns it shows it to us."""

    @property
    def jid(self) -> JID:
        """The full address; it never changes."""

    def deliver(self, stanza: Stanza) -> None:
        """Write `stanza` to the client. Whatever goes wrong with the stream is the session's own business."""

    def rest(self, resting: bool) -> None:
        """Whether nobody looks at the client now: then what can wait may wait, and is made good for when somebody does."""

    def confirm(self, done: Callable[[], None]) -> None:
        """Call `done` once the client has shown that it got all that was delivered so far; if the session ends, never."""

    def end(self, error: StreamError) -> None:
        """Close the stream with `error`."""


class Account:
    """The connected resources of one bare address; the tuples are what a stanza to that address needs."""

    __slots__ = ("available", "expected", "first", "listening", "resources")

    def __init__(self) -> None:
        self.resources: list[Resource] = []
        self.expected = 0
        """How many resources are being bound; modules read meanwhile what they need of the account."""
        self.available: tuple[Session, ...] = ()
        """Everyone who sent presence."""
        self.listening: tuple[Session, ...] = ()
        """Those with a priority that is not negative (RFC 6121, 4.7.2.3)."""
        self.first: tuple[Session, ...] = ()
        """Those among them with the highest priority."""

    def reckon(self) -> None:
        """Take note of a changed presence."""
        present = [resource for resource in self.resources if resource.presence is not None]
        listening = [resource for resource in present if resource.priority >= 0]
        highest = max((resource.priority for resource in listening), default=0)
        self.available = tuple(resource.session for resource in present)
        self.listening = tuple(resource.session for resource in listening)
        self.first = tuple(resource.session for resource in listening if resource.priority == highest)


class Resource:
    """A session and what it said of its presence."""

    __slots__ = ("account", "directed", "presence", "priority", "session", "wants")

    def __init__(self, session: Session, account: Account) -> None:
        self.session = session
        self.account = account
        self.presence: Stanza | None = None
        """What was broadcast last; None while the resource is unavailable."""
        self.priority = 0
        self.wants: set[str] = set()
        """What it has asked modules for that is not sent to everybody, by namespace; gone with the session."""
        self.directed: dict[str, bool] = {}
        """Whom it told of itself by an address of his (RFC 6121, 4.6), and whether that it is available."""

    @property
    def full(self) -> str:
        """Its address as text."""
        return str(self.session.jid)

    def show(self, presence: Stanza, priority: int) -> None:
        """Become available, or change. Every available resource of the account is told, this one included; one that
        just became available is told of the others (RFC 6121, 4.2.2 and 4.4.2)."""
        others = [] if self.presence is not None else [other.presence for other in self.account.resources]
        self.presence, self.priority = presence, priority
        self.account.reckon()
        for session in self.account.available:
            session.deliver(presence)
        for other in others:
            if other is not None:
                self.session.deliver(other)

    def hide(self) -> None:
        """Become unavailable."""
        self.presence = None
        self.account.reckon()


class Sessions:
    """Every session of this server, by full and by bare address."""

    ended: Callable[[Resource], None]
    """Hears of each session that ended, when it is no more among the others; the router puts its own method here."""
    left: Callable[[JID], None]
    """Hears of each account without sessions; the router puts its own method here."""

    def __init__(self, most: int = MAX_SESSIONS) -> None:
        """`most` is how many sessions one account may have."""
        self.resources: dict[str, Resource] = {}
        self.accounts: dict[str, Account] = {}
        self._most = most

    @contextmanager
    def expecting(self, bare: JID) -> Iterator[None]:
        """Meanwhile a resource of this account is being bound, and the account counts as connected."""
        account = self.accounts.setdefault(str(bare), Account())
        account.expected += 1
        try:
            yield
        finally:
            account.expected -= 1
            self._tidy(bare)

    def add(self, session: Session) -> None:
        """Take in a session that was just bound; an older one with the same address is ended (RFC 6120, 7.7.2.2).

        Raises StanzaError when the account has too many (RFC 6120, 7.6.2.1).
        """
        with self.expecting(session.jid.bare):
            full, account = str(session.jid), self.accounts[str(session.jid.bare)]
            older = self.resources.get(full)
            if older is not None:
                older.session.end(StreamError(StreamCondition.CONFLICT, "The same resource was bound by another stream."))
                self.remove(older.session)
            elif len(account.resources) >= self._most:
                text = f"{session.jid.bare} has {self._most} sessions, which is the most; end one of them first."
                raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=text)
            resource = self.resources[full] = Resource(session, account)
            account.resources.append(resource)

    def remove(self, session: Session) -> None:
        """Forget a session that ended. One that is not here, or that another has replaced, is nothing to do."""
        resource = self.resources.get(str(session.jid))
        if resource is None or resource.session is not session:
            return
        del self.resources[resource.full]
        resource.account.resources.remove(resource)
        resource.account.reckon()
        self.ended(resource)
        self._tidy(session.jid.bare)

    def _tidy(self, bare: JID) -> None:
        account = self.accounts.get(str(bare))
        if account is not None and not account.resources and not account.expected:
            del self.accounts[str(bare)]
            self.left(bare)

    def resources_of(self, bare: str) -> tuple[Resource, ...]:
        """The resources of an account, available or not, the oldest first."""
        account = self.accounts.get(bare)
        return () if account is None else tuple(account.resources)

    def is_connected(self, bare: str) -> bool:
        """Whether an account has resources, or is just getting its first."""
        return bare in self.accounts

    def of(self, bare: JID) -> tuple[Session, ...]:
        """The sessions of an account, available or not, the oldest first."""
        return tuple(resource.session for resource in self.resources_of(str(bare)))
