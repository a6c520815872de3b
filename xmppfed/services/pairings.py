"""Pairing for the operator: one code for the whole server, whichever of its addresses the peer has called (T6)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from xmppfed.e2e.connecting import Local
from xmppfed.e2e.host import StreamEnded
from xmppfed.e2e.introductions import Introductions
from xmppfed.e2e.pairing import Codes
from xmppfed.e2e.peers import Peers
from xmppfed.e2e.trust import TrustStore
from xmppfed.services.control import CommandRefused

__all__ = ["Pairings"]


class Pairings:
    """Pairs whoever of us has end-to-end streams; see `acquaintances.Pairing`."""

    def __init__(self, local: Local, store: TrustStore) -> None:
        self._local = local
        self._store = store
        self._codes = Codes()
        self._homes: list[tuple[Peers, Introductions]] = []

    def add(self, peers: Peers) -> Callable[[], None]:
        """See `Pairing.add`."""
        home = (peers, Introductions(self._local, peers, self._store, self._codes))
        self._homes.append(home)
        return partial(self._homes.remove, home)

    def show(self) -> str:
        """See `Pairing.show`."""
        if not self._homes:
            raise CommandRefused("nobody here has end-to-end streams: no listener offers a domain, and no user is on the link")
        return self._homes[0][1].show()

    async def enter(self, peer: str, code: str) -> str:
        """See `Pairing.enter`: by whoever has a stream with the peer, or knows where it is."""
        for home, introductions in self._homes:
            if home.stream(peer) is not None:
                return await introductions.enter(peer, code)
        reasons = []
        for home, introductions in self._homes:
            try:
                home.endpoint(peer)
            except StreamEnded as nowhere:
                reasons.append(f"{home.address}: {nowhere}")
                continue
            return await introductions.enter(peer, code)
        raise CommandRefused(f"nobody here can reach {peer}. {'; '.join(reasons)}")
