"""The writer: one commit for many jobs, and each job for itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.errors import ConfigError
from xmppfed.storage.database import Database, Job, connect
from xmppfed.storage.interface import StorageError
from xmppfed.storage.threads import at_once


class PausedThread:
    """A thread that does its work when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def __call__(self, function: Callable[[], Any], /) -> Deferred[Any]:
        """Keep `function` for `work`."""
        done: Deferred[Any] = Deferred()
        self.waiting.append((function, done))
        return done

    def work(self) -> None:
        """Do the one thing that waits."""
        [(function, done)] = self.waiting
        self.waiting = []
        execute(function).chainDeferred(done)


def insert(value: int) -> Job[None]:
    """A job that writes `value`."""

    def job(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (?)", (value,))

    return job


def values(connection: sqlite3.Connection) -> list[int]:
    """A job that reads all values."""
    return [value for (value,) in connection.execute("SELECT x FROM t ORDER BY x")]


class DatabaseTestCase(SynchronousTestCase):
    """A file with a table, and a second connection that sees what is committed."""

    def setUp(self) -> None:
        path = Path(self.mktemp())
        self.connection = connect(path)
        self.connection.execute("CREATE TABLE t (x UNIQUE)")
        self.witness = sqlite3.connect(path)
        self.addCleanup(self.connection.close)
        self.addCleanup(self.witness.close)
        self.statements: list[str] = []
        self.connection.set_trace_callback(self.statements.append)
        self.thread = PausedThread()
        self.stopped: list[bool] = []
        self.database = Database(self.connection, self.thread, lambda: self.stopped.append(True))

    def commits(self) -> int:
        """How often the disk was waited for."""
        return self.statements.count("COMMIT")


class GroupCommit(DatabaseTestCase):
    """What comes while the disk is busy shares the next commit."""

    def test_one_commit_for_many(self) -> None:
        """The first job goes at once; those that come meanwhile go together."""
        answers = [self.database.run(insert(n)) for n in range(10)]
        self.thread.work()
        self.assertEqual(([answer.called for answer in answers], self.commits()), ([True] + [False] * 9, 1))
        self.thread.work()
        self.assertEqual([self.successResultOf(answer) for answer in answers], [None] * 10)
        self.assertEqual((self.commits(), values(self.witness)), (2, list(range(10))))

    def test_answered_after_the_commit(self) -> None:
        """An answer means that the change is on disk and seen by others."""
        seen: list[list[int]] = []
        self.database.run(insert(1)).addCallback(lambda _: seen.append(values(self.witness)))
        self.assertEqual(seen, [])
        self.thread.work()
        self.assertEqual(seen, [[1]])

    def test_one_batch_at_a_time(self) -> None:
        """The connection is never used by two batches at once."""
        for n in range(3):
            self.database.run(insert(n))
        self.assertEqual(len(self.thread.waiting), 1)

    def test_order(self) -> None:
        """A job sees what those before it did, in the same commit too."""
        self.database.run(insert(1))
        self.database.run(insert(2))
        answer = self.database.run(values)
        self.thread.work()
        self.thread.work()
        self.assertEqual(self.successResultOf(answer), [1, 2])

    def test_job_from_an_answer(self) -> None:
        """Who is answered may ask for more."""
        answer = self.database.run(insert(1)).addCallback(lambda _: self.database.run(values))
        self.thread.work()
        self.thread.work()
        self.assertEqual(self.successResultOf(answer), [1])

    def test_durable(self) -> None:
        """The file survives a power cut: write-ahead log, and a flush for each commit."""
        self.assertEqual(self.connection.execute("PRAGMA journal_mode").fetchone(), ("wal",))
        self.assertEqual(self.connection.execute("PRAGMA synchronous").fetchone(), (2,))
        self.assertEqual(self.connection.execute("PRAGMA foreign_keys").fetchone(), (1,))


class Failures(DatabaseTestCase):
    """A job that fails is undone and told; its neighbors do not notice."""

    def setUp(self) -> None:
        super().setUp()
        self.database.run(insert(0))

    def test_job_that_raises(self) -> None:
        """What a job raises reaches him who gave it, and nothing that it wrote stays."""

        def broken(connection: sqlite3.Connection) -> None:
            insert(5)(connection)
            raise KeyError("ours")

        before, failed, after = (self.database.run(job) for job in (insert(1), broken, insert(2)))
        self.thread.work()
        self.thread.work()
        self.failureResultOf(failed, KeyError)
        self.assertEqual([self.successResultOf(before), self.successResultOf(after)], [None, None])
        self.assertEqual(values(self.witness), [0, 1, 2])

    def test_sql_error(self) -> None:
        """What SQLite refuses is a StorageError, of that job alone."""
        failed, after = self.database.run(insert(0)), self.database.run(insert(1))
        self.thread.work()
        self.thread.work()
        self.assertIn("UNIQUE constraint failed", str(self.failureResultOf(failed, StorageError).value))
        self.successResultOf(after)
        self.assertEqual(values(self.witness), [0, 1])

    def test_no_commit(self) -> None:
        """When the commit fails nobody of the batch is told that his change was kept; the next batch goes on."""
        self.thread.work()
        answers = [self.database.run(insert(1)), self.database.run(insert(2)), self.database.run(insert(3))]
        self.witness.execute("BEGIN IMMEDIATE")
        self.connection.execute("PRAGMA busy_timeout = 0")
        self.thread.work()
        self.assertIn("locked", str(self.failureResultOf(answers[0], StorageError).value))
        self.witness.rollback()
        self.thread.work()
        self.assertEqual([self.successResultOf(answer) for answer in answers[1:]], [None, None])
        self.assertEqual(values(self.witness), [0, 2, 3])

    def test_transaction_lost(self) -> None:
        """An error that ends the transaction, as a full disk may, fails the whole batch and none after it."""

        def lose(connection: sqlite3.Connection) -> None:
            connection.execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")

        answers = [self.database.run(job) for job in (insert(1), lose, insert(2))]
        self.thread.work()
        self.thread.work()
        for answer in answers:
            self.failureResultOf(answer, StorageError)
        later = self.database.run(values)
        self.thread.work()
        self.assertEqual(self.successResultOf(later), [0])

    def test_constraint_at_the_commit(self) -> None:
        """A commit that is refused is taken back whole, and the connection serves on."""
        self.thread.work()
        self.connection.execute("CREATE TABLE u (x REFERENCES v DEFERRABLE INITIALLY DEFERRED)")
        self.connection.execute("CREATE TABLE v (x PRIMARY KEY)")
        failed = self.database.run(lambda connection: connection.execute("INSERT INTO u VALUES (1)").rowcount)
        self.thread.work()
        self.assertIn("FOREIGN KEY", str(self.failureResultOf(failed, StorageError).value))
        self.assertFalse(self.connection.in_transaction)


class Closing(DatabaseTestCase):
    """Closing finishes what was asked for."""

    def test_drains(self) -> None:
        """Jobs that wait are done before the file is closed and the thread ends."""
        answers = [self.database.run(insert(1)), self.database.run(insert(2))]
        closed = Deferred.fromCoroutine(self.database.close())
        for _ in range(3):
            self.assertNoResult(closed)
            self.assertEqual(self.stopped, [])
            self.thread.work()
        self.successResultOf(closed)
        self.assertEqual([self.successResultOf(answer) for answer in answers], [None, None])
        self.assertEqual((values(self.witness), self.stopped), ([1, 2], [True]))
        self.assertRaises(sqlite3.ProgrammingError, self.connection.execute, "SELECT 1")

    def test_nothing_after(self) -> None:
        """Once closing has begun nothing more is taken, and closing twice is told."""
        closed = Deferred.fromCoroutine(self.database.close())
        self.failureResultOf(self.database.run(values), StorageError)
        self.failureResultOf(Deferred.fromCoroutine(self.database.close()), StorageError)
        self.thread.work()
        self.thread.work()
        self.successResultOf(closed)

    def test_closed_though_the_disk_failed(self) -> None:
        """A last commit that fails does not keep the thread."""
        database = Database(self.connection, at_once, lambda: self.stopped.append(True))
        self.connection.execute("PRAGMA busy_timeout = 0")
        self.witness.execute("BEGIN IMMEDIATE")
        self.failureResultOf(Deferred.fromCoroutine(database.close()), StorageError)
        self.assertEqual(self.stopped, [True])


class Opening(SynchronousTestCase):
    """A file that cannot be used stops the start, with a reason."""

    def test_not_a_database(self) -> None:
        """A file of something else is left alone."""
        path = Path(self.mktemp())
        path.write_bytes(b"certainly no database" * 100)
        error = self.assertRaises(ConfigError, connect, path)
        self.assertIn(str(path), str(error))
        self.assertIn("wanted an SQLite database", str(error))
        self.assertTrue(path.read_bytes().startswith(b"certainly"))

    def test_a_directory(self) -> None:
        """What is no file is told as such."""
        path = Path(self.mktemp())
        path.mkdir()
        self.assertIn("Is a directory", str(self.assertRaises(ConfigError, connect, path)))

    def test_newer(self) -> None:
        """The file of a newer release is refused with its name."""
        path = Path(self.mktemp())
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 1000")
        connection.close()
        error = self.assertRaises(ConfigError, connect, path)
        self.assertIn(f"{path}: the database has version 1000", str(error))
