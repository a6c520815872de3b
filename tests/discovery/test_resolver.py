"""The resolver: real DNS messages, a network in memory."""

from __future__ import annotations

from collections.abc import Coroutine
from itertools import pairwise
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.names import dns
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.records import Records, Service
from xmppfed.discovery.resolver import MAX_ALIASES, Resolver
from xmppfed.errors import DiscoveryError

T = TypeVar("T")


def rr(name: str, record: Any, ttl: int = 60) -> dns.RRHeader:
    """A record of that name."""
    return dns.RRHeader(name.encode(), record.TYPE, dns.IN, ttl, record)


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
        reply = dns.Message(question.id, answer=1, rCode=known if isinstance(known, int) else 0, trunc=self.truncated, maxSize=0)
        reply.queries = question.queries
        if isinstance(known, list) and not self.truncated:
            reply.answers = [
                record if isinstance(record, dns.RRHeader) else rr(query.name.name.decode(), record) for record in known
            ]
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

    def ask(self, host: str = "example.org", seconds: float = 0) -> Deferred[Records[str]]:
        """Ask, and let time pass."""
        return self.wait(self.resolver.addresses(host), seconds)

    def wait(self, work: Coroutine[Deferred[Any], Any, T], seconds: float = 0) -> Deferred[T]:
        """Begin the work, and let time pass."""
        asking = Deferred.fromCoroutine(work)
        for _ in range(8):
            self.network.advance(seconds / 8)
        self.network.pump([0] * 3)
        return asking

    def refused(self, asking: Deferred[Any]) -> str:
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
            rr("www.example.org", dns.Record_A("192.0.2.1")),
            rr("www.example.org", dns.Record_A("192.0.2.2")),
        ]
        self.network.zone["example.org", dns.AAAA] = [dns.Record_AAAA("2001:db8::1")]
        asking = self.ask()
        self.assertEqual(self.successResultOf(asking).found, ("2001:db8::1", "192.0.2.1", "192.0.2.2"))
        self.assertEqual(self.network.asked, [("192.0.2.53", dns.AAAA), ("192.0.2.53", dns.A)])
        self.assertEqual((self.network.sockets, self.network.getDelayedCalls()), (0, []))

    def test_one_family(self) -> None:
        """One family is enough, whatever happens to the other."""
        self.network.zone["example.org", dns.A] = [dns.Record_A("192.0.2.1")]
        for other in (dns.ENAME, dns.ESERVER, []):
            self.network.zone["example.org", dns.AAAA] = other
            self.assertEqual(self.successResultOf(self.ask()).found, ("192.0.2.1",))

    def test_many(self) -> None:
        """At most 16 addresses are taken."""
        self.network.zone["example.org", dns.A] = [dns.Record_A(f"192.0.2.{n}") for n in range(20)]
        self.assertEqual(len(self.successResultOf(self.ask()).found), 16)

    def test_addresses(self) -> None:
        """An address is its own answer, without DNS."""
        for address in ("192.0.2.1", "2001:db8::1"):
            self.assertEqual(self.successResultOf(self.ask(address)).found, (address,))
        self.assertEqual(self.network.asked, [])

    def test_hosts_file(self) -> None:
        """The hosts file answers alone for the names in it, of both families, and is read anew each time."""
        self.write(self.hosts, "10.0.0.5 one.example ONE\n2001:db8::5 one.example\n")
        self.assertEqual(self.successResultOf(self.ask("one.example")).found, ("10.0.0.5", "2001:db8::5"))
        self.assertEqual(self.network.asked, [])
        self.write(self.hosts, "")
        self.refused(self.ask("one.example"))

    def test_time_to_live(self) -> None:
        """The shortest of all the records that were used counts, aliases included; an address holds for a day."""
        self.network.zone["example.org", dns.A] = [rr("example.org", dns.Record_A("192.0.2.1"), 300)]
        self.network.zone["example.org", dns.AAAA] = [rr("example.org", dns.Record_AAAA("2001:db8::1"), 200)]
        self.assertEqual(self.successResultOf(self.ask()).ttl, 200)
        self.network.zone["example.org", dns.A] = [
            rr("example.org", dns.Record_CNAME("www.example.org"), 5),
            rr("www.example.org", dns.Record_A("192.0.2.1"), 300),
            rr("other.example.org", dns.Record_A("192.0.2.2"), 1),
        ]
        self.assertEqual(self.successResultOf(self.ask()).ttl, 5)
        self.assertEqual(self.successResultOf(self.ask("192.0.2.1")).ttl, 86_400)

    def test_truncated(self) -> None:
        """An answer too large for UDP is fetched over TCP, on this reactor, and that connection is closed."""
        self.network.zone["example.org", dns.A] = [dns.Record_A("192.0.2.1")]
        self.network.truncated = True
        self.assertEqual(self.successResultOf(self.ask()).found, ("192.0.2.1",))
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
        self.assertEqual(self.successResultOf(self.ask(seconds=8)).found, ("192.0.2.1",))


class FailureTests(ResolverCase):
    """Why there is no address."""

    def test_reasons(self) -> None:
        """No such name, no such records, a server that fails: each is told apart."""
        self.assertIn("'example.org' has no address: the name does not exist", self.refused(self.ask()))
        self.network.zone["example.org", dns.A] = self.network.zone["example.org", dns.AAAA] = []
        self.assertIn("has no address: there is no AAAA record; there is no A record", self.refused(self.ask()))
        for code, word in (
            (dns.EFORMAT, "FORMERR"),
            (dns.ESERVER, "SERVFAIL"),
            (dns.ENOTIMP, "NOTIMP"),
            (dns.EREFUSED, "REFUSED"),
            (9, "DNSUnknownError"),
        ):
            self.network.zone["example.org", dns.A] = self.network.zone["example.org", dns.AAAA] = code
            self.assertIn(f"the name servers said {word}", self.refused(self.ask()))

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

    def test_cancel_over_tcp(self) -> None:
        """A connection that comes after everybody has given up is ended at once."""
        self.network.zone["example.org", dns.A] = [dns.Record_A("192.0.2.1")]
        self.network.truncated = True
        factories: list[Any] = []
        self.network.connectTCP = lambda host, port, factory, *rest: factories.append(factory)  # type: ignore[method-assign]
        asking = self.ask()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual([factory.buildProtocol(None) for factory in factories], [None, None])

    def test_unreachable_over_tcp(self) -> None:
        """A server that cannot be connected to is told as such."""
        self.network.truncated = True
        refused = Failure(ConnectionRefusedError())

        def connect(host: str, port: int, factory: Any, *rest: Any) -> None:
            self.network.callLater(0, factory.clientConnectionFailed, None, refused)

        self.network.connectTCP = connect  # type: ignore[method-assign]
        self.network.zone["example.org", dns.A] = self.network.zone["example.org", dns.AAAA] = []
        self.assertIn("could not be asked: Connection was refused", self.refused(self.ask()))


class ServiceTests(ResolverCase):
    """SRV and TXT records."""

    name = "_xmpp-server._tcp.example.org"

    def services(self, seconds: float = 0) -> Deferred[Records[Service]]:
        """Ask for SRV records."""
        return self.wait(self.resolver.services(self.name), seconds)

    def test_services(self) -> None:
        """Priority, weight, port, and the target in lower case without its dot; the time to live is kept."""
        self.network.zone[self.name, dns.SRV] = [
            rr(self.name, dns.Record_SRV(10, 5, 5269, b"One.Example.ORG"), 120),
            rr(self.name, dns.Record_SRV(20, 0, 5270, b"two.example.org"), 90),
        ]
        found = self.successResultOf(self.services())
        expected = (Service("one.example.org", 5269, 10, 5), Service("two.example.org", 5270, 20, 0))
        self.assertEqual(found, Records(expected, 90))

    def test_not_offered(self) -> None:
        """The target `.` is an empty name (RFC 2782)."""
        self.network.zone[self.name, dns.SRV] = [dns.Record_SRV(0, 0, 0, b"")]
        self.assertEqual(self.successResultOf(self.services()).found, (Service("", 0, 0, 0),))

    def test_none(self) -> None:
        """That there is no such name, or no such record, is an answer, and says which."""
        self.assertEqual(self.successResultOf(self.services()), Records((), 0, "the name does not exist"))
        self.network.zone[self.name, dns.SRV] = []
        self.assertEqual(self.successResultOf(self.services()), Records((), 0, "there is no SRV record"))

    def test_failures(self) -> None:
        """A server that fails, and one that is silent, are no answer."""
        self.network.zone[self.name, dns.SRV] = dns.ESERVER
        self.assertEqual(self.refused(self.services()), "the name servers said SERVFAIL")
        self.network.silent.add("192.0.2.53")
        self.assertEqual(self.refused(self.services(10)), "no name server answered within 10 s")

    def test_many(self) -> None:
        """At most 16 records are looked at."""
        self.network.zone[self.name, dns.SRV] = [dns.Record_SRV(n, 0, 5269, b"a.example") for n in range(30)]
        self.assertEqual(len(self.successResultOf(self.services()).found), 16)

    def test_texts(self) -> None:
        """The strings of a record are joined (RFC 7208, 3.3, does so too); what is no UTF-8 is no fault."""
        self.network.zone["_x.example.org", dns.TXT] = [dns.Record_TXT(b"a=", b"b"), dns.Record_TXT(b"\xff")]
        found = self.successResultOf(self.wait(self.resolver.texts("_x.example.org")))
        self.assertEqual(found, Records(("a=b", "\ufffd"), 60))

    def test_compressed_names(self) -> None:
        """A server that compresses the names in its records is read (RFC 1035, 4.1.4)."""

        def compressed(question: dns.Message) -> bytes:
            header = question.id.to_bytes(2, "big") + bytes.fromhex("8180 0001 0001 0000 0000")
            asked = b"".join(bytes([len(label)]) + label for label in self.name.encode().split(b".")) + b"\0"
            record = bytes.fromhex("c00c 0021 0001 0000003c 000c 0001 0002 1495") + b"\x03www\xc0\x1e"
            return header + asked + bytes.fromhex("0021 0001") + record

        self.network.answer = compressed  # type: ignore[method-assign]
        self.assertEqual(self.successResultOf(self.services()).found, (Service("www.example.org", 5269, 1, 2),))


class AliasTests(ResolverCase):
    """Aliases (CNAME), as far as a server has followed them or not."""

    def alias(self, name: str, target: str, kind: int = dns.A) -> None:
        """The server knows of the alias alone."""
        self.network.zone[name, kind] = [dns.Record_CNAME(target)]

    def test_followed(self) -> None:
        """A server that has not followed an alias is asked for its end."""
        self.alias("example.org", "A.example.org")
        self.alias("a.example.org", "b.example.org")
        self.network.zone["b.example.org", dns.A] = [dns.Record_A("192.0.2.1")]
        self.assertEqual(self.successResultOf(self.ask()).found, ("192.0.2.1",))

    def test_services(self) -> None:
        """The same for SRV records."""
        name = "_xmpp-server._tcp.example.org"
        self.alias(name, "_srv.host.example", dns.SRV)
        self.network.zone["_srv.host.example", dns.SRV] = [dns.Record_SRV(0, 0, 5269, b"host.example")]
        found = self.successResultOf(self.wait(self.resolver.services(name)))
        self.assertEqual(found.found, (Service("host.example", 5269, 0, 0),))

    def test_circle(self) -> None:
        """Aliases that lead in a circle end the search, in one answer or in several."""
        self.alias("example.org", "a.example.org")
        self.alias("a.example.org", "example.org")
        text = self.refused(self.ask())
        self.assertIn("lead in a circle, from 'a.example.org' back to 'example.org'", text)
        self.network.zone["example.org", dns.A] = [
            dns.Record_CNAME("a.example.org"),
            rr("a.example.org", dns.Record_CNAME("a.example.org")),
        ]
        self.assertIn("from 'a.example.org' back to 'a.example.org'", self.refused(self.ask()))

    def test_without_end(self) -> None:
        """No more than eight aliases are followed."""
        names = ["example.org", *(f"n{number}.example.org" for number in range(MAX_ALIASES + 1))]
        for name, target in pairwise(names[:-1]):
            self.alias(name, target)
        self.network.zone[names[-2], dns.A] = [dns.Record_A("192.0.2.1")]
        self.assertEqual(self.successResultOf(self.ask()).found, ("192.0.2.1",))
        self.alias(names[-2], names[-1])
        self.network.zone[names[-1], dns.A] = [dns.Record_A("192.0.2.1")]
        self.assertIn("it has more than 8 aliases (CNAME), at last 'n8.example.org'", self.refused(self.ask()))


class ForgedTests(ResolverCase):
    """Answers that nobody asked for."""

    def test_records_of_other_names(self) -> None:
        """Records of a name that was not asked for, and that no alias leads to, are not used."""
        self.network.zone["example.org", dns.A] = [
            rr("bank.example", dns.Record_A("203.0.113.66")),
            rr("elsewhere.example", dns.Record_CNAME("bank.example")),
            dns.Record_A("192.0.2.1"),
        ]
        self.assertEqual(self.successResultOf(self.ask()).found, ("192.0.2.1",))
        del self.network.zone["example.org", dns.A][-1]
        self.assertIn("there is no A record", self.refused(self.ask()))

    def test_another_class(self) -> None:
        """A record of another class is none of the Internet's."""
        self.network.zone["example.org", dns.A] = [dns.RRHeader("example.org", dns.A, dns.CH, 60, dns.Record_A("192.0.2.1"))]
        self.assertIn("there is no A record", self.refused(self.ask()))

    def test_another_sender(self) -> None:
        """An answer that comes from another address than was asked is dropped, and so is one with another id."""
        self.network.silent.add("192.0.2.53")
        sent: list[tuple[Any, dns.Message]] = []
        write = Socket.write

        def remember(socket: Any, datagram: bytes, address: tuple[str, int]) -> None:
            question = dns.Message()
            question.fromStr(datagram)
            sent.append((socket._protocol, question))
            write(socket, datagram, address)

        self.patch(Socket, "write", remember)
        self.network.zone["example.org", dns.A] = [dns.Record_A("203.0.113.66")]
        asking = self.ask()
        for protocol, question in sent:
            forged = self.network.answer(question)
            protocol.datagramReceived(forged, ("203.0.113.66", 53))
            protocol.datagramReceived(forged, ("192.0.2.53", 5353))
            protocol.datagramReceived(bytes([forged[0] ^ 1]) + forged[1:], ("192.0.2.53", 53))
            protocol.datagramReceived(forged[:-3], ("203.0.113.66", 53))
            protocol.datagramReceived(b"", ("203.0.113.66", 53))
        self.assertNoResult(asking)
        protocol, question = next((protocol, question) for protocol, question in sent if question.queries[0].type == dns.A)
        protocol.datagramReceived(self.network.answer(question), ("192.0.2.53", 53))
        self.network.advance(10)
        self.assertEqual(self.successResultOf(asking).found, ("203.0.113.66",))

    @given(st.binary(max_size=60), st.sampled_from([dns.SRV, dns.TXT, dns.A]), st.booleans())
    def test_any_bytes(self, tail: bytes, kind: int, is_record: bool) -> None:
        """Whatever stands behind the header of an answer, or in a record of the name that was asked for, the question ends:
        in records, or in a reason."""
        self.setUp()

        def answer(question: dns.Message) -> bytes:
            header = question.id.to_bytes(2, "big") + bytes.fromhex("8180 0001 0001 0000 0000")
            asked = b"\7example\3org\0" + kind.to_bytes(2, "big") + b"\0\1"
            record = b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1\0\0\0\x3c" + len(tail).to_bytes(2, "big")
            return header + (asked + record if is_record else b"") + tail

        self.network.answer = answer  # type: ignore[method-assign]
        asks: dict[int, Any] = {dns.SRV: self.resolver.services, dns.TXT: self.resolver.texts, dns.A: self.resolver.addresses}
        result: list[Any] = []
        self.wait(asks[kind]("example.org"), 30).addCallbacks(result.append, lambda failure: result.append(failure.value))
        self.assertIsInstance(result[0], Records | DiscoveryError)
        self.assertEqual((self.network.sockets, self.network.getDelayedCalls()), (0, []))
        self.flushLoggedErrors()  # of twisted.names, which tells of packets that it cannot read
