"""Multicast DNS by python-zeroconf, which has threads of its own: what is called here blocks, and is called back elsewhere.

What it does not do: it neither sees that a name is taken in another spelling, nor can it write names with dots (L4, L10).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from ipaddress import ip_address

import ifaddr
from zeroconf import (  # type: ignore[attr-defined]  # two are there for all, but not in its `__all__`
    BadTypeInNameException,
    DNSOutgoing,
    DNSQuestion,
    Error,
    IPVersion,
    NonUniqueNameException,
    ServiceInfo,
    ServiceListener,
    ServiceNameAlreadyRegistered,
    Zeroconf,
)

from xmppfed.e2e.linklocal.addresses import zoned
from xmppfed.e2e.linklocal.discovery import PeerNotFound, Place
from xmppfed.e2e.linklocal.interfaces import Interface, addresses_of, chosen
from xmppfed.e2e.linklocal.names import host_label
from xmppfed.e2e.linklocal.txt import LinkPresence, read_txt
from xmppfed.errors import DiscoveryError

__all__ = ["SERVICE", "MulticastResponder"]

SERVICE = "_presence._tcp.local."
_PTR, _IN, _QUERY = 12, 1, 0  # RFC 1035, 3.2 and 4.1.1


class MulticastResponder:
    """Publishes on the wanted interfaces, and hears what others publish there. Raises DiscoveryError."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self._wanted = wanted
        interfaces = chosen(_interfaces(), wanted)
        self.addresses = addresses_of(interfaces)
        self._host = f"{host_label()}.local."
        self._published: dict[str, ServiceInfo] = {}
        try:
            self._zeroconf = _opened(interfaces)
        except (OSError, RuntimeError) as error:
            raise DiscoveryError(f"no multicast DNS on {', '.join(self.addresses)}: {error}") from error

    def listen(self, heard: Callable[[str, LinkPresence], None], gone: Callable[[str], None]) -> None:
        """Tell of everybody who is there, and who goes, in a thread of its own."""
        self._zeroconf.add_service_listener(SERVICE, _Listener(heard, gone))

    def register(self, instance: str, port: int, strings: Mapping[str, bytes]) -> bool:
        """Publish, if nobody has the name; that takes a while (RFC 6762, 8)."""
        info = self._info(instance, port, strings)
        try:
            self._zeroconf.register_service(info)
        except (NonUniqueNameException, ServiceNameAlreadyRegistered):
            return False
        except Error as error:
            raise DiscoveryError(f"{instance} was not published: {error!r}") from error
        self._published[instance] = info
        return True

    def update(self, instance: str, port: int, strings: Mapping[str, bytes]) -> None:
        """Publish something else under a name of ours, with the addresses that we have now."""
        self._published[instance] = info = self._info(instance, port, strings)
        try:
            self._zeroconf.update_service(info)
        except Error as error:
            raise DiscoveryError(f"{instance} was not published anew: {error!r}") from error

    def unregister(self, instance: str) -> None:
        """Say goodbye for a name of ours."""
        try:
            self._zeroconf.unregister_service(self._published.pop(instance))
        except Error as error:
            raise DiscoveryError(f"{instance} could not be withdrawn: {error!r}") from error

    def locate(self, instance: str, seconds: float) -> Future[Place | None]:
        """Ask where somebody is; records that are still valid are not asked for again (RFC 6762, 10). This does not block, and
        canceled it asks no further. Raises PeerNotFound for what can be nobody's name."""
        try:
            info = ServiceInfo(SERVICE, f"{instance}.{SERVICE}")
        except BadTypeInNameException as error:
            raise PeerNotFound(f"{instance!r} can be nobody's name: {error}") from None
        assert self._zeroconf.loop is not None
        return asyncio.run_coroutine_threadsafe(self._ask(info, seconds), self._zeroconf.loop)

    def close(self) -> None:
        """Say goodbye for all names of ours, and hear nothing any more."""
        try:
            self._zeroconf.close()
        except Error as error:
            raise DiscoveryError(f"no goodbye was said: {error!r}") from error

    async def _ask(self, info: ServiceInfo, seconds: float) -> Place | None:
        """Where somebody is, if they have told at least a port and an address (L5)."""
        if "." in info.get_name():
            # The question would be cut at the dots. Whoever answers this one adds the records that we want (RFC 6763, 12.1).
            question = DNSOutgoing(_QUERY)
            question.add_question(DNSQuestion(SERVICE, _PTR, _IN))
            self._zeroconf.async_send(question)
        try:
            await info.async_request(self._zeroconf, seconds * 1000)
        except Error as error:
            raise DiscoveryError(f"{info.get_name()} was not asked for: {error!r}") from error
        addresses = zoned(info.parsed_scoped_addresses(), self.addresses)
        return Place(info.port, addresses) if info.port and addresses else None

    def _info(self, instance: str, port: int, strings: Mapping[str, bytes]) -> ServiceInfo:
        self.addresses = addresses_of(chosen(_interfaces(), self._wanted))
        return ServiceInfo(
            SERVICE,
            f"{instance}.{SERVICE}",
            port,
            properties=dict(strings),
            server=self._host,
            addresses=[ip_address(address).packed for address in self.addresses],
        )


class _Listener(ServiceListener):
    def __init__(self, heard: Callable[[str, LinkPresence], None], gone: Callable[[str], None]) -> None:
        self._heard, self._gone = heard, gone

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """What the record says is read where it has come, and not asked for (L7)."""
        try:
            info = ServiceInfo(type_, name)
        except BadTypeInNameException:
            return  # a name that RFC 6763, 4.1.1, forbids
        info.load_from_cache(zc)
        self._heard(info.get_name(), read_txt(info.properties))

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Another record has come."""
        self.add_service(zc, type_, name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Goodbye, or not heard of for too long."""
        self._gone(name[: -len(type_) - 1])


def _opened(interfaces: Sequence[Interface]) -> Zeroconf:
    """IPv4 is named by its addresses, IPv6 by the numbers of interfaces."""
    addresses = addresses_of(interfaces)
    v4 = [address for address in addresses if ":" not in address]
    v6 = list({each.index: None for each in interfaces if any(":" in address for address in each.addresses)})
    version = IPVersion.All if v4 and v6 else IPVersion.V6Only if v6 else IPVersion.V4Only
    return Zeroconf(interfaces=[*v4, *v6], ip_version=version)


def _interfaces() -> list[Interface]:
    return [
        Interface(adapter.name, adapter.index or 0, tuple(_address(ip.ip) for ip in adapter.ips))
        for adapter in ifaddr.get_adapters()
        if adapter.ips
    ]


def _address(ip: str | tuple[str, int, int]) -> str:
    """An address as we write it; ifaddr gives IPv6 in three parts."""
    if isinstance(ip, str):
        return ip
    return f"{ip[0]}%{ip[2]}" if ip[2] else ip[0]
