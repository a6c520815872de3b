"""The interface: each implementation is one, and the errors say what to do."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.errors import XMPPFedError
from xmppfed.storage.interface import AccountExists, Accounts, NoSuchAccount, StorageError
from xmppfed.storage.memory import MemoryAccounts
from xmppfed.storage.sqlite import SQLiteAccounts


class Interface(SynchronousTestCase):
    """One interface, several implementations."""

    def test_all_methods(self) -> None:
        """Every implementation has every method; mypy compares their types."""
        wanted = {name for name in vars(Accounts) if not name.startswith("_")}
        for implementation in (MemoryAccounts, SQLiteAccounts):
            self.assertEqual(wanted - set(dir(implementation)), set(), implementation)

    def test_errors(self) -> None:
        """Errors are of our tree, and name the account and the next step."""
        self.assertTrue(issubclass(StorageError, XMPPFedError))
        self.assertIn("xmppfedctl user passwd", str(AccountExists("example.org", "juliet")))
        self.assertIn("there is no juliet@example.org", str(NoSuchAccount("example.org", "juliet")))
