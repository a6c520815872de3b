"""Service Discovery (XEP-0030)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import Hosting
from tests.routing.fakes import condition
from xmppfed.core.disco import CAPS_NODE, NS_INFO, NS_ITEMS, verification
from xmppfed.core.element import Element
from xmppfed.core.stanza import Stanza
from xmppfed.modules.caps import Caps
from xmppfed.modules.disco import Disco
from xmppfed.modules.ping import NS as NS_PING
from xmppfed.modules.ping import Ping
from xmppfed.modules.version import NS as NS_VERSION
from xmppfed.modules.version import Version

INFO, ITEMS = f"{{{NS_INFO}}}query", f"{{{NS_ITEMS}}}query"


def query_of(answer: Stanza) -> Element:
    """The one child of a result."""
    assert answer.type == "result", answer
    [query] = answer.element.elements()
    return query


class InfoTests(SynchronousTestCase):
    """Who the server and its accounts are, and what they can do (XEP-0030, 3)."""

    def test_the_server(self) -> None:
        """An instant messaging server with the features of all modules, each once, whatever the order of the modules."""
        for modules in ((Disco, Ping, Version), (Version, Ping, Disco)):
            query = query_of(Hosting(*modules).ask("get", "example.org", INFO))
            identity, *features = query.elements()
            self.assertEqual((query.tag, identity.attributes), (INFO, {"category": "server", "type": "im"}))
            self.assertEqual({feature.name for feature in features}, {"feature"})
            wanted = sorted((NS_INFO, NS_ITEMS, NS_PING, NS_VERSION))
            self.assertEqual([feature.get("var") for feature in features], wanted)

    def test_the_own_account(self) -> None:
        """A registered account with what the server does for it; an absent `to` means the same (XEP-0030, 8)."""
        server = Hosting(Disco, Ping, Version)
        for to in ("juliet@example.org", None):
            identity, *features = query_of(server.ask("get", to, INFO)).elements()
            self.assertEqual(identity.attributes, {"category": "account", "type": "registered"})
            self.assertEqual([feature.get("var") for feature in features], sorted((NS_INFO, NS_ITEMS, NS_PING)))


class ItemsTests(SynchronousTestCase):
    """What belongs to them (XEP-0030, 4)."""

    def test_nothing_yet(self) -> None:
        """Server and own account answer with an empty list."""
        server = Hosting(Disco)
        for to in ("example.org", "juliet@example.org", None):
            query = query_of(server.ask("get", to, ITEMS))
            self.assertEqual((query.tag, query.children), (ITEMS, []))


class RefusalTests(SynchronousTestCase):
    """What is not answered."""

    def test_no_nodes(self) -> None:
        """A node, even an empty one, is item-not-found (XEP-0030, 7); so is what is nearly that of the capabilities, and that
        of an older server, or of the server where the account was asked."""
        server = Hosting(Disco, Caps)
        told = query_of(server.ask("get", "example.org", INFO))
        for node in (f"{CAPS_NODE}#", f"{CAPS_NODE}#{verification(Element('query', NS_INFO))}", verification(told)):
            self.assertEqual(condition(server.ask("get", "example.org", INFO, node=node)), "item-not-found")
        self.assertEqual(condition(server.ask("get", None, INFO, node=f"{CAPS_NODE}#{verification(told)}")), "item-not-found")
        for to in ("example.org", None):
            for tag in (INFO, ITEMS):
                for node in ("urn:x", ""):
                    self.assertEqual(condition(server.ask("get", to, tag, node=node)), "item-not-found")

    def test_other_accounts_do_not_exist(self) -> None:
        """Others learn nothing of an account, with or without a node, whether it is on line or not (XEP-0030, 8)."""
        server = Hosting(Disco)
        server.session("nurse@example.org/hall", 0)
        for name in ("nurse", "nobody"):
            for tag in (INFO, ITEMS):
                self.assertEqual(condition(server.ask("get", f"{name}@example.org", tag)), "service-unavailable")
                self.assertEqual(condition(server.ask("get", f"{name}@example.org", tag, node="x")), "service-unavailable")

    def test_nothing_can_be_set(self) -> None:
        """Requests of type set are refused."""
        self.assertEqual(condition(Hosting(Disco).ask("set", "example.org", INFO)), "service-unavailable")
