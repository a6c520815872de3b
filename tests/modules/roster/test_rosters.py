"""Which rosters are in memory, and how they change."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import Hosting
from xmppfed.core.jid import JID
from xmppfed.core.roster import Contact
from xmppfed.modules.ping import Ping
from xmppfed.modules.roster import rosters as module
from xmppfed.modules.roster.rosters import Rosters
from xmppfed.storage.interface import NoSuchAccount

NURSE, PETER = JID.parse("nurse@example.org"), JID.parse("peter@example.org")
ROMEO = "romeo@example.net"

_T = TypeVar("_T")


class RostersTests(SynchronousTestCase):
    """Rosters on a server where Juliet is connected."""

    def setUp(self) -> None:
        """Storage that counts what is read, and takes its time when it is told to."""
        self.server = Hosting(Ping)
        self.juliet = self.server.juliet.jid.bare
        for account in (self.juliet, NURSE, PETER):
            self.run_now(self.server.storage.accounts.create(account.domain, account.local, {}))
        self.reads: list[str] = []
        self.pending: list[Deferred[None]] = []
        self.slow = False
        records = self.server.storage.records
        read, change = records.read, records.change

        async def reading(account: JID, collection: str) -> dict[str, bytes]:
            self.reads.append(str(account))
            return await read(account, collection)

        async def changing(*arguments: Any, **options: Any) -> None:
            if self.slow:
                self.pending.append(Deferred())
                await self.pending[-1]
            await change(*arguments, **options)

        self.patch(records, "read", reading)
        self.patch(records, "change", changing)
        self.rosters = Rosters(self.server.modules[0].host)

    def run_now(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What a coroutine returns that has nothing to wait for."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    async def add(self, account: JID, *names: str) -> None:
        """Add contacts to a roster."""
        for name in names:
            async with self.rosters.opened(account) as opened:
                await opened.store(Contact(f"{name}@example.net", listed=True))

    def contacts(self, account: JID) -> list[str] | None:
        """The contacts in memory."""
        roster = self.rosters.get(str(account))
        return None if roster is None else list(roster.contacts)

    def test_connected(self) -> None:
        """The roster of a connected account is read once, and stays until the account has left."""
        for _ in range(2):
            self.run_now(self.rosters.read(self.juliet))
        self.assertEqual(self.reads, [str(self.juliet)])
        self.rosters.forget(str(self.juliet))
        self.assertIsNone(self.contacts(self.juliet))

    def test_recent(self) -> None:
        """Of accounts that are not connected the last few stay; the longest unused goes first."""
        self.patch(module, "MOST_IDLE", 1)
        self.rosters = Rosters(self.server.modules[0].host)
        for account in (NURSE, NURSE, PETER, NURSE):
            self.run_now(self.rosters.read(account))
        self.assertEqual(self.reads, [str(NURSE), str(PETER), str(NURSE)])
        self.assertEqual((self.contacts(NURSE), self.contacts(PETER)), ([], None))

    def test_one_after_another(self) -> None:
        """Changes of one roster follow each other; those of others do not wait. Each is in memory when it is stored."""
        self.slow = True
        done: list[str] = []

        async def then(work: Coroutine[Any, Any, None], name: str) -> None:
            await work
            done.append(name)

        for name, work in (("1", self.add(NURSE, "a")), ("2", self.add(NURSE, "b")), ("3", self.add(PETER, "c"))):
            Deferred.fromCoroutine(then(work, name))
        self.assertEqual((len(self.pending), self.contacts(NURSE)), (2, []))
        self.pending[1].callback(None)
        self.assertEqual(done, ["3"])
        self.pending[0].callback(None)
        self.assertEqual((done, self.contacts(NURSE)), (["3", "1"], ["a@example.net"]))
        self.pending[2].callback(None)
        self.assertEqual((done, self.contacts(NURSE)), (["3", "1", "2"], ["a@example.net", "b@example.net"]))

    def test_failure(self) -> None:
        """A change that could not be stored has not happened, and the next one goes on."""
        self.slow = True
        failed = Deferred.fromCoroutine(self.add(NURSE, "a"))
        self.pending[0].errback(KeyError("x"))
        self.failureResultOf(failed, KeyError)
        self.slow = False
        self.run_now(self.add(NURSE, "b"))
        self.assertEqual(self.contacts(NURSE), ["b@example.net"])

    def test_no_change(self) -> None:
        """What is so already is not stored again."""
        self.run_now(self.add(NURSE, "a"))

        async def again() -> object:
            async with self.rosters.opened(NURSE) as opened:
                return await opened.store(opened.contact("a@example.net"))

        self.assertIsNone(self.run_now(again()))

    def test_forgotten_while_it_is_used(self) -> None:
        """An account that is deleted meanwhile leaves no roster behind for one of the same name."""
        self.slow = True
        waiting = Deferred.fromCoroutine(self.add(NURSE, "a"))
        self.run_now(self.server.storage.accounts.delete("example.org", "nurse"))
        self.rosters.forget(str(NURSE))
        self.pending[0].callback(None)
        self.failureResultOf(waiting, NoSuchAccount)
        self.run_now(self.server.storage.accounts.create("example.org", "nurse", {}))
        self.slow = False
        self.reads.clear()
        self.assertEqual((self.run_now(self.rosters.read(NURSE)).contacts, self.reads), ({}, [str(NURSE)]))

    def test_forgetting_nobody(self) -> None:
        """Nothing to do."""
        self.rosters.forget(str(NURSE))

    def test_leaving_while_it_is_used(self) -> None:
        """A roster that two use at once stays as long as one of them does."""
        self.slow = True
        first, second = (Deferred.fromCoroutine(self.add(NURSE, name)) for name in "ab")
        self.pending[0].callback(None)
        self.successResultOf(first)
        self.assertEqual(self.contacts(NURSE), ["a@example.net"])
        self.pending[1].callback(None)
        self.successResultOf(second)
        self.assertEqual(self.reads, [str(NURSE)])
