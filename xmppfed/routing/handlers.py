"""What modules asked to see. Every question the router has is one exact dictionary look-up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from xmppfed.core.stanza import Stanza
from xmppfed.errors import ConfigError

__all__ = ["OBSERVED", "POINTS", "TARGETS", "Handler", "Handlers", "Key"]

Handler: TypeAlias = Callable[[Stanza], object]
"""Takes a stanza. Returns (or is a coroutine that returns) what `xmppfed.extend.Reply` describes."""

Key: TypeAlias = tuple[str, ...]
"""`("get" | "set", "{namespace}name", target)` for an iq, `("message" | "presence", point)` for the other kinds."""

TARGETS = ("server", "account")
"""Whom an iq asks: the server under its domain, or the server on behalf of one account."""

POINTS = {"message": ("routed", "server", "undeliverable"), "presence": ("own", "subscription")}
"""Where messages and presence meet modules."""

OBSERVED = frozenset({("message", "routed"), ("presence", "own")})
"""The points where any number of modules look on; elsewhere one module takes the stanza."""


class Handlers:
    """The registry between modules and the router."""

    def __init__(self) -> None:
        self.takers: dict[Key, Handler] = {}
        self.observers: dict[Key, list[Handler]] = {key: [] for key in OBSERVED}
        self._owners: dict[Key, str] = {}
        self._features: dict[str, set[str]] = {target: set() for target in TARGETS}

    def add(self, key: Key, handler: Handler, owner: str) -> None:
        """Register `handler` for the module `owner`; raises ConfigError when another one has the same key."""
        if key in OBSERVED:
            self.observers[key].append(handler)
            return
        if key in self.takers:
            raise ConfigError(
                f"The modules {self._owners[key]} and {owner} both want to answer {' '.join(key)}. "
                "Wanted: one module for each. Remove the table of one of them from the configuration."
            )
        self.takers[key] = handler
        self._owners[key] = owner

    def announce(self, target: str, features: Iterable[str]) -> None:
        """Add to the features of the server or of its accounts (XEP-0030, 3)."""
        self._features[target].update(features)

    def features(self, target: str) -> tuple[str, ...]:
        """The features announced for `target`, in a stable order."""
        return tuple(sorted(self._features[target]))
