"""Tests for `xmppfed.core.blocklist`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.blocklist import NS, covers, items, read_items
from xmppfed.core.jid import JID
from xmppfed.core.tree import parse_tree
from xmppfed.errors import StanzaCondition, StanzaError

ADDRESSES = ("a@b.example/c", "a@b.example", "b.example/c", "b.example")


class CoversTests(SynchronousTestCase):
    """Which addresses an entry stands for (XEP-0191, 5)."""

    def test_table(self) -> None:
        """A full address for itself; a bare one for any resource; a domain with a resource, and a domain, for all there."""
        table = {
            "a@b.example/c": {"a@b.example/c"},
            "a@b.example": {"a@b.example/c", "a@b.example"},
            "b.example/c": {"a@b.example/c", "b.example/c"},
            "b.example": set(ADDRESSES),
        }
        for entry, covered in table.items():
            self.assertEqual({each for each in ADDRESSES if covers({entry}, JID.parse(each))}, covered, entry)

    def test_nothing_else(self) -> None:
        """Neighbors of an address are not covered, whatever they look like."""
        for entry in ADDRESSES:
            for other in ("x@b.example/x", "a@c.example/c", "x.b.example", "example", "a.b.example"):
                self.assertEqual(covers({entry}, JID.parse(other)), entry == "b.example" and other == "x@b.example/x")
        self.assertFalse(covers(set(), JID.parse("a@b.example/c")))
        self.assertFalse(covers({""}, JID.parse("b.example")))


class ItemsTests(SynchronousTestCase):
    """Commands and lists."""

    def read(self, *written: str) -> list[str]:
        return read_items(parse_tree(f"<block xmlns='{NS}'>{''.join(written)}</block>".encode()))

    def test_prepared(self) -> None:
        """Addresses are kept in the spelling that they are compared in; other elements mean nothing."""
        self.assertEqual(
            self.read("<item jid='ROMEO@Montague.example'/>", "<x/>", "<item xmlns='urn:x' jid='@'/>"), ["romeo@montague.example"]
        )
        self.assertEqual(self.read(), [])

    def test_malformed(self) -> None:
        """An item without an address is a bad request, and what is no address is jid-malformed; the text says why."""
        for written, wanted in (("<item/>", StanzaCondition.BAD_REQUEST), ("<item jid='@'/>", StanzaCondition.JID_MALFORMED)):
            error = self.assertRaises(StanzaError, self.read, "<item jid='a@b'/>", written)
            self.assertIs(error.condition, wanted)
            self.assertTrue(error.text)

    def test_written(self) -> None:
        """What is written is read again."""
        written = items("block", ["a@b", "c"])
        self.assertEqual((written.tag, read_items(written)), (f"{{{NS}}}block", ["a@b", "c"]))
