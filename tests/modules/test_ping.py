"""XMPP Ping (XEP-0199)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import JULIET, Hosting
from tests.routing.fakes import condition
from xmppfed.modules.ping import NS, Ping

PING = f"{{{NS}}}ping"


class PingTests(SynchronousTestCase):
    """A ping is answered with an empty result."""

    def test_the_server_answers(self) -> None:
        """For itself, and for the own account with or without an address (XEP-0199, 4.2)."""
        server = Hosting(Ping)
        for to in ("example.org", "juliet@example.org", None):
            answer = server.ask("get", to, PING)
            self.assertEqual((answer.type, answer.id, answer.attributes.get("from"), answer.children), ("result", "1", to, ()))

    def test_other_accounts_do_not_exist(self) -> None:
        """A ping to somebody else's account, with or without a session, tells nothing."""
        server = Hosting(Ping)
        server.session("nurse@example.org/hall", 0)
        for name in ("nurse", "nobody"):
            self.assertEqual(condition(server.ask("get", f"{name}@example.org", PING)), "service-unavailable")

    def test_only_get(self) -> None:
        """A ping of type set is no ping."""
        self.assertEqual(condition(Hosting(Ping).ask("set", "example.org", PING)), "service-unavailable")

    def test_clients_answer_for_themselves(self) -> None:
        """A ping to a full address goes to the client (XEP-0199, 4.5)."""
        server = Hosting(Ping)
        self.assertEqual(server.ask("get", JULIET, PING).type, "get")

    def test_announced(self) -> None:
        """Server and accounts announce the feature."""
        server = Hosting(Ping)
        self.assertEqual((server.handlers.features("server"), server.handlers.features("account")), ((NS,), (NS,)))
