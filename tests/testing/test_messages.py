"""Messages behind their length, over any connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.testing.messages import MessageClientProtocol


class Receiving(MessageClientProtocol):
    """Keeps what arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[bytes] = []

    def received(self, data: bytes) -> None:
        self.messages.append(data)


class Messages(SynchronousTestCase):
    """What one side writes the other gets, message by message."""

    @given(st.lists(st.binary(min_size=1)), st.integers(1, 20))
    def test_any_split(self, messages: list[bytes], size: int) -> None:
        """However the bytes are cut, the messages are the same."""
        writing, reading = MessageClientProtocol(), Receiving()
        writing.makeConnection(StringTransport())
        writing.write(messages)
        data = writing.transport.value()
        for start in range(0, len(data), size):
            reading.dataReceived(data[start : start + size])
        self.assertEqual(reading.messages, messages)

    def test_sign_of_life(self) -> None:
        """A ping is an empty message, which is none of the stream's."""
        writing, reading = MessageClientProtocol(), Receiving()
        writing.makeConnection(StringTransport())
        writing.ping()
        writing.write([b"<presence/>"])
        reading.dataReceived(writing.transport.value())
        self.assertEqual(reading.messages, [b"<presence/>"])
