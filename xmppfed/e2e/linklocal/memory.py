"""A link in memory, for tests: several discoveries share it, and time passes on the clock it is given.

For instance, with `network = xmppfed.testing.Network()`::

    link = MemoryLink(network.reactor)
    juliet, romeo = link.discovery("192.0.2.1"), link.discovery("192.0.2.2")
    for discovery in (juliet, romeo):
        Deferred.fromCoroutine(discovery.start())
    Deferred.fromCoroutine(juliet.publish(InstanceName.made("juliet", "pronto"), 5298, LinkPresence()))
    network.pump()
    assert [peer.instance for peer in romeo.peers] == ["juliet@pronto"]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from xmppfed.e2e.linklocal.discovery import Peer, Place, Watcher
from xmppfed.e2e.linklocal.names import InstanceName, folded
from xmppfed.e2e.linklocal.roster import Roster
from xmppfed.e2e.linklocal.txt import LinkPresence
from xmppfed.errors import DiscoveryError

__all__ = ["MemoryDiscovery", "MemoryLink"]


@dataclass(frozen=True, slots=True)
class _Published:
    owner: MemoryDiscovery
    name: InstanceName
    port: int
    presence: LinkPresence


class MemoryLink:
    """What is said here is heard by all, the speaker too, `delay` seconds later, and never at once."""

    def __init__(self, clock: IReactorTime, delay: float = 0.0) -> None:
        self.clock = clock
        self.delay = delay
        self.published: dict[str, _Published] = {}
        self.members: list[MemoryDiscovery] = []
        self._questions: dict[Deferred[Place | None], tuple[str, tuple[IDelayedCall, ...]]] = {}

    def discovery(self, *addresses: str) -> MemoryDiscovery:
        """Another host on the link, with these addresses."""
        return MemoryDiscovery(self, addresses)

    def say(self, said: _Published) -> None:
        """Make something known, and answer those who asked for it."""
        key = folded(str(said.name))
        self.published[key] = said
        for member in self.members:
            self.clock.callLater(self.delay, member.hear, said)
        for question, (wanted, _) in self._questions.items():
            if wanted == key:
                self.clock.callLater(self.delay, self._answer, question)

    def goodbye(self, name: InstanceName) -> None:
        """Somebody leaves; nobody hears of it who has left before."""
        if self.published.pop(folded(str(name)), None) is not None:
            for member in self.members:
                self.clock.callLater(self.delay, member.hear_goodbye, name)

    def ask(self, instance: str, seconds: float) -> Deferred[Place | None]:
        """Where somebody is, as soon as they are there; None after so many seconds."""
        question: Deferred[Place | None] = Deferred(self._end)
        first = self.clock.callLater(self.delay, self._answer, question)
        last = self.clock.callLater(seconds, self._give_up, question)
        self._questions[question] = (folded(instance), (first, last))
        return question

    def _answer(self, question: Deferred[Place | None]) -> None:
        if question in self._questions and (said := self.published.get(self._questions[question][0])):
            self._end(question)
            question.callback(Place(said.port, said.owner.addresses))

    def _give_up(self, question: Deferred[Place | None]) -> None:
        self._end(question)
        question.callback(None)

    def _end(self, question: Deferred[Place | None]) -> None:
        for call in self._questions.pop(question)[1]:
            if call.active():
                call.cancel()


class MemoryDiscovery:
    """One host on a link in memory: a `PresenceDiscovery`. `addresses` may change at any time."""

    def __init__(self, link: MemoryLink, addresses: tuple[str, ...]) -> None:
        self.addresses = addresses
        self._link = link
        self._roster = Roster()

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Who else is there."""
        return self._roster.peers

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """The addresses, while somebody is published."""
        return self.addresses if any(said.owner is self for said in self._link.published.values()) else ()

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell of who is there, and of what happens."""
        return self._roster.watch(watcher)

    async def start(self) -> None:
        """Join the link."""
        self._link.members.append(self)
        for said in self._link.published.values():
            self._link.clock.callLater(self._link.delay, self.hear, said)

    async def stop(self) -> None:
        """Leave the link."""
        for said in [said for said in self._link.published.values() if said.owner is self]:
            self._link.goodbye(said.name)
        self._link.members.remove(self)
        self._roster.close()

    async def publish(self, name: InstanceName, port: int, presence: LinkPresence) -> InstanceName:
        """Make somebody known, under the first name that is free. Raises DiscoveryError before `start`."""
        if self not in self._link.members:
            raise DiscoveryError("the discovery was not started")
        own = InstanceName.made(name.user, name.machine)
        while folded(str(own)) in self._link.published:
            own = own.renamed()
        self._roster.claim(str(own))
        self._link.say(_Published(self, own, port, presence))
        await deferLater(self._link.clock, self._link.delay)
        return own

    async def update(self, name: InstanceName, presence: LinkPresence) -> None:
        """Tell something else of somebody."""
        self._link.say(replace(self._link.published[folded(str(name))], presence=presence))

    async def withdraw(self, name: InstanceName) -> None:
        """Say goodbye for somebody."""
        self._roster.release(str(name))
        self._link.goodbye(name)

    async def resolve(self, instance: str, seconds: float) -> Place:
        """Where a peer is."""
        return await self._roster.answer(instance, self._link.ask(instance, seconds), seconds)

    def hear(self, said: _Published) -> None:
        """Called by the link."""
        if self in self._link.members and self._link.published.get(folded(str(said.name))) is said:
            self._roster.heard(str(said.name), said.presence)

    def hear_goodbye(self, name: InstanceName) -> None:
        """Called by the link."""
        self._roster.gone(str(name))
