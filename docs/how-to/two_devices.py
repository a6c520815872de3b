"""Two devices: `python two_devices.py display` shows what `python two_devices.py sensor [CODE]` has measured."""

import sys
from pathlib import Path

from twisted.internet.task import react

from xmppfed.e2e.identity import load_identity
from xmppfed.e2e.library import E2E, body_of, message
from xmppfed.e2e.store import FileTrustStore

DISPLAY = "tcp:192.0.2.7:5298"


def node(reactor, name):
    """One of the two, with its key and those whom it knows."""
    return E2E(reactor, identity=load_identity(Path(f"{name}.pem")), trust=FileTrustStore(Path(f"{name}-peers.json")))


async def display(reactor):
    """Show what comes, from whoever has paired."""
    async with node(reactor, "display") as end:
        await end.listen("tcp:5298")
        print("Code for a new sensor:", end.show_code())
        async for peer, stanza in end:
            print(peer.name, "says", body_of(stanza))
            peer.send(message("noted"))


async def sensor(reactor, code=""):
    """Tell the display one value."""
    async with node(reactor, "sensor") as end:
        if code:
            print("Paired with", await end.pair("display@desk", code, DISPLAY))
        peer = await end.open("display@desk", DISPLAY)
        peer.send(message("21.5"))
        async for stanza in peer:
            print(peer.name, "says", body_of(stanza))
            break


if __name__ == "__main__":
    react(lambda reactor, name, *code: {"display": display, "sensor": sensor}[name](reactor, *code), sys.argv[1:])
