"""`xmppfedctl`: what it does, prints and refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed import cli
from xmppfed.assembly import module_options
from xmppfed.config import load
from xmppfed.core.sasl.keys import verify_password
from xmppfed.net.issuing import Authority
from xmppfed.services.control import SOCKET_NAME
from xmppfed.storage.sqlite import SQLiteStorage


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

    def password_is(self, password: str) -> bool:
        """Whether Juliet's keys in the database are those of `password`."""
        storage = SQLiteStorage.open_at_once(self.data_dir)
        keys: Any = self.successResultOf(Deferred.fromCoroutine(storage.accounts.keys("example.org", "juliet")))
        self.successResultOf(Deferred.fromCoroutine(storage.close()))
        return verify_password(keys["sha256"], password)


class UsersWithoutServer(CLITestCase):
    """While no server runs, accounts are changed in its database."""

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
        self.patch(cli, "getpass", lambda prompt: asked.append(prompt) or "secret")
        self.assertNotIn("secret", self.done("user", "add", "juliet@example.org", stdin=Terminal()))
        self.assertEqual(asked, ["Password for juliet@example.org: ", "Again: "])
        self.assertTrue(self.password_is("secret"))

    def test_mistyped(self) -> None:
        """Two different passwords are a typing error, and change nothing."""
        typed = iter(["secret", "sceret"])
        self.patch(cli, "getpass", lambda prompt: next(typed))
        self.assertIn("passwords differ", self.refused("user", "add", "juliet@example.org", stdin=Terminal()))
        self.assertEqual(self.done("user", "list"), "")

    def test_given_up(self) -> None:
        """Who ends the prompt has changed his mind."""

        def end(prompt: str) -> str:
            raise KeyboardInterrupt

        self.patch(cli, "getpass", end)
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


class WithServer(CLITestCase):
    """While a server runs, it is asked."""

    def answer(self, status: int, body: bytes) -> socket.socket:
        """Be the server that answers the next command; gives the server's end, where the request can be read."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        ours.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        self.patch(cli, "_connected", lambda config: theirs)
        return ours

    def request(self, end: socket.socket) -> tuple[str, Any]:
        """The first line and the JSON of the request that was sent."""
        head, _, body = end.recv(65536).partition(b"\r\n\r\n")
        return head.decode().splitlines()[0], json.loads(body or end.recv(65536))

    def test_user(self) -> None:
        """The running server changes the account, and nobody touches the database behind its back."""
        end = self.answer(200, b'{"added": "juliet@example.org"}')
        added = self.done("user", "add", "juliet@example.org", "--password-stdin", stdin=StringIO("R0m30\n"))
        self.assertEqual(added, "added: juliet@example.org\n")
        wanted = {"address": "juliet@example.org", "password": "R0m30"}
        self.assertEqual(self.request(end), ("POST /user/add HTTP/1.1", wanted))
        self.assertEqual(os.listdir(self.data_dir), [])

    def test_status(self) -> None:
        """What the server says of itself is printed line by line."""
        self.answer(200, b'{"pid": 5, "domains": ["example.org", "example.net"]}')
        self.assertEqual(self.done("status"), "pid: 5\ndomains: example.org, example.net\n")

    def test_reload(self) -> None:
        """The server is told to read its files again."""
        end = self.answer(200, b'{"reloaded": "xmppfed.toml"}')
        self.assertEqual(self.done("reload"), "reloaded: xmppfed.toml\n")
        self.assertEqual(self.request(end), ("POST /reload HTTP/1.1", {}))

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
        self.patch(cli, "_connected", lambda config: theirs)
        self.assertIn("did not answer as it should", self.refused("status"))

    def test_connects(self) -> None:
        """The server is found at its socket."""
        path = self.data_dir / SOCKET_NAME
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen()
            with cli._connected(load(self.file, module_options())) as connection:
                self.assertEqual(connection.getpeername(), str(path))

    def test_not_running(self) -> None:
        """Where no server runs, the error says how to start it."""
        self.assertIn(f"start it with `twistd xmppfed --config {self.file}`", self.refused("status"))
        self.assertIn("no server listens there", self.refused("reload"))

    def test_not_allowed(self) -> None:
        """Another user's server is not an absent one."""
        (self.data_dir / SOCKET_NAME).symlink_to(self.data_dir / SOCKET_NAME)  # A loop: connecting fails whoever tries.
        self.assertIn("run this as the user that the server runs as", self.refused("user", "list"))


class Check(CLITestCase):
    """The configuration is read as a start would read it."""

    def write(self, *, expires: timedelta, name: str = "example.org") -> None:
        """A configuration with a certificate for `name` that ends then."""
        now = datetime.now(UTC)
        authority = Authority(now - timedelta(days=300))
        pem = authority.issue(name, not_before=now - timedelta(days=200), not_after=now + expires)
        (self.directory / "example.org.pem").write_bytes(pem)
        self.file.write_text(
            'data_dir = "var"\n[domains."example.org"]\ncertificate = "example.org.pem"\n'
            '[services.http]\nendpoint = "tcp:5443"\n[services.c2s_ws]\n[services.c2s_tcp]\n[modules.ping]\n'
        )

    def test_good(self) -> None:
        """What was found is printed: domains, certificates and when they end, services, modules."""
        self.write(expires=timedelta(days=40, hours=1))
        out = self.done("check")
        self.assertIn(f"{self.file}: a server can start with it.\n", out)
        self.assertRegex(out, r"domain example\.org: .*example\.org\.pem: expires on \d{4}-\d\d-\d\d \(in 40 days\)\n")
        for line in ("service http at tcp:5443", "service c2s_ws", "service c2s_tcp at tcp:5222 and tcp:5223", "module ping"):
            self.assertIn(f"  {line}\n", out)
        self.assertNotIn("s2s_ws", out)

    def test_expired(self) -> None:
        """A certificate that has ended is shown as such."""
        self.write(expires=timedelta(days=-2))
        self.assertRegex(self.done("check"), r"example\.org\.pem: certificate has expired on")

    def test_wrong_name(self) -> None:
        """A certificate that does not prove its domain is shown as such: the server would start, and nobody believe it."""
        self.write(expires=timedelta(days=40), name="example.net")
        self.assertIn("found a certificate for DNS example.net, wanted one for example.org", self.done("check"))

    def test_no_certificate(self) -> None:
        """A domain without a certificate is shown as such."""
        self.assertIn("domain example.org: no certificate\n", self.done("check"))

    def test_bad(self) -> None:
        """What a start would refuse is refused, with the file and the key."""
        self.file.write_text('data_dir = "var"\n[domains."example.org"]\n[modules.pong]\n')
        reason = self.refused("check")
        self.assertIn(str(self.file), reason)
        self.assertIn("modules.pong", reason)

    def test_bad_certificate(self) -> None:
        """What only the assembly finds is found: the file of a certificate that holds none."""
        self.write(expires=timedelta(days=1))
        (self.directory / "example.org.pem").write_text("none")
        self.assertIn("example.org.pem: found no readable certificate", self.refused("check"))

    def test_no_file(self) -> None:
        """A configuration that is not there: the error says how to get one."""
        self.file.unlink()
        self.assertIn("xmppfedctl init DOMAIN", self.refused("check"))


class Init(CLITestCase):
    """A new server begins with files that work."""

    def setUp(self) -> None:
        super().setUp()
        self.new = self.directory / "new"

    def init(self, *argv: str) -> str:
        """The output of `init` in a directory of its own."""
        return self.done("init", *argv, "--directory", str(self.new))

    def check(self) -> str:
        """What `check` says of what was written."""
        self.file = self.new / "xmppfed.toml"
        return self.done("check")

    def test_behind_proxy(self) -> None:
        """Without a certificate the server is made for a proxy, and only its directory is written to."""
        out = self.init("example.net")
        self.assertEqual(sorted(os.listdir(self.new)), ["var", "xmppfed.toml"])
        self.assertIn("  domain example.net: no certificate\n  service http at tcp:5280:interface=127.0.0.1\n", self.check())
        self.assertIn(f"Next: xmppfedctl --config {self.new / 'xmppfed.toml'} check", out)

    def test_self_signed(self) -> None:
        """With a certificate of its own the server can be tried at once."""
        out = self.init("example.net", "--self-signed")
        self.assertIn("service http at tcp:5443", self.check())
        self.assertIn("The certificate holds for 10 days", out)
        certificate = self.new / "certs" / "example.net.pem"
        self.assertEqual(certificate.stat().st_mode & 0o777, 0o600)
        self.assertEqual((self.new / "var").stat().st_mode & 0o777, 0o700)

    def test_prepared(self) -> None:
        """The domain is written in the form that it is compared in."""
        self.init("EXAMPLE.net")
        self.assertIn("domain example.net:", self.check())

    def test_never_overwrites(self) -> None:
        """A file that is there stays, and nothing is written beside it."""
        for path in (self.new / "xmppfed.toml", self.new / "certs" / "example.net.pem"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("precious")
            reason = self.refused("init", "example.net", "--self-signed", "--directory", str(self.new))
            self.assertIn(f"{path}: found a file, wanted none; move it away", reason)
            self.assertEqual(path.read_text(), "precious")
            path.unlink()
        self.assertEqual(os.listdir(self.new), ["certs"])

    def test_no_directory(self) -> None:
        """A directory that cannot be made is told."""
        self.new.write_text("a file")
        self.assertIn("Not a directory", self.refused("init", "example.net", "--directory", str(self.new / "x")))

    def test_bad_domain(self) -> None:
        """What is no domain is refused before anything is written."""
        self.assertIn("a..b", self.refused("init", "a..b", "--directory", str(self.new)))
        self.assertFalse(self.new.exists())


class Usage(CLITestCase):
    """What is not understood is told in argparse's way."""

    def test_no_command(self) -> None:
        """Without a command the usage is printed."""
        status, _, err = self.ctl()
        self.assertEqual(status, 2)
        self.assertIn("usage: xmppfedctl", err)

    def test_help(self) -> None:
        """Asking for help is no error, and every command is in it."""
        out = self.done("--help")
        for name in ("user", "check", "reload", "status", "init"):
            self.assertTrue(re.search(rf"^\s+{name}\s", out, re.MULTILINE), name)

    def test_run(self) -> None:
        """The program takes its arguments and ends with the status of the command."""
        out = StringIO()
        self.patch(sys, "argv", ["xmppfedctl", "--config", str(self.file), "check"])
        self.patch(sys, "stdout", out)
        self.assertEqual(self.assertRaises(SystemExit, cli.run).code, 0)
        self.assertIn("a server can start with it", out.getvalue())
