"""The configuration reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.reference import markdown
from xmppfed.tables import Options


class Lamp(Options, frozen=True):
    """A lamp."""

    power: int
    color: Annotated[str, Meta(description="What it shines in.", examples=["red"])] = "white"
    switch: Path = Path("switch")
    owner: str | None = None
    rooms: dict[str, int] = {}


class Markdown(SynchronousTestCase):
    """A page has a section for each table, and an entry for each key."""

    def setUp(self) -> None:
        self.page = markdown([("`[lamp]`", Lamp)])

    def entry(self, key: str) -> str:
        """What the page says of `key`."""
        return self.page.split(f"### `{key}`\n")[1].split("###")[0].strip()

    def test_section(self) -> None:
        """The table's docstring opens its section."""
        self.assertIn("## `[lamp]`\n\nA lamp.\n", self.page)

    def test_described(self) -> None:
        """Description, type, default and example stand below the key."""
        wanted = 'What it shines in.\n\n- Type: a string\n- Default: `"white"`\n\n```toml\ncolor = "red"\n```'
        self.assertEqual(self.entry("color"), wanted)

    def test_defaults(self) -> None:
        """Required keys, empty tables, paths and absent values are told apart."""
        self.assertIn("- Default: none; the key is required", self.entry("power"))
        self.assertIn('- Default: `"switch"`', self.entry("switch"))
        self.assertIn("- Default: not set", self.entry("owner"))
        self.assertIn("- Default: empty", self.entry("rooms"))
