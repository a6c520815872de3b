"""A local network in memory: a server with its gateway, and people who have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.e2e.ends import TIMEOUTS, Heard, message
from xmppfed.core.element import Element
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.connecting import Listener, Local
from xmppfed.e2e.endpoints import LinkLocalEndpoint
from xmppfed.e2e.identity import create_identity
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.txt import LinkPresence
from xmppfed.e2e.peers import Peers
from xmppfed.e2e.store import MemoryTrustStore
from xmppfed.e2e.trust import Policy, TrustStore
from xmppfed.net.admission import Admission
from xmppfed.net.certificates import LoadedCertificate, moment
from xmppfed.net.tls import TrustRoots
from xmppfed.services.lan_gateway.service import LanGateway
from xmppfed.testing.client import Client
from xmppfed.testing.federation import Federation

__all__ = ["CAPULET", "HERE", "JULIET", "PORT", "ROMEO", "LanCase", "Neighbor"]

CAPULET = "capulet.example"
HERE = "127.0.0.2"
PORT = 5298
JULIET, ROMEO = f"juliet@{CAPULET}", "romeo@forza"
ON_LINK = "juliet@pronto"


class Neighbor:
    """Somebody on the link without a server, with a key or none."""

    def __init__(self, case: LanCase, name: str, place: str, certificate: LoadedCertificate | None, policy: Policy) -> None:
        network = case.federation.network
        self.name = name
        self.heard = Heard()
        self.store: TrustStore = MemoryTrustStore()
        self.network = network
        self.discovery = case.federation.link.discovery(place)
        self.local = Local(network.reactor, TIMEOUTS, TrustRoots([], system=False), 262_144)
        self.peers = Peers(self.local, name, certificate, self.store, policy, self.heard, self, jitter=lambda: 1.5)
        listener = Listener(self.local, lambda to: self.peers, Admission())
        listening = TCP4ServerEndpoint(network.reactor, PORT, interface=place).listen(listener.factory)
        self.port: Any = case.successResultOf(listening)
        Deferred.fromCoroutine(self.discovery.start())

    def appear(self, presence: LinkPresence | None = None, name: str = "") -> None:
        """Be announced, by another name if one is given; whatever the name is, nobody corrects it."""
        self.own = InstanceName.parse(name or self.name)
        with patch.object(InstanceName, "made", InstanceName):
            Deferred.fromCoroutine(self.discovery.publish(self.own, PORT, presence or LinkPresence()))
            self.network.advance(2)

    def change(self, presence: LinkPresence) -> None:
        """Tell something else."""
        Deferred.fromCoroutine(self.discovery.update(self.own, presence))
        self.network.advance(2)

    def vanish(self) -> None:
        """Say goodbye."""
        Deferred.fromCoroutine(self.discovery.withdraw(self.own))
        self.network.advance(2)

    def say(self, body: str, to: str = ON_LINK, **attributes: str) -> None:
        """Write to somebody on the link."""
        self.peers.send(message(body, **attributes), to)
        self.network.pump()

    def send(self, element: Element, to: str = ON_LINK) -> None:
        """Send anything."""
        self.peers.send(Stanza.from_element(element), to)
        self.network.pump()

    def leave(self) -> None:
        """Be gone."""
        self.peers.stop()
        self.local.stop()
        self.port.stopListening()
        Deferred.fromCoroutine(self.discovery.stop())

    # Where others are.

    def endpoint(self, name: str) -> IStreamClientEndpoint:
        return LinkLocalEndpoint(self.network.reactor, self.discovery, name)

    async def names_at(self, address: str) -> None:
        return None


class LanCase(SynchronousTestCase):
    """A server with a gateway for Juliet."""

    def serve(self, *domains: str, users: tuple[str, ...] = (JULIET,), **options: Any) -> Federation:
        """Servers, the first of which has a gateway."""
        lan = {"users": list(users), "endpoint": f"tcp:{PORT}:interface={HERE}", "machine": "pronto", **options}
        configuration = {CAPULET: {"services": {"e2e": {"lan_gateway": lan}}}}
        self.federation = Federation(*(domains or (CAPULET,)), configuration=configuration)
        self.neighbors: list[Neighbor] = []
        self.addCleanup(self.federation.cleanup)
        self.addCleanup(self.leave)
        return self.federation

    def leave(self) -> None:
        """Nobody stays on the link."""
        for neighbor in self.neighbors:
            neighbor.leave()
        self.federation.network.advance(6)

    @property
    def gateway(self) -> LanGateway:
        found = self.federation.server(CAPULET).getServiceNamed("lan_gateway")
        assert isinstance(found, LanGateway)
        return found

    def loud(self) -> list[LogEvent]:
        """What an operator has to look at, from now on."""
        events: list[LogEvent] = []

        def observe(event: LogEvent) -> None:
            if event.get("log_level") is LogLevel.critical:
                events.append(event)

        observer: Any = observe
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return events

    def juliet(self, address: str = f"{JULIET}/balcony", *, roster: bool = True) -> Client:
        """She logs in as clients do: she asks for the roster, and is available."""
        client = self.federation.client(address, presence=False)
        if roster:
            self.items = self.roster(client)
        client.send("<presence/>")
        client.take(f"<presence from='{client.jid}'/>")
        self.federation.network.pump()
        return client

    def roster(self, client: Client, **attributes: str) -> list[tuple[str, str, str]]:
        """Address, name and groups of each contact."""
        query = Element("query", "jabber:iq:roster", attributes)
        answer = client.request(Element("iq", "jabber:client", {"type": "get"}, [query]))
        items = next(answer.element.elements()).elements()
        return [(item.get("jid", ""), item.get("name", ""), ",".join(g.text for g in item.elements())) for item in items]

    def neighbor(
        self, name: str = ROMEO, place: str = "127.0.0.50", policy: Policy = Policy.FIRST_USE, *, bare: bool = False
    ) -> Neighbor:
        """Somebody new, who is not announced yet."""
        certificate = None
        if not bare:
            now = moment(self.federation.network.reactor)
            certificate = create_identity(Path(self.mktemp()) / "own.pem", name, now).certificate
        made = Neighbor(self, name, place, certificate, policy)
        self.neighbors.append(made)
        return made
