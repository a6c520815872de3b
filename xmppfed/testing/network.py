"""A network in memory under one clock, on which production Twisted code runs unchanged.

Give `network.reactor` to code that wants a reactor or a clock, then let the network run::

    network = Network()
    TCP4ServerEndpoint(network.reactor, 5222, interface="192.0.2.1").listen(server_factory)
    connecting = TCP4ClientEndpoint(network.reactor, "192.0.2.1", 5222).connect(client_factory)
    network.pump()

The transports are Twisted's own; only the sockets below them are ours. Nothing moves but in `pump` and `advance`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IConnector
from zope.interface import directlyProvides, providedBy

from xmppfed.testing.loop import ROUNDS
from xmppfed.testing.reactor import MemoryReactor
from xmppfed.testing.resolver import Resolver
from xmppfed.testing.wire import Link, canonical

__all__ = ["Network"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _every(link: Link) -> bool:
    return True


class _Host:
    """The reactor, but for where connections come from."""

    def __init__(self, reactor: MemoryReactor, address: str) -> None:
        self._reactor, self._address = reactor, address
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: tuple[str, int] | None = None
    ) -> IConnector:
        own = None if ":" in host else (self._address, 0)
        return self._reactor.connectTCP(host, port, factory, timeout, bindAddress or own)


class Network:
    """Hosts, wires and one clock. Addresses need not be set up: who listens on one exists.

    `reactor` is for the code under test, `resolver.hosts` is its DNS. Connections come from 127.0.0.1 or ::1 when they
    go to a loopback address, otherwise from 198.51.100.1 or 2001:db8::1, unless `bindAddress` says where from.
    """

    def __init__(self) -> None:
        self.resolver = Resolver()
        self.reactor = MemoryReactor(self.resolver)

    @property
    def links(self) -> list[Link]:
        """The connections that are open on one side at least, or on their way, the oldest first."""
        return list(self.reactor.wiring.links)

    def host(self, address: str) -> Any:
        """The reactor as a host with this IPv4 address has it: its connections come from there, unless they say otherwise."""
        return _Host(self.reactor, address)

    def pump(self, rounds: int = ROUNDS) -> None:
        """Make the calls that are due and deliver what arrived until all is quiet, without letting time pass.

        Raises AssertionError when it is not quiet after so many rounds; in a round, each socket reads and writes once.
        """
        self.reactor.run_until_quiet(rounds)

    def advance(self, seconds: float) -> None:
        """Let time pass, from one due call or arrival to the next, and pump at each."""
        self.reactor.advance(seconds)

    def split(self, size: int | None) -> None:
        """Deliver at most `size` bytes at a time from now on; None for as many as there are."""
        self.reactor.wiring.largest_read = size

    def delay(self, seconds: float) -> None:
        """Have everything sent from now on arrive so much later, in order; connecting takes as long once."""
        self.reactor.wiring.latency = seconds

    def blackhole(self, *addresses: str) -> None:
        """Never answer who connects to these addresses from now on."""
        self.reactor.wiring.blackholes.update(canonical(address) for address in addresses)

    def separate(self, one: str, other: str) -> None:
        """Never answer from now on who connects from one of these addresses to the other; connections stay."""
        self.reactor.wiring.separated.add(frozenset((canonical(one), canonical(other))))

    def rejoin(self) -> None:
        """Let everybody be reached again who was separated or fell into a black hole."""
        self.reactor.wiring.separated.clear()
        self.reactor.wiring.blackholes.clear()

    def cut(self, which: Callable[[Link], bool] = _every) -> int:
        """Reset connections, so that both sides lose them (ConnectionLost) at the next pump; returns how many.

        As with real sockets, a side that has paused reading learns it when it resumes, or writes.
        """
        found = [link for link in self.links if which(link)]
        for link in found:
            link.cut()
        return len(found)

    def freeze(self, which: Callable[[Link], bool] = _every) -> int:
        """Deliver nothing more on connections, and close none: half-open, as when a cable breaks; returns how many."""
        found = [link for link in self.links if which(link)]
        for link in found:
            link.frozen = True
        return len(found)

    def run_in_thread(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
        """Stands in for `deferToThread`: the function runs at the next pump, and never beside anything else."""
        finished: Deferred[_T] = Deferred()
        self.reactor.callFromThread(lambda: execute(function, *args, **kwargs).chainDeferred(finished))
        return finished

    def leftovers(self) -> list[str]:
        """What is still there, one line each: delayed calls, open connections, listening ports."""
        now = self.reactor.seconds()
        calls = [f"in {call.getTime() - now:g} s: {call}" for call in self.reactor.getDelayedCalls()]
        return calls + [str(found) for found in self.reactor.wiring.sockets.values()]

    def check_clean(self) -> None:
        """Raises AssertionError with the `leftovers`, if there are any."""
        if left := self.leftovers():
            raise AssertionError("\n".join(["The network is not clean:", *left]))
