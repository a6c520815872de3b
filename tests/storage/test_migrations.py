"""The schema grows by numbered steps."""

from __future__ import annotations

import sqlite3

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.errors import ConfigError
from xmppfed.storage.migrations import MIGRATIONS, migrate

FIRST = ("CREATE TABLE a (x)", "INSERT INTO a VALUES (1)")
SECOND = ("ALTER TABLE a ADD COLUMN y DEFAULT 2",)


class Migrations(SynchronousTestCase):
    """A file is brought to the newest version, once and whole."""

    def setUp(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(self.connection.close)

    def version(self) -> int:
        """The version the file says it has."""
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        return int(version)

    def test_all_steps(self) -> None:
        """A new file takes every step."""
        migrate(self.connection, (FIRST, SECOND))
        self.assertEqual(self.connection.execute("SELECT * FROM a").fetchall(), [(1, 2)])
        self.assertEqual(self.version(), 2)

    def test_only_new_steps(self) -> None:
        """A file of an older release takes only the steps it has not seen."""
        migrate(self.connection, (FIRST,))
        migrate(self.connection, (FIRST, SECOND))
        migrate(self.connection, (FIRST, SECOND))
        self.assertEqual(self.connection.execute("SELECT * FROM a").fetchall(), [(1, 2)])

    def test_newer_file(self) -> None:
        """A file that a newer release has used is refused untouched, with what to do."""
        migrate(self.connection, (FIRST, SECOND))
        error = self.assertRaises(ConfigError, migrate, self.connection, (FIRST,))
        self.assertIn("version 2; this xmppfed knows versions up to 1", str(error))
        self.assertIn("restore a backup", str(error))
        self.assertEqual((self.version(), self.connection.in_transaction), (2, False))

    def test_all_or_nothing(self) -> None:
        """A step that fails leaves the file as it was, and not half way."""
        migrate(self.connection, (FIRST,))
        broken = (FIRST, ("CREATE TABLE b (x)", "CREATE TABLE a (x)"))
        self.assertRaises(sqlite3.OperationalError, migrate, self.connection, broken)
        self.assertEqual(self.connection.execute("SELECT name FROM sqlite_master").fetchall(), [("a",)])
        self.assertEqual(self.version(), 1)

    def test_ours(self) -> None:
        """Our own steps make the tables that the accounts live in."""
        migrate(self.connection)
        tables = {name for (name,) in self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        self.assertEqual(tables, {"accounts", "records", "scram_keys", "secrets"})
        self.assertEqual(self.version(), len(MIGRATIONS))
