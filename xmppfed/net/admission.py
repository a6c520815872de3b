"""How many strangers may be connected at once: connections on which nobody has authenticated yet (XEP-0205, 4.3)."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Protocol

__all__ = ["Admission", "Stranger"]


class Stranger(Protocol):
    """A connection on which nobody has authenticated yet."""

    def dismiss(self) -> None:
        """The server stops: end the connection, unless a stream has begun on it, which its service ends."""


class Admission:
    """Counts strangers by address; who is not admitted is not served."""

    def __init__(self, *, total: int = 10_000, each: int | None = 100) -> None:
        """`each` is the most that one address may have; None behind a proxy, whose address all share."""
        self._total = total
        self._each = each
        self._origins: dict[Stranger, str] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._origins)

    def enter(self, connection: Stranger, address: str) -> bool:
        """Admit a new connection, if there is room."""
        origin = _origin(address)
        if len(self._origins) >= self._total or (self._each is not None and self._counts[origin] >= self._each):
            return False
        self._origins[connection] = origin
        self._counts[origin] += 1
        return True

    def hand_over(self, old: Stranger, new: Stranger) -> None:
        """The same connection is represented by another object now."""
        if old in self._origins:
            self._origins[new] = self._origins.pop(old)

    def dismiss(self) -> None:
        """Send every stranger away."""
        for connection in list(self._origins):
            connection.dismiss()

    def leave(self, connection: Stranger) -> None:
        """The connection is gone, or its peer no stranger any more; saying it twice does no harm."""
        origin = self._origins.pop(connection, None)
        if origin is not None:
            self._counts[origin] -= 1
            if not self._counts[origin]:
                del self._counts[origin]


def _origin(address: str) -> str:
    """What counts as one: with IPv6 the network of a subscriber, who can use 2^64 addresses at will (RFC 6177)."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:  # the peer on a Unix socket
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False))
