"""Ends of end-to-end streams in memory: people on one network, each with peers of its own."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.element import Element
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.connecting import Listener, Local
from xmppfed.e2e.host import StreamEnded
from xmppfed.e2e.peers import Peers
from xmppfed.e2e.store import MemoryTrustStore
from xmppfed.e2e.stream import PeerStream
from xmppfed.e2e.trust import Policy
from xmppfed.errors import StanzaError
from xmppfed.net.admission import Admission
from xmppfed.net.certificates import LoadedCertificate, load_certificate, moment
from xmppfed.net.issuing import Authority
from xmppfed.net.tls import TrustRoots
from xmppfed.testing.network import Network
from xmppfed.timeouts import Timeouts

__all__ = ["JULIET", "PORT", "ROMEO", "TIMEOUTS", "End", "EndsCase", "message"]

JULIET, ROMEO = "juliet@pronto", "romeo@forza"
PORT = 5298
TIMEOUTS = Timeouts()
LIMIT = 262_144


def message(body: str, /, **attributes: str) -> Stanza:
    """A message, perhaps with addresses."""
    element = Element("message", "jabber:client", attributes)
    element.add("body", text=body)
    return Stanza.from_element(element)


class Heard:
    """An audience that remembers."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, str]] = []
        self.stanzas: list[Stanza] = []
        self.bounced: list[tuple[str, str]] = []
        self.people: list[str] = []

    def received(self, peer: PeerStream, stanza: Stanza) -> None:
        self.stanzas.append(stanza)
        self.bodies.append((peer.name, body_of(stanza)))

    def returned(self, stanza: Stanza, error: StanzaError) -> None:
        self.bounced.append((body_of(stanza), error.text))

    def met(self, peer: PeerStream) -> None:
        self.people.append(f"+{peer.name} {peer.trust.value}")

    def parted(self, name: str) -> None:
        self.people.append(f"-{name}")


def body_of(stanza: Stanza) -> str:
    """What a message says."""
    found = stanza.element.child("{jabber:client}body")
    return found.text if found is not None else ""


class Map:
    """Where people are: a name, and an IPv4 address."""

    def __init__(self, reactor: Any, own: str) -> None:
        self.reactor = reactor
        self.own = own
        self.places: dict[str, str] = {}
        self.announced: dict[str, Collection[str]] | None = None
        """Names by address; None where anybody may come from anywhere."""
        self.waiting: list[Deferred[None]] = []
        self.slow = False

    def endpoint(self, name: str) -> IStreamClientEndpoint:
        if name not in self.places:
            raise StreamEnded(f"nobody knows where {name} is")
        return TCP4ClientEndpoint(self.reactor, self.places[name], PORT, bindAddress=(self.own, 0))

    async def names_at(self, address: str) -> Collection[str] | None:
        if self.slow:
            self.waiting.append(Deferred())
            await self.waiting[-1]
        return None if self.announced is None else self.announced.get(address, ())


class End:
    """Somebody at an IPv4 address, who listens there."""

    def __init__(
        self, case: EndsCase, name: str, place: str, certificate: LoadedCertificate | None, policy: Policy, **more: Any
    ) -> None:
        reactor = case.network.reactor
        self.name, self.place = name, place
        self.heard = Heard()
        self.map = Map(reactor, place)
        self.store = more.get("store") or MemoryTrustStore()
        self.local = Local(reactor, TIMEOUTS, case.trust, LIMIT)
        self.admission = Admission()
        where = more.get("whereabouts") or self.map
        self.peers = Peers(self.local, name, certificate, self.store, policy, self.heard, where, jitter=lambda: 1.5)
        self.listener = Listener(self.local, self.host, self.admission)
        listening = TCP4ServerEndpoint(reactor, PORT, interface=place).listen(self.listener.factory)
        case.ports.append(case.successResultOf(listening))

    def host(self, to: str | None) -> Peers | None:
        return self.peers if to in (None, self.name) else None

    def say(self, body: str, to: str, /, **attributes: str) -> None:
        """Send a message."""
        self.peers.send(message(body, **attributes), to)


class EndsCase(SynchronousTestCase):
    """A network, and a clean end."""

    def setUp(self) -> None:
        self.network = Network()
        self.network.reactor.advance(1.8e9)
        self.authority = Authority(moment(self.network.reactor))
        self.trust = TrustRoots([self.authority.certificate], system=False)
        self.ports: list[Any] = []
        self.ends: list[End] = []
        self.addCleanup(self.clean)

    def clean(self) -> None:
        """No delayed call is left, and no connection."""
        for port in self.ports:
            port.stopListening()
        for end in self.ends:
            end.peers.stop()
        self.network.cut()
        self.network.pump()
        self.network.check_clean()
        for end in self.ends:
            self.assertEqual((len(end.admission), len(end.local.streams), end.peers._peers), (0, 0, {}))

    def certificate(self, name: str, authority: Authority | None = None, **more: Any) -> LoadedCertificate:
        """A certificate that names somebody, of an authority that nobody believes unless it is given."""
        path = Path(self.mktemp())
        issuer = authority or Authority(moment(self.network.reactor), "a stranger")
        path.write_bytes(issuer.issue("nobody", dns=(), xmpp_addresses=(name,), **more))
        return load_certificate(path)

    def end(
        self,
        name: str,
        place: str,
        policy: Policy = Policy.FIRST_USE,
        *,
        certificate: LoadedCertificate | None = None,
        **more: Any,
    ) -> End:
        """Somebody new, whom everybody can find, and who can find everybody."""
        bare = more.pop("bare", False)
        own = None if bare else certificate or self.certificate(name)
        new = End(self, name, place, own, policy, **more)
        for other in self.ends:
            other.map.places[name] = place
            new.map.places[other.name] = other.place
        self.ends.append(new)
        return new

    def pair(self, policy: Policy = Policy.FIRST_USE, **more: Any) -> tuple[End, End]:
        """Juliet and Romeo."""
        return self.end(JULIET, "192.0.2.1", policy, **more), self.end(ROMEO, "192.0.2.2", policy, **more)
