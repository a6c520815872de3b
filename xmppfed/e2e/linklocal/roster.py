"""The peers that were heard of on a link: one entry for each, none for ourselves, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from xmppfed.e2e.linklocal.discovery import Peer, PeerAppeared, PeerChanged, PeerEvent, PeerGone, PeerNotFound, Place, Watcher
from xmppfed.e2e.linklocal.names import folded
from xmppfed.e2e.linklocal.txt import LinkPresence

__all__ = ["Roster"]


@dataclass(eq=False, slots=True)
class _Question:
    key: str
    answer: Deferred[Place | None]
    ended: str = ""
    """Why there will be no answer."""

    def end(self, why: str) -> None:
        self.ended = why
        self.answer.cancel()


MOST_PEERS = 1000
"""On one link; whoever says that there are more makes them up."""


class Roster:
    """Takes what a discovery hears, and tells its watchers what is new in it.

    A name that we try to get is `claimed`: whether it is we who are heard under it or somebody else is known only when the
    claim has ended, so nothing new is told of it until then.
    """

    log = Logger()

    def __init__(self) -> None:
        self._heard: dict[str, Peer] = {}
        self._told: dict[str, Peer] = {}
        self._claimed: set[str] = set()
        self._watchers: list[Watcher] = []
        self._questions: list[_Question] = []

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Who is there but ourselves."""
        return tuple(self._told.values())

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell `watcher` of who is there, and of what happens from now on, until what is returned is called."""
        self._watchers.append(watcher)
        for peer in self.peers:
            self._tell(watcher, PeerAppeared(peer))

        def stop() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

        return stop

    def heard(self, instance: str, presence: LinkPresence) -> None:
        """Somebody is there, or is there still; the first spelling of a name is kept (L10). There are bounds to how many we
        believe in."""
        key = folded(instance)
        known = self._heard.get(key)
        if known is None and len(self._heard) >= MOST_PEERS:
            return
        self._heard[key] = Peer(known.instance if known else instance, presence)
        self._compare(key)

    def gone(self, instance: str) -> None:
        """Somebody has left; who asks where they are learns it now (L14)."""
        key = folded(instance)
        self._heard.pop(key, None)
        self._compare(key)
        for question in [question for question in self._questions if question.key == key]:
            question.end("said goodbye")

    def taken(self, instance: str) -> bool:
        """Whether a name is somebody's, or one of ours: publishers that compare its case do not see that (L10)."""
        key = folded(instance)
        return key in self._heard or key in self._claimed

    def claim(self, instance: str) -> None:
        """We try to get this name."""
        self._claimed.add(folded(instance))

    def confirm(self, instance: str) -> None:
        """The name is ours: nobody is heard under it but we (L6)."""
        if (peer := self._told.pop(folded(instance), None)) is not None:
            self._tell_all(PeerGone(peer))

    def leave(self, instance: str) -> None:
        """The name is somebody else's: what was heard under it was they."""
        key = folded(instance)
        self._claimed.discard(key)
        self._compare(key)

    def release(self, instance: str) -> None:
        """The name was ours, and is free."""
        key = folded(instance)
        self._heard.pop(key, None)
        self._claimed.discard(key)

    async def answer(self, instance: str, answer: Deferred[Place | None], seconds: float) -> Place:
        """The `answer` to the question where a peer is, which is canceled when they leave (L14). Raises PeerNotFound then, and
        where it is None."""
        question = _Question(folded(instance), answer)
        self._questions.append(question)
        try:
            place = await answer
        except CancelledError:
            if not question.ended:
                raise
            raise PeerNotFound(f"{instance!r} {question.ended}") from None
        finally:
            self._questions.remove(question)
        if place is None:
            others = ", ".join(sorted(repr(peer.instance) for peer in self.peers)) or "nobody"
            raise PeerNotFound(f"looked for {instance!r} for {seconds:g} s; found {others}")
        return place

    def close(self) -> None:
        """Nothing is heard any more, so nothing is answered."""
        for question in tuple(self._questions):
            question.end("was looked for until the discovery was stopped")

    def _compare(self, key: str) -> None:
        """Tell what is heard under a name, if it is not what was told."""
        heard, told = self._heard.get(key), self._told.get(key)
        if key in self._claimed or heard == told:
            return
        if heard is not None:
            self._told[key] = heard
            self._tell_all(PeerChanged(heard) if told else PeerAppeared(heard))
        elif told is not None:
            del self._told[key]
            self._tell_all(PeerGone(told))

    def _tell_all(self, event: PeerEvent) -> None:
        for watcher in tuple(self._watchers):
            self._tell(watcher, event)

    def _tell(self, watcher: Watcher, event: PeerEvent) -> None:
        with self.log.failuresHandled("a watcher of peers on the link failed at {event}", event=event):
            watcher(event)
