"""A WebSocket peer that shares no code with us: frames by hand, blocking, each wait with a limit."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
import ssl
import struct
import time
from pathlib import Path
from typing import Self

from tests.interop.processes import PATIENCE
from tests.interop.scenario import Failure

__all__ = ["Closed", "Listener", "Wire"]

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class Closed(Failure):
    """The peer has closed the WebSocket or the connection."""


class Wire:
    """One WebSocket. Without `masked` its frames break RFC 6455, 5.1, as those of PeerTube's livechat do."""

    def __init__(self, connection: ssl.SSLSocket, rest: bytes, *, masked: bool) -> None:
        self._connection = connection
        self._buffer = rest
        self._masked = masked

    @classmethod
    def connect(
        cls,
        port: int,
        host: str,
        authority: Path,
        *,
        address: str = "127.0.0.1",
        path: str = "/xmpp-websocket",
        certificate: Path | None = None,
        masked: bool = True,
        origin: str | None = None,
    ) -> Self:
        """Open a WebSocket to `host` at `address`, which must prove its name; `certificate` is shown when asked for."""
        context = ssl.create_default_context(cafile=authority)
        if certificate is not None:
            context.load_cert_chain(certificate)
        plain = socket.create_connection((address, port), PATIENCE)
        try:
            connection = context.wrap_socket(plain, server_hostname=host)
        except ssl.SSLError as error:
            raise Failure(f"no TLS with {host}: {error}") from None
        key = base64.b64encode(os.urandom(16)).decode()
        headers = {
            "Host": f"{host}:{port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Protocol": "xmpp",
            **({"Origin": origin} if origin else {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        head, rest = _head(connection)
        if " 101 " not in head.splitlines()[0] or not re.search(r"(?im)^sec-websocket-protocol: *xmpp\r?$", head):
            raise Failure(f"found the answer {head.splitlines()[0]!r}; wanted 101 and the subprotocol xmpp")
        return cls(connection, rest, masked=masked)

    @classmethod
    def accept(cls, connection: ssl.SSLSocket) -> Self:
        """Take the upgrade of a client that has connected."""
        head, rest = _head(connection)
        key = re.search(r"(?im)^sec-websocket-key: *(\S+)", head)
        if key is None:
            raise Failure(f"found the request {head.splitlines()[0]!r}; wanted an upgrade to WebSocket")
        accept = base64.b64encode(hashlib.sha1(key[1].encode() + _MAGIC).digest()).decode()
        connection.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n".encode()
        )
        return cls(connection, rest, masked=False)

    def send(self, text: str) -> None:
        """Send one text message."""
        self._frame(_TEXT, text.encode())

    def receive(self) -> str:
        """The next text message; pings are answered on the way, and do not prolong the wait. Raises `Closed`."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            opcode, payload = self._next_frame()
            if opcode == _TEXT:
                return payload.decode()
            if opcode == _PING:
                self._frame(_PONG, payload)
            elif opcode == _CLOSE:
                raise Closed(f"the peer closed the WebSocket with {payload[:2].hex()} {payload[2:]!r}")
        raise Failure(f"the peer said nothing but pings for {PATIENCE:.0f} s")

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()

    def _frame(self, opcode: int, payload: bytes) -> None:
        bit = 0x80 if self._masked else 0
        size = len(payload)
        head = bytes([0x80 | opcode, bit | size]) if size < 126 else struct.pack(">BBH", 0x80 | opcode, bit | 126, size)
        if self._masked:
            mask = os.urandom(4)
            head += mask
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._connection.sendall(head + payload)

    def _next_frame(self) -> tuple[int, bytes]:
        first, second = self._take(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._take(8))
        mask = self._take(4) if second & 0x80 else b"\0" * 4
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(self._take(size)))
        if not first & 0x80:
            raise Failure("found a fragmented message; neither peer known from the field takes one")
        return first & 0x0F, payload

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += _read(self._connection)
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


class Listener:
    """A TLS port on 127.0.0.1 that takes one WebSocket after another."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE)
        self.port: int = self._socket.getsockname()[1]

    def accept(self) -> Wire:
        """The next WebSocket."""
        try:
            connection, _ = self._socket.accept()
        except TimeoutError:
            raise Failure(f"nobody connected within {PATIENCE:.0f} s") from None
        connection.settimeout(PATIENCE)
        return Wire.accept(self._context.wrap_socket(connection, server_side=True))

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


def _head(connection: ssl.SSLSocket) -> tuple[str, bytes]:
    """The head of an HTTP message, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _read(connection)
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def _read(connection: ssl.SSLSocket) -> bytes:
    try:
        data = connection.recv(65536)
    except TimeoutError:
        raise Failure(f"the peer said nothing for {PATIENCE:.0f} s") from None
    except OSError as error:
        raise Closed(f"the connection broke: {error}") from None
    if not data:
        raise Closed("the peer closed the connection")
    return data
