"""A link in memory (L4, L6, L7, L8, L10, L14, L15, L18)."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.linklocal.discovery import (
    Peer,
    PeerAppeared,
    PeerChanged,
    PeerEvent,
    PeerGone,
    PeerNotFound,
    Place,
    PresenceDiscovery,
)
from xmppfed.e2e.linklocal.memory import MemoryDiscovery, MemoryLink
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.txt import LinkPresence
from xmppfed.errors import DiscoveryError

T = TypeVar("T")
JULIET = InstanceName("juliet", "pronto")
AVAILABLE, AWAY = LinkPresence(), LinkPresence(status="away")


class OnLink(SynchronousTestCase):
    """Two hosts and what they hear of each other."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.link = MemoryLink(self.clock, delay=1)
        self.juliet, self.romeo = (self.host(address) for address in ("192.0.2.1", "192.0.2.2"))
        self.events: list[PeerEvent] = []
        self.romeo.watch(self.events.append)

    def host(self, address: str) -> MemoryDiscovery:
        discovery = self.link.discovery(address)
        self.done(discovery.start())
        return discovery

    def done(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What it comes to within the delay of the link."""
        waiting = Deferred.fromCoroutine(coroutine)
        self.clock.advance(1)
        return self.successResultOf(waiting)

    def publish(self, discovery: PresenceDiscovery, name: InstanceName = JULIET, port: int = 5298) -> InstanceName:
        return self.done(discovery.publish(name, port, AVAILABLE))

    def test_life(self) -> None:
        """L8, L14: one is seen by the other, changes presence, and leaves with a goodbye."""
        self.assertEqual(self.publish(self.juliet), JULIET)
        self.done(self.juliet.update(JULIET, AWAY))
        self.assertEqual(self.romeo.peers, (Peer("juliet@pronto", AWAY),))
        self.done(self.juliet.withdraw(JULIET))
        here, away = Peer("juliet@pronto", AVAILABLE), Peer("juliet@pronto", AWAY)
        self.assertEqual(self.events, [PeerAppeared(here), PeerChanged(away), PeerGone(away)])

    def test_delay(self) -> None:
        """Nothing is heard before its time."""
        Deferred.fromCoroutine(self.juliet.publish(JULIET, 5298, AVAILABLE))
        self.clock.advance(0.9)
        self.assertEqual(self.events, [])
        self.clock.advance(0.1)
        self.assertEqual(len(self.events), 1)

    def test_self(self) -> None:
        """L6: nobody hears of themselves, neither while they are there nor when they have left."""
        own: list[PeerEvent] = []
        self.juliet.watch(own.append)
        self.publish(self.juliet)
        self.done(self.juliet.withdraw(JULIET))
        self.assertEqual((own, self.juliet.peers), ([], ()))

    def test_conflict(self) -> None:
        """L4, L10: who comes second, in whatever case, is called otherwise, and both see the other."""
        self.publish(self.juliet)
        self.assertEqual(str(self.publish(self.romeo, InstanceName("Juliet", "pronto"))), "Juliet-1@pronto")
        self.assertEqual([peer.instance for peer in self.juliet.peers], ["Juliet-1@pronto"])
        self.assertEqual([peer.instance for peer in self.romeo.peers], ["juliet@pronto"])

    def test_dots(self) -> None:
        """A name is published in the form that every publisher can write."""
        self.assertEqual(str(self.publish(self.juliet, InstanceName("j.capulet", "pronto"))), "j-capulet@pronto")

    def test_before_start(self) -> None:
        """Who has not joined cannot be known."""
        waiting = Deferred.fromCoroutine(self.link.discovery("192.0.2.3").publish(JULIET, 5298, AVAILABLE))
        self.failureResultOf(waiting, DiscoveryError)

    def test_late(self) -> None:
        """Who comes later hears of all that are there."""
        self.publish(self.juliet)
        self.assertEqual([peer.instance for peer in self.host("192.0.2.3").peers], ["juliet@pronto"])

    def test_stop(self) -> None:
        """L14: who stops says goodbye for what they published alone, and hears nothing any more."""
        self.publish(self.juliet)
        self.publish(self.romeo, InstanceName("romeo", "orchard"))
        self.done(self.juliet.stop())
        self.assertIsInstance(self.events[-1], PeerGone)
        self.done(self.romeo.update(InstanceName("romeo", "orchard"), AWAY))
        self.assertEqual(self.juliet.peers, (Peer("romeo@orchard", AVAILABLE),))

    def test_gone_before_heard(self) -> None:
        """Who has left before anybody heard of them was never there; who has stopped hears nothing that is under way."""
        Deferred.fromCoroutine(self.juliet.publish(JULIET, 5298, AVAILABLE))
        self.done(self.juliet.stop())
        self.assertEqual(self.events, [])

    def test_own_addresses(self) -> None:
        """M4: addresses are advertised while somebody is published."""
        self.assertEqual(self.juliet.own_addresses, ())
        self.publish(self.juliet)
        self.assertEqual((self.juliet.own_addresses, self.romeo.own_addresses), (("192.0.2.1",), ()))


class Resolving(OnLink):
    """Where a peer is."""

    def test_now(self) -> None:
        """L15, L18: the answer is what holds when it is asked for, not when the peer was discovered; any port may be it."""
        self.publish(self.juliet, port=1234)
        self.juliet.addresses = ("198.51.100.7", "fe80::7%2")
        place = self.done(self.romeo.resolve("Juliet@pronto", 5))
        self.assertEqual(place, Place(1234, ("198.51.100.7", "fe80::7%2")))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_soon(self) -> None:
        """Who comes while they are looked for is found."""
        waiting = Deferred.fromCoroutine(self.romeo.resolve("juliet@pronto", 5))
        self.clock.advance(2)
        self.publish(self.juliet)
        self.publish(self.romeo, InstanceName("romeo", "orchard"))
        self.assertEqual(self.successResultOf(waiting).port, 5298)

    def test_nobody(self) -> None:
        """Who does not come is not found, when the time is over."""
        self.publish(self.juliet)
        waiting = Deferred.fromCoroutine(self.romeo.resolve("tybalt@street", 5))
        self.clock.advance(4.9)
        self.assertNoResult(waiting)
        self.clock.advance(0.1)
        text = str(self.failureResultOf(waiting, PeerNotFound).value)
        self.assertIn("looked for 'tybalt@street' for 5 s; found 'juliet@pronto'", text)

    def test_goodbye(self) -> None:
        """L14: who leaves while they are asked for is not found, at once."""
        self.publish(self.juliet)
        Deferred.fromCoroutine(self.juliet.withdraw(JULIET))
        waiting = Deferred.fromCoroutine(self.romeo.resolve("juliet@pronto", 5))
        self.clock.advance(1)
        self.failureResultOf(waiting, PeerNotFound)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_canceled(self) -> None:
        """L7: who does not want to know any more asks no further."""
        waiting = Deferred.fromCoroutine(self.romeo.resolve("juliet@pronto", 5))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
