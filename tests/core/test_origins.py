"""Tests for `xmppfed.core.origins`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.origins import origin


class OriginTests(SynchronousTestCase):
    """Who counts as one."""

    def test_table(self) -> None:
        """An IPv4 address by itself, however it is written; with IPv6 a network of 64 bits; anything else as it is."""
        for address, wanted in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
            ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("", ""),
            ("unix", "unix"),
        ):
            self.assertEqual(origin(address), wanted)
