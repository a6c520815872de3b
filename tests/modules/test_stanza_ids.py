"""Unique and Stable Stanza IDs (XEP-0359)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import Hosting
from xmppfed.modules.stanza_ids import NS, StanzaIds
from xmppfed.testing.federation import Federation

ID = f"<stanza-id xmlns='{NS}' id='x' by='{{}}'/>"


class ForgedTests(SynchronousTestCase):
    """Nobody gives ids in our name (XEP-0359, 3)."""

    def setUp(self) -> None:
        self.federation = Federation("capulet.example", "montague.example")
        self.addCleanup(self.federation.cleanup)
        self.juliet = self.federation.client("juliet@capulet.example/balcony")
        self.nurse = self.federation.client("nurse@capulet.example/hall")
        self.romeo = self.federation.client("romeo@montague.example/orchard")

    def received(self, letter: str) -> list[list[str]]:
        """The children, as text, of what reaches juliet from the nurse and from romeo."""
        found = []
        for sender in (self.nurse, self.romeo):
            sender.send(f"<message to='juliet@capulet.example'>{letter}</message>")
            found.append([child.to_xml("jabber:client") for child in self.juliet.expect("message").element.elements()])
        return found

    def test_in_our_name(self) -> None:
        """By the account or its domain, in any spelling, however often: cut; all else stays."""
        body = "<body>hi</body>"
        for by in ("juliet@capulet.example", "JULIET@Capulet.Example", "capulet.example", "juliet@capulet.example/balcony"):
            self.assertEqual(self.received(ID.format(by) + body + ID.format(by)), [[body], [body]])

    def test_by_others(self) -> None:
        """Ids by others, such as rooms, and what the sender itself calls its message, pass (XEP-0359, 2.2)."""
        letter = [ID.format("room@rooms.verona.example"), f"<origin-id xmlns='{NS}' id='y'/>"]
        self.assertEqual(self.received("".join(letter)), [letter, letter])

    def test_hidden_ones(self) -> None:
        """A prefix does not hide it; text that looks like it, or what stands deeper, is none."""
        hidden = f"<s:stanza-id xmlns:s='{NS}' id='x' by='capulet.example'/>"
        self.assertEqual(self.received(f"{hidden}<body>hi</body>"), [["<body>hi</body>"]] * 2)
        for letter in (
            f"<body>&lt;stanza-id xmlns='{NS}' id='x' by='capulet.example'/&gt;</body>",
            f"<x xmlns='urn:x'>{ID.format('capulet.example')}</x>",
        ):
            self.assertEqual(self.received(letter), [[letter]] * 2)

    def test_announced(self) -> None:
        """Who reads that we announce it may trust ids by us (XEP-0359, 5)."""
        handlers = Hosting(StanzaIds).handlers
        self.assertEqual((handlers.features("server"), handlers.features("account")), ((NS,), (NS,)))
