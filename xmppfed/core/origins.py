"""Who counts as one by the address that a connection comes from."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address

__all__ = ["origin"]


def origin(address: str) -> str:
    """What counts as one: with IPv6 the network of a subscriber, who can use 2^64 addresses at will (RFC 6177)."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:  # the peer on a Unix socket
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False))
