"""The interface: each implementation is one, and the errors say what to do."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.errors import XMPPFedError
from xmppfed.storage.interface import AccountExists, Accounts, NoSuchAccount, Records, StorageError
from xmppfed.storage.memory import MemoryAccounts, MemoryRecords
from xmppfed.storage.sqlite_accounts import SQLiteAccounts
from xmppfed.storage.sqlite_records import SQLiteRecords


class Interface(SynchronousTestCase):
    """One interface, several implementations."""

    def test_all_methods(self) -> None:
        """Every implementation has every method; mypy compares their types."""
        for interface, *implementations in (
            (Accounts, MemoryAccounts, SQLiteAccounts),
            (Records, MemoryRecords, SQLiteRecords),
        ):
            wanted = {name for name in vars(interface) if not name.startswith("_")}
            for implementation in implementations:
                self.assertEqual(wanted - set(dir(implementation)), set(), implementation)

    def test_errors(self) -> None:
        """Errors are of our tree, and name the account and the next step."""
        self.assertTrue(issubclass(StorageError, XMPPFedError))
        self.assertIn("xmppfedctl user passwd", str(AccountExists("example.org", "juliet")))
        self.assertIn("there is no juliet@example.org", str(NoSuchAccount("example.org", "juliet")))
