"""Roster pushes (RFC 6121, 2.1.6): to the resources that have asked for the roster, which is what makes them interested."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.roster import NS
from xmppfed.extend import Host, Resource, Stanza

__all__ = ["Pushes"]


class Pushes:
    """Tells clients what has changed."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._numbers = count(1)

    def is_interested(self, resource: Resource) -> bool:
        """Whether a resource has asked for its roster (RFC 6121, 2.2)."""
        return NS in resource.wants

    def push(self, account: str, query: Element) -> None:
        """Push to every interested resource of an account."""
        interested = [resource.full for resource in self._host.resources(account) if self.is_interested(resource)]
        for push in self.made(account, query, interested):
            self._host.route(push)

    def made(self, account: str, query: Element, to: Iterable[str]) -> list[Stanza]:
        """A push for each of these addresses; they share the letter."""
        push = Stanza.from_element(Element("iq", NS_CLIENT, {"from": account, "type": "set"}, [query]))
        return [push.with_attributes(to=full, id=f"push-{next(self._numbers)}") for full in to]
