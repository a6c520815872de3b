"""Documents over HTTPS from servers that strangers name: every address judged, every byte and second counted.

The requests go through treq. Alone it would ask for gzip and unpack it before a limit can be applied (64 KiB become
64 MiB), keep cookies, and import the global reactor: `_PlainAgent` stands between treq and the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urljoin

from hyperlink import EncodedURL
from OpenSSL.SSL import Error as TLSError
from treq import collect
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint, ITCPTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import URI, Agent, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from xmppfed.discovery.guard import Network, judge
from xmppfed.discovery.records import Resolve
from xmppfed.discovery.urls import Target, shown, split_url
from xmppfed.errors import DiscoveryError, XMPPFedError
from xmppfed.timeouts import Timeouts

__all__ = ["DocumentClient", "WrapTLS"]

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
        client = HTTPClient(_PlainAgent(Agent.usingEndpointFactory(self._reactor, connection)))
        try:
            response = await client.get(_WrittenURL(url), allow_redirects=False, unbuffered=True, reactor=self._reactor)
            return await _answer(response, limit)
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
        passed, refused = judge((await self._resolve(self._target.host)).found, self._allowed)
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


@implementer(IAgent)
class _PlainAgent:
    """What treq reaches the network through, so that it has no cookie to keep and nothing to unpack."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        """Send our headers, and none that treq made: it asks for gzip."""
        return self._agent.request(method, uri, Headers(_HEADERS), bodyProducer).addCallback(_admitted)


class _WrittenURL(EncodedURL):
    """A URL that `split_url` let pass, asked for as it is written.

    treq has each URL encoded anew by hyperlink, which fails for IPv6 addresses and for names with an underscore.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def to_uri(self) -> _WrittenURL:
        return self

    def to_text(self, with_password: bool = False) -> str:
        return self._text


def _admitted(response: IResponse) -> IResponse:
    """The response, before treq sees it: a redirect, whose body is not read, or a body that is not encoded."""
    for name in (b"set-cookie", b"set-cookie2"):
        response.headers.removeHeader(name)
    if _location(response):
        return response
    if response.code != 200:
        raise DiscoveryError(f"the status is {response.code}, wanted 200")
    # Of several headers treq unpacks the last coding first, so none may hide behind another.
    coding = ", ".join(_headers(response, b"content-encoding"))
    if any(name.strip().lower() not in {"identity", ""} for name in coding.split(",")):
        raise DiscoveryError(f"the content coding is {shown(coding)}, wanted none")
    return response


async def _answer(response: IResponse, limit: int) -> bytes | str:
    """Where it redirects to, or the body, whose length the connection bounds while it is read."""
    location = _location(response)
    if location:
        return location
    parts: list[bytes] = []
    await collect(response, parts.append)
    body = b"".join(parts)
    if len(body) > limit:
        raise _too_long(limit)
    return body


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location).partition("#")[0]
    except ValueError as error:
        raise DiscoveryError(f"it redirects to {shown(location)}, which is no URL: {error}") from None


def _location(response: IResponse) -> str:
    return _headers(response, b"location")[0] if response.code in _REDIRECTS else ""


def _headers(response: IResponse, name: bytes) -> list[str]:
    return [value.decode("latin-1") for value in response.headers.getRawHeaders(name, [b""])]


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
