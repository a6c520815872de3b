"""What a stream asks of whom it belongs to, and what is known of it from its connection alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from xmppfed.core.ledger import Ledger
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.trust import Trust
from xmppfed.net.certificates import LoadedCertificate
from xmppfed.net.peer import PeerCertificate

if TYPE_CHECKING:
    from xmppfed.e2e.stream import PeerStream

__all__ = ["Beneath", "Choose", "Host", "StreamEnded"]


class StreamEnded(ConnectionError):
    """A stream that came to nothing; the text says why. It is `loud` when somebody may be posing as the peer; another try may
    do better where that is said `again`: the peer was there, and nobody refused anything."""

    def __init__(self, text: str, *, loud: bool = False, again: bool = False) -> None:
        super().__init__(text)
        self.loud = loud
        self.again = again


@dataclass(frozen=True, slots=True, kw_only=True)
class Beneath:
    """What lies beneath a stream: where its other end is, and what its TLS has shown, if it ends in this process."""

    address: str
    secure: bool = False
    certificate: PeerCertificate | None = None
    exporter: bytes = b""
    """The data of `tls-exporter` (RFC 9266), which is this connection's alone."""
    can_start_tls: bool = False
    names: frozenset[str] | None = None
    """Who is announced at the address, by `name_key`; None where anybody may come from anywhere."""


class Host(Protocol):
    """Who somebody here is: one address with its streams."""

    @property
    def address(self) -> str:
        """Our name to others."""
        ...

    @property
    def certificate(self) -> LoadedCertificate | None:
        """What we show; who has none speaks without TLS to those who call."""
        ...

    def judge(self, name: str, beneath: Beneath) -> Trust:
        """How a peer is known by what it shows, and by where it is. Raises TrustRefused."""
        ...

    def admit(self, name: str, beneath: Beneath) -> tuple[Host, Trust]:
        """As `judge`, for who calls us, and who takes its stream: a stranger, who may have come to pair, is not ours."""
        ...

    async def names_at(self, address: str) -> Collection[str] | None:
        """Who is announced at an IP address; None when anybody may come from anywhere. Raises TrustRefused when nobody may
        come from there."""
        ...

    def new_ledger(self, id: str) -> Ledger:
        """For a session that begins with this id, or cannot be resumed without one (XEP-0198)."""
        ...

    def former(self, name: str) -> Ledger | None:
        """The ledger of a session with a peer that we want to resume."""
        ...

    def find(self, name: str, id: str) -> Ledger:
        """The ledger of a session that a peer wants to resume. Raises StanzaError."""
        ...

    def established(self, stream: PeerStream) -> None:
        """Stanzas may pass."""
        ...

    def acknowledged(self, stream: PeerStream) -> None:
        """The peer has told how much it has handled."""
        ...

    def received(self, stream: PeerStream, stanza: Stanza) -> None:
        """A stanza of the peer, with both addresses."""
        ...

    def ended(self, stream: PeerStream, reason: str) -> None:
        """Nothing passes any more."""
        ...


Choose = Callable[[str | None], Host | None]
"""Who of us is meant by the `to` of a header, if anybody is."""
