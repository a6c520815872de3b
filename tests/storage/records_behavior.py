"""What every `Storage` does for records, for the tests of each implementation to inherit."""

from __future__ import annotations

from typing import Any

from tests.storage.accounts_behavior import StorageCase, scram_keys
from xmppfed.core.jid import JID
from xmppfed.storage.interface import CollectionFull, NoSuchAccount

__all__ = ["RecordsBehavior"]

JULIET, ROMEO = JID("juliet", "example.org"), JID("romeo", "example.org")


class RecordsBehavior(StorageCase):
    """What is kept of an account."""

    def setUp(self) -> None:
        super().setUp()
        for account in (JULIET, ROMEO):
            self.now(self.accounts.create(account.domain, account.local, scram_keys()))

    def test_empty(self: Any) -> None:
        """Nothing was kept yet, or by nobody: nothing is read."""
        self.assertEqual(self.now(self.records.read(JULIET, "roster")), {})
        self.assertEqual(self.now(self.records.read(JID("nobody", "example.org"), "roster")), {})

    def test_change(self: Any) -> None:
        """Keys are put, replaced and removed, and read in their order; what is not there may be removed."""
        self.now(self.records.change(JULIET, "roster", {"b": b"2", "a": b"1", "\U0001f339": b"4", "\uffee": b"3"}))
        self.now(self.records.change(JULIET, "roster", {"b": b"\0new", "c": None, "a": None}))
        kept = self.now(self.records.read(JULIET, "roster"))
        self.assertEqual(list(kept.items()), [("b", b"\0new"), ("\uffee", b"3"), ("\U0001f339", b"4")])

    def test_apart(self: Any) -> None:
        """Collections and accounts do not see each other."""
        self.now(self.records.change(JULIET, "roster", {"a": b"1"}))
        self.now(self.records.change(JULIET, "vcard", {"a": b"2"}))
        self.now(self.records.change(ROMEO, "roster", {"a": b"3"}))
        self.assertEqual(self.now(self.records.read(JULIET, "roster")), {"a": b"1"})
        self.assertEqual(self.now(self.records.read(ROMEO, "roster")), {"a": b"3"})

    def test_full(self: Any) -> None:
        """A collection does not grow beyond its limit, and nothing of the change that would do so is kept."""
        self.now(self.records.change(JULIET, "offline", {"a": b"1", "b": b"2"}, most=2))
        text = self.refused(self.records.change(JULIET, "offline", {"a": b"x", "c": b"3"}, most=2), CollectionFull)
        self.assertIn("the offline of juliet@example.org would have more than 2 entries", text)
        self.assertEqual(self.now(self.records.read(JULIET, "offline")), {"a": b"1", "b": b"2"})

    def test_full_but_not_growing(self: Any) -> None:
        """Whoever has more than a limit that was lowered may change what is there, and exchange one for another."""
        self.now(self.records.change(JULIET, "offline", {"a": b"1", "b": b"2"}))
        self.now(self.records.change(JULIET, "offline", {"a": b"x", "b": None, "c": b"3"}, most=1))
        self.assertEqual(self.now(self.records.read(JULIET, "offline")), {"a": b"x", "c": b"3"})

    def test_nobody(self: Any) -> None:
        """Nothing is kept for an account that is not there."""
        self.refused(self.records.change(JID("nobody", "example.org"), "roster", {"a": b"1"}), NoSuchAccount)

    def test_gone_with_the_account(self: Any) -> None:
        """Who deletes an account deletes what it had: a later one of that name finds nothing."""
        self.now(self.records.change(JULIET, "roster", {"a": b"1"}))
        self.now(self.accounts.delete(JULIET.domain, JULIET.local))
        self.now(self.accounts.create(JULIET.domain, JULIET.local, scram_keys()))
        self.assertEqual(self.now(self.records.read(JULIET, "roster")), {})
