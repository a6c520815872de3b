"""A name server for a private network: `python -m tests.interop.dns_stub ADDRESS PORT NAME=ADDRESS ...`.

It knows only A records; any other type of a known name is empty, and any other name does not exist.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import react
from twisted.names.common import ResolverBase
from twisted.names.dns import IN, A, DNSDatagramProtocol, Record_A, RRHeader
from twisted.names.error import AuthoritativeDomainError
from twisted.names.server import DNSServerFactory

__all__ = ["Zone"]

_TTL = 5


class Zone(ResolverBase):
    """Answers from a table of names."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        super().__init__()
        self._addresses = addresses

    def _lookup(self, name: bytes, cls: int, type: int, timeout: Sequence[int]) -> Deferred[Any]:
        address = self._addresses.get(name.decode("ascii", "replace").rstrip(".").lower())
        if address is None:
            return fail(AuthoritativeDomainError(name))
        record = RRHeader(name, A, IN, _TTL, Record_A(address, _TTL), auth=True)
        return succeed(([record] if type == A else [], [], []))


def main(reactor: Any, address: str, port: str, *names: str) -> Deferred[None]:
    """Answer by UDP and TCP for ever."""
    factory = DNSServerFactory(authorities=[Zone(dict(name.split("=", 1) for name in names))])
    reactor.listenUDP(int(port), DNSDatagramProtocol(factory), interface=address)
    reactor.listenTCP(int(port), factory, interface=address)
    return Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
