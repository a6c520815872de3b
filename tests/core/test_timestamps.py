"""Tests for `xmppfed.core.timestamps`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.timestamps import timestamp


class TimestampTests(SynchronousTestCase):
    """Moments as XMPP writes them (XEP-0082, 3.2)."""

    def test_utc_to_the_second(self) -> None:
        """In UTC, whatever zone the machine is in; fractions are cut off, so that no moment lies in the future."""
        for seconds, wanted in (
            (0, "1970-01-01T00:00:00Z"),
            (1_800_000_000.999, "2027-01-15T08:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
        ):
            self.assertEqual(timestamp(seconds), wanted)
