"""Storage in an SQLite file."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.storage.accounts_behavior import AccountsBehavior, StorageCase, scram_keys
from tests.storage.records_behavior import RecordsBehavior
from xmppfed.core.jid import JID
from xmppfed.errors import ConfigError
from xmppfed.storage.interface import AccountExists, Storage, StorageError
from xmppfed.storage.sqlite import FILE_NAME, SQLiteStorage


class SQLiteCase(StorageCase):
    """A database in a directory of its own."""

    def make_storage(self) -> Storage:
        """A new file."""
        self.directory = Path(cast(SynchronousTestCase, self).mktemp())
        self.directory.mkdir()
        return SQLiteStorage.open_at_once(self.directory)


class Accounts(SQLiteCase, AccountsBehavior, SynchronousTestCase):
    """What every storage does for accounts, in a file."""


class Records(SQLiteCase, RecordsBehavior, SynchronousTestCase):
    """What every storage does for records, in a file."""


class SQLite(SQLiteCase, SynchronousTestCase):
    """What a file adds."""

    def test_kept(self) -> None:
        """Accounts, secrets and records are there when the file is opened again."""
        self.now(self.accounts.create("example.org", "juliet", scram_keys()))
        secret = self.now(self.accounts.secret("dialback"))
        self.now(self.records.change(JID("juliet", "example.org"), "roster", {"a": b"1"}))
        self.now(self.storage.close())
        self.storage = again = SQLiteStorage.open_at_once(self.directory)
        self.assertEqual(self.now(again.accounts.keys("example.org", "juliet")), scram_keys())
        self.assertEqual(self.now(again.accounts.secret("dialback")), secret)
        self.assertEqual(self.now(again.records.read(JID("juliet", "example.org"), "roster")), {"a": b"1"})

    def test_seen_by_another_process(self) -> None:
        """A server and a command line may have the file open at once: each sees what the other has written."""
        other = SQLiteStorage.open_at_once(self.directory)
        self.now(other.accounts.create("example.org", "juliet", scram_keys()))
        self.assertEqual(self.now(self.accounts.keys("example.org", "juliet")), scram_keys())
        self.now(other.close())

    def test_text_that_looks_like_sql(self) -> None:
        """Names are values, whatever stands in them."""
        name = "x' OR '1'='1"
        self.now(self.accounts.create("example.org", name, scram_keys()))
        self.assertIsNone(self.now(self.accounts.keys("example.org", "y' OR '1'='1")))
        self.assertEqual(self.now(self.accounts.list("example.org")), [name])

    def test_private(self) -> None:
        """Keys are nobody's business: the file is for its owner alone."""
        self.assertEqual((self.directory / FILE_NAME).stat().st_mode & 0o777, 0o600)

    def test_closed(self) -> None:
        """After closing nothing is answered from a file that is no longer held."""
        other = SQLiteStorage.open_at_once(self.directory)
        self.now(other.close())
        self.assertIn("closed", self.refused(other.accounts.list("example.org"), StorageError))

    def test_no_directory(self) -> None:
        """Without its directory the file cannot be made, and the error names it."""
        gone = self.directory / "gone"
        error = self.assertRaises(ConfigError, SQLiteStorage.open_at_once, gone)
        self.assertIn(f"{gone / FILE_NAME}: No such file or directory", str(error))


class WithAThread(TestCase):
    """The real thread of a running server."""

    async def test_thread(self) -> None:
        """Changes made side by side are all made, one that fails alone fails, and closing waits for the rest."""
        from twisted.internet import reactor

        directory = Path(self.mktemp())
        directory.mkdir()
        storage = SQLiteStorage.open(directory, cast(IReactorFromThreads, reactor))
        work = [Deferred.fromCoroutine(storage.accounts.create("example.org", f"u{n}", scram_keys())) for n in range(20)]
        again = Deferred.fromCoroutine(storage.accounts.create("example.org", "u3", scram_keys()))
        last = Deferred.fromCoroutine(storage.accounts.create("example.org", "last", scram_keys()))
        await storage.close()
        for created in (*work, last):
            self.assertIsNone(self.successResultOf(created))
        self.failureResultOf(again, AccountExists)
        self.assertEqual(len(await SQLiteStorage.open_at_once(directory).accounts.list("example.org")), 21)
