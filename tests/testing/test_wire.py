"""Addresses, and who is reached at them."""

from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.testing.wire import Wiring, canonical, covers, source


class Addresses(SynchronousTestCase):
    """Hosts are compared by their one spelling."""

    def test_canonical(self) -> None:
        """An IPv6 address is spelled in one way, and no address is any IPv4 address."""
        self.assertEqual([canonical("2001:DB8:0::1"), canonical("")], ["2001:db8::1", "0.0.0.0"])

    def test_a_name_is_no_address(self) -> None:
        """Names are refused, by name."""
        raised = self.assertRaises(ValueError, canonical, "example.org")
        self.assertIn("example.org", str(raised))

    def test_covers(self) -> None:
        """Only `::` takes both families."""
        hosts = ("192.0.2.1", "2001:db8::1")
        answers = {one: [covers(one, host) for host in hosts] for one in ("0.0.0.0", "::", "192.0.2.1", "192.0.2.2")}
        self.assertEqual(
            answers,
            {
                "0.0.0.0": [True, False],
                "::": [True, True],
                "192.0.2.1": [True, False],
                "192.0.2.2": [False, False],
            },
        )

    def test_source(self) -> None:
        """Loopback is reached from loopback, everything else from an address for documentation."""
        hosts = ("127.0.0.2", "::1", "192.0.2.1", "2001:db8::2")
        self.assertEqual([source(host) for host in hosts], ["127.0.0.1", "::1", "198.51.100.1", "2001:db8::1"])


class Moments(SynchronousTestCase):
    """A network knows when something arrives."""

    def test_nothing_under_way(self) -> None:
        """Without sockets nothing ever arrives."""
        self.assertEqual(Wiring(lambda: 0.0).next_arrival(), inf)
