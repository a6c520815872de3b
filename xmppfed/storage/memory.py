"""Accounts that live as long as the process, for tests and demonstrations."""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Mapping

from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.storage.interface import AccountExists, NoSuchAccount

__all__ = ["MemoryAccounts"]


class MemoryAccounts:
    """`Accounts` in a dictionary."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], dict[str, ScramKeys]] = {}
        self._secrets: dict[str, bytes] = {}

    async def keys(self, domain: str, localpart: str) -> dict[str, ScramKeys] | None:
        """See `Accounts.keys`."""
        keys = self._keys.get((domain, localpart))
        return None if keys is None else dict(keys)

    async def create(self, domain: str, localpart: str, keys: Mapping[str, ScramKeys]) -> None:
        """See `Accounts.create`."""
        if (domain, localpart) in self._keys:
            raise AccountExists(domain, localpart)
        self._keys[domain, localpart] = dict(keys)

    async def replace(self, domain: str, localpart: str, keys: Mapping[str, ScramKeys]) -> None:
        """See `Accounts.replace`."""
        if (domain, localpart) not in self._keys:
            raise NoSuchAccount(domain, localpart)
        self._keys[domain, localpart] = dict(keys)

    async def delete(self, domain: str, localpart: str) -> None:
        """See `Accounts.delete`."""
        if self._keys.pop((domain, localpart), None) is None:
            raise NoSuchAccount(domain, localpart)

    async def list(self, domain: str) -> builtins.list[str]:
        """See `Accounts.list`."""
        return sorted(localpart for served, localpart in self._keys if served == domain)

    async def secret(self, name: str) -> bytes:
        """See `Accounts.secret`."""
        return self._secrets.setdefault(name, secrets.token_bytes(32))

    async def close(self) -> None:
        """See `Accounts.close`."""
