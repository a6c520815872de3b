"""Messages for accounts that are off line (XEP-0160): kept, and delivered when somebody is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppfed.core.delay import delayed
from xmppfed.core.lastused import LastUsed
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.offline import Fate, fate
from xmppfed.core.parser import parse_stored
from xmppfed.extend import (
    JID,
    CollectionFull,
    Host,
    Module,
    NoSuchAccount,
    Options,
    Resource,
    Stanza,
    StanzaCondition,
    StanzaError,
    message,
    presence,
    session,
)

__all__ = ["Offline", "OfflineOptions"]

_COLLECTION = "offline"
_MOST_IDLE = 10_000  # accounts that are not connected, of whose boxes we know the size


class OfflineOptions(Options, frozen=True):
    """Keeps messages for accounts that are off line (XEP-0160). The table may be empty: it switches the module on."""

    max_messages: Annotated[
        int, Meta(ge=1, description="How many messages are kept for one account; more are refused.", examples=[100])
    ] = 1000
    max_bytes: Annotated[
        int, Meta(ge=10_000, description="How many bytes of messages are kept for one account.", examples=[100_000])
    ] = 1_048_576


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    stanza: Stanza
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class _Delivery:
    """Messages that a resource was sent and has not confirmed."""

    resource: Resource
    messages: dict[str, _Kept]


@dataclass(slots=True, eq=False)
class _Box:
    """What is kept for one account: how much, and, while the account is connected, what."""

    size: int | None = None
    """Bytes; None until storage was asked."""
    last: int = 0
    waiting: dict[str, _Kept] | None = None
    """What is to be delivered, in its order; None while nobody is connected."""
    deliveries: list[_Delivery] = field(default_factory=list)

    def next_key(self, now: float) -> str:
        """A key behind all others, also when the clock was set back."""
        self.last = max(self.last + 1, int(now * 1_000_000))
        return f"{self.last:020d}"


class Offline(Module):
    """A message is on disk before its sender can know that it was taken, and is removed when a client has shown that it got
    it. In between it may be delivered twice, if a client dies while it gets it."""

    options = OfflineOptions
    features = ("msgoffline",)
    log = Logger()

    def __init__(self, host: Host, options: msgspec.Struct) -> None:
        super().__init__(host, options)
        assert isinstance(options, OfflineOptions)
        self._most, self._most_bytes = options.max_messages, options.max_bytes
        self._boxes: LastUsed[_Box] = LastUsed(_Box, host.is_connected, _MOST_IDLE)

    @message("undeliverable")
    async def take(self, stanza: Stanza) -> None:
        """Keep a message, if it is worth it. No account and a full box look alike, and take the same way."""
        match fate(stanza):
            case Fate.DROPPED:
                return
            case Fate.REFUSED:
                raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        account, now = _account(stanza), self.host.clock.seconds()
        kept = delayed(stanza.with_attributes(to=str(account)), account.domain, now, "Offline Storage")
        data = kept.to_bytes(NS_CLIENT)
        with self._boxes.using(str(account)) as box:
            if box.size is None:
                await self._read(account, box)
            key = box.next_key(now)
            await self._store(account, box, key, data)
            if box.waiting is not None:  # Somebody has come meanwhile, who may be waiting for it.
                box.waiting[key] = _Kept(kept, len(data))
                self._deliver_to_anybody(account, box)

    async def _read(self, account: JID, box: _Box) -> dict[str, bytes]:
        """What storage has for an account."""
        records = await self.host.records.read(account, _COLLECTION)
        if box.size is None:
            box.size = sum(map(len, records.values()))
            box.last = max([box.last, *map(int, records)])
        return records

    async def _store(self, account: JID, box: _Box, key: str, data: bytes) -> None:
        size = (box.size or 0) + len(data)
        most = self._most if size <= self._most_bytes else 0
        box.size = size
        try:
            await self.host.records.change(account, _COLLECTION, {key: data}, most=most)
        except (NoSuchAccount, CollectionFull):
            box.size -= len(data)
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE) from None

    # Delivery.

    @session("binding")
    async def prepare(self, account: JID) -> None:
        """Have at hand what is to be delivered, before anybody can become available."""
        with self._boxes.using(str(account)) as box:
            if box.waiting is None:
                records = await self._read(account, box)
                if box.waiting is None:
                    box.waiting = {key: _Kept(parse_stored(data), len(data)) for key, data in records.items()}

    @presence("own")
    def own(self, stanza: Stanza, resource: Resource) -> None:
        """The first resource of non-negative priority gets everything."""
        box = self._boxes.get(str(resource.session.jid.bare))
        if resource.presence is not None and resource.priority >= 0 and box is not None and box.waiting:
            self._deliver(resource.session.jid.bare, box, resource)

    def _deliver_to_anybody(self, account: JID, box: _Box) -> None:
        listening = [each for each in self.host.resources(str(account)) if each.presence is not None and each.priority >= 0]
        if listening and box.waiting:
            self._deliver(account, box, max(listening, key=lambda each: each.priority))

    def _deliver(self, account: JID, box: _Box, resource: Resource) -> None:
        """Send all that waits, and ask for a sign that it was got."""
        assert box.waiting is not None
        delivery = _Delivery(resource, box.waiting)
        box.waiting = {}
        box.deliveries.append(delivery)
        for kept in delivery.messages.values():
            resource.session.deliver(kept.stanza)
        resource.session.confirm(partial(self._confirmed, account, box, delivery))

    def _confirmed(self, account: JID, box: _Box, delivery: _Delivery) -> None:
        if delivery in box.deliveries:
            box.deliveries.remove(delivery)
            Deferred.fromCoroutine(self._remove(account, box, delivery)).addErrback(self._not_removed, account)

    async def _remove(self, account: JID, box: _Box, delivery: _Delivery) -> None:
        with self._boxes.using(str(account)):
            await self.host.records.change(account, _COLLECTION, dict.fromkeys(delivery.messages))
            if box.size is not None:
                box.size -= sum(kept.size for kept in delivery.messages.values())

    def _not_removed(self, failure: Failure, account: JID) -> None:
        if failure.check(NoSuchAccount) is None:
            self.log.failure("delivered messages of {account} are still stored; they will come again", failure, account=account)

    @session("ended")
    def ended(self, resource: Resource) -> None:
        """What a resource has not confirmed goes to another that is there, or waits for the next."""
        account = resource.session.jid.bare
        box = self._boxes.get(str(account))
        if box is None or box.waiting is None:
            return
        for delivery in [each for each in box.deliveries if each.resource is resource]:
            box.deliveries.remove(delivery)
            box.waiting = {**delivery.messages, **box.waiting}
        self._deliver_to_anybody(account, box)

    @session("left")
    def left(self, account: JID) -> None:
        """Storage has all of it."""
        box = self._boxes.get(str(account))
        if box is not None:
            box.waiting = box.size = None
        self._boxes.discard(str(account))


def _account(stanza: Stanza) -> JID:
    to = stanza.to
    assert to is not None  # it could not be delivered there
    return to.bare
