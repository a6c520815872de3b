"""What is asked of the DNS, as values: whoever answers, the name servers or a table in a test, answers in these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["DNS", "Records", "Resolve", "Service"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Records(Generic[T]):
    """The records of one name and type, which hold for `ttl` seconds; where there are none, `nothing` says why."""

    found: tuple[T, ...]
    ttl: int
    nothing: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """An SRV record (RFC 2782). The target has no dot at its end; that of a service that is not offered is empty."""

    target: str
    port: int
    priority: int
    weight: int


Resolve = Callable[[str], Awaitable[Records[str]]]
"""The addresses of an ASCII host name, one at least; raises DiscoveryError."""


class DNS(Protocol):
    """Whom a server asks. No records are an answer; DiscoveryError is raised where nobody answered."""

    async def addresses(self, host: str) -> Records[str]:
        """The addresses of a host; raises DiscoveryError for one without."""

    async def services(self, name: str) -> Records[Service]:
        """The SRV records of a name such as `_xmpp-server._tcp.example.org`."""

    async def texts(self, name: str) -> Records[str]:
        """The TXT records of a name, the strings of each joined."""
