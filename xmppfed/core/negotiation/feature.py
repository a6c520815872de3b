"""What every stream feature has in common: it says when, the owner decides whether."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from xmppfed.core.element import Element
from xmppfed.core.stanza import Stanza

if TYPE_CHECKING:
    from xmppfed.core.stream import Stream

__all__ = ["Feature", "Inline"]


class Feature:
    """A stream feature (RFC 6120, 4.3). `tags` are the elements, or the children of an iq, that belong to it."""

    tags: frozenset[str] = frozenset()
    required = False  # as the receiving entity: no stanza may pass an authenticated stream before it (RFC 6120, 4.3.2)

    def offer(self, stream: Stream) -> str:
        """As the receiving entity: what stands in `<stream:features/>` now; nothing when it is not its turn."""
        return ""

    def start(self, stream: Stream, features: Element) -> bool:
        """As the initiating entity: begin, if the peer offers it and it is its turn."""
        return False

    def receive(self, stream: Stream, element: Element) -> None:
        """One of our elements came; raises `StreamError` when it must not come now."""

    def receive_stanza(self, stream: Stream, stanza: Stanza) -> bool:
        """An iq whose first child is ours came; false leaves it to others."""
        return False


class Inline(Protocol):
    """What the initiating entity can ask for while it authenticates (XEP-0388, 2.3)."""

    def ask(self, inline: Element) -> list[Element]:
        """What to write into `<authenticate/>`, when `inline` is what the server offers there."""

    def answered(self, stream: Stream, success: Element) -> None:
        """Read the answer; raises `StreamError` when there is none that can be."""
