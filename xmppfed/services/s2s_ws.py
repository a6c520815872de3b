"""Servers over WebSocket (XEP-0468), those that come in; whom we reach so is the federation's to decide."""

from __future__ import annotations

from twisted.application.service import Service

from xmppfed.core.framing import S2S
from xmppfed.net.arrival import Arrival
from xmppfed.net.connection import Connection
from xmppfed.services.federation import Federation
from xmppfed.services.incoming import Incoming

__all__ = ["S2SWebSocket"]


class S2SWebSocket(Service):
    """Takes the server streams of the HTTPS port."""

    name = "s2s_ws"
    profile = S2S

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self.limit = federation.limit
        self.silence = federation.timeouts.server_silence

    def own(self, arrival: Arrival, connection: Connection[Incoming]) -> Incoming:
        """The owner of a stream that came in."""
        return Incoming(self._federation, arrival, connection)
