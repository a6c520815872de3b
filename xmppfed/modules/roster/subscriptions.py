"""What subscription stanzas and removals bring about: the table of Appendix A, stored, pushed and passed on (RFC 6121, 3)."""

from __future__ import annotations

from dataclasses import replace

from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.roster import Change, Contact, Roster
from xmppfed.core.subscription import State, Step, received, sent
from xmppfed.extend import JID, Host, NoSuchAccount, Stanza, StanzaCondition, StanzaError
from xmppfed.modules.roster.presences import Presences
from xmppfed.modules.roster.pushes import Pushes
from xmppfed.modules.roster.rosters import OpenRoster, Rosters

__all__ = ["LONGEST_REQUEST", "Subscriptions"]

LONGEST_REQUEST = 4096
"""The most bytes of a request that are kept as they came; of a longer one only that it was made."""


class Subscriptions:
    """Each method is one step of one roster. Storage comes first, then whoever has to know, in the order of the RFC."""

    def __init__(
        self, host: Host, rosters: Rosters, presences: Presences, pushes: Pushes, most_contacts: int, most_requests: int
    ) -> None:
        self._host = host
        self._rosters = rosters
        self._presences = presences
        self._pushes = pushes
        self._most_contacts = most_contacts
        self._most_requests = most_requests

    async def sent(self, stanza: Stanza, type: str) -> None:
        """A resource of ours sends `type` to a contact (RFC 6121, 3.1.2, 3.1.5, 3.2.2, 3.3.2 and 3.4)."""
        user, contact = _bare(stanza.sender), _bare(stanza.to)
        async with self._rosters.opened(user) as opened:
            old = opened.contact(str(contact))
            step = sent(old.state, type, approved=old.approved)
            wanted = _after(old, step, listed=old.listed or type in ("subscribe", "subscribed"))
            change = await self.store(opened, wanted)
            if step.passes:
                self._host.route(stanza.with_attributes(sender=str(user), to=str(contact)))
            self._settle(user, old, change)

    async def received(self, stanza: Stanza, type: str) -> None:
        """A contact sends `type` to an account of ours (RFC 6121, 3.1.3, 3.1.6, 3.2.3, 3.3.3 and 3.4)."""
        user, contact = _bare(stanza.to), _bare(stanza.sender)
        try:
            async with self._rosters.opened(user) as opened:
                old = opened.contact(str(contact))
                step = received(old.state, type, approved=old.approved)
                wanted = _after(old, step, listed=old.listed)
                if wanted.state.is_pending_in and not old.state.is_pending_in:
                    if sum(1 for _ in opened.roster.waiting()) >= self._most_requests:
                        return  # As if it had not arrived: a stranger may ask again.
                    wanted = replace(wanted, request=_kept(stanza))
                change = await opened.store(wanted)
                if step.passes:
                    self._show(stanza.with_attributes(sender=str(contact), to=str(user)), type)
                if step.granted:
                    self._say(user, contact, "subscribed")
                self._settle(user, old, change, again=step.granted)
        except NoSuchAccount:
            pass  # RFC 6121, 8.5.1: nobody learns that.

    async def remove(self, opened: OpenRoster, user: JID, jid: str) -> None:
        """The user wants a contact no more (RFC 6121, 2.5): both subscriptions end, and a request waits on unseen."""
        old = opened.contact(jid)
        if not old.listed:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, text=f"{jid} is not in the roster.")
        state = State.NONE_PENDING_IN if old.state.is_pending_in else State.NONE
        change = await opened.store(Contact(jid, state, request=old.request))
        self._end(user, old)
        self._settle(user, old, change)

    def cancel(self, user: JID, roster: Roster) -> None:
        """The user is about to be no more: both subscriptions of each contact end."""
        for contact in roster.contacts.values():
            self._end(user, contact)

    def _end(self, user: JID, contact: Contact) -> None:
        jid = JID.parse(contact.jid)
        if contact.state.sees or contact.state.is_pending_out:
            self._say(user, jid, "unsubscribe")
        if contact.state.is_seen:
            self._say(user, jid, "unsubscribed")

    async def store(self, opened: OpenRoster, contact: Contact) -> Change | None:
        """Keep what the user wants. Raises StanzaError when the roster is full, or there can be none."""
        if contact.listed and not opened.contact(contact.jid).listed and _listed(opened.roster) >= self._most_contacts:
            text = f"The roster has {self._most_contacts} contacts, which is the most."
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=text)
        try:
            return await opened.store(contact)
        except NoSuchAccount:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, text="This account has no roster.") from None

    def _settle(self, user: JID, old: Contact, change: Change | None, *, again: bool = False) -> None:
        """Push what clients see of a change, and show or hide the user's presence where that is what changed."""
        new = old if change is None else change.contact
        if change is not None and (old.listed or new.listed):
            self._pushes.push(str(user), change.pushed())
        if new.state.is_seen and (again or not old.state.is_seen):
            self._presences.reveal(str(user), new.jid)
        elif old.state.is_seen and not new.state.is_seen:
            self._presences.conceal(str(user), new.jid)

    def _show(self, stanza: Stanza, type: str) -> None:
        """A request reaches whoever is available, the rest who is interested in the roster (RFC 6121, 3.1.3 and 3.1.6)."""
        for resource in self._host.resources(stanza.attributes["to"]):
            if resource.presence is not None if type == "subscribe" else self._pushes.is_interested(resource):
                resource.session.deliver(stanza)

    def _say(self, user: JID, contact: JID, type: str) -> None:
        self._host.route(Stanza("presence", NS_CLIENT, {"from": str(user), "to": str(contact), "type": type}))


def _after(old: Contact, step: Step, *, listed: bool) -> Contact:
    request = old.request if step.state.is_pending_in else b""
    return replace(old, state=step.state, approved=step.approved, listed=listed, request=request)


def _listed(roster: Roster) -> int:
    return sum(1 for _ in roster.listed())


def _kept(stanza: Stanza) -> bytes:
    data = stanza.to_bytes(NS_CLIENT)
    if len(data) <= LONGEST_REQUEST:
        return data
    return Stanza("presence", NS_CLIENT, stanza.attributes).to_bytes(NS_CLIENT)


def _bare(address: JID | None) -> JID:
    assert address is not None  # what has no address does not come here
    return address.bare
