"""Tests for `xmppfed.core.delay`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.delay import DELAY, delayed
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.stanza import Stanza


class DelayedTests(SynchronousTestCase):
    """The note that a stanza was kept (XEP-0203, 2)."""

    def test_the_note_follows_the_letter(self) -> None:
        """The letter stays as it is; by whom and since when stand behind it, and the reason, if one is given."""
        letter = b"<body  a='1'>hi &gt;</body>"
        stanza = Stanza("message", NS_CLIENT, {"to": "b"}, letter, (f"{{{NS_CLIENT}}}body",), (0,))
        kept = delayed(stanza, "example.org", 1_800_000_000)
        self.assertEqual(kept.letter, letter + b"<delay xmlns='urn:xmpp:delay' from='example.org' stamp='2027-01-15T08:00:00Z'/>")
        self.assertEqual(kept.children[1:], (DELAY,))
        explained = delayed(stanza, "example.org", 0, "Offline <Storage>").element.child(DELAY)
        assert explained is not None
        self.assertEqual(explained.text, "Offline <Storage>")
