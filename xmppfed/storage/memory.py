"""Storage that lives as long as the process, for tests and demonstrations."""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Mapping

from xmppfed.core.jid import JID
from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.storage.interface import AccountExists, CollectionFull, NoSuchAccount

__all__ = ["MemoryAccounts", "MemoryRecords", "MemoryStorage"]


class MemoryAccounts:
    """`Accounts` in a dictionary."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], dict[str, ScramKeys]] = {}
        self._secrets: dict[str, bytes] = {}
        self.collections: dict[tuple[str, str], dict[str, dict[str, bytes]]] = {}
        """What `MemoryRecords` keeps of each account."""

    async def keys(self, domain: str, localpart: str) -> dict[str, ScramKeys] | None:
        """See `Accounts.keys`."""
        keys = self._keys.get((domain, localpart))
        return None if keys is None else dict(keys)

    async def create(self, domain: str, localpart: str, keys: Mapping[str, ScramKeys]) -> None:
        """See `Accounts.create`."""
        if (domain, localpart) in self._keys:
            raise AccountExists(domain, localpart)
        self._keys[domain, localpart] = dict(keys)
        self.collections[domain, localpart] = {}

    async def replace(self, domain: str, localpart: str, keys: Mapping[str, ScramKeys]) -> None:
        """See `Accounts.replace`."""
        if (domain, localpart) not in self._keys:
            raise NoSuchAccount(domain, localpart)
        self._keys[domain, localpart] = dict(keys)

    async def delete(self, domain: str, localpart: str) -> None:
        """See `Accounts.delete`."""
        if self._keys.pop((domain, localpart), None) is None:
            raise NoSuchAccount(domain, localpart)
        del self.collections[domain, localpart]

    async def list(self, domain: str) -> builtins.list[str]:
        """See `Accounts.list`."""
        return sorted(localpart for served, localpart in self._keys if served == domain)

    async def secret(self, name: str) -> bytes:
        """See `Accounts.secret`."""
        return self._secrets.setdefault(name, secrets.token_bytes(32))


class MemoryRecords:
    """`Records` in the dictionaries of the accounts."""

    def __init__(self, accounts: MemoryAccounts) -> None:
        self._accounts = accounts

    async def read(self, account: JID, collection: str) -> dict[str, bytes]:
        """See `Records.read`."""
        kept = self._accounts.collections.get((account.domain, account.local), {})
        return dict(sorted(kept.get(collection, {}).items()))

    async def change(
        self, account: JID, collection: str, changes: Mapping[str, bytes | None], *, most: int | None = None
    ) -> None:
        """See `Records.change`."""
        collections = self._accounts.collections.get((account.domain, account.local))
        if collections is None:
            raise NoSuchAccount(account.domain, account.local)
        before = collections.get(collection, {})
        after = {key: value for key, value in {**before, **changes}.items() if value is not None}
        if most is not None and len(after) > max(most, len(before)):
            raise CollectionFull(account, collection, most)
        collections[collection] = after


class MemoryStorage:
    """`Storage` without files."""

    def __init__(self) -> None:
        self.accounts = MemoryAccounts()
        self.records = MemoryRecords(self.accounts)

    async def close(self) -> None:
        """See `Storage.close`."""
