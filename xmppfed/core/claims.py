"""What others say in our name inside a stanza, and how it is cut out."""

from __future__ import annotations

from collections.abc import Callable

from xmppfed.core.jid import JID
from xmppfed.core.stanza import Stanza
from xmppfed.errors import JIDError

__all__ = ["without_claims"]


def without_claims(stanza: Stanza, tag: str, attribute: str, is_ours: Callable[[JID], bool]) -> Stanza:
    """The stanza less each child `tag` whose `attribute` is an address of ours, in whatever spelling; the same stanza when
    there is none."""
    if tag not in stanza.children:
        return stanza
    children = enumerate(stanza.element.elements())
    forged = [index for index, child in children if child.tag == tag and _names(child.get(attribute), is_ours)]
    return stanza.without(forged) if forged else stanza


def _names(text: str | None, is_ours: Callable[[JID], bool]) -> bool:
    try:
        return is_ours(JID.parse(text or ""))
    except JIDError:
        return False
