"""The DNS of a network in memory: names, addresses, services."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from xmppfed.discovery.records import Records, Service
from xmppfed.errors import DiscoveryError

__all__ = ["TTL", "Resolver"]

TTL = 3600
"""Seconds for which every record holds."""


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Nothing is under way: the answer came before anyone could ask."""


@implementer(IHostnameResolver)
class Resolver:
    """Answers from tables by name in lower case: `hosts` has addresses, `srv` the records of services, `txt` texts. An
    address is its own answer.

    It is the `DNS` of `xmppfed.discovery`, and the name resolver that Twisted's `HostnameEndpoint` asks.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, tuple[str, ...]] = {}
        self.srv: dict[str, tuple[Service, ...]] = {}
        self.txt: dict[str, tuple[str, ...]] = {}

    async def addresses(self, host: str) -> Records[str]:
        """The addresses of a host, in the order of the table; raises DiscoveryError when it has none."""
        if found := self._find(host):
            return Records(found, TTL)
        raise DiscoveryError(f"{host} has no address: the resolver in memory knows {sorted(self.hosts) or 'no name'}.")

    async def services(self, name: str) -> Records[Service]:
        """The SRV records of a name such as `_xmpp-server._tcp.example.org`."""
        return Records(self.srv.get(name.lower(), ()), TTL, "the resolver in memory has none")

    async def texts(self, name: str) -> Records[str]:
        """The TXT records of a name."""
        return Records(self.txt.get(name.lower(), ()), TTL, "the resolver in memory has none")

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Tell the receiver each address of a wanted type, at once, for TCP."""
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        for host in self._find(hostName):
            address = (IPv6Address if ":" in host else IPv4Address)("TCP", host, portNumber)
            if addressTypes is None or type(address) in addressTypes:
                resolutionReceiver.addressResolved(address)
        resolutionReceiver.resolutionComplete()
        return resolution

    def _find(self, host: str) -> tuple[str, ...]:
        try:
            return (str(ip_address(host)),)
        except ValueError:
            return self.hosts.get(host.rstrip(".").lower(), ())
