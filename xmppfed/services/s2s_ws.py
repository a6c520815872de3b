"""Servers over WebSocket (XEP-0468), both directions."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from xmppfed.core.framing import S2S
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.arrival import Arrival
from xmppfed.net.connection import Connection
from xmppfed.routing.router import Router
from xmppfed.services.federation import Federation
from xmppfed.services.incoming import Incoming

__all__ = ["S2SWebSocket"]


class S2SWebSocket(Service):
    """Takes the server streams of the HTTPS port; those that we open are the federation's."""

    name = "s2s_ws"
    profile = S2S

    def __init__(self, federation: Federation, router: Router) -> None:
        self._federation = federation
        self._router = router
        self.limit = federation.limit
        self.silence = federation.timeouts.server_silence

    def own(self, arrival: Arrival, connection: Connection[Incoming]) -> Incoming:
        """The owner of a stream that came in."""
        incoming = Incoming(self._federation, self._router, arrival, connection)
        self._federation.streams.add(incoming)
        return incoming

    def stopService(self) -> Deferred[None]:
        """Close every stream in good order, and wait until the last connection is gone."""
        super().stopService()
        return self._federation.stop(StreamError(StreamCondition.SYSTEM_SHUTDOWN))
