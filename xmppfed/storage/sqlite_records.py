"""What is kept of accounts besides their keys, in an SQLite database."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from xmppfed.core.jid import JID
from xmppfed.storage.database import Database
from xmppfed.storage.interface import CollectionFull, NoSuchAccount

__all__ = ["SQLiteRecords"]

_WHERE = "WHERE domain = ? AND localpart = ? AND collection = ?"


class SQLiteRecords:
    """`Records` in a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, account: JID, collection: str) -> dict[str, bytes]:
        """See `Records.read`."""
        query = f"SELECT key, value FROM records {_WHERE} ORDER BY key"
        where = (account.domain, account.local, collection)
        return dict(await self._database.run(lambda connection: connection.execute(query, where).fetchall()))

    async def change(
        self, account: JID, collection: str, changes: Mapping[str, bytes | None], *, most: int | None = None
    ) -> None:
        """See `Records.change`."""
        await self._database.run(lambda connection: _change(connection, account, collection, changes, most))


def _change(
    connection: sqlite3.Connection, account: JID, collection: str, changes: Mapping[str, bytes | None], most: int | None
) -> None:
    where = (account.domain, account.local, collection)
    if connection.execute("SELECT 1 FROM accounts WHERE domain = ? AND localpart = ?", where[:2]).fetchone() is None:
        raise NoSuchAccount(account.domain, account.local)
    before = 0 if most is None else _count(connection, where)
    for key, value in changes.items():
        if value is None:
            connection.execute(f"DELETE FROM records {_WHERE} AND key = ?", (*where, key))
        else:
            connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", (*where, key, value))
    if most is not None and _count(connection, where) > max(most, before):
        raise CollectionFull(account, collection, most)


def _count(connection: sqlite3.Connection, where: tuple[str, str, str]) -> int:
    (found,) = connection.execute(f"SELECT count(*) FROM records {_WHERE}", where).fetchone()
    return int(found)
