"""Block lists (XEP-0191): which addresses an entry covers, and how entries are read and written."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.errors import JIDError, StanzaCondition, StanzaError

__all__ = ["BLOCKED", "NS", "covers", "items", "read_items"]

NS = "urn:xmpp:blocking"
BLOCKED = "{urn:xmpp:blocking:errors}blocked"
"""The condition of who writes to somebody whom he has blocked (XEP-0191, 3.3)."""


def covers(blocked: Collection[str], jid: JID) -> bool:
    """Whether an entry stands for this address: itself, its account, its domain, or its domain with the resource (XEP-0191,
    5)."""
    return (
        str(jid) in blocked
        or (bool(jid.resource) and str(jid.bare) in blocked)
        or (bool(jid.local) and jid.domain in blocked)
        or (bool(jid.local and jid.resource) and f"{jid.domain}/{jid.resource}" in blocked)
    )


def read_items(command: Element) -> list[str]:
    """The addresses in a command, prepared. Raises StanzaError."""
    return [_read_item(child) for child in command.elements() if child.tag == f"{{{NS}}}item"]


def _read_item(item: Element) -> str:
    text = item.get("jid")
    if text is None:
        raise StanzaError(StanzaCondition.BAD_REQUEST, text="Found an item without a jid; wanted the address to block.")
    try:
        return str(JID.parse(text))
    except JIDError as error:
        raise StanzaError(StanzaCondition.JID_MALFORMED, text=str(error)) from None


def items(name: str, jids: Iterable[str]) -> Element:
    """The element `name` with an item for each address."""
    return Element(name, NS, {}, [Element("item", NS, {"jid": jid}) for jid in jids])
