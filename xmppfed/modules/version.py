"""Software Version (XEP-0092)."""

from __future__ import annotations

from xmppfed import __version__
from xmppfed.extend import Element, Module, Options, Stanza, iq

__all__ = ["NS", "Version", "VersionOptions"]

NS = "jabber:iq:version"


class VersionOptions(Options, frozen=True):
    """Tells name and version of the software (XEP-0092). The table may be empty: it switches the module on."""


class Version(Module):
    """Says who we are; what we run on is nobody's business (XEP-0092, 5)."""

    options = VersionOptions
    features = (NS,)

    @iq("get", f"{{{NS}}}query", target="server")
    def version(self, stanza: Stanza) -> Element:
        """Name and version, without the operating system."""
        query = Element("query", NS)
        query.add("name", text="xmppfed")
        query.add("version", text=__version__)
        return query
