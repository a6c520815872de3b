"""Entity Capabilities of the server (XEP-0115)."""

from __future__ import annotations

from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import Hosting
from tests.services.s2s import S2SCase, external, opening
from xmppfed.core.disco import CAPS_NODE, NS_INFO, verification
from xmppfed.core.tree import parse_tree
from xmppfed.modules.caps import NS, Caps
from xmppfed.modules.disco import Disco
from xmppfed.modules.ping import Ping
from xmppfed.testing.federation import Federation

C = f"{{{NS}}}c"
INFO = f"{{{NS_INFO}}}query"


class OfferedTests(SynchronousTestCase):
    """The hash stands in the stream features (XEP-0115, 6.3)."""

    def test_a_client_can_check_it(self) -> None:
        """Asked for `node#ver`, the server tells what hashes to `ver`, and what it tells without a node."""
        federation = Federation("capulet.example", configuration={"*": "[modules.contact]\nabuse = ['mailto:abuse@a.example']"})
        self.addCleanup(federation.cleanup)
        juliet = federation.client("juliet@capulet.example/balcony")
        assert juliet.connection.stream.offered is not None
        offered = juliet.connection.stream.offered.child(C)
        assert offered is not None
        self.assertEqual((offered.get("hash"), offered.get("node"), offered.get("ext")), ("sha-1", CAPS_NODE, None))
        node = f"{CAPS_NODE}#{offered.get('ver')}"
        asked = f"<iq to='capulet.example' type='get'><query xmlns='{NS_INFO}'{{}}/></iq>"
        told = juliet.request(asked.format(f" node='{node}'")).element.child(INFO)
        plain = juliet.request(asked.format("")).element.child(INFO)
        assert told is not None and plain is not None
        self.assertEqual((told.get("node"), verification(told)), (node, offered.get("ver")))
        self.assertEqual(told.children, plain.children)
        self.assertIn("jabber:x:data", [child.namespace for child in told.elements()])

    def test_by_what_modules_there_are(self) -> None:
        """Other features, another hash; the feature itself is among them."""
        offers = {Hosting(*modules).handlers.offers("client") for modules in ((Caps,), (Caps, Disco), (Disco, Caps, Ping))}
        self.assertEqual(len(offers), 3)
        self.assertEqual(Hosting(Caps).handlers.features("server"), (NS,))
        server = Hosting(Caps)
        self.assertEqual(server.handlers.offers("client"), server.handlers.offers("server"))
        self.assertEqual(server.handlers.offers("stranger"), "")


class ServersTests(S2SCase):
    """Other servers."""

    domains: ClassVar[tuple[str, ...]] = ("capulet.example",)

    def test_offered_to_servers(self) -> None:
        """Once they have proved themselves."""
        first, *_, last = (text for text in self.say(self.dial(self.issue()), opening(), external(), opening()) if "feat" in text)
        self.assertIsNone(parse_tree(first.encode()).child(C))
        self.assertIsNotNone(parse_tree(last.encode()).child(C))
