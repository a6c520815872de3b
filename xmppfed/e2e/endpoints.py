"""Endpoints that lead to peers, for any Twisted program: `clientFromString(reactor, "linklocal:juliet@pronto")`.

`twisted/plugins/xmppfed_plugin.py` shows the parsers to Twisted, which imports this when one is used.

| string | leads to |
|---|---|
| `linklocal:juliet@pronto` | the peer of that name on the networks of this host (XEP-0174) |
| `linklocal:juliet@pronto:interfaces=eth0,wlan0` | the same, on these interfaces alone; addresses do as well as names |
| `linklocal:juliet@pronto:timeout=20` | the same, looked for longer |

A colon, an equals sign or a backslash in a name or an address is written with a backslash before it. What is connected is TCP
and nothing more: whether it is the person of that name at the other end is for the stream to find out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppfed.e2e.linklocal.addresses import Way, ways
from xmppfed.e2e.linklocal.discovery import PresenceDiscovery
from xmppfed.e2e.linklocal.mdns import ZeroconfDiscovery
from xmppfed.net.racing import race
from xmppfed.timeouts import Timeouts

__all__ = ["LinkLocalEndpoint", "PeerUnreachable", "linklocal", "offer"]

_AT_ONCE = 4
"""Addresses that are tried side by side: a family each, on two interfaces."""
_TIMEOUTS = Timeouts()
_offered: WeakKeyDictionary[Any, PresenceDiscovery] = WeakKeyDictionary()


class PeerUnreachable(ConnectError):
    """A peer is on the link, and takes no connection; the text says what became of each address."""

    MESSAGE = "The peer is there, but takes no connection"

    def __init__(self, why: str) -> None:
        super().__init__(string=why)


@implementer(IStreamClientEndpoint)
class LinkLocalEndpoint:
    """Connects to a peer on a link, wherever it is at that time (L7, L15).

    Its addresses are tried one after another, the next one beside those that have not answered yet (RFC 8305). The connection
    comes from an address that `discovery` advertises, if it does: some refuse whom they do not see (M4).
    """

    def __init__(
        self,
        reactor: Any,
        discovery: PresenceDiscovery,
        instance: str,
        timeouts: Timeouts = _TIMEOUTS,
        *,
        tried: list[str] | None = None,
    ) -> None:
        """`tried` are addresses that took a connection before to no avail, and come last now; where this one leads is added."""
        self._tried = [] if tried is None else tried
        self._reactor = reactor
        self._discovery = discovery
        self._instance = instance
        self._timeouts = timeouts

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fails with PeerNotFound or PeerUnreachable, which are ConnectErrors; canceled, it asks and connects no further."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        place = await self._discovery.resolve(self._instance, self._timeouts.link_search)
        reasons: list[str] = []
        found = ways(place.addresses, self._discovery.own_addresses, self._tried)
        starts = [partial(self._try, factory, way, place.port, reasons) for way in found]
        finish = await race(self._reactor, starts, delay=self._timeouts.race, at_once=_AT_ONCE)
        if finish.winner is None:
            raise PeerUnreachable(f"{self._instance!r} at port {place.port}: {'; '.join(reasons)}")
        return finish.winner

    def _try(self, factory: IProtocolFactory, way: Way, port: int, reasons: list[str]) -> Deferred[IProtocol | None]:
        def stands(protocol: IProtocol) -> IProtocol:
            self._tried.append(way.address)
            return protocol

        def failed(failure: Failure) -> None:
            failure.trap(ConnectError)
            reasons.append(f"{way.address}: {failure.getErrorMessage().rstrip('.')}")

        kind = TCP6ClientEndpoint if ":" in way.address else TCP4ClientEndpoint
        source = None if way.source is None else (way.source, 0)
        endpoint = kind(self._reactor, way.address, port, self._timeouts.connect, source)
        connecting: Deferred[Any] = endpoint.connect(factory)
        return connecting.addCallbacks(stands, failed)


@implementer(IStreamClientEndpoint)
class _Alone:
    """Connects by the discovery that is offered, or else by one that is there for this connection only, and publishes
    nothing."""

    def __init__(self, reactor: Any, instance: str, timeouts: Timeouts, make: Callable[[], PresenceDiscovery]) -> None:
        self._reactor = reactor
        self._instance = instance
        self._timeouts = timeouts
        self._make = make

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fails as `LinkLocalEndpoint`, and with DiscoveryError where nothing can be heard at all."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        offered = _offered.get(self._reactor)
        if offered is not None:
            return await self._by(offered, factory)
        discovery = self._make()
        try:
            await discovery.start()
            return await self._by(discovery, factory)
        finally:
            await discovery.stop()

    async def _by(self, discovery: PresenceDiscovery, factory: IProtocolFactory) -> IProtocol:
        return await LinkLocalEndpoint(self._reactor, discovery, self._instance, self._timeouts).connect(factory)


def offer(reactor: Any, discovery: PresenceDiscovery) -> Callable[[], None]:
    """Have endpoints from strings use a discovery that runs on this reactor, until what is returned is called."""
    _offered[reactor] = discovery

    def end() -> None:
        if _offered.get(reactor) is discovery:
            del _offered[reactor]

    return end


def linklocal(reactor: Any, instance: str, *, interfaces: str = "", timeout: str = "") -> IStreamClientEndpoint:
    """What `linklocal:` stands for. Raises ValueError for a `timeout` that is no number."""
    timeouts = Timeouts(link_search=float(timeout)) if timeout else _TIMEOUTS
    make = partial(ZeroconfDiscovery, reactor, tuple(interfaces.split(",")) if interfaces else ())
    return _Alone(reactor, instance, timeouts, make)
