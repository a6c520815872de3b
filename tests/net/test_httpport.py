"""The handshake (RFC 6455, 4.2.1; RFC 7395, 3.1), what may precede it, and what is left of HTTP behind it."""

from __future__ import annotations

import gc
from typing import Any
from weakref import ref

from twisted.internet.address import UNIXAddress
from twisted.internet.tcp import Server
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource

from tests.net.websockets import CLOSE, MESSAGE, OPEN, PING, OverTLS, Peer, ServerCase, both_ways, frame, handshake
from xmppfed.net.admission import Admission


class Page(Resource):
    """A document beside the WebSocket."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """A short one."""
        return b"a page"


@both_ways
class Handshakes(ServerCase):
    """Cases hs-*: refused before anything is handed over, with the reason in the answer."""

    def refused(self, status: int, *words: bytes, method: str = "GET", version: str = "HTTP/1.1", **changes: str | None) -> Peer:
        """What came for such a handshake: this status, these words, no WebSocket."""
        peer = self.say(self.connect(), handshake(method, "/xmpp-websocket", version, **changes))
        self.assertIn(b" %d " % status, peer.head.splitlines()[0])
        for word in words:
            self.assertIn(word, peer.received)
        self.assertEqual(self.acceptor.protocols, [])
        return peer

    def test_accepted(self) -> None:
        """101, the subprotocol, the key's answer, a name without a version, and no extension."""
        peer = self.websocket()
        self.assertIn(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", peer.head)
        self.assertIn(b"Sec-WebSocket-Protocol: xmpp", peer.head)
        self.assertIn(b"Server: xmppfed\r\n", peer.head)
        self.assertNotIn(b"utobahn", peer.head)
        self.assertNotIn(b"Extensions", peer.head)

    def test_lists(self) -> None:
        """Connection, Upgrade and the subprotocol are lists, and case counts only for the subprotocol."""
        self.websocket(Connection="keep-alive, UPGRADE", Upgrade="WebSocket", Sec_WebSocket_Protocol="other, xmpp")
        twice = handshake().replace(b"Protocol: xmpp", b"Protocol: xmpp\r\nSec-WebSocket-Protocol: other")
        self.assertIn(b" 101 ", self.say(self.connect(), twice).head)

    def test_compression_is_not_agreed_on(self) -> None:
        """permessage-deflate is offered by browsers, and not answered; a compressed frame is refused."""
        peer = self.websocket(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits, x-webkit-deflate-frame")
        self.assertNotIn(b"Extensions", peer.head)
        self.assertEqual(self.say(peer, frame(OPEN, rsv=4)).close_codes, [1002])

    def test_method(self) -> None:
        """hs-method: only GET; the answer says so in Allow."""
        self.assertIn(b"Allow: GET", self.refused(405, b"'POST'", method="POST").head)
        self.refused(405, method="HEAD")

    def test_http_1_0(self) -> None:
        """hs-http10: no upgrade from HTTP/1.0."""
        self.refused(400, b"wanted HTTP/1.1", version="HTTP/1.0")

    def test_no_upgrade(self) -> None:
        """hs-no-upgrade: 426 with the headers, and a text that names the one that a reverse proxy has dropped."""
        cases: list[tuple[dict[str, Any], bytes]] = [
            ({"Upgrade": None}, b"Found no Upgrade: websocket;"),
            ({"Connection": None}, b"Found no Connection: Upgrade;"),
            ({"Connection": "keep-alive"}, b"Found no Connection: Upgrade;"),
            ({"Upgrade": "h2c"}, b"Found no Upgrade: websocket;"),
            ({"Upgrade": None, "Connection": None}, b"Found no Upgrade: websocket and no Connection: Upgrade;"),
        ]
        for changes, missing in cases:
            peer = self.refused(426, b"reverse proxy", missing, **changes)
            self.assertIn(b" 426 Upgrade Required\r\n", peer.head)
            for header in (b"upgrade: websocket", b"connection: upgrade", b"sec-websocket-version: 13", b"text/plain"):
                self.assertIn(header, peer.head.lower())

    def test_version(self) -> None:
        """hs-version-8: 426 with the version that we know."""
        for version in ("8", "", None, "13, 8", "014"):
            peer = self.refused(426, b"wanted 13", Sec_WebSocket_Version=version)
            self.assertIn(b"sec-websocket-version: 13", peer.head.lower())

    def test_key(self) -> None:
        """hs-bad-key: sixteen bytes in base64, once."""
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        for bad in (None, "", "short", key[:-2], key[:-4], "!" * 24, f"{key}, {key}", "QUFBQQ=="):
            self.refused(400, b"Sec-WebSocket-Key", Sec_WebSocket_Key=bad)

    def test_subprotocol(self) -> None:
        """hs-no-subprotocol: without `xmpp` there is no XMPP."""
        for other in (None, "", "wamp", "XMPP", "xmpp-framing"):
            self.refused(400, b"Sec-WebSocket-Protocol: xmpp", Sec_WebSocket_Protocol=other)

    def test_refused_by_autobahn(self) -> None:
        """What only Autobahn objects to ends the connection, too: no Host, an Origin that is none."""
        for changes in (
            {"Host": None},
            {"Origin": "nonsense"},
            {"Origin": "https://[::1"},
            {"Sec_WebSocket_Protocol": "xmpp, xmpp"},
        ):
            peer = self.say(self.connect(), handshake("GET", "/xmpp-websocket", "HTTP/1.1", **changes))
            self.assertIn(b" 400 ", peer.head.splitlines()[0])
            self.network.advance(1)
            self.assertTrue(peer.lost)
        self.assertEqual(self.warnings(), [])

    def test_an_answer_that_is_not_read(self) -> None:
        """A refused handshake behind answers that the peer does not read ends all the same."""
        self.root.putChild(b"page", Page())
        peer = self.connect()
        peer.transport.pauseProducing()
        pages = handshake(path="/page") * 40
        for _ in range(20):
            self.say(peer, pages)
        self.say(peer, handshake(Origin="nonsense"))
        self.network.advance(12)
        self.assertEqual(len(self.admission), 0)

    def test_origin(self) -> None:
        """hs-foreign-origin: any Origin is let in and kept for the services to judge; without one it is None, not empty."""
        for origin in ("https://web.example", "null", "file://", "app://localhost", "http://localhost:8080", None):
            self.say(self.websocket(Origin=origin), frame(OPEN))
            self.assertEqual(self.acceptor.protocols[-1].origin, origin)

    def test_refusals_name_no_version(self) -> None:
        """Nor does any other answer of this port."""
        page = self.say(self.connect(), handshake(path="/nothing-here"))
        for peer in (self.refused(426, Upgrade=None), page):
            self.assertIn(b"Server: xmppfed\r\n", peer.head)
            self.assertNotIn(b"wisted", peer.received)

    def test_after_a_refusal_there_is_another_chance(self) -> None:
        """The connection is still HTTP's: a handshake may follow within the deadline."""
        peer = self.refused(426, Upgrade=None)
        self.assertIn(b"101 Switching", self.say(peer, handshake()).received)


@both_ways
class Bytes(ServerCase):
    """What stands around the handshake."""

    def test_bytes_behind_the_handshake(self) -> None:
        """Frames sent before the 101, in the same segment, are dropped; what comes later counts."""
        peer = self.say(self.connect(), handshake(), frame(OPEN), frame(b"", PING))
        self.assertIn(b" 101 ", peer.head)
        self.assertEqual(peer.frames, [])
        self.assertTrue(self.say(peer, frame(OPEN)).texts[0].startswith(b"<open"))

    def test_many_bytes_behind_the_handshake(self) -> None:
        """More of them than HTTP likes to keep harm nobody: the stream header is late, that is all."""
        peer = self.say(self.connect(), handshake(), frame(b"a" * 60_000))
        self.network.advance(11)
        self.assertTrue(peer.lost)

    def test_byte_by_byte(self) -> None:
        """A handshake may come in pieces of any size."""
        peer = self.connect()
        for one in handshake():
            self.say(peer, bytes([one]))
        self.assertIn(b" 101 ", peer.head)
        for one in frame(OPEN):
            self.say(peer, bytes([one]))
        self.assertTrue(peer.texts[0].startswith(b"<open"))

    def test_a_body(self) -> None:
        """A handshake has no body: its bytes would pass for frames. Bodies are refused before they are stored."""
        for header in ({"Content_Length": "9"}, {"Transfer_Encoding": "chunked"}):
            request = handshake("GET", "/xmpp-websocket", "HTTP/1.1", **header)
            peer = self.say(self.connect(), request, frame(b"", PING), frame(OPEN))
            self.assertIn(b" 413 ", peer.head)
            self.say(peer, b"a" * 1000)
            self.network.pump()
            self.assertTrue(peer.lost)
        self.assertEqual(self.acceptor.protocols, [])
        self.assertIn(b" 101 ", self.say(self.connect(), handshake(Content_Length="0")).head)

    def test_header_flood(self) -> None:
        """More than 16 KiB of headers are refused, in one line, in many, and in lines without end."""
        for flood in (b"X: " + b"a" * 17_000 + b"\r\n", b"X: 1\r\n" * 4_000, b"a" * 20_000):
            peer = self.say(self.connect(), handshake()[:-2], flood, b"\r\n")
            self.assertNotIn(b" 101 ", peer.head)
            self.assertTrue(peer.lost)
        self.assertEqual(self.acceptor.protocols, [])

    def test_no_http(self) -> None:
        """TLS or noise on a plain port, and frames without a handshake."""
        for noise in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", frame(OPEN) + b"\r\n\r\n", b"\r\n\r\n\r\n"):
            peer = self.say(self.connect(), noise)
            self.assertNotIn(b" 101 ", peer.head)
            self.network.advance(10)
            self.assertTrue(peer.lost)


@both_ways
class Deadlines(ServerCase):
    """slow-*: strangers have ten seconds for a handshake, and ten for a stream header."""

    def test_one_byte_a_second(self) -> None:
        """The deadline counts from the beginning, however busy the peer is (slowloris)."""
        peer = self.connect()
        request = handshake()
        for i in range(9):
            self.say(peer, request[i : i + 1])
            self.network.advance(1)
        self.assertFalse(peer.lost)
        self.say(peer, request[9:10])
        self.network.advance(1)
        self.assertTrue(peer.lost)

    def test_requests_do_not_prolong_it(self) -> None:
        """Nor do documents, asked for again and again."""
        self.root.putChild(b"page", Page())
        peer = self.connect()
        for _ in range(10):
            self.assertIn(b"a page", self.say(peer, handshake(path="/page")).received)
            self.network.advance(1)
        self.assertTrue(peer.lost)

    def test_silence(self) -> None:
        """Who says nothing at all is gone after ten seconds."""
        peer = self.connect()
        self.network.advance(9.9)
        self.assertFalse(peer.lost)
        self.network.advance(0.1)
        self.assertTrue(peer.lost)

    def test_the_deadline_ends_with_the_handshake(self) -> None:
        """A WebSocket lives on beyond it."""
        peer = self.say(self.websocket(), frame(OPEN))
        self.network.advance(25)
        self.assertFalse(peer.lost)


@both_ways
class HandedOver(ServerCase):
    """After the hand-over nothing of HTTP is left: it would cost 4 KB for each session."""

    def channel(self) -> ref[HTTPChannel]:
        """The channel of the newest connection."""
        gc.collect()
        channels = [one for one in gc.get_objects() if isinstance(one, HTTPChannel)]
        self.assertEqual(len(channels), 1)
        return ref(channels[0])

    def test_the_channel_is_garbage(self) -> None:
        """The HTTPChannel is collected while the WebSocket lives."""
        peer = self.connect()
        channel = self.channel()
        self.say(peer, handshake())
        self.say(peer, frame(OPEN))
        gc.collect()
        self.assertIsNone(channel())
        self.assertFalse(peer.lost)

    def test_the_producer_is_ours(self) -> None:
        """The transport tells the WebSocket, and nobody else, when the peer does not read."""
        peer = self.say(self.websocket(), frame(OPEN))
        transport = self.acceptor.protocols[0].transport
        self.assertNotIsInstance(getattr(transport.producer, "_producer", transport.producer), HTTPChannel)
        peer.transport.pauseProducing()
        transport.write(b"\x8a\x00" * 200_000)
        self.network.pump()
        self.assertTrue(self.acceptor.protocols[0].blocked)

    def test_a_fault_of_ours(self) -> None:
        """What goes wrong during the hand-over is logged and ends the connection, which belongs to nobody."""

        def fail(protocol: Any, transport: Any) -> None:
            raise RuntimeError("no")

        self.patch(self.server_protocol, "makeConnection", fail)
        self.patch(self.server_protocol, "connectionLost", lambda protocol, reason: self.admission.leave(protocol))
        peer = self.say(self.connect(), handshake())
        self.assertTrue(peer.lost)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.warnings(), ["Fault while handing a WebSocket over"])


@both_ways
class TLSHandedOver(OverTLS, HandedOver):
    """The same below TLS."""

    def test_a_whole_stream(self) -> None:
        """Opened, used, closed."""
        peer, owner = self.stream()
        self.say(peer, frame(MESSAGE % b"a"), frame(CLOSE), frame(b"\x03\xe8", 8))
        self.assertEqual(owner.stanzas, [MESSAGE % b"a"])
        self.assertTrue(peer.lost)

    def test_what_comes_behind_a_refusal(self) -> None:
        """TLS delivers while it waits for the peer's end: nothing of that is kept."""
        peer = self.connect()
        (transport,) = [one for one in self.network.reactor.getReaders() if isinstance(one, Server)]
        channel = transport.protocol.wrappedProtocol
        channel.dataReceived(b"nonsense\r\n")
        self.assertTrue(channel.transport.disconnecting)
        before = channel._buffer
        channel.dataReceived(b"X: 1\r\n" * 20_000)
        self.assertEqual(channel._buffer, before)
        self.network.advance(10)
        self.assertTrue(peer.lost)

    def test_no_tls(self) -> None:
        """Who speaks no TLS, or stops in the middle of it, is gone after ten seconds as well."""
        peer = ServerCase.connect(self)
        self.network.advance(10)
        self.assertTrue(peer.lost)


class Strangers(ServerCase):
    """XEP-0205, 4.1: caps on connections that are not authenticated."""

    def listen(self) -> None:
        """With small caps."""
        self.admission = Admission(total=8, each=3)
        super().listen()

    def test_each(self) -> None:
        """flood-idle-conns: the fourth stranger from one address is not served, one from another address is."""
        peers = [self.connect("198.51.100.7") for _ in range(4)]
        self.assertEqual([one.lost for one in peers], [False, False, False, True])
        self.assertFalse(self.connect("198.51.100.8").lost)

    def test_total(self) -> None:
        """The ninth stranger is not served, wherever it is from."""
        peers = [self.connect(f"198.51.100.{i}") for i in range(9)]
        self.assertEqual([one.lost for one in peers], [False] * 8 + [True])

    def test_who_is_authenticated_does_not_count(self) -> None:
        """While a flood is refused, a client that has logged in goes on working, and others can log in."""
        friends = []
        for _ in range(4):
            friend = self.say(self.websocket("198.51.100.7"), frame(OPEN))
            friends.append((friend, self.acceptor.owners[-1]))
        flood = [self.connect("198.51.100.7") for _ in range(20)]
        self.assertEqual(sum(not one.lost for one in flood), 3)
        for friend, owner in friends:
            self.say(friend, frame(MESSAGE % b"a"))
            self.assertEqual(owner.stanzas, [MESSAGE % b"a"])

    def test_a_websocket_without_login_counts(self) -> None:
        """The handshake alone makes nobody a friend, nor does a stream header."""
        self.acceptor.trusting = False
        for _ in range(3):
            self.say(self.websocket("198.51.100.7"), frame(OPEN))
        self.assertTrue(self.connect("198.51.100.7").lost)

    def test_room_again(self) -> None:
        """When strangers have gone, or were cut by a deadline, there is room again."""
        for _ in range(3):
            self.connect("198.51.100.7")
        self.network.advance(10)
        self.assertFalse(self.connect("198.51.100.7").lost)


class UnixSockets(SynchronousTestCase):
    """Behind a reverse proxy the port may be a Unix socket."""

    def test_peers_without_an_address(self) -> None:
        """They all count as one address."""
        case = Handshakes()
        case.setUp()
        self.addCleanup(case.doCleanups)
        channel = case.port.buildProtocol(None)
        channel.makeConnection(StringTransport(peerAddress=UNIXAddress(b"")))
        self.assertEqual(len(case.admission), 1)
        channel.connectionLost(None)
        self.assertEqual(len(case.admission), 0)
