"""The wire of a network in memory: who listens where, which connections there are, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from errno import ECONNREFUSED, ECONNRESET
from ipaddress import IPv4Address, ip_address
from itertools import count
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xmppfed.testing.sockets import ListeningSocket, StreamSocket

__all__ = ["Address", "Link", "Wiring", "canonical", "covers", "source"]

Address = tuple[str, int]

_LOOPBACK = {4: "127.0.0.1", 6: "::1"}
_OWN_ADDRESSES = {4: "198.51.100.1", 6: "2001:db8::1"}  # for documentation: RFC 5737, RFC 3849
_ANY = str(IPv4Address(0))
_FIRST_DESCRIPTOR = 1 << 20  # beyond any descriptor of the operating system, so that none is meant by mistake
_FIRST_EPHEMERAL_PORT = 49152  # RFC 6335, section 6


def canonical(host: str) -> str:
    """An address in its one spelling; no address is every IPv4 address. Raises ValueError for a name."""
    return str(ip_address(host or _ANY))


def covers(interface: str, host: str) -> bool:
    """Whether who listens on the interface is reached at the address: `::` takes both families, `0.0.0.0` its own."""
    return interface in (host, "::") or (interface == _ANY and ":" not in host)


def source(host: str) -> str:
    """The address that a connection to a host comes from, unless it was told another."""
    address = ip_address(host)
    return (_LOOPBACK if address.is_loopback else _OWN_ADDRESSES)[address.version]


class Wiring:
    """What the sockets of one network share: who listens where, and how bytes travel.

    `latency` is in seconds, one way. `largest_read` is the most bytes one read yields, or None. Nothing is ever heard
    from an address in `blackholes`, nor between two that are in `separated`.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.seconds = seconds
        self.latency = 0.0
        self.largest_read: int | None = None
        self.blackholes: set[str] = set()
        self.separated: set[frozenset[str]] = set()
        self.sockets: dict[int, ListeningSocket | StreamSocket] = {}
        self.listeners: list[ListeningSocket] = []
        self.links: list[Link] = []
        self.descriptors = count(_FIRST_DESCRIPTOR)
        self.ports = count(_FIRST_EPHEMERAL_PORT)

    def listener(self, host: str, port: int) -> ListeningSocket | None:
        """Who is reached at an address."""
        return next((one for one in self.listeners if one.name[1] == port and covers(one.name[0], host)), None)

    def next_arrival(self) -> float:
        """When something comes in that is still under way: a moment after now, or infinity."""
        now = self.seconds()
        return min((due for found in self.sockets.values() if (due := found.due()) > now), default=inf)

    def connect(self, client: StreamSocket, server: Address) -> None:
        """Begin a connection; the answer arrives at the client's socket like everything else."""
        if server[0] in self.blackholes or {client.name[0], server[0]} in self.separated:
            return
        if (listener := self.listener(*server)) is None:
            client.arrive(error=ECONNREFUSED)
            return
        self.links.append(Link(client, listener.reached(client, server), server))
        client.arrive()


class Link:
    """One connection: its addresses `client` and `server`, as the client sees them, and what becomes of it."""

    def __init__(self, client: StreamSocket, accepted: StreamSocket, server: Address) -> None:
        self.client, self.server = client.name, server
        self.frozen = False
        self._ends = (client, accepted)
        client.link = accepted.link = self

    def __repr__(self) -> str:
        return f"{self.client} -> {self.server}"

    def other(self, end: StreamSocket) -> StreamSocket:
        """The other end."""
        return self._ends[1] if end is self._ends[0] else self._ends[0]

    def cut(self) -> None:
        """Drop what is on the way; both ends get a reset, which who has paused reading sees later."""
        self.frozen = False
        for end in self._ends:
            end.fail(ECONNRESET)
