"""Real multicast DNS on 127.0.0.1: who comes, changes, has a name that is taken, and leaves (XEP-0174)."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ServerEndpoint, clientFromString
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

from tests.interop.processes import PATIENCE
from tests.interop.scenario import Failure, Scenario, show
from xmppfed.e2e.linklocal.arriving import peers_at
from xmppfed.e2e.linklocal.discovery import PeerAppeared, PeerChanged, PeerEvent, PeerGone
from xmppfed.e2e.linklocal.mdns import ZeroconfDiscovery
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.txt import LinkPresence

__all__ = ["SCENARIOS"]

LOOPBACK = "127.0.0.1"
JULIET = InstanceName("juliet", "pronto")


class Watched(ZeroconfDiscovery):
    """A discovery, and what it has told."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor, [LOOPBACK])
        self._clock = reactor
        self._events: list[PeerEvent] = []
        self._more: Deferred[None] = Deferred()
        self.watch(self._note)

    def _note(self, event: PeerEvent) -> None:
        self._events.append(event)
        noted, self._more = self._more, Deferred()
        noted.callback(None)

    async def told(self, kind: type, instance: str) -> PeerEvent:
        """The first event of this kind about this peer, now or soon."""
        while True:
            for event in self._events:
                if isinstance(event, kind) and event.peer.instance == instance:
                    return event
            try:
                await self._more.addTimeout(PATIENCE, self._clock)
            except TimeoutError:
                raise Failure(f"wanted {kind.__name__} of {instance}; found {self._events}") from None


@asynccontextmanager
async def on_link(reactor: Any) -> AsyncIterator[Watched]:
    """A discovery that runs meanwhile."""
    discovery = Watched(reactor)
    await discovery.start()
    try:
        yield discovery
    finally:
        await discovery.stop()


def must(found: object, wanted: object, what: str) -> None:
    """Raise `Failure` unless both are equal."""
    if found != wanted:
        raise Failure(f"{what}: found {found!r}; wanted {wanted!r}")


async def one_process(reactor: Any) -> None:
    """Two discoveries see each other, one is renamed, a string connects to it, and its goodbye is heard."""
    port = await TCP4ServerEndpoint(reactor, 0, interface=LOOPBACK).listen(Factory.forProtocol(Protocol))
    async with on_link(reactor) as romeo:
        async with on_link(reactor) as juliet:
            own = await juliet.publish(JULIET, port.getHost().port, LinkPresence())
            await romeo.told(PeerAppeared, str(own))
            await taken(reactor, romeo)
            await juliet.update(own, LinkPresence(status="dnd", message="Reading \u00dcber"))
            changed = await romeo.told(PeerChanged, str(own))
            must(changed.peer.presence.message, "Reading \u00dcber", "what she says")
            place = await romeo.resolve("JULIET@pronto", 5)
            must((place.port, place.addresses), (port.getHost().port, (LOOPBACK,)), "where she is")
            must([peer.instance for peer in await peers_at(romeo, f"::ffff:{LOOPBACK}", 5)], [str(own)], "who is there")
            must([peer.instance for peer in juliet.peers], [], "whom she sees")
            await connected(reactor)
        await romeo.told(PeerGone, str(own))
        print("who leaves says goodbye")
    await port.stopListening()


async def taken(reactor: Any, romeo: Watched) -> None:
    """L4: a name is tried that nobody was heard under yet, and another is found; in another spelling, too."""
    async with on_link(reactor) as second:
        must(str(await second.publish(JULIET, 1, LinkPresence())), "juliet-1@pronto", "a name that is taken")
        must(str(await second.publish(InstanceName("Juliet", "PRONTO"), 1, LinkPresence())), "Juliet-2@PRONTO", "a name")
        await second.withdraw(InstanceName("Juliet-2", "PRONTO"))
        await romeo.told(PeerGone, "Juliet-2@PRONTO")
    await romeo.told(PeerGone, "juliet-1@pronto")
    print("a name that is taken gets a number")


async def connected(reactor: Any) -> None:
    """The endpoint of a string leads to her, and names her to whom it does not find."""
    protocol = await clientFromString(reactor, f"linklocal:juliet@pronto:interfaces={LOOPBACK}").connect(
        Factory.forProtocol(Protocol)
    )
    protocol.transport.abortConnection()
    begun = time.monotonic()
    try:
        await clientFromString(reactor, f"linklocal:tybalt@street:interfaces={LOOPBACK}:timeout=1").connect(Factory())
    except ConnectError as error:
        must("'juliet@pronto'" in str(error), True, f"{error} names her")
        print(f"{error} ({time.monotonic() - begun:.1f} s)")


async def two_processes(reactor: Any) -> None:
    """Somebody in a process of their own comes, changes and leaves."""
    command = [sys.executable, "-m", "tests.interop.linklocal_peer", "nurse@house", "5298"]
    async with on_link(reactor) as romeo:
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            try:
                await romeo.told(PeerAppeared, "nurse@house")
                process.stdin.write(b"say bidding\n")
                process.stdin.flush()
                changed = await romeo.told(PeerChanged, "nurse@house")
                must(changed.peer.presence, LinkPresence(status="away", message="bidding"), "what she says")
                process.stdin.close()
                await romeo.told(PeerGone, "nurse@house")
            finally:
                process.terminate()
    print("a process that ends says goodbye")


def _played(name: str) -> str:
    """Play it in a process with a reactor of its own."""
    played = subprocess.run([sys.executable, "-m", __name__, name], capture_output=True, text=True, timeout=3 * PATIENCE)
    if played.returncode != 0:
        raise Failure(played.stdout + played.stderr)
    show(played.stdout.rstrip())
    return ""


def _one(folder: Path) -> str:
    return _played("one_process")


def _two(folder: Path) -> str:
    return _played("two_processes")


SCENARIOS = [Scenario("link: discovery in one process", _one), Scenario("link: discovery in two processes", _two)]

if __name__ == "__main__":
    react(lambda reactor, name: Deferred.fromCoroutine(globals()[name](reactor)), sys.argv[1:])
