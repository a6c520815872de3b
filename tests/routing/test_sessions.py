"""Sessions, their accounts, and who is the most available."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.fakes import RecordingSession, Server, available
from xmppfed.core.jid import JID
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppfed.routing.sessions import Sessions

JULIET = JID.parse("juliet@example.org")


class AddingTests(SynchronousTestCase):
    """A session comes."""

    def test_sessions_of_an_account(self) -> None:
        """`of` gives the sessions of one account, the oldest first, available or not; none for others."""
        server = Server()
        balcony = server.session("juliet@example.org/balcony", 5)
        chamber = server.session("juliet@example.org/chamber")
        server.session("nurse@example.org/hall")
        self.assertEqual(server.sessions.of(JULIET), (balcony, chamber))
        self.assertEqual(server.sessions.of(JID.parse("romeo@example.org")), ())

    def test_an_older_session_with_the_same_address_ends(self) -> None:
        """A resource that is bound again ends the older stream with `conflict` (RFC 6120, 7.7.2.2)."""
        server = Server()
        older = server.session("juliet@example.org/balcony", 0)
        newer = server.session("juliet@example.org/balcony")
        self.assertEqual([error.condition for error in older.errors], [StreamCondition.CONFLICT])
        self.assertEqual((newer.errors, server.sessions.of(JULIET)), ([], (newer,)))
        self.assertEqual(server.sessions.accounts[str(JULIET)].available, ())

    def test_the_older_one_may_leave_while_it_is_ended(self) -> None:
        """A session that removes itself inside `end` is removed once, and does not take the newer one with it."""
        server = Server()

        class Leaving(RecordingSession):
            def end(self, error: StreamError) -> None:
                server.sessions.remove(self)

        older = Leaving("juliet@example.org/balcony")
        server.sessions.add(older)
        newer = server.session("juliet@example.org/balcony")
        server.sessions.remove(older)
        self.assertEqual(server.sessions.of(JULIET), (newer,))

    def test_limit(self) -> None:
        """An account has so many sessions; one more is refused with resource-constraint (RFC 6120, 7.6.2.1), unless it takes
        the place of another. Other accounts have their own."""
        sessions = Sessions(most=2)
        sessions.ended = lambda _: None
        for resource in ("balcony", "chamber"):
            sessions.add(RecordingSession(f"juliet@example.org/{resource}"))
        error = self.assertRaises(StanzaError, sessions.add, RecordingSession("juliet@example.org/garden"))
        self.assertEqual((error.condition, error.type), (StanzaCondition.RESOURCE_CONSTRAINT, "wait"))
        self.assertIn("2 sessions", error.text)
        sessions.add(RecordingSession("juliet@example.org/balcony"))
        sessions.add(RecordingSession("nurse@example.org/hall"))
        self.assertEqual(len(sessions.of(JULIET)), 2)


class ExpectingTests(SynchronousTestCase):
    """A session is about to come."""

    def test_an_expected_account_is_connected(self) -> None:
        """While a resource is being bound the account counts as connected, and has nobody; if none comes it has left."""
        server = Server()
        left: list[JID] = []
        server.handlers.add(("session", "left"), left.append, "m")
        with server.sessions.expecting(JULIET):
            self.assertTrue(server.sessions.is_connected("juliet@example.org"))
            self.assertEqual(server.sessions.of(JULIET), ())
            with server.sessions.expecting(JULIET):
                pass
            self.assertEqual(left, [])
        self.assertEqual((left, server.sessions.is_connected("juliet@example.org")), ([JULIET], False))

    def test_a_session_that_came_stays(self) -> None:
        """With it the account stays connected, until it ends."""
        server = Server()
        left: list[JID] = []
        server.handlers.add(("session", "left"), left.append, "m")
        with server.sessions.expecting(JULIET):
            balcony = server.session("juliet@example.org/balcony")
        self.assertEqual((left, server.sessions.is_connected("juliet@example.org")), ([], True))
        server.sessions.remove(balcony)
        self.assertEqual(left, [JULIET])

    def test_a_replaced_session_does_not_leave(self) -> None:
        """An account whose only session is replaced by another has not been without."""
        server = Server()
        left: list[JID] = []
        server.handlers.add(("session", "left"), left.append, "m")
        server.session("juliet@example.org/balcony")
        server.session("juliet@example.org/balcony")
        self.assertEqual(left, [])


class RemovingTests(SynchronousTestCase):
    """A session goes."""

    def test_modules_hear_of_it(self) -> None:
        """Of each session that ends, whether it was available or not: after its presence, before the account has left."""
        server = Server()
        seen: list[str] = []
        server.handlers.add(("presence", "own"), lambda stanza, resource: seen.append(f"{resource.full} {stanza.type}"), "m")
        server.handlers.add(("session", "ended"), lambda resource: seen.append(f"{resource.full} ended"), "m")
        server.handlers.add(("session", "left"), lambda account: seen.append(f"{account} left"), "m")
        balcony = server.session("juliet@example.org/balcony", 0)
        chamber = server.session("juliet@example.org/chamber")
        seen.clear()
        server.sessions.remove(balcony)
        server.sessions.remove(chamber)
        self.assertEqual(
            seen,
            [
                "juliet@example.org/balcony unavailable",
                "juliet@example.org/balcony ended",
                "juliet@example.org/chamber ended",
                "juliet@example.org left",
            ],
        )

    def test_a_fault_of_one_module(self) -> None:
        """It is logged, and the others hear nevertheless."""
        server = Server()
        heard: list[object] = []

        def fail(_: object) -> None:
            raise KeyError("x")

        server.handlers.add(("session", "ended"), fail, "broken")
        server.handlers.add(("session", "ended"), heard.append, "m")
        server.sessions.remove(server.session("juliet@example.org/balcony"))
        self.assertEqual((len(heard), len(self.flushLoggedErrors(KeyError))), (1, 1))

    def test_in_the_middle_of_a_turn(self) -> None:
        """What a session said before it ended goes before the word of its end."""
        server = Server()
        romeo = server.session("romeo@example.org/orchard")

        class Dying(RecordingSession):
            def deliver(self, stanza: Stanza) -> None:
                server.route(Stanza("message", "jabber:client", {"from": str(self.jid), "to": "romeo@example.org/orchard"}))
                server.sessions.remove(self)

        server.sessions.add(Dying("juliet@example.org/balcony"))
        server.handlers.add(
            ("session", "ended"), lambda resource: romeo.deliver(Stanza("presence", "jabber:client", {})), "roster"
        )
        server.route(Stanza("message", "jabber:client", {"from": "a@example.org/x", "to": "juliet@example.org/balcony"}))
        self.assertEqual([each.kind for each in romeo.take()], ["message", "presence"])

    def test_the_others_learn_of_it(self) -> None:
        """A session that ends without unavailable presence is unavailable to the account's other resources."""
        server = Server()
        balcony = server.session("juliet@example.org/balcony", 0)
        chamber = server.session("juliet@example.org/chamber", 0)
        server.sessions.remove(balcony)
        [told] = chamber.take()
        self.assertEqual(
            (told.kind, told.attributes),
            ("presence", {"from": "juliet@example.org/balcony", "to": "juliet@example.org", "type": "unavailable"}),
        )
        self.assertEqual(balcony.take(), [])

    def test_who_was_not_available_leaves_quietly(self) -> None:
        """A session without presence, or one that said it is unavailable, is not announced again."""
        server = Server()
        chamber = server.session("juliet@example.org/chamber", 0)
        silent = server.session("juliet@example.org/silent")
        polite = server.session("juliet@example.org/polite", 0)
        server.route(available("juliet@example.org/polite", type="unavailable"))
        chamber.take()
        server.sessions.remove(silent)
        server.sessions.remove(polite)
        self.assertEqual(chamber.take(), [])

    def test_nothing_is_kept(self) -> None:
        """With its last session an account is forgotten, and leaving twice is nothing to do."""
        server = Server()
        balcony = server.session("juliet@example.org/balcony", 0)
        server.sessions.remove(balcony)
        server.sessions.remove(balcony)
        self.assertEqual((server.sessions.accounts, server.sessions.resources), ({}, {}))

    def test_nothing_reaches_a_session_that_left(self) -> None:
        """What was meant for it goes by the rules for absent resources."""
        server = Server()
        balcony = server.session("juliet@example.org/balcony", 0)
        server.sessions.remove(balcony)
        server.route(Stanza("message", "jabber:client", {"from": "a@example.org/x", "to": "juliet@example.org/balcony"}))
        self.assertEqual(balcony.take(), [])


class ReckoningTests(SynchronousTestCase):
    """Which resources a stanza to the bare address reaches."""

    @given(st.lists(st.none() | st.integers(-128, 127), max_size=6))
    def test_the_first_are_those_of_highest_priority(self, priorities: list[int | None]) -> None:
        """For any presences: available is who has presence, listening who is not negative, first the highest of these."""
        sessions = Sessions()
        for number, priority in enumerate(priorities):
            jid = f"juliet@example.org/{number}"
            sessions.add(RecordingSession(jid))
            if priority is not None:
                sessions.resources[jid].show(available(jid), priority)
        present = {number: priority for number, priority in enumerate(priorities) if priority is not None}
        listening = {number: priority for number, priority in present.items() if priority >= 0}
        first = [number for number, priority in listening.items() if priority == max(listening.values())]
        account = sessions.accounts.get("juliet@example.org")
        found = ((), (), ()) if account is None else (account.available, account.listening, account.first)
        self.assertEqual(
            [[int(session.jid.resource) for session in group] for group in found], [list(present), list(listening), first]
        )
