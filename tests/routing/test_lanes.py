"""Lanes: what waits behind a stanza whose handler waits."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.fakes import RecordingSession, Server, condition, stanza
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.routing.lanes import Lanes
from xmppfed.routing.queues import cost

JULIET, NURSE = "juliet@example.org", "nurse@example.org"
ROMEO, TYBALT = "romeo@example.net/orchard", "tybalt@example.net/square"


def message(id: str, sender: str = ROMEO, to: str | None = JULIET) -> Stanza:
    """A chat message."""
    return stanza("message", "chat", to, sender=sender).with_attributes(id=id)


class LanesTests(SynchronousTestCase):
    """The lanes by themselves."""

    def lanes(self, most: int = 10_000) -> Lanes:
        """No lane yet."""
        return Lanes(frozenset({"example.org"}), most)

    def test_nothing_waits_where_nobody_does(self) -> None:
        """Without a lane a stanza does not wait, and the lanes are false."""
        lanes = self.lanes()
        self.assertEqual((bool(lanes), lanes.wait(message("1"), [])), (False, False))

    def test_same_accounts_wait(self) -> None:
        """Whatever comes between the same two bare addresses, in this direction, waits; nothing else does."""
        lanes = self.lanes()
        lanes.hold(message("1"), in_order=True)
        for sender, to, waits in (
            (ROMEO, JULIET, True),
            ("ROMEO@example.net/hall", f"{JULIET}/balcony", True),
            (ROMEO, NURSE, False),
            (TYBALT, JULIET, False),
            (JULIET, ROMEO, False),
        ):
            self.assertEqual(lanes.wait(message("2", sender, to), []), waits, (sender, to))

    def test_home(self) -> None:
        """Without `to` a stanza is for the sender's own account."""
        lanes = self.lanes()
        lanes.hold(message("1", f"{JULIET}/balcony", None), in_order=True)
        self.assertTrue(lanes.wait(message("2", f"{JULIET}/chamber", JULIET), []))

    def test_nobody_waits_behind_a_request(self) -> None:
        """Who does not keep an order makes no lane, but is counted."""
        lanes = self.lanes()
        held = lanes.hold(message("1"), in_order=False)
        self.assertEqual((bool(lanes), lanes.wait(message("2"), [])), (True, False))
        lanes.release(held)
        self.assertFalse(lanes)

    def test_one_after_another(self) -> None:
        """Who waits is taken in its order when every handler of the lane is done; then the lane is gone."""
        lanes = self.lanes()
        first, second = (lanes.hold(message(id), in_order=True) for id in "12")
        for id in "34":
            lanes.wait(message(id), [])
        assert first.between is not None
        lanes.release(first)
        self.assertIsNone(lanes.take(first.between))
        lanes.release(second)
        taken = [lanes.take(first.between) for _ in range(3)]
        self.assertEqual([entry and entry.stanza.id for entry in taken], ["3", "4", None])
        self.assertFalse(lanes)
        self.assertIsNone(lanes.take(first.between))

    def test_the_bound(self) -> None:
        """An account of ours, and another domain as a whole, has so many bytes; what comes then is refused, and others are
        not. When something is done there is room again."""
        size = cost(message("1"))
        for sender, same_payer, other in (
            (ROMEO, TYBALT, f"{NURSE}/hall"),
            (f"{NURSE}/hall", f"{NURSE}/cell", "peter@example.org/hall"),
        ):
            lanes = self.lanes(most=2 * size)
            held = lanes.hold(message("1", sender), in_order=True)
            self.assertTrue(lanes.wait(message("2", sender), []))
            self.assertTrue(lanes.wait(message("3", sender), []))
            error = self.assertRaises(StanzaError, lanes.wait, message("4", same_payer), [])
            self.assertEqual(error.condition, StanzaCondition.RESOURCE_CONSTRAINT)
            self.assertFalse(lanes.wait(message("5", other), []))
            lanes.release(held)
            self.assertFalse(lanes.wait(message("6", same_payer, NURSE), []))

    def test_requests_count(self) -> None:
        """What does not keep an order is bounded as well."""
        lanes = self.lanes(most=cost(message("1")) - 1)
        lanes.hold(message("1"), in_order=False)
        self.assertRaises(StanzaError, lanes.wait, message("2"), [])


class Slow(Server):
    """A server whose module takes its time with messages that start with an `s`, and notes the order of all."""

    def __init__(self) -> None:
        super().__init__()
        self.pending: dict[str, Deferred[None]] = {}
        self.done: list[str] = []
        self.handlers.add(("message", "undeliverable"), self.take, "slow")

    async def take(self, each: Stanza) -> None:
        """Store it."""
        id = str(each.id)
        if id.startswith("s"):
            self.pending[id] = waiting = Deferred[None]()
            await waiting
        self.done.append(id)

    def come(self, *ids: str, sender: str = ROMEO, to: str = JULIET) -> None:
        """Messages arrive from another server."""
        for id in ids:
            self.router.route_received(message(id, sender, to))

    def finish(self, id: str) -> None:
        """Storage has answered."""
        self.pending.pop(id).callback(None)


class OrderTests(SynchronousTestCase):
    """The router keeps the order between two accounts (RFC 6120, 10.1)."""

    def test_later_ones_wait(self) -> None:
        """What comes behind a stanza that waits for storage is handled after it; others are not kept waiting."""
        server = Slow()
        server.come("s1", "2", "3")
        server.come("4", sender=TYBALT)
        server.come("5", to=NURSE)
        self.assertEqual(server.done, ["4", "5"])
        server.finish("s1")
        self.assertEqual(server.done, ["4", "5", "s1", "2", "3"])

    def test_waiting_again(self) -> None:
        """One of those that waited may have to wait for storage itself; the rest stays behind it, and so does what comes."""
        server = Slow()
        server.come("s1", "2", "s3", "4")
        server.finish("s1")
        server.come("5")
        self.assertEqual(server.done, ["s1", "2"])
        server.finish("s3")
        self.assertEqual(server.done, ["s1", "2", "s3", "4", "5"])

    def test_when_it_can_be_delivered_by_then(self) -> None:
        """What waited goes by the rules of the moment when it goes on."""
        server = Slow()
        server.come("s1", "2")
        balcony = server.session(f"{JULIET}/balcony", 0)
        server.finish("s1")
        self.assertEqual(([each.id for each in balcony.take()], server.done), (["2"], ["s1"]))

    def test_a_failure_lets_the_others_go_on(self) -> None:
        """A handler that fails answers the sender, and ends its lane."""
        server = Slow()
        romeo = server.session("romeo@example.org/orchard")
        server.come("s1", "2", sender="romeo@example.org/orchard")
        server.pending.pop("s1").errback(StanzaError(StanzaCondition.SERVICE_UNAVAILABLE))
        self.assertEqual([(each.id, condition(each)) for each in romeo.take()], [("s1", "service-unavailable")])
        self.assertEqual(server.done, ["2"])

    def test_too_much_is_refused(self) -> None:
        """The sender of what is too much hears of it."""
        server = Slow()
        romeo = server.session("romeo@example.org/orchard")
        large = stanza("message", "chat", JULIET, sender="romeo@example.org/orchard")
        large = Stanza("message", large.namespace, {**large.attributes, "id": "s1"}, b"x" * server.remotes.most_bytes)
        server.router.route_sent(large)
        server.come("2", sender="romeo@example.org/orchard")
        self.assertEqual([(each.id, condition(each)) for each in romeo.take()], [("2", "resource-constraint")])
        server.finish("s1")
        server.come("3", sender="romeo@example.org/orchard")
        self.assertEqual(server.done, ["s1", "3"])

    def test_work_in_the_place_of_a_stanza(self) -> None:
        """A module may do its own work instead; what it raises is answered."""
        server = Slow()
        romeo = server.session("romeo@example.org/orchard")
        waiting: Deferred[None] = Deferred()

        async def work() -> None:
            await waiting
            raise StanzaError(StanzaCondition.NOT_ALLOWED)

        server.router.hold(message("1", "romeo@example.org/orchard"), work())
        server.come("2", sender="romeo@example.org/orchard")
        self.assertEqual(server.done, [])
        waiting.callback(None)
        self.assertEqual([condition(each) for each in romeo.take()], ["not-allowed"])
        self.assertEqual(server.done, ["2"])

    def test_what_the_work_sends_goes_first(self) -> None:
        """What a handler emits before it is done is not kept waiting by its own lane, and precedes what waited; also when
        it is done in the middle of a turn."""
        server = Slow()
        balcony = server.session(f"{JULIET}/balcony", 0)
        waiting: Deferred[None] = Deferred()

        async def work() -> None:
            await waiting
            server.route(message("emitted"))

        class Finishing(RecordingSession):
            def deliver(self, stanza: Stanza) -> None:
                waiting.callback(None)

        server.sessions.add(Finishing(f"{NURSE}/hall"))
        server.router.hold(message("1"), work())
        server.come("2", "3")
        server.come("now", sender=TYBALT, to=f"{NURSE}/hall")
        self.assertEqual([each.id for each in balcony.take()], ["emitted", "2", "3"])

    @given(st.lists(st.tuples(st.sampled_from((ROMEO, TYBALT)), st.booleans()), max_size=10), st.randoms())
    def test_any_order_of_answers_keeps_the_order_of_stanzas(self, said: list[tuple[str, bool]], random: Random) -> None:
        """Whatever has to wait, and in whatever order storage answers, each sender's stanzas are handled as they came."""
        server = Slow()
        for number, (sender, slow) in enumerate(said):
            server.come(f"{'s' if slow else 'f'}{number}", sender=sender)
        while server.pending:
            server.finish(random.choice(sorted(server.pending)))
        for wanted in (ROMEO, TYBALT):
            ids = [f"{'s' if slow else 'f'}{number}" for number, (sender, slow) in enumerate(said) if sender == wanted]
            self.assertEqual([id for id in server.done if id in ids], ids)
        self.assertFalse(server.router._lanes)
