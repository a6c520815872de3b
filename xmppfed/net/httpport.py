"""HTTP/1.1 as the door to WebSocket: a deadline for strangers, and a strict look at the handshake (RFC 6455, 4.2.1)."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from xmppfed.net.admission import Admission
from xmppfed.net.websocket import SUBPROTOCOL, StreamServerFactory
from xmppfed.timeouts import Timeouts

__all__ = ["HTTPPort", "StreamResource"]


class _Channel(HTTPChannel):
    """An HTTP connection that must become a WebSocket, or be done, before the deadline: Site's own time-out counts only
    silence, and can be kept from it one byte at a time."""

    site: Any
    transport: Any
    _deadline: Any = None

    def connectionMade(self) -> None:
        super().connectionMade()
        if not self.site.admission.enter(self, self.getPeer().host):
            self.transport.abortConnection()
            return
        self._deadline = self.site.clock.callLater(self.site.timeouts.handshake, self.forceAbortClient)

    def handed_over(self, protocol: object) -> None:
        """The connection is a WebSocket's now."""
        self._deadline.cancel()
        self.setTimeout(None)
        self.site.admission.hand_over(self, protocol)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self.site.admission.leave(self)
        super().connectionLost(reason)


class HTTPPort(Site):
    """The Site behind the one HTTPS port."""

    noisy = False

    def __init__(self, root: Resource, clock: IReactorTime, timeouts: Timeouts, admission: Admission) -> None:
        super().__init__(root, reactor=clock)
        self.protocol: Any = _Channel  # HTTP/1.1 alone: WebSocket needs it
        self.clock = clock
        self.timeouts = timeouts
        self.admission = admission
        self.displayTracebacks = False

    def log(self, request: Any) -> None:
        """No access log: streams are logged by what they are."""


class StreamResource(WebSocketResource):
    """Judges the handshake before it hands the connection over: the stock resource upgrades HTTP/1.0, version 8 and
    clients without subprotocol, and answers a page of its own without Upgrade."""

    def __init__(self, factory: StreamServerFactory) -> None:
        super().__init__(factory)
        self._streams = factory

    def render(self, request: Request) -> Any:
        """Refuse with the status that tells why, or hand over."""
        refusal = _refusal(request)
        if refusal is not None:
            status, text = refusal
            request.setResponseCode(status)
            request.setHeader(b"content-type", b"text/plain; charset=utf-8")
            if status == 426:
                request.setHeader(b"upgrade", b"websocket")
                request.setHeader(b"sec-websocket-version", b"13")
            return text.encode()
        channel: Any = request.channel
        transport = channel.transport
        answer = super().render(request)
        channel.handed_over(getattr(transport, "wrappedProtocol", None) or transport.protocol)
        return answer


def _refusal(request: Request) -> tuple[int, str] | None:
    """Status and explanation, if this is no WebSocket handshake for XMPP."""
    get = request.getHeader
    if request.method != b"GET":
        return 405, f"Found the method {request.method!r}; wanted GET.\n"
    if request.clientproto != b"HTTP/1.1":
        return 400, "Found another version of HTTP; wanted HTTP/1.1, which WebSocket needs.\n"
    if b"websocket" not in _tokens(get(b"upgrade")) or b"upgrade" not in _tokens(get(b"connection")):
        hint = "a reverse proxy in between must pass on the headers Upgrade and Connection"
        return 426, f"This is the place for XMPP over WebSocket. Found no request to upgrade; {hint}.\n"
    if (get(b"sec-websocket-version") or b"").strip() != b"13":
        return 426, "Found another Sec-WebSocket-Version; wanted 13.\n"
    if not _is_key(get(b"sec-websocket-key") or b""):
        return 400, "Found no Sec-WebSocket-Key of 16 bytes.\n"
    if SUBPROTOCOL.encode() not in _tokens(get(b"sec-websocket-protocol")):
        return 400, "Found no Sec-WebSocket-Protocol: xmpp (RFC 7395, 3.1).\n"
    return None


def _tokens(value: bytes | None) -> list[bytes]:
    return [token.strip().lower() for token in (value or b"").split(b",")]


def _is_key(value: bytes) -> bool:
    try:
        return len(b64decode(value.strip(), validate=True)) == 16
    except Base64Error:
        return False
