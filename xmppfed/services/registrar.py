"""The accounts of a running server: they come, change their passwords, and go with all that hangs on them."""

from __future__ import annotations

from collections.abc import Callable

from xmppfed.core.jid import JID
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.routing.handlers import Handlers
from xmppfed.routing.sessions import Sessions
from xmppfed.storage.accounts import add_account, change_password
from xmppfed.storage.interface import Accounts
from xmppfed.storage.threads import RunInThread

__all__ = ["Registrar"]


class Registrar:
    """`xmppfed.extend.Accounts`, and what commands do to accounts while the server runs."""

    def __init__(
        self,
        accounts: Accounts,
        run_in_thread: RunInThread,
        handlers: Handlers,
        sessions: Sessions,
        end: Callable[[JID, StreamError], None],
    ) -> None:
        """`end` ends every stream of an account."""
        self._accounts = accounts
        self._run_in_thread = run_in_thread
        self._handlers = handlers
        self._sessions = sessions
        self._end = end

    async def create(self, account: JID, password: str) -> None:
        """See `xmppfed.extend.Accounts.create`."""
        await add_account(self._accounts, account, password, self._run_in_thread)

    async def change_password(self, account: JID, password: str) -> None:
        """See `xmppfed.extend.Accounts.change_password`."""
        await change_password(self._accounts, account, password, self._run_in_thread)

    async def remove(self, account: JID) -> None:
        """See `xmppfed.extend.Accounts.remove`."""
        for prepare in self._handlers.removers:
            await prepare(account)
        await self._accounts.delete(account.domain, account.local)
        if not self._sessions.is_connected(str(account)):
            self._sessions.left(account)

    def end(self, account: JID) -> None:
        """See `xmppfed.extend.Accounts.end`."""
        self._end(account, StreamError(StreamCondition.NOT_AUTHORIZED, "The account was removed."))

    async def remove_and_end(self, account: JID) -> None:
        """Remove an account on behalf of somebody who needs no last word to it."""
        await self.remove(account)
        self.end(account)
