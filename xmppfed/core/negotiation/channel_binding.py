"""Which channel bindings a stream has, told beside the SASL mechanisms (XEP-0440)."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from xmppfed.core.element import Element
from xmppfed.core.negotiation.feature import Feature

if TYPE_CHECKING:
    from xmppfed.core.stream import Stream

__all__ = ["NS", "ChannelBindings", "announced"]

NS = "urn:xmpp:sasl-cb:0"


class ChannelBindings(Feature):
    """Announces the types, for all that can be logged in by; there is nothing to ask for."""

    def __init__(self, types: Collection[str]) -> None:
        self._types = types

    def offer(self, stream: Stream) -> str:
        """The types, if there are any, until somebody is authenticated."""
        if stream.authenticated or not self._types:
            return ""
        types = "".join(f"<channel-binding type='{name}'/>" for name in self._types)
        return f"<sasl-channel-binding xmlns='{NS}'>{types}</sasl-channel-binding>"


def announced(features: Element) -> tuple[str, ...]:
    """The types that a server announces among its features; nothing where it does not know XEP-0440."""
    element = features.child(f"{{{NS}}}sasl-channel-binding")
    return tuple(child.get("type", "") or "" for child in element.elements()) if element else ()
