"""Delayed Delivery (XEP-0203): nobody else says that this server has kept a stanza."""

from __future__ import annotations

from xmppfed.core.claims import without_claims
from xmppfed.core.delay import DELAY
from xmppfed.extend import JID, Module, Options, Stanza, hook

__all__ = ["Delay", "DelayOptions"]


class DelayOptions(Options, frozen=True):
    """Removes forged notes of this server having delayed a stanza (XEP-0203, 5). The table may be empty: it switches the
    module on."""


class Delay(Module):
    """Cuts `<delay/>` in the name of one of our domains out of what comes from outside. Other notes pass: they are as
    trustworthy as their writer."""

    options = DelayOptions

    @hook("sent")
    @hook("received")
    def clean(self, stanza: Stanza) -> Stanza:
        """The stanza without such notes."""
        return without_claims(stanza, DELAY, "from", self._is_ours)

    def _is_ours(self, jid: JID) -> bool:
        return not jid.local and jid.domain in self.host.domains
