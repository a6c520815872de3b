"""Host names to addresses through twisted.names, on the reactor it is given."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Any

from twisted.internet.defer import CancelledError, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.protocol import Protocol
from twisted.names import client, dns
from twisted.names.error import DNSNameError
from twisted.names.hosts import searchFileForAll
from twisted.python.filepath import FilePath

from xmppfed.discovery.urls import is_address, shown
from xmppfed.errors import DiscoveryError

__all__ = ["MAX_ADDRESSES", "TIMEOUT", "Resolver"]

TIMEOUT = 10
"""Seconds for a host name, whatever its servers do."""
MAX_ADDRESSES = 16
_RETRIES = (1, 2, 4)
"""Seconds that each name server has to answer, round by round."""
_DNS_PORT = 53


class _TCPFactory(client.DNSClientFactory):
    """For answers too large for UDP; twisted.names' own factory would take the global reactor."""

    def __init__(self, controller: client.Resolver, reactor: Any) -> None:
        super().__init__(controller, _RETRIES[-1])
        self._reactor = reactor
        self.noisy = False

    def buildProtocol(self, addr: object) -> Protocol:
        protocol: Protocol = dns.DNSProtocol(self.controller, self._reactor)
        protocol.factory = self
        return protocol


class Resolver:
    """Asks the hosts file, then the name servers of resolv.conf; both are read at every look-up: edits count.

    `reactor` provides IReactorUDP, IReactorTCP and IReactorTime. `servers` (address and port) replaces resolv.conf.
    Nothing is cached here: `Discovery` keeps its answers, with the addresses it judged.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        hosts: str = "/etc/hosts",
        resolv_conf: str = "/etc/resolv.conf",
        servers: tuple[tuple[str, int], ...] = (),
    ) -> None:
        self._reactor = reactor
        self._hosts = FilePath(hosts)
        self._resolv_conf = FilePath(resolv_conf)
        self._given_servers = servers

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses of an ASCII host name, IPv6 and IPv4 in turn (RFC 8305, 4), at most 16; an address is its own.

        Raises DiscoveryError when there is none, or none within 10 s.
        """
        if is_address(host):
            return (host,)
        listed = searchFileForAll(self._hosts, host.encode("ascii"))
        if listed:
            return tuple(listed)[:MAX_ADDRESSES]
        return await self._ask(host)

    async def _ask(self, host: str) -> tuple[str, ...]:
        resolver: Any = client.Resolver(None, self._servers(), _RETRIES, self._reactor)
        resolver.factory = _TCPFactory(resolver, self._reactor)
        try:
            questions = [resolver.lookupIPV6Address(host), resolver.lookupAddress(host)]
            deadlines = [question.addTimeout(TIMEOUT, self._reactor) for question in questions]
            answers = await DeferredList(deadlines, consumeErrors=True)
        finally:
            for connection in list(resolver.connections):
                connection.transport.abortConnection()
        if any(isinstance(error, CancelledError) for error in _errors(answers)):
            raise CancelledError  # Whoever asked gave up: half an answer must not let them go on.
        ipv6, ipv4 = (_records(result) if succeeded else [] for succeeded, result in answers)
        found = [address for address in chain(*zip_longest(ipv6, ipv4)) if address is not None]
        if not found:
            raise DiscoveryError(f"{shown(host)} has no address: {_why(answers)}")
        return tuple(found)[:MAX_ADDRESSES]

    def _servers(self) -> list[tuple[str, int]]:
        if self._given_servers:
            return list(self._given_servers)
        try:
            lines = self._resolv_conf.getContent().decode("ascii", "replace").splitlines()
        except OSError:
            lines = []
        words = [line.split() for line in lines]
        named = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver" and is_address(word[1])]
        return [(address, _DNS_PORT) for address in named or ["127.0.0.1"]]


def _records(result: tuple[list[dns.RRHeader], list[dns.RRHeader], list[dns.RRHeader]]) -> list[str]:
    """The addresses among the answers; a recursive server has followed aliases, their records are skipped."""
    payloads: list[Any] = [record.payload for record in result[0] if record.type in (dns.A, dns.AAAA)]
    return [str(ip_address(payload.address)) for payload in payloads]


def _errors(answers: list[tuple[bool, Any]]) -> list[BaseException]:
    return [result.value for succeeded, result in answers if not succeeded]


def _why(answers: list[tuple[bool, Any]]) -> str:
    """The reason worth telling: a name that does not exist, a silence, whatever else failed, or an empty answer."""
    errors = _errors(answers)
    if any(isinstance(error, DNSNameError) for error in errors):
        return "the name does not exist"
    if any(isinstance(error, DeferredTimeoutError) for error in errors):
        return f"no name server answered within {TIMEOUT} s"
    return f"the name servers said {type(errors[0]).__name__}" if errors else "there is neither an A nor an AAAA record"
