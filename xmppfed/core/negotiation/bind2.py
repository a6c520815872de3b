"""Bind 2 (XEP-0386): a resource, and what its session begins with, asked for while the client authenticates."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from xmppfed.core.element import Element, escape_attribute
from xmppfed.core.events import Bound
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.bind import InitiatingBind
from xmppfed.core.negotiation.sasl2 import NS as NS_SASL2
from xmppfed.core.stream import Stream
from xmppfed.errors import JIDError, StreamCondition, StreamError

__all__ = ["NS", "Bind2Request", "InitiatingBind2", "bound", "offer", "read"]

NS = "urn:xmpp:bind:0"
_BIND, _TAG, _BOUND = f"{{{NS}}}bind", f"{{{NS}}}tag", f"{{{NS}}}bound"


@dataclass(frozen=True, slots=True)
class Bind2Request:
    """What a client asks for: `tag` names its software, `features` are elements that ask for more, in their order."""

    tag: str
    features: tuple[Element, ...]


def offer(features: Iterable[str]) -> str:
    """What stands in `<inline/>`; `features` are the namespaces of what a session can begin with (XEP-0386, 3.1)."""
    listed = "".join(f"<feature var='{escape_attribute(namespace)}'/>" for namespace in features)
    return f"<bind xmlns='{NS}'><inline>{listed}</inline></bind>" if listed else f"<bind xmlns='{NS}'/>"


def read(request: Element | None) -> Bind2Request | None:
    """The request that stands in an `<authenticate/>`, if there is one."""
    bind = request.child(_BIND) if request else None
    if bind is None:
        return None
    tag = bind.child(_TAG)
    return Bind2Request(tag.text if tag else "", tuple(child for child in bind.elements() if child.namespace != NS))


def bound(answers: Collection[Element]) -> Element:
    """What stands in `<success/>`, with the answers to the features that have one."""
    return Element("bound", NS, {}, list(answers))


class InitiatingBind2(InitiatingBind):
    """Asks for a resource while we authenticate; where the server does not know that, as ever (RFC 6120, 7)."""

    def __init__(self, tag: str = "", features: Collection[Element] = ()) -> None:
        """`tag` becomes part of the resource; without Bind 2 it is what we ask for."""
        super().__init__(tag)
        self._features = features

    def ask(self, inline: Element) -> list[Element]:
        """See `Inline.ask`."""
        if inline.child(_BIND) is None:
            return []
        bind = Element("bind", NS)
        if self._resource:
            bind.add("tag", text=self._resource)
        bind.children.extend(self._features)
        return [bind]

    def answered(self, stream: Stream, success: Element) -> None:
        """The full address stands beside `<bound/>` (XEP-0386, 3.3)."""
        if success.child(_BOUND) is None:
            return
        self._asked = True
        identifier = success.child(f"{{{NS_SASL2}}}authorization-identifier")
        try:
            stream.emit(Bound(JID.parse(identifier.text if identifier else "")))
        except JIDError as error:
            raise StreamError(StreamCondition.BAD_FORMAT, f"The server bound no address: {error}") from None
