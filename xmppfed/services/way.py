"""The way to other domains on a stream between servers, whichever side opened it."""

from __future__ import annotations

from typing import Any

from xmppfed.core.events import Pair
from xmppfed.core.framing import MessageFraming
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaError
from xmppfed.net.connection import Connection
from xmppfed.routing.remotes import Remotes
from xmppfed.services.management import Management

__all__ = ["UNANNOUNCED", "Way"]

UNANNOUNCED = 262_144
"""Bytes that a stanza may have for a server over WebSocket that does not say its limit: xmpp-proxy takes no more."""


class Way:
    """Takes the stanzas of its `pairs` as long as the stream stands."""

    __slots__ = ("_connection", "_filled", "_management", "_remotes", "closing", "pairs")

    def __init__(self, remotes: Remotes, connection: Connection[Any], management: Management) -> None:
        self._remotes = remotes
        self._connection = connection
        self._management = management
        if isinstance(connection.stream.framing, MessageFraming):
            connection.stream.peer_limit = UNANNOUNCED
        self._filled = False  # something waits for room
        self.pairs: list[Pair] = []
        self.closing = False  # nothing is sent any more; acknowledgements may still come

    def open(self, pair: Pair) -> bool:
        """Stanzas of `pair` may go this way; false when they could already."""
        if pair in self.pairs:
            return False
        self.pairs.append(pair)
        self._remotes.established(pair, self.send)
        return True

    def send(self, stanza: Stanza, sendings: int = 0) -> bool:
        """Send a stanza that was sent so often before; false once the stream is at its end, or has no room. What is too long
        for the peer returns to its sender."""
        ledger = self._connection.stream.ledger
        if ledger is not None and ledger.full:
            self._filled = True
            return False
        try:
            sent = self._connection.send(stanza)
        except StanzaError as error:
            self._remotes.bounce(stanza, error)
            return True
        if ledger is not None and sent:
            self._management.sent(sendings)
        return sent

    def acknowledged(self) -> None:
        """The peer may have got more: there is room for what waits, or nothing to wait for any more."""
        self._management.acknowledged()
        if self.closing:
            self.close(gone=False)
            return
        ledger = self._connection.stream.ledger
        if self._filled and ledger is not None and not ledger.full:  # the pairs may be many, and nothing bounds what is said
            self._filled = False
            for pair in list(self.pairs):
                self._remotes.freed(pair)

    def close(self, *, gone: bool) -> None:
        """Nothing goes this way any more. What lacks its acknowledgement may still get it, unless the peer is `gone`."""
        self.closing = True
        if self._management.ended(gone=gone):
            pairs, self.pairs = self.pairs, []
            for pair in pairs:
                self._remotes.lost(pair, self.send)
