"""Servers over TCP (RFC 6120), those that come in; whom we reach so is the federation's to decide."""

from __future__ import annotations

from typing import Any

from xmppfed.core.framing import S2S
from xmppfed.net.arrival import Arrival
from xmppfed.net.connection import Connection
from xmppfed.services.federation import Federation
from xmppfed.services.incoming import Incoming
from xmppfed.services.tcp import TCPService

__all__ = ["S2STCP"]


class S2STCP(TCPService):
    """Takes the streams of servers on ports of its own."""

    name = "s2s_tcp"
    profile = S2S

    def __init__(self, federation: Federation, reactor: Any) -> None:
        timeouts = federation.timeouts
        super().__init__(reactor, timeouts, limit=federation.limit, silence=timeouts.server_silence)
        self._federation = federation

    def own(self, arrival: Arrival, connection: Connection[Incoming]) -> Incoming:
        """The owner of a stream that came in."""
        return Incoming(self._federation, arrival, connection)
