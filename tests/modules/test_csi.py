"""Client State Indication (XEP-0352)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import Hosting
from xmppfed.core.element import Element
from xmppfed.modules.csi import NS, ClientState
from xmppfed.testing.federation import Federation

CHAT_STATE = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"


class ClientStateTests(SynchronousTestCase):
    """juliet's client with nobody in front of it."""

    def setUp(self) -> None:
        self.federation = Federation("capulet.example")
        self.addCleanup(self.federation.cleanup)
        self.juliet = self.federation.client("juliet@capulet.example/balcony")
        self.nurse = self.federation.client("nurse@capulet.example/hall")

    def say(self, name: str) -> None:
        self.juliet.send_raw(f"<{name} xmlns='{NS}'/>".encode())

    def presence(self, text: str) -> None:
        """Presence of the nurse for juliet."""
        self.nurse.send(f"<presence to='{self.juliet.jid}'><status>{text}</status></presence>")

    def statuses(self) -> list[str]:
        """The texts of presence and messages that have come."""
        taken, self.juliet.received = self.juliet.received, []
        return [next(each.element.elements()).text for each in taken]

    def test_offered(self) -> None:
        """To who has logged in (XEP-0352, 4.1)."""
        assert self.juliet.connection.stream.offered is not None
        self.assertIsNotNone(self.juliet.connection.stream.offered.child(f"{{{NS}}}csi"))

    def test_inactive_and_active(self) -> None:
        """A session begins active. Then presence waits and chat states are left out; when somebody looks, what has waited
        comes before the answer to whatever is asked behind it (XEP-0352, 5.1)."""
        self.presence("1")
        self.assertEqual(self.statuses(), ["1"])
        self.say("inactive")
        self.presence("2"), self.presence("3")
        self.nurse.send(f"<message to='{self.juliet.jid}' type='chat'>{CHAT_STATE}</message>")
        self.assertEqual(self.statuses(), [])
        ping = b"<iq xmlns='jabber:client' type='get' id='p' to='capulet.example'><ping xmlns='urn:xmpp:ping'/></iq>"
        self.juliet._wire.write([f"<active xmlns='{NS}'/>".encode(), ping])
        self.federation.network.pump()
        self.assertEqual([each.kind for each in self.juliet.received], ["presence", "iq"])
        self.juliet.received.pop()
        self.assertEqual(self.statuses(), ["3"])
        self.presence("4")
        self.assertEqual(self.statuses(), ["4"])

    def test_what_cannot_wait(self) -> None:
        """A message comes at once, and what has waited before it."""
        self.say("inactive")
        self.presence("1")
        self.nurse.send(f"<message to='{self.juliet.jid}'><body>2</body></message>")
        self.assertEqual(self.statuses(), ["1", "2"])

    def test_said_twice(self) -> None:
        """Saying it again changes nothing but that what has waited is sent."""
        self.say("active")
        for _ in range(2):
            self.say("inactive")
            self.presence("1")
        self.assertEqual(self.statuses(), ["1"])
        for _ in range(2):
            self.say("active")
        self.assertEqual(self.statuses(), ["1"])
        self.juliet.expect_nothing()

    def test_nobody_else_learns_it(self) -> None:
        """Of the state of a client (XEP-0352, 6)."""
        self.nurse.received.clear()
        self.say("inactive"), self.say("active")
        self.nurse.expect_nothing()

    def test_while_bound(self) -> None:
        """A session may begin inactive (XEP-0386, 4.2)."""
        server = Hosting(ClientState)
        inline, resource = server.handlers.named("inline"), server.sessions.resources["juliet@example.org/balcony"]
        for name, resting in (("inactive", True), ("active", False)):
            self.assertIsNone(inline[f"{{{NS}}}{name}"](resource, Element(name, NS)))
            self.assertIs(server.juliet.resting, resting)
