"""What was said and not yet acknowledged (XEP-0198, 4): it belongs to a session, and outlives the streams of that session.

Nothing here knows who the two are, or what becomes of what is never acknowledged.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from xmppfed.core.stanza import Stanza
from xmppfed.errors import StreamCondition, StreamError

__all__ = ["NS", "REQUEST", "Ledger", "Sent"]

NS = "urn:xmpp:sm:3"
REQUEST = f"<r xmlns='{NS}'/>"
"""Asks the peer what it has handled; it is the owner of a stream that says when."""
_MASK = 0xFFFFFFFF  # the counters are xs:unsignedInt, and 0 follows the greatest


@dataclass(slots=True, eq=False)
class Sent:
    """A stanza that lacks its acknowledgement. `sendings` says how often it was sent by now."""

    stanza: Stanza
    size: int
    sendings: int = 1


class Ledger:
    """Counts what the two sides of a session have handled, and refers to what the peer has not.

    Who sends asks `full` first; a ledger that is full takes more all the same.
    """

    __slots__ = ("acknowledged", "handled", "id", "most_bytes", "most_stanzas", "size", "unacknowledged")

    def __init__(self, id: str = "", *, most_stanzas: int, most_bytes: int) -> None:
        """Without an `id` its session cannot be resumed."""
        self.id = id
        self.most_stanzas = most_stanzas
        self.most_bytes = most_bytes
        self.handled = 0  # how many stanzas of the peer we took over
        self.acknowledged = 0  # how many of ours the peer took over, as it says
        self.unacknowledged: deque[Sent] = deque()
        self.size = 0  # bytes of these

    @property
    def full(self) -> bool:
        """Whether what is to be sent had better wait."""
        return len(self.unacknowledged) >= self.most_stanzas or self.size >= self.most_bytes

    def took(self) -> None:
        """A stanza of the peer is our responsibility now."""
        self.handled = (self.handled + 1) & _MASK

    def sent(self, stanza: Stanza, size: int) -> None:
        """A stanza of so many bytes went out."""
        self.unacknowledged.append(Sent(stanza, size))
        self.size += size

    def acknowledge(self, text: str | None) -> int:
        """Take over what an `h` of the peer says; returns for how many stanzas that is news. Raises `StreamError` for what is
        no number, and for more than was sent; then nothing is changed."""
        if text is None or not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > _MASK:
            raise StreamError(StreamCondition.BAD_FORMAT, f"Found h={ascii(text)[:32]}; wanted an unsigned 32-bit number.")
        count = (int(text) - self.acknowledged) & _MASK
        if count > len(self.unacknowledged):
            raise self._too_high(int(text))
        for _ in range(count):
            self.size -= self.unacknowledged.popleft().size
        self.acknowledged = int(text)
        return count

    def forget(self) -> list[Sent]:
        """Refer no more to what lacks its acknowledgement: it was never sent, as far as the counters know."""
        sent = list(self.unacknowledged)
        self.unacknowledged.clear()
        self.size = 0
        return sent

    def answer(self) -> str:
        """`<a/>`."""
        return f"<a xmlns='{NS}' h='{self.handled}'/>"

    def _too_high(self, h: int) -> StreamError:
        """An error with the element of XEP-0198, 6."""
        sent = (self.acknowledged + len(self.unacknowledged)) & _MASK
        text = f"You acknowledged {h} stanzas, but I only sent you {sent} so far."
        specific = f"<handled-count-too-high xmlns='{NS}' h='{h}' send-count='{sent}'/>"
        return StreamError(StreamCondition.UNDEFINED_CONDITION, text, specific=specific)
