"""Who is told what of whose presence (RFC 6121, 4): loops over rosters that are in memory, without anything to wait for."""

from __future__ import annotations

from collections.abc import Iterator

from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.parser import parse_stored
from xmppfed.core.roster import Roster
from xmppfed.extend import JID, Host, Resource, Stanza, StanzaCondition, StanzaError
from xmppfed.modules.roster.rosters import Rosters

__all__ = ["MOST_DIRECTED", "Presences", "may_see"]

MOST_DIRECTED = 1000
"""How many addresses one resource can tell of itself besides its subscribers."""


class Presences:
    """Tells subscribers, asks contacts, answers probes, and cleans up after directed presence."""

    def __init__(self, host: Host, rosters: Rosters) -> None:
        self._host = host
        self._rosters = rosters
        self._shown: dict[Resource, None] = {}
        """The resources that their subscribers know to be available."""

    def accounts(self) -> list[str]:
        """The accounts that are available."""
        return list(dict.fromkeys(str(resource.session.jid.bare) for resource in self._shown))

    # What a resource says of itself.

    def available(self, presence: Stanza, resource: Resource) -> None:
        """A resource has become available, or has changed (RFC 6121, 4.2.2 and 4.4.2)."""
        account = str(resource.session.jid.bare)
        roster = self._roster(account)
        for jid in self._reached(roster):
            self._host.route(presence.with_attributes(to=jid))
        resource.directed = {to: available for to, available in resource.directed.items() if available}
        if resource not in self._shown:
            self._shown[resource] = None
            self._ask_contacts(account, roster, resource)
            for contact in roster.waiting():  # RFC 6121, 3.1.3: at every login, until it is answered.
                if not self._host.blocks(account, JID.parse(contact.jid)):
                    resource.session.deliver(parse_stored(contact.request))

    def unavailable(self, presence: Stanza, resource: Resource) -> None:
        """A resource is not available any more: so hear its subscribers, unless it has told them so already, and whoever it
        told of itself by directed presence (RFC 6121, 4.5.2 and 4.6.3)."""
        told, resource.directed = resource.directed, {}
        roster = self._roster(str(resource.session.jid.bare)) if resource in self._shown else Roster()
        self._shown.pop(resource, None)
        for jid in self._reached(roster):
            if told.get(jid, True):
                self._host.route(presence.with_attributes(to=jid))
        for to, available in told.items():
            if available and not _is_seen_by(roster, _bare(to)):
                self._host.route(presence.with_attributes(to=to))

    def ended(self, resource: Resource) -> None:
        """A session is gone. If it was available its subscribers have heard; directed presence it may have sent without."""
        if resource.directed:
            self.unavailable(Stanza("presence", NS_CLIENT, {"from": resource.full, "type": "unavailable"}), resource)

    def directed(self, presence: Stanza, resource: Resource) -> None:
        """A resource tells one address of itself (RFC 6121, 4.6)."""
        to = str(presence.to)
        if to not in resource.directed and len(resource.directed) >= MOST_DIRECTED:
            text = f"{resource.full} has told {MOST_DIRECTED} addresses of itself, which is the most."
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=text)
        resource.directed[to] = presence.type is None

    # What a subscription begins and ends.

    def reveal(self, account: str, contact: str) -> None:
        """`contact` may see the account from now on (RFC 6121, 3.1.5)."""
        for resource in self._host.resources(account):
            if resource.presence is not None:
                self._host.route(resource.presence.with_attributes(to=contact))

    def conceal(self, account: str, contact: str) -> None:
        """`contact` may see the account no more (RFC 6121, 3.2.2 and 3.3.3)."""
        for resource in self._host.resources(account):
            if resource.presence is not None:
                attributes = {"from": resource.full, "to": contact, "type": "unavailable"}
                self._host.route(Stanza("presence", NS_CLIENT, attributes))

    # Probes.

    def answer(self, account: str, roster: Roster, probe: Stanza) -> None:
        """Answer whoever asks whether `account` is there (RFC 6121, 4.3.2). A stranger and a contact that is not subscribed
        learn nothing but that they are not."""
        watcher = str(probe.sender)
        if not may_see(account, roster, _bare(watcher)):
            self._say(account, watcher, "unsubscribed")
        elif not self._tell(account, watcher, str(probe.to)):
            self._say(str(probe.to), watcher, "unavailable")

    def _tell(self, account: str, watcher: str, asked: str) -> bool:
        """Tell `watcher` of each available resource, or of the one that it asked for; whether there was any."""
        found = False
        for resource in self._host.resources(account):
            if resource.presence is not None and asked in (account, resource.full):
                found = True
                if resource.directed.get(_bare(watcher), True):
                    self._host.route(resource.presence.with_attributes(to=watcher))
        return found

    def _say(self, sender: str, to: str, type: str) -> None:
        self._host.route(Stanza("presence", NS_CLIENT, {"from": sender, "to": to, "type": type}))

    def _ask_contacts(self, account: str, roster: Roster, resource: Resource) -> None:
        """Ask whether contacts are there, on behalf of a resource that has become available (RFC 6121, 4.3.1). For those
        here the answer is at hand: it goes to this resource alone, for the others have it."""
        for domain, jids in roster.sees().items():
            if domain in self._host.domains:
                for jid in filter(self._host.is_connected, jids):
                    if may_see(jid, self._roster(jid), account):
                        self._tell(jid, resource.full, jid)
            else:
                for jid in jids:
                    self.probe(account, jid)

    def probe(self, account: str, contact: str) -> None:
        """Ask another server for the presence of `contact`."""
        self._say(account, contact, "probe")

    def _reached(self, roster: Roster) -> Iterator[str]:
        """The subscribers that presence can reach: of those here only who is connected."""
        for jid in roster.seen_by():
            if _domain(jid) not in self._host.domains or self._host.is_connected(jid):
                yield jid

    def _roster(self, account: str) -> Roster:
        return self._rosters.get(account) or Roster()


def may_see(account: str, roster: Roster, watcher: str) -> bool:
    """Whether `watcher` is subscribed to the account, or is the account itself."""
    return watcher == account or _is_seen_by(roster, watcher)


def _is_seen_by(roster: Roster, jid: str) -> bool:
    contact = roster.contacts.get(jid)
    return contact is not None and contact.state.is_seen


def _bare(address: str) -> str:
    return address.partition("/")[0]


def _domain(jid: str) -> str:
    return jid.rpartition("@")[2]
