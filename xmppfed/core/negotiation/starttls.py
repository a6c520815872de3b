"""STARTTLS (RFC 6120, 5): TLS begins inside a stream, and another stream begins inside TLS.

The stream that negotiates it ends with it. What owns that stream starts TLS on the connection when `TLSAgreed` comes, and
makes a new stream there: nothing that was said before can outlive the handshake (5.4.3.3), for there is nowhere to keep it.
Who may not negotiate it, over WebSocket or under TLS already, is not given the feature.
"""

from __future__ import annotations

from xmppfed.core.element import Element
from xmppfed.core.events import TLSAgreed
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.stream import State, Stream
from xmppfed.errors import StreamCondition, StreamError

__all__ = ["NS", "InitiatingStartTLS", "ReceivingStartTLS"]

NS = "urn:ietf:params:xml:ns:xmpp-tls"

_STARTTLS, _PROCEED, _FAILURE = f"{{{NS}}}starttls", f"{{{NS}}}proceed", f"{{{NS}}}failure"


class ReceivingStartTLS(Feature):
    """Offers TLS. It stands alone among the features of its stream."""

    tags = frozenset({_STARTTLS})

    def __init__(self, *, required: bool = True) -> None:
        """Nothing is had without TLS where it is `required` (RFC 6120, 5.3.1)."""
        self.required = required

    def offer(self, stream: Stream) -> str:
        """`<starttls/>`."""
        return f"<starttls xmlns='{NS}'>{'<required/>' if self.required else ''}</starttls>"

    def receive(self, stream: Stream, element: Element) -> None:
        """`<starttls/>`: go ahead, unless stanzas have passed without it."""
        if stream.state is not State.NEGOTIATING:
            raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE, "Found <starttls/> behind stanzas; wanted it before.")
        _check_silence(stream, "<starttls/>")
        stream.write(f"<proceed xmlns='{NS}'/>")
        _agree(stream)


class InitiatingStartTLS(Feature):
    """Asks for TLS, and ends the stream if it is `required` and not to be had."""

    tags = frozenset({_PROCEED, _FAILURE})

    def __init__(self, *, required: bool = True) -> None:
        self.required = required

    def start(self, stream: Stream, features: Element) -> bool:
        """Ask, where it is offered."""
        if features.child(_STARTTLS) is None:
            if not self.required:
                return False
            found = ", ".join(child.tag for child in features.elements()) or "nothing"
            raise StreamError(StreamCondition.POLICY_VIOLATION, f"The server offered {found}; wanted STARTTLS.")
        stream.write(f"<starttls xmlns='{NS}'/>")
        return True

    def receive(self, stream: Stream, element: Element) -> None:
        """`<proceed/>` or `<failure/>` (RFC 6120, 5.4.2)."""
        if element.tag == _FAILURE:
            raise StreamError(StreamCondition.POLICY_VIOLATION, "The server failed to start TLS, which is wanted here.")
        _check_silence(stream, "<proceed/>")
        _agree(stream)


def _check_silence(stream: Stream, element: str) -> None:
    """Behind the last word the peer has to wait for TLS: whatever stands there may be a third party's (RFC 6120, 5.3.1)."""
    if stream.framing.backlog:
        raise StreamError(StreamCondition.NOT_AUTHORIZED, f"Found more behind {element}; wanted TLS.")


def _agree(stream: Stream) -> None:
    """The last that happens on this stream."""
    stream.wait_for_owner()
    stream.emit(TLSAgreed())
