"""What every `Storage` does for accounts, for the tests of each implementation to inherit."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.storage.interface import AccountExists, NoSuchAccount, Storage

__all__ = ["AccountsBehavior", "StorageCase", "scram_keys"]

T = TypeVar("T")


def scram_keys(mark: int = 1, *hash_names: str) -> dict[str, ScramKeys]:
    """Keys that can be told apart by `mark`; derivation is not what these tests are about."""
    names = hash_names or ("sha1", "sha256", "sha512")
    return {name: ScramKeys(name, bytes([mark]) * 16, 10_000, b"stored" + bytes([mark]), b"\0server") for name in names}


class StorageCase:
    """Mix into a SynchronousTestCase that says in `make_storage` what is tested."""

    def make_storage(self) -> Storage:
        """An empty storage whose answers are there at once."""
        raise NotImplementedError

    def setUp(self) -> None:
        self.storage = self.make_storage()
        self.accounts, self.records = self.storage.accounts, self.storage.records

    def tearDown(self) -> None:
        self.now(self.storage.close())

    def now(self: Any, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives at once."""
        result: T = self.successResultOf(Deferred.fromCoroutine(work))
        return result

    def refused(self: Any, work: Coroutine[Any, Any, Any], kind: type[Exception]) -> str:
        """The reason of type `kind` that `work` fails with."""
        assert isinstance(self, SynchronousTestCase)
        return str(self.failureResultOf(Deferred.fromCoroutine(work), kind).value)


class AccountsBehavior(StorageCase):
    """Who may log in."""

    def test_nobody(self: Any) -> None:
        """Where there is no account there are no keys, which is not the same as an account without keys."""
        self.assertIsNone(self.now(self.accounts.keys("example.org", "juliet")))
        self.now(self.accounts.create("example.org", "juliet", {}))
        self.assertEqual(self.now(self.accounts.keys("example.org", "juliet")), {})

    def test_create(self: Any) -> None:
        """Keys come back as they were given, bytes and all."""
        self.now(self.accounts.create("example.org", "juliet", scram_keys()))
        self.assertEqual(self.now(self.accounts.keys("example.org", "juliet")), scram_keys())

    def test_create_twice(self: Any) -> None:
        """An account cannot be taken over by creating it again."""
        self.now(self.accounts.create("example.org", "juliet", scram_keys(1)))
        again = self.accounts.create("example.org", "juliet", scram_keys(2))
        self.assertIn("juliet@example.org exists already", self.refused(again, AccountExists))
        self.assertEqual(self.now(self.accounts.keys("example.org", "juliet")), scram_keys(1))

    def test_domains_apart(self: Any) -> None:
        """The same localpart at two domains is two accounts."""
        self.now(self.accounts.create("example.org", "juliet", scram_keys(1)))
        self.now(self.accounts.create("example.net", "juliet", scram_keys(2)))
        self.now(self.accounts.delete("example.org", "juliet"))
        self.assertEqual(self.now(self.accounts.keys("example.net", "juliet")), scram_keys(2))

    def test_replace(self: Any) -> None:
        """A new password leaves nothing of the old one: no hash that the new keys do not have."""
        self.now(self.accounts.create("example.org", "juliet", scram_keys(1)))
        self.now(self.accounts.replace("example.org", "juliet", scram_keys(2, "sha256")))
        self.assertEqual(self.now(self.accounts.keys("example.org", "juliet")), scram_keys(2, "sha256"))

    def test_replace_nobody(self: Any) -> None:
        """Replacing creates no account."""
        work = self.accounts.replace("example.org", "juliet", scram_keys())
        self.assertIn("there is no juliet@example.org", self.refused(work, NoSuchAccount))
        self.assertEqual(self.now(self.accounts.list("example.org")), [])

    def test_delete(self: Any) -> None:
        """A deleted account is gone, with its keys, and can be created anew."""
        self.now(self.accounts.create("example.org", "juliet", scram_keys(1)))
        self.now(self.accounts.delete("example.org", "juliet"))
        self.assertIsNone(self.now(self.accounts.keys("example.org", "juliet")))
        self.now(self.accounts.create("example.org", "juliet", scram_keys(2, "sha1")))
        self.assertEqual(self.now(self.accounts.keys("example.org", "juliet")), scram_keys(2, "sha1"))

    def test_delete_nobody(self: Any) -> None:
        """Deleting what is not there is told: it may be a misspelt name."""
        work = self.accounts.delete("example.org", "juliet")
        self.assertIn("xmppfedctl user list", self.refused(work, NoSuchAccount))

    def test_list(self: Any) -> None:
        """The accounts of one domain are listed, sorted."""
        for domain, localpart in (("example.org", "romeo"), ("example.net", "nurse"), ("example.org", "juliet")):
            self.now(self.accounts.create(domain, localpart, scram_keys()))
        self.assertEqual(self.now(self.accounts.list("example.org")), ["juliet", "romeo"])
        self.assertEqual(self.now(self.accounts.list("example.com")), [])

    def test_given_keys_are_copied(self: Any) -> None:
        """What the caller does with his dictionary afterwards does not change the account."""
        keys = scram_keys()
        self.now(self.accounts.create("example.org", "juliet", keys))
        keys.clear()
        self.now(self.accounts.keys("example.org", "juliet")).clear()
        self.assertEqual(self.now(self.accounts.keys("example.org", "juliet")), scram_keys())

    def test_secret(self: Any) -> None:
        """A secret is 32 bytes, the same each time, and another one for each purpose."""
        first = self.now(self.accounts.secret("dialback"))
        self.assertEqual(len(first), 32)
        self.assertEqual(self.now(self.accounts.secret("dialback")), first)
        self.assertNotEqual(self.now(self.accounts.secret("decoy")), first)

    def test_secrets_differ(self: Any) -> None:
        """Two installations have different secrets."""
        other = self.make_storage()
        self.addCleanup(lambda: self.now(other.close()))
        self.assertNotEqual(self.now(other.accounts.secret("dialback")), self.now(self.accounts.secret("dialback")))
