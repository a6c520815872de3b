"""Delayed Delivery (XEP-0203): since when a stanza has been on its way, and who kept it."""

from __future__ import annotations

from xmppfed.core.element import Element
from xmppfed.core.stanza import Stanza
from xmppfed.core.timestamps import timestamp

__all__ = ["DELAY", "NS", "delayed"]

NS = "urn:xmpp:delay"
DELAY = f"{{{NS}}}delay"


def delayed(stanza: Stanza, by: str, since: float, reason: str = "") -> Stanza:
    """The stanza with a note that the entity `by` kept it, or first had it, `since` so many seconds after the beginning of
    1970."""
    note = Element("delay", NS, {"from": by, "stamp": timestamp(since)}, [reason] if reason else [])
    return stanza.with_child(note)
