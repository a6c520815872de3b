"""Software Version (XEP-0092)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import Hosting
from tests.routing.fakes import condition
from xmppfed import __version__
from xmppfed.modules.version import NS, Version

QUERY = f"{{{NS}}}query"


class VersionTests(SynchronousTestCase):
    """The server says what it is."""

    def test_name_and_version_and_nothing_else(self) -> None:
        """The operating system is not disclosed (XEP-0092, 6)."""
        query = Hosting(Version).ask("get", "example.org", QUERY).element.child(QUERY)
        assert query is not None
        self.assertEqual(
            [(child.name, child.text) for child in query.elements()], [("name", "xmppfed"), ("version", __version__)]
        )

    def test_accounts_have_none(self) -> None:
        """An account is no software, and announces none."""
        server = Hosting(Version)
        self.assertEqual(condition(server.ask("get", None, QUERY)), "service-unavailable")
        self.assertEqual((server.handlers.features("server"), server.handlers.features("account")), ((NS,), ()))
