"""Ports for bare messages, in front of the services of a server of a test."""

from __future__ import annotations

from typing import Any

from twisted.application.service import MultiService

from xmppfed.core.framing import Framing, MessageFraming
from xmppfed.net.arrival import Arrival
from xmppfed.net.connection import Connection, Owner
from xmppfed.net.tls import ServerContexts
from xmppfed.services.intake import StreamService
from xmppfed.services.tcp import TCPService
from xmppfed.testing.messages import MessageServerProtocol
from xmppfed.testing.ways import PORTS
from xmppfed.timeouts import Timeouts

__all__ = ["Listening"]


class Listening(MultiService):
    """Gives each service the streams that come in at its port."""

    def __init__(self, reactor: Any, address: str, contexts: ServerContexts, timeouts: Timeouts) -> None:
        super().__init__()
        self._reactor = reactor
        self._address = address
        self._contexts = contexts
        self._timeouts = timeouts

    def take(self, service: StreamService) -> None:
        """Listen for the streams of `service`."""
        port = _MessagePort(service, self._reactor, self._timeouts)
        port.listen("", f"tcp:{PORTS[service.profile.name]}:interface={self._address}", self._contexts, ())
        port.setServiceParent(self)


class _MessagePort(TCPService):
    """Hands its streams to another service."""

    protocol = MessageServerProtocol

    def __init__(self, service: StreamService, reactor: Any, timeouts: Timeouts) -> None:
        super().__init__(reactor, timeouts, limit=service.limit, silence=service.silence)
        self.profile = service.profile
        self._service = service

    def own(self, arrival: Arrival, connection: Connection[Any]) -> Owner:
        """Who judges the stream: the other service says."""
        return self._service.own(arrival, connection)

    def framing(self, limit: int) -> Framing:
        """Whole messages."""
        return MessageFraming(self.profile, limit)
