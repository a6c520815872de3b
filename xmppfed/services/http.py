"""The one HTTPS port: WebSocket for clients and servers, the documents that say so, and what others add."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource

from xmppfed.core.events import Event, OpenRequested
from xmppfed.core.framing import C2S, MessageFraming, Profile, opening_profile
from xmppfed.core.jid import domain_or_nothing
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.admission import Admission
from xmppfed.net.arrival import Arrival, address_of
from xmppfed.net.certificates import moment
from xmppfed.net.connection import Connection, Wire
from xmppfed.net.fastpath import FastStreamServerProtocol
from xmppfed.net.httpport import HTTPPort, StreamResource
from xmppfed.net.peer import PeerCertificate, channel_bindings, judge, own_leaf
from xmppfed.net.proxies import Presented, TrustedProxies, Word
from xmppfed.net.proxyport import listen
from xmppfed.net.tls import ServerContexts, tls_server_factory
from xmppfed.net.websocket import Acceptor, StreamServerFactory, StreamServerProtocol
from xmppfed.services.intake import FIRST_LIMIT, StreamService, take
from xmppfed.timeouts import Timeouts

__all__ = ["PATHS", "HTTPService"]

PATHS = (b"xmpp-websocket", b"ws", b"xmpp-websocket-s2s")


class StreamRelay(Protocol):
    """Who passes on the streams of clients for a domain."""

    def take(self, wire: Wire, arrival: Arrival) -> Connection[Any]:
        """The connection of a client whose stream begins on `wire`."""


class HTTPService(MultiService):
    """Listens on `endpoint`; each stream goes to the service that takes its kind."""

    name = "http"

    def __init__(
        self,
        reactor: Any,
        endpoint: str,
        timeouts: Timeouts,
        contexts: ServerContexts | None,
        *,
        behind_proxy: bool,
        fast_path: bool = True,
        proxies: TrustedProxies | None = None,
        proxy_protocol: bool = False,
        judge_presented: Callable[[Presented], PeerCertificate] | None = None,
    ) -> None:
        """TLS is ended here with `contexts`, or by the reverse proxy in front, with the same certificates if it has them.

        `proxies` are listened to, by the PROXY protocol where that is spoken; what certificate they say that a client
        has shown is judged by `judge_presented`.
        """
        super().__init__()
        self._reactor = reactor
        self._timeouts = timeouts
        self._contexts = contexts
        self._behind_proxy = behind_proxy
        self._judge_presented = judge_presented
        self._services: dict[str, StreamService] = {}
        self._relays: dict[str, StreamRelay] = {}
        self.root = Resource()
        self._admission = admission = Admission(each=None) if behind_proxy else Admission()
        protocol = FastStreamServerProtocol if fast_path else StreamServerProtocol
        self.refused: deque[str] = deque(maxlen=16)
        """Why handshakes for WebSocket were refused, the last of them."""
        self._streams = partial(
            StreamServerFactory,
            clock=reactor,
            timeouts=timeouts,
            first_limit=FIRST_LIMIT,
            admission=admission,
            protocol=protocol,
            proxies=proxies,
        )
        for path in PATHS:
            self.add_door(path, self)
        factory: Any = HTTPPort(self.root, reactor, timeouts, admission)
        if not behind_proxy:
            assert contexts is not None  # the configuration demands certificates
            factory = tls_server_factory(contexts.creator(), factory, reactor)
        speakers = proxies if proxy_protocol else None
        self._port: StreamServerEndpointService = listen(reactor, endpoint, factory, speakers, timeouts.handshake)
        self._port.setServiceParent(self)

    def add_door(self, path: bytes, acceptor: Acceptor) -> None:
        """Give `acceptor` the WebSockets that are opened at a path of one segment."""
        self.root.putChild(path, StreamResource(self._streams(acceptor), self.refused))

    def take(self, service: StreamService) -> None:
        """Give `service` the streams of its kind."""
        self._services[service.profile.name] = service

    def relay(self, domain: str, relay: StreamRelay) -> None:
        """Give `relay` the streams of clients for a domain that somebody else serves."""
        self._relays[domain] = relay

    def stopService(self) -> Deferred[object]:
        """Listen no more, and send away who has no stream yet; streams are ended by their services."""
        stopped: Deferred[object] = super().stopService()
        self._admission.dismiss()
        return stopped

    def accept(self, protocol: StreamServerProtocol, first: bytes) -> Connection[Any] | None:
        """The connection for a WebSocket whose first message is `first`."""
        try:
            profile, to = opening_profile(first)
        except StreamError:
            profile, to = C2S, ""  # the stream will find the same fault, and say so in the words of a stream
        if profile is C2S and not protocol.require_masks():
            return None
        if profile is C2S and (relay := self._relays.get(domain_or_nothing(to))):
            return relay.take(protocol, self._arrival(protocol))
        service = self._services.get(profile.name) or _NoService(profile, self._timeouts.client_silence)
        framing = MessageFraming(profile, FIRST_LIMIT)
        return take(service, framing, protocol, self._arrival(protocol), self._reactor, self._timeouts)

    def _arrival(self, protocol: StreamServerProtocol) -> Arrival:
        transport: Any = protocol.transport
        word, protocol.word = protocol.word or Word(), None
        certificate = judge(transport, moment(self._reactor))
        if word.presented is not None and self._judge_presented is not None:
            certificate = self._judge_presented(word.presented)
        return Arrival(
            address=word.address or address_of(transport),
            secure=True,  # TLS here, or at the proxy that the configuration vouches for
            origin=protocol.origin,
            certificate=certificate,
            bindings=self._proxy_bindings if self._behind_proxy else lambda _: channel_bindings(transport, own_leaf(transport)),
        )

    def _proxy_bindings(self, domain: str) -> Mapping[str, bytes]:
        """Behind a proxy only the certificate is known, if we have the one that the proxy shows (RFC 5929, 4)."""
        certificate = self._contexts.certificate(domain) if self._contexts is not None else None
        return channel_bindings(None, certificate.leaf) if certificate is not None else {}


@dataclass
class _NoService:
    """Takes the streams of a kind that nobody else takes."""

    profile: Profile
    silence: float
    limit: int = FIRST_LIMIT

    def own(self, arrival: Arrival, connection: Connection[_NotServed]) -> _NotServed:
        """Who refuses it."""
        return _NotServed(self.profile, connection)


class _NotServed:
    """Refuses a stream."""

    def __init__(self, profile: Profile, connection: Connection[_NotServed]) -> None:
        self._profile = profile
        self._stream = connection.stream

    def handle(self, event: Event) -> None:
        if isinstance(event, OpenRequested):
            text = f"Found a stream of {self._profile.content}, which this server does not take here."
            self._stream.fail(StreamError(StreamCondition.INVALID_NAMESPACE, text))

    def lost(self, reason: str) -> None:
        """Nobody was served."""
