"""How many strangers may be connected at once: connections on which nobody has authenticated yet (XEP-0205, 4.1)."""

from __future__ import annotations

from collections import Counter

__all__ = ["Admission"]


class Admission:
    """Counts strangers by address; who is not admitted is not served."""

    def __init__(self, *, total: int = 10_000, each: int | None = 100) -> None:
        """`each` is the most that one address may have; None behind a proxy, whose address all share."""
        self._total = total
        self._each = each
        self._addresses: dict[object, str] = {}
        self._counts: Counter[str] = Counter()

    def enter(self, connection: object, address: str) -> bool:
        """Admit a new connection, if there is room."""
        if len(self._addresses) >= self._total or (self._each is not None and self._counts[address] >= self._each):
            return False
        self._addresses[connection] = address
        self._counts[address] += 1
        return True

    def hand_over(self, old: object, new: object) -> None:
        """The same connection is represented by another object now."""
        if old in self._addresses:
            self._addresses[new] = self._addresses.pop(old)

    def leave(self, connection: object) -> None:
        """The connection is gone, or its peer no stranger any more; saying it twice does no harm."""
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]
