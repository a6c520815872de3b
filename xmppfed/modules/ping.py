"""XMPP Ping (XEP-0199): answers whether the server is there."""

from __future__ import annotations

from xmppfed.extend import Module, Options, Stanza, iq, owner_only

__all__ = ["NS", "Ping", "PingOptions"]

NS = "urn:xmpp:ping"


class PingOptions(Options, frozen=True):
    """Answers to pings (XEP-0199). The table may be empty: it switches the module on."""


class Ping(Module):
    """Answers clients and servers (XEP-0199, 4.2 and 4.3)."""

    options = PingOptions
    features = (NS,)
    account_features = (NS,)

    @iq("get", f"{{{NS}}}ping", target="server")
    def ping_server(self, stanza: Stanza) -> None:
        """The server is there."""

    @iq("get", f"{{{NS}}}ping", target="account")
    def ping_account(self, stanza: Stanza) -> None:
        """The server is there for the account; others learn nothing of it."""
        owner_only(stanza)
