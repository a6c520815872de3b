"""Connections of end-to-end streams: who calls, and who is called. TLS begins inside the stream (XEP-0246, 2; RFC 6120, 5)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from OpenSSL import SSL
from twisted.internet import protocol
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint, ISystemHandle

from xmppfed.core.framing import E2E, MessageFraming
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.stream import Stream
from xmppfed.core.streamframing import StreamFraming
from xmppfed.e2e.features import initiating_features
from xmppfed.e2e.host import Beneath, Choose, Host, StreamEnded
from xmppfed.e2e.stream import PeerStream
from xmppfed.e2e.trust import Acquaintance, TrustRefused, same
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.admission import Admission
from xmppfed.net.arrival import address_of
from xmppfed.net.certificates import moment
from xmppfed.net.connection import Connection, Wire
from xmppfed.net.gathering import Gathering
from xmppfed.net.peer import channel_bindings, judge
from xmppfed.net.tcp import (
    StreamClientProtocol,
    StreamServerFactory,
    StreamServerProtocol,
    connect_without_tls,
    connected,
    hand_over,
    under_tls,
)
from xmppfed.net.tls import (
    TrustRoots,
    client_connection_creator,
    server_connection_creator,
    tls_client_factory,
    tls_endpoint,
    tls_server_factory,
)
from xmppfed.net.websocket import StreamClientFactory
from xmppfed.net.websocket import StreamServerProtocol as WebSocketServerProtocol
from xmppfed.timeouts import Timeouts

__all__ = ["Caller", "Door", "Listener", "Local", "Place", "WebSocketPlace", "place_of"]

_HTTPS = 443
_FIRST_LIMIT = 10_000  # bytes of a stanza of somebody whom we do not know yet


class Local:
    """What the connections of one process share: time, bounds, and whom its people believe."""

    def __init__(self, reactor: Any, timeouts: Timeouts, trust: TrustRoots, limit: int) -> None:
        """`limit` is the longest stanza in bytes."""
        self.reactor = reactor
        self.timeouts = timeouts
        self.trust = trust
        self.limit = limit
        self.streams: Gathering[PeerStream] = Gathering()

    def stop(self) -> Deferred[None]:
        """End all streams; the result comes when their connections are gone."""
        return self.streams.end_all(StreamError(StreamCondition.SYSTEM_SHUTDOWN))

    def cut(self, known: Acquaintance) -> None:
        """End the streams that what is known of somebody by now speaks against: with a key that was revoked, or under a name
        that has another, or that is nobody's any more who comes without one (T7)."""
        text = "This key was revoked." if known.revoked else f"{known.name} is known by a key by now, and this is not it."
        for stream in self.streams:
            if _contradicts(known, stream):
                stream.end(StreamError(StreamCondition.NOT_AUTHORIZED, text))

    def beneath(self, transport: Any, *, can_start_tls: bool) -> Beneath:
        """What lies beneath a stream on this transport, whose handshake is complete if it has one."""
        secure = ISystemHandle.providedBy(transport) and isinstance(transport.getHandle(), SSL.Connection)
        return Beneath(
            address=address_of(transport),
            secure=secure,
            certificate=judge(transport, moment(self.reactor)) if secure else None,
            exporter=channel_bindings(transport, None).get("tls-exporter", b"") if secure else b"",
            can_start_tls=can_start_tls and not secure,
        )

    def connection(
        self,
        wire: Wire,
        choose: Choose,
        beneath: Beneath,
        name: str = "",
        features: Sequence[Feature] = (),
        framing: type[MessageFraming] | type[StreamFraming] = StreamFraming,
    ) -> Connection[PeerStream]:
        """The connection of a stream that begins: to `name`, or from somebody."""
        own = partial(PeerStream, choose, beneath, self.streams, name=name)
        stream = Stream(
            framing(E2E, _FIRST_LIMIT), features, receiving=not name, new_id=partial(secrets.token_hex, 16), limit=self.limit
        )
        clock: IReactorTime = self.reactor
        return Connection(stream, wire, own, clock, self.timeouts, self.timeouts.server_silence)


def _contradicts(known: Acquaintance, stream: PeerStream) -> bool:
    """Who has not introduced itself yet is judged when it does."""
    certificate = stream.beneath.certificate
    if known.revoked:
        return certificate is not None and certificate.spki_sha256 == known.spki_sha256
    if not stream.stands or not same(stream.name, known.name):
        return False
    return certificate is None or known.spki_sha256 not in (None, certificate.spki_sha256)


class Listener:
    """Takes the streams of a port: `factory` is for its endpoint."""

    def __init__(self, local: Local, hosts: Callable[[str | None], Host | None], admission: Admission) -> None:
        """`hosts` says who is meant by the `to` of a header, and by none."""
        self._local = local
        self._hosts = hosts
        self._admission = admission
        self.factory = self._factory(self)

    def accept(self, wire: StreamServerProtocol) -> Connection[PeerStream]:
        """A stream without TLS begins, for a start."""
        beneath = self._local.beneath(wire.transport, can_start_tls=True)
        connection = self._local.connection(wire, self._hosts, beneath)
        connection.owner.settled.addCallbacks(self._settled, lambda _: None, (wire, connection.owner))
        return connection

    def _settled(self, stands: bool, wire: StreamServerProtocol, owner: PeerStream) -> None:
        """The peer speaks, or TLS comes first, with the certificate of whom it has called."""
        host = owner.host
        if stands or host is None or host.certificate is None:
            return
        transport = wire.let_go()
        self._admission.leave(wire)  # its successor enters
        creator = server_connection_creator(host.certificate, self._local.trust)
        factory = self._factory(_Secured(self._local, host))
        hand_over(transport, tls_server_factory(creator, factory, self._local.reactor))

    def _factory(self, acceptor: Any) -> StreamServerFactory:
        return StreamServerFactory(acceptor, self._local.reactor, self._local.timeouts, self._admission)


class _Secured:
    """Takes the stream under TLS, which is for the same one of us as the stream before."""

    def __init__(self, local: Local, host: Host) -> None:
        self._local = local
        self._host = host

    def accept(self, wire: StreamServerProtocol) -> Connection[PeerStream]:
        beneath = self._local.beneath(wire.transport, can_start_tls=False)
        connection = self._local.connection(wire, self._meant, beneath)
        connection.owner.settled.addErrback(lambda _: None)  # the log and the peer have the reason
        return connection

    def _meant(self, to: str | None) -> Host | None:
        return self._host if to is None or same(to, self._host.address) else None


class Door:
    """Takes the streams of a WebSocket path (RFC 7395). They are under TLS from the beginning, or what is in front ends it: then
    nobody has shown us anything, and they are plain."""

    def __init__(self, local: Local, hosts: Choose) -> None:
        """`hosts` says who is meant, as for a `Listener`."""
        self._local = local
        self._hosts = hosts

    def accept(self, protocol: WebSocketServerProtocol, first: bytes) -> Connection[PeerStream] | None:
        """The stream of a WebSocket that has opened; every end masks who opens one (RFC 6455, 5.1)."""
        if not protocol.require_masks():
            return None
        beneath = self._local.beneath(protocol.transport, can_start_tls=False)
        connection = self._local.connection(protocol, self._hosts, beneath, framing=MessageFraming)
        connection.owner.settled.addErrback(lambda _: None)  # the log and the peer have the reason
        return connection


@dataclass(frozen=True, slots=True)
class WebSocketPlace:
    """Where a peer takes streams over WebSocket: its URL, which begins with `wss:`, and how its port is connected to."""

    url: str
    endpoint: IStreamClientEndpoint


Place = IStreamClientEndpoint | WebSocketPlace


def place_of(reactor: Any, text: str) -> Place:
    """What a URL of a WebSocket (`wss://HOST[:PORT]/PATH`) or the description of a client endpoint names."""
    if text.startswith("wss:"):
        url = urlsplit(text)
        host, port = (url.hostname or "").replace(":", "\\:"), url.port or _HTTPS
        return WebSocketPlace(text, clientFromString(reactor, f"tcp:{host}:{port}"))
    endpoint: IStreamClientEndpoint = clientFromString(reactor, text)
    return endpoint


class Caller:
    """Opens streams, in the name of one of us."""

    def __init__(self, local: Local, host: Host) -> None:
        self._local = local
        self._host = host

    async def call(self, name: str, place: Place) -> PeerStream:
        """A stream with `name` on which stanzas may pass. Raises StreamEnded, which says how far it came."""
        try:
            if isinstance(place, WebSocketPlace):
                return await self._by_websocket(name, place)
            return await self._by_tcp(name, place)
        except StreamEnded:
            raise
        except ConnectionError as error:
            raise StreamEnded(str(error)) from None

    async def _by_websocket(self, name: str, place: WebSocketPlace) -> PeerStream:
        local = self._local
        host = urlsplit(place.url).hostname or ""
        factory = StreamClientFactory(place.url, None, local.reactor, _FIRST_LIMIT, local.timeouts)
        creator = client_connection_creator(host, self._host.certificate, local.trust)
        await connected(tls_endpoint(local.reactor, place.endpoint, creator), factory)
        factory.opened.addTimeout(local.timeouts.upgrade, local.reactor)
        try:
            wire = await factory.opened
        except TimeoutError:
            raise ConnectionError(f"no WebSocket within {local.timeouts.upgrade:.0f} s") from None
        return await self._protected(name, wire, MessageFraming)

    async def _by_tcp(self, name: str, endpoint: IStreamClientEndpoint) -> PeerStream:
        wire = await connect_without_tls(endpoint)
        beneath = self._local.beneath(wire.transport, can_start_tls=True)
        first = self._stream(name, wire, beneath)
        first.open(None)
        if await first.settled:
            return first
        local = self._local
        creator = client_connection_creator("", self._host.certificate, local.trust)
        factory = protocol.Factory.forProtocol(StreamClientProtocol)
        factory.noisy = False
        secured = hand_over(wire.let_go(), tls_client_factory(creator, factory, local.reactor)).wrappedProtocol
        await under_tls(secured, local.reactor, local.timeouts.connect)
        return await self._protected(name, secured)

    async def _protected(
        self, name: str, wire: Any, framing: type[MessageFraming] | type[StreamFraming] = StreamFraming
    ) -> PeerStream:
        """The stream under TLS, if the peer is who we meant: nothing is said before that is known."""
        beneath = self._local.beneath(wire.transport, can_start_tls=False)
        try:
            trust = self._host.judge(name, beneath)
        except TrustRefused as refused:
            wire.abort()
            raise StreamEnded(str(refused), loud=refused.loud) from None
        second = self._stream(name, wire, beneath, framing)
        second.open(trust)
        await second.settled
        return second

    def _stream(
        self,
        name: str,
        wire: Any,
        beneath: Beneath,
        framing: type[MessageFraming] | type[StreamFraming] = StreamFraming,
    ) -> PeerStream:
        features = initiating_features(self._host, name, beneath)
        connection = self._local.connection(wire, lambda _: self._host, beneath, name, features, framing)
        wire.attach(connection)
        return connection.owner
