"""Accounts in an SQLite database."""

from __future__ import annotations

import builtins
import secrets
import sqlite3
from collections.abc import Mapping

from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.storage.database import Database
from xmppfed.storage.interface import AccountExists, NoSuchAccount

__all__ = ["SQLiteAccounts"]

_KEYS = """SELECT hash_name, salt, iterations, stored_key, server_key
    FROM accounts LEFT JOIN scram_keys USING (domain, localpart) WHERE domain = ? AND localpart = ?"""


class SQLiteAccounts:
    """`Accounts` in a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keys(self, domain: str, localpart: str) -> dict[str, ScramKeys] | None:
        """See `Accounts.keys`."""
        rows = await self._database.run(lambda connection: connection.execute(_KEYS, (domain, localpart)).fetchall())
        return {row[0]: ScramKeys(*row) for row in rows if row[0] is not None} if rows else None

    async def create(self, domain: str, localpart: str, keys: Mapping[str, ScramKeys]) -> None:
        """See `Accounts.create`."""
        await self._database.run(lambda connection: _create(connection, domain, localpart, keys))

    async def replace(self, domain: str, localpart: str, keys: Mapping[str, ScramKeys]) -> None:
        """See `Accounts.replace`."""
        await self._database.run(lambda connection: _replace(connection, domain, localpart, keys))

    async def delete(self, domain: str, localpart: str) -> None:
        """See `Accounts.delete`."""
        await self._database.run(lambda connection: _delete(connection, domain, localpart))

    async def list(self, domain: str) -> builtins.list[str]:
        """See `Accounts.list`."""
        query = "SELECT localpart FROM accounts WHERE domain = ? ORDER BY localpart"
        rows = await self._database.run(lambda connection: connection.execute(query, (domain,)).fetchall())
        return [localpart for (localpart,) in rows]

    async def secret(self, name: str) -> bytes:
        """See `Accounts.secret`."""
        return await self._database.run(lambda connection: _secret(connection, name))


def _create(connection: sqlite3.Connection, domain: str, localpart: str, keys: Mapping[str, ScramKeys]) -> None:
    created = connection.execute("INSERT OR IGNORE INTO accounts VALUES (?, ?)", (domain, localpart))
    if not created.rowcount:
        raise AccountExists(domain, localpart)
    _insert_keys(connection, domain, localpart, keys)


def _replace(connection: sqlite3.Connection, domain: str, localpart: str, keys: Mapping[str, ScramKeys]) -> None:
    query = "SELECT 1 FROM accounts WHERE domain = ? AND localpart = ?"
    if connection.execute(query, (domain, localpart)).fetchone() is None:
        raise NoSuchAccount(domain, localpart)
    connection.execute("DELETE FROM scram_keys WHERE domain = ? AND localpart = ?", (domain, localpart))
    _insert_keys(connection, domain, localpart, keys)


def _insert_keys(connection: sqlite3.Connection, domain: str, localpart: str, keys: Mapping[str, ScramKeys]) -> None:
    connection.executemany(
        "INSERT INTO scram_keys VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(domain, localpart, name, k.salt, k.iterations, k.stored_key, k.server_key) for name, k in keys.items()],
    )


def _delete(connection: sqlite3.Connection, domain: str, localpart: str) -> None:
    deleted = connection.execute("DELETE FROM accounts WHERE domain = ? AND localpart = ?", (domain, localpart))
    if not deleted.rowcount:
        raise NoSuchAccount(domain, localpart)


def _secret(connection: sqlite3.Connection, name: str) -> bytes:
    connection.execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (name, secrets.token_bytes(32)))
    (value,) = connection.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()
    return bytes(value)
