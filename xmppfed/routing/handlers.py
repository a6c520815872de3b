"""What modules asked to see. Every question the router has is one exact dictionary look-up, or an empty list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from xmppfed.core.element import Element
from xmppfed.core.events import Pair
from xmppfed.core.jid import JID
from xmppfed.core.stanza import Stanza
from xmppfed.errors import ConfigError
from xmppfed.routing.sessions import Resource

__all__ = ["OFFERED", "POINTS", "TARGETS", "Copier", "Enabler", "Handler", "Handlers", "Hook", "Key", "Stranger"]

Handler: TypeAlias = Callable[..., object]
"""Takes a stanza. Returns (or is a coroutine that returns) what `xmppfed.extend.Reply` describes."""

Hook: TypeAlias = Callable[[Stanza], Stanza | None]
"""Takes a stanza on its way and returns the one that goes on: the same, a changed one, or None when it goes no further."""

Copier: TypeAlias = Callable[[Stanza, Sequence[Resource]], None]
"""Takes a message and those resources of its recipient that did not get it."""

Enabler: TypeAlias = Callable[[Resource, Element], Element | None]
"""Takes what a session asked for that is no stanza."""

Key: TypeAlias = tuple[str, ...]
"""`("get" | "set", "{namespace}name", target)` for an iq, `("message" | "presence" | "hook", point)` for other stanzas and
for all of them, `("session" | "stream", point)` for what happens, `("nonza" | "inline", "{namespace}name")` for what is no
stanza, `("offer", whom)` for a stream feature, `("roster" | "blocklist", question)` for what one module knows."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """Who asks before any login."""

    domain: str
    """The domain of ours that the stream is for."""
    address: str
    """The IP address that the connection comes from."""


TARGETS = ("server", "account", "stranger")
"""Whom an iq asks: the server under its domain; the server on behalf of one account; the server before any login."""

POINTS = {
    "hook": ("sent", "received", "routed"),
    "message": ("server", "undeliverable", "delivered"),
    "presence": ("own", "subscription", "failed"),
    "session": ("binding", "ended", "left", "removing"),
    "stream": ("broken",),
}
"""Where stanzas, sessions and streams meet modules."""

OFFERED = ("stranger", "client", "server")
"""To whom a stream feature is offered: to a client before its login, to one that has logged in, to another server."""

_MANY = frozenset({*(("hook", point) for point in POINTS["hook"]), ("message", "delivered"), ("presence", "own")})
_MANY |= {("offer", whom) for whom in OFFERED}
_MANY |= {(kind, point) for kind in ("session", "stream") for point in POINTS[kind]}


class Handlers:
    """The registry between modules and those who ask them. Any number of modules may have a place where each sees the
    stanza in its turn, in the order of the configuration; elsewhere one module takes it."""

    def __init__(self) -> None:
        self.takers: dict[Key, Handler] = {}
        self._many: dict[Key, list[Any]] = {key: [] for key in _MANY}
        self._owners: dict[Key, str] = {}
        self._features: dict[str, set[str]] = {"server": set(), "account": set()}
        self.forms: list[Element] = []
        """What is told of the server besides its features (XEP-0128)."""

    def add(self, key: Key, handler: Handler, owner: str) -> None:
        """Register `handler` for the module `owner`; raises ConfigError when another one has the same key."""
        if key in self._many:
            self._many[key].append(handler)
            return
        if key in self.takers:
            raise ConfigError(
                f"The modules {self._owners[key]} and {owner} both want to answer {' '.join(key)}. "
                "Wanted: one module for each. Remove the table of one of them from the configuration."
            )
        self.takers[key] = handler
        self._owners[key] = owner

    # What there can be several of. The lists are the live ones: who keeps one sees what is added later.

    def hooks(self, point: str) -> list[Hook]:
        """Those who see every stanza at this point of its way."""
        return self._many["hook", point]

    @property
    def copiers(self) -> list[Copier]:
        """Those who see each message to an account after it was delivered there."""
        return self._many["message", "delivered"]

    @property
    def observers(self) -> list[Handler]:
        """Those who look on when a local resource changes its presence."""
        return self._many["presence", "own"]

    @property
    def binders(self) -> list[Callable[[JID], Awaitable[None]]]:
        """Those who read what they need of an account before a resource of it is bound."""
        return self._many["session", "binding"]

    @property
    def endings(self) -> list[Callable[[Resource], None]]:
        """Those who hear of sessions that ended."""
        return self._many["session", "ended"]

    @property
    def leavings(self) -> list[Callable[[JID], None]]:
        """Those who hear of accounts that have no session any more."""
        return self._many["session", "left"]

    @property
    def removers(self) -> list[Callable[[JID], Awaitable[None]]]:
        """Those who still have something to do or to say for an account before it is removed."""
        return self._many["session", "removing"]

    @property
    def breaks(self) -> list[Callable[[Pair], None]]:
        """Those who hear of streams from other servers that broke."""
        return self._many["stream", "broken"]

    def offers(self, whom: str) -> str:
        """The stream features of all modules for `whom`, as they are written."""
        return "".join(feature().to_xml() for feature in self._many["offer", whom])

    async def subscribed(self, account: JID, watcher: JID) -> bool:
        """Whether `watcher` may see the presence of `account`; nobody may where no module keeps rosters."""
        ask = self.takers.get(("roster", "subscribed"))
        return ask is not None and bool(await cast(Awaitable[bool], ask(account, watcher)))

    def watchers(self, account: str) -> Collection[str]:
        """Who may see the presence of a connected account."""
        ask = self.takers.get(("roster", "watchers"))
        return () if ask is None else cast(Collection[str], ask(account))

    def contacts(self, account: str) -> Collection[Element] | None:
        """The roster items of a connected account besides those that its roster has; None where it can have none."""
        ask = self.takers.get(("roster", "contacts"))
        return None if ask is None else cast(Collection[Element] | None, ask(account))

    def blocks(self, account: str, jid: JID) -> bool:
        """Whether a connected account wants to hear nothing of `jid`."""
        ask = self.takers.get(("blocklist", "blocks"))
        return ask is not None and bool(ask(account, jid))

    # What is known by the name of an element.

    def named(self, what: str) -> dict[str, Any]:
        """The handlers of `nonza` or `inline`, by tag."""
        return {key[1]: handler for key, handler in self.takers.items() if key[0] == what}

    def strangers(self) -> frozenset[str]:
        """The tags of requests that are answered before a login."""
        return frozenset(key[1] for key in self.takers if key[-1] == "stranger")

    # What is announced.

    def announce(self, target: str, features: Iterable[str]) -> None:
        """Add to the features of the server or of its accounts (XEP-0030, 3)."""
        self._features[target].update(features)

    def features(self, target: str) -> tuple[str, ...]:
        """The features announced for `target`, in a stable order."""
        return tuple(sorted(self._features[target]))
