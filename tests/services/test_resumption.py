"""Which session is resumed by whom, and how long those without a stream are kept."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import stanza
from xmppfed.core.events import Pair
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.routing.remotes import Remotes
from xmppfed.services.resumption import MOST_OF_A_PAIR, Resumption, Session
from xmppfed.timeouts import Timeouts

PAIR, OTHER = Pair("a.example", "b.example"), Pair("a.example", "c.example")
INVERSE = Pair("b.example", "a.example")


class ResumptionCase(SynchronousTestCase):
    """Sessions without streams."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.connecting: list[tuple[float, Pair]] = []
        self.bounced: list[tuple[str | None, StanzaCondition]] = []
        self.timeouts = Timeouts(hibernation_sessions=6)
        self.remotes = Remotes(self.clock, self.connect, self.timeouts)
        self.remotes.bounce = self.bounce
        self.resumption = Resumption(self.clock, self.remotes, self.timeouts, self.connect)

    def connect(self, pair: Pair) -> None:
        """Somebody wants a stream."""
        self.connecting.append((self.clock.seconds(), pair))

    def bounce(self, returned: Stanza, error: StanzaError) -> None:
        """A stanza returns."""
        self.bounced.append((returned.id, error.condition))

    def test_fits_on_the_next_stream(self) -> None:
        """What a session holds goes out at once when it is resumed, and must not be as much as ends a stream."""
        self.assertLessEqual(2 * self.resumption.ledger().most_bytes, self.timeouts.output_bytes)

    def attached(self, *, opened: bool = True, pair: Pair = PAIR, sent: int = 0) -> Session:
        """One on whose stream so many stanzas went out."""
        session = Session(pair, self.resumption.ledger(self.resumption.new_id()), opened=opened)
        for number in range(sent):
            one = stanza(id=str(number), to=f"x@{pair.to}").with_attributes(sender=f"y@{pair.sender}")
            session.ledger.sent(one, 100)
        self.resumption.attach(session, self.holder())
        return session

    def holder(self) -> Any:
        """Whose stream it is; nothing is asked of it here."""
        return Mock()

    def broken(self, **options: Any) -> Session:
        """One whose stream has ended."""
        session = self.attached(**options)
        self.assertTrue(self.resumption.hibernate(session))
        return session


class Claiming(ResumptionCase):
    """On a stream that we open."""

    def test_ours_first(self) -> None:
        """Those that we opened come first, and of these the ones that hold something; the other server's only when we hold
        something for it. None is claimed twice."""
        self.broken(opened=False)
        theirs = self.broken(opened=False, sent=1)
        empty = self.broken()
        holding = self.broken(sent=1)
        self.attached(sent=1)
        self.broken(pair=OTHER, sent=1)
        self.assertEqual([self.resumption.claim(PAIR, self.holder()) for _ in range(4)], [holding, empty, theirs, None])


class Finding(ResumptionCase):
    """On a stream that came in."""

    def find(self, session: Session, *proved: Pair, began: int | None = None) -> Session:
        """As the peer asks for it."""
        return self.resumption.find(session.ledger.id, proved, self.resumption.moment() if began is None else began)

    def condition(self, session: Session, *proved: Pair, began: int | None = None) -> StanzaCondition:
        """Why it is not given."""
        condition: StanzaCondition = self.assertRaises(StanzaError, self.find, session, *proved, began=began).condition
        return condition

    def test_proved(self) -> None:
        """It is found under the pair that the stream has proved, and under no other."""
        session = self.broken()
        self.assertIs(self.find(session, Pair("d.example", "a.example"), INVERSE), session)
        self.assertIs(self.condition(session, PAIR), StanzaCondition.ITEM_NOT_FOUND)
        self.assertIs(self.condition(session), StanzaCondition.ITEM_NOT_FOUND)

    def test_both_ask(self) -> None:
        """Where we are asking for it ourselves, who opened the first stream wins."""
        ours, theirs = self.broken(), self.broken(opened=False, sent=1)
        for _ in range(2):
            self.resumption.claim(PAIR, self.holder())
        self.assertIs(self.condition(ours, INVERSE), StanzaCondition.CONFLICT)
        self.assertIs(self.find(theirs, INVERSE), theirs)

    def test_just_resumed(self) -> None:
        """A stream that began before we resumed the session is the loser's; one that began later knows that ours has ended."""
        session = self.broken()
        began = self.resumption.moment()
        self.resumption.attach(session, self.holder())
        self.assertIs(self.condition(session, INVERSE, began=began), StanzaCondition.CONFLICT)
        self.assertIs(self.find(session, INVERSE), session)

    def test_ids(self) -> None:
        """They are long, and none is like another."""
        made = {self.resumption.new_id() for _ in range(100)}
        self.assertEqual((len(made), {len(id) for id in made}), (100, {32}))


class Waiting(ResumptionCase):
    """Until it is resumed, or given up."""

    def test_tried_again(self) -> None:
        """One that holds stanzas is tried again, less and less often; at the end they return."""
        self.broken(sent=1)
        self.clock.pump([1] * 600)
        self.assertEqual([at for at, _ in self.connecting], [0, 5, 15, 35, 75, 155, 315])
        self.assertEqual(self.bounced, [("0", StanzaCondition.REMOTE_SERVER_TIMEOUT)])
        self.assertEqual((self.resumption.describe(), self.clock.getDelayedCalls()), ([], []))

    def test_of_the_other(self) -> None:
        """The server that opened the first stream is left a while to come back."""
        self.broken(opened=False, sent=1)
        self.clock.advance(4)
        self.assertEqual(self.connecting, [])
        self.clock.advance(1)
        self.assertEqual(len(self.connecting), 1)

    def test_unused(self) -> None:
        """One that holds nothing, and whose stream was not used, is only kept."""
        session = self.broken()
        self.clock.advance(599)
        self.assertEqual((self.connecting, self.resumption.claim(PAIR, self.holder())), ([], session))

    def test_used(self) -> None:
        """One whose stream was used is tried once: the other may hold something."""
        session = self.attached()
        session.ledger.took()
        self.resumption.hibernate(session)
        self.resumption.attach(session, self.holder())
        self.resumption.hibernate(session)
        self.clock.advance(599)
        self.assertEqual(self.connecting, [(0, PAIR)])

    def test_hurried(self) -> None:
        """A server that comes with something new is asked at once for what we hold, unless it is being asked."""
        self.broken(opened=False)
        self.resumption.hurry(PAIR)
        self.assertEqual(self.connecting, [])
        self.broken(opened=False, sent=1)
        self.resumption.hurry(PAIR)
        self.resumption.claim(PAIR, self.holder())
        self.resumption.hurry(PAIR)
        self.assertEqual(self.connecting, [(0, PAIR)])

    def test_described(self) -> None:
        """How much is kept, and for how long."""
        self.broken(sent=2)
        self.clock.advance(100)
        self.assertEqual(self.resumption.describe(), [{"pair": ("a.example", "b.example"), "stanzas": 2, "seconds": 500}])

    def test_most_of_a_pair(self) -> None:
        """Not too many of one pair are kept: the oldest goes, one that holds nothing before others."""
        holding = self.broken(sent=1)
        sessions = [self.broken() for _ in range(MOST_OF_A_PAIR)]
        self.assertEqual(len(self.resumption.describe()), MOST_OF_A_PAIR)
        self.assertIs(self.resumption.claim(PAIR, self.holder()), holding)
        claimed = [self.resumption.claim(PAIR, self.holder()) for _ in sessions]
        self.assertEqual(claimed, [*sessions[1:], None])

    def test_one_too_many_at_once(self) -> None:
        """One that holds nothing where all others hold something is not kept itself, and nothing goes on for it."""
        for _ in range(4):
            self.broken(sent=1)
        self.broken(opened=False)
        self.assertEqual([one["stanzas"] for one in self.resumption.describe()], [1] * 4)
        self.resumption.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_most(self) -> None:
        """Nor too many altogether; what one held that had to go is sent again."""
        self.broken(sent=1)
        for number in range(6):
            self.broken(pair=Pair("a.example", f"{number}.example"))
        self.assertEqual(len(self.resumption.describe()), 6)
        self.assertEqual(self.connecting[-1], (0, PAIR))
        self.remotes.established(PAIR, lambda *_: True)
        self.assertEqual(self.remotes.waiting(), [])

    def test_stopped(self) -> None:
        """When the server stops nothing is kept."""
        self.broken(sent=1)
        late = self.attached(sent=2)
        self.resumption.stop()
        self.assertEqual(self.bounced, [("0", StanzaCondition.REMOTE_SERVER_TIMEOUT)])
        self.assertFalse(self.resumption.hibernate(late))
        self.assertEqual((self.resumption.describe(), self.clock.getDelayedCalls()), ([], []))
