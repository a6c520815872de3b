"""What is known of a peer from its connection alone, before it says a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from xmppfed.net.peer import PeerCertificate

__all__ = ["Arrival"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a connection came in.

    `secure` says that TLS protects it, here or at a reverse proxy that the configuration names; `certificate` is the
    peer's, judged; `bindings` gives the channel bindings by type (RFC 5929, RFC 9266) of a domain of ours.
    """

    address: str
    secure: bool
    origin: str | None = None
    certificate: PeerCertificate | None = None
    bindings: Callable[[str], Mapping[str, bytes]] = lambda domain: {}
