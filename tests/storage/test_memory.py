"""Storage in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.storage.accounts_behavior import AccountsBehavior
from tests.storage.records_behavior import RecordsBehavior
from xmppfed.storage.interface import Storage
from xmppfed.storage.memory import MemoryStorage


class Accounts(AccountsBehavior, SynchronousTestCase):
    """What every storage does for accounts, in memory."""

    def make_storage(self) -> Storage:
        """Nothing but dictionaries."""
        return MemoryStorage()


class Records(RecordsBehavior, SynchronousTestCase):
    """What every storage does for records, in memory."""

    def make_storage(self) -> Storage:
        """Nothing but dictionaries."""
        return MemoryStorage()
