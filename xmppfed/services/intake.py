"""Streams that come in, on the way from whoever listens to the service that takes their kind."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from xmppfed.core.framing import Framing, Profile
from xmppfed.core.stream import Stream
from xmppfed.net.arrival import Arrival
from xmppfed.net.connection import Connection, Owner, Wire
from xmppfed.timeouts import Timeouts

__all__ = ["FIRST_LIMIT", "StreamService", "take"]

FIRST_LIMIT = 10_000
"""Bytes that a stanza may have before authentication."""


class StreamService(Protocol):
    """A service that takes streams of one kind."""

    profile: Profile
    limit: int
    silence: float

    def own(self, arrival: Arrival, connection: Connection[Any]) -> Owner:
        """Who judges a stream that came in."""


def take(
    service: StreamService, framing: Framing, wire: Wire, arrival: Arrival, clock: IReactorTime, timeouts: Timeouts
) -> Connection[Any]:
    """The connection of a stream that begins on `wire`, owned by `service`."""
    stream = Stream(framing, receiving=True, new_id=partial(secrets.token_hex, 16), limit=service.limit, secure=arrival.secure)
    return Connection(stream, wire, partial(service.own, arrival), clock, timeouts, service.silence)
