"""What a peer does with frames, and what becomes of it: limits, floods, pings, closing, a reader that is too slow."""

from __future__ import annotations

import tracemalloc
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from OpenSSL.SSL import Error
from twisted.internet import reactor as global_reactor
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.net.websockets import (
    BINARY,
    CLOSE,
    CLOSING,
    MESSAGE,
    OPEN,
    OPEN_SERVER,
    PING,
    PONG,
    TEXT,
    OverTLS,
    Owner,
    Peer,
    ServerCase,
    both_ways,
    frame,
)
from xmppfed.core.events import StanzaReceived
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.websocketwire import OPTIONS, QUIET, printable


def code(number: int, reason: bytes = b"") -> bytes:
    """The payload of a Close frame."""
    return number.to_bytes(2, "big") + reason


class FramesCase(ServerCase):
    """Says how a WebSocket must have failed."""

    def assert_failed(self, peer: Peer, number: int, owner: Owner | None = None) -> None:
        """One Close frame with this code, nothing delivered, no warning, and the end in time though the peer stays silent."""
        self.assertEqual(peer.close_codes, [number])
        self.assertEqual(self.warnings(), [])
        if owner is not None:
            self.assertEqual(owner.stanzas, [])
        self.network.advance(1)
        self.assertTrue(peer.lost)
        if owner is not None:
            self.assertIsNotNone(owner.reason)


@both_ways
class Fragments(FramesCase):
    """RFC 6455, 5.4."""

    def test_fragments_are_put_together(self) -> None:
        """ws-frag-legal: a fragmented message counts like any other, also with a ping between its fragments."""
        peer, owner = self.stream()
        text = MESSAGE % b"hello"
        self.say(peer, frame(text[:9], fin=False), frame(b"x", PING), frame(text[9:20], 0, fin=False), frame(text[20:], 0))
        self.assertEqual(owner.stanzas, [text])
        self.assertEqual([one.payload for one in peer.frames], [b"x"])

    def test_empty_fragments_are_legal(self) -> None:
        """A message of 64 fragments, most of them empty, is the longest that is taken."""
        peer, owner = self.stream()
        empty = frame(b"", 0, fin=False) * 62
        self.say(peer, frame(MESSAGE % b"a", fin=False), empty, frame(b"", 0))
        self.assertEqual(owner.stanzas, [MESSAGE % b"a"])

    def test_the_65th_fragment_ends_it(self) -> None:
        """ws-frag-empty-flood: fragments are counted, empty ones too."""
        peer, owner = self.stream()
        self.say(peer, frame(MESSAGE % b"a", fin=False), frame(b"", 0, fin=False) * 64, frame(b"", 0))
        self.assertEqual(owner.stanzas, [])
        self.assert_failed(peer, 1008, owner)

    def test_a_flood_of_fragments_costs_nothing(self) -> None:
        """ws-frag-flood: after the end was said, 100 000 more fragments take no memory, and are soon not even looked at."""
        peer, owner = self.stream()
        flood = frame(b"", fin=False) + frame(b"a", 0, fin=False) * 64
        self.say(peer, flood)
        more = frame(b"a", 0, fin=False) * 10_000
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for _ in range(10):
            self.say(peer, more)
        self.assertLess(tracemalloc.get_traced_memory()[0], 500_000)
        protocol: Any = self.acceptor.protocols[-1]
        self.assertEqual((protocol.data, protocol._steps_left < 0), (b"", True))
        self.assert_failed(peer, 1008, owner)

    def test_the_answer_to_a_failure_is_heard(self) -> None:
        """Behind what was still under way, the peer's Close frame ends the connection before its time."""
        peer, owner = self.stream()
        self.say(peer, frame(b"", 3), frame(b"a", fin=False), frame(b"a" * 60_000, 0) * 5, frame(code(1002), CLOSING))
        self.assertTrue(peer.lost)
        self.assertEqual(peer.close_codes, [1002])
        self.assertIn("opcode 3", str(owner.reason))

    def test_fragments_are_counted_anew_for_each_message(self) -> None:
        """A hundred fragments in fifty messages are no flood."""
        peer, owner = self.stream()
        text = MESSAGE % b"a"
        self.say(peer, (frame(text[:5], fin=False) + frame(text[5:], 0)) * 50)
        self.assertEqual(owner.stanzas, [text] * 50)

    def test_a_new_message_inside_a_message(self) -> None:
        """A text frame before the last fragment breaks RFC 6455, 5.4."""
        peer, owner = self.stream()
        self.say(peer, frame(b"<a", fin=False), frame(MESSAGE % b"a"))
        self.assert_failed(peer, 1002, owner)

    def test_a_continuation_of_nothing(self) -> None:
        """A continuation frame that continues no message is refused."""
        peer, owner = self.stream()
        self.say(peer, frame(MESSAGE % b"a", 0))
        self.assert_failed(peer, 1002, owner)


@both_ways
class Sizes(FramesCase):
    """The size is judged from the frame header (notes: ws-len-*)."""

    def test_the_limit_itself_is_taken(self) -> None:
        """A stanza of exactly the limit passes, one byte more does not."""
        self.acceptor.limit = 20_000
        peer, owner = self.stream()
        room = 20_000 - len(MESSAGE % b"")
        self.say(peer, frame(MESSAGE % (b"a" * room)))
        self.assertEqual(len(owner.stanzas), 1)
        owner.events.clear()
        self.say(peer, frame(MESSAGE % (b"a" * (room + 1))))
        self.assert_failed(peer, 1009, owner)
        self.assertIn("20001", str(owner.reason))

    def test_the_peer_hears_which_limit(self) -> None:
        """A stream error `policy-violation` with the limit, `<close/>`, then WebSocket close 1009."""
        peer, owner = self.stream()
        self.say(peer, frame(b"", announce=262_145))
        error, close = peer.texts
        self.assertIn(b"policy-violation", error)
        self.assertIn(b"262144", error)
        self.assertTrue(close.startswith(b"<close"))
        self.assertEqual([one.opcode for one in peer.frames], [TEXT, TEXT, CLOSING])
        self.assert_failed(peer, 1009, owner)

    def test_2_to_the_62(self) -> None:
        """ws-len-huge: a frame that announces 2^62 bytes ends at its header; what follows is not kept."""
        peer, owner = self.stream()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.say(peer, frame(b"", announce=1 << 62))
        for _ in range(20):
            self.say(peer, b"a" * 60_000)
        self.assertLess(tracemalloc.get_traced_memory()[0], 500_000)
        self.assert_failed(peer, 1009, owner)

    def test_above_2_to_the_63(self) -> None:
        """A length with the highest bit set is none (RFC 6455, 5.2)."""
        peer, owner = self.stream()
        self.say(peer, frame(b"", announce=(1 << 63) + 5))
        self.assertEqual(peer.close_codes[0], 1002)
        self.network.advance(1)
        self.assertTrue(peer.lost)
        self.assertEqual(owner.stanzas, [])

    def test_many_fragments_are_added_up(self) -> None:
        """The limit holds for the message, not for each fragment."""
        self.acceptor.limit = 20_000
        peer, owner = self.stream()
        self.say(peer, frame(b"a" * 9_000, fin=False), frame(b"a" * 9_000, 0, fin=False))
        self.assertEqual(peer.frames, [])
        self.say(peer, frame(b"", 0, fin=False, announce=2_001))
        self.assert_failed(peer, 1009, owner)

    def test_strangers_have_10_000_bytes(self) -> None:
        """Before authentication a message has at most 10 000 bytes; the very first one, too."""
        self.acceptor.trusting = False
        peer, owner = self.stream()
        self.say(peer, frame(b"", announce=10_001))
        self.assertIn(b"10000", peer.texts[0])
        self.assert_failed(peer, 1009, owner)
        self.assert_failed(self.say(self.websocket(), frame(b"", announce=10_001)), 1009)

    def test_the_limit_rises_with_authentication(self) -> None:
        """What is too much for a stranger is not for a user."""
        peer, owner = self.stream()
        self.say(peer, frame(MESSAGE % (b"a" * 100_000)))
        self.assertEqual(len(owner.stanzas), 1)

    def test_what_we_send_has_no_such_limit(self) -> None:
        """The limit is for what the peer sends: a larger stanza of another stream goes out."""
        self.acceptor.trusting = False
        peer, owner = self.stream()
        large = MESSAGE % (b"a" * 600_000)
        owner.connection._wire.write([large])
        self.network.pump()
        self.assertEqual(peer.texts, [large])

    def test_lengths_have_one_form(self) -> None:
        """A length in more bytes than it needs is refused (RFC 6455, 5.2)."""
        for form in (2, 8):
            peer, _ = self.stream()
            self.say(peer, frame(MESSAGE % b"a", form=form))
            self.assert_failed(peer, 1002)


@both_ways
class Content(FramesCase):
    """What may be inside a frame."""

    def test_binary(self) -> None:
        """Binary messages are 1003 (RFC 7395, 3.2), also in fragments, and as first message."""
        peer, owner = self.stream()
        self.assert_failed(self.say(peer, frame(MESSAGE % b"a", BINARY)), 1003, owner)
        peer, owner = self.stream()
        self.assert_failed(self.say(peer, frame(MESSAGE % b"a", BINARY, fin=False)), 1003, owner)
        self.assert_failed(self.say(self.websocket(), frame(OPEN, BINARY)), 1003)

    def test_bad_utf8(self) -> None:
        """ws-bad-utf8: text that is not UTF-8 is a stream error and close 1007."""
        for bad in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\xaf"):
            peer, owner = self.stream()
            self.say(peer, frame(MESSAGE % bad))
            self.assertIn(b"unsupported-encoding", peer.texts[0])
            self.assert_failed(peer, 1007, owner)

    def test_bad_utf8_at_first(self) -> None:
        """The first message, too: our header is sent before the error."""
        peer = self.say(self.websocket(), frame(OPEN[:-2] + b"\xff/>"))
        self.assertTrue(peer.texts[0].startswith(b"<open"))
        self.assertIn(b"unsupported-encoding", peer.texts[1])
        self.assert_failed(peer, 1007)

    def test_utf8_across_fragments(self) -> None:
        """A character may be cut by a fragment; a bad one is bad in any fragment."""
        peer, owner = self.stream()
        text = MESSAGE % "é".encode()
        cut = text.index(b"\xc3") + 1
        self.say(peer, frame(text[:cut], fin=False), frame(text[cut:], 0))
        self.assertEqual(owner.stanzas, [text])
        owner.events.clear()
        self.say(peer, frame(text[:cut], fin=False), frame(text[cut + 1 :], 0))
        self.assert_failed(peer, 1007, owner)

    def test_reserved_bits(self) -> None:
        """Without an extension no reserved bit may be set, that of compression neither (RFC 6455, 5.2)."""
        for bits in range(1, 8):
            peer, owner = self.stream()
            self.assert_failed(self.say(peer, frame(MESSAGE % b"a", rsv=bits)), 1002, owner)

    def test_reserved_opcodes(self) -> None:
        """Opcodes 3 to 7 and 11 to 15 mean nothing (RFC 6455, 5.2)."""
        for opcode in (3, 7, 11, 15):
            peer, owner = self.stream()
            self.assert_failed(self.say(peer, frame(b"a", opcode)), 1002, owner)

    def test_several_faults_are_one_failure(self) -> None:
        """A peer that goes on breaking rules hears of the first, once, and is dropped."""
        peer, owner = self.stream()
        self.say(peer, frame(b"a", 3), frame(b"a", 4), frame(b"a", BINARY), frame(b"", announce=1 << 60))
        self.assertEqual(peer.close_codes, [1002])
        self.assertTrue(peer.lost)
        self.assertIn("opcode 3", str(owner.reason))


@both_ways
class Pings(FramesCase):
    """RFC 6455, 5.5.2."""

    def test_pings_are_answered(self) -> None:
        """With their payload, of up to 125 bytes."""
        peer, _ = self.stream()
        self.say(peer, frame(b"", PING), frame(b"a" * 125, PING))
        self.assertEqual([(one.opcode, one.payload) for one in peer.frames], [(PONG, b""), (PONG, b"a" * 125)])

    def test_before_the_stream_too(self) -> None:
        """Also before the stream header: a proxy may do it."""
        self.assertEqual([one.opcode for one in self.say(self.websocket(), frame(b"", PING)).frames], [PONG])

    def test_20_a_second(self) -> None:
        """Twenty pings a second are answered, second after second; the next one ends it."""
        peer, owner = self.stream()
        for _ in range(3):
            self.say(peer, frame(b"", PING) * 20)
            self.network.advance(1)
        self.assertEqual(len(peer.frames), 60)
        self.forget(peer)
        self.say(peer, frame(b"", PING) * 21)
        self.assertEqual([one.opcode for one in peer.frames], [PONG] * 20 + [CLOSING])
        self.assert_failed(peer, 1008, owner)

    def test_the_second_is_a_second(self) -> None:
        """The count begins with the first ping, not with the full second of a clock."""
        peer, owner = self.stream()
        self.network.advance(0.6)
        self.say(peer, frame(b"", PING) * 20)
        self.network.advance(0.6)
        self.say(peer, frame(b"", PING))
        self.assertEqual([one.opcode for one in peer.frames], [PONG] * 20 + [CLOSING])
        self.assert_failed(peer, 1008, owner)

    def test_pongs_count_too(self) -> None:
        """Nobody asked for them; each costs as much to read as a ping."""
        peer, owner = self.stream()
        self.say(peer, frame(b"", PING) * 10, frame(b"", PONG) * 10)
        self.assertEqual(peer.close_codes, [])
        self.say(peer, frame(b"", PONG))
        self.assert_failed(peer, 1008, owner)

    def test_a_flood_after_the_failure(self) -> None:
        """Further pings are not answered, and end the transport."""
        peer, _ = self.stream()
        self.say(peer, frame(b"", PING) * 1_000)
        self.assertEqual([one.opcode for one in peer.frames], [PONG] * 20 + [CLOSING])
        self.assertTrue(peer.lost)

    def test_big(self) -> None:
        """ws-big-ping: control frames have at most 125 bytes (RFC 6455, 5.5)."""
        peer, _ = self.stream()
        self.assert_failed(self.say(peer, frame(b"a" * 126, PING)), 1002)

    def test_fragmented(self) -> None:
        """ws-frag-ping: control frames are not fragmented (RFC 6455, 5.5)."""
        peer, owner = self.stream()
        self.assert_failed(self.say(peer, frame(b"a", PING, fin=False)), 1002, owner)

    def test_no_unsolicited_pong(self) -> None:
        """xmpp-proxy dies of a pong it did not ask for: an hour of life with data brings none."""
        peer, _ = self.stream()
        for _ in range(180):
            self.network.advance(20)
            self.say(peer, frame(MESSAGE % b"a"))
        self.assertEqual(peer.frames, [])
        self.assertFalse(peer.lost)

    def test_our_ping_is_empty(self) -> None:
        """After 30 s of silence a ping without payload."""
        peer, _ = self.stream()
        self.network.advance(29.9)
        self.assertEqual(peer.frames, [])
        self.network.advance(0.1)
        self.assertEqual([(one.opcode, one.payload) for one in peer.frames], [(PING, b"")])

    def test_no_ping_when_closed(self) -> None:
        """`ping` on a WebSocket that is closing does nothing."""
        peer, owner = self.stream()
        self.say(peer, frame(b"", 3))
        owner.connection._wire.ping()
        self.network.pump()
        self.assertEqual([one.opcode for one in peer.frames], [CLOSING])

    def test_part_of_a_frame_is_a_sign_of_life(self) -> None:
        """Who needs minutes to send one large stanza is not cut for silence."""
        peer, owner = self.stream()
        data = frame(MESSAGE % (b"a" * 500))
        for i in range(0, 500, 100):
            self.say(peer, data[i : i + 100])
            self.network.advance(29)
        self.say(peer, data[500:])
        self.assertEqual(peer.frames, [])
        self.assertEqual(len(owner.stanzas), 1)

    def test_part_of_a_header_is_a_sign_of_life(self) -> None:
        """The first byte of a frame alone, too."""
        peer, _ = self.stream()
        data = frame(b"a" * 500, PING)
        self.network.advance(29)
        self.say(peer, data[:1])
        self.network.advance(29)
        self.assertEqual(peer.frames, [])


@both_ways
class Ends(FramesCase):
    """Closing, by either side (RFC 6455, 7; RFC 7395, 3.6)."""

    def test_in_good_order(self) -> None:
        """`<close/>` is answered by `<close/>` and WebSocket close 1000; the peer's Close frame ends the connection."""
        peer, owner = self.stream()
        self.say(peer, frame(CLOSE))
        self.assertTrue(peer.texts[0].startswith(b"<close"))
        self.assertEqual(peer.close_codes, [1000])
        self.assertFalse(peer.lost)
        self.say(peer, frame(code(1000), CLOSING))
        self.assertIsInstance(peer.reason, ConnectionDone)
        self.assertEqual(owner.reason, "the stream was closed")

    def test_nothing_goes_out_behind_the_close_frame(self) -> None:
        """RFC 6455, 5.5.1: not even a stanza that somebody else sends to this peer, who must not suffer from it."""
        peer, owner = self.stream()
        self.say(peer, frame(code(1000), CLOSING))
        owner.connection._wire.write([MESSAGE % b"a"])
        self.assertEqual([one.opcode for one in peer.frames], [CLOSING])

    def test_ours_unanswered(self) -> None:
        """Our `<close/>`, 5 s, WebSocket close 1000, 1 s, then the transport is dropped."""
        peer, owner = self.stream()
        owner.connection.close()
        self.network.advance(4.9)
        self.assertEqual((len(peer.texts), peer.close_codes), (1, []))
        self.network.advance(0.1)
        self.assertEqual(peer.close_codes, [1000])
        self.network.advance(0.9)
        self.assertFalse(peer.lost)
        self.network.advance(0.1)
        self.assertTrue(peer.lost)

    def test_stanzas_still_come_in(self) -> None:
        """Between our `<close/>` and that of the peer its stanzas count (RFC 6120, 4.4)."""
        peer, owner = self.stream()
        owner.connection.close()
        self.say(peer, frame(MESSAGE % b"a"), frame(CLOSE))
        self.assertEqual(owner.stanzas, [MESSAGE % b"a"])
        self.assertEqual(peer.close_codes, [1000])

    def test_eof_after_close(self) -> None:
        """xmpp-proxy sends no Close frame: the end of the connection after `<close/>` is clean."""
        peer, owner = self.stream()
        owner.connection.close()
        self.network.pump()
        peer.transport.loseConnection()
        self.network.pump()
        self.assertEqual(owner.reason, "the stream was closed")

    def test_eof_without_close(self) -> None:
        """The end in the middle of a stream is not."""
        peer, owner = self.stream()
        peer.transport.loseConnection()
        self.network.pump()
        self.assertIn("without previous WebSocket closing handshake", str(owner.reason))

    def test_the_peers_reason_is_told(self) -> None:
        """A Close frame with another code than 1000 is the answer to `why`, its text made harmless."""
        peer, owner = self.stream()
        self.say(peer, frame(code(1013, "later\n\u202e".encode()), CLOSING))
        self.assertEqual(owner.reason, "the peer closed the WebSocket with code 1013: later\\x0a\\x202e")
        peer, owner = self.stream()
        self.say(peer, frame(code(1001), CLOSING))
        self.assertEqual(owner.reason, "the peer closed the WebSocket with code 1001: no reason given")
        peer, owner = self.stream()
        self.say(peer, frame(b"", CLOSING))
        self.assertEqual(owner.reason, "the peer closed the connection")

    def test_a_bad_reason_is_1007(self) -> None:
        """A close reason that is not UTF-8 gets 1007, and the answer really leaves (Autobahn would drop it)."""
        peer, owner = self.stream()
        self.assert_failed(self.say(peer, frame(code(1000, b"\xff"), CLOSING)), 1007, owner)

    def test_bad_codes_are_1002(self) -> None:
        """Codes that must not be sent get 1002 (RFC 6455, 7.4), as does a payload of one byte."""
        for number in (0, 999, 1004, 1005, 1006, 1016, 2000, 5000, 65_535):
            peer, owner = self.stream()
            self.assert_failed(self.say(peer, frame(code(number), CLOSING)), 1002, owner)
        peer, owner = self.stream()
        self.say(peer, frame(b"\x03", CLOSING))
        self.assertEqual(peer.close_codes[0], 1002)

    def test_our_error_survives_the_peers_close(self) -> None:
        """What we said before the peer's Close frame came in the same segment is not thrown away with the connection."""
        peer, _ = self.stream()
        self.say(peer, frame(b"<not-xml"), frame(code(1000), CLOSING))
        self.assertIn(b"not-well-formed", peer.texts[0])
        self.assertEqual(peer.close_codes, [1000])
        self.network.advance(1)
        self.assertTrue(peer.lost)

    def test_shutdown_is_1012(self) -> None:
        """`system-shutdown` closes with 1012: come again."""
        peer, owner = self.stream()
        owner.connection.fail(StreamError(StreamCondition.SYSTEM_SHUTDOWN))
        self.network.pump()
        self.assertEqual(peer.close_codes, [1012])
        self.say(peer, frame(code(1012), CLOSING))
        self.assertTrue(peer.lost)
        self.assertEqual(owner.reason, "system-shutdown")

    def test_a_failed_websocket_ends_though_the_peer_lives(self) -> None:
        """After a Close frame of ours, whatever the peer sends instead of an answer keeps nothing alive beyond 1 s."""
        peer, owner = self.stream()
        self.say(peer, frame(b"", 3))
        for _ in range(8):
            self.say(peer, frame(b"", PING), frame(MESSAGE % b"a"))
            self.network.advance(0.125)
        self.assertTrue(peer.lost)
        self.assertEqual(owner.stanzas, [])

    def test_a_peer_that_closes_and_does_not_read(self) -> None:
        """Its Close frame is answered behind output that cannot leave: the end comes all the same."""
        peer, owner = self.stream()
        peer.transport.pauseProducing()
        owner.connection._wire.write([MESSAGE % (b"a" * 40_000)] * 5)
        self.network.pump()
        owner.connection._wire.resume()
        self.say(peer, frame(code(1000), CLOSING))
        self.network.advance(1)
        self.assertIsNotNone(owner.reason)

    def test_cut_and_abort_twice(self) -> None:
        """More than one abort does no harm, during the end and after it."""
        peer, owner = self.stream()
        wire = owner.connection._wire
        owner.connection.cut("enough")
        wire.abort()
        self.network.pump()
        self.assertTrue(peer.lost)
        self.assertEqual(owner.reason, "enough")
        wire.abort()
        wire.close(1000)
        owner.connection.cut("again")
        self.network.pump()

    def test_close_before_the_handshake(self) -> None:
        """A WebSocket that never opened has no closing handshake: `close` drops the transport."""
        peer = self.connect()
        protocol = self.server_protocol()
        protocol.factory = self.factory
        protocol.makeConnection(peer.transport)
        protocol.close(1000)
        self.network.pump()
        self.assertTrue(peer.lost)
        protocol.connectionLost(Failure(ConnectionDone()))

    def test_the_transport_is_lost_in_an_odd_way(self) -> None:
        """Autobahn stumbles over some reasons of OpenSSL's; the owner hears of the end all the same."""
        _, owner = self.stream()
        protocol: Any = owner.connection._wire
        with self.assertRaises(IndexError):
            protocol.connectionLost(Failure(Error([])))
        self.assertIsNotNone(owner.reason)
        protocol.connectionLost = lambda reason: None


@both_ways
class SlowReader(FramesCase):
    """Output that the peer does not read (DESIGN, 3 and 5)."""

    def echo(self, owner: Owner, event: StanzaReceived) -> None:
        """Answer each stanza."""
        owner.connection.send(event.stanza)

    def test_reading_stops_while_output_waits(self) -> None:
        """Who does not read is not read from; when it reads again everything goes on, and nothing is lost."""
        self.acceptor.on_stanza = self.echo
        peer, owner = self.stream()
        peer.transport.pauseProducing()
        text = MESSAGE % (b"a" * 5_000)
        for _ in range(100):
            self.say(peer, frame(text))
        taken = len(owner.stanzas)
        self.assertLess(taken, 60)
        self.network.advance(59)
        self.assertEqual(len(owner.stanzas), taken)
        peer.transport.resumeProducing()
        self.network.pump()
        self.assertEqual(peer.texts, [text] * 100)
        self.network.advance(20)
        self.assertFalse(peer.lost)

    def test_60_seconds(self) -> None:
        """Output that waits for 60 s ends the connection."""
        peer, owner = self.stream()
        peer.transport.pauseProducing()
        owner.connection._wire.write([MESSAGE % (b"a" * 100_000)] * 2)
        self.network.advance(59.9)
        self.assertIsNone(owner.reason)
        self.network.advance(0.2)
        self.assertEqual(owner.reason, "the peer did not read what waited for it for 60 s")

    def test_1_mebibyte(self) -> None:
        """More than 1 MiB waiting for one peer ends the connection, at once."""
        peer, owner = self.stream()
        other, _ = self.stream()
        peer.transport.pauseProducing()
        stanza = MESSAGE % (b"a" * 10_000)
        sent = 0
        while owner.reason is None and sent < 3_000_000:
            owner.connection.stream._out.append(stanza)
            owner.connection.flush()
            self.network.pump()
            sent += len(stanza)
        self.assertIn("1048576", str(owner.reason))
        self.assertLess(sent, 1_048_576 + 300_000)
        self.assertFalse(other.lost)

    def test_ping_flood_noread(self) -> None:
        """ws-ping-flood-noread: pings as fast as allowed, pongs never read: a bounded amount waits, then the end."""
        peer, owner = self.stream()
        peer.transport.pauseProducing()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for _ in range(200):
            self.say(peer, frame(b"a" * 125, PING) * 20)
            self.network.advance(1)
        self.assertIsNotNone(owner.reason)
        self.assertLess(tracemalloc.get_traced_memory()[0], 1_000_000)

    def test_blocked_before_the_stream(self) -> None:
        """A peer that did not read before its stream header finds itself not read from as soon as there is a connection."""
        peer = self.websocket()
        peer.transport.pauseProducing()
        for _ in range(8):
            self.say(peer, frame(b"a" * 125, PING) * 20)
            self.network.advance(1)
        server: Any = next(iter(self.admission._origins))
        server.transport.write(b"\x8a\x00" * 200_000)
        self.network.pump()
        self.say(peer, frame(OPEN))
        self.assertTrue(server.blocked)
        self.network.advance(60)
        self.assertIn("did not read", str(self.acceptor.owners[0].reason))

    def test_the_transport_stops_its_producer(self) -> None:
        """When the connection is lost while output waits, nothing goes wrong."""
        peer, owner = self.stream()
        peer.transport.pauseProducing()
        owner.connection._wire.write([MESSAGE % (b"a" * 100_000)] * 2)
        self.network.pump()
        peer.transport.abortConnection()
        self.network.advance(61)
        self.assertIsNotNone(owner.reason)


@both_ways
class TLSEnds(OverTLS, Ends):
    """Closing below TLS, which has a closing of its own."""

    def test_what_comes_behind_the_end(self) -> None:
        """TLS delivers while it waits for the peer's end: nothing of that is kept."""
        peer, _ = self.stream()
        protocol: Any = self.acceptor.protocols[-1]
        self.say(peer, frame(code(1000), CLOSING))
        self.assertEqual(protocol.state, WebSocketProtocol.STATE_CLOSED)
        protocol.dataReceived(b"a" * 100_000)
        self.assertEqual(protocol.data, b"")
        self.network.advance(1)


@both_ways
class TLSSlowReader(OverTLS, SlowReader):
    """TLS stands between the transport that fills up and the protocol that must hear of it."""


@both_ways
class Silence(ServerCase):
    """Peers that answer nothing."""

    def test_two_missed_pings(self) -> None:
        """Pings after 30 s and 60 s of silence; at 90 s the connection is cut."""
        peer, owner = self.stream()
        self.network.advance(89.9)
        self.assertEqual([one.opcode for one in peer.frames], [PING, PING])
        self.assertFalse(peer.lost)
        self.network.advance(0.1)
        self.assertTrue(peer.lost)
        self.assertEqual(owner.reason, "2 pings were not answered")

    def test_a_pong_will_do(self) -> None:
        """As long as pongs come, the connection lives."""
        peer, _ = self.stream()
        for _ in range(20):
            self.network.advance(30)
            self.say(peer, frame(b"", PONG))
        self.assertEqual([one.opcode for one in peer.frames], [PING] * 20)
        self.assertFalse(peer.lost)

    def test_half_open(self) -> None:
        """A cable that breaks is found out within 90 s."""
        _, owner = self.stream()
        self.network.freeze()
        self.network.advance(90)
        self.assertEqual(owner.reason, "2 pings were not answered")
        self.network.cut()


class Logging(ServerCase):
    """What a hostile peer makes us write into the log."""

    def test_one_line_per_failed_websocket(self) -> None:
        """One, at level info, in words of ours."""
        peer, _ = self.stream(OPEN_SERVER)
        self.logged.clear()
        self.say(peer, frame(b"", 3), frame(b"", 4), frame(b"\xff", CLOSING))
        self.network.advance(2)
        ours = [one for one in self.logged if "WebSocket" in str(one.get("log_format"))]
        self.assertEqual(len(ours), 1)
        self.assertEqual(ours[0]["log_level"].name, "info")
        self.assertEqual((ours[0]["code"], ours[0]["reason"]), (1002, "data frame using reserved opcode 3"))
        self.assertFalse([one for one in self.logged if "autobahn" in str(one.get("log_namespace"))])

    def test_autobahn_is_quiet(self) -> None:
        """Nothing of Autobahn's own logging runs."""
        for level in ("debug", "info", "warn", "error"):
            getattr(QUIET, level)("{found}", found=1)
        self.assertIs(self.server_protocol.log, QUIET)

    def test_printable(self) -> None:
        """Controls, line ends and what changes the direction of writing are spelled out; length is bounded."""
        self.assertEqual(printable("a\r\n\x1b[31m\u202e\x85é"), "a\\x0d\\x0a\\x1b[31m\\x202e\\x85é")
        self.assertEqual(len(printable("\n" * 10_000)), 256)


class AutobahnTimers(ServerCase):
    """Every timer of Autobahn's is off: they run on the global reactor, whatever reactor is given."""

    def test_off(self) -> None:
        """On the factory, and thereby on each protocol, which copies what CONFIG_ATTRS names."""
        for name in ("openHandshakeTimeout", "closeHandshakeTimeout", "autoPingInterval", "autoPingTimeout"):
            self.assertEqual(OPTIONS[name], 0)
            self.assertEqual(getattr(self.factory, name), 0)
            self.assertIn(name, WebSocketProtocol.CONFIG_ATTRS_COMMON)

    def test_nothing_lands_on_the_global_reactor(self) -> None:
        """A whole life leaves no delayed call there: handshake, stream, ping, failure, closing."""
        reactor: Any = global_reactor
        before = reactor.getDelayedCalls()
        peer, _ = self.stream()
        self.network.advance(31)
        self.say(peer, frame(b"", PONG), frame(CLOSE), frame(code(1000), CLOSING))
        peer, _ = self.stream()
        self.say(peer, frame(b"", 3))
        self.assertEqual(reactor.getDelayedCalls(), before)
        self.network.advance(1)


class PrivateAttributes(SynchronousTestCase):
    """What we use of Autobahn's that it does not promise: a new release without it fails here, and not in production."""

    def test_methods(self) -> None:
        """Overridden or called in `websocketwire`."""
        for name in ("_fail_connection", "_max_message_size_exceeded", "_onOpen", "_dataReceived", "consumeData", "sendFrame"):
            self.assertTrue(callable(getattr(WebSocketServerProtocol, name)), name)
        self.assertEqual(WebSocketProtocol.sendCloseFrame.__code__.co_varnames[:4], ("self", "code", "reasonUtf8", "isReply"))
        self.assertEqual(WebSocketProtocol.dropConnection.__code__.co_varnames[:2], ("self", "abort"))
        self.assertEqual(WebSocketProtocol._fail_connection.__code__.co_varnames[:3], ("self", "code", "reason"))
        self.assertEqual(WebSocketProtocol._max_message_size_exceeded.__code__.co_argcount, 4)
