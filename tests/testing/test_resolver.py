"""Names of a network in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from xmppfed.discovery.records import Records, Service
from xmppfed.errors import DiscoveryError
from xmppfed.testing.resolver import Resolver


@implementer(IResolutionReceiver)
class Receiver:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        self.told.append(resolution.name)

    def addressResolved(self, address: Any) -> None:
        self.told.append(address)

    def resolutionComplete(self) -> None:
        self.told.append("complete")


class Addresses(SynchronousTestCase):
    """What `xmppfed.discovery` asks."""

    def setUp(self) -> None:
        self.resolver = Resolver()
        self.resolver.hosts["example.org"] = ("192.0.2.1", "2001:db8::1")

    def ask(self, host: str) -> Deferred[Records[str]]:
        return Deferred.fromCoroutine(self.resolver.addresses(host))

    def test_known(self) -> None:
        """A name has the addresses of the table, in its order, whatever its case and the dot of the root."""
        self.assertEqual(self.successResultOf(self.ask("example.org")).found, ("192.0.2.1", "2001:db8::1"))
        self.assertEqual(self.successResultOf(self.ask("Example.ORG.")).found, ("192.0.2.1", "2001:db8::1"))

    def test_address(self) -> None:
        """An address is its own answer."""
        self.assertEqual(self.successResultOf(self.ask("2001:DB8::1")).found, ("2001:db8::1",))

    def test_unknown(self) -> None:
        """An unknown name is a DiscoveryError that says what is known."""
        text = str(self.failureResultOf(self.ask("nowhere.example"), DiscoveryError).value)
        self.assertIn("nowhere.example has no address", text)
        self.assertIn("example.org", text)
        self.resolver.hosts.clear()
        self.assertIn("no name", str(self.failureResultOf(self.ask("nowhere.example"), DiscoveryError).value))


class OtherRecords(SynchronousTestCase):
    """What `xmppfed.discovery` asks besides addresses."""

    def test_services_and_texts(self) -> None:
        """Each has a table of its own, by name in lower case; where it has nothing, the answer says so."""
        resolver, name = Resolver(), "_xmpp-server._tcp.example.org"
        resolver.srv[name] = (Service("xmpp.example.org", 5269, 0, 0),)
        resolver.txt["_xmppconnect-server.example.org"] = ("a=b",)
        services = Deferred.fromCoroutine(resolver.services(name.upper()))
        self.assertEqual(self.successResultOf(services).found, (Service("xmpp.example.org", 5269, 0, 0),))
        texts = Deferred.fromCoroutine(resolver.texts("_xmppconnect-server.example.org"))
        self.assertEqual(self.successResultOf(texts).found, ("a=b",))
        for none in (resolver.services("x"), resolver.texts("x")):
            answer: Any = self.successResultOf(Deferred.fromCoroutine(none))
            self.assertEqual((answer.found, answer.nothing), ((), "the resolver in memory has none"))


class HostNames(SynchronousTestCase):
    """What Twisted's endpoints ask."""

    def setUp(self) -> None:
        self.resolver, self.receiver = Resolver(), Receiver()
        self.resolver.hosts["example.org"] = ("192.0.2.1", "2001:db8::1")

    def test_interfaces(self) -> None:
        """Resolver and resolution are what Twisted calls so."""
        verifyObject(IHostnameResolver, self.resolver)
        resolution = self.resolver.resolveHostName(self.receiver, "example.org")
        verifyObject(IHostResolution, resolution)
        resolution.cancel()
        self.assertEqual(self.receiver.told[-1], "complete")

    def test_all_addresses(self) -> None:
        """Each address is told with its port, as the kind it is."""
        self.resolver.resolveHostName(self.receiver, "example.org", 443)
        expected = [IPv4Address("TCP", "192.0.2.1", 443), IPv6Address("TCP", "2001:db8::1", 443)]
        self.assertEqual(self.receiver.told, ["example.org", *expected, "complete"])

    def test_wanted_types(self) -> None:
        """Only addresses of the wanted types are told."""
        self.resolver.resolveHostName(self.receiver, "example.org", 443, [IPv6Address])
        self.assertEqual(self.receiver.told[1:-1], [IPv6Address("TCP", "2001:db8::1", 443)])

    def test_unknown(self) -> None:
        """An unknown name has no address."""
        self.resolver.resolveHostName(self.receiver, "nowhere.example")
        self.assertEqual(self.receiver.told, ["nowhere.example", "complete"])
