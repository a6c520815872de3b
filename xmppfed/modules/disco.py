"""Service Discovery (XEP-0030): what the server and its accounts are and can do."""

from __future__ import annotations

from xmppfed.extend import Element, Module, Options, Stanza, StanzaCondition, StanzaError, iq, owner_only

__all__ = ["NS", "NS_INFO", "NS_ITEMS", "Disco", "DiscoOptions"]

NS = "http://jabber.org/protocol/disco"
NS_INFO = f"{NS}#info"
NS_ITEMS = f"{NS}#items"


class DiscoOptions(Options, frozen=True):
    """Tells what the server can do (XEP-0030). The table may be empty: it switches the module on."""


class Disco(Module):
    """Answers for the server, and for an account to its owner: to others it is as if it did not exist (XEP-0030, 8)."""

    options = DiscoOptions
    features = (NS_INFO, NS_ITEMS)
    account_features = (NS_INFO, NS_ITEMS)

    @iq("get", f"{{{NS_INFO}}}query", target="server")
    def server_info(self, stanza: Stanza) -> Element:
        """An instant messaging server with the features of all modules."""
        return _info(stanza, "server", "im", self.host.features("server"))

    @iq("get", f"{{{NS_INFO}}}query", target="account")
    def account_info(self, stanza: Stanza) -> Element:
        """A registered account (XEP-0030, 8)."""
        owner_only(stanza)
        return _info(stanza, "account", "registered", self.host.features("account"))

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


def _info(stanza: Stanza, category: str, type: str, features: tuple[str, ...]) -> Element:
    _refuse_node(stanza)
    query = Element("query", NS_INFO)
    query.add("identity", category=category, type=type)
    for feature in features:
        query.add("feature", var=feature)
    return query


def _refuse_node(stanza: Stanza) -> None:
    """We have no nodes (XEP-0030, 7)."""
    query = next(stanza.element.elements())
    if query.get("node") is not None:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
