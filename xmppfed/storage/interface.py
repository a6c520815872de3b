"""What the server asks of its storage, small enough that memory, SQLite and a database server can each answer it."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Protocol

from xmppfed.core.jid import JID
from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.errors import XMPPFedError

__all__ = ["AccountExists", "Accounts", "CollectionFull", "NoSuchAccount", "Records", "Storage", "StorageError"]


class AccountExists(XMPPFedError):
    """The account that was to be created is there already."""

    def __init__(self, domain: str, localpart: str) -> None:
        super().__init__(f"{localpart}@{domain} exists already; `xmppfedctl user passwd` gives it a new password")


class NoSuchAccount(XMPPFedError):
    """The account that was to be changed or deleted is not there."""

    def __init__(self, domain: str, localpart: str) -> None:
        super().__init__(f"there is no {localpart}@{domain}; `xmppfedctl user list` shows those that are")


class StorageError(XMPPFedError):
    """The storage failed: the disk is full, the file is locked or damaged. Nothing of the change was kept."""


class CollectionFull(XMPPFedError):
    """A change would have made a collection larger than it may be. Nothing of the change was kept."""

    def __init__(self, account: JID, collection: str, most: int) -> None:
        super().__init__(f"the {collection} of {account} would have more than {most} entries, which is the most kept")


class Accounts(Protocol):
    """Who may log in, keyed by domain and localpart, both prepared (RFC 7622).

    Each change is on disk, where the implementation has one, before its answer comes. Every method may raise
    StorageError.
    """

    async def keys(self, domain: str, localpart: str) -> dict[str, ScramKeys] | None:
        """The SCRAM keys by name of the hash (RFC 5802, section 3); None if there is no such account."""
        ...

    async def create(self, domain: str, localpart: str, keys: Mapping[str, ScramKeys]) -> None:
        """Add an account. Raises AccountExists."""
        ...

    async def replace(self, domain: str, localpart: str, keys: Mapping[str, ScramKeys]) -> None:
        """Put `keys` in the place of all that the account had. Raises NoSuchAccount."""
        ...

    async def delete(self, domain: str, localpart: str) -> None:
        """Remove an account with its keys. Raises NoSuchAccount."""
        ...

    async def list(self, domain: str) -> builtins.list[str]:
        """The localparts of all accounts of `domain`, sorted."""
        ...

    async def secret(self, name: str) -> bytes:
        """32 random bytes of this installation, made when `name` is first asked for and the same ever after.

        `name` says what for: each purpose has a secret of its own.
        """
        ...


class Records(Protocol):
    """What else is kept of an account: values by key, in collections whose names their users choose. They are gone with
    the account. Every method may raise StorageError."""

    async def read(self, account: JID, collection: str) -> dict[str, bytes]:
        """All of a collection, sorted by key; empty where there is none, or no such account."""
        ...

    async def change(
        self, account: JID, collection: str, changes: Mapping[str, bytes | None], *, most: int | None = None
    ) -> None:
        """Put or, where the value is None, remove these keys: all of it or nothing, and on disk before the answer comes.

        Raises NoSuchAccount, and CollectionFull where the collection grew and would have more than `most` keys.
        """
        ...


class Storage(Protocol):
    """All of it, in one place that is opened and closed."""

    @property
    def accounts(self) -> Accounts:
        """Who may log in."""
        ...

    @property
    def records(self) -> Records:
        """What is kept for them."""
        ...

    async def close(self) -> None:
        """Finish what was asked for, then let go of the files. Nothing may be asked afterwards."""
        ...
