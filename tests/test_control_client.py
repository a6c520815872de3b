"""How commands ask the running server, and what they say when there is none."""

from __future__ import annotations

import socket
from typing import Any

from tests.commandline import CLITestCase
from xmppfed import control_client
from xmppfed.assembly import module_options
from xmppfed.config import load
from xmppfed.control_client import run_here
from xmppfed.errors import JIDError
from xmppfed.services.control import SOCKET_NAME


class Asking(CLITestCase):
    """The server at the control socket is asked."""

    def test_refused(self) -> None:
        """What the server refuses is told in its words."""
        self.answer(400, b'{"error": "not today"}')
        self.assertEqual(self.refused("reload"), "xmppfedctl: not today\n")

    def test_nonsense(self) -> None:
        """An answer that is none is told, and is no traceback."""
        self.answer(200, b"<html>")
        self.assertIn("did not answer as it should", self.refused("status"))

    def test_cut_off(self) -> None:
        """A server that ends in the middle is told."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        ours.close()
        self.patch(control_client, "connected", lambda config: theirs)
        self.assertIn("did not answer as it should", self.refused("status"))

    def test_connects(self) -> None:
        """The server is found at its socket."""
        path = self.data_dir / SOCKET_NAME
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen()
            with control_client.connected(load(self.file, module_options())) as connection:
                self.assertEqual(connection.getpeername(), str(path))

    def test_not_running(self) -> None:
        """Where no server runs, the error says how to start it."""
        self.assertIn(f"start it with `twistd xmppfed --config {self.file}`", self.refused("status"))
        self.assertIn("no server listens there", self.refused("reload"))

    def test_not_allowed(self) -> None:
        """Another user's server is not an absent one."""
        (self.data_dir / SOCKET_NAME).symlink_to(self.data_dir / SOCKET_NAME)  # A loop: connecting fails whoever tries.
        self.assertIn("run this as the user that the server runs as", self.refused("user", "list"))


class Here(CLITestCase):
    """What is done without a server."""

    def test_answer(self) -> None:
        """The answer of a command that need not wait, or its error."""

        async def command(fails: bool) -> Any:
            if fails:
                raise JIDError("no")
            return {"done": "yes"}

        self.assertEqual(run_here(command(False)), {"done": "yes"})
        self.assertRaises(JIDError, run_here, command(True))
