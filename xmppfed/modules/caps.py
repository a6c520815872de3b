"""Entity Capabilities (XEP-0115): clients and servers that know this server's features need not ask for them again."""

from __future__ import annotations

from xmppfed.core.disco import CAPS_NODE, info, verification
from xmppfed.extend import Element, Module, Options, offer

__all__ = ["NS", "Caps", "CapsOptions"]

NS = "http://jabber.org/protocol/caps"


class CapsOptions(Options, frozen=True):
    """Names the server's features by a hash when a stream begins (XEP-0115), so that who knows it need not ask. Needs
    `[modules.disco]` beside it, which answers who does not. The table may be empty: it switches the module on."""


class Caps(Module):
    """Announces the server's capabilities as a stream feature (XEP-0115, 6.3); those of clients pass as they are."""

    options = CapsOptions
    features = (NS,)

    @offer("client")
    @offer("server")
    def capabilities(self) -> Element:
        """The hash over what `disco` answers."""
        ver = verification(info("server", "im", self.host.features("server"), self.host.forms))
        return Element("c", NS, {"hash": "sha-1", "node": CAPS_NODE, "ver": ver})
