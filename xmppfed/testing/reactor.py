"""A reactor without an operating system: Twisted's own TCP transports over sockets in memory, under a fake clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IConnector,
    IHostnameResolver,
    IListeningPort,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorTCP,
)
from twisted.internet.protocol import ClientFactory
from zope.interface import implementer

from xmppfed.errors import DiscoveryError
from xmppfed.testing.loop import Loop
from xmppfed.testing.resolver import Resolver
from xmppfed.testing.sockets import ListeningSocket, StreamSocket

__all__ = ["MemoryReactor"]


class _OnOurClock:
    """A transport whose `startTLS` keeps to the clock of its reactor; Twisted gives it the global one."""

    protocol: Any
    reactor: Any

    def startTLS(self, context: Any, normal: bool = True) -> None:
        super().startTLS(context, normal)  # type: ignore[misc]  # a mixin: the transport follows it
        # Small writes wait for a call of this clock, which in memory nobody else would make.
        self.protocol._aggregator._clock = self.reactor


class _Server(_OnOurClock, tcp.Server):
    pass


class _Client(_OnOurClock, tcp.Client):
    def createInternetSocket(self) -> StreamSocket:
        return StreamSocket(self.connector.reactor.wiring, self.addressFamily)


class _Connector(tcp.Connector):
    def _makeTransport(self) -> tcp.Client:
        make: Any = _Client  # untyped in Twisted
        client: tcp.Client = make(self.host, self.port, self.bindAddress, self, self.reactor)
        return client


class _Port(tcp.Port):
    reactor: Any
    transport = _Server

    def createInternetSocket(self) -> Any:
        return ListeningSocket(self.reactor.wiring, self.addressFamily)


@implementer(IReactorTCP, IReactorPluggableNameResolver)
class MemoryReactor(Loop):
    """What production code gets for a reactor: it listens, connects, looks names up, and keeps time."""

    running = True

    def __init__(self, resolver: Resolver) -> None:
        super().__init__()
        self.resolver = resolver
        self.nameResolver: IHostnameResolver = resolver
        self.triggers: dict[int, tuple[str, str, Callable[..., object]]] = {}
        self._trigger_ids = count(1)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> IListeningPort:
        """Listen on one address, or on `""` and `"0.0.0.0"` (any IPv4 address) or `"::"` (any at all).

        Raises CannotListenError when somebody already answers there.
        """
        listening = _Port(port, factory, backlog, interface, self)
        listening.startListening()
        return listening

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: ClientFactory[Any],
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
    ) -> IConnector:
        """Connect to an address, or a name that the resolver knows; the factory hears of it when the reactor runs."""
        connector = _Connector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def resolve(self, name: str, timeout: Iterable[int] = ()) -> Deferred[str]:
        """The first address of a name; fails with DNSLookupError."""
        return Deferred.fromCoroutine(self._first_address(name))

    async def _first_address(self, name: str) -> str:
        try:
            return (await self.resolver.addresses(name)).found[0]
        except DiscoveryError as unknown:
            raise DNSLookupError(str(unknown)) from unknown

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """Have `HostnameEndpoint` ask somebody else; returns who was asked before."""
        self.nameResolver, before = resolver, self.nameResolver
        return before

    def callWhenRunning(self, callable: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Call now: this reactor runs from its beginning."""
        callable(*args, **kwargs)

    def addSystemEventTrigger(
        self, phase: str, eventType: str, callable: Callable[..., object], *args: object, **kwargs: object
    ) -> int:
        """Keep the trigger in `triggers` as (phase, event, call); no event ever happens by itself."""
        key = next(self._trigger_ids)
        self.triggers[key] = (phase, eventType, partial(callable, *args, **kwargs))
        return key

    def removeSystemEventTrigger(self, triggerID: int) -> None:
        """Forget a trigger."""
        del self.triggers[triggerID]
