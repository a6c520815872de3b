"""Who was heard of, and who is told (L5, L6, L8, L10, L14, L15)."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.linklocal import roster
from xmppfed.e2e.linklocal.discovery import Peer, PeerAppeared, PeerChanged, PeerEvent, PeerGone, PeerNotFound, Place
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.roster import Roster
from xmppfed.e2e.linklocal.txt import LinkPresence

AVAILABLE, AWAY = LinkPresence(), LinkPresence(status="away")
ROMEO = Peer("Romeo@orchard", AVAILABLE)
PLACE = Place(5298, ("192.0.2.2",))


class _Watched(SynchronousTestCase):
    def setUp(self) -> None:
        self.roster = Roster()
        self.events: list[PeerEvent] = []
        self.stop = self.roster.watch(self.events.append)


class Events(_Watched):
    """Each peer is told of once, and then only what is new."""

    def test_life(self) -> None:
        """L8, L14: somebody comes, changes presence and leaves."""
        self.roster.heard("Romeo@orchard", AVAILABLE)
        self.roster.heard("Romeo@orchard", AWAY)
        self.assertEqual(self.roster.peers, (Peer("Romeo@orchard", AWAY),))
        self.roster.gone("Romeo@orchard")
        away = Peer("Romeo@orchard", AWAY)
        self.assertEqual(self.events, [PeerAppeared(ROMEO), PeerChanged(away), PeerGone(away)])
        self.assertEqual(self.roster.peers, ())

    def test_one_entry(self) -> None:
        """L10, L15: seen on a second interface, or in another spelling, a peer is the same one, and nothing is told."""
        self.roster.heard("Romeo@orchard", AVAILABLE)
        self.roster.heard("romeo@ORCHARD", AVAILABLE)
        self.assertEqual(self.events, [PeerAppeared(ROMEO)])
        self.roster.gone("ROMEO@orchard")
        self.assertEqual(self.events[1:], [PeerGone(ROMEO)])

    def test_unknown_goodbye(self) -> None:
        """Who leaves without having been there is nothing to tell of."""
        self.roster.gone("Romeo@orchard")
        self.assertEqual(self.events, [])

    def test_name(self) -> None:
        """L10: the name is opaque, and can be looked at in its parts."""
        self.assertEqual(Peer("nobody@", AVAILABLE).instance, "nobody@")
        self.assertEqual(ROMEO.name, InstanceName("Romeo", "orchard"))

    def test_late(self) -> None:
        """Who begins to watch later is told at once who is there."""
        self.roster.heard("Romeo@orchard", AVAILABLE)
        late: list[PeerEvent] = []
        self.roster.watch(late.append)
        self.assertEqual(late, [PeerAppeared(ROMEO)])

    def test_stop(self) -> None:
        """Who watches no more is told nothing."""
        self.stop()
        self.stop()
        self.roster.heard("Romeo@orchard", AVAILABLE)
        self.assertEqual(self.events, [])

    def test_fault(self) -> None:
        """A watcher that fails is logged, and takes nothing from the others."""

        def fail(event: PeerEvent) -> None:
            raise RuntimeError(event)

        self.stop()
        self.roster.watch(fail)
        self.roster.watch(self.events.append)
        self.roster.heard("Romeo@orchard", AVAILABLE)
        self.assertEqual(self.events, [PeerAppeared(ROMEO)])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class Bounds(SynchronousTestCase):
    """What a hostile host can make us keep."""

    def test_most_peers(self) -> None:
        """Names that nobody has cost nothing beyond a bound; who is there already goes on being heard."""
        self.patch(roster, "MOST_PEERS", 2)
        made = Roster()
        for name in ("a@x", "b@x", "c@x"):
            made.heard(name, LinkPresence())
        made.heard("A@x", LinkPresence(status="dnd"))
        self.assertEqual([(peer.instance, peer.presence.status) for peer in made.peers], [("a@x", "dnd"), ("b@x", "avail")])
        made.gone("b@x")
        made.heard("c@x", LinkPresence())
        self.assertEqual([peer.instance for peer in made.peers], ["a@x", "c@x"])


class Ourselves(_Watched):
    """L6: what we publish is not told to ourselves."""

    def test_own(self) -> None:
        """L6: a name that we got is never told of; nor is the rest of it, once we have left."""
        self.roster.claim("romeo@orchard")
        self.roster.heard("Romeo@orchard", AVAILABLE)
        self.roster.confirm("romeo@orchard")
        self.roster.heard("Romeo@orchard", AWAY)
        self.roster.release("romeo@orchard")
        self.roster.gone("Romeo@orchard")
        self.assertEqual(self.events, [])

    def test_taken(self) -> None:
        """L4, L6: who was heard first under a name that we did not get is somebody else, and is told of."""
        self.roster.claim("romeo@orchard")
        self.roster.heard("Romeo@orchard", AVAILABLE)
        self.roster.leave("romeo@orchard")
        self.assertEqual(self.events, [PeerAppeared(ROMEO)])

    def test_is_taken(self) -> None:
        """L4, L10: a name is taken when somebody was heard under it, or we claim it, in any spelling."""
        self.roster.heard("Romeo@orchard", AVAILABLE)
        self.roster.claim("juliet@pronto")
        names = ("romeo@orchard", "Juliet@pronto", "tybalt@street")
        self.assertEqual([self.roster.taken(name) for name in names], [True, True, False])
        self.roster.release("juliet@pronto")
        self.assertFalse(self.roster.taken("juliet@pronto"))

    def test_known_before(self) -> None:
        """A peer who is told of stays while we try to get the name, and is gone when it is ours."""
        self.roster.heard("Romeo@orchard", AVAILABLE)
        self.roster.claim("Romeo@orchard")
        self.assertEqual(self.events, [PeerAppeared(ROMEO)])
        self.roster.confirm("Romeo@orchard")
        self.assertEqual(self.events[1:], [PeerGone(ROMEO)])


class Questions(_Watched):
    """Where a peer is, is asked for no longer than it can be answered."""

    def setUp(self) -> None:
        super().setUp()
        self.canceled: list[Deferred[Place | None]] = []
        self.question: Deferred[Place | None] = Deferred(self.canceled.append)

    def ask(self) -> Deferred[Place]:
        return Deferred.fromCoroutine(self.roster.answer("romeo@orchard", self.question, 5.0))

    def test_answered(self) -> None:
        """The answer is what was found."""
        asked = self.ask()
        self.question.callback(PLACE)
        self.assertEqual(self.successResultOf(asked), PLACE)
        self.roster.gone("romeo@orchard")
        self.assertEqual(self.canceled, [])

    def test_nobody(self) -> None:
        """Without an answer the error says what was looked for, and who is there."""
        for name in ("tybalt@street", "Romeo's@orchard"):
            self.roster.heard(name, AVAILABLE)
        asked = self.ask()
        self.question.callback(None)
        text = str(self.failureResultOf(asked, PeerNotFound).value)
        self.assertIn("""looked for 'romeo@orchard' for 5 s; found "Romeo's@orchard", 'tybalt@street'""", text)

    def test_nobody_at_all(self) -> None:
        """On an empty link it says so."""
        asked = self.ask()
        self.question.callback(None)
        self.assertIn("found nobody", str(self.failureResultOf(asked, PeerNotFound).value))

    def test_goodbye(self) -> None:
        """L14: a goodbye ends what is asked about the peer, in any spelling."""
        self.roster.heard("Romeo@orchard", AVAILABLE)
        asked = self.ask()
        self.roster.gone("Romeo@orchard")
        self.assertEqual(self.canceled, [self.question])
        self.assertIn("said goodbye", str(self.failureResultOf(asked, PeerNotFound).value))

    def test_canceled(self) -> None:
        """L7: who needs no answer any more ends the question."""
        asked = self.ask()
        asked.cancel()
        self.assertEqual(self.canceled, [self.question])
        self.failureResultOf(asked, CancelledError)
