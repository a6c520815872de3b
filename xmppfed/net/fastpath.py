"""The short way for plain text frames on the server side, beside Autobahn's.

Stock Autobahn spends most of a stanza's time in debug texts, a Deferred and an event per message, mask objects and the
layers of `sendMessage`. A complete, unfragmented, masked text frame in the open state needs none of them; everything
else, from the handshake to the least irregular frame, goes through Autobahn unchanged.
"""

from __future__ import annotations

from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol

from xmppfed.net.websocket import StreamServerProtocol

__all__ = ["FastStreamServerProtocol"]

_OPEN = WebSocketProtocol.STATE_OPEN
_FINAL_TEXT = 0x81
_MASKED = 0x80
_LONG, _LONGER = _MASKED | 126, _MASKED | 127


class FastStreamServerProtocol(StreamServerProtocol):
    """Touches these of Autobahn's: `state`, `data`, `current_frame`, `inside_message`, `trafficStats`,
    `maxMessagePayloadSize`, `consumeData`. A test pins them."""

    # Autobahn gives these types that hold at first only.
    current_frame: Any
    inside_message: Any
    transport: Any

    def dataReceived(self, data: bytes) -> None:
        """Take whole plain frames off the front; the rest is Autobahn's."""
        if self.state != _OPEN or self.current_frame is not None or self.inside_message:
            super().dataReceived(data)
            return
        self.trafficStats.incomingOctetsWireLevel += len(data)
        rest = self._plain_frames(self.data + data if self.data else data)
        self.data = rest
        if rest:
            if self.connection is not None:
                self.connection.heard()
            self.consumeData()

    def _plain_frames(self, data: bytes) -> bytes:
        """Deliver the plain text frames at the front of `data`; what is left begins with something else, or is partial."""
        position, end = 0, len(data)
        while end - position >= 6 and data[position] == _FINAL_TEXT:
            size, start = data[position + 1], position + 6
            if size == _LONG:
                size = (data[position + 2] << 8 | data[position + 3]) + _MASKED
                start = position + 8
                if size < _LONG:
                    break  # not the shortest form of the length: Autobahn refuses it
            elif size < _MASKED or size == _LONGER:
                break
            size -= _MASKED
            following = start + size
            if size > self.maxMessagePayloadSize or following > end:
                break
            self._deliver(_unmasked(data[start - 4 : start], data[start:following]))
            position = following
            if self.state != _OPEN or self.current_frame is not None or self.inside_message:
                break
        return data[position:] if position else data

    def _deliver(self, payload: bytes) -> None:
        stats = self.trafficStats
        stats.incomingOctetsWebSocketLevel += len(payload)
        stats.incomingOctetsAppLevel += len(payload)
        stats.incomingWebSocketFrames += 1
        stats.incomingWebSocketMessages += 1
        self.unmasked = False
        self.message(payload)

    def write(self, pieces: list[bytes]) -> None:
        """One unmasked frame for each piece, in one write."""
        if self.state != _OPEN:
            return
        stats = self.trafficStats
        frames: list[bytes] = []
        for piece in pieces:
            size = len(piece)
            frames.append(_header(size))
            frames.append(piece)
            stats.outgoingOctetsAppLevel += size
            stats.outgoingOctetsWebSocketLevel += size
        stats.outgoingWebSocketFrames += len(pieces)
        stats.outgoingWebSocketMessages += len(pieces)
        data = b"".join(frames)
        stats.outgoingOctetsWireLevel += len(data)
        self.transport.write(data)


def _header(size: int) -> bytes:
    """The header of a server's unfragmented text frame (RFC 6455, 5.2)."""
    if size < 126:
        return bytes((_FINAL_TEXT, size))
    if size < 65_536:
        return bytes((_FINAL_TEXT, 126)) + size.to_bytes(2, "big")
    return bytes((_FINAL_TEXT, 127)) + size.to_bytes(8, "big")


def _unmasked(mask: bytes, payload: bytes) -> bytes:
    """RFC 6455, 5.3, on all bytes at once."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")
