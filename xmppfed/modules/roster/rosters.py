"""The rosters that are in memory: those of connected accounts, those in use, and the last few that others asked about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twisted.internet.defer import DeferredLock

from xmppfed.core.lastused import LastUsed
from xmppfed.core.roster import Change, Contact, Roster
from xmppfed.extend import JID, Host

__all__ = ["MOST_IDLE", "OpenRoster", "Rosters"]

MOST_IDLE = 100
"""Rosters kept of accounts that are not connected: a server that comes back asks about the same ones many times."""
_COLLECTION = "roster"


class _Kept:
    """One roster in memory, and whoever waits to change it."""

    __slots__ = ("lock", "roster")

    def __init__(self) -> None:
        self.roster: Roster | None = None
        self.lock = DeferredLock()


class OpenRoster:
    """A roster that nobody else changes meanwhile."""

    def __init__(self, host: Host, account: JID, roster: Roster) -> None:
        self._host = host
        self._account = account
        self.roster = roster

    def contact(self, jid: str) -> Contact:
        """A contact, known or not."""
        return self.roster.contacts.get(jid) or Contact(jid)

    async def store(self, contact: Contact) -> Change | None:
        """Keep a contact as it is now, on disk and then in memory; None where that is no change. Raises NoSuchAccount."""
        if contact == self.contact(contact.jid):
            return None
        change = self.roster.change(contact, self._host.clock.seconds())
        await self._host.records.change(self._account, _COLLECTION, change.records)
        self.roster.apply(change)
        return change


class Rosters:
    """All rosters. That of a connected account is in memory, from before its first resource is bound."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._kept: LastUsed[_Kept] = LastUsed(_Kept, host.is_connected, MOST_IDLE)

    def get(self, account: str) -> Roster | None:
        """The roster of an account if it is in memory, as it is for each one that is connected."""
        kept = self._kept.get(account)
        return None if kept is None else kept.roster

    async def read(self, account: JID) -> Roster:
        """The roster of any account, empty where there is none."""
        async with self.opened(account) as opened:
            return opened.roster

    @asynccontextmanager
    async def opened(self, account: JID) -> AsyncIterator[OpenRoster]:
        """The roster of any account, to change it: one after the other."""
        with self._kept.using(str(account)) as kept:
            async with kept.lock:
                if kept.roster is None:
                    kept.roster = Roster.from_records(await self._host.records.read(account, _COLLECTION))
                yield OpenRoster(self._host, account, kept.roster)

    def forget(self, account: str) -> None:
        """An account is not connected any more; it may be gone altogether."""
        kept = self._kept.get(account)
        if kept is not None:
            kept.roster = None  # whoever uses it just now is the last to do so
        self._kept.discard(account)
