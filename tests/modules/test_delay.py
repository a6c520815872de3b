"""Delayed Delivery (XEP-0203): notes of delay in our name."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.delay import DELAY, NS
from xmppfed.testing.federation import Federation

NOTE = f"<delay xmlns='{NS}' stamp='2002-09-10T23:08:25Z' {{}}/>"


class ForgedTests(SynchronousTestCase):
    """Who comes from outside cannot say that we have kept a stanza (XEP-0203, 5)."""

    def setUp(self) -> None:
        self.federation = Federation("capulet.example", "montague.example")
        self.addCleanup(self.federation.cleanup)
        self.juliet = self.federation.client("juliet@capulet.example/balcony")
        self.nurse = self.federation.client("nurse@capulet.example/hall")
        self.romeo = self.federation.client("romeo@montague.example/orchard")

    def notes(self, kind: str, by: str) -> list[str | None]:
        """From whom the notes are that reach juliet with a stanza of the nurse's and one of romeo's."""
        found = []
        for sender in (self.nurse, self.romeo):
            sender.send(f"<{kind} to='{self.juliet.jid}'>{NOTE.format(by)}</{kind}>")
            stanza = self.juliet.expect(kind)
            found += [child.get("from") for child in stanza.element.elements() if child.tag == DELAY]
        return found

    def test_in_our_name(self) -> None:
        """Notes in the name of our domain, in any spelling, do not reach a client, on messages or presence, of whomever."""
        for kind in ("message", "presence"):
            for by in ("from='capulet.example'", "from='CAPULET.example'", "from='capulet.example/x'"):
                self.assertEqual(self.notes(kind, by), [])

    def test_in_the_name_of_others(self) -> None:
        """Notes by others, by the sender itself, and by nobody, pass."""
        for by, wanted in (
            ("from='rooms.capulet.example'", "rooms.capulet.example"),
            ("from='romeo@montague.example/orchard'", "romeo@montague.example/orchard"),
            ("from='nurse@capulet.example'", "nurse@capulet.example"),
            ("", None),
        ):
            self.assertEqual(self.notes("message", by), [wanted, wanted])

    def test_in_the_name_of_the_other_server(self) -> None:
        """Nor can a client of ours say so to another server."""
        forged = NOTE.format("from='montague.example'")
        self.romeo.send(f"<message to='{self.juliet.jid}'>{forged}<body>hi</body></message>")
        self.assertEqual(len(self.juliet.expect("<message><body>hi</body></message>").children), 1)
