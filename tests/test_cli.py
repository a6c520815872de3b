"""`xmppfedctl`: what it does, prints and refuses."""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO

from tests.commandline import CLITestCase
from xmppfed import cli
from xmppfed.explained import stream_lines
from xmppfed.net.issuing import Authority


class Asked(CLITestCase):
    """What the running server answers is printed."""

    def test_status(self) -> None:
        """What the server says of itself is printed line by line."""
        self.answer(200, b'{"pid": 5, "domains": ["example.org", "example.net"]}')
        self.assertEqual(self.done("status"), "pid: 5\ndomains: example.org, example.net\n")

    def test_explain(self) -> None:
        """What the server says of another domain is printed in the words of `xmppfed.explained`."""
        trace = {"pair": {"sender": "example.org", "to": "x.example"}, "explanations": ["nothing found"], "attempts": []}
        end = self.answer(200, json.dumps(trace).encode())
        self.assertIn("Looked at:\n  nothing found\nNothing was tried.\n", self.done("explain", "x.example"))
        self.assertEqual(self.request(end), ("POST /explain HTTP/1.1", {"domain": "x.example"}))

    def test_streams(self) -> None:
        """And so are the streams."""
        self.answer(200, b'{"streams": [], "broken": []}')
        self.assertEqual(self.done("s2s"), "".join(f"{line}\n" for line in stream_lines([])))

    def test_reload(self) -> None:
        """The server is told to read its files again."""
        end = self.answer(200, b'{"reloaded": "xmppfed.toml"}')
        self.assertEqual(self.done("reload"), "reloaded: xmppfed.toml\n")
        self.assertEqual(self.request(end), ("POST /reload HTTP/1.1", {}))


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
        for name in ("user", "check", "reload", "status", "e2e", "init"):
            self.assertTrue(re.search(rf"^\s+{name}\s", out, re.MULTILINE), name)

    def test_run(self) -> None:
        """The program takes its arguments and ends with the status of the command."""
        out = StringIO()
        self.patch(sys, "argv", ["xmppfedctl", "--config", str(self.file), "check"])
        self.patch(sys, "stdout", out)
        self.assertEqual(self.assertRaises(SystemExit, cli.run).code, 0)
        self.assertIn("a server can start with it", out.getvalue())
