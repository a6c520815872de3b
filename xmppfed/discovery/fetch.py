"""Documents over HTTPS from servers that strangers name: every address judged, every byte and second counted.

twisted.web's Agent is used without treq, whose client always asks for gzip and unpacks it before a limit can be applied
(64 KiB become 64 MiB), keeps cookies, and imports the global reactor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urljoin

from OpenSSL.SSL import Error as TLSError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from xmppfed.discovery.guard import Network, judge
from xmppfed.discovery.urls import Target, shown, split_url
from xmppfed.errors import DiscoveryError, XMPPFedError
from xmppfed.timeouts import Timeouts

__all__ = ["DocumentClient", "Resolve", "WrapTLS"]

Resolve = Callable[[str], Awaitable[tuple[str, ...]]]
"""An ASCII host name to its addresses; raises DiscoveryError."""
WrapTLS = Callable[[IStreamClientEndpoint, str], IStreamClientEndpoint]
"""An endpoint and a host to the endpoint that speaks TLS over it and verifies the certificate for that host."""

_HEADERS_BYTES = 16 * 1024
_ADDRESS_TIMEOUT = 2
"""Seconds for one address, so that a black hole behind the first leaves time for the second."""
_MAX_ADDRESSES = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"User-Agent": ["xmppfed"], "Accept-Encoding": ["identity"]}
_CANCELED = (CancelledError, ConnectingCancelledError)
_FAILED = (ConnectError, ConnectionClosed, ResponseFailed, TLSError, XMPPFedError)


class DocumentClient:
    """Gets small documents over HTTPS. Nothing is kept between two requests: no connection, no cookie.

    `reactor` provides IReactorTCP and IReactorTime.
    """

    def __init__(self, reactor: Any, resolve: Resolve, allowed: Sequence[Network], wrap_tls: WrapTLS, timeouts: Timeouts) -> None:
        self._reactor = reactor
        self._resolve = resolve
        self._allowed = tuple(allowed)
        self._wrap_tls = wrap_tls
        self._timeouts = timeouts

    async def get(self, url: str) -> bytes:
        """The body at an `https:` URL. Cancelable.

        Follows a few redirects (`Timeouts.document_hops`), each to `https:` and judged anew. Raises DiscoveryError, with
        the reason, for any other answer than 200, for a document that is too long, and when it is not complete in time.
        """
        limit = self._timeouts.document
        try:
            return await Deferred.fromCoroutine(self._follow(url)).addTimeout(limit, self._reactor)
        except DeferredTimeoutError:
            raise DiscoveryError(f"it was not complete within {limit:g} s") from None

    async def _follow(self, url: str) -> bytes:
        hops = self._timeouts.document_hops
        for _ in range(1 + hops):
            answer = await self._request(url, split_url(url, "https"))
            if isinstance(answer, bytes):
                return answer
            url = _redirected(url, answer)
        raise DiscoveryError(f"it redirects more than {hops} times, at last to {shown(url)}")

    async def _request(self, url: str, target: Target) -> bytes | str:
        """One request: the body, or where it redirects to. The connection never outlives it."""
        judged = _JudgedEndpoint(self._reactor, self._resolve, self._allowed, target)
        limit = self._timeouts.document_bytes
        connection = _BoundedEndpoint(self._wrap_tls(judged, target.host), limit + _HEADERS_BYTES)
        agent = Agent.usingEndpointFactory(self._reactor, connection)
        try:
            return await _answer(await agent.request(b"GET", url.encode("ascii"), Headers(_HEADERS)), limit)
        except (*_CANCELED, *_FAILED) as error:
            raise _explained(error, target, connection.exceeded, limit) from None
        finally:
            connection.abort()


@implementer(IStreamClientEndpoint)
class _JudgedEndpoint:
    """TCP to the addresses of a host that the guard lets pass, one after another; nothing is resolved twice."""

    def __init__(self, reactor: Any, resolve: Resolve, allowed: Sequence[Network], target: Target) -> None:
        self._reactor = reactor
        self._resolve = resolve
        self._allowed = allowed
        self._target = target

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        passed, refused = judge(await self._resolve(self._target.host), self._allowed)
        reasons = list(refused)
        for address in passed[:_MAX_ADDRESSES]:
            endpoint = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            try:
                return await endpoint(self._reactor, address, self._target.port, _ADDRESS_TIMEOUT).connect(factory)
            except ConnectError as error:
                reasons.append(f"{address}: {error}")
        raise DiscoveryError("; ".join(reasons))


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _BoundedEndpoint:
    """The one connection of a request, cut after `limit` bytes of HTTP: status, headers, chunks and body together."""

    def __init__(self, endpoint: IStreamClientEndpoint, limit: int) -> None:
        self._endpoint = endpoint
        self._limit = limit
        self._protocol: _BoundedProtocol | None = None

    def endpointForURI(self, uri: URI) -> _BoundedEndpoint:
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        bounded: WrappingFactory[_BoundedProtocol] = WrappingFactory(factory)
        bounded.protocol = partial(_BoundedProtocol, self._limit)
        protocol = await self._endpoint.connect(bounded)
        assert isinstance(protocol, _BoundedProtocol)
        self._protocol = protocol
        return protocol.wrappedProtocol

    @property
    def exceeded(self) -> bool:
        """Whether the peer sent more than the limit."""
        return self._protocol is not None and self._protocol.left < 0

    def abort(self) -> None:
        """End the connection, if there is one."""
        if self._protocol is not None:
            self._protocol.transport.abortConnection()


class _BoundedProtocol(ProtocolWrapper):
    """Hands on what arrives, as long as it is not more than `limit` bytes; then ends the connection."""

    transport: ITCPTransport

    def __init__(self, limit: int, factory: WrappingFactory[_BoundedProtocol], wrapped: IProtocol) -> None:
        super().__init__(factory, wrapped)
        self.left = limit

    def dataReceived(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left >= 0:
            self.wrappedProtocol.dataReceived(data)
        else:
            self.transport.abortConnection()


class _Body(Protocol):
    """Collects a body; the connection bounds its length. readBody would fail when the end follows a cancellation."""

    def __init__(self, done: Deferred[bytes]) -> None:
        self._done = done
        self._parts: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        self._parts.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # PotentialDataLoss: a body without a length ends with the connection (RFC 9112, 6.3).
        if isinstance(reason.value, ResponseDone | PotentialDataLoss):
            self._done.callback(b"".join(self._parts))
        else:
            self._done.errback(reason)


async def _answer(response: IResponse, limit: int) -> bytes | str:
    location = _header(response, b"location")
    if response.code in _REDIRECTS and location:
        return location
    if response.code != 200:
        raise DiscoveryError(f"the status is {response.code}, wanted 200")
    coding = _header(response, b"content-encoding") or "identity"
    if coding.lower() != "identity":
        raise DiscoveryError(f"the content coding is {shown(coding)}, wanted none")
    done: Deferred[bytes] = Deferred()
    response.deliverBody(_Body(done))
    body = await done
    if len(body) > limit:
        raise _too_long(limit)
    return body


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location).partition("#")[0]
    except ValueError as error:
        raise DiscoveryError(f"it redirects to {shown(location)}, which is no URL: {error}") from None


def _header(response: IResponse, name: bytes) -> str:
    return bytes(response.headers.getRawHeaders(name, [b""])[0]).decode("latin-1")


def _too_long(limit: int) -> DiscoveryError:
    return DiscoveryError(f"the answer is larger than {limit} bytes")


def _explained(error: BaseException, target: Target, exceeded: bool, limit: int) -> BaseException:
    """The innermost error that twisted.web wrapped, as one line; a cancellation stays one."""
    while isinstance(error, ResponseFailed) and error.reasons:
        error = error.reasons[0].value
    if isinstance(error, _CANCELED):
        return CancelledError()
    if exceeded:
        return _too_long(limit)
    text = str(error) if isinstance(error, XMPPFedError) else f"{type(error).__name__} {shown(str(error))}"
    return DiscoveryError(f"{target.host} port {target.port}: {text}")
