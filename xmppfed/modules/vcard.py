"""vcard-temp (XEP-0054): who somebody is, as he tells it himself. The avatar's hash in presence (XEP-0153) is his client's."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from xmppfed.core.tree import parse_tree
from xmppfed.extend import JID, Element, Host, Module, Options, Stanza, StanzaCondition, StanzaError, iq

__all__ = ["NS", "VCard", "VCardOptions"]

NS = "vcard-temp"
_VCARD = f"{{{NS}}}vCard"
_COLLECTION, _KEY = "vcard", ""


class VCardOptions(Options, frozen=True):
    """Keeps a vCard, with its avatar, for each account (XEP-0054). The table may be empty: it switches the module on."""

    max_bytes: Annotated[int, Meta(ge=1024, description="The longest vCard taken, avatar included.", examples=[65_536])] = 131_072


class VCard(Module):
    """Everybody may read a vCard, its owner alone may write it."""

    options = VCardOptions
    features = (NS,)
    account_features = (NS,)

    def __init__(self, host: Host, options: VCardOptions) -> None:
        super().__init__(host, options)
        self._max_bytes = options.max_bytes

    @iq("get", _VCARD, target="account")
    async def read(self, stanza: Stanza) -> Element:
        """The vCard. Others cannot tell an account without one from one that does not exist (XEP-0054, 3.3)."""
        owner, asking = _addresses(stanza)
        found = (await self.host.records.read(owner, _COLLECTION)).get(_KEY)
        if found is not None:
            return parse_tree(found)
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND if owner == asking else StanzaCondition.SERVICE_UNAVAILABLE)

    @iq("set", _VCARD, target="account")
    async def write(self, stanza: Stanza) -> None:
        """A new one in the place of the old one (XEP-0054, 3.2)."""
        owner, asking = _addresses(stanza)
        if owner != asking:
            raise StanzaError(StanzaCondition.FORBIDDEN)
        written = next(stanza.element.elements()).to_xml().encode()
        if len(written) > self._max_bytes:
            text = f"Found a vCard of {len(written)} bytes; wanted at most {self._max_bytes}. Choose a smaller avatar."
            raise StanzaError(StanzaCondition.POLICY_VIOLATION, text=text)
        await self.keep(owner, _COLLECTION, {_KEY: written})


def _addresses(stanza: Stanza) -> tuple[JID, JID]:
    """Whose vCard it is about, and who asks; both bare."""
    assert stanza.sender is not None  # a request comes from somebody
    return (stanza.to or stanza.sender).bare, stanza.sender.bare
