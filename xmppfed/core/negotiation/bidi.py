"""Bidirectional streams between servers (XEP-0288): the receiving server may send on the stream as well.

What each side may say is still told by the pairs of domains that were proved: the receiving server speaks for their
inverse alone.
"""

from __future__ import annotations

from xmppfed.core.element import Element
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.negotiation.limits import announcement, read_limits
from xmppfed.core.stream import Stream
from xmppfed.errors import StreamCondition, StreamError

__all__ = ["NS", "NS_FEATURE", "InitiatingBidi", "ReceivingBidi"]

NS = "urn:xmpp:bidi"
NS_FEATURE = "urn:xmpp:features:bidi"


class ReceivingBidi(Feature):
    """On a stream that came in: we may send, once a pair is proved, if the peer asks for it."""

    tags = frozenset({f"{{{NS}}}bidi"})

    def offer(self, stream: Stream) -> str:
        """Offered until the peer is authenticated: it is asked for before that (XEP-0288, 2.2)."""
        return "" if stream.authenticated else f"<bidi xmlns='{NS_FEATURE}'/>"

    def receive(self, stream: Stream, element: Element) -> None:
        """The peer asks; nothing is answered."""
        if stream.authenticated:
            text = "Found <bidi/> on an authenticated stream; wanted it before SASL or dialback (XEP-0288, 2.2)."
            raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE, text)
        stream.bidirectional = True
        read_limits(stream, element)


class InitiatingBidi(Feature):
    """On a stream that we open: asks, and leaves it to SASL or dialback to go on, which therefore stand behind it.

    Who opens a stream has no features to say its limits in, and says them here (XEP-0478, 3.2).
    """

    def __init__(self, idle_seconds: int) -> None:
        """After so many seconds of silence we ask whether the peer is there."""
        self._idle_seconds = idle_seconds

    def start(self, stream: Stream, features: Element) -> bool:
        """Ask where it is offered; there is no answer to wait for."""
        if not stream.bidirectional and not stream.authenticated and features.child(f"{{{NS_FEATURE}}}bidi") is not None:
            stream.bidirectional = True
            stream.write(f"<bidi xmlns='{NS}'>{announcement(stream.limit, self._idle_seconds)}</bidi>")
        return False
