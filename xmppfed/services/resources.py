"""The resources of clients that leave them to us, and only name their software (XEP-0386, 3.2.1)."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode

from xmppfed.core.jid import JID
from xmppfed.errors import JIDError
from xmppfed.storage.interface import Accounts

__all__ = ["Resources"]

_LENGTH = 12  # octets; nobody guesses them


class Resources:
    """Makes resources: always the same for an installation of a client that says who it is, so that its new session takes
    the place of the one it has left behind; else never the same. What the client says of itself cannot be read in them."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._secret: bytes | None = None

    async def make(self, account: JID, tag: str, device: str) -> JID:
        """The full address of a session; a `tag` that no resource can hold is left out. Raises StorageError."""
        made = urlsafe_b64encode(await self._octets(account, tag, device)).decode()
        try:
            return JID.of(account.local, account.domain, f"{tag}/{made}" if tag else made)
        except JIDError:
            return account.with_resource(made)

    async def _octets(self, account: JID, tag: str, device: str) -> bytes:
        if not device:
            return secrets.token_bytes(_LENGTH)
        if self._secret is None:
            self._secret = await self._accounts.secret("resources")
        return hmac.digest(self._secret, "\0".join((str(account), device, tag)).encode(), "sha256")[:_LENGTH]
