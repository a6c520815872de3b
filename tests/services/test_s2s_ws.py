"""The service that takes the server streams of the HTTPS port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.services.s2s import CLOSE, JULIET, OURS, ROMEO, S2SCase, message, opening, stream_error
from xmppfed.services.s2s_ws import S2SWebSocket


class Service(S2SCase):
    """Streams come from the port, and end with the service."""

    def setUp(self) -> None:
        super().setUp()
        self.service = self.server.getServiceNamed("s2s_ws")

    def test_limits(self) -> None:
        """Servers may send 524 288 bytes at once, and are pinged after 50 s of silence."""
        assert isinstance(self.service, S2SWebSocket)
        self.assertEqual((self.service.limit, self.service.silence, self.service.profile.name), (524_288, 50, "s2s"))

    def test_both_ways_at_once(self) -> None:
        """A stream of ours and one of theirs stand beside each other; each carries one way."""
        listener, client = self.listen(), self.juliet()
        peer = self.authenticated()
        self.write(client)
        self.say(peer, message())
        client.expect(f"<message from='{ROMEO}' to='{JULIET}'/>")
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])
        self.assertEqual(len(self.policy.streams), 2)

    def test_stop(self) -> None:
        """The federation has stopped when every connection of both directions is gone, and not before."""
        listener, client = self.listen(), self.juliet()
        peer = self.authenticated()
        self.write(client)
        done: list[object] = []
        peer.answers = False
        self.policy.stopService().addCallback(done.append)
        self.network.pump()
        self.assertEqual(stream_error(peer.take()[-2:])[0], "system-shutdown")
        self.assertEqual(listener.peer.messages[-1], CLOSE)
        self.assertEqual(done, [])
        self.network.advance(1)
        self.assertEqual(done, [None])
        self.assertFalse(self.policy.running)

    def test_streams_that_left(self) -> None:
        """A stream that is gone is not kept."""
        peer = self.authenticated()
        self.say(peer, CLOSE)
        self.network.advance(2)
        self.assertEqual(len(self.policy.streams), 0)


class NotServed(S2SCase):
    """A server without federation."""

    configuration = {OURS: {"services": {"s2s_ws": None}}}
    routes: Mapping[str, Any] = {}

    def _policy(self) -> None:  # type: ignore[override]  # there is none
        return None

    def test_stream(self) -> None:
        """A server's stream is refused with a reason."""
        condition, text = stream_error(self.say(self.dial(), opening()))
        self.assertEqual(condition, "invalid-namespace")
        self.assertIn("jabber:server", text)

    def test_message(self) -> None:
        """A message to another domain returns, and the error names the table that is missing."""
        client = self.juliet()
        self.write(client)
        self.assertIn("[services.s2s_ws]", self.bounced(client)[1])
