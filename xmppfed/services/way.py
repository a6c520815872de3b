"""The way to other domains on a stream between servers, whichever side opened it."""

from __future__ import annotations

from typing import Any

from xmppfed.core.events import Pair
from xmppfed.core.stanza import Stanza
from xmppfed.net.connection import Connection
from xmppfed.routing.remotes import Remotes

__all__ = ["Way"]


class Way:
    """Takes the stanzas of its `pairs` as long as the stream stands."""

    __slots__ = ("_connection", "_remotes", "pairs")

    def __init__(self, remotes: Remotes, connection: Connection[Any]) -> None:
        self._remotes = remotes
        self._connection = connection
        self.pairs: list[Pair] = []

    def open(self, pair: Pair) -> bool:
        """Stanzas of `pair` may go this way; false when they could already."""
        if pair in self.pairs:
            return False
        self.pairs.append(pair)
        self._remotes.established(pair, self.send)
        return True

    def send(self, stanza: Stanza) -> bool:
        """Send a stanza; false once the stream is at its end."""
        return self._connection.send(stanza)

    def close(self) -> None:
        """Nothing goes this way any more."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            self._remotes.lost(pair, self.send)
