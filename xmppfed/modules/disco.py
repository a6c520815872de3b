"""Service Discovery (XEP-0030): what the server and its accounts are and can do."""

from __future__ import annotations

from xmppfed.core.disco import CAPS_NODE, NS_INFO, NS_ITEMS, info, verification
from xmppfed.extend import Element, Module, Options, Stanza, StanzaCondition, StanzaError, iq, owner_only

__all__ = ["Disco", "DiscoOptions"]


class DiscoOptions(Options, frozen=True):
    """Tells what the server can do (XEP-0030). The table may be empty: it switches the module on."""


class Disco(Module):
    """Answers for the server, and for an account to its owner: to others it is as if it did not exist (XEP-0030, 8)."""

    options = DiscoOptions
    features = (NS_INFO, NS_ITEMS)
    account_features = (NS_INFO, NS_ITEMS)

    @iq("get", f"{{{NS_INFO}}}query", target="server")
    def server_info(self, stanza: Stanza) -> Element:
        """An instant messaging server with the features of all modules; it is also known by its capabilities' node
        (XEP-0115, 6.2)."""
        found = info("server", "im", self.host.features("server"), self.host.forms)
        node = _node(stanza)
        if node is not None:
            if node != f"{CAPS_NODE}#{verification(found)}":
                raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
            found.attributes["node"] = node
        return found

    @iq("get", f"{{{NS_INFO}}}query", target="account")
    def account_info(self, stanza: Stanza) -> Element:
        """A registered account (XEP-0030, 8)."""
        owner_only(stanza)
        _refuse_node(stanza)
        return info("account", "registered", self.host.features("account"))

    @iq("get", f"{{{NS_ITEMS}}}query", target="server")
    def server_items(self, stanza: Stanza) -> Element:
        """No other entities belong to the server yet."""
        _refuse_node(stanza)
        return Element("query", NS_ITEMS)

    @iq("get", f"{{{NS_ITEMS}}}query", target="account")
    def account_items(self, stanza: Stanza) -> Element:
        """No other entities belong to an account yet."""
        owner_only(stanza)
        return self.server_items(stanza)


def _node(stanza: Stanza) -> str | None:
    return next(stanza.element.elements()).get("node")


def _refuse_node(stanza: Stanza) -> None:
    """We have no other nodes (XEP-0030, 7)."""
    if _node(stanza) is not None:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
