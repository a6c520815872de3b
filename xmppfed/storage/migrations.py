"""The schema of the SQLite file, as numbered steps; a step that was released is never changed.

The number of steps a file has seen is its `user_version`.
"""

from __future__ import annotations

import sqlite3

from xmppfed.errors import ConfigError

__all__ = ["MIGRATIONS", "migrate"]

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (  # 1
        """CREATE TABLE accounts (
            domain TEXT NOT NULL,
            localpart TEXT NOT NULL,
            PRIMARY KEY (domain, localpart)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE scram_keys (
            domain TEXT NOT NULL,
            localpart TEXT NOT NULL,
            hash_name TEXT NOT NULL,
            salt BLOB NOT NULL,
            iterations INTEGER NOT NULL,
            stored_key BLOB NOT NULL,
            server_key BLOB NOT NULL,
            PRIMARY KEY (domain, localpart, hash_name),
            FOREIGN KEY (domain, localpart) REFERENCES accounts ON DELETE CASCADE
        ) STRICT, WITHOUT ROWID""",
        "CREATE TABLE secrets (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
        """CREATE TABLE records (
            domain TEXT NOT NULL,
            localpart TEXT NOT NULL,
            collection TEXT NOT NULL,
            key TEXT NOT NULL,
            value BLOB NOT NULL,
            PRIMARY KEY (domain, localpart, collection, key),
            FOREIGN KEY (domain, localpart) REFERENCES accounts ON DELETE CASCADE
        ) STRICT""",
    ),
)
"""Statements of each step; step 1 makes an empty file version 1."""


def migrate(connection: sqlite3.Connection, steps: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    """Take the database from the version it has to the last of `steps`, all or nothing.

    Raises ConfigError if a newer release has been at the file: an older one would misread it.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        _migrate(connection, steps)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _migrate(connection: sqlite3.Connection, steps: tuple[tuple[str, ...], ...]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise ConfigError(
            f"the database has version {version}; this xmppfed knows versions up to {len(steps)}. "
            "A newer xmppfed has used it: run that one, or restore a backup made before"
        )
    for statements in steps[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(steps)}")
