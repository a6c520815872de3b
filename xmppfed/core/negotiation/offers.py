"""What others add to a stream that needs no negotiation: features that are only announced, and what follows from them."""

from __future__ import annotations

from collections.abc import Collection

from xmppfed.core.element import Element
from xmppfed.core.events import NonzaReceived, StrangerAsked
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.stanza import Stanza
from xmppfed.core.stream import State, Stream
from xmppfed.errors import StreamCondition, StreamError

__all__ = ["Offers"]


class Offers(Feature):
    """The receiving side of optional features: announces them, and hands the owner what the peer then sends."""

    def __init__(
        self, before: str = "", after: str = "", *, nonzas: Collection[str] = (), requests: Collection[str] = ()
    ) -> None:
        """`before` and `after` authentication this is announced. `nonzas` and, before authentication, `requests` are taken,
        by the tags of elements and of the children of an iq."""
        self.tags = frozenset((*nonzas, *requests))
        self._before = before
        self._after = after
        self._requests = frozenset(requests)

    def offer(self, stream: Stream) -> str:
        """What there is for this peer."""
        return self._after if stream.authenticated else self._before

    def receive(self, stream: Stream, element: Element) -> None:
        """A nonza; it means nothing before there is a session."""
        if stream.state is not State.ESTABLISHED:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, f"Found <{element.name}/> before there was a session.")
        stream.emit(NonzaReceived(element))

    def receive_stanza(self, stream: Stream, stanza: Stanza) -> bool:
        """A request of somebody who has not logged in."""
        if stream.authenticated or not stanza.is_request or stanza.children[0] not in self._requests:
            return False
        stream.wait_for_owner()
        stream.emit(StrangerAsked(stanza))
        return True

    def answer(self, stream: Stream, stanza: Stanza) -> None:
        """Answer `StrangerAsked`."""
        if stream.resume():
            stream.send(stanza)
