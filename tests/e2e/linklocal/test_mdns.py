"""Discovery by multicast DNS, as the reactor has it (L4, L6, L7, L8, L10, L14, L21, M4, M9, M16)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.linklocal import responder
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
from xmppfed.e2e.linklocal.mdns import AGAIN, Responder, ZeroconfDiscovery, open_responder
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.txt import LinkPresence, read_txt
from xmppfed.errors import DiscoveryError
from xmppfed.storage.threads import OneThread
from xmppfed.testing.network import Network
from xmppfed.timeouts import Timeouts

T = TypeVar("T")
JULIET = InstanceName("juliet", "pronto")
AVAILABLE, AWAY = LinkPresence(), LinkPresence(status="away")


class FakeResponder:
    """Somebody else's python-zeroconf: notes what is asked of it, and hears what the test says."""

    addresses: tuple[str, ...] = ("192.0.2.5",)

    def __init__(self) -> None:
        self.published: dict[str, tuple[int, LinkPresence]] = {}
        self.others: set[str] = set()
        self.updates: list[LinkPresence] = []
        self.asked: list[tuple[str, float, Future[Place | None]]] = []
        self.closed = False
        self.fault: Exception | None = None

    def listen(self, heard: Callable[[str, LinkPresence], None], gone: Callable[[str], None]) -> None:
        self.heard, self.gone = heard, gone

    def register(self, instance: str, port: int, strings: Mapping[str, bytes]) -> bool:
        if self.fault:
            raise self.fault
        if instance in self.others:
            self.heard(instance, AVAILABLE)
            return False
        self.published[instance] = port, read_txt({key.encode(): value for key, value in strings.items()})
        self.heard(instance, self.published[instance][1])
        return True

    def update(self, instance: str, port: int, strings: Mapping[str, bytes]) -> None:
        if self.fault:
            raise self.fault
        self.updates.append(read_txt({key.encode(): value for key, value in strings.items()}))
        self.heard(instance, self.updates[-1])

    def unregister(self, instance: str) -> None:
        del self.published[instance]
        self.gone(instance)

    def locate(self, instance: str, seconds: float) -> Future[Place | None]:
        self.asked.append((instance, seconds, Future()))
        return self.asked[-1][2]

    def close(self) -> None:
        if self.fault:
            raise self.fault
        self.closed = True


class _Discovering(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()
        self.responder = FakeResponder()
        self.opened: list[Sequence[str]] = []
        self.discovery = ZeroconfDiscovery(
            self.network.reactor, ["eth0"], make=self.open, run_in_thread=self.network.run_in_thread
        )
        self.events: list[PeerEvent] = []
        self.discovery.watch(self.events.append)
        self.addCleanup(self.network.check_clean)

    def open(self, interfaces: Sequence[str]) -> Responder:
        self.opened.append(interfaces)
        if self.responder.fault:
            raise self.responder.fault
        return self.responder

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
        begun = Deferred.fromCoroutine(coroutine)
        self.network.pump()
        return begun

    def done(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(self.begin(coroutine))

    def publish(self, name: InstanceName = JULIET) -> str:
        discovery: PresenceDiscovery = self.discovery
        return str(self.done(discovery.publish(name, 5298, AVAILABLE)))


class Life(_Discovering):
    """Beginning and end."""

    def test_start(self) -> None:
        """The interfaces that were chosen are opened, in a thread."""
        self.done(self.discovery.start())
        self.assertEqual(self.opened, [["eth0"]])

    def test_refused(self) -> None:
        """M16: what stands in the way is told to who starts it."""
        self.responder.fault = DiscoveryError("no network")
        self.failureResultOf(self.begin(self.discovery.start()), DiscoveryError)
        self.done(self.discovery.stop())

    def test_canceled(self) -> None:
        """What was opened for who does not wait for it is closed by the stop, and hears nothing."""
        starting = Deferred.fromCoroutine(self.discovery.start())
        starting.cancel()
        self.failureResultOf(starting, CancelledError)
        self.done(self.discovery.stop())
        self.assertTrue(self.responder.closed)

    def test_not_started(self) -> None:
        """Before the start, and after the end, nothing can be asked or said."""
        self.failureResultOf(self.begin(self.discovery.resolve("romeo@orchard", 5)), DiscoveryError)
        self.failureResultOf(self.begin(self.discovery.publish(JULIET, 5298, AVAILABLE)), DiscoveryError)

    def test_stop(self) -> None:
        """L14: goodbye is said; what is heard behind it is nothing to us, and nobody waits for an answer."""
        self.done(self.discovery.start())
        asked = self.begin(self.discovery.resolve("romeo@orchard", 5))
        self.done(self.discovery.stop())
        self.assertTrue(self.responder.closed)
        self.responder.heard("romeo@orchard", AVAILABLE)
        self.network.pump()
        self.assertEqual(self.events, [])
        self.assertIn("stopped", str(self.failureResultOf(asked, PeerNotFound).value))
        self.done(self.discovery.stop())

    def test_stop_fails(self) -> None:
        """A goodbye that cannot be said holds nobody up."""
        self.done(self.discovery.start())
        self.responder.fault = DiscoveryError("the network is gone")
        self.done(self.discovery.stop())

    def test_stop_hangs(self) -> None:
        """L14: saying goodbye has its time, and no more."""

        def never(function: Callable[[], Any]) -> Deferred[Any]:
            return Deferred()

        self.done(self.discovery.start())
        self.patch(self.discovery, "_run", never)
        stopped = self.begin(self.discovery.stop())
        self.assertNoResult(stopped)
        self.network.advance(Timeouts().link_goodbye)
        self.successResultOf(stopped)

    def test_thread(self) -> None:
        """M16: without another it has a thread of its own, which ends with it, or where it does not start."""
        ended: list[OneThread] = []
        self.patch(OneThread, "__call__", lambda _, function: self.network.run_in_thread(function))
        self.patch(OneThread, "stop", lambda thread: ended.append(thread))
        discovery = ZeroconfDiscovery(self.network.reactor, make=self.open)
        self.done(discovery.start())
        self.done(discovery.stop())
        self.assertEqual(len(ended), 1)
        self.responder.fault = DiscoveryError("no network")
        self.failureResultOf(self.begin(ZeroconfDiscovery(self.network.reactor, make=self.open).start()), DiscoveryError)
        self.assertEqual(len(ended), 2)


class Publishing(_Discovering):
    """What others see of us."""

    def setUp(self) -> None:
        super().setUp()
        self.done(self.discovery.start())

    def test_published(self) -> None:
        """L6, M4: we are seen under our name, at our addresses, and do not see ourselves."""
        self.assertEqual(self.discovery.own_addresses, ())
        self.assertEqual(self.publish(), "juliet@pronto")
        self.assertEqual(self.responder.published, {"juliet@pronto": (5298, AVAILABLE)})
        self.assertEqual(self.discovery.own_addresses, ("192.0.2.5",))
        self.assertEqual((self.events, self.discovery.peers), ([], ()))

    def test_dots(self) -> None:
        """M9: a dot would cut the name, so it is published without."""
        self.assertEqual(self.publish(InstanceName("j.capulet", "pronto.lan")), "j-capulet@pronto")

    def test_taken(self) -> None:
        """L4, L6: names that turn out to be others' are theirs, and they are seen; we take the next that is free."""
        self.responder.others = {"juliet@pronto", "juliet-1@pronto"}
        self.assertEqual(self.publish(), "juliet-2@pronto")
        self.assertEqual([peer.instance for peer in self.discovery.peers], ["juliet@pronto", "juliet-1@pronto"])

    def test_taken_in_other_case(self) -> None:
        """L4, L10: a name that was heard in another spelling is taken, which python-zeroconf does not see; so is our own."""
        self.responder.heard("JULIET@pronto", AVAILABLE)
        self.network.pump()
        self.assertEqual(self.publish(), "juliet-1@pronto")
        self.assertEqual(self.publish(InstanceName("Juliet-1", "pronto")), "Juliet-2@pronto")

    def test_fault(self) -> None:
        """What cannot be published is told, and the name is free again."""
        self.responder.fault = DiscoveryError("the network is gone")
        self.failureResultOf(self.begin(self.discovery.publish(JULIET, 5298, AVAILABLE)), DiscoveryError)
        self.responder.fault = None
        self.assertEqual(self.publish(), "juliet@pronto")

    def test_update(self) -> None:
        """L8: a change is told; of several that follow fast, the last."""
        self.publish()
        self.done(self.discovery.update(JULIET, AWAY))
        changes = [Deferred.fromCoroutine(self.discovery.update(JULIET, each)) for each in (AVAILABLE, AWAY, AVAILABLE)]
        self.network.pump()
        for change in changes:
            self.successResultOf(change)
        self.assertEqual(self.responder.updates, [AWAY, AVAILABLE])
        self.assertEqual(self.events, [])
        self.network.advance(AGAIN)

    def test_said_again(self) -> None:
        """L8: a change is said twice, for others keep what they have heard within the second before it (RFC 6762, 8.3, 10.2)."""
        self.publish()
        self.done(self.discovery.update(JULIET, AWAY))
        self.network.advance(1)
        self.assertEqual(self.responder.updates, [AWAY])
        self.network.advance(1)
        self.assertEqual(self.responder.updates, [AWAY, AWAY])
        self.network.advance(60)
        self.assertEqual(len(self.responder.updates), 2)

    def test_not_said_again(self) -> None:
        """L8, L14: what is not true any more is not said again."""
        self.publish()
        self.done(self.discovery.update(JULIET, AWAY))
        self.network.advance(1)
        self.done(self.discovery.update(JULIET, AVAILABLE))
        self.network.advance(1)
        self.done(self.discovery.withdraw(JULIET))
        self.publish()
        self.done(self.discovery.update(JULIET, AWAY))
        self.done(self.discovery.stop())
        self.network.advance(60)
        self.assertEqual(self.responder.updates, [AWAY, AVAILABLE, AWAY])

    def test_fault_when_said_again(self) -> None:
        """What cannot be said again is logged."""
        self.publish()
        self.done(self.discovery.update(JULIET, AWAY))
        self.responder.fault = DiscoveryError("the network is gone")
        self.network.advance(AGAIN)
        self.assertEqual(len(self.flushLoggedErrors(DiscoveryError)), 1)

    def test_update_unknown(self) -> None:
        """Of who is not published nothing can be told."""
        self.failureResultOf(self.begin(self.discovery.update(JULIET, AWAY)), KeyError)

    def test_withdraw(self) -> None:
        """L14, L6: goodbye is said for one, who is not seen by ourselves even then, and can come again."""
        self.publish()
        self.done(self.discovery.withdraw(InstanceName("Juliet", "PRONTO")))
        self.assertEqual((self.responder.published, self.events, self.discovery.own_addresses), ({}, [], ()))
        self.assertEqual(self.publish(), "juliet@pronto")


class Hearing(_Discovering):
    """What we see of others."""

    def setUp(self) -> None:
        super().setUp()
        self.done(self.discovery.start())

    def test_life(self) -> None:
        """M16: what comes from a thread of python-zeroconf's is told in that of the reactor."""
        self.responder.heard("romeo@orchard", AVAILABLE)
        self.assertEqual(self.events, [])
        self.responder.heard("romeo@orchard", AWAY)
        self.responder.gone("romeo@orchard")
        self.network.pump()
        here, away = Peer("romeo@orchard", AVAILABLE), Peer("romeo@orchard", AWAY)
        self.assertEqual(self.events, [PeerAppeared(here), PeerChanged(away), PeerGone(away)])

    def ask(self) -> tuple[Deferred[Place], Future[Place | None]]:
        asked = self.begin(self.discovery.resolve("romeo@orchard", 5))
        instance, seconds, future = self.responder.asked[-1]
        self.assertEqual((instance, seconds), ("romeo@orchard", 5))
        return asked, future

    def test_found(self) -> None:
        """L7, L15: where a peer is, is asked when somebody wants to know it."""
        self.responder.heard("romeo@orchard", AVAILABLE)
        self.network.pump()
        self.assertEqual(self.responder.asked, [])
        asked, future = self.ask()
        future.set_result(Place(1234, ("fe80::9%2",)))
        self.assertNoResult(asked)
        self.network.pump()
        self.assertEqual(self.successResultOf(asked), Place(1234, ("fe80::9%2",)))

    def test_nobody(self) -> None:
        """Who does not answer is not found."""
        asked, future = self.ask()
        future.set_result(None)
        self.network.pump()
        self.failureResultOf(asked, PeerNotFound)

    def test_fault(self) -> None:
        """A fault in asking is told to who asked."""
        asked, future = self.ask()
        future.set_exception(DiscoveryError("the network is gone"))
        self.network.pump()
        self.failureResultOf(asked, DiscoveryError)

    def test_canceled(self) -> None:
        """L7: who needs no answer any more ends the question."""
        asked, future = self.ask()
        asked.cancel()
        self.network.pump()
        self.assertTrue(future.cancelled())
        self.failureResultOf(asked, CancelledError)

    def test_given_up(self) -> None:
        """A question that python-zeroconf drops is dropped."""
        asked, future = self.ask()
        future.cancel()
        self.network.pump()
        self.failureResultOf(asked, CancelledError)

    def test_goodbye(self) -> None:
        """L14: who says goodbye is not asked for any more, in whatever spelling."""
        asked, future = self.ask()
        self.responder.gone("Romeo@orchard")
        self.network.pump()
        self.assertTrue(future.cancelled())
        self.failureResultOf(asked, PeerNotFound)


class Missing(SynchronousTestCase):
    """Without python-zeroconf."""

    def test_missing(self) -> None:
        """The error says what to install."""
        ours = "xmppfed.e2e.linklocal.responder"
        for name, module in {ours: sys.modules.pop(ours), "zeroconf": sys.modules["zeroconf"]}.items():
            self.addCleanup(sys.modules.__setitem__, name, module)
        sys.modules["zeroconf"] = None  # type: ignore[assignment]  # stands for a module that is not there
        text = str(self.assertRaises(DiscoveryError, open_responder, ()))
        self.assertIn("pip install 'xmppfed[linklocal]'", text)
        self.assertIn("'zeroconf'", text)

    def test_there(self) -> None:
        """With it, it is what listens."""
        made: list[Sequence[str]] = []
        self.patch(responder, "MulticastResponder", made.append)
        open_responder(["lo"])
        self.assertEqual(made, [["lo"]])
