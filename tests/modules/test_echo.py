"""Echoes: what is said to the server comes back."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import JULIET, Hosting
from tests.routing.fakes import stanza
from xmppfed.modules.echo import Echo


class EchoTests(SynchronousTestCase):
    """Messages to the domain."""

    def test_comes_back(self) -> None:
        """The same words, id and type, from who was spoken to."""
        server = Hosting(Echo)
        said = stanza("message", "chat", "example.org", "{jabber:client}body", sender=JULIET).with_attributes(id="1")
        server.route(said)
        [heard] = server.juliet.take()
        self.assertEqual(heard.attributes, {"from": "example.org", "to": JULIET, "id": "1", "type": "chat"})
        self.assertEqual((heard.letter, heard.children), (said.letter, said.children))

    def test_services_are_not_answered(self) -> None:
        """Two of these would go on for ever."""
        server = Hosting(Echo)
        server.route(stanza("message", "chat", "example.org", "{jabber:client}body", sender="other.example"))
        self.assertEqual((server.juliet.take(), server.remotes.waiting()), ([], []))
