"""Names from elsewhere as localparts (XEP-0106)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.escaping import FEATURE, escape, unescape

EXAMPLES = {
    "space cadet": r"space\20cadet",
    'call me "ishmael"': r"call\20me\20\22ishmael\22",
    "at&t guy": r"at\26t\20guy",
    "d'artagnan": r"d\27artagnan",
    "/.fanboy": r"\2f.fanboy",
    "::foo::": r"\3a\3afoo\3a\3a",
    "<foo>": r"\3cfoo\3e",
    "user@host": r"user\40host",
    r"c:\net": r"c\3a\net",
    r"c:\\net": r"c\3a\\net",
    r"c:\cool stuff": r"c\3a\cool\20stuff",
    r"c:\5commas": r"c\3a\5c5commas",
    r"\3and\2is\5cool": r"\5c3and\2is\5c5cool",
    r"\2plus\2is\4": r"\2plus\2is\4",
    r"foo\bar": r"foo\bar",
    r"foob\41r": r"foob\41r",
}
"""Those of XEP-0106, 4.2, 5.1 and 5.4."""


class Escaping(SynchronousTestCase):
    """There is a way there and a way back."""

    def test_examples(self) -> None:
        """What the specification shows."""
        for text, escaped in EXAMPLES.items():
            self.assertEqual((escape(text), unescape(escaped)), (escaped, text))
        self.assertEqual(FEATURE, r"jid\20escaping")

    def test_left_alone(self) -> None:
        """XEP-0106, 4.1: only the sequences that are listed are read, and capitals are none."""
        self.assertEqual(unescape(r"\2F\5C\41\4"), r"\2F\5C\41\4")

    @given(st.text() | st.text("\\24057acef0 /@"))
    def test_round_trip(self, text: str) -> None:
        """Whatever was escaped comes back, and none of the signs is left."""
        self.assertEqual(unescape(escape(text)), text)
        self.assertTrue(set(" \"&'/:<>@").isdisjoint(escape(text)))
