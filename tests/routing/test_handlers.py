"""The registry of what modules handle."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.stanza import Stanza
from xmppfed.errors import ConfigError
from xmppfed.routing.handlers import OBSERVED, POINTS, Handlers


def first(stanza: Stanza) -> None:
    """A handler."""


def second(stanza: Stanza) -> None:
    """Another."""


class TakingTests(SynchronousTestCase):
    """One module takes what has one answer."""

    def test_keys_are_exact(self) -> None:
        """The same child is another question for another type or target."""
        handlers = Handlers()
        handlers.add(("get", "{a}b", "server"), first, "one")
        handlers.add(("set", "{a}b", "server"), second, "two")
        handlers.add(("get", "{a}b", "account"), second, "two")
        self.assertIs(handlers.takers["get", "{a}b", "server"], first)
        self.assertIs(handlers.takers["get", "{a}b", "account"], second)

    def test_a_taken_key_names_both_modules(self) -> None:
        """Two modules with the same answer stop the start, with the names of both, and the first one stays."""
        handlers = Handlers()
        handlers.add(("message", "undeliverable"), first, "offline")
        error = self.assertRaises(ConfigError, handlers.add, ("message", "undeliverable"), second, "archive")
        for part in ("offline", "archive", "message undeliverable", "Remove"):
            self.assertIn(part, str(error))
        self.assertIs(handlers.takers["message", "undeliverable"], first)


class ObservingTests(SynchronousTestCase):
    """Any number of modules may look on."""

    def test_observers_keep_the_order_of_registration(self) -> None:
        """Observers run in the order of the configuration."""
        handlers = Handlers()
        handlers.add(("message", "routed"), second, "two")
        handlers.add(("message", "routed"), first, "one")
        self.assertEqual(handlers.observers["message", "routed"], [second, first])
        self.assertEqual(handlers.takers, {})

    def test_every_observed_point_exists(self) -> None:
        """What is observed is among the points that modules may name."""
        self.assertEqual([key for key in OBSERVED if key[1] not in POINTS[key[0]]], [])


class FeaturesTests(SynchronousTestCase):
    """What modules announce."""

    def test_features_are_kept_apart_and_sorted(self) -> None:
        """The features of the server are not those of accounts; each stands once, in a stable order."""
        handlers = Handlers()
        handlers.announce("server", ["b", "a"])
        handlers.announce("server", ["a"])
        handlers.announce("account", ["c"])
        self.assertEqual(handlers.features("server"), ("a", "b"))
        self.assertEqual(handlers.features("account"), ("c",))
