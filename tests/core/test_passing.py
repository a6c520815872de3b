"""A stream that is passed through."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.element import Element
from xmppfed.core.events import Passed, StreamClosed, StreamFailed
from xmppfed.core.framing import C2S, Framing, MessageFraming, Opening
from xmppfed.core.namespaces import NS_STREAM
from xmppfed.core.passing import PassingStream
from xmppfed.core.stanza import Stanza
from xmppfed.core.stream import State
from xmppfed.core.streamframing import StreamFraming
from xmppfed.errors import StreamCondition

OPEN = b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a.example' version='1.0'/>"
CLOSE = b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"
HEADER = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='a.example' id='x' version='1.0'>"
)
MESSAGE = b"<message xmlns='jabber:client' to='b@a.example'><body>hi</body></message>"
AUTH = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA==</auth>"


def passing(framing: Framing, *, receiving: bool = True) -> PassingStream:
    """One end."""
    ids = count()
    return PassingStream(framing, receiving=receiving, new_id=lambda: f"id{next(ids)}", limit=20_000)


class PassingCase(SynchronousTestCase):
    """A client's end over WebSocket, and its server's over TCP."""

    def setUp(self) -> None:
        self.client = passing(MessageFraming(C2S, 10_000))
        self.server = passing(StreamFraming(C2S, 10_000), receiving=False)

    def condition(self, stream: PassingStream) -> StreamCondition:
        """Why the stream failed."""
        assert stream.failure is not None
        return stream.failure.condition


class Through(PassingCase):
    """Items pass, in the form of the other end."""

    def move(self, data: bytes, source: PassingStream, target: PassingStream) -> list[bytes]:
        """What is written at one end for what came at the other."""
        for event in source.receive(data):
            assert isinstance(event, Passed), event
            target.pass_on(event.item)
        return target.data_to_send()

    def test_both_ways(self) -> None:
        """Header, negotiation and stanzas."""
        (header,) = self.move(OPEN, self.client, self.server)
        self.assertIn(b"<stream:stream xmlns='jabber:client'", header)
        self.assertEqual((self.client.state, self.server.state), (State.NEGOTIATING, State.NEGOTIATING))
        features = b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features>"
        opened, offered = self.move(HEADER + features, self.server, self.client)
        self.assertEqual((opened[:6], b"id='x'" in opened), (b"<open ", True))
        self.assertTrue(offered.startswith(b"<stream:features xmlns:stream='%b'>" % NS_STREAM.encode()))
        self.assertEqual(self.move(AUTH, self.client, self.server), [AUTH])
        plain = MESSAGE.replace(b" xmlns='jabber:client'", b"")
        self.assertEqual(self.move(MESSAGE, self.client, self.server), [plain])
        self.assertEqual(self.move(plain, self.server, self.client), [MESSAGE])

    def test_limit(self) -> None:
        """What a client may say grows when it has been let in, and not before."""
        self.client.receive(OPEN)
        large = MESSAGE.replace(b"hi", b"x" * 15_000)
        self.client.raise_limit()
        self.assertIsInstance(self.client.receive(large)[0], Passed)
        self.server.receive(HEADER + large)
        self.assertIs(self.condition(self.server), StreamCondition.POLICY_VIOLATION)


class Ends(PassingCase):
    """A stream that is passed through ends like any other."""

    def test_closed(self) -> None:
        """Who closes is answered, once."""
        self.client.receive(OPEN)
        self.assertEqual(self.client.receive(CLOSE), [StreamClosed()])
        self.assertEqual(self.client.receive(MESSAGE), [])

    def test_closed_by_us(self) -> None:
        """After our end only theirs is waited for: nothing is passed any more, in either direction."""
        self.client.receive(OPEN)
        self.client.pass_on(Opening(id="x", version="1.0"))
        self.client.close()
        self.client.data_to_send()
        self.assertEqual(self.client.receive(MESSAGE), [])
        self.client.pass_on(Stanza("message", "jabber:client", {}))
        self.assertEqual(self.client.data_to_send(), [])
        self.assertEqual(self.client.receive(CLOSE), [StreamClosed()])

    def test_before_the_header(self) -> None:
        """Nothing passes before the header."""
        for stream, data in ((self.client, AUTH), (self.client, MESSAGE)):
            stream = passing(MessageFraming(C2S, 10_000))
            (event,) = stream.receive(data)
            self.assertIsInstance(event, StreamFailed)
            self.assertIs(self.condition(stream), StreamCondition.NOT_AUTHORIZED)

    def test_hostile(self) -> None:
        """What XMPP does not allow ends here, with the error that the RFC names."""
        for data, condition in (
            (b"<!DOCTYPE x><a/>", StreamCondition.RESTRICTED_XML),
            (b"<a/><b/>", StreamCondition.NOT_WELL_FORMED),
            (b"<a>" + b"x" * 10_000 + b"</a>", StreamCondition.POLICY_VIOLATION),
            (b"<message xmlns='jabber:server'/>", StreamCondition.INVALID_NAMESPACE),
        ):
            stream = passing(MessageFraming(C2S, 10_000))
            stream.receive(OPEN)
            stream.receive(data)
            self.assertIs(self.condition(stream), condition, data[:30])

    @given(st.lists(st.sampled_from([OPEN, CLOSE, MESSAGE, AUTH, b"<x", b"", b"\xff"]), max_size=8))
    def test_any_input(self, messages: list[bytes]) -> None:
        """Whatever comes, the state is a known one, and what has passed was whole."""
        stream = passing(MessageFraming(C2S, 10_000))
        for message in messages:
            for event in stream.receive(message):
                if isinstance(event, Passed):
                    self.assertIsInstance(event.item, (Opening, Stanza, Element))
        self.assertIn(stream.state, (State.AWAITING_HEADER, State.NEGOTIATING, State.ABANDONED, State.CLOSED))
