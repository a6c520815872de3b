"""Subscriptions to presence (RFC 6121, Appendix A)."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.subscription import TYPES, State, received, sent

NONE, OUT, IN, OUT_IN = State.NONE, State.NONE_PENDING_OUT, State.NONE_PENDING_IN, State.NONE_PENDING_OUT_IN
TO, TO_IN, FROM, FROM_OUT, BOTH = State.TO, State.TO_PENDING_IN, State.FROM, State.FROM_PENDING_OUT, State.BOTH
STATES = (NONE, OUT, IN, OUT_IN, TO, TO_IN, FROM, FROM_OUT, BOTH)

Rows: TypeAlias = tuple[tuple[bool, State], ...]
YES, NO = True, False

# The tables of Appendix A as they stand there: in the order of STATES, whether the stanza passes, and the new state.
OUTBOUND: dict[str, Rows] = {
    "subscribe": (
        (YES, OUT),
        (YES, OUT),
        (YES, OUT_IN),
        (YES, OUT_IN),
        (YES, TO),
        (YES, TO_IN),
        (YES, FROM_OUT),
        (YES, FROM_OUT),
        (YES, BOTH),
    ),
    "unsubscribe": (
        (YES, NONE),
        (YES, NONE),
        (YES, IN),
        (YES, IN),
        (YES, NONE),
        (YES, IN),
        (YES, FROM),
        (YES, FROM),
        (YES, FROM),
    ),
    "subscribed": (
        (NO, NONE),
        (NO, OUT),
        (YES, FROM),
        (YES, FROM_OUT),
        (NO, TO),
        (YES, BOTH),
        (NO, FROM),
        (NO, FROM_OUT),
        (NO, BOTH),
    ),
    "unsubscribed": ((NO, NONE), (NO, OUT), (YES, NONE), (YES, OUT), (NO, TO), (YES, TO), (YES, NONE), (YES, OUT), (YES, TO)),
}
INBOUND: dict[str, Rows] = {
    "subscribe": (
        (YES, IN),
        (YES, OUT_IN),
        (NO, IN),
        (NO, OUT_IN),
        (YES, TO_IN),
        (NO, TO_IN),
        (NO, FROM),
        (NO, FROM_OUT),
        (NO, BOTH),
    ),
    "unsubscribe": ((NO, NONE), (NO, OUT), (YES, NONE), (YES, OUT), (NO, TO), (YES, TO), (YES, NONE), (YES, OUT), (YES, TO)),
    "subscribed": ((NO, NONE), (YES, TO), (NO, IN), (YES, TO_IN), (NO, TO), (NO, TO_IN), (NO, FROM), (YES, BOTH), (NO, BOTH)),
    "unsubscribed": ((NO, NONE), (YES, NONE), (NO, IN), (YES, IN), (YES, NONE), (YES, IN), (NO, FROM), (YES, FROM), (YES, FROM)),
}


class TableTests(SynchronousTestCase):
    """Each of the 72 rows, without approval in advance."""

    def test_every_outbound_row(self) -> None:
        """What the user sends changes his side and reaches the contact as A.2 says."""
        for type, rows in OUTBOUND.items():
            for state, row in zip(STATES, rows, strict=True):
                step = sent(state, type)
                self.assertEqual((step.passes, step.state), row, (state, type))

    def test_every_inbound_row(self) -> None:
        """What the contact sends changes the user's side and reaches the user as A.3 says."""
        for type, rows in INBOUND.items():
            for state, row in zip(STATES, rows, strict=True):
                step = received(state, type)
                self.assertEqual((step.passes, step.state), row, (state, type))

    def test_the_tables_are_complete(self) -> None:
        """There is a row for each state and each type, in both directions: 72."""
        self.assertEqual((set(OUTBOUND), set(INBOUND), set(STATES)), (set(TYPES), set(TYPES), set(State)))
        self.assertEqual(sum(len(rows) for table in (OUTBOUND, INBOUND) for rows in table.values()), 72)

    def test_a_request_of_a_subscriber_is_granted_again(self) -> None:
        """Whoever is subscribed already and asks is answered by the server (RFC 6121, 3.1.3); nobody else is."""
        for state in STATES:
            self.assertEqual(received(state, "subscribe").granted, state in (FROM, FROM_OUT, BOTH), state)
        for type in ("unsubscribe", "subscribed", "unsubscribed"):
            self.assertFalse(any(received(state, type).granted for state in STATES))


class NameTests(SynchronousTestCase):
    """What a state means."""

    def test_sides(self) -> None:
        """Each state says what a roster item says, who sees whom, and who waits for whom."""
        wanted = {
            NONE: ("none", False, False, False, False),
            OUT: ("none", False, False, True, False),
            IN: ("none", False, False, False, True),
            OUT_IN: ("none", False, False, True, True),
            TO: ("to", True, False, False, False),
            TO_IN: ("to", True, False, False, True),
            FROM: ("from", False, True, False, False),
            FROM_OUT: ("from", False, True, True, False),
            BOTH: ("both", True, True, False, False),
        }
        for state, found in wanted.items():
            self.assertEqual((state.subscription, state.sees, state.is_seen, state.is_pending_out, state.is_pending_in), found)


class ApprovalTests(SynchronousTestCase):
    """Subscriptions approved in advance (RFC 6121, 3.4)."""

    def test_granting_without_a_request_approves(self) -> None:
        """`subscribed` to who has not asked and is not subscribed is remembered, and goes nowhere."""
        for state in STATES:
            step = sent(state, "subscribed")
            self.assertEqual(step.approved, state in (NONE, OUT, TO), state)
            self.assertFalse(step.approved and step.passes)

    def test_an_approved_request_is_granted_unseen(self) -> None:
        """The state becomes that of a granted request, the user is not asked, and the approval stays."""
        for state, new in ((NONE, FROM), (OUT, FROM_OUT), (TO, BOTH)):
            step = received(state, "subscribe", approved=True)
            self.assertEqual((step.state, step.passes, step.granted, step.approved), (new, False, True, True))

    def test_a_refusal_takes_it_back(self) -> None:
        """`unsubscribed` ends an approval in every state; no other stanza does."""
        for state in STATES:
            self.assertFalse(sent(state, "unsubscribed", approved=True).approved)
            for type in ("subscribe", "unsubscribe", "subscribed"):
                self.assertTrue(sent(state, type, approved=True).approved)
            for type in TYPES:
                self.assertTrue(received(state, type, approved=True).approved)


class TwoSidesTests(SynchronousTestCase):
    """Two servers that follow the tables."""

    @given(st.lists(st.tuples(st.booleans(), st.sampled_from(TYPES)), max_size=12))
    def test_both_sides_agree(self, said: list[tuple[bool, str]]) -> None:
        """Whatever users send, when all has arrived each side's *to* is the other's *from*, and a request that one side waits
        for is one that the other holds."""
        sides = [NONE, NONE]
        for mine, type in said:
            user, contact = (0, 1) if mine else (1, 0)
            step = sent(sides[user], type)
            sides[user] = step.state
            answers = [(contact, type)] if step.passes else []
            while answers:
                side, arrived = answers.pop()
                got = received(sides[side], arrived)
                sides[side] = got.state
                if got.granted:
                    answers.append((1 - side, "subscribed"))
        for user, contact in ((0, 1), (1, 0)):
            self.assertEqual(sides[user].sees, sides[contact].is_seen)
            self.assertEqual(sides[user].is_pending_out, sides[contact].is_pending_in)
