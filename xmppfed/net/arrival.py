"""What is known of a peer from its connection alone, before it says a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from xmppfed.net.peer import PeerCertificate

__all__ = ["LOCAL", "Arrival", "address_of", "host_of"]

LOCAL = "local"
"""What stands for the IP address of who comes through a Unix socket."""


def host_of(address: object) -> str:
    """The IP address in a Twisted address, or `LOCAL`."""
    return str(getattr(address, "host", LOCAL))


def address_of(transport: Any) -> str:
    """Where the peer of a transport is: its IP address, or `LOCAL`."""
    return host_of(transport.getPeer())


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
