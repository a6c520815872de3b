"""Interfaces of this host (X5)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.linklocal.interfaces import Interface, addresses_of, chosen
from xmppfed.errors import DiscoveryError

LO = Interface("lo", 1, ("127.0.0.1", "::1"))
ETH = Interface("eth0", 2, ("192.0.2.5", "fe80::5%2"))
WLAN = Interface("wlan0", 3, ("198.51.100.5", "fe80::5%3"))
ALL = (LO, ETH, WLAN)


class Choice(SynchronousTestCase):
    """What is published is what can be reached there."""

    def test_all(self) -> None:
        """X5: every interface but loopback, with every address."""
        self.assertEqual(chosen(ALL, ()), (ETH, WLAN))
        self.assertEqual(addresses_of((ETH, WLAN, ETH)), (*ETH.addresses, *WLAN.addresses))

    def test_alone(self) -> None:
        """A host that is connected to nothing talks to itself; one without any address cannot."""
        self.assertEqual(chosen((LO,), ()), (LO,))
        self.assertIn("no interface", str(self.assertRaises(DiscoveryError, chosen, (), ())))

    def test_wanted(self) -> None:
        """By name all of an interface, by address that one alone; a zone tells apart what is the same otherwise."""
        self.assertEqual(chosen(ALL, ("wlan0", "127.0.0.1")), (WLAN, Interface("lo", 1, ("127.0.0.1",))))
        self.assertEqual(chosen(ALL, ("fe80::5%3",)), (Interface("wlan0", 3, ("fe80::5%3",)),))

    def test_unknown(self) -> None:
        """What is not there is named, and what is."""
        text = str(self.assertRaises(DiscoveryError, chosen, ALL, ("eth7",)))
        self.assertIn("'eth7'", text)
        self.assertIn("eth0 (192.0.2.5, fe80::5%2)", text)
