"""The documentation speaks of the code that is there."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

DOCS = Path(__file__).parent.parent / "docs"


class ComplianceTests(SynchronousTestCase):
    """The table of specifications names what is there."""

    page = (DOCS / "reference" / "compliance.md").read_text()

    def test_every_file_exists(self) -> None:
        """Code and tests of each row."""
        files = set(re.findall(r"`((?:xmppfed|tests)/[a-z0-9_/]+\.py)`", self.page))
        self.assertGreater(len(files), 30)
        self.assertEqual([file for file in sorted(files) if not (DOCS.parent / file).is_file()], [])

    def test_every_row_is_complete(self) -> None:
        """Each specification has a version, code of ours, and a test; none stands there twice."""
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in self.page.splitlines() if line.startswith("| XEP")
        ]
        self.assertGreater(len(rows), 15)
        for specification, version, _, code, tests in rows:
            self.assertRegex(version, r"^[0-9]+(\.[0-9]+)+$", specification)
            self.assertRegex(code, "^`xmppfed/", specification)
            self.assertRegex(tests, "^`tests/", specification)
        self.assertEqual(len({row[0] for row in rows}), len(rows))

    def test_every_module_stands_there(self) -> None:
        """And its own test module beside it."""
        for module in (DOCS.parent / "xmppfed" / "modules").glob("[a-z]*.py"):
            self.assertIn(f"`xmppfed/modules/{module.name}`", self.page)
            self.assertIn(f"`tests/modules/test_{module.name}`", self.page)


class NamesTests(SynchronousTestCase):
    """A name of ours in the text is a name of the code."""

    def test_every_name_resolves(self) -> None:
        """Each `xmppfed.x.y` in the explanations, tutorials and guides leads to something."""
        pages = [page for folder in ("explanation", "tutorial", "how-to") for page in (DOCS / folder).glob("*.md")]
        names = {name for page in pages for name in re.findall(r"`(xmppfed\.[A-Za-z_.]+[A-Za-z_])`", page.read_text())}
        self.assertGreater(len(names), 10)
        for name in sorted(names - {"xmppfed.toml", "xmppfed.modules"}):
            self.assertIsNotNone(namedAny(name), name)
