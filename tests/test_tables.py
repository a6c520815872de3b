"""Tables: complaints of msgspec turned into something a person can act on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.errors import ConfigError
from xmppfed.tables import Options, Table, read, shown


class Inner(Options, frozen=True):
    """A nested table."""

    depth: int = 0


class Sample(Options, frozen=True):
    """One key of each kind."""

    name: str = ""
    size: float = 0
    color: Literal["red", "green"] = "red"
    colors: tuple[Literal["red", "green"], ...] = ()
    inner: Inner = Inner()
    inners: dict[str, Inner] = {}
    path: Path | None = None
    both: str | int | None = None


class Conversion(SynchronousTestCase):
    """A table becomes a value, or an error that says where and why not."""

    def refused(self, values: dict[str, object]) -> str:
        """The reason why `values` are no Sample."""
        table = Table(Path("x.toml"), "modules.sample", values)
        return str(self.assertRaises(ConfigError, table.convert, Sample))

    def test_value(self) -> None:
        """Values are taken over, and what is absent has its default."""
        table = Table(Path("etc/x.toml"), "", {"name": "a", "path": "b"})
        self.assertEqual(table.convert(Sample), Sample(name="a", path=Path("etc/b")))

    def test_wrong_type(self) -> None:
        """A value of another type is shown beside the words for the type that was wanted."""
        for key, value, wanted in (
            ("name", 5, "found 5; wanted a string."),
            ("size", "5", 'found "5"; wanted a number.'),
            ("color", "blue", 'found "blue"; wanted "green" or "red".'),
            ("colors", ["red", "blue"], 'found "blue"; wanted a list, each "green" or "red".'),
            ("inner", 5, "found 5; wanted a table."),
            ("inners", 5, "found 5; wanted a table, each value a table."),
            ("path", 5, "found 5; wanted a path."),
            ("path", "", 'found ""; wanted a path.'),
            ("both", 1.5, "found 1.5; wanted a string or a whole number."),
        ):
            self.assertIn(f"modules.sample.{key}", self.refused({key: value}))
            self.assertIn(wanted, self.refused({key: value}))

    def test_inside(self) -> None:
        """In a table inside the table the key goes on."""
        self.assertIn("modules.sample.inner.depth: found 1.5; wanted int", self.refused({"inner": {"depth": 1.5}}))
        self.assertIn("modules.sample.inner.dept: found an unknown key", self.refused({"inner": {"dept": 1}}))

    def test_in_the_top_level_table(self) -> None:
        """The top level has no name of its own, so the key begins without a dot."""
        error = self.assertRaises(ConfigError, Table(Path("x.toml"), "", {"name": 1}).convert, Sample)
        self.assertTrue(str(error).startswith("x.toml: name: found 1;"), error)

    def test_no_near_name(self) -> None:
        """Where no name is near, none is guessed."""
        self.assertIn("Remove it, or correct its name.", self.refused({"zzz": 1}))

    def test_nothing_known(self) -> None:
        """Where nothing is known, the error does not offer an empty list."""
        table = Table(Path("x.toml"), "modules", {"ping": {}})
        error = self.assertRaises(ConfigError, table.check_names, [], "module")
        self.assertIn("nothing: no module is known here", str(error))

    def test_quoted_keys(self) -> None:
        """Keys are written so that they can be searched for in the file."""
        table = Table(Path("x.toml"), "domains", {"example.org": 5})
        self.assertIn('domains."example.org": found 5', str(self.assertRaises(ConfigError, table.table, "example.org")))


class Reading(SynchronousTestCase):
    """A file is read whole, or refused with its name."""

    def refused(self, content: bytes) -> str:
        """The reason why a file of `content` is refused."""
        file = Path(self.mktemp())
        file.write_bytes(content)
        reason = str(self.assertRaises(ConfigError, read, file))
        self.assertIn(str(file), reason)
        return reason

    def test_missing(self) -> None:
        """A file that is not there: the error tells how to get one."""
        error = self.assertRaises(ConfigError, read, Path("/nowhere/xmppfed.toml"))
        self.assertIn("/nowhere/xmppfed.toml: found: No such file", str(error))
        self.assertIn("xmppfedctl init", str(error))

    def test_no_toml(self) -> None:
        """Broken TOML is told with its line."""
        self.assertIn("line 2", self.refused(b"a = 1\nb =\n"))

    def test_no_utf8(self) -> None:
        """Bytes that are not UTF-8 are told with their place."""
        self.assertIn("at byte 5", self.refused(b"a = '\xff'"))


class Shown(SynchronousTestCase):
    """Values are shown as the file would write them."""

    def test_toml(self) -> None:
        """Strings, lists and tables in TOML's way."""
        self.assertEqual(shown({"a b": ["é", True, 1.5]}), '{"a b" = ["é", true, 1.5]}')

    def test_cut(self) -> None:
        """A long value does not fill the screen."""
        self.assertEqual(len(shown("x" * 1000)), 100)
