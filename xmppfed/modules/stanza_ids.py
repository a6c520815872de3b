"""Unique and Stable Stanza IDs (XEP-0359): nobody else gives ids in the name of this server or its accounts."""

from __future__ import annotations

from xmppfed.core.claims import without_claims
from xmppfed.extend import JID, Module, Options, Stanza, hook

__all__ = ["NS", "StanzaIds", "StanzaIdsOptions"]

NS = "urn:xmpp:sid:0"
_STANZA_ID = f"{{{NS}}}stanza-id"


class StanzaIdsOptions(Options, frozen=True):
    """Removes forged ids in the name of this server or its accounts from messages (XEP-0359, 3). The table may be empty: it
    switches the module on."""


class StanzaIds(Module):
    """Cuts `<stanza-id/>` that says it is by us out of what comes from outside. Those of others, such as rooms, pass, and so
    does `<origin-id/>`; ids of our own belong to an archive, and there is none yet."""

    options = StanzaIdsOptions
    features = (NS,)
    account_features = (NS,)

    @hook("sent")
    @hook("received")
    def clean(self, stanza: Stanza) -> Stanza:
        """The stanza without such ids."""
        return without_claims(stanza, _STANZA_ID, "by", self._is_ours)

    def _is_ours(self, jid: JID) -> bool:
        return jid.domain in self.host.domains
