"""The limits of time."""

from __future__ import annotations

from dataclasses import fields

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.timeouts import Timeouts


class Limits(SynchronousTestCase):
    """One value holds every limit."""

    def test_every_limit_limits(self) -> None:
        """No limit is zero, which some libraries read as none."""
        limits = Timeouts()
        self.assertEqual([field.name for field in fields(limits) if not getattr(limits, field.name) > 0], [])

    def test_ping_before_proxies_cut(self) -> None:
        """A silent stream is pinged before the 60 s after which common proxies cut it."""
        self.assertLess(max(Timeouts().client_silence, Timeouts().server_silence), 60)
