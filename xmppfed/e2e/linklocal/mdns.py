"""Peers on the same network, by multicast DNS (XEP-0174, RFC 6762): python-zeroconf in its own threads, we in the reactor's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xmppfed.e2e.linklocal.discovery import Peer, Place, Watcher
from xmppfed.e2e.linklocal.names import InstanceName, folded
from xmppfed.e2e.linklocal.roster import Roster
from xmppfed.e2e.linklocal.txt import LinkPresence, write_txt
from xmppfed.errors import DiscoveryError
from xmppfed.storage.threads import OneThread, RunInThread
from xmppfed.timeouts import Timeouts

__all__ = ["Responder", "ZeroconfDiscovery", "open_responder"]


AGAIN = 1.5
"""Seconds after which a change is said once more. What others heard within a second before it they keep beside it
(RFC 6762, 10.2), and would show for an hour; a second announcement, more than a second later, ends that (8.3)."""
_TIMEOUTS = Timeouts()


class Responder(Protocol):
    """What answers and asks on the link. It blocks, but for `locate`; each instance that it is told is one of ours."""

    addresses: tuple[str, ...]

    def listen(self, heard: Callable[[str, LinkPresence], None], gone: Callable[[str], None]) -> None:
        """Call these, in any thread, for whoever is there, ourselves included."""

    def register(self, instance: str, port: int, strings: Mapping[str, bytes]) -> bool:
        """Publish; False where the name is taken."""

    def update(self, instance: str, port: int, strings: Mapping[str, bytes]) -> None:
        """Publish something else."""

    def unregister(self, instance: str) -> None:
        """Say goodbye for one."""

    def locate(self, instance: str, seconds: float) -> Future[Place | None]:
        """Ask where somebody is, until the answer is canceled."""

    def close(self) -> None:
        """Say goodbye for all, and end."""


def open_responder(interfaces: Sequence[str]) -> Responder:
    """python-zeroconf on these interfaces. Raises DiscoveryError, also where it is not installed."""
    try:
        from xmppfed.e2e.linklocal.responder import MulticastResponder
    except ModuleNotFoundError as error:
        raise DiscoveryError(
            f"found no module {error.name!r}, which finds peers on the link; install it: pip install 'xmppfed[linklocal]'"
        ) from error
    return MulticastResponder(interfaces)


class ZeroconfDiscovery:
    """A `PresenceDiscovery` on the networks of this host. `interfaces` are names or addresses (`eth0`, `127.0.0.1`); all but
    loopback where none is given. It is started once, and stopped for good, also where the start was canceled.

    Nothing personal is published but what the presence says (L21). The host name that is published is a random one of our
    own, and every address of the interfaces belongs to it (L4, X5).
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        interfaces: Sequence[str] = (),
        *,
        timeouts: Timeouts = _TIMEOUTS,
        make: Callable[[Sequence[str]], Responder] = open_responder,
        run_in_thread: RunInThread | None = None,
    ) -> None:
        self._reactor = reactor
        self._interfaces = interfaces
        self._timeouts = timeouts
        self._make = make
        self._run = run_in_thread or OneThread(reactor, "link")
        self._opened: Responder | None = None
        self._responder: Responder | None = None
        self._ended = False
        self._roster = Roster()
        self._published: dict[str, tuple[str, int]] = {}
        self._unsaid: dict[str, LinkPresence] = {}
        self._again: dict[str, IDelayedCall] = {}

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Who else is there."""
        return self._roster.peers

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """The addresses that were published last, while anything is."""
        return self._responder.addresses if self._responder and self._published else ()

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell of who is there, and of what happens."""
        return self._roster.watch(watcher)

    async def start(self) -> None:
        """Open the sockets and listen. Raises DiscoveryError."""
        try:
            self._responder = responder = await self._run(self._open)
        except DiscoveryError:
            self._end()
            raise
        heard, gone = (
            partial(self._reactor.callFromThread, self._told, each) for each in (self._roster.heard, self._roster.gone)
        )
        await self._run(partial(responder.listen, heard, gone))

    async def stop(self) -> None:
        """Say goodbye, as long as that may take (L14)."""
        if self._ended:
            return
        for key in tuple(self._again):
            self._say_no_more(key)
        self._responder = None
        self._roster.close()
        try:
            await self._run(self._close).addTimeout(self._timeouts.link_goodbye, self._reactor)
        except TimeoutError:
            self.log.warn("the link was left before a goodbye was said")
            self._ended = True  # and the thread ends when it can: waiting for it is what takes too long
            return
        except DiscoveryError as error:
            self.log.warn("the link was left without a goodbye: {error}", error=error)
        self._end()

    async def publish(self, name: InstanceName, port: int, presence: LinkPresence) -> InstanceName:
        """Make somebody of ours known, after a look whether the name is free: that takes some seconds."""
        own = InstanceName.made(name.user, name.machine)
        strings = write_txt(presence, port)
        while not await self._registered(str(own), port, strings):
            own = own.renamed()
        self._published[folded(str(own))] = str(own), port
        return own

    async def update(self, name: InstanceName, presence: LinkPresence) -> None:
        """Tell something else of somebody of ours; of what follows fast only the last is told."""
        key = folded(str(name))
        say = partial(self._say, self._started(), key, *self._published[key])
        self._unsaid[key] = presence
        self._say_no_more(key)
        self._again[key] = self._reactor.callLater(AGAIN, self._say_again, key, presence, say)
        await self._run(say)

    async def withdraw(self, name: InstanceName) -> None:
        """Say goodbye for somebody of ours."""
        key = folded(str(name))
        instance, _ = self._published.pop(key)
        self._say_no_more(key)
        await self._run(partial(self._started().unregister, instance))
        self._roster.release(instance)

    async def resolve(self, instance: str, seconds: float) -> Place:
        """Where a peer is, by records that are valid now."""
        return await self._roster.answer(instance, self._answer(self._started().locate(instance, seconds)), seconds)

    async def _registered(self, instance: str, port: int, strings: Mapping[str, bytes]) -> bool:
        """Whether the name is ours now."""
        if self._roster.taken(instance):
            return False
        self._roster.claim(instance)
        try:
            registered = await self._run(partial(self._started().register, instance, port, strings))
        except DiscoveryError:
            self._roster.leave(instance)
            raise
        (self._roster.confirm if registered else self._roster.leave)(instance)
        return registered

    def _say(self, responder: Responder, key: str, instance: str, port: int) -> None:
        """In the thread: tell what was to be told last, unless that was done meanwhile."""
        presence = self._unsaid.pop(key, None)
        if presence is not None:
            responder.update(instance, port, write_txt(presence, port))

    def _say_again(self, key: str, presence: LinkPresence, say: Callable[[], None]) -> None:
        """Tell once more what was told last."""
        del self._again[key]
        self._unsaid[key] = presence
        self._run(say).addErrback(lambda failure: self.log.failure("a change was not said again", failure))

    def _say_no_more(self, key: str) -> None:
        """What was told last was not the last, or there is nothing more to tell."""
        if (again := self._again.pop(key, None)) is not None:
            again.cancel()

    def _answer(self, future: Future[Place | None]) -> Deferred[Place | None]:
        """The answer in the reactor's thread."""

        def cancel(_: Deferred[Place | None]) -> None:
            future.cancel()

        def answer() -> None:
            if future.cancelled() or answered.called:
                answered.cancel()
            elif (error := future.exception()) is not None:
                answered.errback(error)
            else:
                answered.callback(future.result())

        answered: Deferred[Place | None] = Deferred(cancel)
        future.add_done_callback(lambda _: self._reactor.callFromThread(answer))
        return answered

    def _told(self, tell: Callable[..., None], *what: Any) -> None:
        """In the reactor's thread: what was heard, unless we have stopped."""
        if self._responder is not None:
            tell(*what)

    def _open(self) -> Responder:
        """In the thread. What is opened is noted at once, for who starts us may not wait for it."""
        self._opened = self._make(self._interfaces)
        return self._opened

    def _close(self) -> None:
        """In the thread."""
        if self._opened is not None:
            self._opened.close()

    def _end(self) -> None:
        self._ended = True
        if isinstance(self._run, OneThread):
            self._run.stop()

    def _started(self) -> Responder:
        if self._responder is None:
            raise DiscoveryError("the discovery was not started, or was stopped")
        return self._responder
