"""Both sides of a WebSocket as Autobahn's protocols: the first message, masks, time until it, and the opening of one."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from tests.net.websockets import (
    BINARY,
    MESSAGE,
    OPEN,
    OPEN_SERVER,
    PING,
    SERVER,
    Owner,
    Peer,
    ServerCase,
    both_ways,
    frame,
)
from xmppfed.core.events import StanzaReceived
from xmppfed.net.websocket import StreamClientFactory
from xmppfed.testing.network import Network
from xmppfed.timeouts import Timeouts

ORIGIN = "https://web.example"


@both_ways
class Masks(ServerCase):
    """Frames without a mask (notes: s2s-websocket, row 7; RFC 6455, 5.1)."""

    def test_a_server_need_not_mask(self) -> None:
        """PeerTube and xmpp-proxy do not: without Origin, unmasked frames open a server's stream and live on it."""
        peer = self.say(self.websocket(), frame(OPEN_SERVER, mask=None))
        owner = self.acceptor.owners[0]
        stanza = MESSAGE.replace(b"client", b"server") % b"a"
        self.say(peer, frame(stanza, mask=None), frame(stanza), frame(b"", PING, mask=None))
        self.assertEqual(len(owner.stanzas), 2)
        self.assertEqual(peer.close_codes, [])

    def test_a_client_must_mask(self) -> None:
        """A client whose stream header is not masked is closed with 1002, and owns nothing."""
        peer = self.say(self.websocket(), frame(OPEN, mask=None), frame(MESSAGE % b"a"))
        self.assertEqual(peer.close_codes, [1002])
        self.assertEqual((peer.texts, self.acceptor.owners), ([], []))
        self.network.advance(1)
        self.assertTrue(peer.lost)

    def test_in_any_fragment(self) -> None:
        """One fragment without a mask is one too many, though the last one has it."""
        peer = self.say(self.websocket(), frame(OPEN[:9], fin=False, mask=None), frame(OPEN[9:], 0))
        self.assertEqual(peer.close_codes, [1002])

    def test_a_client_must_mask_later_too(self) -> None:
        """After a masked header the first frame without a mask ends it."""
        peer, owner = self.stream()
        self.say(peer, frame(MESSAGE % b"a", mask=None))
        self.assertEqual(peer.close_codes, [1002])
        self.assertEqual(owner.stanzas, [])

    def test_never_with_an_origin(self) -> None:
        """A browser masks: with an Origin the first frame without a mask is refused at once, be it a ping or a server's."""
        for first in (frame(OPEN, mask=None), frame(OPEN_SERVER, mask=None), frame(b"", PING, mask=None)):
            peer = self.say(self.websocket(Origin=ORIGIN), first)
            self.assertEqual((peer.close_codes, peer.texts), ([1002], []))
            self.network.advance(1)
            self.assertTrue(peer.lost)
        self.assertEqual(self.acceptor.protocols, [])

    def test_an_odd_mask(self) -> None:
        """A mask of zeros is a mask."""
        peer = self.say(self.websocket(Origin=ORIGIN), frame(OPEN, mask=b"\0\0\0\0"))
        self.assertTrue(peer.texts[0].startswith(b"<open"))


@both_ways
class FirstMessage(ServerCase):
    """What comes first decides; it must come soon."""

    def test_too_late(self) -> None:
        """No stream header within ten seconds: close 1008 with the reason, then the end."""
        peer = self.websocket()
        self.network.advance(9.9)
        self.assertEqual(peer.frames, [])
        self.network.advance(0.1)
        self.assertEqual(peer.close_codes, [1008])
        self.assertIn(b"no stream header within 10 s", peer.frames[0].payload)
        self.network.advance(1)
        self.assertTrue(peer.lost)

    def test_pings_and_parts_do_not_prolong_it(self) -> None:
        """Nor do fragments of it, one a second."""
        peer = self.say(self.websocket(), frame(OPEN[:1], fin=False))
        for i in range(1, 11):
            self.say(peer, frame(OPEN[i : i + 1], 0, fin=False), frame(b"", PING))
            self.network.advance(1)
        self.assertEqual(peer.close_codes, [1008])

    def test_authentication_too_late(self) -> None:
        """Thirty seconds after the stream header: `connection-timeout`, then the end in good order."""
        self.acceptor.trusting = False
        peer, owner = self.stream()
        self.network.advance(29.9)
        self.assertEqual(peer.frames, [])
        self.network.advance(0.1)
        self.assertIn(b"connection-timeout", peer.texts[0])
        self.assertEqual(peer.close_codes, [1000])
        self.network.advance(1)
        self.assertTrue(peer.lost)
        self.assertEqual(owner.reason, "the peer did not authenticate in time within 30 s")

    def test_a_fault_while_taking_it(self) -> None:
        """What our own code raises is logged, and this WebSocket ends with 1011 and no detail; others live."""
        other, owner = self.stream()
        self.acceptor.fault = RuntimeError("a secret")
        peer = self.say(self.websocket(), frame(OPEN), frame(MESSAGE % b"a"))
        self.assertEqual(peer.close_codes, [1011])
        self.assertNotIn(b"secret", peer.received)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.warnings(), ["Fault while taking a stream"])
        self.network.advance(1)
        self.assertTrue(peer.lost)
        self.say(other, frame(MESSAGE % b"a"))
        self.assertEqual(len(owner.stanzas), 1)

    def test_a_fault_of_the_owner(self) -> None:
        """What the owner raises is logged; the peer hears `internal-server-error` without detail; others live."""
        other, bystander = self.stream()

        def fail(owner: Owner, event: StanzaReceived) -> None:
            raise RuntimeError("a secret")

        self.acceptor.on_stanza = fail
        for fragmented in (False, True):
            peer, owner = self.stream()
            text = MESSAGE % b"a"
            self.say(peer, *([frame(text[:5], fin=False), frame(text[5:], 0)] if fragmented else [frame(text)]), frame(text))
            self.assertIn(b"internal-server-error", peer.texts[0])
            self.assertNotIn(b"secret", peer.received)
            self.assertEqual(peer.close_codes, [1000])
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
            self.network.advance(1)
            self.assertTrue(peer.lost)
            self.assertEqual(len(owner.stanzas), 1)
        self.warnings()
        self.say(other, frame(MESSAGE % b"a"))
        self.assertEqual(len(bystander.stanzas), 1)

    def test_nothing_after_a_refusal(self) -> None:
        """After the first message was refused, nobody is asked again."""
        self.say(self.websocket(), frame(OPEN, mask=None), frame(OPEN), frame(OPEN_SERVER), frame(OPEN, BINARY))
        self.assertEqual(len(self.acceptor.protocols), 1)


class Answering(Peer):
    """A server that says what a test wants it to say when a request has come."""

    answer = b""

    def dataReceived(self, data: bytes) -> None:
        """Answer at the end of the request; `%KEY%` stands for what RFC 6455, 4.2.2 wants."""
        super().dataReceived(data)
        if self.received.endswith(b"\r\n\r\n"):
            self.transport.write(self.answer.replace(b"%KEY%", self.accepted()))

    def accepted(self) -> bytes:
        """What proves that the request was read."""
        key = next(line[19:] for line in self.received.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key: "))
        return b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def switching(*more: bytes, protocol: bytes = b"xmpp") -> bytes:
    """A good answer, with more headers."""
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: %KEY%"]
    lines += [b"Sec-WebSocket-Protocol: " + protocol] if protocol else []
    return b"\r\n".join([*lines, *more, b"", b""])


class Opening(SynchronousTestCase):
    """The initiating side against servers of all kinds."""

    def setUp(self) -> None:
        """Listen."""
        self.network = Network()
        self.servers: list[Answering] = []
        factory = Factory.forProtocol(Answering)
        self.answers = Answering
        endpoint = TCP4ServerEndpoint(self.network.reactor, 80, interface=SERVER)
        self.listening = self.successResultOf(endpoint.listen(factory))
        self.addCleanup(self.clean_up)

    def clean_up(self) -> None:
        """Nothing may be left."""
        self.listening.stopListening()
        self.network.cut()
        self.network.pump()
        self.network.check_clean()

    def open(self, answer: bytes, split: int | None = None) -> StreamClientFactory:
        """The result of an attempt against such an answer."""
        self.patch(Answering, "answer", answer)
        self.network.split(split)
        factory = StreamClientFactory(f"ws://{SERVER}/path", "https://a.example", self.network.reactor, 10_000, Timeouts())
        TCP4ClientEndpoint(self.network.reactor, SERVER, 80).connect(factory)
        self.network.pump()
        return factory

    def refused(self, answer: bytes, split: int | None = None) -> str:
        """Why an attempt failed."""
        factory = self.open(answer, split)
        self.network.advance(1)
        text = str(self.failureResultOf(factory.opened, ConnectionError).value)
        self.assertEqual(self.network.links, [])
        return text

    def test_opened(self) -> None:
        """101 with our subprotocol opens it; the request names no version of ours, and offers no extension."""
        factory = self.open(switching())
        protocol = self.successResultOf(factory.opened)
        request = protocol.http_request_data
        self.assertIn(b"GET /path HTTP/1.1", request)
        self.assertIn(b"Origin: https://a.example", request)
        self.assertIn(b"Sec-WebSocket-Protocol: xmpp", request)
        self.assertIn(b"User-Agent: xmppfed\r\n", request)
        self.assertNotIn(b"Extensions", request)
        protocol.abort()
        self.network.pump()

    def test_byte_by_byte(self) -> None:
        """The answer may come in any pieces, also longer than we would search for its end."""
        self.successResultOf(self.open(switching(), split=1).opened).abort()
        self.network.pump()
        self.successResultOf(self.open(switching() + frame(b"a" * 17_000, mask=None)).opened).abort()
        self.network.pump()

    def test_no_subprotocol(self) -> None:
        """A server that chose none, or another, is no XMPP server (RFC 7395, 3.1)."""
        self.assertEqual(self.refused(switching(protocol=b"")), "found subprotocol None; wanted 'xmpp'")
        self.assertIn('"wamp" not in', self.refused(switching(protocol=b"wamp")))

    def test_other_answers(self) -> None:
        """The status is told; a redirect is not followed (notes: s2s-websocket, row 19)."""
        for status in (b"404 Not Found", b"426 Upgrade Required", b"302 Found\r\nLocation: ws://203.0.113.9/", b"200 OK"):
            text = self.refused(b"HTTP/1.1 " + status + b"\r\n\r\n")
            self.assertIn(f"[{status[:3].decode()}]: {status[4:].decode().partition(chr(13))[0]}", text)

    def test_bad_answers(self) -> None:
        """Each is an answer to who waits, not a traceback in the log."""
        for answer in (
            b"\r\n\r\n",
            b"SSH-2.0-OpenSSH\r\n\r\n",
            b"HTTP/1.0 101 Switching\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\n\r\n",
            switching().replace(b"%KEY%", b"nonsense"),
            switching(b"Sec-WebSocket-Extensions: permessage-deflate"),
            switching(b"Sec-WebSocket-Extensions: something-else"),
        ):
            self.assertTrue(self.refused(answer))

    def test_not_utf8(self) -> None:
        """A header that is not UTF-8 is told, too."""
        self.assertIn("cannot be read", self.refused(switching(b"X: \xff")))

    def test_an_answer_without_end(self) -> None:
        """After 16 KiB nobody waits for the end of it: neither memory nor time can be taken from us."""
        for split in (None, 100):
            text = self.refused(b"HTTP/1.1 101 Switching\r\n" + b"X: 1\r\n" * 20_000, split)
            self.assertEqual(text, "found an answer longer than 16384 bytes; wanted the end of an HTTP header")

    def test_words_of_a_server(self) -> None:
        """What a server writes cannot move the cursor of who reads it in a log, nor fill it."""
        text = self.refused(b"HTTP/1.1 500 \x1b[2J\xe2\x80\xae" + b"x" * 5_000 + b"\r\n\r\n")
        self.assertTrue(text.isprintable())
        self.assertLess(len(text), 300)

    def test_lost(self) -> None:
        """A server that hangs up."""
        factory = self.open(b"")
        self.network.cut()
        self.network.pump()
        self.failureResultOf(factory.opened, ConnectionError)

    def test_given_up(self) -> None:
        """Who cancels the attempt leaves no connection behind, at any moment."""
        factory = self.open(b"")
        factory.opened.cancel()
        self.failureResultOf(factory.opened, CancelledError)
        self.network.pump()
        self.assertEqual(self.network.links, [])
        factory.abort()
        never = StreamClientFactory(f"ws://{SERVER}/", None, self.network.reactor, 10_000)
        never.abort()

    def test_no_second_answer(self) -> None:
        """An answer that comes when nobody waits any more opens nothing."""
        factory = self.open(b"")
        factory.opened.cancel()
        self.failureResultOf(factory.opened, CancelledError)
        protocol: Any = factory._made
        protocol.onOpen()
        self.network.pump()

    def test_a_server_that_stays(self) -> None:
        """A server has to end the connection after the closing handshake (RFC 6455, 7.1.1); if it does not, we do."""
        factory = self.open(switching() + b"\x88\x02\x03\xe8")
        self.successResultOf(factory.opened)
        self.network.advance(1)
        self.assertEqual(self.network.links, [])

    def test_limits_hold_for_servers_too(self) -> None:
        """A server that announces too much is closed with 1009, one that masks with 1002."""
        for bad in (b"\x81\x7f" + (1 << 62).to_bytes(8, "big"), b"\x81\x80\x01\x02\x03\x04"):
            factory = self.open(switching() + bad)
            self.successResultOf(factory.opened)
            self.network.advance(1)
            self.assertEqual(self.network.links, [])

    def test_bad_urls(self) -> None:
        """A URL that is none is a ValueError."""
        for url in ("https://a.example/", "wss:///", "ws://a.example/#x", "ws://a.example:99999/"):
            with self.assertRaises(ValueError):
                StreamClientFactory(url, None, self.network.reactor, 1)


class BothOfUs(ServerCase):
    """Our client against our server."""

    def test_back_and_forth(self) -> None:
        """Messages of every size arrive whole, masked one way and not the other; pings are answered; the end is clean."""
        factory = StreamClientFactory(f"ws://{SERVER}/xmpp-websocket", None, self.network.reactor, 10_000)
        TCP4ClientEndpoint(self.network.reactor, SERVER, 80).connect(factory)
        self.network.pump()
        client = self.successResultOf(factory.opened)
        received: list[bytes] = []
        self.patch(client, "message", received.append)
        client.take_at_most(300_000)
        client.write([OPEN])
        self.network.pump()
        owner = self.acceptor.owners[0]
        sizes = (0, 1, 125, 126, 65_535, 65_536, 200_000)
        client.write([MESSAGE % (b"a" * size) for size in sizes])
        client.ping()
        self.network.pump()
        self.assertEqual(owner.stanzas, [MESSAGE % (b"a" * size) for size in sizes])
        for stanza in [one.stanza for one in owner.events if isinstance(one, StanzaReceived)]:
            owner.connection.send(stanza)
        self.network.pump()
        self.assertEqual(received[-len(sizes) :], owner.stanzas)
        client.close(1000)
        self.network.pump()
        self.assertEqual(owner.reason, "the peer closed the connection")

    def test_settled_is_for_receivers(self) -> None:
        """The initiating side counts no strangers."""
        factory = StreamClientFactory(f"ws://{SERVER}/xmpp-websocket", None, self.network.reactor, 10_000)
        TCP4ClientEndpoint(self.network.reactor, SERVER, 80).connect(factory)
        self.network.pump()
        client = self.successResultOf(factory.opened)
        client.settled()
        self.assertEqual(len(self.admission), 1)
        client.message(b"nobody is attached")
        client.abort()


@both_ways
class Dismissed(ServerCase):
    """The server stops: strangers whom no service knows yet are sent away."""

    def test_by_how_far_they_came(self) -> None:
        """HTTP is dropped; a WebSocket closes with 1012; a stream is left to its service."""
        self.acceptor.trusting = False
        silent, websocket = self.connect(), self.websocket()
        stream, _ = self.stream()
        self.admission.dismiss()
        self.network.pump()
        self.assertTrue(silent.lost)
        self.assertEqual((websocket.close_codes, stream.close_codes), ([1012], []))
        self.network.advance(1)
        self.assertTrue(websocket.lost)
        self.assertFalse(stream.lost)
