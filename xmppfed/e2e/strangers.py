"""What becomes of those who are not let in, but may pair (T6)."""

from __future__ import annotations

from typing import Protocol

from xmppfed.core.stanza import Stanza
from xmppfed.e2e.host import Beneath, Host
from xmppfed.e2e.stream import PeerStream

__all__ = ["Nobody", "Strangers"]


class Strangers(Protocol):
    """Who looks after strangers, and after pairings."""

    def host(self, beneath: Beneath) -> Host | None:
        """Who takes the stream of a stranger, if one may come now: it is no peer's until they have paired."""
        ...

    def took(self, stream: PeerStream, stanza: Stanza) -> bool:
        """Whether a peer's stanza was one of a pairing, and for nobody else."""
        ...

    def parted(self, stream: PeerStream, reason: str) -> None:
        """The stream of a peer has ended."""
        ...


class Nobody:
    """There are no strangers where nobody pairs."""

    def host(self, beneath: Beneath) -> Host | None:
        """See `Strangers.host`."""
        return None

    def took(self, stream: PeerStream, stanza: Stanza) -> bool:
        """See `Strangers.took`."""
        return False

    def parted(self, stream: PeerStream, reason: str) -> None:
        """See `Strangers.parted`."""
