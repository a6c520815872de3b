"""Entity Time (XEP-0202)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import Hosting
from tests.routing.fakes import condition
from xmppfed.modules.time import NS, Time

TIME = f"{{{NS}}}time"


class TimeTests(SynchronousTestCase):
    """The server tells the time."""

    def test_utc(self) -> None:
        """What its clock says, in UTC, with a zone that tells nothing (XEP-0202, 6)."""
        server = Hosting(Time)
        server.clock.advance(1_166_551_115.5)
        time = server.ask("get", "example.org", TIME).element.child(TIME)
        assert time is not None
        self.assertEqual(
            [(child.name, child.text) for child in time.elements()], [("tzo", "+00:00"), ("utc", "2006-12-19T17:58:35Z")]
        )
        self.assertEqual((server.handlers.features("server"), server.handlers.features("account")), ((NS,), ()))

    def test_accounts_have_none(self) -> None:
        """The time of an account is a matter of its clients."""
        self.assertEqual(condition(Hosting(Time).ask("get", None, TIME)), "service-unavailable")
