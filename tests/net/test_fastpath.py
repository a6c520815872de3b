"""The short way for plain frames differs from Autobahn's in nothing but time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.protocol import TrafficStats, WebSocketProtocol
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase

from tests.net.websockets import BINARY, CLOSING, PING, PONG, TEXT, frame, handshake
from xmppfed.net.admission import Admission
from xmppfed.net.fastpath import FastStreamServerProtocol
from xmppfed.net.websocket import StreamServerFactory, StreamServerProtocol
from xmppfed.timeouts import Timeouts

LIMIT = 70_000
SIZES = (0, 1, 5, 124, 125, 126, 127, 128, 200, 65_535, 65_536, 65_537, LIMIT)


class Transport(StringTransportWithDisconnection):
    """Keeps every write, and whether the connection was to be dropped."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """As TCP has it."""

    def unregisterProducer(self) -> None:
        """As TCP has it: there need not be one."""
        self.producer = None

    def abortConnection(self) -> None:
        """Only remembered."""
        self.aborting = True

    def loseConnection(self) -> None:
        """Only remembered."""
        self.disconnecting = True


class Sink:
    """In the place of a connection: keeps what is delivered. Some messages make it act, as an owner can."""

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.delivered: list[bytes] = []
        self.faults: list[str] = []
        self.stream = SimpleNamespace(fail=lambda error: self.faults.append(str(error)))

    def received(self, data: bytes) -> None:
        """A message."""
        self.delivered.append(data)
        if data.startswith(b"close"):
            self.protocol.close(1000)
        elif data.startswith(b"abort"):
            self.protocol.abort()
        elif data.startswith(b"raise"):
            self.protocol.take_at_most(LIMIT)
        elif data.startswith(b"lower"):
            self.protocol.take_at_most(100)
        elif data.startswith(b"masks"):
            self.protocol.require_masks()
        elif data.startswith(b"echo"):
            self.protocol.write([data, b"", data[:126]])

    def heard(self) -> None:
        """A sign of life."""

    def flush(self) -> None:
        """Nothing waits here."""

    answered = flush

    def wire_lost(self, reason: str, *, clean: bool = False) -> None:
        """The end."""


class End:
    """A server's end behind a handshake, over a transport that keeps everything."""

    def __init__(self, kind: type[StreamServerProtocol], limit: int) -> None:
        self.clock = Clock()
        factory: Any = StreamServerFactory(SimpleNamespace(), self.clock, Timeouts(), limit, Admission(), kind)
        self.protocol: Any = factory.buildProtocol(None)
        self.transport = Transport()
        self.protocol.makeConnection(self.transport)
        self.protocol.dataReceived(handshake())
        assert self.transport.value().startswith(b"HTTP/1.1 101 ")
        self.transport.clear()
        self.sink = Sink(self.protocol)
        self.protocol.attach(self.sink)

    def feed(self, pieces: Sequence[bytes]) -> None:
        """What the reactor would deliver, up to the end of the transport."""
        for piece in pieces:
            if not (getattr(self.transport, "aborting", False)):
                self.protocol.dataReceived(piece)

    def seen(self) -> dict[str, Any]:
        """Everything that a difference could show in."""
        protocol = self.protocol
        names = ("state", "data", "inside_message", "failedByMe", "closedByMe", "droppedByMe", "wasClean", "localCloseCode")
        more = ("remoteCloseCode", "unmasked", "failure", "requireMaskedClientFrames", "wasMaxMessagePayloadSizeExceeded")
        return {
            **{name: getattr(protocol, name) for name in names + more},
            "frame": protocol.current_frame and vars(protocol.current_frame),
            "stats": protocol.trafficStats.__json__(),
            "delivered": self.sink.delivered,
            "faults": self.sink.faults,
            "written": self.transport.value(),
            "ends": (self.transport.disconnecting, getattr(self.transport, "aborting", False)),
        }


def texts() -> st.SearchStrategy[bytes]:
    """Payloads: short ones that make the sink act, and others of every size that has a form of its own."""
    acts = st.sampled_from([b"close", b"abort", b"raise", b"lower", b"masks", b"echo", b"echo" * 40])
    return st.one_of(st.binary(max_size=20), acts, st.sampled_from(SIZES).map(lambda size: b"x" * size))


MASKS = st.one_of(st.just(b"\x01\x02\x03\x04"), st.binary(min_size=4, max_size=4), st.none())
PLAIN = st.builds(frame, texts(), st.just(TEXT), mask=st.binary(min_size=4, max_size=4))
ODD = st.one_of(
    st.builds(frame, texts(), st.sampled_from([0, TEXT, BINARY]), fin=st.booleans(), mask=MASKS),
    st.builds(frame, st.binary(max_size=20), st.sampled_from([PING, PONG]), mask=MASKS),
    st.builds(frame, st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8bye", b"\x00\x00", b"\x03\xe8\xff"]), st.just(CLOSING)),
    st.builds(frame, st.just(b"a"), st.integers(0, 15), rsv=st.integers(0, 7), fin=st.booleans()),
    st.builds(frame, texts(), form=st.just(8)),
    st.builds(frame, st.binary(max_size=300), form=st.just(2)),
    st.builds(frame, st.just(b"ab"), announce=st.sampled_from([0, 1, 126, 65_536, LIMIT + 1, 1 << 62, (1 << 63) + 1])),
    st.binary(max_size=20),
)
STREAMS = st.lists(st.one_of(PLAIN, PLAIN, ODD), max_size=8).map(b"".join)


def cuts(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data in pieces."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


class SameAsAutobahn(SynchronousTestCase):
    """Both protocols, fed with the same bytes in the same pieces, are the same afterwards."""

    def both(self, pieces: Sequence[bytes], limit: int = LIMIT) -> dict[str, Any]:
        """What both show, after it was compared."""
        stock, fast = End(StreamServerProtocol, limit), End(FastStreamServerProtocol, limit)
        stock.feed(pieces)
        fast.feed(pieces)
        self.assert_same(stock, fast)
        for end in (stock, fast):
            end.clock.advance(1)
        self.assert_same(stock, fast)
        return fast.seen()

    def assert_same(self, stock: End, fast: End) -> None:
        """Names what differs; the difference of two large payloads is nothing to read, nor to wait for."""
        seen = fast.seen()
        different = {name: (repr(one)[:200], repr(seen[name])[:200]) for name, one in stock.seen().items() if one != seen[name]}
        self.assertEqual(different, {})

    @given(STREAMS, st.lists(st.integers(0, 1 << 20), max_size=12), st.sampled_from([LIMIT, 10_000, 130]))
    def test_any_frames_in_any_pieces(self, data: bytes, places: list[int], limit: int) -> None:
        """Text, fragmented, control, unmasked, oversized, not in shortest form, or noise: deliveries, bytes out, traffic
        statistics and state are the same."""
        self.both(cuts(data, places), limit)

    @given(st.lists(PLAIN, max_size=4).map(b"".join))
    def test_byte_by_byte(self, data: bytes) -> None:
        """Every byte alone, for streams that are not too long."""
        self.both([data[i : i + 1] for i in range(min(len(data), 3_000))])

    def test_every_cut(self) -> None:
        """Two plain frames, a ping, a fragmented message and a plain frame, cut at every place."""
        parts = [frame(b"a"), frame(b"b" * 130), frame(b"p", PING), frame(b"c", fin=False), frame(b"d", 0), frame(b"e")]
        data = b"".join(parts)
        for place in range(len(data) + 1):
            seen = self.both([data[:place], data[place:]])
            self.assertEqual(seen["delivered"], [b"a", b"b" * 130, b"cd", b"e"])

    def test_sizes(self) -> None:
        """Each size with a form of its own arrives whole, alone and behind another."""
        for size in SIZES:
            data = frame(b"x" * size)
            for pieces in ([data], [data, data], [data + data], [data[:3], data[3:] + data]):
                seen = self.both(pieces)
                self.assertEqual({len(one) for one in seen["delivered"]}, {size})
        self.assertEqual(self.both([frame(b"x" * (LIMIT + 1))])["localCloseCode"], 1009)

    def test_state_is_looked_at_after_each_message(self) -> None:
        """A message that drops the connection is the last; one that closes it leaves the rest to Autobahn."""
        seen = self.both([frame(b"a") + frame(b"abort") + frame(b"b")])
        self.assertEqual(seen["delivered"], [b"a", b"abort"])
        seen = self.both([frame(b"close") + frame(b"b") + frame(b"\x03\xe8", CLOSING)])
        self.assertEqual(seen["state"], WebSocketProtocol.STATE_CLOSED)

    def test_the_limit_is_looked_at_for_each_message(self) -> None:
        """A message that raises the limit lets the next one of the same segment pass, and the other way round."""
        large = frame(b"x" * 200)
        self.assertEqual(len(self.both([frame(b"raise") + large], 130)["delivered"]), 2)
        self.assertEqual(len(self.both([frame(b"lower") + large])["delivered"]), 1)

    def test_unmasked(self) -> None:
        """Frames without a mask go Autobahn's way, and are remembered until the next message."""
        self.assertTrue(self.both([frame(b"a", mask=None)])["unmasked"])
        self.assertFalse(self.both([frame(b"a", mask=None) + frame(b"b")])["unmasked"])
        self.assertFalse(self.both([frame(b"a", mask=None), frame(b"b")])["unmasked"])
        self.assertTrue(self.both([frame(b"a", mask=None, fin=False) + frame(b"b", 0)])["unmasked"])
        self.assertEqual(self.both([frame(b"a", mask=None) + frame(b"masks")])["localCloseCode"], None)
        self.assertEqual(self.both([frame(b"masks", mask=None)])["localCloseCode"], 1002)

    def test_writes(self) -> None:
        """What goes out is equal in bytes, for every form of length, and counted equally; nothing goes out when closed."""
        for size in SIZES:
            written = []
            for kind in (StreamServerProtocol, FastStreamServerProtocol):
                end = End(kind, LIMIT)
                end.protocol.write([b"x" * size, b"y"])
                end.protocol.write([])
                end.protocol.close(1000)
                end.protocol.write([b"late"])
                written.append((end.transport.value(), end.protocol.trafficStats.__json__()))
            self.assertEqual(written[0], written[1])
            self.assertNotIn(b"late", written[0][0])

    def test_one_write(self) -> None:
        """All pieces of a turn leave in one write."""
        end = End(FastStreamServerProtocol, LIMIT)
        writes: list[bytes] = []
        self.patch(end.transport, "write", writes.append)
        end.protocol.write([b"a", b"b"])
        self.assertEqual(writes, [b"\x81\x01a\x81\x01b"])

    def test_autobahn_is_not_asked(self) -> None:
        """Plain frames do not pass through Autobahn at all: or else this class would be for nothing."""

        def fail(protocol: Any) -> None:
            raise AssertionError("Autobahn was asked")

        self.patch(FastStreamServerProtocol, "consumeData", fail)
        end = End.__new__(End)
        with self.assertRaises(AssertionError):
            End.__init__(end, FastStreamServerProtocol, LIMIT)
        self.patch(FastStreamServerProtocol, "consumeData", WebSocketProtocol.consumeData)
        end = End(FastStreamServerProtocol, LIMIT)
        self.patch(FastStreamServerProtocol, "consumeData", fail)
        end.feed([frame(b"a") + frame(b"x" * 300), frame(b"b")])
        self.assertEqual(end.sink.delivered, [b"a", b"x" * 300, b"b"])


class PrivateAttributes(SynchronousTestCase):
    """Autobahn's names that the fast path touches, and what it takes them to mean."""

    def test_names(self) -> None:
        """They are there after a handshake, with these values."""
        protocol = End(StreamServerProtocol, LIMIT).protocol
        self.assertEqual(protocol.state, WebSocketProtocol.STATE_OPEN)
        self.assertEqual((protocol.data, protocol.current_frame, protocol.inside_message), (b"", None, False))
        self.assertEqual((protocol.maxMessagePayloadSize, protocol.failedByMe), (LIMIT, False))
        self.assertIsInstance(protocol.trafficStats, TrafficStats)
        for name in ("_dataReceived", "consumeData", "sendCloseFrame", "_fail_connection"):
            self.assertTrue(callable(getattr(WebSocketServerProtocol, name)), name)
        self.assertIn("maxMessagePayloadSize", WebSocketProtocol.CONFIG_ATTRS_COMMON)

    def test_part_of_a_frame(self) -> None:
        """`data` is what is not understood yet; `current_frame` is there from a whole header on; `inside_message` holds
        between fragments."""
        protocol = End(StreamServerProtocol, LIMIT).protocol
        whole = frame(b"abc", fin=False)
        protocol.dataReceived(whole[:3])
        self.assertEqual((protocol.data, protocol.current_frame), (whole[:3], None))
        protocol.dataReceived(whole[3:7])
        self.assertEqual((protocol.data, protocol.current_frame.length), (b"", 3))
        protocol.dataReceived(whole[7:])
        self.assertEqual((protocol.current_frame, protocol.inside_message), (None, True))
