"""Who on the link a connection may come from: a peer that says no name is known by its address alone (M4, E5)."""

from __future__ import annotations

from twisted.internet.defer import Deferred, gatherResults

from xmppfed.e2e.linklocal.addresses import same_host
from xmppfed.e2e.linklocal.discovery import Peer, PeerNotFound, PresenceDiscovery

__all__ = ["peers_at"]


async def peers_at(discovery: PresenceDiscovery, source: str, seconds: float) -> tuple[Peer, ...]:
    """The peers that advertise the address `source` (see `addresses.host_of`) now. Who does not answer within so many seconds
    is at no address.

    One peer there is a hint who speaks; none means that the connection comes from nobody on the link.
    """
    asked = [Deferred.fromCoroutine(_is_at(discovery, peer, source, seconds)) for peer in discovery.peers]
    found = await gatherResults(asked)
    return tuple(peer for peer in found if peer is not None)


async def _is_at(discovery: PresenceDiscovery, peer: Peer, source: str, seconds: float) -> Peer | None:
    try:
        place = await discovery.resolve(peer.instance, seconds)
    except PeerNotFound:
        return None
    return peer if any(same_host(source, address) for address in place.addresses) else None
