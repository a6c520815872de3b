"""Somebody on the link, as a process of their own: `python -m tests.interop.linklocal_peer NAME PORT`.

Each line of standard input is an order: `say MESSAGE`, or `leave`; the end of the input is one to leave, too.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from xmppfed.e2e.linklocal.mdns import ZeroconfDiscovery
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.txt import LinkPresence


class _Orders(LineReceiver):
    delimiter = b"\n"

    def __init__(self, discovery: ZeroconfDiscovery, name: InstanceName) -> None:
        self._discovery, self._name = discovery, name
        self.left: Deferred[None] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        match line.decode().split(" ", 1):
            case ["say", message]:
                Deferred.fromCoroutine(self._discovery.update(self._name, LinkPresence(status="away", message=message)))
            case _:
                self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.left.callback(None)


async def _live(reactor: Any, name: str, port: str) -> None:
    discovery = ZeroconfDiscovery(reactor, ["127.0.0.1"])
    await discovery.start()
    own = await discovery.publish(InstanceName.parse(name), int(port), LinkPresence())
    orders = _Orders(discovery, own)
    StandardIO(orders)
    await orders.left
    await discovery.stop()


if __name__ == "__main__":
    react(lambda reactor, *words: Deferred.fromCoroutine(_live(reactor, *words)), sys.argv[1:])
