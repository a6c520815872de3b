"""Stanzas for other domains: queues while a stream is being made, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.fakes import stanza
from xmppfed.core.events import Pair
from xmppfed.core.ledger import Sent
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.routing.queues import Waiting
from xmppfed.routing.remotes import SENDINGS, SENDINGS_KNOWN, Remotes
from xmppfed.timeouts import Timeouts

PAIR = Pair("example.org", "example.net")
TIMEOUT = StanzaCondition.REMOTE_SERVER_TIMEOUT
NOT_FOUND = StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, text="no such name in DNS")


def outgoing(number: int = 0, to: str = "example.net", sender: str = "example.org") -> Stanza:
    """A message, told apart by its id."""
    return stanza("message", "chat", f"romeo@{to}", sender=f"juliet@{sender}/balcony").with_attributes(id=str(number))


def ids(stanzas: list[Stanza]) -> list[str | None]:
    """Which messages these are."""
    return [each.id for each in stanzas]


class Way:
    """Remotes whose every effect is recorded."""

    def __init__(self, connect: Callable[[Pair], None] | None = None, timeouts: Timeouts | None = None) -> None:
        self.clock = Clock()
        self.connecting: list[Pair] = []
        self.delivered: list[Stanza] = []
        self.bounced: list[tuple[Stanza, StanzaError]] = []
        self.remotes = Remotes(self.clock, connect or self.connecting.append, timeouts or Timeouts())
        self.remotes.bounce = lambda stanza, error: self.bounced.append((stanza, error))

    def deliver(self, stanza: Stanza, sendings: int = 0) -> bool:
        """A stream that takes everything."""
        self.delivered.append(stanza)
        return True

    def established(self, pair: Pair = PAIR) -> None:
        self.remotes.established(pair, self.deliver)

    def lost(self, pair: Pair = PAIR) -> None:
        self.remotes.lost(pair, self.deliver)

    def is_idle(self) -> bool:
        """Whether nothing is kept: no domain, no timer."""
        return not self.remotes._remotes and not self.remotes.waiting() and not self.clock.getDelayedCalls()


class QueueTests(SynchronousTestCase):
    """Before there is a stream."""

    def test_connects_once(self) -> None:
        """The first stanza of a pair asks for a stream, those behind it wait for the same one."""
        way = Way()
        way.remotes.send(outgoing(1))
        way.remotes.send(outgoing(2))
        self.assertEqual((way.connecting, way.delivered), ([PAIR], []))
        self.assertEqual(ids(way.remotes.waiting()), ["1", "2"])

    def test_each_pair_has_its_own_stream(self) -> None:
        """Another of our domains asks for a stream of its own (XEP-0220 authorizes pairs)."""
        way = Way()
        way.remotes.send(outgoing(1))
        way.remotes.send(outgoing(2, sender="example.com"))
        self.assertEqual(way.connecting, [PAIR, Pair("example.com", "example.net")])
        way.established()
        self.assertEqual(ids(way.delivered), ["1"])

    def test_flushed_in_order(self) -> None:
        """What waited goes first, in its order, then what comes, without a timer left (RFC 6120, 10.1)."""
        way = Way()
        for number in (1, 2):
            way.remotes.send(outgoing(number))
        way.established()
        way.remotes.send(outgoing(3))
        self.assertEqual(ids(way.delivered), ["1", "2", "3"])
        self.assertEqual(way.clock.getDelayedCalls(), [])

    def test_what_comes_during_the_flush_goes_last(self) -> None:
        """A stanza sent while the queue is flushed does not overtake what waited before it."""
        way = Way()
        for number in (1, 2):
            way.remotes.send(outgoing(number))

        def deliver(stanza: Stanza, sendings: int = 0) -> bool:
            if stanza.id in ("1", "2"):
                way.remotes.send(outgoing(int(stanza.id) + 10))
            return way.deliver(stanza)

        way.remotes.established(PAIR, deliver)
        self.assertEqual(ids(way.delivered), ["1", "2", "11", "12"])

    def test_connect_may_succeed_at_once(self) -> None:
        """A stream that is there before `connect` returns loses nothing."""
        way = Way(lambda pair: way.established(pair))
        way.remotes.send(outgoing(1))
        self.assertEqual(ids(way.delivered), ["1"])

    def test_connect_may_fail_at_once(self) -> None:
        """A failure before `connect` returns bounces the stanza, and nothing is kept."""
        way = Way(lambda pair: way.remotes.failed(pair, NOT_FOUND))
        way.remotes.send(outgoing(1))
        self.assertEqual([error for _, error in way.bounced], [NOT_FOUND])
        self.assertTrue(way.is_idle())

    def test_a_stanza_without_addresses_is_our_own_fault(self) -> None:
        """Nobody routes a stanza elsewhere without saying from whom."""
        for attribute in ("sender", "to"):
            self.assertRaises(ValueError, Way().remotes.send, outgoing().with_attributes(**{attribute: None}))


class BoundTests(SynchronousTestCase):
    """What waits is bounded in time and in bytes (DESIGN, 5)."""

    def test_no_stanza_waits_longer_than_its_time(self) -> None:
        """Each stanza returns with remote-server-timeout when its own 60 seconds are over, not sooner."""
        way = Way()
        way.remotes.send(outgoing(1))
        way.clock.advance(30)
        way.remotes.send(outgoing(2))
        way.clock.advance(29.5)
        self.assertEqual(way.bounced, [])
        way.clock.advance(0.5)
        self.assertEqual(ids([returned for returned, _ in way.bounced]), ["1"])
        way.clock.advance(30)
        self.assertEqual(ids([returned for returned, _ in way.bounced]), ["1", "2"])
        error = way.bounced[0][1]
        self.assertEqual(error.condition, StanzaCondition.REMOTE_SERVER_TIMEOUT)
        self.assertEqual(error.text, "No stream to example.net within 60 seconds.")
        self.assertEqual(way.clock.getDelayedCalls(), [])

    def test_the_connecting_goes_on_after_a_timeout(self) -> None:
        """A stanza sent after others timed out waits for the same attempt, and goes when it succeeds."""
        way = Way()
        way.remotes.send(outgoing(1))
        way.clock.advance(60)
        way.remotes.send(outgoing(2))
        way.established()
        self.assertEqual((way.connecting, ids(way.delivered)), ([PAIR], ["2"]))

    def test_too_much_for_one_domain(self) -> None:
        """What exceeds the bound of a remote domain returns with resource-constraint; what waits goes on waiting."""
        way = Way(timeouts=Timeouts(queue_bytes=5000))
        for number in range(6):
            way.remotes.send(outgoing(number))
        refused = [(returned.id, error.condition) for returned, error in way.bounced]
        self.assertEqual(refused, [(number, StanzaCondition.RESOURCE_CONSTRAINT) for number in ("4", "5")])
        self.assertIn("example.net", way.bounced[0][1].text)
        way.established()
        self.assertEqual(ids(way.delivered), ["0", "1", "2", "3"])

    def test_the_bound_is_shared_by_the_pairs_of_a_domain(self) -> None:
        """Our domains share the bound of a remote one, and other remote domains have theirs."""
        way = Way(timeouts=Timeouts(queue_bytes=2000))
        way.remotes.send(outgoing(1))
        way.remotes.send(outgoing(2, sender="example.com"))
        way.remotes.send(outgoing(3, to="example.edu"))
        self.assertEqual(ids([returned for returned, _ in way.bounced]), ["2"])

    def test_bytes_are_given_back(self) -> None:
        """After flushing, failing or timing out there is room again."""
        for leave in (
            lambda way: way.established(),
            lambda way: way.remotes.failed(PAIR, NOT_FOUND),
            lambda way: way.clock.advance(60),
        ):
            way = Way(timeouts=Timeouts(queue_bytes=2000))
            way.remotes.send(outgoing(1))
            leave(way)
            before = len(way.bounced)
            way.remotes.send(outgoing(2))
            self.assertEqual(len(way.bounced), before)

    def test_one_stanza_beyond_the_bound_leaves_nothing(self) -> None:
        """A stanza that alone is too much returns, nobody connects, and nothing is kept."""
        way = Way(timeouts=Timeouts(queue_bytes=100))
        way.remotes.send(outgoing(1))
        self.assertEqual((len(way.bounced), way.connecting), (1, []))
        self.assertTrue(way.is_idle())


class FailureTests(SynchronousTestCase):
    """A stream that could not be made, or is gone."""

    def test_failed_returns_what_waits_with_the_reason(self) -> None:
        """Every waiting stanza returns in order with the error; the next one connects anew."""
        way = Way()
        for number in (1, 2):
            way.remotes.send(outgoing(number))
        way.remotes.failed(PAIR, NOT_FOUND)
        self.assertEqual([(returned.id, error) for returned, error in way.bounced], [("1", NOT_FOUND), ("2", NOT_FOUND)])
        self.assertTrue(way.is_idle())
        way.remotes.send(outgoing(3))
        self.assertEqual(way.connecting, [PAIR, PAIR])

    def test_failed_leaves_other_pairs_alone(self) -> None:
        """Another pair of the same remote domain goes on waiting, with its timer."""
        way = Way()
        way.remotes.send(outgoing(1))
        way.remotes.send(outgoing(2, sender="example.com"))
        way.remotes.failed(PAIR, NOT_FOUND)
        self.assertEqual(ids([returned for returned, _ in way.bounced]), ["1"])
        way.clock.advance(60)
        self.assertEqual(ids([returned for returned, _ in way.bounced]), ["1", "2"])

    def test_a_failure_does_not_take_a_stream_that_stands(self) -> None:
        """An attempt that fails after the peer came by itself (XEP-0288) changes nothing."""
        way = Way()
        way.established()
        way.remotes.failed(PAIR, NOT_FOUND)
        way.remotes.send(outgoing(1))
        self.assertEqual(ids(way.delivered), ["1"])

    def test_lost_leads_to_another_stream(self) -> None:
        """After a loss nothing is kept, and the next stanza connects."""
        way = Way()
        way.established()
        way.lost()
        self.assertTrue(way.is_idle())
        way.remotes.send(outgoing(1))
        self.assertEqual((way.connecting, way.delivered), ([PAIR], []))

    def test_lost_while_connecting_is_nothing_to_do(self) -> None:
        """Only a stream that stands can be lost: the queue stays, nobody connects twice."""
        way = Way()
        way.lost()
        way.remotes.send(outgoing(1))
        way.lost()
        way.established()
        self.assertEqual((way.connecting, ids(way.delivered)), ([PAIR], ["1"]))

    def test_unknown_pairs_cannot_fail(self) -> None:
        """A failure that nobody waits for is nothing to do."""
        way = Way()
        way.remotes.failed(PAIR, NOT_FOUND)
        self.assertTrue(way.is_idle())

    def test_lost_during_the_flush(self) -> None:
        """What was not handed over when the stream broke waits for the next one; what was handed over is not repeated."""
        way = Way()
        for number in (1, 2, 3):
            way.remotes.send(outgoing(number))

        def deliver(stanza: Stanza, sendings: int = 0) -> bool:
            way.remotes.lost(PAIR, deliver)
            return way.deliver(stanza)

        way.remotes.established(PAIR, deliver)
        self.assertEqual((ids(way.delivered), way.connecting), (["1"], [PAIR, PAIR]))
        way.established()
        self.assertEqual(ids(way.delivered), ["1", "2", "3"])

    def test_lost_with_the_last_of_the_flush(self) -> None:
        """When nothing waits any more, a loss during the flush leaves nothing behind."""
        way = Way()
        way.remotes.send(outgoing(1))

        def deliver(stanza: Stanza, sendings: int = 0) -> bool:
            way.remotes.lost(PAIR, deliver)
            return True

        way.remotes.established(PAIR, deliver)
        self.assertTrue(way.is_idle())

    def test_a_fault_during_the_flush(self) -> None:
        """A stanza that cannot be written takes no other with it: what waits behind it goes with the next that comes."""
        way = Way()
        for number in (1, 2):
            way.remotes.send(outgoing(number))

        def deliver(stanza: Stanza, sendings: int = 0) -> bool:
            if stanza.id == "1":
                raise ZeroDivisionError
            return way.deliver(stanza)

        self.assertRaises(ZeroDivisionError, way.remotes.established, PAIR, deliver)
        way.remotes.send(outgoing(3))
        way.remotes.established(PAIR, way.deliver)
        self.assertEqual(ids(way.delivered), ["2", "3"])


class SeveralWaysTests(SynchronousTestCase):
    """Two streams for one pair: both servers connected at once, and both streams are bidirectional (XEP-0288)."""

    def setUp(self) -> None:
        self.way = Way()
        self.newer: list[Stanza] = []
        self.way.established()
        self.way.remotes.established(PAIR, self.take)

    def take(self, stanza: Stanza, sendings: int = 0) -> bool:
        """The second stream."""
        self.newer.append(stanza)
        return True

    def test_the_older_goes_on(self) -> None:
        """What goes on the newer stream could overtake what is under way on the older: it stands by."""
        self.way.remotes.send(outgoing(1))
        self.assertEqual((ids(self.way.delivered), self.newer), (["1"], []))

    def test_the_newer_takes_over(self) -> None:
        """When the first is lost, the other is there at once: nobody connects."""
        self.way.lost()
        self.way.remotes.send(outgoing(1))
        self.assertEqual((ids(self.newer), self.way.connecting), (["1"], []))

    def test_the_newer_is_lost(self) -> None:
        """The one that stood by leaves no trace."""
        self.way.remotes.lost(PAIR, self.take)
        self.way.remotes.send(outgoing(1))
        self.way.lost()
        self.way.remotes.send(outgoing(2))
        self.assertEqual((self.newer, self.way.connecting), ([], [PAIR]))

    def test_lost_during_the_flush(self) -> None:
        """What one did not take any more goes to the other, in order."""
        way = Way()
        for number in (1, 2, 3):
            way.remotes.send(outgoing(number))

        def deliver(stanza: Stanza, sendings: int = 0) -> bool:
            way.remotes.established(PAIR, way.deliver)
            way.remotes.lost(PAIR, deliver)
            return False

        way.remotes.established(PAIR, deliver)
        self.assertEqual((ids(way.delivered), way.connecting), (["1", "2", "3"], [PAIR]))


class EndedWayTests(SynchronousTestCase):
    """A stream that is at its end before anybody said that it is lost."""

    def test_nothing_is_dropped(self) -> None:
        """What it does not take waits, in order, and goes on the next."""
        way = Way()
        way.remotes.established(PAIR, lambda *_: False)
        for number in (1, 2):
            way.remotes.send(outgoing(number))
        self.assertEqual((ids(way.remotes.waiting()), way.connecting), (["1", "2"], []))
        way.established()
        self.assertEqual(way.delivered, [])

    def test_lost(self) -> None:
        """When it is lost, a stream is made for what waits."""
        way = Way()

        def deliver(_: Stanza, sendings: int = 0) -> bool:
            return False

        way.remotes.established(PAIR, deliver)
        way.remotes.send(outgoing(1))
        way.remotes.lost(PAIR, deliver)
        self.assertEqual(way.connecting, [PAIR])
        way.established()
        self.assertEqual(ids(way.delivered), ["1"])

    def test_time_is_kept(self) -> None:
        """What waits for it waits no longer than anything else."""
        way = Way()
        way.remotes.established(PAIR, lambda *_: False)
        way.remotes.send(outgoing(1))
        way.clock.advance(60)
        self.assertEqual(ids([returned for returned, _ in way.bounced]), ["1"])


class StopTests(SynchronousTestCase):
    """The end of the server."""

    def test_stop_returns_what_waits(self) -> None:
        """At the end of the server nobody's stanza is lost in silence, and no timer is left."""
        way = Way()
        way.remotes.send(outgoing(1))
        way.remotes.send(outgoing(2, to="example.edu"))
        way.remotes.stop()
        self.assertEqual({error.text for _, error in way.bounced}, {"This server is stopping."})
        self.assertEqual(ids([returned for returned, _ in way.bounced]), ["1", "2"])
        self.assertTrue(way.is_idle())


class ManyDomainsTests(SynchronousTestCase):
    """Five hundred domains, a third of them dead."""

    def test_memory_is_bounded(self) -> None:
        """The living get all in order, the dead give all back, and afterwards only the living are kept."""
        way = Way()
        domains = [f"d{number}.example" for number in range(500)]
        dead = set(domains[::3])
        for number in range(3):
            for domain in domains:
                way.remotes.send(outgoing(number, domain))
        self.assertEqual(len(way.clock.getDelayedCalls()), 500)
        for pair in way.connecting:
            if pair.to not in dead:
                way.established(pair)
        way.clock.advance(60)
        for domain in dead:
            way.remotes.failed(Pair("example.org", domain), NOT_FOUND)
        got: dict[str, list[str | None]] = {}
        for each in (*way.delivered, *(returned for returned, _ in way.bounced)):
            got.setdefault(each.attributes["to"].partition("@")[2], []).append(each.id)
        self.assertEqual(got, {domain: ["0", "1", "2"] for domain in domains})
        self.assertEqual(len(way.bounced), 3 * len(dead))
        self.assertEqual(set(way.remotes._remotes), set(domains) - dead)
        for pair in way.connecting:
            way.lost(pair)
        self.assertTrue(way.is_idle())


class UnacknowledgedTests(SynchronousTestCase):
    """A stream ended before its peer had said what it got (XEP-0198)."""

    def setUp(self) -> None:
        self.way = Way()
        self.sendings: list[int] = []

    def sent(self, *numbers: int, sendings: int = 1, to: str = "example.net") -> list[Sent]:
        """What lacks its acknowledgement."""
        return [Sent(outgoing(number, to), 100, sendings) for number in numbers]

    def take(self, stanza: Stanza, sendings: int = 0) -> bool:
        """A stream that takes everything."""
        self.sendings.append(sendings)
        return self.way.deliver(stanza)

    def ended(self, *numbers: int, hold: bool, sendings: int = 1) -> list[Waiting]:
        """A stream that stood has ended, and another stanza came meanwhile."""
        self.way.established()
        entries = self.way.remotes.put_back(self.sent(*numbers, sendings=sendings), hold=hold)
        self.way.remotes.send(outgoing(9))
        self.way.lost()
        return entries

    def test_sent_again(self) -> None:
        """It goes before what waits, on the next stream, which is told that it was sent before."""
        self.ended(1, 2, hold=False)
        self.assertEqual(self.way.connecting, [PAIR])
        self.way.remotes.established(PAIR, self.take)
        self.assertEqual((ids(self.way.delivered), self.sendings), (["1", "2", "9"], [1, 1, 0]))

    def test_not_a_third_time(self) -> None:
        """What was sent twice, and may have arrived twice, returns to its sender."""
        self.ended(1, hold=False, sendings=SENDINGS)
        self.assertEqual([(stanza.id, error.condition) for stanza, error in self.way.bounced], [("1", TIMEOUT)])
        self.assertEqual(ids(self.way.delivered), ["9"])

    def test_held(self) -> None:
        """What is held makes those behind it wait, on whatever stream, until it is known what became of it."""
        entries = self.ended(1, 2, 3, hold=True)
        self.way.established()
        self.assertEqual(self.way.delivered, [])
        self.way.remotes.release(entries, 2, known=True)
        self.assertEqual(ids(self.way.delivered), ["3", "9"])

    def test_released_without_a_stream(self) -> None:
        """It waits for one then, as everything does."""
        entries = self.ended(1, hold=True)
        self.assertEqual(self.way.connecting, [PAIR])
        self.way.remotes.failed(PAIR, NOT_FOUND)
        self.way.remotes.release(entries, 0, known=False)
        self.assertEqual(self.way.connecting, [PAIR, PAIR])
        self.way.clock.advance(60)
        self.assertEqual(ids([stanza for stanza, _ in self.way.bounced]), ["1", "9"])

    def test_nothing_but_held(self) -> None:
        """For what is held alone nobody is asked to connect: who holds it knows when."""
        self.way.established()
        entries = self.way.remotes.put_back(self.sent(1), hold=True)
        self.way.lost()
        self.assertEqual(self.way.connecting, [])
        self.way.remotes.release(entries, 1, known=True)
        self.assertTrue(self.way.is_idle())

    def test_expected(self) -> None:
        """Where the other server may come by itself a failed attempt returns nothing; the next stanza makes another."""
        self.way.remotes.send(outgoing(1))
        self.way.remotes.failed(PAIR, NOT_FOUND, expected=True)
        self.way.remotes.send(outgoing(2))
        self.assertEqual((self.way.bounced, self.way.connecting), ([], [PAIR, PAIR]))
        self.way.established()
        self.assertEqual(ids(self.way.delivered), ["1", "2"])

    def test_others_wait_with_it(self) -> None:
        """Where something is held a failed attempt returns nothing: more follow. What waits too long returns with the reason of
        the last."""
        entries = self.ended(1, hold=True)
        self.way.remotes.failed(PAIR, NOT_FOUND)
        self.assertEqual(self.way.bounced, [])
        self.way.remotes.send(outgoing(10))
        self.assertEqual(self.way.connecting, [PAIR, PAIR])
        self.way.clock.advance(60)
        self.assertEqual([(stanza.id, error) for stanza, error in self.way.bounced], [("9", NOT_FOUND), ("10", NOT_FOUND)])
        self.assertEqual(ids(self.way.remotes.waiting()), ["1"])
        self.way.remotes.give_up(entries, NOT_FOUND)
        self.assertTrue(self.way.is_idle())

    def test_bounded_sendings(self) -> None:
        """What the peer never got is sent again, but not for ever: it may be what ends the streams."""
        for known, most in ((True, SENDINGS_KNOWN), (False, SENDINGS)):
            self.setUp()
            self.way.established()
            entries = self.way.remotes.put_back([*self.sent(1, sendings=most), *self.sent(2, sendings=most - 1)], hold=True)
            self.way.remotes.release(entries, 0, known=known)
            self.assertEqual(ids(self.way.delivered), ["2"])
            self.assertEqual([(stanza.id, error.condition) for stanza, error in self.way.bounced], [("1", TIMEOUT)])

    def test_given_up(self) -> None:
        """Nobody will tell: it returns to its senders, and what waited behind it goes on."""
        entries = self.ended(1, 2, hold=True)
        self.way.established()
        self.way.remotes.give_up(entries, NOT_FOUND)
        self.assertEqual([(stanza.id, error) for stanza, error in self.way.bounced], [("1", NOT_FOUND), ("2", NOT_FOUND)])
        self.assertEqual(ids(self.way.delivered), ["9"])

    def test_stopped(self) -> None:
        """When the server stops, what is held returns as well; late news of it changes nothing."""
        entries = self.ended(1, hold=True)
        self.way.remotes.stop()
        self.assertEqual(ids([stanza for stanza, _ in self.way.bounced]), ["1", "9"])
        self.way.remotes.release(entries, 1, known=True)
        self.way.remotes.give_up(entries, NOT_FOUND)
        self.assertEqual(len(self.way.bounced), 2)
        self.assertTrue(self.way.is_idle())

    def test_several_pairs(self) -> None:
        """A stream may have carried several pairs: each gets its own back."""
        other = Pair("example.org", "example.com")
        for pair in (PAIR, other):
            self.way.established(pair)
        sent = [*self.sent(1), *self.sent(2, to="example.com"), *self.sent(3)]
        entries = self.way.remotes.put_back(sent, hold=True)
        for pair in (PAIR, other):
            self.way.lost(pair)
        self.way.remotes.release(entries, 1, known=True)
        self.assertEqual(self.way.connecting, [PAIR, other])
        self.assertEqual(ids(self.way.remotes.waiting()), ["3", "2"])

    def test_counts_against_the_bound(self) -> None:
        """What was put back takes up the room of the queue: what comes then returns."""
        self.way = Way(timeouts=Timeouts(queue_bytes=3000))
        self.way.established()
        entries = self.way.remotes.put_back(self.sent(1, 2, 3, 4), hold=True)
        self.way.remotes.send(outgoing(5))
        self.assertEqual([error.condition for _, error in self.way.bounced], [StanzaCondition.RESOURCE_CONSTRAINT])
        self.way.remotes.release(entries, 4, known=True)
        self.way.remotes.send(outgoing(6))
        self.assertEqual(ids(self.way.delivered), ["6"])


class RoomTests(SynchronousTestCase):
    """A stream that stands and has no room for a while."""

    def test_waits(self) -> None:
        """What it does not take waits for it, in order, without another connection."""
        way, room = Way(), [2]

        def take(stanza: Stanza, sendings: int = 0) -> bool:
            room[0] -= 1
            return room[0] >= 0 and way.deliver(stanza)

        way.remotes.established(PAIR, take)
        for number in range(4):
            way.remotes.send(outgoing(number))
        self.assertEqual((ids(way.delivered), way.connecting), (["0", "1"], []))
        room[0] = 5
        way.remotes.freed(PAIR)
        self.assertEqual(ids(way.delivered), ["0", "1", "2", "3"])

    def test_nobody(self) -> None:
        """Room where nothing waits changes nothing."""
        way = Way()
        way.remotes.freed(PAIR)
        self.assertTrue(way.is_idle())


class AnyOrderTests(SynchronousTestCase):
    """Whatever happens in whatever order."""

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("send", "send", "established", "lost", "failed", "wait")),
                st.sampled_from("ab"),
                st.sampled_from("xy"),
            ),
            max_size=40,
        )
    )
    def test_every_stanza_ends_once_and_in_order(self, happenings: list[tuple[str, str, str]]) -> None:
        """Each stanza is delivered or bounced exactly once, each pair's deliveries are in order, nothing is left behind."""
        way = Way(timeouts=Timeouts(queue=10.0, queue_bytes=4000))
        pairs = [Pair(sender, to) for sender in "ab" for to in "xy"]
        sent = 0
        for what, sender, to in happenings:
            pair = Pair(sender, to)
            if what == "send":
                sent += 1
                way.remotes.send(outgoing(sent, to, sender))
            elif what == "established":
                way.established(pair)
            elif what == "lost":
                way.lost(pair)
            elif what == "failed":
                way.remotes.failed(pair, NOT_FOUND)
            else:
                way.clock.advance(6)
        way.remotes.stop()
        for pair in pairs * len(happenings):
            way.lost(pair)
        delivered = [int(str(each.id)) for each in way.delivered]
        bounced = [int(str(returned.id)) for returned, _ in way.bounced]
        self.assertEqual(sorted(delivered + bounced), list(range(1, sent + 1)))
        for pair in pairs:
            own = [
                int(str(each.id))
                for each in way.delivered
                if each.sender and each.to and Pair(each.sender.domain, each.to.domain) == pair
            ]
            self.assertEqual(own, sorted(own))
        self.assertTrue(way.is_idle())
