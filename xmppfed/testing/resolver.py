"""Names and addresses of a network in memory."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from xmppfed.errors import DiscoveryError

__all__ = ["Resolver"]


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Nothing is under way: the answer came before anyone could ask."""


@implementer(IHostnameResolver)
class Resolver:
    """Answers from the table `hosts`: name in lower case -> its addresses. An address is its own answer.

    It is the resolver of `xmppfed.discovery`, and the name resolver that Twisted's `HostnameEndpoint` asks.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, tuple[str, ...]] = {}

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses of a host, in the order of the table; raises DiscoveryError when it has none."""
        if found := self._find(host):
            return found
        raise DiscoveryError(f"{host} has no address: the resolver in memory knows {sorted(self.hosts) or 'no name'}.")

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
