"""Which addresses may be connected to on the word of a stranger: public ones, and networks the operator listed.

Whoever controls a domain's DNS or host-meta chooses where we connect. Judge what was resolved, and connect to what was
judged. The tables follow the IANA registries of special-purpose addresses; `ipaddress.is_global` is not used because it
differs between versions of Python, and gives no reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["Network", "judge", "refusal"]

Network = IPv4Network | IPv6Network

_SPECIAL: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), what)
    for network, what in (
        ("0.0.0.0/32", "the unspecified address"),
        ("0.0.0.0/8", "an address of this network"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a carrier-grade NAT address"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.31.196.0/24", "a reserved address"),
        ("192.52.193.0/24", "a reserved address"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private address"),
        ("192.175.48.0/24", "a reserved address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "the unspecified address"),
        ("::1/128", "a loopback address"),
        ("64:ff9b:1::/48", "a local-use NAT64 address"),
        ("2001:2::/48", "a benchmarking address"),
        ("2001:10::/28", "an ORCHID"),
        ("2001:20::/28", "an ORCHID"),
        ("2001:db8::/32", "a documentation address"),
        ("3fff::/20", "a documentation address"),
        ("fc00::/7", "a unique local address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_V4_COMPATIBLE = IPv6Network("::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_TEREDO = IPv6Network("2001::/32")


def refusal(address: str, allowed: Sequence[Network]) -> str | None:
    """Why `address` (text) must not be connected to, or None when it may be.

    Addresses that carry an IPv4 address (IPv4-mapped, 6to4, NAT64, Teredo) are judged by that one too. What a network
    in `allowed` contains is never refused.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return f"{address[:60]!r} is not an IP address"
    found = _what(ip, allowed)
    if found is None:
        return None
    return f"{address} is {found}; list its network in allow_private_addresses if it may be connected to"


def judge(addresses: Iterable[str], allowed: Sequence[Network]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The addresses that may be connected to, and for each of the others the reason."""
    passed: list[str] = []
    reasons: list[str] = []
    for address in addresses:
        reason = refusal(address, allowed)
        if reason is None:
            passed.append(address)
        else:
            reasons.append(reason)
    return tuple(passed), tuple(reasons)


def _what(ip: IPv4Address | IPv6Address, allowed: Sequence[Network]) -> str | None:
    """What kind of address this is, when it is one that nobody may lead us to."""
    if any(ip in network for network in allowed):
        return None
    if isinstance(ip, IPv6Address) and ip.scope_id is not None:
        return "an address with a zone"
    for network, what in _SPECIAL:
        if ip in network:
            return f"{what} ({network})"
    return None if isinstance(ip, IPv4Address) else _what_inside(ip, allowed)


def _what_inside(ip: IPv6Address, allowed: Sequence[Network]) -> str | None:
    """What is wrong with the IPv4 addresses inside, or with an address that is not global unicast (RFC 4291, 2.4)."""
    embedded = _embedded(ip)
    for inner in embedded:
        what = _what(inner, allowed)
        if what is not None:
            return f"the IPv6 form of {inner}, which is {what}"
    return None if embedded or ip in _GLOBAL_UNICAST else "not a global unicast address"


def _embedded(ip: IPv6Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that packets to this address may end at."""
    if ip.ipv4_mapped is not None:
        return (ip.ipv4_mapped,)
    if ip.sixtofour is not None:
        return (ip.sixtofour,)
    if ip in _NAT64 or ip in _V4_COMPATIBLE:
        return (IPv4Address(int(ip) & 0xFFFFFFFF),)
    return (ip.teredo or ()) if ip in _TEREDO else ()
