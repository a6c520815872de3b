"""Clients over WebSocket (RFC 7395)."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from xmppfed.core.framing import C2S
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.arrival import Arrival
from xmppfed.net.connection import Connection
from xmppfed.services.clients import Clients, ClientSession
from xmppfed.timeouts import Timeouts

__all__ = ["C2SWebSocket"]


class C2SWebSocket(Service):
    """Takes the client streams of the HTTPS port."""

    name = "c2s_ws"
    profile = C2S

    def __init__(self, clients: Clients, timeouts: Timeouts, limit: int) -> None:
        """`limit` is the longest stanza in bytes after login."""
        self.clients = clients
        self.limit = limit
        self.silence = timeouts.client_silence

    def own(self, arrival: Arrival, connection: Connection[ClientSession]) -> ClientSession:
        """The session of a new client."""
        return self.clients.own(arrival, connection)

    def stopService(self) -> Deferred[None]:
        """End every session, and wait until the last connection is gone."""
        super().stopService()
        return self.clients.streams.end_all(StreamError(StreamCondition.SYSTEM_SHUTDOWN))
