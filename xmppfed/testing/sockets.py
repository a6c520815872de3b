"""Sockets in memory: what Twisted's own TCP transports see where the operating system would be.

They answer as non-blocking sockets do (`EINPROGRESS`, `EWOULDBLOCK`, `ECONNREFUSED`, `ECONNRESET`, `EPIPE`), so
that the code above them is the code that runs in production.
"""

from __future__ import annotations

import socket
from collections import deque
from dataclasses import dataclass, replace
from errno import EADDRINUSE, ECONNRESET, EINPROGRESS, EPIPE, EWOULDBLOCK
from math import inf
from os import strerror
from typing import Any

from xmppfed.testing.wire import Address, Link, Wiring, canonical, covers, source

__all__ = ["CAPACITY", "ListeningSocket", "StreamSocket"]

CAPACITY = 65536  # bytes under way in one direction, before the sending socket blocks


class _Socket:
    """What every socket has: a descriptor, a name, and options that are kept and change nothing."""

    def __init__(self, wiring: Wiring, family: int) -> None:
        self.wiring, self.family = wiring, family
        self.name: Address = ("", 0)
        self.options: dict[tuple[int, int], Any] = {}
        self._descriptor = next(wiring.descriptors)

    def fileno(self) -> int:
        """A number that no file of the operating system has."""
        return self._descriptor

    def setblocking(self, flag: bool) -> None:
        """Nothing here ever blocks."""

    def setsockopt(self, level: int, option: int, value: object) -> None:
        """Remember the option."""
        self.options[level, option] = value

    def getsockopt(self, level: int, option: int) -> Any:
        """The value set, or 0."""
        return self.options.get((level, option), 0)

    def getsockname(self) -> tuple[Any, ...]:
        """The local address as the operating system tells it: four fields for IPv6."""
        return self.name if self.family == socket.AF_INET else (*self.name, 0, 0)

    def bind(self, address: tuple[Any, ...]) -> None:
        """Take a local address; port 0 takes a free one."""
        self.name = (canonical(address[0]), address[1] or next(self.wiring.ports))

    @property
    def closed(self) -> bool:
        """Whether the socket was closed on this side."""
        return self._descriptor not in self.wiring.sockets


class ListeningSocket(_Socket):
    """A socket that waits for connections on one interface and port."""

    def __init__(self, wiring: Wiring, family: int) -> None:
        super().__init__(wiring, family)
        self._reached: deque[tuple[float, StreamSocket]] = deque()
        wiring.sockets[self.fileno()] = self

    def __str__(self) -> str:
        return f"listening on {self.name[0]} port {self.name[1]}"

    def bind(self, address: tuple[Any, ...]) -> None:
        """Take an address that no other listening socket has, be it by a wildcard."""
        super().bind(address)
        for host, port in (other.name for other in self.wiring.listeners):
            if port == self.name[1] and (covers(host, self.name[0]) or covers(self.name[0], host)):
                raise OSError(EADDRINUSE, strerror(EADDRINUSE))

    def listen(self, backlog: int) -> None:
        """Answer from now on, however many wait to be accepted."""
        self.wiring.listeners.append(self)

    def reached(self, client: StreamSocket, server: Address) -> StreamSocket:
        """The server's end of a new connection, which waits to be accepted."""
        accepted = StreamSocket(self.wiring, self.family)
        accepted.name, accepted.remote = self._mapped(server), self._mapped(client.name)
        self._reached.append((self.wiring.seconds() + self.wiring.latency, accepted))
        return accepted

    def _mapped(self, address: Address) -> Address:
        mapped = self.family == socket.AF_INET6 and ":" not in address[0]
        return (f"::ffff:{address[0]}", address[1]) if mapped else address  # RFC 4291, 2.5.5.2

    def due(self) -> float:
        """When the next connection can be accepted."""
        return self._reached[0][0] if self._reached else inf

    def readable(self) -> bool:
        """Whether a connection can be accepted now."""
        return self.due() <= self.wiring.seconds()

    def accept(self) -> tuple[StreamSocket, tuple[Any, ...]]:
        """The next connection and where it comes from."""
        if not self.readable():
            raise BlockingIOError(EWOULDBLOCK, strerror(EWOULDBLOCK))
        accepted = self._reached.popleft()[1]
        return accepted, accepted.getpeername()

    def writable(self) -> bool:
        """Never: nothing is written here."""
        return False

    def shutdown(self, how: int) -> None:
        """Closing does it all."""

    def close(self) -> None:
        """Stop listening; connections that nobody accepted are reset."""
        self.wiring.sockets.pop(self.fileno(), None)
        if self in self.wiring.listeners:
            self.wiring.listeners.remove(self)
        for _, waiting in self._reached:
            waiting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, True)
            waiting.close()


@dataclass(frozen=True, slots=True)
class _Arrival:
    """What one socket gets from the wire at a moment: bytes, the end (no bytes), or an error of `errno`."""

    due: float
    data: memoryview
    error: int


class StreamSocket(_Socket):
    """One end of a connection, on its way or made."""

    def __init__(self, wiring: Wiring, family: int) -> None:
        super().__init__(wiring, family)
        self.remote: Address | None = None
        self.link: Link | None = None
        self._connecting = False
        self._arrivals: deque[_Arrival] = deque()
        self._size = 0
        wiring.sockets[self.fileno()] = self

    def __str__(self) -> str:
        return f"connection from {self.name} to {self.remote}"

    def getpeername(self) -> tuple[Any, ...]:
        """The other end's address, in the form of `getsockname`."""
        host, port = self.remote or ("", 0)
        return (host, port) if self.family == socket.AF_INET else (host, port, 0, 0)

    def connect_ex(self, address: tuple[Any, ...]) -> int:
        """Begin to connect; asked again when the answer is there, the answer as a number of `errno`, or 0."""
        if self._connecting:
            self._connecting = False
            return self._arrivals.popleft().error
        self._connecting = True
        self.remote = (canonical(address[0]), address[1])
        if not self.name[1]:
            self.bind((source(self.remote[0]), 0))
        self.wiring.connect(self, self.remote)
        return EINPROGRESS

    def arrive(self, data: bytes = b"", error: int = 0) -> None:
        """Have this end get bytes, its end or an error, after all that is already on the way and the latency."""
        due = self.wiring.seconds() + self.wiring.latency
        self._arrivals.append(_Arrival(due, memoryview(data), error))  # in order: only the first is ever looked at
        self._size += len(data)

    def fail(self, error: int) -> None:
        """Drop what is on the way to this end, and have it get the error at once."""
        self._arrivals = deque([_Arrival(self.wiring.seconds(), memoryview(b""), error)])

    def due(self) -> float:
        """When something comes in; never on a frozen link."""
        return self._arrivals[0].due if self._arrivals and not (self.link and self.link.frozen) else inf

    def readable(self) -> bool:
        """Whether something came in: the answer to a connection, bytes, the end or an error."""
        return self.due() <= self.wiring.seconds()

    def writable(self) -> bool:
        """Whether a write would do something: take bytes, or fail."""
        other = self._other()
        return other is not None and not self._connecting and (self._failed() or other.closed or other.room() > 0)

    def room(self) -> int:
        """How many more bytes fit on the way to this end."""
        return CAPACITY - self._size

    def _other(self) -> StreamSocket | None:
        return self.link.other(self) if self.link else None

    def _failed(self) -> bool:
        return self.readable() and self._arrivals[0].error != 0

    def recv(self, size: int) -> bytes:
        """At most `size` bytes of what came in, or none at the end."""
        if not self.readable():
            raise BlockingIOError(EWOULDBLOCK, strerror(EWOULDBLOCK))
        arrival = self._arrivals[0]
        if arrival.error:
            raise OSError(arrival.error, strerror(arrival.error))
        data = bytes(arrival.data[: min(size, self.wiring.largest_read or size)])
        self._size -= len(data)
        if len(data) < len(arrival.data):
            self._arrivals[0] = replace(arrival, data=arrival.data[len(data) :])
        elif data:  # the end stays, and is read again by whoever asks again
            self._arrivals.popleft()
        return data

    def send(self, data: memoryview) -> int:
        """Send what fits. A closed end swallows as much as would have fitted, as the first writes to one do on TCP."""
        other = self._other()
        if other is None or self._failed():
            raise BrokenPipeError(EPIPE, strerror(EPIPE))
        sent = bytes(data[: other.room()])
        if not sent:
            error = EPIPE if other.closed else EWOULDBLOCK
            raise OSError(error, strerror(error))
        other.arrive(sent)
        return len(sent)

    def shutdown(self, how: int) -> None:
        """Tell the other end that no more bytes come."""
        if (other := self._other()) is not None:
            other.arrive()

    def close(self) -> None:
        """Give the socket up; with `SO_LINGER` set, as `abortConnection` sets it, the other end gets a reset."""
        other = self._other()
        if other is not None and (socket.SOL_SOCKET, socket.SO_LINGER) in self.options:
            other.arrive(error=ECONNRESET)
        self.shutdown(socket.SHUT_RDWR)
        self.wiring.sockets.pop(self.fileno(), None)
        if self.link and other is not None and other.closed and self.link in self.wiring.links:
            self.wiring.links.remove(self.link)
