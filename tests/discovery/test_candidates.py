"""Candidates: values and their order."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.candidates import (
    XMPP_SERVER,
    XMPPS_SERVER,
    Candidate,
    interleaved,
    ordered,
    port_candidate,
    websocket_candidate,
)
from xmppfed.errors import DiscoveryError


def candidate(url: str = "wss://xmpp.example/ws", priority: int = 5, weight: int = 0, sni: str = "") -> Candidate:
    """A candidate of example.org."""
    return websocket_candidate(
        url, domain="example.org", source="a test", sni=sni, priority=priority, weight=weight, addresses=("192.0.2.1",)
    )


class NamesTests(SynchronousTestCase):
    """Which name is sent as SNI, and which the certificate may carry (XEP-0487, rule 1)."""

    def test_host_of_the_url(self) -> None:
        """Without an sni the URL's host is sent and accepted."""
        self.assertEqual(candidate().sni, "xmpp.example")
        self.assertEqual(candidate().accepted_names, {"xmpp.example"})

    def test_sni(self) -> None:
        """A given sni is sent, and both it and the host are accepted."""
        self.assertEqual(candidate(sni="front.example").sni, "front.example")
        self.assertEqual(candidate(sni="front.example").accepted_names, {"xmpp.example", "front.example"})

    def test_address_instead_of_a_name(self) -> None:
        """An address is no SNI (RFC 6066, 3) and no name: the XMPP domain is sent."""
        self.assertEqual(candidate("wss://192.0.2.1/").sni, "example.org")
        self.assertEqual(candidate("wss://192.0.2.1/").accepted_names, frozenset())

    def test_nothing_but_addresses(self) -> None:
        """When the domain is an address too, no SNI is sent."""
        self.assertEqual(websocket_candidate("wss://192.0.2.1/", domain="192.0.2.1", source="").sni, "")

    def test_not_delegated(self) -> None:
        """A URL that anybody could have forged changes neither the SNI nor the name that is wanted."""
        one = websocket_candidate("wss://evil.example/ws", domain="example.org", source="TXT", delegated=False)
        self.assertEqual((one.host, one.sni, one.accepted_names), ("evil.example", "example.org", frozenset()))

    def test_ports(self) -> None:
        """A port has the domain for SNI, and only a name that a trusted document gives is accepted beside it."""
        srv = port_candidate(XMPP_SERVER, "xmpp.example", 5269, domain="example.org", source="SRV")
        self.assertEqual((srv.url, srv.sni, srv.accepted_names), ("xmpp-server:xmpp.example:5269", "example.org", frozenset()))
        named = port_candidate(XMPPS_SERVER, "x.example", 443, domain="example.org", source="", sni="front.example")
        self.assertEqual((named.sni, named.accepted_names), ("front.example", {"front.example"}))
        address = port_candidate(XMPP_SERVER, "2001:db8::1", 5269, domain="2001:db8::1", source="")
        self.assertEqual((address.url, address.sni), ("xmpp-server:[2001:db8::1]:5269", ""))
        self.assertEqual(address.addresses, ("2001:db8::1",))

    def test_only_wss(self) -> None:
        """No other scheme makes a candidate."""
        self.assertRaises(DiscoveryError, candidate, "ws://xmpp.example/ws")


class ValueTests(SynchronousTestCase):
    """A candidate is a value a person can read."""

    def test_text(self) -> None:
        """URL, addresses, rank and source stand in its text."""
        text = "wss://xmpp.example/ws at 192.0.2.1 (priority 5, weight 0, from a test)"
        self.assertEqual(str(candidate()), text)
        unresolved = websocket_candidate("wss://xmpp.example/ws", domain="example.org", source="a test")
        self.assertIn("no address yet (priority 65535", str(unresolved))

    def test_frozen(self) -> None:
        """Nobody can change the addresses after they were judged."""
        with self.assertRaises(FrozenInstanceError):
            candidate().addresses = ("10.0.0.1",)


class OrderTests(SynchronousTestCase):
    """The lowest priority first; among equals the lot decides, by weight (RFC 2782)."""

    @given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535))), st.randoms(use_true_random=False))
    def test_priorities(self, ranks: list[tuple[int, int]], random: Random) -> None:
        """Priorities rise, nothing is lost and nothing is there twice, whatever the lot."""
        candidates = [
            candidate(f"wss://n{number}.example/", priority=priority, weight=weight)
            for number, (priority, weight) in enumerate(ranks)
        ]
        result = ordered(candidates, random.randrange)
        self.assertEqual([one.priority for one in result], sorted(priority for priority, _ in ranks))
        self.assertEqual(sorted(one.url for one in result), sorted(one.url for one in candidates))

    def drawn(self, lots: list[int], *weights: int) -> tuple[list[int], list[int]]:
        """The weights in the order of these lots, and what each lot was drawn from."""
        bounds: list[int] = []

        def chance(bound: int) -> int:
            bounds.append(bound)
            return lots.pop(0)

        return [one.weight for one in ordered([candidate(weight=weight) for weight in weights], chance)], bounds

    def test_lots(self) -> None:
        """The lot is from 0 to the sum of the weights that are left, both included; the first running sum that reaches it
        wins, and those without weight stand in front."""
        self.assertEqual(self.drawn([0, 0, 0], 30, 0, 10), ([0, 30, 10], [41, 41, 11]))
        self.assertEqual(self.drawn([1, 0, 10], 30, 0, 10), ([30, 0, 10], [41, 11, 11]))
        self.assertEqual(self.drawn([30, 10, 0], 30, 0, 10), ([30, 10, 0], [41, 11, 1]))
        self.assertEqual(self.drawn([31, 30, 0], 30, 0, 10), ([10, 30, 0], [41, 31, 1]))
        self.assertEqual(self.drawn([40, 30, 0], 30, 0, 10), ([10, 30, 0], [41, 31, 1]))

    def test_shares(self) -> None:
        """Three quarters of the weight come first three times of four."""
        random = Random(0)
        heavy, light = candidate("wss://a.example/", weight=75), candidate("wss://b.example/", weight=25)
        first = [ordered([light, heavy], random.randrange)[0] for _ in range(2000)]
        self.assertTrue(1450 < first.count(heavy) < 1550, first.count(heavy))


class InterleavedTests(SynchronousTestCase):
    """Addresses of both families in turn (RFC 8305, 4)."""

    def test_in_turn(self) -> None:
        """IPv6 first, then one of each; the order within a family stays, and the longer one ends alone."""
        given = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3", "2001:db8::2")
        expected = ("2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3")
        self.assertEqual(interleaved(given), expected)
        self.assertEqual(interleaved(()), ())
