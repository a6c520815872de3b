"""Blocking Command (XEP-0191): whom an account wants to hear nothing of, and to be unseen by."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import count
from typing import Annotated

from msgspec import Meta

from xmppfed.core.blocklist import BLOCKED, NS, covers, items, read_items
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.extend import (
    JID,
    Element,
    Host,
    Module,
    Options,
    Resource,
    Stanza,
    StanzaCondition,
    StanzaError,
    blocks,
    hook,
    iq,
    owner_only,
    session,
)

__all__ = ["Blocking", "BlockingOptions"]

_COLLECTION = "blocked"
_RECENT = 256  # lists of accounts that are not connected
_NOBODY: frozenset[str] = frozenset()
# What reaches nobody where nobody is connected (RFC 6121, 8.5.2): not worth a look at the list.
_FRUITLESS = {"message": ("error", "headline"), "presence": (None, "unavailable", "error"), "iq": ("result", "error")}


class BlockingOptions(Options, frozen=True):
    """Lets accounts block others (XEP-0191). Stands before `[modules.roster]` and `[modules.carbons]`, which then see nothing
    of what is blocked. The table may be empty: it switches the module on."""

    max_items: Annotated[int, Meta(ge=1, description="How many addresses one account may block.", examples=[200])] = 1000


class Blocking(Module):
    """Nothing comes from who is blocked, nothing goes to him, and to him the account looks as if it were off line.

    An account and its server are never hidden from each other, whatever its list says.
    """

    options = BlockingOptions
    features = (NS,)
    account_features = (NS,)

    def __init__(self, host: Host, options: BlockingOptions) -> None:
        super().__init__(host, options)
        self._most = options.max_items
        self._lists: dict[str, frozenset[str]] = {}
        """Of every connected account, from before its first resource is bound."""
        self._recent: OrderedDict[str, frozenset[str]] = OrderedDict()
        """Of some others."""
        self._farewells: set[tuple[str, str]] = set()
        """Presence that tells who is being blocked that the account is gone."""
        self._numbers = count(1)

    # The list.

    @iq("get", f"{{{NS}}}blocklist", target="account")
    def show(self, stanza: Stanza) -> Element:
        """Who asks hears of each change from now on (XEP-0191, 3.2 and 3.3)."""
        account = _owner(stanza)
        resource, blocked = self.host.resource(str(stanza.sender)), self._lists.get(account)
        if resource is None or blocked is None:  # its session ended while this waited for its turn
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        resource.wants.add(NS)
        return items("blocklist", sorted(blocked))

    @iq("set", f"{{{NS}}}block", target="account")
    async def block(self, stanza: Stanza) -> Stanza:
        """Who could see the account until now is told that it is gone (XEP-0191, 3.3)."""
        account, jids = _owner(stanza), read_items(_command(stanza))
        if not jids:
            raise StanzaError(StanzaCondition.BAD_REQUEST, text="Found no item; wanted at least one address to block.")
        await self.keep(JID.parse(account), _COLLECTION, dict.fromkeys(jids, b""), most=self._most)
        before = self._lists.get(account, _NOBODY)
        now = self._change(account, before.union(jids))
        for resource in self._available(account):
            for to in self._seeing(resource):
                if self._blocks(now, resource.session.jid, to) and not self._blocks(before, resource.session.jid, to):
                    self._farewells.add((resource.full, str(to)))
                    gone = {"from": resource.full, "to": str(to), "type": "unavailable"}
                    self.host.route(Stanza("presence", NS_CLIENT, gone))
        return self._pushed(stanza, items("block", jids))

    @iq("set", f"{{{NS}}}unblock", target="account")
    async def unblock(self, stanza: Stanza) -> Stanza:
        """These, or without items all; who may see the account is told that it is there (XEP-0191, 3.4 and 3.5)."""
        account, jids = _owner(stanza), read_items(_command(stanza))
        wanted = jids or self._lists.get(account, _NOBODY)
        await self.keep(JID.parse(account), _COLLECTION, dict.fromkeys(wanted, None))
        before = self._lists.get(account, _NOBODY)
        now = self._change(account, before.difference(wanted))
        for resource in self._available(account):
            assert resource.presence is not None  # or it would not be available
            for watcher in map(JID.parse, self.host.watchers(account)):
                if self._blocks(before, resource.session.jid, watcher) and not self._blocks(now, resource.session.jid, watcher):
                    self.host.route(resource.presence.with_attributes(to=str(watcher)))
        return self._pushed(stanza, items("unblock", jids))

    def _change(self, account: str, blocked: frozenset[str]) -> frozenset[str]:
        if account in self._lists:  # else its last session ended while storage was at work
            self._lists[account] = blocked
        self._recent.pop(account, None)
        return blocked

    def _available(self, account: str) -> Iterator[Resource]:
        return (resource for resource in self.host.resources(account) if resource.presence is not None)

    def _seeing(self, resource: Resource) -> Iterator[JID]:
        """Who knows that the resource is there: subscribers, and whom it told itself (RFC 6121, 4.6)."""
        told = (to for to, available in resource.directed.items() if available)
        return map(JID.parse, {*self.host.watchers(str(resource.session.jid.bare)), *told})

    def _pushed(self, stanza: Stanza, command: Element) -> Stanza:
        """The answer, and the change for each resource that has asked for the list; returns the last of these stanzas."""
        account = _owner(stanza)
        push = Stanza.from_element(Element("iq", NS_CLIENT, {"from": account, "type": "set"}, [command]))
        last = stanza.reply()
        for resource in self.host.resources(account):
            if NS in resource.wants:
                self.host.route(last)
                last = push.with_attributes(to=resource.full, id=f"block-{next(self._numbers)}")
        return last

    # Lists in memory.

    @session("binding")
    async def prepare(self, account: JID) -> None:
        """Have the list at hand."""
        if str(account) not in self._lists:
            found = await self._read(account)
            self._lists.setdefault(str(account), found)

    @session("left")
    def left(self, account: JID) -> None:
        """The list is among the recent ones now, for there may be stanzas that are about to be routed; that of an account
        that is gone is not."""
        blocked = self._lists.pop(str(account), None)
        self._recent.pop(str(account), None)
        if blocked is not None:
            self._remember(str(account), blocked)

    async def _read(self, account: JID) -> frozenset[str]:
        return frozenset(await self.host.records.read(account, _COLLECTION))

    def _remember(self, account: str, blocked: frozenset[str]) -> None:
        self._recent[account] = blocked
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def _known(self, account: str) -> frozenset[str] | None:
        found = self._lists.get(account)
        return self._recent.get(account) if found is None else found

    # What is kept from whom.

    @hook("sent")
    def sent(self, stanza: Stanza) -> Stanza | None:
        """A client cannot write to whom its account has blocked (XEP-0191, 3.3)."""
        blocked = self._lists.get(stanza.attributes["from"].partition("/")[0])
        if not blocked or not self._blocks(blocked, stanza.sender, stanza.to):
            return stanza
        resource = self.host.resource(stanza.attributes["from"])
        if resource is not None and stanza.type not in ("error", "result"):
            text = f"{stanza.to} is blocked. Unblock it first."
            error = StanzaError(StanzaCondition.NOT_ACCEPTABLE, specific=BLOCKED, text=text)
            resource.session.deliver(stanza.error(error))  # routed it would be as blocked as all that comes from there
        return None

    @hook("routed")
    def routed(self, stanza: Stanza) -> Stanza | None:
        """Nothing comes from who is blocked; presence that the server sends for the account does not reach him."""
        to = stanza.attributes.get("to")
        if to is None:
            return stanza
        blocked = self._lists.get(to.partition("/")[0])
        if blocked is None and (account := self._absent(stanza)) is not None:
            blocked = self._known(str(account))
            if blocked is None and stanza.type not in _FRUITLESS[stanza.kind]:
                self.host.hold(stanza, self._look_up(account, stanza))
                return None
        if blocked and self._blocks(blocked, stanza.to, stanza.sender):
            _refuse(stanza)
            return None
        if stanza.kind == "presence" and not self._may_show(stanza):
            return None
        return stanza

    def _absent(self, stanza: Stanza) -> JID | None:
        """The account that a stanza is for: it is not connected, or written in another way."""
        to = stanza.to
        return to.bare if to is not None and to.local and to.domain in self.host.domains else None

    async def _look_up(self, account: JID, stanza: Stanza) -> None:
        self._remember(str(account), await self._read(account))
        self.host.route(stanza)

    def _may_show(self, presence: Stanza) -> bool:
        sender, to = presence.attributes.get("from", ""), presence.attributes["to"]
        blocked = self._known(sender.partition("/")[0])
        if not blocked or not self._blocks(blocked, presence.sender, presence.to):
            return True
        if (sender, to) not in self._farewells:
            return False
        self._farewells.discard((sender, to))
        return True

    @blocks
    def is_blocked(self, account: str, jid: JID) -> bool:
        """For other modules, about connected accounts."""
        return self._blocks(self._lists.get(account, _NOBODY), JID.parse(account), jid)

    def _blocks(self, blocked: frozenset[str], account: JID | None, other: JID | None) -> bool:
        """Whether a list hides the two from each other; never an account from itself or from its server."""
        if (
            not blocked
            or account is None
            or other is None
            or (other.domain == account.domain and other.local in ("", account.local))
        ):
            return False
        return covers(blocked, other)


def _owner(stanza: Stanza) -> str:
    """Whose list it is about."""
    owner_only(stanza)
    assert stanza.sender is not None  # or it would not be the owner's
    return str(stanza.sender.bare)


def _command(stanza: Stanza) -> Element:
    return next(stanza.element.elements())


def _refuse(stanza: Stanza) -> None:
    """As if nobody were there: presence gets no answer, a request and a message an error (XEP-0191, 3.3)."""
    if stanza.kind != "presence" and stanza.type not in _FRUITLESS[stanza.kind]:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
