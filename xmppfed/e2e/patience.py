"""What a stream waits for, a little: for its opener to speak (XEP-0198, 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from xmppfed.net.connection import Connection

__all__ = ["Patience"]

_SECONDS = 1.0


class Patience:
    """Has something done in a second, unless it is stopped."""

    __slots__ = ("_act", "_call", "_connection")

    def __init__(self, connection: Connection[Any], act: Callable[[], object]) -> None:
        self._connection = connection
        self._act = act
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """From now on, if the time does not run already."""
        if self._call is None:
            self._call = self._connection.later(_SECONDS, self._done)

    def stop(self) -> None:
        """It is not wanted any more."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _done(self) -> None:
        self._call = None
        self._act()
