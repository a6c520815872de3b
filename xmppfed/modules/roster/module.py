"""The module of rosters: where its parts meet the server."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Annotated

import msgspec
from msgspec import Meta

from xmppfed.core.roster import NS, read_set
from xmppfed.core.subscription import TYPES
from xmppfed.extend import (
    JID,
    Element,
    Host,
    Module,
    Options,
    Pair,
    Resource,
    Stanza,
    StanzaCondition,
    StanzaError,
    broken,
    hook,
    iq,
    offer,
    owner_only,
    presence,
    session,
    subscribed,
    watchers,
)
from xmppfed.modules.roster.elsewhere import Elsewhere
from xmppfed.modules.roster.presences import Presences, may_see
from xmppfed.modules.roster.pushes import Pushes
from xmppfed.modules.roster.rosters import Rosters
from xmppfed.modules.roster.subscriptions import Subscriptions

__all__ = ["NS_APPROVAL", "NS_VERSIONS", "Roster", "RosterOptions"]

NS_VERSIONS = "urn:xmpp:features:rosterver"
NS_APPROVAL = "urn:xmpp:features:pre-approval"
_QUERY = f"{{{NS}}}query"


class RosterOptions(Options, frozen=True):
    """Contact lists, subscriptions and presence (RFC 6121). The table may be empty: it switches the module on."""

    max_contacts: Annotated[int, Meta(ge=1, description="How many contacts one account may have.", examples=[500])] = 2000
    max_requests: Annotated[
        int,
        Meta(ge=1, description="How many subscription requests may wait for one account; more are ignored.", examples=[20]),
    ] = 100


class Roster(Module):
    """Keeps contact lists, and tells those who may know who is there."""

    options = RosterOptions
    features = (NS,)

    def __init__(self, host: Host, options: msgspec.Struct) -> None:
        super().__init__(host, options)
        assert isinstance(options, RosterOptions)
        self._rosters = Rosters(host)
        self._pushes = Pushes(host)
        self._presences = Presences(host, self._rosters)
        self._elsewhere = Elsewhere(host, self._rosters, self._presences)
        self._subscriptions = Subscriptions(
            host, self._rosters, self._presences, self._pushes, options.max_contacts, options.max_requests
        )

    def stopService(self) -> None:
        """Ask nobody any more."""
        self._elsewhere.doubts.stop()
        super().stopService()

    # The roster.

    @offer("client")
    def versions(self) -> Element:
        """Roster versioning (RFC 6121, 2.6.1)."""
        return Element("ver", NS_VERSIONS)

    @offer("client")
    def approval(self) -> Element:
        """Subscriptions approved in advance (RFC 6121, 3.4.1)."""
        return Element("sub", NS_APPROVAL)

    @iq("get", _QUERY, target="account")
    def get(self, stanza: Stanza) -> Stanza:
        """The roster, or what has changed since the version that the client has (RFC 6121, 2.2 and 2.6.3)."""
        owner_only(stanza)
        sender = _sender(stanza)
        resource, roster = self.host.resource(str(sender)), self._rosters.get(str(sender.bare))
        if resource is None or roster is None:  # Its session ended while this waited for its turn.
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        resource.wants.add(NS)
        unkept = self.host.contacts(str(sender.bare))
        if unkept is not None:  # Whole and without a version: a client must not keep them either.
            return stanza.reply(Element("query", NS, {}, [*(contact.item() for contact in roster.listed()), *unkept]))
        version = next(stanza.element.elements()).get("ver")
        missed = None if version is None else roster.since(version)
        if missed is None:
            items = [contact.item() for contact in roster.listed()]
            return stanza.reply(Element("query", NS, {"ver": str(roster.version)}, list(items)))
        answers = [stanza.reply()]
        for contact in missed:
            query = Element("query", NS, {"ver": str(contact.version)}, [contact.item()])
            answers += self._pushes.made(str(sender.bare), query, [str(sender)])
        for answer in answers[:-1]:
            self.host.route(answer)
        return answers[-1]

    @iq("set", _QUERY, target="account")
    async def set(self, stanza: Stanza) -> None:
        """Add a contact, change its name or groups, or remove it (RFC 6121, 2.3 to 2.5)."""
        owner_only(stanza)
        user = _sender(stanza).bare
        wish = read_set(next(stanza.element.elements()), user)
        async with self._rosters.opened(user) as opened:
            if wish.remove:
                await self._subscriptions.remove(opened, user, wish.jid)
                return
            contact = replace(opened.contact(wish.jid), name=wish.name, groups=wish.groups, listed=True)
            change = await self._subscriptions.store(opened, contact)
            if change is not None:
                self._pushes.push(str(user), change.pushed())

    # Presence.

    @session("binding")
    async def prepare(self, account: JID) -> None:
        """Have the roster in memory."""
        await self._rosters.read(account)

    @session("ended")
    def ended(self, resource: Resource) -> None:
        """Nobody may go on believing that it is there."""
        self._presences.ended(resource)

    @session("left")
    def left(self, account: JID) -> None:
        """The roster need not be in memory."""
        self._rosters.forget(str(account))
        self._elsewhere.forget(str(account))

    @session("removing")
    async def removing(self, account: JID) -> None:
        """Contacts need not go on believing in an account that is no more (XEP-0077, 3.2)."""
        self._subscriptions.cancel(account, await self._rosters.read(account))

    @hook("sent")
    def sent(self, stanza: Stanza) -> Stanza | None:
        """Presence that a client of ours sends to somebody: subscriptions are ours to handle, directed presence is noted."""
        if stanza.kind != "presence" or "to" not in stanza.attributes:
            return stanza
        type, sender, account = stanza.type, _sender(stanza), _account(stanza)
        resource = self.host.resource(str(sender))
        if type in TYPES:
            if account == sender.bare:
                raise StanzaError(StanzaCondition.NOT_ALLOWED, text="Nobody is a contact of his own.")
            self.host.hold(stanza, self._subscriptions.sent(stanza, type))
            return None
        if type == "probe":  # RFC 6121, 4.3.1: only for the account, never for one resource
            return stanza.with_attributes(sender=str(sender.bare))
        if type in (None, "unavailable") and resource is not None:
            self._presences.directed(stanza, resource)
        return stanza

    @presence("own")
    def own(self, stanza: Stanza, resource: Resource) -> None:
        """A resource of ours is available, has changed, or is no more there."""
        if stanza.type is None:
            self._presences.available(stanza, resource)
        else:
            self._presences.unavailable(stanza, resource)

    @presence("subscription")
    async def asked(self, stanza: Stanza) -> None:
        """Somebody asks an account of ours for a subscription or for its presence, or answers."""
        account = _account(stanza)
        if stanza.type == "probe":
            roster = self._rosters.get(str(account)) or await self._rosters.read(account)
            self._presences.answer(str(account), roster, stanza)
        else:
            await self._subscriptions.received(stanza, stanza.attributes["type"])

    # What other servers say, and whether it can be relied on.

    @hook("received")
    def received(self, stanza: Stanza) -> Stanza:
        """Presence of people elsewhere is remembered; it passes in any case."""
        self._elsewhere.received(stanza, _sender(stanza))
        return stanza

    @presence("failed")
    def failed(self, stanza: Stanza) -> None:
        """Presence that could not be delivered to another domain: we do not know who is there."""
        sender = _sender(stanza)
        if sender.domain not in self.host.domains:
            self._elsewhere.doubts.unreachable(sender.domain)

    @broken
    def broke(self, pair: Pair) -> None:
        """What another server wanted to say may be lost."""
        self._elsewhere.doubts.broken(pair.sender)

    @subscribed
    async def sees(self, account: JID, watcher: JID) -> bool:
        """Whether `watcher` is subscribed to the presence of `account`, or is the account itself."""
        roster = self._rosters.get(str(account.bare)) or await self._rosters.read(account.bare)
        return may_see(str(account.bare), roster, str(watcher.bare))

    @watchers
    def seen_by(self, account: str) -> Collection[str]:
        """Everybody who is subscribed to the presence of a connected account."""
        roster = self._rosters.get(account)
        return () if roster is None else roster.seen_by()


def _sender(stanza: Stanza) -> JID:
    sender = stanza.sender
    assert sender is not None  # services see to that
    return sender


def _account(stanza: Stanza) -> JID:
    to = stanza.to
    assert to is not None  # the router has looked at it
    return to.bare
