"""Private XML Storage (XEP-0049): what a client keeps on the server for itself, such as bookmarks and settings."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from xmppfed.core.tree import parse_tree
from xmppfed.extend import JID, Element, Host, Module, Options, Stanza, StanzaCondition, StanzaError, iq, owner_only

__all__ = ["NS", "Private", "PrivateOptions"]

NS = "jabber:iq:private"
_QUERY = f"{{{NS}}}query"
_COLLECTION = "private"
_MOST = 100  # elements of one account


class PrivateOptions(Options, frozen=True):
    """Keeps XML for clients, up to 100 elements of each account (XEP-0049). The table may be empty: it switches the module
    on."""

    max_bytes: Annotated[int, Meta(ge=1024, description="The longest element taken.", examples=[16_384])] = 65_536


class Private(Module):
    """One element by each name, for the account's own resources alone (XEP-0049, 5)."""

    options = PrivateOptions
    features = (NS,)
    account_features = (NS,)

    def __init__(self, host: Host, options: PrivateOptions) -> None:
        super().__init__(host, options)
        self._max_bytes = options.max_bytes

    @iq("get", _QUERY, target="account")
    async def read(self, stanza: Stanza) -> Element:
        """The element with the name of the one that is sent, or that one, which is empty."""
        owner, asked = _owner(stanza), _asked(stanza)
        if len(asked) != 1:
            text = f"Found {len(asked)} elements to look up; wanted one."
            raise StanzaError(StanzaCondition.BAD_REQUEST, text=text)
        found = (await self.host.records.read(owner, _COLLECTION)).get(asked[0].tag)
        return Element("query", NS, {}, [asked[0] if found is None else parse_tree(found)])

    @iq("set", _QUERY, target="account")
    async def write(self, stanza: Stanza) -> None:
        """All elements, or none; each in the place of that with the same name."""
        owner, asked = _owner(stanza), _asked(stanza)
        if not asked or any(element.namespace in ("", NS) for element in asked):
            text = "Found nothing to keep, or an element without a namespace of its own; wanted elements that have one."
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, text=text)
        written = {element.tag: element.to_xml().encode() for element in asked}
        longest = max(map(len, written.values()))
        if longest > self._max_bytes:
            text = f"Found an element of {longest} bytes; wanted at most {self._max_bytes}."
            raise StanzaError(StanzaCondition.POLICY_VIOLATION, text=text)
        await self.keep(owner, _COLLECTION, written, most=_MOST)


def _owner(stanza: Stanza) -> JID:
    owner_only(stanza)
    assert stanza.sender is not None  # or it would not be the owner's
    return stanza.sender.bare


def _asked(stanza: Stanza) -> list[Element]:
    return list(next(stanza.element.elements()).elements())
