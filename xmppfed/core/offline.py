"""Which messages are worth keeping for an account that is off line (XEP-0160, 3; XEP-0334, 4)."""

from __future__ import annotations

from enum import Enum, auto

from xmppfed.core.stanza import Stanza

__all__ = ["NS_CHAT_STATES", "NS_HINTS", "Fate", "fate"]

NS_CHAT_STATES = "http://jabber.org/protocol/chatstates"
NS_HINTS = "urn:xmpp:hints"

_STORE, _NO_STORE = f"{{{NS_HINTS}}}store", f"{{{NS_HINTS}}}no-store"
# What says nothing by itself: states of a chat, and notes about the message for those on its way.
_PASSING = (f"{{{NS_CHAT_STATES}}}", f"{{{NS_HINTS}}}", "{urn:xmpp:sid:0}", "{urn:xmpp:carbons:2}", "{jabber:client}thread")


class Fate(Enum):
    """What becomes of a message that nobody is there for."""

    KEPT = auto()
    DROPPED = auto()
    """It meant something at its moment only; its sender need not know that it did not arrive."""
    REFUSED = auto()


def fate(message: Stanza) -> Fate:
    """What becomes of a message of type normal or chat."""
    if _STORE in message.children:
        return Fate.KEPT
    if all(child.startswith(_PASSING) for child in message.children):
        return Fate.DROPPED
    return Fate.REFUSED if _NO_STORE in message.children else Fate.KEPT
