"""Discovery: order, guard, cache, and one look-up at a time."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.discovery.support import PUBLIC, Servers, Table, plain
from tests.discovery.test_dnssources import Zone
from xmppfed.discovery.candidates import S2S_WEBSOCKET, XMPP_SERVER, Found, port_candidate, websocket_candidate
from xmppfed.discovery.discovery import DEFAULT_TTL, MAX_ENTRIES, MAX_STALE, MAX_TTL, MIN_TTL, NEGATIVE_TTL, Discovery
from xmppfed.discovery.dnssources import ServiceRecords
from xmppfed.discovery.fetch import DocumentClient
from xmppfed.discovery.guard import refusal
from xmppfed.discovery.records import Records, Service
from xmppfed.discovery.sources import Answer, HostMetaDocuments, StaticRoute, StaticRoutes
from xmppfed.errors import DiscoveryError
from xmppfed.timeouts import Timeouts


def offer(*urls: str, ttl: int | None = None, authoritative: bool = False) -> Answer:
    """An answer with these URLs; the first has the highest priority number."""
    ranks = range(len(urls), 0, -1)
    candidates = [
        websocket_candidate(url, domain="example.org", source="test", priority=rank)
        for url, rank in zip(urls, ranks, strict=True)
    ]
    return Answer(tuple(candidates), (f"test: {len(urls)} links",), ttl, authoritative)


class Scripted:
    """A source that answers, fails or waits as the test says."""

    def __init__(self, answer: Answer | str | None = None) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.waiting: list[Deferred[Answer]] = []

    async def candidates(self, domain: str) -> Answer:
        """The contract of a source."""
        self.asked.append(domain)
        if isinstance(self.answer, str):
            raise DiscoveryError(self.answer)
        if self.answer is not None:
            return self.answer
        waiting: Deferred[Answer] = Deferred()
        self.waiting.append(waiting)
        return await waiting


class DiscoveryCase(SynchronousTestCase):
    """One scripted source, and a DNS table."""

    lot = 0

    def setUp(self) -> None:
        """`a.example` and `b.example` are public, `inside.example` is not."""
        self.clock = Clock()
        self.table = Table(a_example=[PUBLIC], b_example=["8.8.4.4"], inside_example=["10.0.0.1"])
        self.source = Scripted(offer("wss://a.example/"))
        self.discovery = self.make(self.source)

    def make(self, *sources: Scripted | StaticRoutes) -> Discovery:
        """A discovery that asks these sources."""
        return Discovery(self.clock, sources, self.table.addresses, (), kinds=[S2S_WEBSOCKET], chance=self.chance)

    def chance(self, bound: int) -> int:
        """The lot that is drawn."""
        return min(self.lot, bound - 1)

    def ask(self, domain: str = "example.org") -> Deferred[Found]:
        """Start a look-up."""
        return Deferred.fromCoroutine(self.discovery.candidates(domain))

    def found(self, domain: str = "example.org") -> list[str]:
        """The hosts that were found, in order."""
        return [one.host for one in self.successResultOf(self.ask(domain)).candidates]

    def refused(self, domain: str = "example.org") -> str:
        """The text of the failure."""
        return str(self.failureResultOf(self.ask(domain), DiscoveryError).value)


class OrderTests(DiscoveryCase):
    """Sources one after another."""

    def test_order(self) -> None:
        """Candidates follow the order of the sources, and priority within one."""
        self.table.answer("c.example", [PUBLIC])
        second = Scripted(offer("wss://c.example/"))
        self.discovery = self.make(Scripted(offer("wss://a.example/", "wss://b.example/")), second)
        self.assertEqual(self.found(), ["b.example", "a.example", "c.example"])

    def test_authoritative(self) -> None:
        """After an authoritative answer with candidates no other source is asked, even if the guard refused them."""
        for url in ("wss://a.example/", "wss://inside.example/"):
            second = Scripted(offer("wss://b.example/"))
            self.discovery = self.make(Scripted(offer(url, authoritative=True)), second)
            self.ask().addErrback(lambda failure: failure.trap(DiscoveryError))
            self.assertEqual(second.asked, [])

    def test_fallbacks(self) -> None:
        """Fallbacks come after the candidates of every source, in the order of the sources."""
        self.table.answer("c.example", [PUBLIC])
        sources = [
            Scripted(replace(offer(), fallbacks=offer("wss://a.example/").candidates)),
            Scripted(offer("wss://b.example/")),
            Scripted(replace(offer(), fallbacks=offer("wss://c.example/").candidates)),
        ]
        self.discovery = self.make(*sources)
        self.assertEqual(self.found(), ["b.example", "a.example", "c.example"])

    def test_fallbacks_alone(self) -> None:
        """Where there is nothing else a fallback is what is found."""
        self.discovery = self.make(Scripted(replace(offer(), fallbacks=offer("wss://a.example/").candidates)))
        self.assertEqual(self.found(), ["a.example"])

    def test_fallbacks_of_an_authoritative_answer(self) -> None:
        """They count only where none of its candidates is of a kind that can be used here."""
        port = port_candidate(XMPP_SERVER, "b.example", 5269, domain="example.org", source="test")
        answer = Answer((port,), (), authoritative=True, fallbacks=offer("wss://a.example/").candidates)
        self.discovery = self.make(Scripted(answer))
        self.assertEqual(self.found(), ["a.example"])
        self.discovery = self.make(Scripted(replace(answer, candidates=offer("wss://b.example/").candidates)))
        self.assertEqual(self.found(), ["b.example"])

    def test_kinds(self) -> None:
        """A candidate of a kind that nobody here can connect to is left out, with the reason, and nothing is resolved."""
        port = port_candidate(XMPP_SERVER, "b.example", 5269, domain="example.org", source="test")
        second = Scripted(offer("wss://a.example/"))
        self.discovery = self.make(Scripted(Answer((port,), ("first",), authoritative=True)), second)
        found = self.successResultOf(self.ask())
        self.assertEqual([one.host for one in found.candidates], ["a.example"])
        reason = "xmpp-server:b.example:5269: left out, because this server opens no streams of the kind xmpp-server"
        self.assertIn(reason, found.explanations)
        self.assertEqual(self.table.asked, ["a.example"])

    def test_lots(self) -> None:
        """Among equal priorities the lot is drawn each time that somebody asks, and the cache keeps them all."""
        heavy = websocket_candidate("wss://b.example/", domain="example.org", source="test", weight=1)
        light = websocket_candidate("wss://a.example/", domain="example.org", source="test")
        self.source.answer = Answer((light, heavy), ())
        self.assertEqual(self.found(), ["a.example", "b.example"])
        self.lot = 1
        self.assertEqual(self.found(), ["b.example", "a.example"])
        self.assertEqual(self.source.asked, ["example.org"])

    def test_authoritative_and_empty(self) -> None:
        """An authoritative answer without candidates does not end the search."""
        self.discovery = self.make(Scripted(offer(authoritative=True)), self.source)
        self.assertEqual(self.found(), ["a.example"])

    def test_failing_source(self) -> None:
        """A source that fails leaves its reason, and the others are asked."""
        self.discovery = self.make(Scripted("first: broken"), self.source)
        found = self.successResultOf(self.ask())
        self.assertEqual(found.explanations, ("first: broken", "test: 1 links"))

    def test_static_route(self) -> None:
        """A static route comes first, with its addresses, but the guard judges it too."""
        routes = {
            "example.org": StaticRoute("wss://a.example/", (PUBLIC, "10.0.0.1")),
            "in.example": StaticRoute("wss://b.example/", ("::1",)),
        }
        self.discovery = self.make(StaticRoutes(routes), self.source)
        found = self.successResultOf(self.ask())
        self.assertEqual(found.candidates[0].addresses, (PUBLIC,))
        self.assertEqual(self.table.asked, [])
        self.assertIn("::1 is a loopback address", self.refused("in.example"))
        self.assertEqual(self.source.asked, [])


class AddressTests(DiscoveryCase):
    """Addresses are resolved once and judged."""

    def test_resolved(self) -> None:
        """A candidate without addresses gets those of its host."""
        self.assertEqual(self.successResultOf(self.ask()).candidates[0].addresses, (PUBLIC,))

    def test_given_ips_are_not_resolved(self) -> None:
        """Addresses of the document are taken instead of DNS, and judged."""
        answer = offer("wss://a.example/")
        self.source.answer = replace(answer, candidates=(replace(answer.candidates[0], addresses=("10.0.0.1", "8.8.4.4")),))
        found = self.successResultOf(self.ask())
        self.assertEqual(found.candidates[0].addresses, ("8.8.4.4",))
        self.assertEqual(self.table.asked, [])
        self.assertIn("wss://a.example/: 10.0.0.1 is a private address", found.explanations[-1])

    def test_dropped(self) -> None:
        """A candidate with no address that may be connected to drops out, the others stay."""
        self.source.answer = offer("wss://inside.example/", "wss://nowhere.example/", "wss://a.example/")
        found = self.successResultOf(self.ask())
        self.assertEqual([one.host for one in found.candidates], ["a.example"])
        text = "\n".join(found.explanations)
        self.assertIn("wss://inside.example/: 10.0.0.1 is a private address", text)
        self.assertIn("wss://nowhere.example/: 'nowhere.example' has no address", text)

    def test_rebinding(self) -> None:
        """The answer that was judged is the one that is kept: a second answer is never looked at."""
        self.table.answer("a.example", [PUBLIC], ["127.0.0.1"])
        for _ in range(2):
            self.assertEqual(self.successResultOf(self.ask()).candidates[0].addresses, (PUBLIC,))
        self.assertEqual(self.table.asked, ["a.example"])

    def test_flip(self) -> None:
        """A name that leads inside the second time, as soon as its time to live of 0 lets it, is judged again: the address
        inside comes never out, the one that was judged before may."""
        self.table.ttl = 0
        self.table.answer("a.example", [PUBLIC], ["127.0.0.1"], ["::ffff:10.0.0.1"], ["64:ff9b::a9fe:a9fe"])
        for _ in range(4):
            found = self.successResultOf(self.ask())
            self.assertEqual(found.candidates[0].addresses, (PUBLIC,))
            self.clock.advance(MIN_TTL)
        self.assertEqual(len(self.table.asked), 4)
        self.assertIn("64:ff9b::a9fe:a9fe is the IPv6 form of 169.254.169.254", "\n".join(found.explanations))

    def test_srv_that_leads_inside(self) -> None:
        """The target of an SRV record is resolved and judged like any other host, and so is the domain without records."""
        zone = Zone()
        zone.srv["_xmpp-server._tcp.example.org"] = Records((Service("inside.example", 22, 0, 0),), 60)
        self.table.answer("example.org", ["192.168.0.1"])
        sources = [ServiceRecords(zone)]
        self.discovery = Discovery(self.clock, sources, self.table.addresses, (), kinds=[XMPP_SERVER], chance=self.chance)
        self.assertIn("xmpp-server:inside.example:22: 10.0.0.1 is a private address", self.refused())
        zone.srv.clear()
        self.clock.advance(NEGATIVE_TTL)
        self.assertIn("xmpp-server:example.org:5269: 192.168.0.1 is a private address", self.refused())

    def test_interleaved(self) -> None:
        """IPv6 and IPv4 come in turn, wherever they are from (RFC 8305, 4)."""
        given = ("8.8.8.8", "8.8.4.4", "2606:4700::1", "2606:4700::2")
        answer = offer("wss://a.example/")
        self.source.answer = replace(answer, candidates=(replace(answer.candidates[0], addresses=given),))
        found = self.successResultOf(self.ask())
        self.assertEqual(found.candidates[0].addresses, ("2606:4700::1", "8.8.8.8", "2606:4700::2", "8.8.4.4"))

    @given(st.lists(st.ip_addresses().map(str), min_size=1))
    def test_nothing_refused_comes_out(self, addresses: list[str]) -> None:
        """Whatever DNS says, no candidate leaves with an address that the guard refuses, or with none."""
        self.setUp()
        self.table.answer("a.example", addresses)
        asking = self.ask().addErrback(lambda failure: failure.trap(DiscoveryError) and Found((), ()))
        for candidate in self.successResultOf(asking).candidates:
            self.assertTrue(candidate.addresses)
            self.assertTrue(all(refusal(address, ()) is None for address in candidate.addresses))


class ReportTests(DiscoveryCase):
    """A failure explains itself."""

    def test_report(self) -> None:
        """Every source is one line or more, then one line of advice."""
        self.discovery = self.make(Scripted("first: broken"), Scripted(offer("wss://inside.example/")))
        lines = self.refused().split("\n")
        self.assertEqual(lines[0], "no way to reach example.org was found:")
        self.assertEqual(lines[1:3], ["first: broken", "test: 1 links"])
        self.assertIn("allow_private_addresses", lines[3])
        self.assertIn("static route", lines[4])
        self.assertEqual(len(lines), 5)


class CacheTests(DiscoveryCase):
    """Answers are kept for their time to live."""

    def assert_kept(self, seconds: float) -> None:
        """The answer there is now is kept so long and no longer."""
        self.ask().addErrback(lambda failure: failure.trap(DiscoveryError))
        asked = len(self.source.asked)
        self.clock.advance(seconds - 1)
        self.ask().addErrback(lambda failure: failure.trap(DiscoveryError))
        self.assertEqual(len(self.source.asked), asked)
        self.clock.advance(1)
        self.ask().addErrback(lambda failure: failure.trap(DiscoveryError))
        self.assertEqual(len(self.source.asked), asked + 1)

    def test_ttl(self) -> None:
        """The ttl of the document counts, between a minute and a day; an hour where there is none."""
        for ttl, kept in ((None, DEFAULT_TTL), (300, 300), (0, MIN_TTL), (10**9, MAX_TTL)):
            self.setUp()
            self.source.answer = offer("wss://a.example/", ttl=ttl)
            self.assert_kept(kept)

    def test_ttl_of_addresses(self) -> None:
        """An address that holds for a shorter time is looked up again as soon, together with the rest."""
        self.table.ttl = 120
        self.assert_kept(120)

    def test_shortest_ttl(self) -> None:
        """Of several sources the shortest ttl counts, but not that of a source without candidates."""
        others = (Scripted(offer("wss://b.example/", ttl=200)), Scripted(offer(ttl=100)))
        self.discovery = self.make(self.source, *others)
        self.assert_kept(200)

    def test_negative(self) -> None:
        """A failure is kept for a minute, with its text."""
        self.source.answer = "broken"
        first = self.refused()
        self.assertEqual(self.refused(), first)
        self.assertEqual(len(self.source.asked), 1)
        self.clock.advance(NEGATIVE_TTL)
        self.assert_kept(NEGATIVE_TTL)

    def test_bounded(self) -> None:
        """No more than 4096 domains are kept; the one not used for longest goes first."""
        self.source.answer = "broken"
        self.refused("0.example")
        for number in range(1, MAX_ENTRIES):
            self.refused(f"{number}.example")
        self.refused("0.example")
        self.refused("new.example")
        asked = len(self.source.asked)
        self.refused("0.example")
        self.assertEqual(len(self.source.asked), asked)
        self.refused("1.example")
        self.assertEqual(len(self.source.asked), asked + 1)

    def test_expire(self) -> None:
        """When no candidate worked the domain is looked up anew; a failure keeps its minute."""
        self.found()
        self.discovery.expire("example.org")
        self.discovery.expire("unknown.example")
        self.source.answer = offer("wss://b.example/")
        self.assertEqual(self.found(), ["b.example"])
        self.source.answer = "broken"
        self.refused("other.example")
        self.discovery.expire("other.example")
        asked = len(self.source.asked)
        self.refused("other.example")
        self.assertEqual(len(self.source.asked), asked)


class StaleTests(DiscoveryCase):
    """An expired copy stands in for a refresh that fails."""

    def test_stale(self) -> None:
        """Its addresses are used, it says so, and the refresh is tried again after a minute."""
        self.found()
        self.source.answer = "broken"
        self.clock.advance(DEFAULT_TTL)
        found = self.successResultOf(self.ask())
        self.assertEqual(found.candidates[0].addresses, (PUBLIC,))
        self.assertIn("a copy from 3600 s ago is used", found.explanations[-1])
        self.assertIn("broken", found.explanations)
        self.clock.advance(NEGATIVE_TTL)
        self.source.answer = offer("wss://b.example/")
        self.assertEqual(self.found(), ["b.example"])

    def test_after_expire(self) -> None:
        """After `expire` the copy is still better than nothing."""
        self.found()
        self.source.answer = "broken"
        self.discovery.expire("example.org")
        self.assertEqual(self.found(), ["a.example"])

    def test_too_old(self) -> None:
        """A copy that is a week old is not used, however often it was."""
        self.found()
        self.source.answer = "broken"
        self.clock.advance(MAX_STALE)
        self.found()
        self.clock.advance(NEGATIVE_TTL)
        self.assertIn("broken", self.refused())


class SharedTests(DiscoveryCase):
    """One look-up in flight per domain."""

    def setUp(self) -> None:
        """A source that waits."""
        super().setUp()
        self.source.answer = None

    def test_joined(self) -> None:
        """Whoever asks meanwhile joins; another domain is another look-up."""
        asking = [self.ask(), self.ask(), self.ask("other.example")]
        self.assertEqual(self.source.asked, ["example.org", "other.example"])
        self.source.waiting[0].callback(offer("wss://a.example/"))
        for one in asking[:2]:
            self.assertEqual(len(self.successResultOf(one).candidates), 1)
        self.assertNoResult(asking[2])

    def test_failure_reaches_all(self) -> None:
        """A failure is told to everybody who waits."""
        asking = [self.ask(), self.ask()]
        self.source.waiting[0].errback(DiscoveryError("broken"))
        for one in asking:
            self.failureResultOf(one, DiscoveryError)

    def test_canceled(self) -> None:
        """A look-up that everybody gave up on is not remembered."""
        asking = self.ask()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.source.answer = offer("wss://a.example/")
        self.assertEqual(self.found(), ["a.example"])


class TogetherTests(SynchronousTestCase):
    """The pieces as the server puts them together, against attacks that need more than one."""

    def setUp(self) -> None:
        """Host-meta over HTTPS in memory."""
        self.reactor = Servers()
        self.table = Table(example_org=[PUBLIC])
        client = DocumentClient(self.reactor, self.table.addresses, (), plain, Timeouts())
        sources = (StaticRoutes({}), HostMetaDocuments(client.get))
        self.discovery = Discovery(self.reactor, sources, self.table.addresses, (), kinds=[S2S_WEBSOCKET], chance=lambda bound: 0)
        self.asking = Deferred.fromCoroutine(self.discovery.candidates("example.org"))

    def test_found(self) -> None:
        """A document over HTTPS becomes a candidate with judged addresses."""
        self.reactor.accept(0).respond(
            200, b'{"links":[{"rel":"urn:xmpp:alt-connections:s2s-websocket","href":"wss://example.org/ws"}]}'
        )
        self.reactor.accept(1).respond(404)
        (one,) = self.successResultOf(self.asking).candidates
        self.assertEqual((one.url, one.addresses), ("wss://example.org/ws", (PUBLIC,)))

    def test_silent_server(self) -> None:
        """A server that says nothing costs 5 s, not 5 s for each document; the text names everything tried."""
        self.reactor.advance(5)
        text = str(self.failureResultOf(self.asking, DiscoveryError).value)
        self.assertIn("static routes: none", text)
        self.assertEqual(text.count("not complete within 5 s"), 2)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_document_that_leads_inside(self) -> None:
        """ips and hosts of a document that lead inside are refused, and nothing is connected to but the document."""
        self.table.answer("inside.example", ["169.254.169.254"])
        rel = "urn:xmpp:alt-connections:s2s-websocket"
        self.reactor.accept(0).respond(
            200,
            f'{{"xmpp":{{"ttl":1}},"links":[{{"rel":"{rel}","href":"wss://a.example/","ips":["127.0.0.1"]}},'
            f'{{"rel":"{rel}","href":"wss://inside.example/"}}]}}'.encode(),
        )
        self.reactor.accept(1).respond(404)
        text = str(self.failureResultOf(self.asking, DiscoveryError).value)
        self.assertIn("127.0.0.1 is a loopback address", text)
        self.assertIn("169.254.169.254 is a link-local address", text)
        self.assertEqual(set(self.reactor.attempts), {(PUBLIC, 443)})

    def test_canceled(self) -> None:
        """Giving up stops both requests."""
        self.asking.cancel()
        self.failureResultOf(self.asking, CancelledError)
        self.assertTrue(all(connector.stoppedConnecting for connector in self.reactor.connectors))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
