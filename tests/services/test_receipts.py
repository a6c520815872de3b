"""A client shows that it has got what was sent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.services.raw import JULIET, RawCase
from xmppfed.services.receipts import Receipts
from xmppfed.testing.patterns import stanza

FULL = f"{JULIET}/balcony"


class ReceiptsTests(SynchronousTestCase):
    """Pings and their answers."""

    def test_any_answer_counts(self) -> None:
        """A result does, and an error as well: both come after what the client has read."""
        for type in ("result", "error"):
            receipts, done = Receipts(30), list[bool]()
            ping = receipts.ask("capulet.example", FULL, lambda done=done: done.append(True), 0)
            self.assertEqual((ping.type, ping.children, bool(receipts)), ("get", ("{urn:xmpp:ping}ping",), True))
            self.assertTrue(receipts.take(stanza(f"<iq type='{type}' id='{ping.id}'/>"), 1))
            self.assertEqual((done, bool(receipts)), ([True], False))

    def test_nothing_else_counts(self) -> None:
        """Another id, a request, a message: not an answer, and left to others."""
        receipts = Receipts(30)
        ping = receipts.ask("capulet.example", FULL, self.fail, 0)
        for text in (
            "<iq type='result' id='x'/>",
            "<iq type='result'/>",
            f"<iq type='get' id='{ping.id}'/>",
            f"<message type='error' id='{ping.id}'/>",
        ):
            self.assertFalse(receipts.take(stanza(text), 29))

    def test_once(self) -> None:
        """The second answer is anybody's; after the end there is none."""
        receipts, done = Receipts(30), list[bool]()
        first = receipts.ask("capulet.example", FULL, lambda: done.append(True), 0)
        second = receipts.ask("capulet.example", FULL, lambda: done.append(True), 0)
        answer = stanza(f"<iq type='result' id='{first.id}'/>")
        self.assertEqual([receipts.take(answer, 1), receipts.take(answer, 1)], [True, False])
        receipts.forget()
        self.assertFalse(receipts.take(stanza(f"<iq type='result' id='{second.id}'/>"), 1))
        self.assertEqual(len(done), 1)

    def test_a_client_that_answers_no_pings(self) -> None:
        """Whatever it says when its patience is over shows it, and goes its way; not what it said before."""
        receipts, done = Receipts(30), list[str]()
        receipts.ask("capulet.example", FULL, lambda: done.append("first"), 0)
        receipts.ask("capulet.example", FULL, lambda: done.append("second"), 10)
        found = [(receipts.take(stanza("<presence/>"), now), list(done)) for now in (29, 30, 40)]
        self.assertEqual(found, [(False, []), (False, ["first"]), (False, ["first", "second"])])


class SessionTests(RawCase):
    """On the stream of a client."""

    def test_confirmed(self) -> None:
        """The client is pinged by its server; its answer confirms, and goes nowhere else."""
        done: list[bool] = []
        raw = self.raw()
        raw.login()
        self.server.sessions.resources[FULL].session.confirm(lambda: done.append(True))
        self.federation.network.pump()
        [ping] = raw.take()
        self.assertEqual((ping.get("from"), ping.get("to"), ping.get("type")), ("capulet.example", FULL, "get"))
        self.assertEqual(done, [])
        came = raw.send(f"<iq xmlns='jabber:client' to='capulet.example' type='result' id='{ping.get('id')}'/>")
        self.assertEqual((done, came), ([True], []))

    def test_a_session_that_ends(self) -> None:
        """It confirms nothing."""
        raw = self.raw()
        raw.login()
        self.server.sessions.resources[FULL].session.confirm(self.fail)
        raw.drop()
