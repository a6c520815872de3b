"""`xmppfedctl user`: what it does, prints and refuses."""

from __future__ import annotations

import os
import socket
from io import StringIO
from typing import Any

from twisted.internet.defer import Deferred

from tests.commandline import CLITestCase, Terminal
from xmppfed import user_cli
from xmppfed.core.sasl.keys import verify_password
from xmppfed.services.control import SOCKET_NAME
from xmppfed.storage.sqlite import SQLiteStorage


class UsersWithoutServer(CLITestCase):
    """While no server runs, accounts are changed in its database."""

    def password_is(self, password: str) -> bool:
        """Whether Juliet's keys in the database are those of `password`."""
        storage = SQLiteStorage.open_at_once(self.data_dir)
        keys: Any = self.successResultOf(Deferred.fromCoroutine(storage.accounts.keys("example.org", "juliet")))
        self.successResultOf(Deferred.fromCoroutine(storage.close()))
        return verify_password(keys["sha256"], password)

    def add(self, address: str = "juliet@example.org", password: str = "R0m30") -> str:
        """Add an account."""
        return self.done("user", "add", address, "--password-stdin", stdin=StringIO(f"{password}\n"))

    def test_add(self) -> None:
        """An account has the password that came by standard input, without the end of the line."""
        self.assertEqual(self.add(), "added: juliet@example.org\n")
        self.assertTrue(self.password_is("R0m30"))

    def test_prompt(self) -> None:
        """At a terminal the password is asked for twice, and not shown."""
        asked: list[str] = []
        self.patch(user_cli, "getpass", lambda prompt: asked.append(prompt) or "secret")
        self.assertNotIn("secret", self.done("user", "add", "juliet@example.org", stdin=Terminal()))
        self.assertEqual(asked, ["Password for juliet@example.org: ", "Again: "])
        self.assertTrue(self.password_is("secret"))

    def test_mistyped(self) -> None:
        """Two different passwords are a typing error, and change nothing."""
        typed = iter(["secret", "sceret"])
        self.patch(user_cli, "getpass", lambda prompt: next(typed))
        self.assertIn("passwords differ", self.refused("user", "add", "juliet@example.org", stdin=Terminal()))
        self.assertEqual(self.done("user", "list"), "")

    def test_given_up(self) -> None:
        """Who ends the prompt has changed his mind."""

        def end(prompt: str) -> str:
            raise KeyboardInterrupt

        self.patch(user_cli, "getpass", end)
        self.assertIn("nothing was changed", self.refused("user", "add", "juliet@example.org", stdin=Terminal()))

    def test_no_terminal(self) -> None:
        """Without a terminal nothing waits for an answer that cannot come."""
        self.assertIn("--password-stdin", self.refused("user", "add", "juliet@example.org"))

    def test_passwd(self) -> None:
        """A new password takes the place of the old one."""
        self.add()
        changed = self.done("user", "passwd", "juliet@example.org", "--password-stdin", stdin=StringIO("second"))
        self.assertEqual(changed, "changed: juliet@example.org\n")
        self.assertEqual((self.password_is("R0m30"), self.password_is("second")), (False, True))

    def test_list_and_delete(self) -> None:
        """The list has one address a line, and not those that were deleted."""
        for name in ("romeo", "juliet"):
            self.add(f"{name}@example.org")
        self.assertEqual(self.done("user", "list"), "juliet@example.org\nromeo@example.org\n")
        self.assertEqual(self.done("user", "delete", "romeo@example.org"), "deleted: romeo@example.org\n")
        self.assertEqual(self.done("user", "list"), "juliet@example.org\n")

    def test_refusals(self) -> None:
        """A refusal is one line on the error output, with what to do."""
        self.add()
        again = self.refused("user", "add", "juliet@example.org", "--password-stdin", stdin=StringIO("x"))
        self.assertIn("xmppfedctl user passwd", again)
        self.assertIn("there is no nurse@example.org", self.refused("user", "delete", "nurse@example.org"))
        self.assertIn("DOMAIN is example.org", self.refused("user", "delete", "juliet@example.net"))
        empty = self.refused("user", "passwd", "juliet@example.org", "--password-stdin", stdin=StringIO(""))
        self.assertIn("choose another password", empty)

    def test_password_is_no_argument(self) -> None:
        """A password on the command line is refused: every user of the machine could read it."""
        status, _, err = self.ctl("user", "add", "juliet@example.org", "secret")
        self.assertEqual(status, 2)
        self.assertIn("unrecognized arguments", err)

    def test_stale_socket(self) -> None:
        """The socket of a server that was killed does not stand in the way."""
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(self.data_dir / SOCKET_NAME))
        self.add()
        self.assertTrue(self.password_is("R0m30"))


class UsersWithServer(CLITestCase):
    """While a server runs, it is asked."""

    def test_user(self) -> None:
        """The running server changes the account, and nobody touches the database behind its back."""
        end = self.answer(200, b'{"added": "juliet@example.org"}')
        added = self.done("user", "add", "juliet@example.org", "--password-stdin", stdin=StringIO("R0m30\n"))
        self.assertEqual(added, "added: juliet@example.org\n")
        wanted = {"address": "juliet@example.org", "password": "R0m30"}
        self.assertEqual(self.request(end), ("POST /user/add HTTP/1.1", wanted))
        self.assertEqual(os.listdir(self.data_dir), [])
