"""The way to other domains on a stream between servers, whichever side opened it."""

from __future__ import annotations

from typing import Any

from xmppfed.core.events import Pair
from xmppfed.core.framing import MessageFraming
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaError
from xmppfed.net.connection import Connection
from xmppfed.routing.remotes import Remotes

__all__ = ["UNANNOUNCED", "Way"]

UNANNOUNCED = 262_144
"""Bytes that a stanza may have for a server over WebSocket that does not say its limit: xmpp-proxy takes no more."""


class Way:
    """Takes the stanzas of its `pairs` as long as the stream stands."""

    __slots__ = ("_connection", "_remotes", "pairs")

    def __init__(self, remotes: Remotes, connection: Connection[Any]) -> None:
        self._remotes = remotes
        self._connection = connection
        if isinstance(connection.stream.framing, MessageFraming):
            connection.stream.peer_limit = UNANNOUNCED
        self.pairs: list[Pair] = []

    def open(self, pair: Pair) -> bool:
        """Stanzas of `pair` may go this way; false when they could already."""
        if pair in self.pairs:
            return False
        self.pairs.append(pair)
        self._remotes.established(pair, self.send)
        return True

    def send(self, stanza: Stanza) -> bool:
        """Send a stanza; false once the stream is at its end. What is too long for the peer returns to its sender."""
        try:
            return self._connection.send(stanza)
        except StanzaError as error:
            self._remotes.bounce(stanza, error)
            return True

    def close(self) -> None:
        """Nothing goes this way any more."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            self._remotes.lost(pair, self.send)
