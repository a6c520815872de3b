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

from xmppfed.core.framing import S2S, Framing, MessageFraming
from xmppfed.errors import XMPPFedError
from xmppfed.net.certificates import LoadedCertificate, moment
from xmppfed.net.connection import Connection, Wire
from xmppfed.net.peer import PeerCertificate, judge
from xmppfed.net.tls import TrustRoots, client_connection_creator, tls_endpoint
from xmppfed.net.websocket import StreamClientFactory, StreamClientProtocol
from xmppfed.timeouts import Timeouts

__all__ = ["DialFailed", "Dialer", "Line", "Refusal", "Target", "WebSocketDialer"]

Refusal = Callable[[PeerCertificate | None], str | None]
"""What is wrong with a server's certificate, if anything."""


class DialFailed(XMPPFedError):
    """An address that gave us no wire; the text says what was found and what was wanted."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to dial: `address` is an IP address that somebody has judged already."""

    url: str
    address: str
    port: int
    sni: str


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
        reason = refusal(judge(protocol.transport, moment(self._reactor)))
        if reason is not None:
            protocol.abort()
            raise DialFailed(reason)
        return Line(protocol, MessageFraming(S2S, self._limit), protocol.attach)

    def _factory(self, target: Target) -> StreamClientFactory:
        try:
            origin = f"https://{urlsplit(target.url).netloc}"
            return StreamClientFactory(target.url, origin, self._reactor, self._limit, self._timeouts)
        except ValueError as error:
            raise DialFailed(f"found the URL {target.url!r}; wanted that of a WebSocket: {error}") from None

    async def _opened(self, target: Target, factory: StreamClientFactory, creator: Any) -> StreamClientProtocol:
        kind = TCP6ClientEndpoint if ip_address(target.address).version == 6 else TCP4ClientEndpoint
        endpoint = kind(self._reactor, target.address, target.port, timeout=self._timeouts.connect)
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
