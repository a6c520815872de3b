"""The two ends that are measured: one answers every message with one, the other keeps some on their way and counts.

`python -m benchmarks.e2e_ends NAME OTHER PORT` answers; with `SECONDS FLYING PID` it is the other one, and prints its figures.
PID is the process of the end that answers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from benchmarks.contacts import cpu
from xmppfed.e2e.identity import load_identity
from xmppfed.e2e.library import E2E, Peer, message
from xmppfed.e2e.store import FileTrustStore

WARM_UP = 1.0
SAYING = message("x" * 120)


class Counted:
    """Answers each message that comes with another."""

    def __init__(self) -> None:
        self.messages = 0

    async def answer(self, peer: Peer) -> None:
        """Until the end."""
        async for _ in peer:
            self.messages += 1
            peer.send(SAYING)


async def answer(node: E2E, other: str, port: str) -> None:
    """Be there."""
    await node.listen(f"tcp:{port}:interface=127.0.0.1")
    await Counted().answer(Peer(node, other))


async def ask(reactor: Any, node: E2E, other: str, port: str, seconds: float, flying: int, pid: int) -> None:
    """Measure, after a while."""
    peer, counted = await node.open(other, f"tcp:127.0.0.1:{port}"), Counted()
    for _ in range(flying):
        peer.send(SAYING)
    asking = Deferred.fromCoroutine(counted.answer(peer))
    await deferLater(reactor, WARM_UP)
    before, start, used = counted.messages, reactor.seconds(), cpu(pid) + cpu()
    await deferLater(reactor, seconds)
    delivered, passed, used = 2 * (counted.messages - before), reactor.seconds() - start, cpu(pid) + cpu() - used
    print(json.dumps({"delivered": delivered, "seconds": passed, "cpu": used}))
    await node.close()
    await asking


def main(reactor: Any, name: str, other: str, port: str, *rest: str) -> Deferred[None]:
    """Be one of them."""
    node = E2E(reactor, identity=load_identity(Path(f"{name}.pem")), trust=FileTrustStore(Path(f"{name}.json")))
    if not rest:
        return Deferred.fromCoroutine(answer(node, other, port))
    seconds, flying, pid = rest
    return Deferred.fromCoroutine(ask(reactor, node, other, port, float(seconds), int(flying), int(pid)))


if __name__ == "__main__":
    react(main, sys.argv[1:])
