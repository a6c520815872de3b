"""What clients of ours see of the link: items of their roster, which nobody stores, and presence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import count

from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.roster import NS as NS_ROSTER
from xmppfed.core.stanza import Stanza
from xmppfed.routing.sessions import Resource, Sessions
from xmppfed.services.lan_gateway.neighbors import Told

__all__ = ["Screen"]


class Screen:
    """Shows neighbors to the clients of `accounts`: in the roster to those that have asked for it, by presence to those that
    are available (RFC 6121, 2.1.6 and 4.2)."""

    def __init__(self, route: Callable[[Stanza], None], sessions: Sessions, accounts: Collection[str]) -> None:
        self._route = route
        self._sessions = sessions
        self._accounts = accounts
        self._present: set[Resource] = set()
        self._numbers = count(1)

    def tell(self, old: Told | None, new: Told | None) -> None:
        """Somebody came, has changed, or is gone: it is a contact before it is there, and not there before it is none."""
        for account in self._accounts:
            for resource in self._sessions.resources_of(account):
                if new is None:
                    self._take_away(old, resource)
                else:
                    self.show(new, resource, instead_of=old)

    def show(self, told: Told, resource: Resource, *, instead_of: Told | None = None) -> None:
        """Show somebody to one client, which has seen something else before, or nothing."""
        if instead_of is None or instead_of.item != told.item:
            self._push(told.item, resource)
        if resource in self._present and (instead_of is None or instead_of.presence != told.presence):
            self._send(told.presence, resource)

    def _take_away(self, old: Told | None, resource: Resource) -> None:
        assert old is not None  # nobody is gone who was not there
        if resource in self._present:
            gone = Element("presence", NS_CLIENT, {"from": old.presence.attributes["from"], "type": "unavailable"})
            self._send(gone, resource)
        self._push(Element("item", NS_ROSTER, {"jid": old.address, "subscription": "remove"}), resource)

    def changed(self, resource: Resource, neighbors: Iterable[Told]) -> None:
        """A client has said how it is: one that is available now sees who is there."""
        if resource.presence is None:
            self._present.discard(resource)
        elif resource not in self._present:
            self._present.add(resource)
            for told in neighbors:
                self._send(told.presence, resource)

    def _push(self, item: Element, resource: Resource) -> None:
        if NS_ROSTER in resource.wants:
            attributes = {"from": str(resource.session.jid.bare), "type": "set", "id": f"link-{next(self._numbers)}"}
            self._send(Element("iq", NS_CLIENT, attributes, [Element("query", NS_ROSTER, {}, [item])]), resource)

    def _send(self, element: Element, resource: Resource) -> None:
        self._route(Stanza.from_element(element).with_attributes(to=resource.full))
