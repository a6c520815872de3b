"""The `Whereabouts` of somebody on a link: peers are where a discovery finds them, and who calls has to be announced there."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IStreamClientEndpoint

from xmppfed.discovery.shared import SharedWork
from xmppfed.e2e.endpoints import LinkLocalEndpoint
from xmppfed.e2e.linklocal.arriving import peers_at
from xmppfed.e2e.linklocal.discovery import PresenceDiscovery
from xmppfed.e2e.linklocal.names import folded
from xmppfed.timeouts import Timeouts

__all__ = ["Neighborhood"]

_SOON = 5.0
"""Seconds: longer than peers wait before they call again."""
_LOOKS = 2
"""For who calls from so many addresses we look around at once."""
_TIMEOUTS = Timeouts()


class Neighborhood:
    """Peers are called what they are called on the link, and are looked for anew each time (L15)."""

    def __init__(self, reactor: Any, discovery: PresenceDiscovery, timeouts: Timeouts = _TIMEOUTS) -> None:
        self._reactor = reactor
        self._discovery = discovery
        self._timeouts = timeouts
        self._called: dict[str, tuple[float, list[str]]] = {}
        self._looks: SharedWork[Collection[str]] = SharedWork()
        self._turns = DeferredSemaphore(_LOOKS)

    def endpoint(self, name: str) -> IStreamClientEndpoint:
        """See `Whereabouts.endpoint`. Who is not there is missed only when the endpoint connects.

        Who is called again so soon has refused us at the address where it took the connection: the next is another one.
        """
        now = self._reactor.seconds()
        self._called = {key: lately for key, lately in self._called.items() if now - lately[0] < _SOON}
        _, tried = self._called.get(folded(name), (now, []))
        self._called[folded(name)] = now, tried
        return LinkLocalEndpoint(self._reactor, self._discovery, name, self._timeouts, tried=tried)

    async def names_at(self, address: str) -> Collection[str]:
        """See `Whereabouts.names_at`: nobody may call from an address that nobody advertises (M4)."""
        return await self._looks.join(address, partial(self._look_around, address))

    async def _look_around(self, address: str) -> Collection[str]:
        """Everybody on the link is asked: not more often than it takes, whoever calls how often."""
        await self._turns.acquire()
        try:
            found = await peers_at(self._discovery, address, self._timeouts.link_arrival)
        finally:
            self._turns.release()
        return [peer.instance for peer in found]
