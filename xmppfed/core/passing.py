"""One end of a stream that is passed through: whole items come in and go out, and somebody else is the entity.

A gateway has two of them back to back. What is no XML that XMPP allows, or too large, ends here (RFC 6120, 11.1 and 13.12);
everything else, the order of negotiation included, is between the two that speak.
"""

from __future__ import annotations

from collections.abc import Callable

from xmppfed.core.element import Element
from xmppfed.core.events import Passed
from xmppfed.core.framing import Closing, Framing, Item, Opening
from xmppfed.core.stanza import Stanza
from xmppfed.core.stream import State, Stream
from xmppfed.errors import StreamCondition, StreamError

__all__ = ["PassingStream"]


class PassingStream(Stream):
    """Reads items and writes those of the other end. It is `NEGOTIATING` once a header has passed, in either direction, and
    `ESTABLISHED` when the owner says so."""

    def __init__(self, framing: Framing, *, receiving: bool, new_id: Callable[[], str], limit: int) -> None:
        """`limit` is the size in bytes of an item once `raise_limit` was called; until then the framing's own holds."""
        super().__init__(framing, receiving=receiving, new_id=new_id, limit=limit, secure=True)

    def pass_on(self, item: Opening | Stanza | Element) -> None:
        """Write what came at the other end."""
        if self.state in (State.ABANDONED, State.CLOSED):
            return
        match item:
            case Opening():
                self._write_header(item)
                self._begun()
            case Stanza():
                self._out.append(self.framing.stanza(item))
            case _:
                self._out.append(self.framing.text(item.to_xml()))

    def raise_limit(self) -> None:
        """The client has been let in: larger stanzas may pass."""
        self.framing.limit = self.limit

    def _take(self, item: Item) -> None:
        match item:
            case StreamError():
                self.fail(item)
            case Closing():
                self._peer_closed(item)
            case _ if self.state in (State.ABANDONED, State.CLOSED):
                pass  # our side is given up: what still comes goes nowhere
            case Opening():
                self._begun()
                self.emit(Passed(item))
            case _ if self.state in (State.AWAITING_HEADER, State.IDLE):
                self.fail(StreamError(StreamCondition.NOT_AUTHORIZED, "Found an element before the stream header."))
            case _:
                self.emit(Passed(item))

    def _begun(self) -> None:
        if self.state in (State.AWAITING_HEADER, State.IDLE):
            self.state = State.NEGOTIATING
