"""Both sides of a mechanism, tied together without a stream."""

from __future__ import annotations

from collections.abc import Callable

from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.core.sasl.scram_server import ScramServer
from xmppfed.core.sasl.steps import Challenge, Claim, ClientMechanism, KeysNeeded, ServerMechanism
from xmppfed.errors import SASLCondition, SASLError

__all__ = ["exchange", "refusal"]


def exchange(
    client: ClientMechanism,
    server: ServerMechanism,
    lookup: Callable[[KeysNeeded], ScramKeys],
    on_the_way: Callable[[int, bytes], bytes] = lambda number, data: data,
) -> Claim:
    """The claim that comes of a whole login; `on_the_way` may change message `number`, counted from 0, both ways."""
    number = 0

    def carry(data: bytes | None) -> bytes:
        nonlocal number
        number += 1
        return on_the_way(number - 1, data or b"")

    step = server.respond(carry(client.start()))
    while not isinstance(step, Claim):
        if isinstance(step, KeysNeeded):
            assert isinstance(server, ScramServer)
            step = server.provide(lookup(step))
        assert isinstance(step, Challenge)
        step = server.respond(carry(client.respond(carry(step.data))))
    client.finish(carry(step.final))
    return step


def refusal(call: Callable[[], object]) -> SASLCondition | None:
    """The condition of the `SASLError` that `call` raises; None when it raises none."""
    try:
        call()
    except SASLError as error:
        return error.condition
    return None
