"""HTTP/1.1 as the door to WebSocket: a deadline for strangers, and a strict look at the handshake (RFC 6455, 4.2.1)."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections import deque
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from xmppfed.net.admission import Admission
from xmppfed.net.arrival import address_of
from xmppfed.net.websocket import SUBPROTOCOL, StreamServerFactory
from xmppfed.timeouts import Timeouts

__all__ = ["HTTPPort", "StreamResource"]

_PHRASES = {400: b"Bad Request", 405: b"Method Not Allowed", 426: b"Upgrade Required"}  # Twisted does not know 426


class _Channel(HTTPChannel):
    """An HTTP connection that must become a WebSocket, or be done, before the deadline: Site's own time-out counts only
    silence, and can be kept from it one byte at a time."""

    site: Any
    transport: Any
    length: Any
    _deadline: Any = None

    def connectionMade(self) -> None:
        super().connectionMade()
        if not self.site.admission.enter(self, address_of(self)):
            self.transport.abortConnection()
            return
        self._deadline = self.site.clock.callLater(self.site.timeouts.handshake, self.transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        """TLS delivers on while it closes; HTTPChannel would keep that, unread."""
        if not self.transport.disconnecting:
            super().dataReceived(data)

    def allHeadersReceived(self) -> None:
        """Refuse a body before it is stored: nothing here wants one, and that of a handshake would pass for frames."""
        super().allHeadersReceived()
        if self.length != 0:  # None when it comes in chunks
            self.transport.write(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self.loseConnection()

    def dismiss(self) -> None:
        """Whatever was asked for, it comes too late."""
        self.transport.abortConnection()

    def handed_over(self, protocol: Any) -> None:
        """The connection is a WebSocket's now."""
        self._deadline.cancel()
        self.site.admission.hand_over(self, protocol)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self.site.admission.leave(self)
        super().connectionLost(reason)


class _Request(Request):
    """A request whose answer does not name the version of Twisted."""

    def render(self, resrc: IResource) -> None:
        self.setHeader(b"server", b"xmppfed")
        super().render(resrc)


class HTTPPort(Site):
    """The Site behind the one HTTPS port."""

    noisy = False
    requestFactory = _Request

    def __init__(self, root: Resource, clock: IReactorTime, timeouts: Timeouts, admission: Admission) -> None:
        """Until it is authenticated, a connection counts in `admission`, whatever resource it asks for."""
        super().__init__(root, timeout=None, reactor=clock)  # the channel's deadline is stricter
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

    _log = Logger()

    def __init__(self, factory: StreamServerFactory, refused: deque[str] | None = None) -> None:
        """`factory` makes the protocols to which connections are handed over; `refused` gets why others were not."""
        super().__init__(factory)
        self._refused: deque[str] = deque(maxlen=16) if refused is None else refused

    def render(self, request: Request) -> Any:
        """Refuse with the status that tells why, or hand over."""
        refusal = _refusal(request)
        if refusal is not None:
            status, text = refusal
            self._refused.append(text.strip())
            request.setResponseCode(status, _PHRASES[status])
            request.setHeader(b"content-type", b"text/plain; charset=utf-8")
            if status == 405:
                request.setHeader(b"allow", b"GET")
            if status == 426:
                request.setHeader(b"upgrade", b"websocket")
                request.setHeader(b"connection", b"upgrade")
                request.setHeader(b"sec-websocket-version", b"13")
            return text.encode()
        channel: Any = request.channel
        transport = channel.transport
        try:
            super().render(request)
        except Exception:  # noqa: BLE001 - half handed over it belongs to nobody who would end it
            self._log.failure("Fault while handing a WebSocket over")
            transport.abortConnection()
        channel.handed_over(getattr(transport, "wrappedProtocol", None) or transport.protocol)
        return NOT_DONE_YET


def _refusal(request: Request) -> tuple[int, str] | None:
    """Status and explanation, if this is no WebSocket handshake for XMPP."""
    if request.method != b"GET":
        return 405, f"Found the method {request.method!r}; wanted GET.\n"
    if request.clientproto != b"HTTP/1.1":
        return 400, "Found another version of HTTP; wanted HTTP/1.1, which WebSocket needs.\n"
    upgrade, connection = (_tokens(request, name, fold=True) for name in (b"upgrade", b"connection"))
    wanted = (("Upgrade: websocket", b"websocket", upgrade), ("Connection: Upgrade", b"upgrade", connection))
    missing = [header for header, word, found in wanted if word not in found]
    if missing:
        hint = "a reverse proxy in between must pass it on"
        return 426, f"This is the place for XMPP over WebSocket. Found no {' and no '.join(missing)}; {hint}.\n"
    if _tokens(request, b"sec-websocket-version") != [b"13"]:
        return 426, "Found another Sec-WebSocket-Version; wanted 13.\n"
    if not _is_key(_tokens(request, b"sec-websocket-key")):
        return 400, "Found no Sec-WebSocket-Key of 16 bytes.\n"
    if SUBPROTOCOL.encode() not in _tokens(request, b"sec-websocket-protocol"):
        return 400, "Found no Sec-WebSocket-Protocol: xmpp (RFC 7395, 3.1).\n"
    return None


def _tokens(request: Request, name: bytes, *, fold: bool = False) -> list[bytes]:
    """The values of a header that is a list, also when it stands in several lines (RFC 9110, 5.3)."""
    lines = request.requestHeaders.getRawHeaders(name) or []
    tokens = [token.strip() for line in lines for token in line.split(b",")]
    return [token.lower() for token in tokens] if fold else tokens


def _is_key(values: list[bytes]) -> bool:
    try:
        return len(values) == 1 and len(b64decode(values[0], validate=True)) == 16
    except Base64Error:
        return False
