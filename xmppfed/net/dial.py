"""Opens a wire to a server at one address, TLS judged, or says in words why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

from twisted.internet.defer import TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from xmppfed.core.events import Pair
from xmppfed.core.framing import S2S, Framing, MessageFraming
from xmppfed.errors import XMPPFedError
from xmppfed.net.certificates import LoadedCertificate, moment
from xmppfed.net.connection import Connection, Wire
from xmppfed.net.peer import PeerCertificate, judge
from xmppfed.net.tls import TrustRoots, client_connection_creator, tls_endpoint
from xmppfed.net.websocket import StreamClientFactory, StreamClientProtocol
from xmppfed.timeouts import Timeouts

__all__ = ["DialFailed", "Dialed", "Dialer", "Line", "Refusal", "Target", "WebSocketDialer", "endpoint_to", "judged"]

Refusal = Callable[[PeerCertificate | None], str | None]
"""What is wrong with a server's certificate, if anything."""


class DialFailed(XMPPFedError):
    """An address that gave us no wire; the text says what was found and what was wanted."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to dial, and who for whom: `address` is an IP address that somebody has judged already."""

    url: str
    address: str
    port: int
    sni: str
    pair: Pair


@dataclass(frozen=True, slots=True)
class Line:
    """A wire that is open, the framing it carries, and how it learns of the connection that uses it."""

    wire: Wire
    framing: Framing
    attach: Callable[[Connection[Any]], None]


class Dialer(Protocol):
    """Opens wires of one kind."""

    async def dial(self, target: Target, own: LoadedCertificate | None, trust: TrustRoots, refusal: Refusal) -> Line:
        """An open wire, `own` presented when asked; nothing of a stream was sent yet. Raises `DialFailed`."""


class Dialed(Wire, Protocol):
    """A wire to a server, under TLS."""

    transport: Any

    def attach(self, connection: Connection[Any]) -> None:
        """What comes belongs to `connection` from now on."""


def endpoint_to(reactor: Any, target: Target, seconds: float) -> IStreamClientEndpoint:
    """The TCP port of a target, to be reached within so many seconds."""
    kind = TCP6ClientEndpoint if ip_address(target.address).version == 6 else TCP4ClientEndpoint
    endpoint: IStreamClientEndpoint = kind(reactor, target.address, target.port, timeout=seconds)
    return endpoint


def judged(wire: Dialed, framing: Framing, refusal: Refusal, clock: IReactorTime) -> Line:
    """The line that a wire is, unless its server's certificate is refused. Raises `DialFailed`."""
    reason = refusal(judge(wire.transport, moment(clock)))
    if reason is not None:
        wire.abort()
        raise DialFailed(reason)
    return Line(wire, framing, wire.attach)


class WebSocketDialer:
    """Opens WebSockets for streams between servers (XEP-0468)."""

    def __init__(self, reactor: Any, timeouts: Timeouts, limit: int) -> None:
        """`limit` is the most bytes that a message may have before authentication."""
        self._reactor = reactor
        self._timeouts = timeouts
        self._limit = limit

    async def dial(self, target: Target, own: LoadedCertificate | None, trust: TrustRoots, refusal: Refusal) -> Line:
        """A WebSocket to `target`, its certificate judged before a stream is opened. Raises `DialFailed`."""
        protocol = await self._opened(target, self._factory(target), client_connection_creator(target.sni, own, trust))
        return judged(protocol, MessageFraming(S2S, self._limit), refusal, self._reactor)

    def _factory(self, target: Target) -> StreamClientFactory:
        try:
            origin = f"https://{urlsplit(target.url).netloc}"
            return StreamClientFactory(target.url, origin, self._reactor, self._limit, self._timeouts)
        except ValueError as error:
            raise DialFailed(f"found the URL {target.url!r}; wanted that of a WebSocket: {error}") from None

    async def _opened(self, target: Target, factory: StreamClientFactory, creator: Any) -> StreamClientProtocol:
        endpoint = endpoint_to(self._reactor, target, self._timeouts.connect)
        try:
            await tls_endpoint(self._reactor, endpoint, creator).connect(factory)
        except ConnectError as error:
            raise DialFailed(f"no connection: {error}") from None
        factory.opened.addTimeout(self._timeouts.upgrade, self._reactor)
        try:
            return await factory.opened
        except TimeoutError:
            raise DialFailed(f"no WebSocket within {self._timeouts.upgrade:.0f} s") from None
        except ConnectionError as error:
            raise DialFailed(f"no WebSocket: {error}") from None
