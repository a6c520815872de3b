"""One server of a test: what it is told, and where it is found."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.sources import Answer
from xmppfed.e2e.linklocal.memory import MemoryLink
from xmppfed.errors import ConfigError
from xmppfed.testing.hosting import Directory, Ground, Hosted
from xmppfed.testing.network import Network
from xmppfed.testing.ways import WAYS
from xmppfed.timeouts import Timeouts


class Found(SynchronousTestCase):
    """The directory of a test."""

    def setUp(self) -> None:
        self.directory = Directory(WAYS["tcp"], {"capulet.example": "127.0.0.2"})

    def ask(self, domain: str) -> Answer:
        return self.successResultOf(Deferred.fromCoroutine(self.directory.candidates(domain)))

    def test_own_domain(self) -> None:
        """A domain of the test is at its address, and no other source is asked."""
        answer = self.ask("capulet.example")
        self.assertEqual([one.addresses for one in answer.candidates], [("127.0.0.2",)])
        self.assertTrue(answer.authoritative)

    def test_other_domain(self) -> None:
        """Of others nothing is known: another source may."""
        answer = self.ask("verona.example")
        self.assertEqual((answer.candidates, answer.authoritative), ((), False))


class Servers(SynchronousTestCase):
    """A server by itself."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.network = Network()
        self.ground = Ground(self.network, MemoryLink(self.network.reactor), folder, WAYS["tcp"], None, {}, Timeouts())

    def hosted(self, settings: str = "") -> Hosted:
        return Hosted(self.ground, self.ground.authority(), "capulet.example", "127.0.0.2", "valid", [settings])

    def test_start_and_stop(self) -> None:
        """The resolver of the network knows it; it listens when it is started, and leaves nothing when it has stopped."""
        hosted = self.hosted()
        self.assertEqual(self.network.resolver.hosts, {"capulet.example": ("127.0.0.2",)})
        self.assertEqual(self.network.leftovers(), [])
        hosted.start()
        self.assertEqual(len(self.network.reactor.wiring.listeners), 4)
        stopped = Deferred.fromCoroutine(hosted.stop())
        self.network.pump()
        self.assertIsNone(self.successResultOf(stopped))
        self.network.check_clean()

    def test_bad_settings(self) -> None:
        """Settings are checked as a file is."""
        error = self.assertRaises(ConfigError, self.hosted, "[services.c2s_tcp]\nport = 443")
        self.assertIn("services.c2s_tcp.port: found an unknown key", str(error))
