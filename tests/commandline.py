"""`xmppfedctl` in a directory of its own, without a server or with one that is only played."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from xmppfed import cli, control_client


class Terminal(StringIO):
    """Standard input with somebody in front of it."""

    def isatty(self) -> bool:
        """Somebody sits there."""
        return True


class CLITestCase(SynchronousTestCase):
    """A directory with the configuration of a server that does not run."""

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())  # Short, as the names of Unix sockets must be.
        self.addCleanup(shutil.rmtree, self.directory)
        self.data_dir = self.directory / "var"
        self.data_dir.mkdir()
        self.file = self.directory / "xmppfed.toml"
        self.file.write_text('data_dir = "var"\n[domains."example.org"]\n[modules.ping]\n')

    def ctl(self, *argv: str, stdin: StringIO | None = None) -> tuple[int, str, str]:
        """The exit status, output and error output of a command on our configuration."""
        out, err = StringIO(), StringIO()
        status = cli.main(["--config", str(self.file), *argv], stdin or StringIO(), out, err)
        return status, out.getvalue(), err.getvalue()

    def done(self, *argv: str, stdin: StringIO | None = None) -> str:
        """The output of a command that succeeds."""
        status, out, err = self.ctl(*argv, stdin=stdin)
        self.assertEqual((status, err), (0, ""))
        return out

    def refused(self, *argv: str, stdin: StringIO | None = None) -> str:
        """The reason why a command fails; nothing else is printed."""
        status, out, err = self.ctl(*argv, stdin=stdin)
        self.assertEqual((status, out), (1, ""))
        self.assertTrue(err.startswith("xmppfedctl: "), err)
        return err

    def answer(self, status: int, body: bytes) -> socket.socket:
        """Be the server that answers the next command; gives the server's end, where the request can be read."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        ours.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        self.patch(control_client, "connected", lambda config: theirs)
        return ours

    def request(self, end: socket.socket) -> tuple[str, Any]:
        """The first line and the JSON of the request that was sent."""
        head, _, body = end.recv(65536).partition(b"\r\n\r\n")
        return head.decode().splitlines()[0], json.loads(body or end.recv(65536))
