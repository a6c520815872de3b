"""Pairing with people on the local network (T6)."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.services.lan_gateway.lan import ON_LINK, ROMEO, LanCase
from xmppfed.e2e.introductions import Introductions
from xmppfed.e2e.trust import Policy, Trust
from xmppfed.services.control import CommandRefused
from xmppfed.services.pairings import Pairings


class PairingTests(LanCase):
    """The operator shows a code, and somebody on the link types it; or the other way round."""

    @property
    def pairings(self) -> Pairings:
        """What the control socket would ask."""
        made = self.gateway._introduce.__self__
        assert isinstance(made, Pairings)
        return made

    def test_both_ways(self) -> None:
        """Whoever shows the code: both know each other by it, and the contact has the word."""
        for shown_here in (True, False):
            with self.subTest(shown_here=shown_here):
                self.serve(trust="paired")
                juliet = self.juliet()
                romeo = self.neighbor(policy=Policy.PAIRED)
                introductions = Introductions(romeo.local, romeo.peers, romeo.store)
                romeo.appear()
                if shown_here:
                    entering = Deferred.fromCoroutine(introductions.enter(ON_LINK, self.pairings.show()))
                else:
                    entering = Deferred.fromCoroutine(self.pairings.enter(ROMEO, introductions.show()))
                self.federation.network.pump()
                self.assertEqual(self.successResultOf(entering), ON_LINK if shown_here else ROMEO)
                self.assertEqual([one.trust for one in romeo.store.all()], [Trust.PAIRED])
                self.assertIn("romeo@forza (paired)", [name for _, name, _ in self.roster(juliet)])
                juliet.send("<presence type='unavailable'/>")
                self.federation.network.pump()
                self.assertRaises(CommandRefused, self.pairings.show)
                self.leave()
                self.neighbors.clear()
