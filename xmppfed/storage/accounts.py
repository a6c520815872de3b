"""Accounts as people name them, by address and password: the one way that commands create and change them."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from xmppfed.core.jid import JID
from xmppfed.core.sasl.keys import HASH_NAMES, SALT_LENGTH, ScramKeys, derive_all
from xmppfed.errors import JIDError, SASLError, XMPPFedError
from xmppfed.storage.interface import Accounts
from xmppfed.storage.threads import RunInThread

__all__ = ["AccountRefused", "account_address", "add_account", "change_password"]


class AccountRefused(XMPPFedError):
    """An address or a password that no account of this server can have."""


def account_address(text: str, domains: Collection[str]) -> JID:
    """The bare address that `text` writes, at one of our `domains`. Raises AccountRefused."""
    wanted = f"wanted NAME@DOMAIN, where DOMAIN is {' or '.join(sorted(domains))}"
    try:
        jid = JID.parse(text)
    except JIDError as error:
        raise AccountRefused(f"{error}; {wanted}") from None
    if not jid.local or jid.resource or jid.domain not in domains:
        raise AccountRefused(f"found {text!r}; {wanted}")
    return jid


async def add_account(accounts: Accounts, jid: JID, password: str, run_in_thread: RunInThread) -> None:
    """Create the account `jid`. Raises AccountRefused for the password, or AccountExists."""
    await accounts.create(jid.domain, jid.local, await _keys(password, run_in_thread))


async def change_password(accounts: Accounts, jid: JID, password: str, run_in_thread: RunInThread) -> None:
    """Give `jid` a new password and forget the old one. Raises AccountRefused for the password, or NoSuchAccount."""
    await accounts.replace(jid.domain, jid.local, await _keys(password, run_in_thread))


async def _keys(password: str, run_in_thread: RunInThread) -> dict[str, ScramKeys]:
    # Each hash has a salt of its own; deriving takes milliseconds that no other stream should wait for.
    salts = {name: secrets.token_bytes(SALT_LENGTH) for name in HASH_NAMES}
    try:
        return await run_in_thread(lambda: derive_all(password, salts))
    except SASLError as error:
        raise AccountRefused(f"{error.text}; choose another password") from None
