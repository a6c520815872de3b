"""What is known of a peer before it says a word."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.net.arrival import Arrival


class Values(SynchronousTestCase):
    """An Arrival is a value."""

    def test_nothing_is_assumed(self) -> None:
        """Without a word about them there is no Origin, no certificate and no channel binding of any domain."""
        arrival = Arrival("192.0.2.1", secure=True)
        self.assertEqual((arrival.origin, arrival.certificate), (None, None))
        self.assertEqual(arrival.bindings("example.org"), {})

    def test_it_stays_what_it_is(self) -> None:
        """Nobody can make an arrival secure afterwards."""
        arrival = Arrival("192.0.2.1", secure=False)
        with self.assertRaises(FrozenInstanceError):
            arrival.secure = True
