"""Accounts by address and password."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.jid import JID
from xmppfed.core.sasl.keys import HASH_NAMES, SALT_LENGTH, ScramKeys, verify_password
from xmppfed.storage.accounts import AccountRefused, account_address, add_account, change_password
from xmppfed.storage.interface import AccountExists, NoSuchAccount
from xmppfed.storage.memory import MemoryAccounts
from xmppfed.storage.threads import at_once

JULIET = JID("juliet", "example.org")
DOMAINS = ("example.org", "example.net")


class Passwords(SynchronousTestCase):
    """A password becomes keys, and is not kept."""

    def setUp(self) -> None:
        self.accounts = MemoryAccounts()

    def work(self, coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """The outcome of `coroutine`."""
        return Deferred.fromCoroutine(coroutine)

    def keys(self) -> dict[str, ScramKeys]:
        """Juliet's keys."""
        keys: dict[str, ScramKeys] = self.successResultOf(self.work(self.accounts.keys("example.org", "juliet")))
        return keys

    def test_add(self) -> None:
        """A new account has keys for every mechanism that we offer, which know its password and no other."""
        self.successResultOf(self.work(add_account(self.accounts, JULIET, "R0m30", at_once)))
        self.assertEqual(sorted(self.keys()), sorted(HASH_NAMES))
        for keys in self.keys().values():
            self.assertEqual((verify_password(keys, "R0m30"), verify_password(keys, "r0m30")), (True, False))

    def test_salts(self) -> None:
        """Salts have the length of a decoy's, and no two are the same: equal passwords do not show."""
        for name in ("juliet", "romeo"):
            self.successResultOf(self.work(add_account(self.accounts, JID(name, "example.org"), "same", at_once)))
        romeo = self.successResultOf(self.work(self.accounts.keys("example.org", "romeo")))
        salts = [keys.salt for keys in (*self.keys().values(), *romeo.values())]
        self.assertEqual({len(salt) for salt in salts}, {SALT_LENGTH})
        self.assertEqual(len(set(salts)), len(salts))

    def test_in_a_thread(self) -> None:
        """Nothing is derived where it would hold up the reactor."""
        started: list[Deferred[Any]] = []

        def run_in_thread(function: Any, /) -> Deferred[Any]:
            started.append(Deferred())
            return started[0].addCallback(lambda _: function())

        added = self.work(add_account(self.accounts, JULIET, "R0m30", run_in_thread))
        self.assertNoResult(added)
        started[0].callback(None)
        self.successResultOf(added)
        self.assertEqual(len(self.keys()), len(HASH_NAMES))

    def test_add_twice(self) -> None:
        """The second account of a name is refused, and the password stays."""
        self.successResultOf(self.work(add_account(self.accounts, JULIET, "first", at_once)))
        self.failureResultOf(self.work(add_account(self.accounts, JULIET, "second", at_once)), AccountExists)
        self.assertTrue(verify_password(self.keys()["sha256"], "first"))

    def test_change(self) -> None:
        """After a change the new password counts, and the old one does not."""
        self.successResultOf(self.work(add_account(self.accounts, JULIET, "first", at_once)))
        self.successResultOf(self.work(change_password(self.accounts, JULIET, "second", at_once)))
        for keys in self.keys().values():
            self.assertEqual((verify_password(keys, "first"), verify_password(keys, "second")), (False, True))

    def test_change_nobody(self) -> None:
        """There is no password to change where there is no account."""
        self.failureResultOf(self.work(change_password(self.accounts, JULIET, "x", at_once)), NoSuchAccount)

    def test_unusable(self) -> None:
        """A password that RFC 8265 forbids is refused without being repeated."""
        for password in ("", "bell\a"):
            failure = self.failureResultOf(self.work(add_account(self.accounts, JULIET, password, at_once)))
            self.assertIsInstance(failure.value, AccountRefused)
            self.assertIn("choose another password", str(failure.value))
            self.assertNotIn("bell", str(failure.value))


class Addresses(SynchronousTestCase):
    """An account is a name at a domain of ours."""

    def test_address(self) -> None:
        """An address is prepared (RFC 7622), so that each account has one name."""
        self.assertEqual(account_address("Juliet@EXAMPLE.org", DOMAINS), JULIET)

    def test_refused(self) -> None:
        """What is no account here is refused with the domains that are."""
        for text in ("example.org", "juliet@example.com", "juliet@example.org/balcony", "@example.org", "a b@example.org"):
            error = self.assertRaises(AccountRefused, account_address, text, DOMAINS)
            self.assertIn("wanted NAME@DOMAIN, where DOMAIN is example.net or example.org", str(error))

    @given(st.text(max_size=20))
    def test_any_text(self, text: str) -> None:
        """Whatever is typed, it is an account or refused."""
        try:
            self.assertIn(account_address(text, DOMAINS).domain, DOMAINS)
        except AccountRefused as error:
            self.assertIn("wanted NAME@DOMAIN", str(error))
