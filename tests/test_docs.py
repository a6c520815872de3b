"""The documentation speaks of the code that is there."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

DOCS = Path(__file__).parent.parent / "docs"


class NamesTests(SynchronousTestCase):
    """A name of ours in the text is a name of the code."""

    def test_every_name_resolves(self) -> None:
        """Each `xmppfed.x.y` in the explanations, tutorials and guides leads to something."""
        pages = [page for folder in ("explanation", "tutorial", "how-to") for page in (DOCS / folder).glob("*.md")]
        names = {name for page in pages for name in re.findall(r"`(xmppfed\.[A-Za-z_.]+[A-Za-z_])`", page.read_text())}
        self.assertGreater(len(names), 10)
        for name in sorted(names - {"xmppfed.toml", "xmppfed.modules"}):
            self.assertIsNotNone(namedAny(name), name)
