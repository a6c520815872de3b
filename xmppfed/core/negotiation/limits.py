"""How much each side of a stream takes at once (XEP-0478): said with the features, and by who opens a bidirectional stream
in its `<bidi/>`."""

from __future__ import annotations

from xmppfed.core.element import Element
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.stream import Stream

__all__ = ["NS", "InitiatingLimits", "ReceivingLimits", "announcement", "read_limits"]

NS = "urn:xmpp:stream-limits:0"
_LIMITS, _MAX_BYTES = f"{{{NS}}}limits", f"{{{NS}}}max-bytes"


def announcement(max_bytes: int, idle_seconds: int) -> str:
    """`<limits/>`."""
    return f"<limits xmlns='{NS}'><max-bytes>{max_bytes}</max-bytes><idle-seconds>{idle_seconds}</idle-seconds></limits>"


def read_limits(stream: Stream, parent: Element) -> None:
    """Take over what the peer says in `parent` of what it takes; what is no number says nothing."""
    limits = parent.child(_LIMITS)
    most = limits.child(_MAX_BYTES) if limits is not None else None
    text = most.text.strip() if most is not None else ""
    if text.isascii() and text.isdigit() and len(text) <= 10:  # xs:unsignedInt
        stream.peer_limit = int(text)


class ReceivingLimits(Feature):
    """Says what we take. Behind dialback no more features follow, so that servers are told at once what will hold then."""

    def __init__(self, idle_seconds: int) -> None:
        """After so many seconds of silence we ask whether the peer is there."""
        self._idle_seconds = idle_seconds

    def offer(self, stream: Stream) -> str:
        """What holds now, or for a server soon."""
        most = stream.limit if stream.framing.profile.dialback else stream.framing.limit
        return announcement(most, self._idle_seconds)


class InitiatingLimits(Feature):
    """Reads what the peer takes."""

    def start(self, stream: Stream, features: Element) -> bool:
        """Nothing is answered."""
        read_limits(stream, features)
        return False
