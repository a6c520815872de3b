"""Who hears what peers say, and who knows where they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from xmppfed.core.stanza import Stanza
from xmppfed.e2e.connecting import Place
from xmppfed.e2e.stream import PeerStream
from xmppfed.errors import StanzaError

__all__ = ["Audience", "Whereabouts"]


class Audience(Protocol):
    """Who hears what peers say."""

    def received(self, peer: PeerStream, stanza: Stanza) -> None:
        """A stanza of a peer, with both addresses; `peer` says who that is, and how we know."""
        ...

    def returned(self, stanza: Stanza, error: StanzaError) -> None:
        """A stanza of ours that did not get through."""
        ...

    def met(self, peer: PeerStream) -> None:
        """A stream with a peer stands."""
        ...

    def parted(self, name: str) -> None:
        """No stream with a peer stands any more."""
        ...


class Whereabouts(Protocol):
    """Where peers are."""

    def endpoint(self, name: str) -> Place:
        """Where a peer is connected to. Raises StreamEnded when nobody knows."""
        ...

    async def names_at(self, address: str) -> Collection[str] | None:
        """Who is announced at an IP address, and may speak from there without TLS; None when everybody may. Raises TrustRefused
        when nobody may speak from there, not even under TLS."""
        ...
