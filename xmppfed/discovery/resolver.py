"""Asks the DNS through twisted.names, on the reactor it is given: addresses, SRV and TXT records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.error import CannotListenError, ConnectError
from twisted.internet.protocol import Protocol
from twisted.names import client, dns
from twisted.names.error import (
    DNSFormatError,
    DNSNameError,
    DNSNotImplementedError,
    DNSQueryRefusedError,
    DNSServerError,
    DomainError,
)
from twisted.names.hosts import searchFileForAll
from twisted.python.filepath import FilePath

from xmppfed.discovery.candidates import interleaved
from xmppfed.discovery.records import Records, Service
from xmppfed.discovery.shared import together
from xmppfed.discovery.urls import is_address, shown
from xmppfed.errors import DiscoveryError

__all__ = ["MAX_ADDRESSES", "MAX_ALIASES", "MAX_RECORDS", "TIMEOUT", "Resolver"]

TIMEOUT = 10
"""Seconds for a name, whatever its servers do."""
MAX_ADDRESSES = 16
MAX_RECORDS = 16
"""SRV or TXT records of one name that are looked at."""
MAX_ALIASES = 8
"""Aliases (CNAME) that are followed from one name."""
_RETRIES = (1, 2, 4)
"""Seconds that each name server has to answer, round by round."""
_DNS_PORT = 53
_FIXED_TTL = 86_400
"""Of what is not from the DNS: an address, or the hosts file."""
_CODES: dict[type[DomainError], str] = {
    DNSFormatError: "FORMERR",
    DNSServerError: "SERVFAIL",
    DNSNotImplementedError: "NOTIMP",
    DNSQueryRefusedError: "REFUSED",
}

T = TypeVar("T")


class _TCPFactory(client.DNSClientFactory):
    """For answers too large for UDP; twisted.names' own factory would take the global reactor."""

    def __init__(self, controller: client.Resolver, reactor: Any) -> None:
        super().__init__(controller, _RETRIES[-1])
        self._reactor = reactor
        self._stopped = False
        self.noisy = False

    def buildProtocol(self, addr: object) -> Protocol | None:
        """Nothing, which ends the connection, for one that comes when nobody waits any more."""
        if self._stopped:
            return None
        protocol: Protocol = dns.DNSProtocol(self.controller, self._reactor)
        protocol.factory = self
        return protocol

    def stop(self) -> None:
        """End every connection, and those that are still being made."""
        self._stopped = True
        for connection in list(self.controller.connections):
            connection.transport.abortConnection()


class Resolver:
    """Asks the hosts file for addresses, then the name servers of resolv.conf; both are read every time: edits count.

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

    async def addresses(self, host: str) -> Records[str]:
        """The addresses of an ASCII host name, IPv6 and IPv4 in turn (RFC 8305, 4), at most 16; an address is its own.

        Raises DiscoveryError when there is none, or none within 10 s.
        """
        if is_address(host):
            return Records((host,), _FIXED_TTL)
        listed = searchFileForAll(self._hosts, host.encode("ascii"))
        if listed:
            return Records(tuple(listed)[:MAX_ADDRESSES], _FIXED_TTL)
        answers = await together(self._ask_or_tell(host, kind) for kind in (dns.AAAA, dns.A))
        known = [answer for answer in answers if answer.found]
        if not known:
            reasons = dict.fromkeys(answer.nothing for answer in answers)
            raise DiscoveryError(f"{shown(host)} has no address: {'; '.join(reasons)}")
        found = interleaved(address for answer in known for address in answer.found)
        return Records(found[:MAX_ADDRESSES], min(answer.ttl for answer in known))

    async def services(self, name: str) -> Records[Service]:
        """The SRV records of an ASCII name, at most 16. Raises DiscoveryError when no server can say."""
        return await self._ask(name, dns.SRV, _service)

    async def texts(self, name: str) -> Records[str]:
        """The TXT records of an ASCII name, at most 16. Raises DiscoveryError when no server can say."""
        return await self._ask(name, dns.TXT, _text)

    async def _ask_or_tell(self, host: str, kind: int) -> Records[str]:
        """The addresses of one family: where nobody could say, the other may still be known."""
        try:
            return await self._ask(host, kind, _address)
        except DiscoveryError as error:
            return Records((), 0, str(error))

    async def _ask(self, name: str, kind: int, read: Callable[[Any], T]) -> Records[T]:
        """The records of a name, `read` one by one. No such name, and none of this kind, are answers without records."""
        try:
            return await Deferred.fromCoroutine(self._follow(name, kind, read)).addTimeout(TIMEOUT, self._reactor)
        except DNSNameError:
            return Records((), 0, "the name does not exist")
        except DeferredTimeoutError:
            raise DiscoveryError(f"no name server answered within {TIMEOUT} s") from None
        except DomainError as error:
            raise DiscoveryError(f"the name servers said {_CODES.get(type(error), type(error).__name__)}") from None
        except (ConnectError, CannotListenError) as error:
            raise DiscoveryError(f"the name servers could not be asked: {error}") from None

    async def _follow(self, name: str, kind: int, read: Callable[[Any], T]) -> Records[T]:
        """Where a server has not followed an alias to its end, we ask for the end."""
        names, ttl = [name.lower()], _FIXED_TTL
        while True:
            asked = names[-1]
            answers = await self._look_up(asked, kind)
            _add_aliases(names, answers)
            used = [answer for answer in answers if _owner(answer) in names]
            ttl = min([ttl, *(answer.ttl for answer in used)])
            payloads: list[Any] = [answer.payload for answer in used if answer.type == kind and _owner(answer) == names[-1]]
            if payloads:
                return Records(tuple(map(read, payloads[:MAX_RECORDS])), ttl)
            if names[-1] == asked:
                return Records((), 0, f"there is no {dns.QUERY_TYPES[kind]} record")

    async def _look_up(self, name: str, kind: int) -> list[dns.RRHeader]:
        """The answers of the first server that gives some. No socket outlives the question."""
        resolver: Any = client.Resolver(None, self._servers(), _RETRIES, self._reactor)
        factory = resolver.factory = _TCPFactory(resolver, self._reactor)
        try:
            answers, _, _ = await resolver.query(dns.Query(name, kind))
        finally:
            factory.stop()
        return [answer for answer in answers if answer.cls == dns.IN]

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


def _add_aliases(names: list[str], answers: Sequence[dns.RRHeader]) -> None:
    """Add where the last of the names leads by the aliases among the answers; records of other names prove nothing.

    Raises DiscoveryError for aliases that lead in a circle, or to no end.
    """
    aliases: list[Any] = [answer for answer in answers if answer.type == dns.CNAME]
    targets = {_owner(alias): _written(alias.payload.name) for alias in aliases}
    while names[-1] in targets:
        target = targets[names[-1]]
        if target in names:
            raise DiscoveryError(f"its aliases (CNAME) lead in a circle, from {shown(names[-1])} back to {shown(target)}")
        if len(names) > MAX_ALIASES:
            raise DiscoveryError(f"it has more than {MAX_ALIASES} aliases (CNAME), at last {shown(target)}")
        names.append(target)


def _owner(answer: dns.RRHeader) -> str:
    return _written(answer.name)


def _written(name: dns.Name) -> str:
    return name.name.decode("latin-1").lower().removesuffix(".")


def _address(payload: Any) -> str:
    return str(ip_address(payload.address))


def _service(payload: Any) -> Service:
    return Service(_written(payload.target), payload.port, payload.priority, payload.weight)


def _text(payload: Any) -> str:
    return b"".join(payload.data).decode("utf-8", "replace")
