"""Whole messages over a connection, each behind its length: the framing of WebSocket without a WebSocket around it."""

from __future__ import annotations

from xmppfed.net.tcp import StreamClientProtocol, StreamProtocol, StreamServerProtocol

__all__ = ["MessageClientProtocol", "MessageServerProtocol"]

_LENGTH = 4  # bytes that tell how long the message behind them is


class _MessageProtocol(StreamProtocol):
    """What comes and goes is one message after another; an empty one is a sign of life."""

    keepalive = b""
    _partial = b""

    def dataReceived(self, data: bytes) -> None:
        """Deliver the messages that are complete."""
        self._partial += data
        while len(self._partial) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._partial[:_LENGTH])
            if len(self._partial) < end:
                return
            message, self._partial = self._partial[_LENGTH:end], self._partial[end:]
            if message:
                self.received(message)

    def write(self, pieces: list[bytes]) -> None:
        """One message for each piece."""
        super().write([len(piece).to_bytes(_LENGTH) + piece for piece in pieces])


class MessageServerProtocol(_MessageProtocol, StreamServerProtocol):
    """The receiving side."""


class MessageClientProtocol(_MessageProtocol, StreamClientProtocol):
    """The initiating side."""
