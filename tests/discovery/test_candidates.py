"""Candidates: values and their order."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.candidates import Candidate, ordered, websocket_candidate
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
    """The lowest priority first, then the heaviest."""

    @given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535))))
    def test_order(self, ranks: list[tuple[int, int]]) -> None:
        """Priorities rise, and weights fall within one priority; nothing is lost."""
        result = ordered(candidate(priority=priority, weight=weight) for priority, weight in ranks)
        keys = [(one.priority, -one.weight) for one in result]
        self.assertEqual(keys, sorted((priority, -weight) for priority, weight in ranks))

    def test_equals_keep_their_order(self) -> None:
        """The sort is stable: the order of the document decides between equals."""
        first, second = candidate("wss://a.example/"), candidate("wss://b.example/")
        self.assertEqual(ordered([first, second]), (first, second))
        self.assertEqual(ordered([second, first]), (second, first))
