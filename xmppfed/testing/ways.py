"""The three kinds of wire a test can choose: how a server listens, how servers reach each other, how clients connect.

All are TLS over connections of the same network in memory; they differ in what lies between TLS and the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory

from xmppfed.core.framing import C2S, S2S, Framing, MessageFraming, Profile
from xmppfed.core.identity import ascii_domain
from xmppfed.core.streamframing import StreamFraming
from xmppfed.discovery.candidates import S2S_WEBSOCKET, Candidate, websocket_candidate
from xmppfed.net.certificates import LoadedCertificate, moment
from xmppfed.net.dial import Dialer, DialFailed, Line, Refusal, Target, WebSocketDialer
from xmppfed.net.peer import judge
from xmppfed.net.tcp import StreamClientProtocol, StreamServerProtocol
from xmppfed.net.tls import TrustRoots, client_connection_creator, tls_endpoint
from xmppfed.net.websocket import StreamClientFactory
from xmppfed.services.http import FIRST_LIMIT
from xmppfed.testing.messages import MessageClientProtocol, MessageServerProtocol
from xmppfed.timeouts import Timeouts

__all__ = ["PORTS", "WAYS", "Direct", "DirectDialer", "Uncertified", "Way", "WebSocket"]

PORTS = {C2S.name: 5223, S2S.name: 5270}
"""Where a server listens for streams that begin with TLS, by their kind."""
_LIMIT = 1_000_000  # bytes of one element that a client of a test takes


class Way(Protocol):
    """One kind of wire."""

    def candidate(self, domain: str, address: str) -> Candidate:
        """How the servers of the test reach a domain."""

    def dialer(self, reactor: Any, timeouts: Timeouts) -> Dialer:
        """What opens wires to that candidate."""

    async def connect(self, reactor: Any, domain: str, address: str, trust: TrustRoots, source: str) -> Line:
        """A client's wire from the address `source` to a server. Raises ConnectError or ConnectionError."""


class WebSocket:
    """RFC 7395 and XEP-0468, through the server's own HTTPS port."""

    kind = S2S_WEBSOCKET

    def candidate(self, domain: str, address: str) -> Candidate:
        """The `wss:` URL that host-meta would name."""
        host = ascii_domain(domain) or domain
        url = f"wss://{host}/xmpp-websocket"
        return websocket_candidate(url, domain=host, source="the test", addresses=(address,), priority=0)

    def dialer(self, reactor: Any, timeouts: Timeouts) -> Dialer:
        """The one that servers use."""
        return WebSocketDialer(reactor, timeouts, FIRST_LIMIT)

    async def connect(self, reactor: Any, domain: str, address: str, trust: TrustRoots, source: str) -> Line:
        """A WebSocket of a client that is no browser: it sends no Origin."""
        factory = StreamClientFactory(f"wss://{ascii_domain(domain)}/xmpp-websocket", None, reactor, _LIMIT)
        endpoint = TCP4ClientEndpoint(reactor, address, 443, bindAddress=(source, 0))
        await tls_endpoint(reactor, endpoint, client_connection_creator(domain, None, trust)).connect(factory)
        protocol = await factory.opened
        return Line(protocol, MessageFraming(C2S, _LIMIT), protocol.attach)


@dataclass(frozen=True)
class Direct:
    """Streams directly over TLS, on ports of their own (`PORTS`)."""

    kind: str
    framing: Callable[[Profile, int], Framing]
    server: type[StreamServerProtocol]
    client: type[StreamClientProtocol]

    def candidate(self, domain: str, address: str) -> Candidate:
        """A port of the server."""
        port = PORTS[S2S.name]
        return Candidate(
            kind=self.kind,
            url=f"{self.kind}:{domain}:{port}",
            host=domain,
            port=port,
            path="",
            addresses=(address,),
            sni=domain,
            accepted_names=frozenset(),
            priority=0,
            weight=0,
            source="the test",
        )

    def dialer(self, reactor: Any, timeouts: Timeouts) -> Dialer:
        """Opens such streams."""
        return DirectDialer(self, reactor, timeouts)

    async def connect(self, reactor: Any, domain: str, address: str, trust: TrustRoots, source: str) -> Line:
        """A client's stream."""
        protocol = await self.secured(reactor, Target("", address, PORTS[C2S.name], domain), None, trust, source=source)
        return Line(protocol, self.framing(C2S, _LIMIT), protocol.attach)

    async def secured(
        self,
        reactor: Any,
        target: Target,
        own: LoadedCertificate | None,
        trust: TrustRoots,
        timeout: float = 30,
        source: str | None = None,
    ) -> StreamClientProtocol:
        """A protocol whose TLS handshake is complete. Raises ConnectError, or ConnectionError once there is a connection."""
        bound = None if source is None else (source, 0)
        endpoint = TCP4ClientEndpoint(reactor, target.address, target.port, timeout=timeout, bindAddress=bound)
        wrapped = tls_endpoint(reactor, endpoint, client_connection_creator(target.sni, own, trust))
        protocol: Any = await wrapped.connect(Factory.forProtocol(self.client))
        protocol.secured.addTimeout(timeout, reactor)
        try:
            await protocol.secured
        except TimeoutError:
            protocol.abort()
            raise ConnectionError(f"no TLS within {timeout:.0f} s") from None
        assert isinstance(protocol, StreamClientProtocol)
        return protocol


class DirectDialer:
    """Opens streams between servers directly over TLS."""

    def __init__(self, way: Direct, reactor: Any, timeouts: Timeouts) -> None:
        self._way = way
        self._reactor = reactor
        self._timeouts = timeouts

    async def dial(self, target: Target, own: LoadedCertificate | None, trust: TrustRoots, refusal: Refusal) -> Line:
        """A connection to `target`, its certificate judged before a stream is opened. Raises `DialFailed`."""
        try:
            protocol = await self._way.secured(self._reactor, target, own, trust, self._timeouts.connect)
        except (ConnectError, ConnectionError) as error:
            raise DialFailed(f"no connection: {error}") from None
        reason = refusal(judge(protocol.transport, moment(self._reactor)))
        if reason is not None:
            protocol.abort()
            raise DialFailed(reason)
        return Line(protocol, self._way.framing(S2S, FIRST_LIMIT), protocol.attach)


@dataclass(frozen=True)
class Uncertified:
    """Opens wires without showing a certificate."""

    dialer: Dialer

    async def dial(self, target: Target, own: LoadedCertificate | None, trust: TrustRoots, refusal: Refusal) -> Line:
        """As the dialer inside does it. Raises `DialFailed`."""
        return await self.dialer.dial(target, None, trust, refusal)


WAYS: dict[str, WebSocket | Direct] = {
    "memory": Direct("memory", MessageFraming, MessageServerProtocol, MessageClientProtocol),
    "tcp": Direct("tcp", StreamFraming, StreamServerProtocol, StreamClientProtocol),
    "websocket": WebSocket(),
}
"""By the name that `Federation(wire=...)` takes."""
