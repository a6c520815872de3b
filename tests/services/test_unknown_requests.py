"""An unknown request is answered with an error at once: clients wait for each answer before they go on."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.fakes import condition
from xmppfed.testing.federation import Federation

US, THEM = "capulet.example", "montague.example"


class UnknownRequests(SynchronousTestCase):
    """juliet asks everybody for what nobody knows."""

    def setUp(self) -> None:
        """Log her in; the nurse is on line, tybalt has an account and is not."""
        self.federation = Federation(US, THEM)
        self.addCleanup(self.federation.cleanup)
        self.juliet = self.federation.client(f"juliet@{US}/balcony")
        self.federation.client(f"nurse@{US}/hall")
        self.federation.client(f"romeo@{THEM}/orchard")
        self.federation.account(f"tybalt@{US}")
        self.federation.account(f"mercutio@{THEM}")

    def test_nobody_who_could_answer(self) -> None:
        """To the server, the own account, others present, absent or nonexistent, and resources that are not there, here and
        elsewhere: service-unavailable, without any time passing (RFC 6120, 8.2.3; RFC 6121, 8.5)."""
        names = ["juliet", "nurse", "tybalt", "nobody"]
        here = [US, f"{US}/x", *(f"{name}@{US}{resource}" for name in names for resource in ("", "/gone"))]
        there = [
            THEM,
            f"{THEM}/x",
            *(f"{name}@{THEM}{more}" for name in ("romeo", "mercutio", "nobody") for more in ("", "/gone")),
        ]
        for to in (None, *here, *there):
            for type in ("get", "set"):
                for child in ("<query xmlns='urn:x'/>", "<query xmlns='http://jabber.org/protocol/disco'/>", "<ping/>"):
                    addressed = "" if to is None else f" to='{to}'"
                    with self.subTest(to=to, type=type, child=child):
                        answer = self.juliet.request(f"<iq type='{type}'{addressed}>{child}</iq>")
                        self.assertEqual(condition(answer), "service-unavailable")
                        self.assertEqual(answer.attributes.get("from"), to)

    def test_answers_get_no_answer(self) -> None:
        """An unasked-for result or error is dropped (RFC 6120, 8.2.3)."""
        for to in ("", f" to='{US}'", f" to='nobody@{US}'", f" to='juliet@{US}/gone'", f" to='romeo@{THEM}/gone'"):
            for type in ("result", "error"):
                self.juliet.send(f"<iq type='{type}' id='1'{to}><query xmlns='urn:x'/></iq>")
        self.juliet.expect_nothing()
