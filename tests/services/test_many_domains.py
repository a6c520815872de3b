"""Five hundred remote domains, a third of them dead: a simulation, with our whole server on one side.

On the other side are domains that answer, refuse, stay silent, or lead us astray. There is neither TLS nor a socket between
them: what counts is who waits for whom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.trial.unittest import SynchronousTestCase

from tests.services.s2s import CLOSE, EXTERNAL, JULIET, OURS, SASL, attribute, features, opening
from xmppfed.core.framing import S2S, MessageFraming
from xmppfed.core.identity import PresentedNames
from xmppfed.discovery.candidates import S2S_WEBSOCKET, websocket_candidate
from xmppfed.discovery.sources import Answer
from xmppfed.errors import DiscoveryError
from xmppfed.net.connection import Connection
from xmppfed.net.dial import DialFailed, Line, Refusal, Target
from xmppfed.net.peer import PeerCertificate
from xmppfed.services.reaching import MAX_AT_ONCE, MAX_ATTEMPTS
from xmppfed.testing.federation import START, Federation

DOMAINS = 500
LATENCY = 0.05  # seconds, for every message in every direction, and for every look-up
DEAD = ("nameless", "unanswered", "refusing", "black-hole", "silent", "mute", "foreign", "broken")
UNTIL = datetime.fromtimestamp(START, UTC) + timedelta(days=1)


def fate(domain: str) -> str:
    """What becomes of who wants to reach a domain: every third is dead, in one of several ways."""
    number = int(domain.partition(".")[0].removeprefix("d"))
    return "alive" if number % 3 else DEAD[number // 3 % len(DEAD)]


class World:
    """Everybody else. `arrived` has the time and the domain of each message that has arrived."""

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.arrived: list[tuple[float, str]] = []
        self.dialed: Counter[str] = Counter()
        self.dialing: Counter[str] = Counter()
        self.most_at_once = 0

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        waiting: Deferred[None] = Deferred()
        call = self.clock.callLater(seconds, waiting.callback, None)
        try:
            await waiting
        finally:
            if call.active():
                call.cancel()

    async def candidates(self, domain: str) -> Answer:
        """The source of all candidates: dead domains have sixteen addresses."""
        await self.wait(10 if fate(domain) == "unanswered" else LATENCY)
        if fate(domain) in ("nameless", "unanswered"):
            raise DiscoveryError(f"{domain}: the name does not exist")
        number = int(domain.partition(".")[0].removeprefix("d"))
        addresses = [f"127.{number // 250 + 1}.{number % 250}.{last}" for last in range(1, 2 if fate(domain) == "alive" else 17)]
        url = f"wss://{domain}/xmpp-websocket"
        return Answer((websocket_candidate(url, domain=domain, source="a test", addresses=tuple(addresses)),), ())

    async def dial(self, target: Target, own: object, trust: object, refusal: Refusal) -> Line:
        """The dialer."""
        domain = target.sni
        self.dialed[domain] += 1
        self.dialing[domain] += 1
        self.most_at_once = max(self.most_at_once, self.dialing[domain])
        try:
            return await self._dial(domain, refusal)
        finally:
            self.dialing[domain] -= 1

    async def _dial(self, domain: str, refusal: Refusal) -> Line:
        if fate(domain) == "black-hole":
            try:
                await Deferred[None]().addTimeout(10, self.clock)
            except DeferredTimeoutError:
                raise DialFailed("no connection within 10 s") from None
        await self.wait(LATENCY)
        if fate(domain) == "refusing":
            raise DialFailed("no connection: refused")
        names = PresentedNames(dns_names=("other.example" if fate(domain) == "foreign" else domain,))
        reason = refusal(PeerCertificate(names, (), UNTIL, b"", b""))
        if reason is not None:
            raise DialFailed(reason)
        wire = Server(self, domain)
        return Line(wire, MessageFraming(S2S, 10_000), wire.attach)


class Server:
    """A server at the end of a wire: alive, silent (no header), mute (no features) or broken (ends every stream)."""

    def __init__(self, world: World, domain: str) -> None:
        self._world = world
        self._domain = domain
        self._ended = False
        self._authenticated = False

    def attach(self, connection: Connection[Any]) -> None:
        """Who is at the other end."""
        self._connection = connection

    def write(self, pieces: list[bytes]) -> None:
        """What we send arrives later."""
        for piece in pieces:
            self._later(self._take, piece.decode())

    def close(self, code: int) -> None:
        """The end, in good order."""
        self._later(self._lose)

    def abort(self) -> None:
        """The end, at once."""
        self._world.clock.callLater(0, self._lose)

    def take_at_most(self, size: int) -> None:
        """Nothing here is long."""

    settled = ping = pause = resume = lambda self: None

    def _later(self, call: Callable[..., object], *what: object) -> None:
        self._world.clock.callLater(LATENCY, call, *what)

    def _lose(self) -> None:
        if not self._ended:
            self._ended = True
            self._connection.wire_lost("the connection is gone")

    def _say(self, text: str) -> None:
        self._later(lambda: None if self._ended else self._connection.received(text.encode()))

    def _take(self, text: str) -> None:
        """Answer as a server would."""
        kind = fate(self._domain)
        if self._ended or kind == "silent":
            return
        if text.startswith("<open "):
            self._say(opening(self._domain, attribute("from", text), " id='1'"))
            if kind == "alive":
                self._say(features() if self._authenticated else features(EXTERNAL))
            elif kind == "broken":
                self._say("<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>")
        elif text.startswith("<auth "):
            self._authenticated = True
            self._say(f"<success {SASL}/>")
        elif text.startswith("<message "):
            self._world.arrived.append((self._world.clock.seconds(), self._domain))
        elif text.startswith("<close "):
            self._say(CLOSE)


class ManyDomains(SynchronousTestCase):
    """Everybody is written to at the same time."""

    def setUp(self) -> None:
        """Our server, and everybody else."""
        self.federation = Federation(OURS)
        self.addCleanup(self.federation.cleanup)
        self.network = self.federation.network
        self.server = self.federation.server(OURS)
        assert self.server.federation is not None
        self.policy: Any = self.server.federation
        self.world = World(self.network.reactor)
        self.policy.discovery._sources = (self.world,)
        self.policy.dialers = {S2S_WEBSOCKET: self.world}
        self.policy.vouching._get = self._no_document
        self.domains = [f"d{number}.example" for number in range(DOMAINS)]
        self.dead = {domain for domain in self.domains if fate(domain) != "alive"}
        self.juliet = self.federation.client(JULIET)
        self.answers: list[tuple[float, str, str]] = []

    async def _no_document(self, url: str) -> bytes:
        raise DiscoveryError("the status is 404, wanted 200")

    def write(self, domain: str, size: int = 0) -> None:
        """A message to somebody there."""
        self.juliet.send(f"<message to='romeo@{domain}' id='{domain}'><body>{'x' * size}</body></message>")

    def advance(self, seconds: float) -> None:
        """Let time pass, and take what has come back."""
        self.network.advance(seconds)
        for stanza in self.juliet.received:
            error = next(child for child in stanza.element.elements() if child.name == "error")
            condition = next(child.name for child in error.elements())
            self.answers.append((self.time(), stanza.attributes["id"], condition))
        self.juliet.received.clear()

    def time(self) -> float:
        """Seconds since the beginning."""
        return self.network.reactor.seconds() - START

    def arrivals(self) -> dict[str, float]:
        """When the last message to each domain has arrived."""
        return {domain: when - START for when, domain in self.world.arrived}

    def waiting(self) -> dict[str, int]:
        """How many bytes wait for each domain."""
        return {domain: remote.bytes for domain, remote in self.server.remotes._remotes.items() if remote.bytes}

    def test_everybody_at_once(self) -> None:
        """Messages to the living arrive as if there were no others; who wrote to the dead hears of it, once, within the
        minute for which a message waits; and then nothing of it is left."""
        self.write("d1.example")
        self.advance(1)
        alone = self.arrivals()["d1.example"]
        for domain in self.domains:
            self.write(domain)
        began = self.time()
        self.advance(1)
        arrived = {domain: when - began for domain, when in self.arrivals().items()}
        self.assertEqual(set(arrived), set(self.domains) - self.dead)
        self.assertLess(max(arrived.values()), alone + 0.001)
        while self.time() < began + self.policy.timeouts.queue:
            self.advance(1)
        self.assertEqual(Counter(domain for _, domain, _ in self.answers), Counter(self.dead))
        conditions = {fate(domain): condition for _, domain, condition in self.answers}
        self.assertEqual(conditions.pop("mute"), "remote-server-timeout")
        self.assertEqual(set(conditions), set(DEAD) - {"mute"})
        self.assertEqual(set(conditions.values()), {"remote-server-not-found"})
        self.assertEqual((self.waiting(), self.server.remotes.waiting()), ({}, []))

    def test_bounds(self) -> None:
        """However long the dead are written to, no more than 1 MiB waits for one of them, what is too much returns at once,
        no more than four addresses of one are tried at the same time, and no more than sixteen for one stream."""
        dead = [f"d{3 * number}.example" for number in range(3 * len(DEAD))]
        self.assertEqual({fate(domain) for domain in dead}, set(DEAD))
        limit = self.policy.timeouts.queue_bytes
        written: Counter[str] = Counter()
        for _ in range(8):
            for domain in dead:
                self.write(domain, 200_000)
                written[domain] += 1
            self.advance(0.01)
            self.assertLessEqual(max(self.waiting().values(), default=0), limit)
        self.assertIn("resource-constraint", {condition for _, _, condition in self.answers})
        self.assertGreater(max(self.waiting().values()), limit // 2)
        while self.time() < 70:
            self.advance(1)
        self.assertEqual(Counter(domain for _, domain, _ in self.answers), written)
        self.assertEqual(self.waiting(), {})
        self.assertEqual(self.world.most_at_once, MAX_AT_ONCE)
        self.assertEqual(max(self.world.dialed.values()), MAX_ATTEMPTS)

    def test_the_living_meanwhile(self) -> None:
        """While all the dead are tried a stream that stands carries a message at once, and a new one is made in no more time
        than ever."""
        self.write("d1.example")
        self.advance(1)
        alone = self.arrivals()["d1.example"]
        for domain in self.dead:
            self.write(domain)
        for number, seconds in enumerate((0.01, 0.5, 5, 20)):
            self.advance(seconds)
            began, new = self.time(), f"d{1000 + 3 * number}.example"
            self.assertEqual(fate(new), "alive")
            self.write("d1.example")
            self.write(new)
            self.advance(1)
            arrived = self.arrivals()
            self.assertAlmostEqual(arrived["d1.example"] - began, LATENCY, 3)
            self.assertAlmostEqual(arrived[new] - began, alone, 3)
        self.advance(60)
