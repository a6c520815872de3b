"""Addresses on a link (M4, M15, X5)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.linklocal.addresses import Way, host_of, same_host, source_for, ways, zoned

OWN = ("192.0.2.5", "198.51.100.5", "2001:db8:1::5", "fe80::5%2", "fe80::6%3", "127.0.0.1")


class Same(SynchronousTestCase):
    """Whether somebody comes from an address."""

    def test_same(self) -> None:
        """M15: the IPv6 form of an IPv4 address is that address, and spelling does not matter."""
        for one, other in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:DB8::1", "2001:db8:0::1"),
            ("fe80::1%2", "fe80::1%2"),
            ("fe80::1%2", "fe80::1"),
            ("fe80::1%eth0", "fe80::1%2"),
        ):
            self.assertTrue(same_host(one, other), (one, other))
            self.assertTrue(same_host(other, one), (one, other))

    def test_other(self) -> None:
        """M4: another host, another zone, another family, or no address at all."""
        for one, other in (
            ("192.0.2.1", "192.0.2.2"),
            ("fe80::1%2", "fe80::1%3"),
            ("0.0.0.1", "::1"),
            ("", ""),
            ("pronto", "pronto"),
        ):
            self.assertFalse(same_host(one, other), (one, other))

    def test_host(self) -> None:
        """The address of a connection is told with the number of its zone; a socket in a file has none."""
        self.assertEqual(host_of(IPv4Address("TCP", "192.0.2.1", 5298)), "192.0.2.1")
        self.assertEqual(host_of(IPv6Address("TCP", "2001:db8::1", 5298)), "2001:db8::1")
        self.assertEqual(host_of(IPv6Address("TCP", "fe80::1%eth0", 5298, 0, 2)), "fe80::1%2")
        self.assertEqual(host_of(UNIXAddress(b"/run/socket")), "")


class Sources(SynchronousTestCase):
    """M4: connections come from an advertised address."""

    def test_nearest(self) -> None:
        """X5: of the same family, the same zone, and with the longest common beginning."""
        for address, source in (
            ("192.0.2.9", "192.0.2.5"),
            ("198.51.100.9", "198.51.100.5"),
            ("::ffff:198.51.100.9", "198.51.100.5"),
            ("2001:db8:2::9", "2001:db8:1::5"),
            ("fe80::9%3", "fe80::6%3"),
            ("fe80::9", "fe80::5%2"),
            ("127.0.0.2", "127.0.0.1"),
        ):
            self.assertEqual(source_for(address, OWN), source)

    def test_none(self) -> None:
        """X5: a link-local address is none for what is elsewhere, nor the other way round; loopback stays at home."""
        for address, own in (
            ("fe80::9%4", OWN),
            ("2001:db8::9", ("fe80::5%2", "192.0.2.5")),
            ("fe80::9%2", ("2001:db8::5",)),
            ("192.0.2.9", ("127.0.0.1",)),
            ("192.0.2.9", ()),
        ):
            self.assertIsNone(source_for(address, own))

    @given(st.ip_addresses().map(str), st.lists(st.ip_addresses().map(str)))
    def test_any(self, address: str, own: list[str]) -> None:
        """Whatever the addresses are, the source is one of ours."""
        self.assertIn(source_for(address, own), (None, *own))


class Order(SynchronousTestCase):
    """What is tried first."""

    def test_families(self) -> None:
        """RFC 8305, 4, M4: families take turns, IPv4 first; without anything advertised the system chooses where from."""
        found = ways(("2001:db8::1", "192.0.2.1", "192.0.2.2"), ())
        self.assertEqual(found, tuple(Way(address, None) for address in ("192.0.2.1", "2001:db8::1", "192.0.2.2")))

    def test_tried(self) -> None:
        """M4: what was tried comes last, what was tried first before what was tried then."""
        there, own = ("192.0.2.1", "2001:db8::1", "192.0.2.2"), ("192.0.2.5",)
        for tried, order in (
            (("192.0.2.1",), ("192.0.2.2", "2001:db8::1", "192.0.2.1")),
            (("192.0.2.2", "192.0.2.1", "192.0.2.99"), ("2001:db8::1", "192.0.2.2", "192.0.2.1")),
            (("192.0.2.2", "192.0.2.1", "2001:db8::1", "192.0.2.2"), ("192.0.2.1", "2001:db8::1", "192.0.2.2")),
        ):
            self.assertEqual(tuple(way.address for way in ways(there, own, tried)), order)

    def test_advertised_first(self) -> None:
        """M4: an address to which we have none of ours comes last."""
        found = ways(("2001:db8::1", "192.0.2.1"), ("192.0.2.5",))
        self.assertEqual(found, (Way("192.0.2.1", "192.0.2.5"), Way("2001:db8::1", None)))

    def test_zone_unknown(self) -> None:
        """An address on the link that came without its zone may be in any of ours; without a zone it leads nowhere."""
        self.assertEqual(zoned(("fe80::1", "192.0.2.1"), OWN), ("fe80::1%2", "fe80::1%3", "192.0.2.1"))
        self.assertEqual(zoned(("fe80::1%3", "fe80::1"), OWN), ("fe80::1%3", "fe80::1%2"))
        self.assertEqual(zoned(("fe80::1", "2001:db8::1"), ("192.0.2.5",)), ("2001:db8::1",))
