"""Ports for streams that begin with TLS, in front of the services of a server of a test."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import MultiService
from twisted.internet.endpoints import TCP4ServerEndpoint

from xmppfed.core.stream import Stream
from xmppfed.net.admission import Admission
from xmppfed.net.arrival import Arrival
from xmppfed.net.certificates import moment
from xmppfed.net.connection import Connection
from xmppfed.net.peer import channel_bindings, judge, own_leaf
from xmppfed.net.tcp import StreamServerFactory, StreamServerProtocol
from xmppfed.net.tls import ServerContexts, tls_server_factory
from xmppfed.services.http import FIRST_LIMIT, StreamService
from xmppfed.testing.ways import PORTS, Direct
from xmppfed.timeouts import Timeouts

__all__ = ["Listening"]


class Listening(MultiService):
    """Gives each service the streams that come in at its port."""

    def __init__(self, way: Direct, reactor: Any, address: str, contexts: ServerContexts, timeouts: Timeouts) -> None:
        super().__init__()
        self._way = way
        self._reactor = reactor
        self._address = address
        self._contexts = contexts
        self._timeouts = timeouts

    def take(self, service: StreamService) -> None:
        """Listen for the streams of `service`."""
        factory = StreamServerFactory(
            _Accepting(self._way, self._reactor, service, self._timeouts),
            self._reactor,
            self._timeouts,
            Admission(),
            self._way.server,
        )
        endpoint = TCP4ServerEndpoint(self._reactor, PORTS[service.profile.name], interface=self._address)
        wrapped = tls_server_factory(self._contexts.creator(protocols=()), factory, self._reactor)
        StreamServerEndpointService(endpoint, wrapped).setServiceParent(self)


class _Accepting:
    """Makes the connections of one port."""

    def __init__(self, way: Direct, reactor: Any, service: StreamService, timeouts: Timeouts) -> None:
        self._way = way
        self._reactor = reactor
        self._service = service
        self._timeouts = timeouts

    def accept(self, protocol: StreamServerProtocol) -> Connection[Any]:
        """A stream for the service of this port, the peer's certificate judged."""
        service, transport = self._service, protocol.transport
        stream = Stream(
            self._way.framing(service.profile, FIRST_LIMIT),
            receiving=True,
            new_id=partial(secrets.token_hex, 16),
            limit=service.limit,
            secure=True,
        )
        arrival = Arrival(
            address=transport.getPeer().host,
            secure=True,
            certificate=judge(transport, moment(self._reactor)),
            bindings=lambda _: channel_bindings(transport, own_leaf(transport)),
        )
        return Connection(stream, protocol, partial(service.own, arrival), self._reactor, self._timeouts, service.silence)
