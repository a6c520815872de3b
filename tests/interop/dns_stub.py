"""A name server for a private network: `python -m tests.interop.dns_stub ADDRESS PORT RECORD ...`.

A record is one argument: `NAME A ADDRESS`, `NAME SRV PRIORITY WEIGHT PORT TARGET`, or `NAME TXT TEXT`. The name `*` is
any other. Another type of a name that it knows is empty, and any other name does not exist. It prints what it is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import react
from twisted.names.common import ResolverBase
from twisted.names.dns import IN, QUERY_TYPES, DNSDatagramProtocol, Message, Record_A, Record_SRV, Record_TXT, RRHeader
from twisted.names.error import AuthoritativeDomainError
from twisted.names.server import DNSServerFactory

__all__ = ["Zone"]

_TTL = 5


def _srv(data: str) -> Record_SRV:
    priority, weight, port, target = data.split()
    return Record_SRV(int(priority), int(weight), int(port), target.rstrip("."), _TTL)


_TYPES: dict[str, Callable[[str], Any]] = {
    "A": lambda data: Record_A(data, _TTL),
    "SRV": _srv,
    "TXT": lambda data: Record_TXT(data.encode(), ttl=_TTL),
}


class Zone(ResolverBase):
    """Answers from a table of names."""

    def __init__(self, records: Iterable[str]) -> None:
        super().__init__()
        self._records: defaultdict[str, list[Any]] = defaultdict(list)
        for name, kind, data in (record.split(maxsplit=2) for record in records):
            self._records[name].append(_TYPES[kind](data))

    def _lookup(self, name: bytes, cls: int, type: int, timeout: Sequence[int]) -> Deferred[Any]:
        asked = name.decode("ascii", "replace").rstrip(".").lower()
        print(asked, QUERY_TYPES.get(type, type), flush=True)
        records = self._records.get(asked) or self._records.get("*")
        if records is None:
            return fail(AuthoritativeDomainError(name))
        found = [record for record in records if type == record.TYPE]
        return succeed(([RRHeader(name, type, IN, _TTL, record, auth=True) for record in found], [], []))


class Factory(DNSServerFactory):
    """Repeats in each answer that recursion was desired (RFC 1035, 4.1.1), without which Erlang does not believe it."""

    def sendReply(self, protocol: Any, message: Message, address: Any) -> None:
        """Send an answer."""
        message.recDes = True
        super().sendReply(protocol, message, address)


def main(reactor: Any, address: str, port: str, *records: str) -> Deferred[None]:
    """Answer by UDP and TCP for ever."""
    factory = Factory(authorities=[Zone(records)])
    reactor.listenUDP(int(port), DNSDatagramProtocol(factory), interface=address)
    reactor.listenTCP(int(port), factory, interface=address)
    return Deferred()


if __name__ == "__main__":
    import sys

    react(main, sys.argv[1:])
