"""Who is on the link (XEP-0174): what every kind of discovery offers, and what it tells.

A name, an address or a presence that was heard on the link is a hint, and proves nothing: anybody can say anything there.

What XEP-0174 also has and we have not: pictures in NULL records (L17), which python-zeroconf cannot publish; and wide-area
DNS-SD (L19), which would be one more class with these methods. Any port may be published (L18).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.error import ConnectError

from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.txt import LinkPresence

__all__ = [
    "Peer",
    "PeerAppeared",
    "PeerChanged",
    "PeerEvent",
    "PeerGone",
    "PeerNotFound",
    "Place",
    "PresenceDiscovery",
    "Watcher",
]


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody else on the link."""

    instance: str
    """The name as it was heard. It is opaque, and what `resolve` is asked for."""
    presence: LinkPresence

    @property
    def name(self) -> InstanceName:
        """The name in its two parts."""
        return InstanceName.parse(self.instance)


@dataclass(frozen=True, slots=True)
class PeerAppeared:
    """Somebody came. Of whom nothing but the name has come yet, the presence is the usual one (L5)."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerChanged:
    """Somebody tells something else of themselves: their presence has changed (L8)."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerGone:
    """Somebody said goodbye, or was not heard of for too long; `peer` is what was known last."""

    peer: Peer


PeerEvent = PeerAppeared | PeerChanged | PeerGone
Watcher = Callable[[PeerEvent], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer listens: the port of its SRV record, and its addresses, those on the link with a zone (`fe80::1%2`)."""

    port: int
    addresses: tuple[str, ...]


class PeerNotFound(ConnectError):
    """Nobody of this name answers on the link; the text says who does."""

    MESSAGE = "Nobody of this name answers on the link"

    def __init__(self, why: str) -> None:
        super().__init__(string=why)


class PresenceDiscovery(Protocol):
    """Makes ourselves known on a link, and tells of others there. Who starts one stops it.

    A peer is one peer, on however many interfaces it is seen (L15), and in whatever spelling of its name (L10). What we
    publish ourselves is never told (L6).
    """

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Who is there, in the order in which they came."""

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """The addresses that we advertise, and from which others expect us (M4): none while nothing is published."""

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell `watcher` of everybody who is there, at once, and then of what happens, in the reactor's thread. Returns what
        ends that."""

    async def start(self) -> None:
        """Begin to listen. Raises DiscoveryError where that is not possible here."""

    async def stop(self) -> None:
        """Say goodbye for everything that is published (L14), and hear nothing any more."""

    async def publish(self, name: InstanceName, port: int, presence: LinkPresence) -> InstanceName:
        """Make somebody of ours known. Returns the name that others see: another one where that was taken (L4)."""

    async def update(self, name: InstanceName, presence: LinkPresence) -> None:
        """Tell something else of somebody who is published under this name."""

    async def withdraw(self, name: InstanceName) -> None:
        """Say goodbye for somebody who is published under this name (L14)."""

    async def resolve(self, instance: str, seconds: float) -> Place:
        """Where a peer listens now. Ask when about to talk, and do not keep the answer (L7, L15).

        Raises PeerNotFound when nobody answers within so many seconds, or the peer says goodbye meanwhile. Canceled, it asks
        no further (L7).
        """
