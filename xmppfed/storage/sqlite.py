"""The storage of a server that has no database server: one SQLite file."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.interfaces import IReactorFromThreads

from xmppfed.storage.database import Database, connect
from xmppfed.storage.sqlite_accounts import SQLiteAccounts
from xmppfed.storage.sqlite_records import SQLiteRecords
from xmppfed.storage.threads import OneThread, at_once

__all__ = ["FILE_NAME", "SQLiteStorage"]

FILE_NAME = "xmppfed.sqlite3"
"""The name of the database inside `data_dir`."""


class SQLiteStorage:
    """`Storage` in a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.accounts = SQLiteAccounts(database)
        self.records = SQLiteRecords(database)

    @classmethod
    def open(cls, data_dir: Path, reactor: IReactorFromThreads) -> SQLiteStorage:
        """The storage of a running server, with a thread for the file. Raises ConfigError."""
        connection = connect(data_dir / FILE_NAME)
        thread = OneThread(reactor, "storage")
        return cls(Database(connection, thread, thread.stop))

    @classmethod
    def open_at_once(cls, data_dir: Path) -> SQLiteStorage:
        """The storage for a command line: no thread, and each answer is there at once. Raises ConfigError."""
        return cls(Database(connect(data_dir / FILE_NAME), at_once))

    async def close(self) -> None:
        """See `Storage.close`."""
        await self._database.close()
