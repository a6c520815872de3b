"""Whole conversations with the two deployed peers of XEP-0468, in both directions, over real TLS and WebSocket."""

from __future__ import annotations

from typing import Any

from tests.services.deployed import PeerTubeClient, PeerTubeServer, ProxyClient, ProxyServer
from tests.services.s2s import JULIET, OURS, ROMEO, THEIRS, S2SCase
from xmppfed.core.namespaces import NS_FRAMING_SERVER


class XmppProxyAsServer(S2SCase):
    """We connect to xmpp-proxy."""

    def setUp(self) -> None:
        super().setUp()
        self.listener = self.listen(ProxyServer)
        self.client = self.juliet()
        self.write(self.client)
        self.peer: ProxyServer = self.listener.peer

    def test_message(self) -> None:
        """EXTERNAL with our certificate, whatever else it offers; the message arrives as XML that its text replacement bears."""
        self.client.expect_nothing()
        self.assertEqual(self.peer.authzid, OURS)
        self.assertTrue(
            self.peer.backend.endswith(
                f"<message xmlns='jabber:server' to='{ROMEO}' type='chat' id='m' from='{JULIET}'>"
                "<body>Art thou not Romeo?</body></message>"
            ),
            self.peer.backend,
        )

    def test_headers_it_can_translate(self) -> None:
        """Both headers become stream headers with the namespaces of RFC 6120: nothing is left of the framing."""
        self.assertEqual(self.peer.backend.count("<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback'"), 2)
        self.assertNotIn("framing", self.peer.backend)
        self.assertNotIn("<starttls", self.peer.backend)

    def test_no_pong_unasked(self) -> None:
        """An hour of silence: it is pinged, answers, and never sees a pong, which would kill the connection."""
        for _ in range(60):
            self.network.advance(60)
            self.answer_pings()
        self.assertIsNone(self.peer.lost)
        self.write(self.client)
        self.assertEqual(self.peer.backend.count("<message "), 2)

    def answer_pings(self) -> None:
        """It answers pings; everything else about frames it leaves alone."""
        if self.peer.count(9) > self.peer.count(10):
            self.peer.write(10)
            self.network.pump()

    def test_end(self) -> None:
        """Its end is `<close/>` of the clients' namespace and no Close frame: the next message makes another stream."""
        self.peer.end()
        self.network.pump()
        self.write(self.client)
        self.client.expect_nothing()
        self.assertEqual([peer.backend.count("<message ") for peer in self.listener.peers], [1, 1])

    def test_shutdown(self) -> None:
        """We say `<close …/>` with a space in it, and it can tell its backend that the stream is over."""
        self.federation.stop(OURS)
        self.assertTrue(self.peer.backend.endswith("</stream:stream>"))


class XmppProxyAsClient(S2SCase):
    """xmpp-proxy connects to us."""

    def connected(self, *said: str, kind: type[ProxyClient] = ProxyClient) -> Any:
        """An authenticated stream, on which it has said something."""
        scripted = type("Scripted", (kind,), {"said": said})
        return self.dial(self.issue(), kind=scripted, Origin=f"https://{OURS}")

    def test_message(self) -> None:
        """EXTERNAL, an empty stream id, rewritten namespaces, the namespace behind the other attributes."""
        client = self.juliet()
        peer = self.connected(
            f"<message to='{JULIET}' type='chat' id='x' from='{ROMEO}' xml:lang='en' xmlns='jabber:server'>"
            "<body>hello</body></message>"
        )
        client.expect(f"<message from='{ROMEO}' id='x' type='chat'><body>hello</body></message>")
        self.assertIn("<success", peer.backend)

    def test_dialback_that_it_relays(self) -> None:
        """`<db:result/>` as it relays it, with the prefix undeclared, is read as dialback, not as a broken stanza."""
        peer = self.connected(f"<db:result to='nowhere.example' from='{THEIRS}' xmlns='jabber:server'>key</db:result>")
        self.assertIn("<db:result", peer.messages[-1])
        self.assertIn("item-not-found", peer.messages[-1])
        self.assertIsNone(peer.lost)

    def test_stream_that_its_backend_fails(self) -> None:
        """Its stream error, rewritten like the rest, ends the stream."""
        peer = self.connected()
        peer.send(
            "<stream:error xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
            "<system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        )
        self.network.pump()
        self.assertTrue(peer.backend.endswith("</stream:stream>"))
        self.network.advance(10)
        self.assertIsNotNone(peer.lost)

    def test_end(self) -> None:
        """`<close/>` of the clients' namespace and the end of the connection, without a Close frame: a clean end."""
        lines = self.logged()
        peer = self.connected()
        peer.end()
        self.network.pump()
        self.assertIn(f"stream from {THEIRS} is gone: the stream was closed", "\n".join(lines))


class PeerTubeCase(S2SCase):
    """PeerTube on both sides: its server where the static route leads, its client whenever it connects to us."""

    def setUp(self) -> None:
        super().setUp()
        self.keys: dict[tuple[str, str], str] = {}
        self.clients: list[Any] = []
        server = type("Server", (PeerTubeServer,), {"keys": self.keys, "call_back": lambda _: self.connect()})
        self.listener = self.listen(server)
        self.client = self.juliet()

    def connect(self, *said: str) -> Any:
        """Its client: no certificate, no Origin, a path of its own."""
        kind = type("Client", (PeerTubeClient,), {"keys": self.keys, "said": said})
        peer = self.dial(kind=kind, path="/xmpp-websocket-s2s", pump=False)
        self.clients.append(peer)
        return peer


class PeerTubeAsServer(PeerTubeCase):
    """We connect to PeerTube, and it asks us back whether the key is ours."""

    def test_message(self) -> None:
        """Dialback with a verification on a stream of its own, where nothing else is ever said."""
        self.write(self.client)
        self.client.expect_nothing()
        (peer,) = self.listener.peers
        self.assertTrue(peer.accepted)
        self.assertTrue(peer.messages[-1].startswith("<message xmlns='jabber:server' "), peer.messages)
        (asker,) = self.clients
        self.assertIn("type='valid'", asker.messages[-2])
        self.assertEqual(asker.messages[-1], f"<close xmlns='{NS_FRAMING_SERVER}'/>")
        self.network.advance(2)
        self.assertIsNotNone(asker.lost)

    def test_key_of_another_stream(self) -> None:
        """A key that we made for another stream id is not valid: it is refused, and the message comes back with the reason."""
        ask = PeerTubeClient.ask
        self.patch(PeerTubeClient, "ask", lambda self, a, b, _, key, asker: ask(self, a, b, "other", key, asker))
        self.write(self.client)
        condition, text = self.bounced(self.client)
        self.assertEqual(condition, "remote-server-not-found")
        self.assertIn("dialback answered 'invalid'", text)

    def test_it_closes(self) -> None:
        """`<close/>` in the servers' namespace, then its Close frame: the next message makes another stream."""
        self.write(self.client)
        first = self.listener.peer
        first.send(f"<close xmlns='{NS_FRAMING_SERVER}'/>")
        first.write(8, b"\x03\xe8")
        self.network.pump()
        self.assertEqual(first.messages[-1], f"<close xmlns='{NS_FRAMING_SERVER}'/>")
        self.assertEqual(first.close_code, 1000)
        self.write(self.client)
        self.client.expect_nothing()
        self.assertEqual(len(self.listener.peers), 2)


class PeerTubeAsClient(PeerTubeCase):
    """PeerTube connects to us, and we ask its server back."""

    def test_message(self) -> None:
        """Unmasked frames, a stream header in the first, dialback with `db` undeclared; then a message."""
        peer = self.connect(
            f"<message xmlns='jabber:server' from='{ROMEO}' to='{JULIET}' type='groupchat'><body>hello</body></message>"
        )
        self.network.pump()
        self.client.expect(f"<message from='{ROMEO}' type='groupchat'><body>hello</body></message>")
        self.assertTrue(peer.messages[0].startswith("<open "), peer.messages)
        (asked,) = self.listener.peers
        self.assertIn("<db:verify ", asked.messages[1])
        self.assertEqual(asked.messages[2:], [f"<close xmlns='{NS_FRAMING_SERVER}'/>"])

    def test_key_that_it_did_not_make(self) -> None:
        """A stranger who says it is PeerTube is told `invalid`, and may not send."""
        peer = self.dial(kind=type("Stranger", (PeerTubeClient,), {"keys": {}}), path="/xmpp-websocket-s2s")
        self.assertIn("type='invalid'", peer.messages[-1])
        peer.send(f"<message xmlns='jabber:server' from='{ROMEO}' to='{JULIET}'><body>forged</body></message>")
        self.network.pump()
        self.client.expect_nothing()
        self.assertIn("not-authorized", peer.messages[-2])

    def test_keepalive_of_its_own(self) -> None:
        """Its empty unmasked pings, every 55 s, are answered by pongs and keep the stream."""
        peer = self.connect()
        self.network.pump()
        for _ in range(60):
            self.network.advance(55)
            peer.write(9)
            self.network.pump()
        self.assertEqual(peer.count(10), 60)
        self.assertIsNone(peer.lost)
