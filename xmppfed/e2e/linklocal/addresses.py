"""Addresses on a link: which of ours belongs to which of theirs, and whether two are the same (M4, X5).

Zones are numbers of interfaces (`fe80::1%2`), which mean something on this host alone. Some write names for them, and IPv4
addresses as IPv6 ones (`::ffff:192.0.2.1`): both are understood.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import zip_longest
from typing import Any

__all__ = ["Way", "host_of", "same_host", "source_for", "ways", "zoned"]

_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a peer: to an address of theirs, from one of ours, or from any where `source` is None."""

    address: str
    source: str | None


def host_of(peer: Any) -> str:
    """The address, with its zone as a number, of what `transport.getPeer()` says; "" where that is no IP address."""
    host = getattr(peer, "host", "")
    zone = getattr(peer, "scopeID", 0)
    return f"{host.partition('%')[0]}%{zone}" if zone else host


def same_host(one: str, other: str) -> bool:
    """Whether two addresses are the same. A zone counts where both have one; what is no address is nobody's."""
    try:
        first, second = _plain(one), _plain(other)
    except ValueError:
        return False
    return int(first) == int(second) and first.version == second.version and not _apart(first, second)


def source_for(address: str, own: Iterable[str]) -> str | None:
    """Which of our addresses a connection to `address` comes from: one of the same family and, on a link, of the same zone,
    with as much as possible of its beginning (RFC 6724, 5); None where there is none."""
    target = _plain(address)
    fitting = [candidate for candidate in own if _fits(_plain(candidate), target)]
    return max(fitting, key=lambda candidate: _common(_plain(candidate), target), default=None)


def ways(addresses: Collection[str], own: Iterable[str], tried: Sequence[str] = ()) -> tuple[Way, ...]:
    """How to reach a peer at these addresses, the best first: families in turn (RFC 8305, 4), but IPv4 before IPv6, for there are
    peers that know but one address of ours, and refuse the others. What we have no advertised address for comes behind, for the
    same reason (M4), and what has been `tried` at the end."""
    own = tuple(own)
    families = [[address for address in addresses if (":" in address) is v6] for v6 in (False, True)]
    in_turn = [address for pair in zip_longest(*families) for address in pair if address is not None]
    found = [Way(address, source_for(address, own)) for address in in_turn]
    turns = {address: turn for turn, address in enumerate(tried, 1)}
    return tuple(sorted(found, key=lambda way: (turns.get(way.address, 0), way.source is None)))


def zoned(addresses: Iterable[str], own: Iterable[str]) -> tuple[str, ...]:
    """The addresses, those on the link with a zone: what came without one may be in any zone of ours."""
    zones = tuple(dict.fromkeys(zone for address in own if (zone := _zone(_plain(address)))))
    found: list[str] = []
    for address in addresses:
        plain = _plain(address)
        lacking = plain.version == 6 and plain.is_link_local and not _zone(plain)
        found += [f"{address}%{zone}" for zone in zones] if lacking else [address]
    return tuple(dict.fromkeys(found))


def _plain(address: str) -> _Address:
    """An address in its own family. Raises ValueError."""
    found = ip_address(address)
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _zone(address: _Address) -> str:
    """The zone, if it is known by its number."""
    zone = (address.scope_id or "") if isinstance(address, IPv6Address) else ""
    return zone if zone.isdecimal() else ""


def _apart(one: _Address, other: _Address) -> bool:
    """Whether both are in zones that differ."""
    return bool(_zone(one) and _zone(other) and _zone(one) != _zone(other))


def _fits(own: _Address, target: _Address) -> bool:
    if own.version != target.version or own.is_loopback != target.is_loopback:
        return False
    on_link = own.version == 6 and (own.is_link_local or target.is_link_local)
    return not on_link or (own.is_link_local and target.is_link_local and not _apart(own, target))


def _common(own: _Address, target: _Address) -> int:
    """How many bits at the beginning are the same."""
    return own.max_prefixlen - (int(own) ^ int(target)).bit_length()
