"""The test door: whole servers, whatever wire the test chooses, and a cleanup that finds what they leave behind."""

from __future__ import annotations

from typing import Any, Literal

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.testing.federation import Federation

Wire = Literal["memory", "tcp", "websocket"]
JULIET, ROMEO = "juliet@capulet.example/balcony", "romeo@montague.example/orchard"


class _Scenario:
    """What two people do, over the wire that a subclass names."""

    wire: Wire

    def setUp(self: Any) -> None:
        self.federation = Federation("capulet.example", "montague.example", wire=self.wire)
        self.addCleanup(self.federation.cleanup)
        self.juliet = self.federation.client(JULIET)
        self.romeo = self.federation.client(ROMEO)

    def test_login(self: Any) -> None:
        """Clients log in with a channel binding, get the resource they ask for, and hear of themselves alone."""
        self.assertEqual(str(self.juliet.jid), JULIET)
        self.assertEqual(self.juliet.connection.stream.mechanism, "SCRAM-SHA-512-PLUS")
        self.juliet.expect_nothing()

    def test_messages_both_ways(self: Any) -> None:
        """A message reaches the other domain, and the answer comes back."""
        self.juliet.send("<message to='romeo@montague.example' type='chat'><body>Art thou not Romeo?</body></message>")
        self.romeo.expect(f"<message from='{JULIET}' type='chat'><body>Art thou not Romeo?</body></message>")
        self.romeo.send(f"<message to='{JULIET}' type='chat'><body>Neither, fair saint.</body></message>")
        self.juliet.expect(f"<message from='{ROMEO}'><body>Neither, fair saint.</body></message>")

    def test_ping(self: Any) -> None:
        """A request to another domain is answered (XEP-0199)."""
        answer = self.juliet.request("<iq type='get' to='montague.example'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual((answer.type, answer.attributes["from"]), ("result", "montague.example"))

    def test_presence_to_own_resources(self: Any) -> None:
        """A second resource and the first hear of each other (RFC 6121, 4.2.2)."""
        garden = self.federation.client("juliet@capulet.example/garden")
        garden.expect(f"<presence from='{JULIET}'/>")
        self.juliet.expect("<presence from='juliet@capulet.example/garden'/>")

    def test_close(self: Any) -> None:
        """Who logs out is gone: no error, no session, and the other resources are told (RFC 6121, 4.5.2)."""
        garden = self.federation.client("juliet@capulet.example/garden")
        self.juliet.close()
        garden.take(f"<presence type='unavailable' from='{JULIET}'/>")
        self.assertIsNone(self.juliet.failure)
        self.assertIsNotNone(self.juliet.closed)
        self.assertEqual(list(self.federation.server("capulet.example").sessions.resources), ["juliet@capulet.example/garden"])


class OverMemory(_Scenario, SynchronousTestCase):
    """The scenario over bare messages."""

    wire: Wire = "memory"


class OverTCP(_Scenario, SynchronousTestCase):
    """The scenario over the streams of RFC 6120."""

    wire: Wire = "tcp"


class OverWebSocket(_Scenario, SynchronousTestCase):
    """The scenario over WebSocket, as in production."""

    wire: Wire = "websocket"
