"""Who a connection may come from (M4, E5)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.linklocal.arriving import peers_at
from xmppfed.e2e.linklocal.memory import MemoryLink
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.txt import LinkPresence


class Arriving(SynchronousTestCase):
    """A peer is known by the address that it advertises."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.link = MemoryLink(self.clock)
        self.ours = self.link.discovery("192.0.2.1")
        Deferred.fromCoroutine(self.ours.start())
        self.hosts = {}
        for user, addresses in {"juliet": ("192.0.2.2", "fe80::2%2"), "nurse": ("192.0.2.2",), "romeo": ("192.0.2.3",)}.items():
            host = self.hosts[user] = self.link.discovery(*addresses)
            Deferred.fromCoroutine(host.start())
            Deferred.fromCoroutine(host.publish(InstanceName(user, "pronto"), 5298, LinkPresence()))
        self.clock.advance(0)

    def at(self, source: str) -> list[str]:
        asked = Deferred.fromCoroutine(peers_at(self.ours, source, 5))
        self.clock.advance(0)
        return [peer.name.user for peer in self.successResultOf(asked)]

    def test_one(self) -> None:
        """E5, M15: one peer there is the one that speaks, however the address is written."""
        self.assertEqual(self.at("::ffff:192.0.2.3"), ["romeo"])
        self.assertEqual(self.at("fe80::2%2"), ["juliet"])

    def test_several(self) -> None:
        """E5: of two on one host it cannot be told which speaks."""
        self.assertEqual(self.at("192.0.2.2"), ["juliet", "nurse"])

    def test_nobody(self) -> None:
        """M4: an address that nobody advertises is nobody's, and so is our own."""
        self.assertEqual(self.at("192.0.2.9"), [])
        self.assertEqual(self.at("192.0.2.1"), [])

    def test_moved(self) -> None:
        """L15: addresses are those that hold now."""
        self.hosts["romeo"].addresses = ("192.0.2.9",)
        self.assertEqual((self.at("192.0.2.3"), self.at("192.0.2.9")), ([], ["romeo"]))

    def test_silent(self) -> None:
        """Who does not answer is nowhere, and holds up nobody longer than the time that is given."""
        del self.link.published["romeo@pronto"]
        asked = Deferred.fromCoroutine(peers_at(self.ours, "192.0.2.3", 5))
        self.clock.advance(0)
        self.assertNoResult(asked)
        self.clock.advance(5)
        self.assertEqual(self.successResultOf(asked), ())
