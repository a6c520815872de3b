"""Somebody on the link who speaks by `xmppfed.e2e`, without a server: the other end of `tests.interop.person`.

Run with an account as JSON, whose `url` is the interface. A deed beside the usual: `hang_up`, which closes the streams with
somebody. Events beside the usual: `met` with the end that has opened the stream, and how it is trusted; `parted`; `returned`.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP6ServerEndpoint
from twisted.internet.protocol import connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.connecting import Listener, Local
from xmppfed.e2e.identity import create_identity
from xmppfed.e2e.linklocal.discovery import PeerEvent, PeerGone
from xmppfed.e2e.linklocal.mdns import ZeroconfDiscovery
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.neighborhood import Neighborhood
from xmppfed.e2e.linklocal.txt import LinkPresence
from xmppfed.e2e.peers import Peers
from xmppfed.e2e.store import MemoryTrustStore
from xmppfed.e2e.stream import PeerStream
from xmppfed.e2e.trust import Policy
from xmppfed.errors import StanzaError
from xmppfed.net.admission import Admission
from xmppfed.net.tls import TrustRoots
from xmppfed.timeouts import Timeouts

LIMIT = 262_144  # bytes of a stanza
EVERYWHERE = "::"  # over IPv4, too
SHOWN = {"available": "avail", "away": "away", "dnd": "dnd"}
"""What the usual words are in a TXT record."""


def tell(event: str, **facts: Any) -> None:
    """Say what is to be seen."""
    print(json.dumps({"event": event, **facts}), flush=True)


def body_of(stanza: Stanza) -> str:
    """What a message says."""
    body = stanza.element.child(f"{{{NS_CLIENT}}}body")
    return "" if body is None else body.text


class Person(LineReceiver):
    """One of us: hears what peers and the link say, and does what standard input asks."""

    delimiter = b"\n"

    def __init__(self, reactor: Any, user: str, machine: str, interface: str) -> None:
        self._reactor = reactor
        self._wanted = InstanceName(user, machine)
        self._discovery = ZeroconfDiscovery(reactor, [interface])
        self._local = Local(reactor, Timeouts(), TrustRoots(system=False), LIMIT)
        self._admission = Admission()
        self._peers: Peers | None = None
        self._leaving: Deferred[None] | None = None
        self.left: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        tell("ready")

    def lineReceived(self, line: bytes) -> None:
        facts = json.loads(line)
        done = Deferred.fromCoroutine(getattr(self, f"do_{facts.pop('deed')}")(**facts))
        done.addErrback(lambda failure: tell("failed", error=failure.getTraceback()))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        Deferred.fromCoroutine(self.do_leave()).chainDeferred(self.left)

    # Deeds.

    async def do_login(self) -> None:
        """Listen, be announced, and watch."""
        listener = Listener(self._local, lambda to: self._peers, self._admission)
        self._port = await TCP6ServerEndpoint(self._reactor, 0, interface=EVERYWHERE).listen(listener.factory)
        await self._discovery.start()
        self._own = await self._discovery.publish(self._wanted, self._port.getHost().port, LinkPresence())
        identity = create_identity(Path("identity.pem"), str(self._own), datetime.now(UTC))
        self._peers = Peers(
            self._local,
            str(self._own),
            identity.certificate,
            MemoryTrustStore(),
            Policy.PLAIN,
            self,
            Neighborhood(self._reactor, self._discovery),
        )
        self._discovery.watch(self._heard_of)
        tell("online", jid=str(self._own))

    async def do_say(self, to: str, text: str) -> None:
        """Send a message."""
        element = Element("message", NS_CLIENT, {"type": "chat"})
        element.add("body", text=text)
        assert self._peers is not None
        self._peers.send(Stanza.from_element(element), to)

    async def do_show(self, show: str, status: str = "") -> None:
        """Be announced otherwise."""
        await self._discovery.update(self._own, LinkPresence(status=SHOWN[show], message=status))

    async def do_hang_up(self, on: str) -> None:
        """Close the streams with somebody."""
        assert self._peers is not None
        for stream in self._peers.streams():
            if stream.name == on:
                stream.close()

    async def do_leave(self) -> None:
        """Say goodbye to the link, and to those whom we talk with; once."""
        if self._peers is None:
            return
        peers, self._peers = self._peers, None
        await self._discovery.stop()
        await self._port.stopListening()
        peers.stop()
        await self._local.stop()
        tell("offline", strangers=len(self._admission), streams=len(self._local.streams))

    # What peers say, and the link of them.

    def received(self, peer: PeerStream, stanza: Stanza) -> None:
        """See `Audience.received`."""
        tell("message", **{"from": peer.name}, text=body_of(stanza))

    def returned(self, stanza: Stanza, error: StanzaError) -> None:
        """See `Audience.returned`."""
        tell("returned", text=body_of(stanza), error=error.text)

    def met(self, peer: PeerStream) -> None:
        """See `Audience.met`."""
        tell("met", name=peer.name, opener=peer.opener, trust=peer.trust.value)

    def parted(self, name: str) -> None:
        """See `Audience.parted`."""
        tell("parted", name=name)

    def _heard_of(self, event: PeerEvent) -> None:
        peer = event.peer
        kind = "unavailable" if isinstance(event, PeerGone) else "available"
        show = {shown: show for show, shown in SHOWN.items() if shown != "avail"}.get(peer.presence.status)
        tell("presence", **{"from": peer.instance}, type=kind, show=show, status=peer.presence.message)


def _live(reactor: Any, account: str) -> Deferred[None]:
    facts = json.loads(account)
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    person = Person(reactor, facts["user"], facts["domain"], facts["url"])
    StandardIO(person)
    return person.left


if __name__ == "__main__":
    react(_live, sys.argv[1:])
