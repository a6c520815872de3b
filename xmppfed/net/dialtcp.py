"""Opens streams to servers over TCP, by STARTTLS (RFC 6120) or directly under TLS (XEP-0368)."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from xmppfed.core.framing import S2S
from xmppfed.core.streamframing import StreamFraming
from xmppfed.net.certificates import LoadedCertificate
from xmppfed.net.dial import DialFailed, Line, Refusal, Target, endpoint_to, judged
from xmppfed.net.starttls import start_tls
from xmppfed.net.tcp import StreamClientProtocol, connect
from xmppfed.net.tls import TrustRoots, client_connection_creator
from xmppfed.timeouts import Timeouts

__all__ = ["DirectTLSDialer", "StartTLSDialer"]


class _TCPDialer:
    """What both ways have in common."""

    def __init__(self, reactor: Any, timeouts: Timeouts, limit: int) -> None:
        """`limit` is the most bytes that an element may have before authentication."""
        self._reactor = reactor
        self._timeouts = timeouts
        self._limit = limit

    async def _line(self, opening: Coroutine[Any, Any, StreamClientProtocol], refusal: Refusal) -> Line:
        """The certificate is judged before a stream is opened under TLS. Raises `DialFailed`."""
        try:
            protocol = await opening
        except ConnectionError as error:
            raise DialFailed(str(error)) from None
        return judged(protocol, StreamFraming(S2S, self._limit), refusal, self._reactor)


class DirectTLSDialer(_TCPDialer):
    """Connects to ports where TLS comes first, and says by ALPN what it comes for."""

    async def dial(self, target: Target, own: LoadedCertificate | None, trust: TrustRoots, refusal: Refusal) -> Line:
        """A connection to `target`. Raises `DialFailed`."""
        endpoint = endpoint_to(self._reactor, target, self._timeouts.connect)
        creator = client_connection_creator(target.sni, own, trust, (S2S.alpn,))
        return await self._line(connect(self._reactor, endpoint, creator, self._timeouts.connect), refusal)


class StartTLSDialer(_TCPDialer):
    """Connects to ports where TLS has to be asked for, and goes on with it or not at all."""

    async def dial(self, target: Target, own: LoadedCertificate | None, trust: TrustRoots, refusal: Refusal) -> Line:
        """A connection to `target`. Raises `DialFailed`."""
        endpoint = endpoint_to(self._reactor, target, self._timeouts.connect)
        creator = client_connection_creator(target.sni, own, trust)
        return await self._line(start_tls(self._reactor, endpoint, creator, S2S, target.pair, self._timeouts), refusal)
