"""Client State Indication (XEP-0352): a client says whether somebody looks at it."""

from __future__ import annotations

from xmppfed.extend import Element, Module, Options, Resource, inline, nonza, offer

__all__ = ["NS", "ClientState", "ClientStateOptions"]

NS = "urn:xmpp:csi:0"


class ClientStateOptions(Options, frozen=True):
    """Lets clients say that nobody looks at them (XEP-0352): then presence waits until something comes that cannot, and
    notes that somebody is typing are left out. The table may be empty: it switches the module on."""


class ClientState(Module):
    """A session begins active; nobody else learns of its state (XEP-0352, 6)."""

    options = ClientStateOptions

    @offer("client")
    def csi(self) -> Element:
        """The feature (XEP-0352, 4.1)."""
        return Element("csi", NS)

    @nonza(f"{{{NS}}}active")
    @inline(f"{{{NS}}}active")
    def active(self, resource: Resource, element: Element) -> None:
        """Somebody looks; what has waited is sent before anything else is done (XEP-0352, 5.1)."""
        resource.session.rest(False)

    @nonza(f"{{{NS}}}inactive")
    @inline(f"{{{NS}}}inactive")
    def inactive(self, resource: Resource, element: Element) -> None:
        """Nobody looks."""
        resource.session.rest(True)
