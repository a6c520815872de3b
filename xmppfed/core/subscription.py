"""Subscriptions to presence: the state table of RFC 6121, Appendix A.

States are those of the user's side: *to* means that the user sees the contact, *from* that the contact sees the user,
*pending out* that the user has asked, *pending in* that the contact has.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["TYPES", "State", "Step", "received", "sent"]

TYPES = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")
"""The types of presence that manage subscriptions (RFC 6121, 3)."""


class State(Enum):
    """The nine states of RFC 6121, A.1."""

    NONE = "none"
    NONE_PENDING_OUT = "none, pending out"
    NONE_PENDING_IN = "none, pending in"
    NONE_PENDING_OUT_IN = "none, pending out and in"
    TO = "to"
    TO_PENDING_IN = "to, pending in"
    FROM = "from"
    FROM_PENDING_OUT = "from, pending out"
    BOTH = "both"

    def __init__(self, text: str) -> None:
        self.subscription, _, pending = text.partition(", ")
        """As a roster item says it (RFC 6121, 2.1.2.5)."""
        self.is_pending_out = "out" in pending.split()
        self.is_pending_in = "in" in pending.split()
        self.sees = self.subscription in ("to", "both")
        """Whether the user is subscribed to the contact's presence."""
        self.is_seen = self.subscription in ("from", "both")
        """Whether the contact is subscribed to the user's presence."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a stanza brings about."""

    state: State
    passes: bool
    """Whether it goes on: outbound to the contact, inbound to the user."""
    approved: bool
    """Whether a request of the contact is granted in advance (RFC 6121, 3.4)."""
    granted: bool = False
    """Whether the server answers `subscribed` to the contact, instead of the user (RFC 6121, 3.1.3 and 3.4)."""


_NONE, _TO, _FROM, _BOTH = State.NONE, State.TO, State.FROM, State.BOTH
_OUT, _IN, _OUT_IN = State.NONE_PENDING_OUT, State.NONE_PENDING_IN, State.NONE_PENDING_OUT_IN
_TO_IN, _FROM_OUT = State.TO_PENDING_IN, State.FROM_PENDING_OUT

# Only what changes; everything else leaves the state as it is.
_SENT = {
    "subscribe": {_NONE: _OUT, _IN: _OUT_IN, _FROM: _FROM_OUT},  # A.2.1
    "unsubscribe": {_OUT: _NONE, _OUT_IN: _IN, _TO: _NONE, _TO_IN: _IN, _FROM_OUT: _FROM, _BOTH: _FROM},  # A.2.2
    "subscribed": {_IN: _FROM, _OUT_IN: _FROM_OUT, _TO_IN: _BOTH},  # A.2.3
    "unsubscribed": {_IN: _NONE, _OUT_IN: _OUT, _TO_IN: _TO, _FROM: _NONE, _FROM_OUT: _OUT, _BOTH: _TO},  # A.2.4
}
_RECEIVED = {
    "subscribe": {_NONE: _IN, _OUT: _OUT_IN, _TO: _TO_IN},  # A.3.1
    "unsubscribe": {_IN: _NONE, _OUT_IN: _OUT, _TO_IN: _TO, _FROM: _NONE, _FROM_OUT: _OUT, _BOTH: _TO},  # A.3.2
    "subscribed": {_OUT: _TO, _OUT_IN: _TO_IN, _FROM_OUT: _BOTH},  # A.3.3
    "unsubscribed": {_OUT: _NONE, _OUT_IN: _IN, _TO: _NONE, _TO_IN: _IN, _FROM_OUT: _FROM, _BOTH: _FROM},  # A.3.4
}
_CAN_BE_APPROVED = (_NONE, _OUT, _TO)


def sent(state: State, type: str, *, approved: bool = False) -> Step:
    """The user sends one of `TYPES` to the contact (RFC 6121, A.2, and 3.4 for what it means without a request)."""
    new = _SENT[type].get(state, state)
    if type in ("subscribe", "unsubscribe"):
        return Step(new, passes=True, approved=approved)
    if type == "unsubscribed":
        approved = False
    elif state in _CAN_BE_APPROVED:
        approved = True
    return Step(new, passes=new is not state, approved=approved)


def received(state: State, type: str, *, approved: bool = False) -> Step:
    """The contact sends one of `TYPES` to the user (RFC 6121, A.3): what changes nothing is not shown."""
    new = _RECEIVED[type].get(state, state)
    if type != "subscribe":
        return Step(new, passes=new is not state, approved=approved)
    if approved and state in _CAN_BE_APPROVED:
        return Step(_SENT["subscribed"][new], passes=False, approved=approved, granted=True)
    return Step(new, passes=new is not state, approved=approved, granted=state.is_seen)
