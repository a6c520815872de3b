"""Why a domain is reached or not, for the operator: commands of the control socket that answer with plain values."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from xmppfed.core.events import Pair
from xmppfed.core.jid import prepare_domain
from xmppfed.errors import JIDError
from xmppfed.services.control import Command, CommandRefused
from xmppfed.services.federation import Federation

__all__ = ["explaining_commands"]


class _Domain(msgspec.Struct, forbid_unknown_fields=True):
    domain: str


def explaining_commands(federation: Federation | None, own: Sequence[str], refused: deque[str]) -> Mapping[str, Command]:
    """`explain`, `check-domain` and `s2s`. `own` are our domains, the first of which asks; `refused` gets a line for each
    WebSocket handshake that our port refuses."""

    async def explain(arguments: dict[str, Any]) -> object:
        """How another domain is reached, tried now unless a stream stands."""
        domain = _domain(arguments)
        if domain in own:
            raise CommandRefused(f"found {domain}, which is served here; `xmppfedctl check-domain {domain}` looks at that")
        return _plain(await _federating(federation).explain(Pair(own[0], domain)))

    async def check_domain(arguments: dict[str, Any]) -> object:
        """How our own domain looks from outside: it is reached as others reach it, up to our own answer."""
        domain = _domain(arguments)
        if domain not in own:
            raise CommandRefused(f"found {domain}; wanted one of {', '.join(own)}. `xmppfedctl explain {domain}` looks at others")
        refused.clear()
        return {**_plain(await _federating(federation).explain(Pair(domain, domain))), "refused": list(refused)}

    async def s2s(_: dict[str, Any]) -> object:
        """The streams to and from other servers, and the sessions that wait for another."""
        found = _federating(federation)
        return {"streams": [one.describe() for one in found.streams], "broken": found.resumption.describe()}

    return {"explain": explain, "check-domain": check_domain, "s2s": s2s}


def _plain(trace: object) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(trace)
    return plain


def _domain(arguments: dict[str, Any]) -> str:
    try:
        return prepare_domain(msgspec.convert(arguments, _Domain).domain)
    except (JIDError, msgspec.ValidationError) as error:
        raise CommandRefused(f"{error}; wanted the name of a domain") from None


def _federating(federation: Federation | None) -> Federation:
    if federation is None:
        raise CommandRefused("this server does not federate; wanted [services.s2s_ws] or [services.s2s_tcp] in its configuration")
    return federation
