"""Clients over WebSocket (RFC 7395)."""

from __future__ import annotations

from twisted.application.service import Service

from xmppfed.core.framing import C2S
from xmppfed.net.arrival import Arrival
from xmppfed.net.connection import Connection
from xmppfed.services.clients import Clients, ClientSession
from xmppfed.services.login import ClientPolicy
from xmppfed.timeouts import Timeouts

__all__ = ["C2SWebSocket"]


class C2SWebSocket(Service):
    """Takes the client streams of the HTTPS port."""

    name = "c2s_ws"
    profile = C2S

    def __init__(self, clients: Clients, policy: ClientPolicy, timeouts: Timeouts, limit: int) -> None:
        """`policy` says who may log in how; `limit` is the longest stanza in bytes after login."""
        self.limit = limit
        self.silence = timeouts.client_silence
        self._clients = clients
        self._policy = policy

    def own(self, arrival: Arrival, connection: Connection[ClientSession]) -> ClientSession:
        """The session of a new client."""
        return self._clients.own(self._policy, arrival, connection)
