"""Two servers, contacts on both, and one of the servers is stopped or killed and started again: presence is true afterwards.

Bob and carol have the same server, alice another. Bob comes back after the restart, carol does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.interop.certificates import issue
from tests.interop.conversation import Figures, become_contacts, log_in, see_each_other
from tests.interop.namespace import A, B, apart, domains_known, trust_only
from tests.interop.ours import Ours, at_home, ours
from tests.interop.person import Account, Person, person
from tests.interop.programs import STROPHE
from tests.interop.scenario import Scenario

__all__ = ["SCENARIOS"]

_HOMES = {"alice": A, "bob": B, "carol": B}


class _World:
    """Both servers, which can be ended and started again, and the three people."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        certificates = issue(folder, A, B)
        trust_only(certificates.authority)
        stack.enter_context(domains_known(folder))
        self._folder = folder
        self._plans = {domain: at_home(domain, certificates) for domain in (A, B)}
        self._running: dict[str, tuple[ExitStack, Ours]] = {}
        for domain in (A, B):
            self.start(domain, *(user for user, home in _HOMES.items() if home == domain))
            stack.callback(self.stop, domain)
        self.alice, self.bob, self.carol = (
            stack.enter_context(
                person(STROPHE, Account(home, user, user, f"wss://{home}/xmpp-websocket"), certificates.authority, folder)
            )
            for user, home in _HOMES.items()
        )

    def start(self, domain: str, *users: str) -> None:
        """Start a server, which has its data again; `users` are made the first time."""
        stack = ExitStack()
        name = domain if users else f"{domain}-again"
        self._running[domain] = stack, stack.enter_context(ours(self._folder, self._plans[domain], *users, name=name))

    def stop(self, domain: str) -> None:
        """End a server as an operator does (SIGTERM)."""
        stack, _ = self._running[domain]
        stack.close()

    def kill(self, domain: str) -> None:
        """End a server as the kernel does (SIGKILL)."""
        _, server = self._running[domain]
        server.process.kill()
        server.process.wait()
        self.stop(domain)


@contextmanager
def _contacts(folder: Path) -> Iterator[_World]:
    """All are on line, and alice is a contact of bob and of carol."""
    with ExitStack() as stack:
        world = _World(folder, stack)
        for one in (world.alice, world.bob, world.carol):
            log_in(one)
        for other in (world.bob, world.carol):
            become_contacts(world.alice, other)
        yield world


def _stopped(folder: Path) -> str:
    """A server that stops says who goes; whoever comes back is seen, and sees."""
    figures = Figures()
    with _contacts(folder) as world:
        with figures.measured("stopped"):
            world.stop(B)
        for one in (world.bob, world.carol):
            _must_see(world.alice, one, "unavailable")
            one.until("the end", lambda one=one: not one.jid)
        world.start(B)
        with figures.measured("true again after the login"):
            log_in(world.bob)
            see_each_other(world.alice, world.bob)
        _must_see(world.alice, world.carol, "unavailable")
    return str(figures)


def _killed(folder: Path) -> str:
    """A server that is killed says nothing. Its people have a while to come back (`presence_doubt`) before they are asked for."""
    figures = Figures()
    with _contacts(folder) as world:
        world.kill(B)
        world.bob.until("the end", lambda: not world.bob.jid)
        world.start(B)
        log_in(world.bob)
        with figures.measured("carol is gone"):
            _must_see(world.alice, world.carol, "unavailable")
        see_each_other(world.alice, world.bob)
    return str(figures)


def _silent(folder: Path) -> str:
    """Alice does not come back to her server, which therefore has nothing to say: it is asked, after the same while."""
    figures = Figures()
    with _contacts(folder) as world:
        world.kill(A)
        world.start(A)
        with figures.measured("alice is gone"):
            _must_see(world.bob, world.alice, "unavailable")
            _must_see(world.carol, world.alice, "unavailable")
        log_in(world.alice)
        see_each_other(world.alice, world.bob)
        see_each_other(world.alice, world.carol)
    return str(figures)


def _must_see(one: Person, other: Person, show: str) -> None:
    address = other.account.address
    one.until(f"{address} as {show}", lambda: one.contact(address).show == show)


SCENARIOS = [
    Scenario("presence: a server is stopped and started", apart(_stopped), STROPHE.needs),
    Scenario("presence: a server is killed and started", apart(_killed), STROPHE.needs),
    Scenario("presence: a server is killed and started, and nobody comes back to it", apart(_silent), STROPHE.needs),
]
