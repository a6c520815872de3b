"""The registry of what modules handle."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.element import Element
from xmppfed.core.stanza import Stanza
from xmppfed.errors import ConfigError
from xmppfed.routing.handlers import Handlers


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


class ManyTests(SynchronousTestCase):
    """Any number of modules may look on, or offer something."""

    def test_they_keep_the_order_of_registration(self) -> None:
        """They are asked in the order of the configuration, and who holds the list sees who comes later."""
        handlers = Handlers()
        lists = [handlers.hooks("sent"), handlers.copiers, handlers.observers]
        for key in (("hook", "sent"), ("message", "delivered"), ("presence", "own")):
            handlers.add(key, second, "two")
            handlers.add(key, first, "one")
        self.assertEqual(lists, [[second, first]] * 3)
        self.assertEqual((handlers.takers, handlers.hooks("received"), handlers.hooks("routed")), ({}, [], []))

    def test_offers(self) -> None:
        """Stream features are written one after another, apart for each kind of stream."""
        handlers = Handlers()
        handlers.add(("offer", "client"), lambda: Element("b", "urn:b"), "one")
        handlers.add(("offer", "client"), lambda: Element("a", "urn:a"), "two")
        handlers.add(("offer", "server"), lambda: Element("c", "urn:c"), "two")
        written = [handlers.offers(whom) for whom in ("client", "server", "stranger")]
        self.assertEqual(written, ["<b xmlns='urn:b'/><a xmlns='urn:a'/>", "<c xmlns='urn:c'/>", ""])


class NamedTests(SynchronousTestCase):
    """What is found by the name of an element."""

    def test_by_tag(self) -> None:
        """Nonzas, inline features and requests of strangers each have their own names."""
        handlers = Handlers()
        for key in (("nonza", "{a}b"), ("inline", "{a}c"), ("get", "{a}d", "stranger"), ("get", "{a}e", "server")):
            handlers.add(key, first, "one")
        self.assertEqual((handlers.named("nonza"), handlers.named("inline")), ({"{a}b": first}, {"{a}c": first}))
        self.assertEqual(handlers.strangers(), {"{a}d"})
        self.assertRaises(ConfigError, handlers.add, ("nonza", "{a}b"), second, "two")


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
