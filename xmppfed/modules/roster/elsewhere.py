"""What clients here were last shown of people on other domains, and what becomes of it when it cannot be true any more."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.extend import JID, Host, Stanza
from xmppfed.modules.roster.doubts import Doubts
from xmppfed.modules.roster.presences import Presences
from xmppfed.modules.roster.rosters import Rosters

__all__ = ["MOST_RESOURCES", "Elsewhere"]

MOST_RESOURCES = 50
"""Resources of one contact that are remembered as shown to one account."""
_NS_PING = "urn:xmpp:ping"


class Elsewhere:
    """The remote resources that accounts here were shown as available, and the doubts about them."""

    def __init__(self, host: Host, rosters: Rosters, presences: Presences) -> None:
        self._host = host
        self._rosters = rosters
        self._presences = presences
        self._shown: dict[str, dict[str, set[str]]] = {}
        """By account and contact."""
        self._unconfirmed: dict[str, set[tuple[str, str]]] = {}
        """By domain, of those that were probed: accounts and what they were shown, until it is said again."""
        self.doubts = Doubts(host.clock, host.timeouts, self._ping, self._probe, self._give_up)

    def received(self, stanza: Stanza, sender: JID) -> None:
        """Take note of what another server says of its users."""
        if self.doubts:
            self.doubts.heard(sender.domain)
        if stanza.kind == "presence" and stanza.type in (None, "unavailable"):
            self._note(stanza, sender, str(_account(stanza)))

    def forget(self, account: str) -> None:
        """Nobody is there any more to whom anything is shown."""
        self._shown.pop(account, None)

    def _note(self, stanza: Stanza, sender: JID, account: str) -> None:
        full, contact = str(sender), str(sender.bare)
        if stanza.type is None:
            if self._sees(account, contact):
                self._add(account, contact, full)
            self._unconfirmed.get(sender.domain, set()).discard((account, full))
        elif sender.is_bare:  # The answer to a probe when nobody is there. Clients know full addresses.
            gone = set(self._shown.get(account, {}).get(contact, ()))
            self._drop(account, contact, gone)
            self._say_gone(account, gone)
        else:
            self._drop(account, contact, {full})

    def _add(self, account: str, contact: str, full: str) -> None:
        contacts = self._shown.setdefault(account, {})
        shown = contacts.setdefault(contact, set())
        if len(shown) < MOST_RESOURCES:
            shown.add(full)
        roster = self._rosters.get(account)
        if roster is not None and len(contacts) > len(roster.contacts):  # Some are contacts no more, and never said good-bye.
            self._shown[account] = {contact: shown for contact, shown in contacts.items() if contact in roster.contacts}

    def _drop(self, account: str, contact: str, gone: set[str]) -> None:
        contacts = self._shown.get(account, {})
        shown = contacts.get(contact, set())
        shown -= gone
        if not shown:
            contacts.pop(contact, None)

    def _sees(self, account: str, jid: str) -> bool:
        roster = self._rosters.get(account) if self._host.is_connected(account) else None
        contact = None if roster is None else roster.contacts.get(jid)
        return contact is not None and contact.state.sees

    # Doubts.

    def _watched(self, domain: str) -> Iterator[tuple[str, str]]:
        """The accounts that are there, with each contact of theirs on that domain whose presence they see."""
        for account in self._presences.accounts():
            roster = self._rosters.get(account)
            for contact in () if roster is None else roster.sees().get(domain, ()):
                yield account, contact

    def _ping(self, domain: str) -> bool:
        self._unconfirmed.pop(domain, None)  # Of an earlier doubt, which was not settled.
        watched = next(self._watched(domain), None)
        if watched is not None:
            attributes = {"from": JID.parse(watched[0]).domain, "to": domain, "type": "get", "id": secrets.token_urlsafe(8)}
            self._host.route(Stanza.from_element(Element("iq", NS_CLIENT, attributes, [Element("ping", _NS_PING)])))
        return watched is not None

    def _probe(self, domain: str) -> None:
        self._unconfirmed[domain] = set(self._on(domain))
        for account, contact in self._watched(domain):
            self._presences.probe(account, contact)

    def _give_up(self, domain: str) -> None:
        """Who was not confirmed is gone, or cannot be seen from here, which is the same."""
        unconfirmed = self._unconfirmed.pop(domain, None)
        shown = set(self._on(domain))
        for account, full in sorted(shown if unconfirmed is None else shown & unconfirmed):
            self._drop(account, full.partition("/")[0], {full})
            self._say_gone(account, {full})

    def _on(self, domain: str) -> Iterator[tuple[str, str]]:
        """What is shown of a domain, and to whom."""
        for account, contacts in self._shown.items():
            for contact, shown in contacts.items():
                if contact.rpartition("@")[2] == domain:
                    for full in shown:
                        yield account, full

    def _say_gone(self, account: str, shown: set[str]) -> None:
        """Tell the account what those do not say themselves."""
        for full in sorted(shown):
            self._host.route(Stanza("presence", NS_CLIENT, {"from": full, "to": account, "type": "unavailable"}))


def _account(stanza: Stanza) -> JID:
    to = stanza.to
    assert to is not None  # between servers every stanza has an address
    return to.bare
