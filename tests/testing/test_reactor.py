"""The reactor that production code gets."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectionDone, DNSLookupError, TimeoutError, UserError
from twisted.internet.interfaces import (
    IConnector,
    IListeningPort,
    IReactorFDSet,
    IReactorFromThreads,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    ITCPTransport,
    ITLSTransport,
)
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.testing.peers import SERVER, Recorder, Remembering, connect
from xmppfed.testing.network import Network
from xmppfed.testing.resolver import Resolver


class Client(ClientFactory[Recorder]):
    """Keeps what the connector tells."""

    protocol = Recorder

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.lost: BaseException | None = None

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.failure = reason.value

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        self.lost = reason.value


class Interfaces(SynchronousTestCase):
    """Everything is what Twisted's interfaces say."""

    def test_reactor(self) -> None:
        """The reactor provides time, TCP, readiness, calls from threads and names."""
        reactor = Network().reactor
        for wanted in (IReactorTime, IReactorTCP, IReactorFDSet, IReactorFromThreads, IReactorPluggableNameResolver):
            verifyObject(wanted, reactor)

    def test_connections(self) -> None:
        """Transports, ports and connectors provide their interfaces."""
        network = Network()
        client, server = connect(network)
        for transport in (client.transport, server.transport):
            verifyObject(ITCPTransport, transport)
            verifyObject(ITLSTransport, transport)
        verifyObject(IListeningPort, network.reactor.listenTCP(0, Remembering()))
        connector = network.reactor.connectTCP(SERVER, 5222, Client())
        verifyObject(IConnector, connector)
        self.assertEqual(connector.getDestination().host, SERVER)


class Connecting(SynchronousTestCase):
    """What a connector's factory hears."""

    def setUp(self) -> None:
        self.network, self.factory = Network(), Client()
        self.reactor = self.network.reactor

    def test_timeout_of_its_own(self) -> None:
        """The time-out given is kept, by the clock."""
        self.network.blackhole(SERVER)
        self.reactor.connectTCP(SERVER, 5222, self.factory, timeout=3)
        self.network.advance(2.9)
        self.assertIsNone(self.factory.failure)
        self.network.advance(0.1)
        self.assertIsInstance(self.factory.failure, TimeoutError)

    def test_stopped(self) -> None:
        """A connection given up before it is made fails with UserError, and leaves nothing."""
        self.reactor.connectTCP(SERVER, 5222, self.factory).stopConnecting()
        self.assertIsInstance(self.factory.failure, UserError)
        self.network.pump()
        self.network.check_clean()

    def test_disconnected(self) -> None:
        """`disconnect` of a connector ends the connection."""
        self.reactor.listenTCP(5222, Remembering(), interface=SERVER)
        connector = self.reactor.connectTCP(SERVER, 5222, self.factory)
        self.network.pump()
        connector.disconnect()
        self.network.pump()
        self.assertIsInstance(self.factory.lost, ConnectionDone)

    def test_by_name(self) -> None:
        """A name is looked up in the network's resolver."""
        servers = Remembering()
        self.reactor.listenTCP(5222, servers, interface=SERVER)
        self.network.resolver.hosts["example.org"] = (SERVER,)
        self.reactor.connectTCP("example.org", 5222, self.factory)
        self.network.pump()
        self.assertEqual(len(servers.built), 1)

    def test_by_unknown_name(self) -> None:
        """A name that nobody knows is a DNSLookupError."""
        self.reactor.connectTCP("nowhere.example", 5222, self.factory)
        self.network.pump()
        self.assertIsInstance(self.factory.failure, DNSLookupError)


class Names(SynchronousTestCase):
    """Another name resolver can be put in."""

    def test_install(self) -> None:
        """Endpoints ask the resolver installed; the one before is handed back."""
        network, other = Network(), Resolver()
        other.hosts["example.org"] = (SERVER,)
        self.assertIs(network.reactor.installNameResolver(other), network.resolver)
        network.reactor.listenTCP(5222, Remembering(), interface=SERVER)
        connecting = HostnameEndpoint(network.reactor, "example.org", 5222).connect(Remembering())
        network.advance(1)
        self.successResultOf(connecting)


class Running(SynchronousTestCase):
    """A reactor that runs from its beginning, and for ever."""

    def test_call_when_running(self) -> None:
        """What waits for the reactor to run is called at once."""
        called: list[Any] = []
        Network().reactor.callWhenRunning(called.append, 1)
        self.assertEqual(called, [1])

    def test_triggers_are_kept(self) -> None:
        """Triggers can be looked at, called by the test, and removed."""
        reactor, called = Network().reactor, []
        key = reactor.addSystemEventTrigger("before", "shutdown", called.append, "stopped")
        phase, event, call = reactor.triggers[key]
        call()
        self.assertEqual((phase, event, called), ("before", "shutdown", ["stopped"]))
        reactor.removeSystemEventTrigger(key)
        self.assertEqual(reactor.triggers, {})
