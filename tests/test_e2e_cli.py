"""`xmppfedctl e2e`: what it does, prints and refuses."""

from __future__ import annotations

import json
import os
import re
import shlex
from base64 import b64decode
from io import StringIO
from typing import Any

from tests.commandline import CLITestCase, Terminal
from xmppfed import e2e_cli
from xmppfed.e2e.identity import load_identity
from xmppfed.e2e.shown import fingerprint, key_of
from xmppfed.e2e.store import FileTrustStore
from xmppfed.e2e.trust import Acquaintance, Trust

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


class Certificates(CLITestCase):
    """`e2e cert`: E16, E17."""

    def setUp(self) -> None:
        super().setUp()
        self.path = self.data_dir / "e2e" / "juliet@example.org.pem"

    def commands(self, out: str) -> list[list[str]]:
        """The commands in an output, as a shell would split them."""
        return [shlex.split(line) for line in re.findall(r"xmppfedctl e2e trust .*", out)]

    def test_made(self) -> None:
        """The file is named, and the key in both forms; the line to paste at a peer pins just that key."""
        out = self.done("e2e", "cert", "Juliet@example.org")
        identity = load_identity(self.path)
        self.assertEqual(identity.addresses, ("juliet@example.org",))
        self.assertIn(f"Written: {self.path}, certificate and private key, until 20", out)
        found = re.search(r"sha-256 (\S+)", out)
        assert found is not None
        self.assertEqual(b64decode(found[1]), identity.spki_sha256)
        wanted = ["xmppfedctl", "e2e", "trust", "pin", "juliet@example.org", fingerprint(identity.spki_sha256)]
        self.assertEqual(self.commands(out), [wanted])
        self.done(*wanted[1:])
        self.assertEqual(key_of(wanted[-1]), identity.spki_sha256)

    def test_elsewhere(self) -> None:
        """With a file of one's own choice no server is needed; a name with blanks is quoted for the shell."""
        self.file.unlink()
        path = self.directory / "me.pem"
        out = self.done("e2e", "cert", "Juliet C.@pronto", "--file", str(path))
        self.assertEqual(load_identity(path).addresses, ("Juliet C.@pronto",))
        self.assertEqual(self.commands(out)[0][4], "Juliet C.@pronto")

    def test_there_already(self) -> None:
        """A second certificate does not take the place of the first by mistake."""
        self.done("e2e", "cert", "juliet@example.org")
        before = self.path.read_bytes()
        self.assertIn(f"{self.path}: found a file, wanted none", self.refused("e2e", "cert", "juliet@example.org"))
        self.assertEqual(self.path.read_bytes(), before)

    def test_rotate(self) -> None:
        """T4: anew for the same key: pins hold, and nobody has to do anything."""
        self.done("e2e", "cert", "juliet@example.org")
        before = load_identity(self.path)
        out = self.done("e2e", "cert", "juliet@example.org", "--rotate")
        after = load_identity(self.path)
        self.assertEqual(after.spki_sha256, before.spki_sha256)
        self.assertNotEqual(after.certificate.leaf, before.certificate.leaf)
        self.assertIn("pins hold", out)
        self.assertIn("from its next start on", out)
        self.assertEqual(len(self.commands(out)), 1)

    def test_new_key(self) -> None:
        """T4: with a new key, peers are told what to do: revoke the old key, pin the new one; and that works."""
        out = self.done("e2e", "cert", "juliet@example.org")
        self.done(*self.commands(out)[0][1:])
        out = self.done("e2e", "cert", "juliet@example.org", "--new-key")
        self.assertIn("refuses it until", out)
        self.assertIn("from its next start on", out)
        first, revoke, pin = self.commands(out)
        self.assertEqual(first, pin)
        self.assertIn("has another key", self.refused(*pin[1:]))
        self.done(*revoke[1:])
        self.done(*pin[1:])
        known = FileTrustStore.under(self.data_dir).by_name("juliet@example.org")
        assert known is not None
        self.assertEqual(known.spki_sha256, load_identity(self.path).spki_sha256)

    def test_nothing_to_rotate(self) -> None:
        """What is not there cannot be made anew."""
        for option in ("--rotate", "--new-key"):
            self.assertIn(f"{self.path}: cannot be read", self.refused("e2e", "cert", "juliet@example.org", option))
        self.assertEqual(os.listdir(self.data_dir), [])

    def test_one_of_both(self) -> None:
        """The same key and a new one cannot both be had."""
        self.assertEqual(self.ctl("e2e", "cert", "juliet@example.org", "--rotate", "--new-key")[0], 2)

    def test_no_address(self) -> None:
        """What nobody could be called is refused before anything is written."""
        for address in ("juliet@example.org/balcony", "a\x1bb@pronto", "a \udcffb@pronto", "../../etc/x"):
            self.refused("e2e", "cert", address)
        self.assertEqual(os.listdir(self.data_dir), [])

    def test_separators(self) -> None:
        """A name on the link cannot leave the folder."""
        self.done("e2e", "cert", "Juliet ..\\x@pronto")
        self.assertEqual(os.listdir(self.data_dir / "e2e"), ["Juliet%20..%5Cx@pronto.pem"])


class TrustWithoutServer(CLITestCase):
    """While no server runs, the file is looked at and changed."""

    def know(self, *some: Acquaintance) -> None:
        """Write them into the file."""
        for one in some:
            FileTrustStore.under(self.data_dir).keep(one)

    def test_nobody(self) -> None:
        """An empty list says that it is one, and leaves no file behind."""
        self.assertEqual(self.done("e2e", "trust", "list"), "Nobody is known yet.\n")
        self.assertEqual(os.listdir(self.data_dir), [])

    def test_list(self) -> None:
        """A line each: the word, the beginning of the key, the dates, and last the name, without what steers a terminal."""
        self.know(
            Acquaintance(name="evil\x1b[2J\u202e", trust=Trust.FIRST_USE, spki_sha256=KEY, first_seen=86400.0, last_seen=1.8e9),
            Acquaintance(name="romeo@x", trust=Trust.VERIFIED),
            Acquaintance(name="paris@x", trust=Trust.PAIRED, spki_sha256=OTHER_KEY, revoked=True),
        )
        head, *lines = self.done("e2e", "trust", "list").splitlines()
        self.assertEqual(head, "word       key                 first seen last seen  name")
        self.assertEqual(
            lines,
            [
                r"first-use  6b6b:6b6b:6b6b:6b6b 1970-01-02 2027-01-15 evil\x1b[2J\u202e",
                "verified   -                   never      never      romeo@x",
                "revoked    6f6f:6f6f:6f6f:6f6f never      never      paris@x",
            ],
        )

    def test_show(self) -> None:
        """All of it, with the whole key; also when there is none."""
        self.know(Acquaintance(name="j\x07@x", trust=Trust.PAIRED, spki_sha256=KEY, first_seen=86400.0, last_seen=1.8e9))
        self.know(Acquaintance(name="romeo@x", trust=Trust.VERIFIED))
        self.assertEqual(
            self.done("e2e", "trust", "show", "6b6b6b6b").splitlines(),
            [
                r"j\x07@x",
                "  word:       paired",
                f"  key:        {fingerprint(KEY)}",
                "  first seen: 1970-01-02",
                "  last seen:  2027-01-15",
            ],
        )
        self.assertIn("none is remembered", self.done("e2e", "trust", "show", "romeo@x"))
        self.assertIn("nobody is known as x; known are: ", self.refused("e2e", "trust", "show", "x"))

    def test_pin(self) -> None:
        """A key in parts, as a page shows it; who it was before is told, without harm."""
        self.know(Acquaintance(name="old\x1b", trust=Trust.FIRST_USE, spki_sha256=KEY))
        out = self.done("e2e", "trust", "pin", "juliet@x", "sha-256", *(KEY.hex(" ", 4).split()))
        self.assertIn(f"juliet@x\n  word:       pinned\n  key:        {fingerprint(KEY)}\n", out)
        self.assertIn(r"known as old\x1b before", out)
        [known] = FileTrustStore.under(self.data_dir).all()
        self.assertEqual((known.name, known.trust), ("juliet@x", Trust.PINNED))
        self.assertNotIn("before", self.done("e2e", "trust", "pin", "juliet@x", KEY.hex()))

    def test_another_key(self) -> None:
        """T4: another key is not written over the first."""
        self.done("e2e", "trust", "pin", "juliet@x", KEY.hex())
        self.assertIn("revoke the old one first", self.refused("e2e", "trust", "pin", "juliet@x", OTHER_KEY.hex()))

    def test_revoke(self) -> None:
        """The key is kept as a revoked one."""
        self.done("e2e", "trust", "pin", "juliet@x", KEY.hex())
        self.assertIn("pinned, and revoked: streams with this key are refused", self.done("e2e", "trust", "revoke", "juliet@x"))
        [known] = FileTrustStore.under(self.data_dir).all()
        self.assertTrue(known.revoked)
        self.assertIn("for good", self.refused("e2e", "trust", "pin", "juliet@x", KEY.hex()))

    def test_damaged(self) -> None:
        """T4: a file that cannot be read is no empty one."""
        (self.data_dir / "e2e").mkdir()
        (self.data_dir / "e2e" / "peers.json").write_text("x")
        self.assertIn("peers.json: found: ", self.refused("e2e", "trust", "pin", "juliet@x", KEY.hex()))


class WithServer(CLITestCase):
    """While a server runs, it is asked, and nobody touches its files."""

    def asked(self, answer: Any, *argv: str, stdin: StringIO | None = None) -> tuple[str, str, Any]:
        """What is printed for that answer; the command that the server got, and its fields."""
        end = self.answer(200, json.dumps(answer).encode())
        out = self.done("e2e", *argv, stdin=stdin)
        line, fields = self.request(end)
        self.assertEqual(os.listdir(self.data_dir), [])
        return out, line.split()[1], fields

    def test_trust(self) -> None:
        """Each command, and what it says."""
        one = {"name": "j@x", "word": "pinned", "key": KEY.hex(), "revoked": False, "first_seen": 0, "last_seen": 0}
        out, *request = self.asked({"peers": [one]}, "trust", "list")
        self.assertEqual(request, ["/e2e/trust/list", {}])
        self.assertIn("j@x", out)
        _, *request = self.asked({"peers": [one]}, "trust", "show", "j@x")
        self.assertEqual(request, ["/e2e/trust/show", {"who": "j@x"}])
        _, *request = self.asked({"pinned": one, "formerly": ""}, "trust", "pin", "j@x", "sha-256", "a")
        self.assertEqual(request, ["/e2e/trust/pin", {"name": "j@x", "key": "sha-256 a"}])
        _, *request = self.asked({"revoked": one}, "trust", "revoke", "j@x")
        self.assertEqual(request, ["/e2e/trust/revoke", {"who": "j@x"}])

    def test_show_a_code(self) -> None:
        """T6: the code is printed, with what to do and how to see what came of it."""
        out, *request = self.asked({"code": "123-456"}, "pair")
        self.assertEqual(request, ["/e2e/pair/show", {}])
        self.assertTrue(out.startswith("Code: 123-456\n"))
        self.assertIn("xmppfedctl e2e trust list", out)

    def test_enter_a_code(self) -> None:
        """T6: the code of the peer is sent, and the name told under which the peer is known now, without harm."""
        out, *request = self.asked({"paired": "j\x1b@x"}, "pair", "j@x", "123-456")
        self.assertEqual(request, ["/e2e/pair/enter", {"peer": "j@x", "code": "123-456"}])
        self.assertEqual(out, "Paired with j\\x1b@x\n")

    def test_asked_for_the_code(self) -> None:
        """A code that is not given is asked for at a terminal, without being shown, or read from standard input."""
        asked: list[str] = []
        self.patch(e2e_cli, "getpass", lambda prompt: asked.append(prompt) or "654-321")
        _, _, fields = self.asked({"paired": "j@x"}, "pair", "j@x", stdin=Terminal())
        self.assertEqual((fields["code"], asked), ("654-321", ["The code that j@x shows: "]))
        _, _, fields = self.asked({"paired": "j@x"}, "pair", "j@x", stdin=StringIO("111-222\n"))
        self.assertEqual(fields["code"].strip(), "111-222")

    def test_given_up(self) -> None:
        """Who ends the prompt has changed his mind."""

        def end(prompt: str) -> str:
            raise EOFError

        self.patch(e2e_cli, "getpass", end)
        self.assertIn("nothing was changed", self.refused("e2e", "pair", "j@x", stdin=Terminal()))

    def test_wrong_code(self) -> None:
        """What went wrong is told in the words of the server."""
        self.answer(400, b'{"error": "the codes differ"}')
        self.assertEqual(self.refused("e2e", "pair", "j@x", "1"), "xmppfedctl: the codes differ\n")

    def test_not_running(self) -> None:
        """Pairing needs a server that runs."""
        self.assertIn("no server listens there", self.refused("e2e", "pair"))
