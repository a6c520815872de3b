"""Which interfaces of this host are on the link that is meant, and the addresses it has there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from xmppfed.e2e.linklocal.addresses import same_host
from xmppfed.errors import DiscoveryError

__all__ = ["Interface", "addresses_of", "chosen"]


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface: `addresses` are IP addresses as text, those of IPv6 links with their zone."""

    name: str
    index: int
    addresses: tuple[str, ...]


def chosen(interfaces: Sequence[Interface], wanted: Iterable[str]) -> tuple[Interface, ...]:
    """The interfaces that are `wanted`, by name, or by an address, which is then the only one that is used.

    Where nothing is wanted in particular, all but loopback are; loopback too where there is nothing else. Raises DiscoveryError.
    """
    found = tuple(each for word in wanted for each in _named(interfaces, word))
    if found:
        return found
    outside = tuple(each for each in interfaces if not any(ip_address(address).is_loopback for address in each.addresses))
    if not (outside or interfaces):
        raise DiscoveryError("no interface of this host has an address")
    return outside or tuple(interfaces)


def addresses_of(interfaces: Iterable[Interface]) -> tuple[str, ...]:
    """Every address, each once."""
    return tuple(dict.fromkeys(address for each in interfaces for address in each.addresses))


def _named(interfaces: Sequence[Interface], word: str) -> tuple[Interface, ...]:
    by_name = tuple(each for each in interfaces if each.name == word)
    by_address = tuple(
        Interface(each.name, each.index, (address,))
        for each in interfaces
        for address in each.addresses
        if same_host(address, word)
    )
    if by_name or by_address:
        return by_name or by_address
    there = "; ".join(f"{each.name} ({', '.join(each.addresses)})" for each in interfaces)
    raise DiscoveryError(f"found no interface and no address {word!r} on this host; there are {there}")
