"""The resolver: real DNS messages, a network in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.names import dns
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.resolver import Resolver
from xmppfed.errors import DiscoveryError


class Socket:
    """A UDP socket at which a DNS server answers from the table of its network, or not at all."""

    def __init__(self, network: DNSNetwork, protocol: Any) -> None:
        self._network = network
        self._protocol = protocol

    def write(self, datagram: bytes, address: tuple[str, int]) -> None:
        """Answer, unless this server is silent."""
        question = dns.Message()
        question.fromStr(datagram)
        self._network.asked.append((address[0], question.queries[0].type))
        if address[0] not in self._network.silent:
            self._network.callLater(0, self._protocol.datagramReceived, self._network.answer(question), address)

    def stopListening(self) -> None:
        """Close the socket."""
        self._network.sockets -= 1
        self._protocol.stopProtocol()


class DNSNetwork(Clock):
    """A reactor whose network is one DNS zone: name and type to answers, or to a response code."""

    def __init__(self) -> None:
        super().__init__()
        self.zone: dict[tuple[str, int], list[Any] | int] = {}
        self.asked: list[tuple[str, int]] = []
        self.silent: set[str] = set()
        self.truncated = False
        self.sockets = 0
        self.tcp: list[StringTransport] = []

    def answer(self, question: dns.Message) -> bytes:
        """The message of the server."""
        query = question.queries[0]
        known = self.zone.get((query.name.name.decode(), query.type), dns.ENAME)
        reply = dns.Message(question.id, answer=1, rCode=known if isinstance(known, int) else 0, trunc=self.truncated)
        reply.queries = question.queries
        if isinstance(known, list) and not self.truncated:
            reply.answers = [dns.RRHeader(query.name.name, record.TYPE, dns.IN, 60, record) for record in known]
        return bytes(reply.toStr())

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> None:
        """Open a socket."""
        self.sockets += 1
        protocol.startProtocol()
        protocol.transport = Socket(self, protocol)

    def connectTCP(self, host: str, port: int, factory: Any, *rest: Any) -> None:
        """Connect at once, and answer everything asked before the connection was made."""
        protocol = factory.buildProtocol(IPv4Address("TCP", host, port))
        transport = StringTransport()
        transport.abortConnection = lambda: protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[method-assign]
        self.tcp.append(transport)
        self.truncated = False
        self.callLater(0, self._serve, protocol, transport)

    def _serve(self, protocol: Any, transport: StringTransport) -> None:
        protocol.makeConnection(transport)
        data = transport.value()
        while data:
            length = int.from_bytes(data[:2], "big")
            question = dns.Message()
            question.fromStr(data[2 : 2 + length])
            reply = self.answer(question)
            protocol.dataReceived(len(reply).to_bytes(2, "big") + reply)
            data = data[2 + length :]


class ResolverCase(SynchronousTestCase):
    """A resolver with an empty hosts file."""

    def setUp(self) -> None:
        """One name server."""
        self.network = DNSNetwork()
        self.hosts, self.resolv_conf = self.mktemp(), self.mktemp()
        self.write(self.hosts, "127.0.0.1 localhost\n")
        self.write(self.resolv_conf, "search example\nnameserver\nnameserver 192.0.2.53 # ours\nnameserver x\n")
        self.resolver = Resolver(self.network, hosts=self.hosts, resolv_conf=self.resolv_conf)

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        with open(path, "w") as file:
            file.write(text)

    def ask(self, host: str = "example.org", seconds: float = 0) -> Deferred[tuple[str, ...]]:
        """Ask, and let time pass."""
        asking = Deferred.fromCoroutine(self.resolver.addresses(host))
        for _ in range(4):
            self.network.advance(seconds / 4)
        return asking

    def refused(self, asking: Deferred[tuple[str, ...]]) -> str:
        """The text of the error; nothing may be left open."""
        text = str(self.failureResultOf(asking, DiscoveryError).value)
        self.assertEqual((self.network.sockets, self.network.getDelayedCalls()), (0, []))
        return text


class AnswerTests(ResolverCase):
    """Addresses that are there."""

    def test_both_families(self) -> None:
        """A and AAAA are asked at the same time and answered in turn, IPv6 first; aliases do not disturb."""
        self.network.zone["example.org", dns.A] = [
            dns.Record_CNAME("www.example.org"),
            dns.Record_A("192.0.2.1"),
            dns.Record_A("192.0.2.2"),
        ]
        self.network.zone["example.org", dns.AAAA] = [dns.Record_AAAA("2001:db8::1")]
        asking = self.ask()
        self.assertEqual(self.successResultOf(asking), ("2001:db8::1", "192.0.2.1", "192.0.2.2"))
        self.assertEqual(self.network.asked, [("192.0.2.53", dns.AAAA), ("192.0.2.53", dns.A)])
        self.assertEqual((self.network.sockets, self.network.getDelayedCalls()), (0, []))

    def test_one_family(self) -> None:
        """One family is enough, whatever happens to the other."""
        self.network.zone["example.org", dns.A] = [dns.Record_A("192.0.2.1")]
        for other in (dns.ENAME, dns.ESERVER, []):
            self.network.zone["example.org", dns.AAAA] = other
            self.assertEqual(self.successResultOf(self.ask()), ("192.0.2.1",))

    def test_many(self) -> None:
        """At most 16 addresses are taken."""
        self.network.zone["example.org", dns.A] = [dns.Record_A(f"192.0.2.{n}") for n in range(20)]
        self.assertEqual(len(self.successResultOf(self.ask())), 16)

    def test_addresses(self) -> None:
        """An address is its own answer, without DNS."""
        for address in ("192.0.2.1", "2001:db8::1"):
            self.assertEqual(self.successResultOf(self.ask(address)), (address,))
        self.assertEqual(self.network.asked, [])

    def test_hosts_file(self) -> None:
        """The hosts file answers alone for the names in it, of both families, and is read anew each time."""
        self.write(self.hosts, "10.0.0.5 one.example ONE\n2001:db8::5 one.example\n")
        self.assertEqual(self.successResultOf(self.ask("one.example")), ("10.0.0.5", "2001:db8::5"))
        self.assertEqual(self.network.asked, [])
        self.write(self.hosts, "")
        self.refused(self.ask("one.example"))

    def test_truncated(self) -> None:
        """An answer too large for UDP is fetched over TCP, on this reactor, and that connection is closed."""
        self.network.zone["example.org", dns.A] = [dns.Record_A("192.0.2.1")]
        self.network.truncated = True
        self.assertEqual(self.successResultOf(self.ask()), ("192.0.2.1",))
        self.assertTrue(self.network.tcp)
        self.assertEqual(self.network.getDelayedCalls(), [])


class ServerTests(ResolverCase):
    """Who is asked."""

    def test_given_servers(self) -> None:
        """Servers that are given replace resolv.conf."""
        self.resolver = Resolver(self.network, hosts=self.hosts, servers=(("192.0.2.99", 5353),))
        self.refused(self.ask())
        self.assertEqual({server for server, _ in self.network.asked}, {"192.0.2.99"})

    def test_no_file(self) -> None:
        """Without resolv.conf the server on this machine is asked (resolv.conf(5))."""
        self.resolver = Resolver(self.network, hosts=self.hosts, resolv_conf=self.mktemp())
        self.refused(self.ask())
        self.assertEqual({server for server, _ in self.network.asked}, {"127.0.0.1"})

    def test_second_server(self) -> None:
        """When one server is silent the next one is asked."""
        self.write(self.resolv_conf, "nameserver 192.0.2.53\nnameserver 192.0.2.54\n")
        self.network.silent.add("192.0.2.53")
        self.network.zone["example.org", dns.A] = [dns.Record_A("192.0.2.1")]
        self.assertEqual(self.successResultOf(self.ask(seconds=8)), ("192.0.2.1",))


class FailureTests(ResolverCase):
    """Why there is no address."""

    def test_reasons(self) -> None:
        """No such name, no such records, a server that fails: each is told apart."""
        self.assertIn("'example.org' has no address: the name does not exist", self.refused(self.ask()))
        self.network.zone["example.org", dns.A] = self.network.zone["example.org", dns.AAAA] = []
        self.assertIn("neither an A nor an AAAA record", self.refused(self.ask()))
        self.network.zone["example.org", dns.A] = self.network.zone["example.org", dns.AAAA] = dns.ESERVER
        self.assertIn("the name servers said DNSServerError", self.refused(self.ask()))

    def test_silence(self) -> None:
        """Servers that never answer are given up on."""
        self.network.silent.add("192.0.2.53")
        self.assertIn("no name server answered", self.refused(self.ask(seconds=30)))

    def test_deadline(self) -> None:
        """With many silent servers 10 s are the end, not 7 s for each."""
        self.write(self.resolv_conf, "".join(f"nameserver 192.0.2.{n}\n" for n in range(9)))
        self.network.silent.update(f"192.0.2.{n}" for n in range(9))
        asking = self.ask(seconds=9.9)
        self.assertNoResult(asking)
        self.network.advance(0.1)
        self.assertIn("no name server answered within 10 s", str(self.failureResultOf(asking, DiscoveryError).value))
        self.network.advance(10)
        self.assertEqual((self.network.sockets, self.network.getDelayedCalls()), (0, []))

    def test_cancel(self) -> None:
        """Whoever asked may give up; the sockets are closed."""
        self.network.silent.add("192.0.2.53")
        asking = self.ask(seconds=0.4)
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual(self.network.sockets, 0)
