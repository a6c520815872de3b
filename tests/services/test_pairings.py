"""Pairing for the operator (T6)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.e2e.ends import JULIET, ROMEO, End, EndsCase
from xmppfed.e2e.pairing import PairingFailed
from xmppfed.e2e.trust import Policy, Trust
from xmppfed.services.control import CommandRefused
from xmppfed.services.pairings import Pairings


class PairingsTests(EndsCase):
    """One code for everybody here."""

    def setUp(self) -> None:
        super().setUp()
        self.juliet, self.romeo = self.pair(Policy.PAIRED)

    def pairings(self, *ends: End) -> Pairings:
        """Of a server with these addresses."""
        made = Pairings(ends[0].local, ends[0].store)
        for end in ends:
            made.add(end.peers)
        return made

    def entered(self, pairings: Pairings, peer: str, code: str) -> Deferred[str]:
        """What becomes of a code that is typed."""
        entering = Deferred.fromCoroutine(pairings.enter(peer, code))
        self.network.pump()
        return entering

    def known_to(self, end: End) -> list[tuple[str, Trust]]:
        """Whom somebody knows, and how."""
        return [(one.name, one.trust) for one in end.store.all()]

    def test_paired(self) -> None:
        """Whoever of us knows where the peer is calls it; both know each other then."""
        nurse = self.end("nurse@verona", "192.0.2.3", Policy.PAIRED)
        nurse.map.places.clear()
        shown = self.pairings(self.romeo).show()
        entered = self.entered(self.pairings(nurse, self.juliet), ROMEO, shown)
        self.assertEqual(self.successResultOf(entered), ROMEO)
        self.assertEqual(self.known_to(self.romeo), [(JULIET, Trust.PAIRED)])
        self.juliet.say("hello", ROMEO)
        self.network.pump()
        self.assertEqual(self.romeo.heard.bodies, [(JULIET, "hello")])

    def test_over_the_stream_there_is(self) -> None:
        """Who has a stream with the peer already pairs over that."""
        for end in (self.juliet, self.romeo):
            end.peers.acquaintances.policy = Policy.FIRST_USE
        shown = self.pairings(self.romeo)
        code = shown.show()
        self.juliet.say("hello", ROMEO)
        self.network.pump()
        nurse = self.end("nurse@verona", "192.0.2.3", Policy.PAIRED)
        self.assertEqual(self.successResultOf(self.entered(self.pairings(nurse, self.juliet), ROMEO, code)), ROMEO)
        self.assertEqual(len(self.network.links), 1)

    def test_one_code(self) -> None:
        """The code is good for whichever of our addresses is called."""
        nurse = self.end("nurse@verona", "192.0.2.3", Policy.PAIRED)
        code = self.pairings(nurse, self.romeo).show()
        self.assertEqual(self.successResultOf(self.entered(self.pairings(self.juliet), ROMEO, code)), ROMEO)

    def test_wrong(self) -> None:
        """A wrong code pairs nobody, and burns the right one."""
        shown = self.pairings(self.romeo)
        code = shown.show()
        wrong = "000-000" if code != "000-000" else "111-111"
        typing = self.pairings(self.juliet)
        for typed in (wrong, code):
            self.failureResultOf(self.entered(typing, ROMEO, typed), PairingFailed)
        self.assertEqual((self.known_to(self.juliet), self.known_to(self.romeo)), ([], []))

    def test_nowhere(self) -> None:
        """Where nobody knows the peer, it is said who was asked."""
        refused: Any = self.failureResultOf(self.entered(self.pairings(self.juliet), "tybalt@verona", "1"), CommandRefused)
        self.assertIn(f"{JULIET}: nobody knows where tybalt@verona is", str(refused.value))

    def test_nobody(self) -> None:
        """Where nobody has streams there is no code."""
        made = Pairings(self.juliet.local, self.juliet.store)
        made.add(self.juliet.peers)()
        self.assertRaises(CommandRefused, made.show)
