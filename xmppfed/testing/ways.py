"""The three kinds of wire a test can choose: how a server listens, how servers reach each other, how clients connect.

All are TLS over connections of the same network in memory; they differ in what lies between TLS and the stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from xmppfed.core.framing import C2S, S2S, MessageFraming
from xmppfed.core.identity import ascii_domain
from xmppfed.core.streamframing import StreamFraming
from xmppfed.discovery.candidates import S2S_WEBSOCKET, XMPPS_SERVER, Candidate, port_candidate, websocket_candidate
from xmppfed.net.certificates import LoadedCertificate
from xmppfed.net.dial import Dialer, DialFailed, Line, Refusal, Target, WebSocketDialer, endpoint_to, judged
from xmppfed.net.dialtcp import DirectTLSDialer
from xmppfed.net.tcp import connect
from xmppfed.net.tls import TrustRoots, client_connection_creator, tls_endpoint
from xmppfed.net.websocket import StreamClientFactory
from xmppfed.services.intake import FIRST_LIMIT
from xmppfed.testing.messages import MessageClientProtocol
from xmppfed.timeouts import Timeouts

__all__ = ["PORTS", "TCP", "WAYS", "Memory", "MessageDialer", "Uncertified", "Way", "WebSocket"]

PORTS = {C2S.name: 5223, S2S.name: 5270}
"""Where a server listens for streams that begin with TLS, by their kind."""
_LIMIT = 1_000_000  # bytes of one element that a client of a test takes

Tables: TypeAlias = dict[str, Mapping[str, object]]


class Way(Protocol):
    """One kind of wire."""

    kind: str

    def services(self, address: str) -> Tables:
        """The services of a server at that address, as its configuration names them."""

    def candidate(self, domain: str, address: str) -> Candidate:
        """How the servers of the test reach a domain."""

    def dialer(self, reactor: Any, timeouts: Timeouts) -> Dialer:
        """What opens wires to that candidate."""

    async def connect(self, reactor: Any, domain: str, address: str, trust: TrustRoots, source: str) -> Line:
        """A client's wire from the address `source` to a server. Raises ConnectError or ConnectionError."""


class WebSocket:
    """RFC 7395 and XEP-0468, through the server's own HTTPS port."""

    kind = S2S_WEBSOCKET

    def services(self, address: str) -> Tables:
        """HTTPS at its usual port."""
        http = {"endpoint": f"tcp:443:interface={address}", "public_addresses": [address]}
        return {"http": http, "c2s_ws": {}, "s2s_ws": {}}

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
        endpoint = _endpoint(reactor, address, 443, source)
        await tls_endpoint(reactor, endpoint, client_connection_creator(domain, None, trust)).connect(factory)
        protocol = await factory.opened
        return Line(protocol, MessageFraming(C2S, _LIMIT), protocol.attach)


class TCP:
    """RFC 6120, through the server's own ports; the ones where connections begin with TLS (XEP-0368), to save time."""

    kind = XMPPS_SERVER

    def services(self, address: str) -> Tables:
        """The usual ports."""
        ports = {"c2s_tcp": ("5222", "5223"), "s2s_tcp": ("5269", "5270")}
        keys = ("endpoint", "direct_tls_endpoint")
        return {
            name: {key: f"tcp:{port}:interface={address}" for key, port in zip(keys, both, strict=True)}
            for name, both in ports.items()
        }

    def candidate(self, domain: str, address: str) -> Candidate:
        """The port that an SRV record would name."""
        return _port_candidate(self.kind, domain, address)

    def dialer(self, reactor: Any, timeouts: Timeouts) -> Dialer:
        """The one that servers use."""
        return DirectTLSDialer(reactor, timeouts, FIRST_LIMIT)

    async def connect(self, reactor: Any, domain: str, address: str, trust: TrustRoots, source: str) -> Line:
        """A client's stream."""
        endpoint = _endpoint(reactor, address, PORTS[C2S.name], source)
        creator = client_connection_creator(domain, None, trust, (C2S.alpn,))
        protocol = await connect(reactor, endpoint, creator, Timeouts().connect)
        return Line(protocol, StreamFraming(C2S, _LIMIT), protocol.attach)


class Memory:
    """Bare messages behind their length, on ports of their own beside those of a server for WebSocket."""

    kind = "memory"

    def services(self, address: str) -> Tables:
        """Those that take messages."""
        return WebSocket().services(address)

    def candidate(self, domain: str, address: str) -> Candidate:
        """A port of the server."""
        return _port_candidate(self.kind, domain, address)

    def dialer(self, reactor: Any, timeouts: Timeouts) -> Dialer:
        """Opens such streams."""
        return MessageDialer(reactor, timeouts)

    async def connect(self, reactor: Any, domain: str, address: str, trust: TrustRoots, source: str) -> Line:
        """A client's stream."""
        endpoint = _endpoint(reactor, address, PORTS[C2S.name], source)
        creator = client_connection_creator(domain, None, trust)
        protocol = await connect(reactor, endpoint, creator, Timeouts().connect, MessageClientProtocol)
        return Line(protocol, MessageFraming(C2S, _LIMIT), protocol.attach)


class MessageDialer:
    """Opens streams between servers whose messages stand behind their length."""

    def __init__(self, reactor: Any, timeouts: Timeouts) -> None:
        self._reactor = reactor
        self._timeouts = timeouts

    async def dial(self, target: Target, own: LoadedCertificate | None, trust: TrustRoots, refusal: Refusal) -> Line:
        """A connection to `target`, its certificate judged before a stream is opened. Raises `DialFailed`."""
        endpoint = endpoint_to(self._reactor, target, self._timeouts.connect)
        creator = client_connection_creator(target.sni, own, trust)
        try:
            protocol = await connect(self._reactor, endpoint, creator, self._timeouts.connect, MessageClientProtocol)
        except ConnectionError as error:
            raise DialFailed(str(error)) from None
        return judged(protocol, MessageFraming(S2S, FIRST_LIMIT), refusal, self._reactor)


@dataclass(frozen=True)
class Uncertified:
    """Opens wires without showing a certificate."""

    dialer: Dialer

    async def dial(self, target: Target, own: LoadedCertificate | None, trust: TrustRoots, refusal: Refusal) -> Line:
        """As the dialer inside does it. Raises `DialFailed`."""
        return await self.dialer.dial(target, None, trust, refusal)


def _endpoint(reactor: Any, address: str, port: int, source: str) -> IStreamClientEndpoint:
    endpoint: IStreamClientEndpoint = TCP4ClientEndpoint(reactor, address, port, bindAddress=(source, 0))
    return endpoint


def _port_candidate(kind: str, domain: str, address: str) -> Candidate:
    host = ascii_domain(domain) or domain
    return port_candidate(kind, host, PORTS[S2S.name], domain=host, source="the test", addresses=(address,), priority=0)


WAYS: dict[str, Way] = {"memory": Memory(), "tcp": TCP(), "websocket": WebSocket()}
"""By the name that `Federation(wire=...)` takes."""
