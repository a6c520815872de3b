"""Clients over TCP (RFC 6120)."""

from __future__ import annotations

from typing import Any

from xmppfed.core.framing import C2S
from xmppfed.net.arrival import Arrival
from xmppfed.net.connection import Connection
from xmppfed.services.clients import Clients, ClientSession
from xmppfed.services.login import ClientPolicy
from xmppfed.services.tcp import TCPService
from xmppfed.timeouts import Timeouts

__all__ = ["C2STCP"]


class C2STCP(TCPService):
    """Takes the streams of clients on ports of its own."""

    name = "c2s_tcp"
    profile = C2S

    def __init__(self, clients: Clients, policy: ClientPolicy, reactor: Any, timeouts: Timeouts, limit: int) -> None:
        """`policy` says who may log in how; `limit` is the longest stanza in bytes after login."""
        super().__init__(reactor, timeouts, limit=limit, silence=timeouts.client_silence)
        self._clients = clients
        self._policy = policy

    def own(self, arrival: Arrival, connection: Connection[ClientSession]) -> ClientSession:
        """The session of a new client."""
        return self._clients.own(self._policy, arrival, connection)
