"""Accounts in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.storage.accounts_behavior import AccountsBehavior
from xmppfed.storage.interface import Accounts
from xmppfed.storage.memory import MemoryAccounts


class Memory(AccountsBehavior, SynchronousTestCase):
    """What every storage does, in memory."""

    def make_accounts(self) -> Accounts:
        """Nothing but a dictionary."""
        return MemoryAccounts()

    def tearDown(self) -> None:
        self.now(self.accounts.close())
