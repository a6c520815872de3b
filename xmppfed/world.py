"""What a server takes from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xmppfed import extend
from xmppfed.discovery.records import DNS
from xmppfed.discovery.sources import Source
from xmppfed.e2e.linklocal.discovery import PresenceDiscovery
from xmppfed.net.dial import Dialer
from xmppfed.storage.interface import Storage
from xmppfed.storage.threads import RunInThread
from xmppfed.timeouts import Timeouts

__all__ = ["World"]


@dataclass(frozen=True, kw_only=True)
class World:
    """What a server takes from outside: tests hand in a clock, a network and a storage of their own."""

    reactor: Any
    dns: DNS
    storage: Storage
    run_in_thread: RunInThread
    timeouts: Timeouts = field(default_factory=Timeouts)
    control: bool = True
    modules: Mapping[str, type[extend.Module]] = field(default_factory=dict)
    """Modules by name besides those that are installed."""
    sources: Sequence[Source] = ()
    """Asked for candidates before all others."""
    dialers: Mapping[str, Dialer] = field(default_factory=dict)
    """By kind of candidate; they come before our own."""
    discovery: Callable[[Sequence[str]], PresenceDiscovery] | None = None
    """Makes one for peers on the networks of these interfaces; multicast DNS if it is None."""
