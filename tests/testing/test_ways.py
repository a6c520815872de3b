"""Wires that begin with TLS: dialed by servers and clients of a test."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.testing.peers import Recorder, Remembering
from xmppfed.core.events import Pair
from xmppfed.core.framing import S2S
from xmppfed.net.certificates import LoadedCertificate
from xmppfed.net.dial import Dialer, DialFailed, Line, Refusal, Target
from xmppfed.net.peer import PeerCertificate
from xmppfed.net.tls import TrustRoots
from xmppfed.testing.federation import Federation
from xmppfed.testing.network import Network
from xmppfed.testing.ways import PORTS, WAYS, MessageDialer, Uncertified
from xmppfed.timeouts import Timeouts

TRUST = TrustRoots(system=False)
PAIR = Pair("montague.example", "capulet.example")
TIMEOUTS = Timeouts()


class Candidates(SynchronousTestCase):
    """Where a domain is reached."""

    def test_direct(self) -> None:
        """At the port for servers, under the name of the domain, by the dialer of this kind alone."""
        for name, kind in (("memory", "memory"), ("tcp", "xmpps-server")):
            candidate = WAYS[name].candidate("capulet.example", "127.0.0.2")
            self.assertEqual((candidate.kind, candidate.port, candidate.sni), (kind, PORTS["s2s"], "capulet.example"))
            self.assertEqual(candidate.addresses, ("127.0.0.2",))
            self.assertEqual(candidate.accepted_names, frozenset())

    def test_websocket(self) -> None:
        """At the URL that host-meta would name, in A-labels."""
        candidate = WAYS["websocket"].candidate("bücher.example", "127.0.0.2")
        self.assertEqual(candidate.url, "wss://xn--bcher-kva.example/xmpp-websocket")
        self.assertEqual(candidate.kind, "s2s-websocket")


class Dialing(SynchronousTestCase):
    """What may come of dialing."""

    def setUp(self) -> None:
        self.network = Network()
        self.outcome: list[Any] = []

    def dial(self, network: Network, address: str = "127.0.0.2", refusal: Refusal = lambda _: None) -> None:
        dialer: Dialer = MessageDialer(network.reactor, TIMEOUTS)
        target = Target("", address, PORTS["s2s"], "capulet.example", PAIR)
        self.run_on(network, dialer.dial(target, None, TRUST, refusal))

    def run_on(self, network: Network, work: Coroutine[Any, Any, Any]) -> None:
        Deferred.fromCoroutine(work).addBoth(self.outcome.append)
        network.pump()

    def reason(self) -> str:
        failure: Failure = self.outcome[0]
        self.assertIsInstance(failure.value, DialFailed)
        return failure.getErrorMessage()

    def test_nobody_there(self) -> None:
        """Where nobody listens there is no connection."""
        self.dial(self.network)
        self.assertIn("no connection", self.reason())
        self.network.check_clean()

    def test_blackhole(self) -> None:
        """An address that never answers is given up in time."""
        self.network.blackhole("127.0.0.2")
        self.dial(self.network)
        self.assertEqual(self.outcome, [])
        self.network.advance(TIMEOUTS.connect)
        self.assertIn("no connection", self.reason())
        self.network.check_clean()

    def test_no_tls(self) -> None:
        """Who says nothing that TLS knows is given up in time; who closes, at once."""
        servers = Remembering(Recorder)
        TCP4ServerEndpoint(self.network.reactor, PORTS["s2s"], interface="127.0.0.2").listen(servers)
        self.dial(self.network)
        self.network.advance(TIMEOUTS.connect)
        self.assertEqual(self.reason(), "no TLS within 10 s")
        self.outcome.clear()
        self.dial(self.network)
        servers.built[1].transport.loseConnection()
        self.network.pump()
        self.assertIn("no TLS: ", self.reason())
        self.assertEqual(self.network.links, [])

    def test_certificate(self) -> None:
        """The certificate is judged before a word is said; a line leads to a framing between servers."""
        federation = Federation("capulet.example", wire="memory")
        self.addCleanup(federation.cleanup)
        seen: list[PeerCertificate | None] = []

        def refusal(certificate: PeerCertificate | None) -> str | None:
            seen.append(certificate)
            return "not you" if len(seen) == 1 else None

        self.dial(federation.network, refusal=refusal)
        self.assertEqual(self.reason(), "not you")
        assert seen[0] is not None
        self.assertEqual(seen[0].names.dns_names, ("capulet.example",))
        self.assertEqual(federation.network.links, [])
        self.dial(federation.network, refusal=refusal)
        line: Line = self.outcome[1]
        self.assertIs(line.framing.profile, S2S)
        line.wire.abort()

    def test_uncertified(self) -> None:
        """Whatever certificate a server has, it is not handed on."""
        handed: list[LoadedCertificate | None] = []

        class Handing:
            async def dial(self, target: Target, own: Any, trust: TrustRoots, refusal: Refusal) -> Line:
                handed.append(own)
                raise DialFailed("enough")

        own: Any = object()
        target = Target("", "127.0.0.2", 1, "", PAIR)
        self.run_on(self.network, Uncertified(Handing()).dial(target, own, TRUST, lambda _: None))
        self.assertEqual((handed, self.reason()), ([None], "enough"))
