"""One stream on one wire: time, bounds, and faults, over a wire that only remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger
from twisted.trial.unittest import SynchronousTestCase

from tests.net.websockets import CLOSE, MESSAGE, OPEN
from xmppfed.core.element import Element
from xmppfed.core.events import Event, OpenRequested, StanzaReceived, StreamClosed, StreamFailed
from xmppfed.core.framing import C2S, MessageFraming
from xmppfed.core.jid import JID
from xmppfed.core.stanza import Stanza
from xmppfed.core.stream import State, Stream
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.connection import Connection
from xmppfed.timeouts import Timeouts

SILENCE = 30.0
ANSWER = b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='example.org' id='1' version='1.0'/>"
FEATURES = b"<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>"
PEER_ERROR = (
    b"<stream:error xmlns:stream='http://etherx.jabber.org/streams'>"
    b"<conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
)


class Memory:
    """A wire that remembers what it was told, with the time of it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls: list[tuple[float, str]] = []
        self.sent: list[bytes] = []
        self.limit = 0

    def _say(self, what: str) -> None:
        self.calls.append((self.clock.seconds(), what))

    def write(self, pieces: list[bytes]) -> None:
        """Remember."""
        self.sent += pieces

    def take_at_most(self, size: int) -> None:
        """Remember."""
        self.limit = size

    def settled(self) -> None:
        """Remember."""
        self._say("settled")

    def ping(self) -> None:
        """Remember."""
        self._say("ping")

    def pause(self) -> None:
        """Remember."""
        self._say("pause")

    def resume(self) -> None:
        """Remember."""
        self._say("resume")

    def close(self, code: int) -> None:
        """Remember."""
        self._say(f"close {code}")

    def abort(self) -> None:
        """Remember."""
        self._say("abort")


class Service:
    """An owner that accepts what it is told to, when it is told to."""

    def __init__(self, connection: Connection[Service]) -> None:
        self.connection = connection
        self.events: list[Event] = []
        self.reasons: list[str] = []
        self.trusting = True
        self.late = False
        self.on_stanza: Callable[[Stanza], None] | None = None

    def handle(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)
        if isinstance(event, OpenRequested) and not self.late:
            self.accept()
        elif isinstance(event, StanzaReceived) and self.on_stanza is not None:
            self.on_stanza(event.stanza)

    def accept(self) -> None:
        """Let the peer in."""
        if self.trusting:
            self.connection.stream.prove(JID("juliet", "example.org", ""), "TEST")
        self.connection.stream.accept("example.org", [])

    def lost(self, reason: str) -> None:
        """Keep why."""
        self.reasons.append(reason)

    def kinds(self) -> list[type[Event]]:
        """What happened, in short."""
        return [type(event) for event in self.events]


class ConnectionCase(SynchronousTestCase):
    """A connection that has begun at a moment with a fraction."""

    receiving = True

    def setUp(self) -> None:
        """Connect."""
        self.clock = Clock()
        self.clock.rightNow = 1.8e9 + 0.1
        self.began = self.clock.seconds()
        self.wire = Memory(self.clock)
        stream = Stream(MessageFraming(C2S, 10_000), receiving=self.receiving, new_id=lambda: "id", limit=200_000)
        self.connection = Connection(stream, self.wire, Service, self.clock, Timeouts(), SILENCE)
        self.owner = self.connection.owner
        self.addCleanup(self.lose)

    def lose(self) -> None:
        """At the end nothing may wait, and the owner has heard of the end once."""
        if not self.owner.reasons:
            self.connection.wire_lost("the test is over")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.owner.reasons), 1)

    def establish(self) -> None:
        """Let the peer open the stream and be believed."""
        self.connection.received(OPEN)
        self.assertIs(self.connection.stream.state, State.ESTABLISHED)
        self.wire.calls.clear()
        self.wire.sent.clear()
        self.owner.events.clear()

    def told(self) -> list[tuple[float, str]]:
        """What the wire was told, and how many seconds after the beginning."""
        return [(round(when - self.began, 3), what) for when, what in self.wire.calls]

    def wait(self, seconds: float) -> None:
        """Let time pass, in steps that Clock likes: a call due at a moment is made at that moment."""
        end = self.clock.seconds() + seconds
        while (due := [call.getTime() for call in self.clock.getDelayedCalls() if call.getTime() <= end]) and min(due) > 0:
            self.clock.rightNow = max(min(due), self.clock.rightNow)
            self.clock.advance(0)
        self.clock.rightNow = end


class Headers(ConnectionCase):
    """Until the stream is established."""

    def test_no_header(self) -> None:
        """Ten seconds: `connection-timeout`, close, one second, abort."""
        self.wait(9.99)
        self.assertEqual(self.wire.sent, [])
        self.wait(2)
        self.assertIn(b"connection-timeout", self.wire.sent[1])
        self.assertEqual(self.told(), [(10, "close 1000"), (11, "abort")])
        self.connection.wire_lost("aborted")
        self.assertEqual(self.owner.reasons, ["no stream header came within 10 s"])

    def test_no_authentication(self) -> None:
        """Thirty seconds from the header, whatever else comes."""
        self.owner.trusting = False
        self.wait(5)
        self.connection.received(OPEN)
        for _ in range(10):
            self.wait(2.9)
            self.connection.heard()
        self.assertEqual(self.told(), [])
        self.wait(2)
        self.assertEqual(self.told(), [(35, "close 1000"), (36, "abort")])

    def test_the_owner_takes_its_time(self) -> None:
        """While the owner decides, the deadline of authentication runs."""
        self.owner.late = True
        self.connection.received(OPEN)
        self.wait(29)
        self.assertEqual(self.told(), [])
        self.owner.accept()
        self.connection.answered()
        self.assertEqual(self.told(), [(29, "settled")])
        self.assertTrue(self.wire.sent[0].startswith(b"<open"))

    def test_limits(self) -> None:
        """Strangers have little room, friends more, from the very moment."""
        self.assertEqual(self.wire.limit, 10_000)
        self.connection.received(OPEN)
        self.assertEqual(self.wire.limit, 200_000)

    def test_established(self) -> None:
        """The wire hears of it, and no deadline is left but that of the ping."""
        self.connection.received(OPEN)
        self.assertEqual(self.told(), [(0, "settled")])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_refused(self) -> None:
        """What is no stream header ends it at once: our header, the error, `<close/>`, then the wire's close."""
        self.connection.received(MESSAGE % b"a")
        self.assertEqual([one[:6] for one in self.wire.sent], [b"<open ", b"<strea", b"<close"])
        self.assertEqual(self.told(), [(0, "close 1000")])
        self.assertEqual(self.owner.kinds(), [StreamFailed])


class Initiating(ConnectionCase):
    """The other side of it."""

    receiving = False

    def test_no_answer(self) -> None:
        """Ten seconds for the answer to our header."""
        self.connection.stream.open(None, "example.org")
        self.connection.answered()
        self.wait(11)
        self.assertEqual(self.told(), [(10, "close 1000"), (11, "abort")])

    def test_no_features(self) -> None:
        """Thirty seconds from the answer until stanzas may pass."""
        self.connection.stream.open(None, "example.org")
        self.connection.answered()
        self.wait(3)
        self.connection.received(ANSWER)
        self.wait(31)
        self.assertEqual(self.told(), [(33, "close 1000"), (34, "abort")])

    def test_nothing_to_authenticate_with(self) -> None:
        """Features of which none helps end it, and the owner hears why."""
        self.connection.stream.open(None, "example.org")
        self.connection.answered()
        self.connection.received(ANSWER)
        self.connection.received(FEATURES)
        self.assertIn(StreamFailed, self.owner.kinds())
        self.connection.wire_lost("aborted")
        self.assertIn("unsupported-feature", self.owner.reasons[0])


class Silence(ConnectionCase):
    """Pings, on our clock."""

    def test_exactly(self) -> None:
        """A ping after 30 s of silence, another after 60 s, the end at 90 s."""
        self.establish()
        self.wait(200)
        self.assertEqual(self.told(), [(30, "ping"), (60, "ping"), (90, "abort")])
        self.connection.wire_lost("aborted")
        self.assertEqual(self.owner.reasons, ["2 pings were not answered"])

    def test_silence_counts_from_the_last_sign_of_life(self) -> None:
        """Data or a pong: each begins the silence anew, and forgives what was missed."""
        self.establish()
        self.wait(20)
        self.connection.received(MESSAGE % b"a")
        self.wait(29.9)
        self.assertEqual(self.told(), [])
        self.wait(0.2)
        self.assertEqual(self.told(), [(50, "ping")])
        self.wait(40)
        self.assertEqual(self.told()[1:], [(80, "ping")])
        self.connection.heard()
        self.wait(90)
        self.assertEqual(self.told()[2:], [(120.1, "ping"), (150.1, "ping"), (180.1, "abort")])

    def test_also_when_the_owner_was_slow(self) -> None:
        """The silence began with the peer's last word, not with our answer to it."""
        self.owner.late = True
        self.connection.received(OPEN)
        self.wait(25)
        self.owner.accept()
        self.connection.answered()
        self.wait(5)
        self.assertEqual(self.told(), [(25, "settled"), (30, "ping")])

    def test_very_slow(self) -> None:
        """A ping that is due already when the stream is established is sent at once."""
        timeouts = Timeouts(authentication=100)
        stream = Stream(MessageFraming(C2S, 10_000), receiving=True, new_id=lambda: "id", limit=200_000)
        self.connection = Connection(stream, self.wire, Service, self.clock, timeouts, SILENCE)
        self.lose_first()
        self.owner = self.connection.owner
        self.owner.late = True
        self.connection.received(OPEN)
        self.wait(65)
        self.owner.accept()
        self.connection.answered()
        self.wait(30)
        self.assertEqual(self.told(), [(65, "settled"), (65, "ping"), (65, "ping"), (90, "abort")])

    def lose_first(self) -> None:
        """Forget the connection of `setUp`."""
        for call in self.clock.getDelayedCalls()[:1]:
            call.cancel()

    @given(st.lists(st.floats(0.001, 100), max_size=30), st.floats(0, 2e9))
    def test_any_times(self, gaps: list[float], start: float) -> None:
        """However the signs of life come: a ping comes after each whole 30 s of silence, the end after 90 s, and the clock
        is never asked to make a call for ever."""
        clock = Clock()
        clock.rightNow = start
        wire = Memory(clock)
        stream = Stream(MessageFraming(C2S, 10_000), receiving=True, new_id=lambda: "id", limit=200_000)
        connection = Connection(stream, wire, Service, clock, Timeouts(), SILENCE)
        connection.received(OPEN)
        for gap in gaps:
            wire.calls.clear()
            began = clock.seconds()
            made = 0
            while clock.calls and clock.calls[0].getTime() <= began + gap:
                clock.rightNow = max(clock.rightNow, clock.calls[0].getTime())
                clock.advance(0)
                made += 1
                self.assertLess(made, 20)
            clock.rightNow = began + gap
            self.assertEqual([what for _, what in wire.calls], ["ping", "ping", "abort"][: int((gap + 1e-6) // 30)])
            if gap > 89:
                break
            connection.heard()
        connection.wire_lost("over")
        self.assertEqual(clock.getDelayedCalls(), [])


class Ends(ConnectionCase):
    """How it ends."""

    def test_ours_answered(self) -> None:
        """`<close/>`, answered: the wire is closed at once."""
        self.establish()
        self.connection.close()
        self.wait(2)
        self.assertEqual(self.told(), [])
        self.connection.received(CLOSE)
        self.assertEqual(self.told(), [(2, "close 1000")])
        self.connection.wire_lost("odd words of the transport")
        self.assertEqual(self.owner.reasons, ["the stream was closed"])
        self.assertEqual(self.owner.kinds(), [StreamClosed])

    def test_ours_unanswered(self) -> None:
        """Five seconds, the wire's close, one second, abort."""
        self.establish()
        self.connection.close()
        self.wait(20)
        self.assertEqual(self.told(), [(5, "close 1000"), (6, "abort")])

    def test_somewhere_else(self) -> None:
        """`see-other-uri` goes with our `<close/>` (RFC 7395, 3.6.1)."""
        self.connection.close("wss://example.net/")
        self.assertIn(b"wss://example.net/", self.wire.sent[0])
        self.assertEqual(self.told(), [(0, "close 1000")])

    def test_theirs(self) -> None:
        """The peer's `<close/>` is answered before the wire is closed."""
        self.establish()
        self.connection.received(CLOSE)
        self.assertTrue(self.wire.sent[0].startswith(b"<close"))
        self.assertEqual(self.told(), [(0, "close 1000")])
        self.wait(5)
        self.assertEqual(self.told()[1:], [(1, "abort")])

    def test_eof_after_close(self) -> None:
        """The end without a WebSocket close is clean once `<close/>` was sent."""
        self.establish()
        self.connection.close()
        self.connection.wire_lost("no Close frame came")
        self.assertEqual(self.owner.reasons, ["the stream was closed"])

    def test_eof_in_between(self) -> None:
        """In the middle of a stream it is not."""
        self.establish()
        self.connection.wire_lost("no Close frame came")
        self.assertEqual(self.owner.reasons, ["no Close frame came"])

    def test_codes(self) -> None:
        """What a stream error means to a WebSocket (RFC 6455, 7.4.1; RFC 7395, 3.6)."""
        for condition, code in (
            (StreamCondition.UNSUPPORTED_ENCODING, 1007),
            (StreamCondition.SYSTEM_SHUTDOWN, 1012),
            (StreamCondition.CONFLICT, 1000),
        ):
            self.connection.wire_lost("next")
            self.setUp()
            self.connection.fail(StreamError(condition))
            self.assertEqual(self.told(), [(0, f"close {code}")])

    def test_the_peers_error(self) -> None:
        """It is the peer's end, and ours."""
        self.establish()
        self.connection.received(PEER_ERROR)
        self.assertEqual(self.told(), [(0, "close 1000")])
        self.assertEqual([event.sent for event in self.owner.events if isinstance(event, StreamFailed)], [False])

    def test_no_ping_after_the_end(self) -> None:
        """While the end is awaited nothing else is."""
        self.establish()
        self.connection.close()
        self.wait(4)
        self.connection.wire_lost("gone")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_the_loss(self) -> None:
        """Late answers, stanzas, cuts and blocks change nothing and reach nobody."""
        self.owner.late = True
        self.connection.received(OPEN)
        self.connection.wire_lost("gone")
        self.owner.events.clear()
        self.owner.accept()
        self.connection.answered()
        self.connection.send(Stanza.from_element(Element("message", "jabber:client")))
        self.connection.received(OPEN)
        self.connection.output_blocked()
        self.connection.output_free()
        self.connection.cut("late")
        self.connection.fail(StreamError(StreamCondition.RESET))
        self.connection.close()
        self.assertEqual((self.wire.calls, self.wire.sent, self.owner.events), ([], [], []))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.owner.reasons, ["gone"])

    def test_the_first_reason_counts(self) -> None:
        """Of several cuts the first is the reason."""
        self.establish()
        self.connection.cut("first")
        self.connection.cut("second")
        self.connection.wire_lost("third")
        self.assertEqual(self.owner.reasons, ["first"])


class Blocked(ConnectionCase):
    """Output that the peer does not read."""

    def setUp(self) -> None:
        """On an established stream."""
        super().setUp()
        self.establish()

    def send(self, size: int) -> None:
        """Send a message with so many bytes of text."""
        element = Element("message", "jabber:client")
        element.add("body", text="a" * size)
        self.connection.send(Stanza.from_element(element))

    def test_reading_stops_and_goes_on(self) -> None:
        """The wire stops reading as long as its output is blocked, said once."""
        self.connection.output_blocked()
        self.connection.output_blocked()
        self.wait(10)
        self.connection.output_free()
        self.connection.output_free()
        self.assertEqual(self.told(), [(0, "pause"), (10, "resume")])
        self.wait(19)
        self.assertEqual(len(self.told()), 2)

    def test_a_minute(self) -> None:
        """After 60 s in one piece the peer is cut; two times 40 s are not 60."""
        for _ in range(2):
            self.connection.output_blocked()
            self.wait(40)
            self.connection.output_free()
            self.connection.heard()
        self.connection.output_blocked()
        self.wait(60)
        self.assertIn((140, "abort"), self.told())
        self.connection.wire_lost("aborted")
        self.assertEqual(self.owner.reasons, ["the peer did not read what waited for it for 60 s"])

    def test_a_mebibyte(self) -> None:
        """Up to 1 MiB may wait, not more; counted anew after each relief."""
        for _ in range(3):
            self.connection.output_blocked()
            for _ in range(10):
                self.send(100_000)
            self.connection.output_free()
        self.assertNotIn("abort", [what for _, what in self.told()])
        self.connection.output_blocked()
        for _ in range(11):
            self.send(100_000)
        self.assertEqual(self.told()[-1], (0, "abort"))
        self.connection.wire_lost("aborted")
        self.assertEqual(self.owner.reasons, ["more than 1048576 bytes waited for a peer that does not read"])

    def test_nothing_is_counted_while_it_flows(self) -> None:
        """Any amount may pass to a peer that reads."""
        for _ in range(30):
            self.send(100_000)
        self.assertEqual(self.told(), [])


class Faults(ConnectionCase):
    """Faults of ours end this stream, and no other; the peer hears of one, and nothing about it."""

    def assert_fault(self) -> None:
        """Logged, said, ended."""
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertIn(b"internal-server-error", b"".join(self.wire.sent))
        self.assertNotIn(b"secret", b"".join(self.wire.sent))
        self.assertEqual(self.told(), [(0, "close 1000")])
        self.connection.wire_lost("closed")
        self.assertEqual(self.owner.reasons, ["internal-server-error"])

    def fault(self, *_: object) -> None:
        """What is wrong with our code."""
        raise RuntimeError("a secret")

    def test_in_the_owner(self) -> None:
        """While it handles an event; what came with it is not handled any more."""
        self.establish()
        self.owner.on_stanza = self.fault
        self.connection.received(MESSAGE % b"a")
        self.connection.received(MESSAGE % b"b")
        self.assertEqual(self.owner.kinds(), [StanzaReceived])
        self.assert_fault()

    def test_in_the_core(self) -> None:
        """While the stream reads what came."""
        self.establish()
        self.patch(self.connection.stream, "receive", self.fault)
        self.connection.received(MESSAGE % b"a")
        self.assert_fault()

    def test_in_a_late_answer(self) -> None:
        """While the owner handles what its own answer brought about."""
        self.owner.late = True
        self.connection.received(OPEN)
        self.patch(self.owner, "handle", self.fault)
        self.owner.accept()
        self.connection.answered()
        self.assert_fault()

    def test_after_the_error(self) -> None:
        """A stream that has failed already says nothing more."""

        def fail(stanza: Stanza) -> None:
            self.connection.stream.fail(StreamError(StreamCondition.RESET))
            raise RuntimeError("a secret")

        self.establish()
        self.owner.on_stanza = fail
        self.connection.received(MESSAGE % b"a")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertNotIn(b"internal-server-error", b"".join(self.wire.sent))

    def test_what_the_peer_calls_itself(self) -> None:
        """The log shows it without line ends, and not at any length."""
        events: list[LogEvent] = []
        self.patch(Connection, "log", Logger(observer=cast(Any, events.append)))
        sender = "a&#10;fake line&#x202e;" + "b" * 1_000
        self.owner.late = True
        self.connection.received(OPEN.replace(b" to=", f" from='{sender}' to=".encode()))
        self.patch(self.owner, "handle", self.fault)
        self.owner.accept()
        self.connection.answered()
        peer = events[0]["peer"]
        self.assertTrue(peer.isprintable())
        self.assertLessEqual(len(peer), 256)

    def test_handlers_may_send_and_end(self) -> None:
        """An owner may send and close while it handles: order is kept, nothing follows `<close/>` (RFC 6120, 4.4)."""
        self.establish()

        def answer(stanza: Stanza) -> None:
            self.connection.send(stanza)
            self.connection.close()
            self.connection.send(stanza)

        self.owner.on_stanza = answer
        self.connection.received(MESSAGE % b"a")
        self.assertEqual([one[:6] for one in self.wire.sent], [b"<messa", b"<close"])
        self.connection.received(CLOSE)
        self.assertEqual(self.told(), [(0, "close 1000")])
