"""Endpoints that lead to peers (L7, L15, M4, X5)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, clientFromString
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamClientEndpointStringParserWithReactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import IPlugin, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from xmppfed.e2e import endpoints
from xmppfed.e2e.endpoints import LinkLocalEndpoint, PeerUnreachable, offer
from xmppfed.e2e.linklocal.discovery import PeerNotFound
from xmppfed.e2e.linklocal.memory import MemoryDiscovery, MemoryLink
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.txt import LinkPresence
from xmppfed.errors import DiscoveryError
from xmppfed.testing.network import Network
from xmppfed.timeouts import Timeouts

JULIET, ROMEO = InstanceName("juliet", "pronto"), InstanceName("romeo", "orchard")


class _Accepting(Factory):
    """Notes from where it is called."""

    def __init__(self, callers: list[str]) -> None:
        self.callers = callers

    def buildProtocol(self, addr: Any) -> Protocol:
        self.callers.append(addr.host)
        return Protocol()


class _OnLink(SynchronousTestCase):
    """Juliet listens, and Romeo connects."""

    def setUp(self) -> None:
        self.network = Network()
        self.reactor = self.network.reactor
        self.link = MemoryLink(self.reactor)
        self.juliet = self.host("192.0.2.1")
        self.romeo = self.host("192.0.2.2", "2001:db8::2")
        self.callers: list[str] = []
        self.accepting = _Accepting(self.callers)

    def host(self, *addresses: str) -> MemoryDiscovery:
        discovery = self.link.discovery(*addresses)
        Deferred.fromCoroutine(discovery.start())
        return discovery

    def publish(self, discovery: MemoryDiscovery, name: InstanceName) -> None:
        Deferred.fromCoroutine(discovery.publish(name, 5298, LinkPresence()))
        self.network.pump()

    def listen(self, *addresses: str) -> None:
        for address in addresses:
            kind = TCP6ServerEndpoint if ":" in address else TCP4ServerEndpoint
            self.successResultOf(kind(self.reactor, 5298, interface=address).listen(self.accepting))
        self.juliet.addresses = addresses
        self.publish(self.juliet, JULIET)

    def connect(self, endpoint: IStreamClientEndpoint) -> Deferred[Any]:
        connecting = endpoint.connect(Factory.forProtocol(Protocol))
        self.network.pump()
        return connecting

    def to_juliet(self) -> LinkLocalEndpoint:
        return LinkLocalEndpoint(self.reactor, self.romeo, "juliet@pronto")


class Connecting(_OnLink):
    """From a name to a connection."""

    def test_interface(self) -> None:
        """It is what Twisted calls an endpoint."""
        verifyObject(IStreamClientEndpoint, self.to_juliet())

    def test_connected(self) -> None:
        """L15: it leads to where the peer is when it is connected to, whatever was so before."""
        self.listen("192.0.2.1")
        endpoint = self.to_juliet()
        self.listen("192.0.2.7")
        self.assertIsInstance(self.successResultOf(self.connect(endpoint)), Protocol)

    def test_source(self) -> None:
        """M4: who advertises addresses comes from one of them, of the family and as near as possible."""
        self.listen("192.0.2.1")
        self.romeo.addresses = ("198.51.100.7", "192.0.2.2", "2001:db8::2")
        self.publish(self.romeo, ROMEO)
        self.successResultOf(self.connect(self.to_juliet()))
        self.assertEqual(self.callers, ["192.0.2.2"])

    def test_source_on_link(self) -> None:
        """M4, X5: to an address on the link one comes from the same link."""
        reactor = MemoryReactorClock()
        self.juliet.addresses = ("fe80::1%2",)
        self.romeo.addresses = ("fe80::2%3", "fe80::2%2", "2001:db8::2")
        self.publish(self.juliet, JULIET)
        self.publish(self.romeo, ROMEO)
        self.connect(LinkLocalEndpoint(reactor, self.romeo, "juliet@pronto"))
        ((host, port, _, timeout, source),) = reactor.tcpClients
        self.assertEqual((host, port, timeout, source), ("fe80::1%2", 5298, Timeouts().connect, ("fe80::2%2", 0)))

    def test_no_source(self) -> None:
        """Who advertises nothing comes from wherever the system says."""
        self.listen("192.0.2.1")
        self.successResultOf(self.connect(self.to_juliet()))
        self.assertEqual(self.callers, ["198.51.100.1"])

    def test_race(self) -> None:
        """RFC 8305: an address that does not answer holds up the next one for a moment only, and is then given up."""
        self.listen("2001:db8::1", "192.0.2.1")
        self.network.blackhole("192.0.2.1")
        connecting = self.connect(self.to_juliet())
        self.assertNoResult(connecting)
        self.network.advance(Timeouts().race)
        self.successResultOf(connecting)
        self.assertEqual(len(self.callers), 1)
        self.assertEqual(len(self.network.links), 1)

    def test_refused(self) -> None:
        """Where every address refuses, the error names each with what it said."""
        self.juliet.addresses = ("2001:db8::1", "192.0.2.1")
        self.publish(self.juliet, JULIET)
        error = self.failureResultOf(self.connect(self.to_juliet()), PeerUnreachable).value
        self.assertIsInstance(error, ConnectError)
        self.assertRegex(
            str(error),
            "The peer is there, but takes no connection: 'juliet@pronto' at port 5298: "
            "192.0.2.1: .*refused.*; 2001:db8::1: .*refused",
        )

    def test_unknown(self) -> None:
        """A name that nobody has is an error that says who is there."""
        self.listen("192.0.2.1")
        connecting = self.connect(LinkLocalEndpoint(self.reactor, self.romeo, "tybalt@street", Timeouts(link_search=2)))
        self.network.advance(2)
        error = self.failureResultOf(connecting, PeerNotFound).value
        self.assertIsInstance(error, ConnectError)
        self.assertIn("looked for 'tybalt@street' for 2 s; found 'juliet@pronto'", str(error))

    def test_canceled(self) -> None:
        """L7: canceled while it asks or while it connects, it does neither any more."""
        for published in (False, True):
            if published:
                self.listen("192.0.2.1")
                self.network.blackhole("192.0.2.1")
            connecting = self.connect(self.to_juliet())
            connecting.cancel()
            self.failureResultOf(connecting, CancelledError)
            self.assertEqual((self.network.links, self.reactor.getDelayedCalls()), ([], []))


class FromString(_OnLink):
    """What any Twisted program can say."""

    def setUp(self) -> None:
        super().setUp()
        self.made: list[tuple[Any, ...]] = []
        self.patch(endpoints, "ZeroconfDiscovery", self.make)

    def make(self, *what: Any) -> MemoryDiscovery:
        self.made.append(what)
        return self.link.discovery("192.0.2.9")

    def test_plugin(self) -> None:
        """Twisted finds the parser, and knows it for one."""
        (parser,) = [each for each in getPlugins(IStreamClientEndpointStringParserWithReactor) if each.prefix == "linklocal"]
        verifyObject(IStreamClientEndpointStringParserWithReactor, parser)
        verifyObject(IPlugin, parser)

    def test_alone(self) -> None:
        """Without a discovery that is offered there is one for this connection, which ends with it, and is seen by nobody."""
        self.listen("192.0.2.1")
        endpoint = clientFromString(self.reactor, "linklocal:juliet@pronto")
        self.assertEqual(self.made, [])
        self.successResultOf(self.connect(endpoint))
        self.assertEqual(self.made, [(self.reactor, ())])
        self.assertEqual(self.link.members, [self.juliet, self.romeo])
        self.assertEqual([peer.instance for peer in self.romeo.peers], ["juliet@pronto"])

    def test_options(self) -> None:
        """Interfaces and the time to look are said behind the name, in which a colon has a backslash before it."""
        endpoint = clientFromString(self.reactor, "linklocal:ju\\:liet@pronto:interfaces=eth0,127.0.0.1:timeout=0.5")
        connecting = self.connect(endpoint)
        self.network.advance(0.5)
        self.assertIn("'ju:liet@pronto' for 0.5 s", str(self.failureResultOf(connecting, PeerNotFound).value))
        self.assertEqual(self.made, [(self.reactor, ("eth0", "127.0.0.1"))])
        self.assertEqual(self.link.members, [self.juliet, self.romeo])

    def test_bad_timeout(self) -> None:
        """What is no number is refused when the string is read."""
        self.assertRaises(ValueError, clientFromString, self.reactor, "linklocal:juliet@pronto:timeout=soon")

    def test_offered(self) -> None:
        """M4: a discovery that runs anyhow is used, and so is what it advertises; until it is offered no more."""
        self.listen("192.0.2.1")
        self.publish(self.romeo, ROMEO)
        end = offer(self.reactor, self.romeo)
        endpoint = clientFromString(self.reactor, "linklocal:juliet@pronto")
        self.successResultOf(self.connect(endpoint))
        self.assertEqual((self.callers, self.made), (["192.0.2.2"], []))
        end()
        end()
        self.successResultOf(self.connect(endpoint))
        self.assertEqual(len(self.made), 1)

    def test_offered_anew(self) -> None:
        """Who ends an offer that another has followed ends nothing."""
        end = offer(self.reactor, self.juliet)
        offer(self.reactor, self.romeo)
        end()
        self.listen("192.0.2.1")
        self.successResultOf(self.connect(clientFromString(self.reactor, "linklocal:juliet@pronto")))
        self.assertEqual(self.made, [])

    def test_not_possible(self) -> None:
        """Where nothing can be heard at all, that is the error."""

        async def start(_: MemoryDiscovery) -> None:
            raise DiscoveryError("install it: pip install 'xmppfed[linklocal]'")

        async def stop(discovery: MemoryDiscovery) -> None:
            stopped.append(discovery)

        stopped: list[MemoryDiscovery] = []

        self.patch(MemoryDiscovery, "start", start)
        self.patch(MemoryDiscovery, "stop", stop)
        connecting = self.connect(clientFromString(self.reactor, "linklocal:juliet@pronto"))
        self.failureResultOf(connecting, DiscoveryError)
        self.assertEqual(len(stopped), 1)
