"""How many strangers may be connected at once: connections on which nobody has authenticated yet (XEP-0205, 4.3)."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from xmppfed.core.origins import origin

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
        who = origin(address)
        if len(self._origins) >= self._total or (self._each is not None and self._counts[who] >= self._each):
            return False
        self._origins[connection] = who
        self._counts[who] += 1
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
        who = self._origins.pop(connection, None)
        if who is not None:
            self._counts[who] -= 1
            if not self._counts[who]:
                del self._counts[who]
