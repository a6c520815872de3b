"""The SQLite file: opened and brought up to date, and written to by one thread, many changes to one commit.

A commit waits for the disk, so what comes while one is under way shares the next. Each job runs inside a transaction
and within a savepoint of its own: one that fails is undone and told, and its neighbors do not notice.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import Deferred, fail

from xmppfed.errors import ConfigError
from xmppfed.storage.interface import StorageError
from xmppfed.storage.migrations import migrate
from xmppfed.storage.threads import RunInThread

__all__ = ["Database", "Job", "connect"]

T = TypeVar("T")
Job: TypeAlias = Callable[[sqlite3.Connection], T]

_BUSY = 10.0
"""Seconds to wait for another process (`xmppfedctl`, a backup) that holds the file."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the database at `path`, made for its owner alone if it is not there, with the newest schema.

    Raises ConfigError: not writable, not a database, or used by a newer release.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    except OSError as error:
        advice = "wanted a file to read and write; correct data_dir or its permissions"
        raise ConfigError(f"{path}: {error.strerror}; {advice}") from error
    try:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        migrate(connection)
    except (sqlite3.Error, ConfigError) as error:
        connection.close()
        advice = "" if isinstance(error, ConfigError) else "; wanted an SQLite database; restore a backup or move it away"
        raise ConfigError(f"{path}: {error}{advice}") from error
    return connection


class Database:
    """Jobs in the order they come, each answered when its change is on disk.

    `run_in_thread` is asked for one batch at a time, so two never use the connection at once; `stop` is called at
    the end. Tests hand in `at_once`.
    """

    def __init__(
        self, connection: sqlite3.Connection, run_in_thread: RunInThread, stop: Callable[[], None] = lambda: None
    ) -> None:
        self._connection, self._run_in_thread, self._stop = connection, run_in_thread, stop
        self._waiting: list[tuple[Job[Any], Deferred[Any]]] = []
        self._is_committing = self._is_closed = False

    def run(self, job: Job[T]) -> Deferred[T]:
        """Do `job`; its result comes after the commit. Fails with what `job` raised, or with StorageError."""
        if self._is_closed:
            return fail(StorageError("the storage is closed"))
        answer: Deferred[T] = Deferred()
        self._waiting.append((job, answer))
        self._commit_waiting()
        return answer

    async def close(self) -> None:
        """Finish the jobs that wait, then close the file. A later `run` or `close` fails."""
        if self._is_closed:
            raise StorageError("the storage is closed")
        drained = self.run(lambda connection: None)
        self._is_closed = True
        try:
            await drained
        finally:
            await self._run_in_thread(self._connection.close)
            self._stop()

    def _commit_waiting(self) -> None:
        if self._is_committing or not self._waiting:
            return
        self._is_committing, batch, self._waiting = True, self._waiting, []
        done: Deferred[list[object]] = self._run_in_thread(lambda: self._commit([job for job, _ in batch]))
        done.addErrback(lambda failure: [failure.value] * len(batch))
        done.addCallback(self._answer, [answer for _, answer in batch])

    def _answer(self, outcomes: list[object], answers: list[Deferred[Any]]) -> None:
        self._is_committing = False
        self._commit_waiting()
        for answer, outcome in zip(answers, outcomes, strict=True):
            if isinstance(outcome, Exception):
                answer.errback(outcome)
            else:
                answer.callback(outcome)

    def _commit(self, jobs: list[Job[Any]]) -> list[object]:
        # IMMEDIATE: a transaction that begins by reading may not become a writing one while another process writes.
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._attempt(job) for job in jobs]
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StorageError(f"the database failed: {error}") from error
        return outcomes

    def _attempt(self, job: Job[Any]) -> object:
        self._connection.execute("SAVEPOINT job")
        try:
            return job(self._connection)
        except Exception as error:  # noqa: BLE001 - Whatever it is, it belongs to him who gave the job.
            # A full disk may have ended the transaction: then this raises, and the whole batch fails.
            self._connection.execute("ROLLBACK TO job")
            return StorageError(f"the database failed: {error}") if isinstance(error, sqlite3.Error) else error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("RELEASE job")
