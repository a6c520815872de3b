"""End-to-end streams as a service: peers speak with domains of this server directly (XEP-0246), on ports of their own.

A stanza that comes so is for the domain itself, whose modules answer it (`target="server"`); the answer goes back on the
stream. Nothing that comes so is sent on to an account or to another server, and no answer to it either.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Container, Mapping
from typing import Any

from twisted.application.service import MultiService
from twisted.application.strports import service as listening
from twisted.internet.defer import Deferred

from xmppfed.core.jid import JID, domain_or_nothing, parse_cached
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.connecting import Door, Listener, Local, Place, place_of
from xmppfed.e2e.host import StreamEnded
from xmppfed.e2e.peers import Peers
from xmppfed.e2e.stream import PeerStream
from xmppfed.e2e.trust import Acquaintance, Policy, TrustStore, bare_name, name_key
from xmppfed.errors import JIDError, StanzaError, StreamCondition, StreamError
from xmppfed.net.admission import Admission
from xmppfed.net.tls import ServerContexts, TrustRoots
from xmppfed.net.websocket import Acceptor
from xmppfed.options_e2e import EVERYBODY, E2EListenerOptions, E2EOptions
from xmppfed.routing.router import Router

__all__ = ["E2E", "Offered"]

_MOST_SEEN = 1000
AddDoor = Callable[[bytes, Acceptor], None]


class E2E(MultiService):
    """The listeners, and the domains that are offered there."""

    name = "e2e"

    def __init__(
        self,
        options: E2EOptions,
        local: Local,
        store: TrustStore,
        contexts: ServerContexts | None,
        router: Router,
        ours: Container[str],
        add_door: AddDoor,
    ) -> None:
        """`contexts` has the certificates that the domains show; there is none only where no domain is offered. `ours` are the
        domains from which nobody comes: users there log in. `add_door` gives us a path of the HTTPS port."""
        super().__init__()
        self._local = local
        self._contexts = contexts
        self._admission = Admission()
        self.offered: dict[str, Offered] = {}
        for listener in options.listeners.values():
            domains = [Offered(domain, listener, options.peers, local, store, router, ours) for domain in listener.offer]
            self.offered |= {offered.domain: offered for offered in domains}
            self._listen(listener, {offered.domain: offered.peers for offered in domains}, add_door)
        self.reload(local.trust)

    def reload(self, trust: TrustRoots) -> None:
        """Show the certificates, and believe the authorities, of the moment."""
        self._local.trust = trust
        for offered in self.offered.values():
            assert self._contexts is not None  # the configuration demands certificates
            offered.peers.certificate = self._contexts.certificate(offered.domain)

    def cut(self, acquaintance: Acquaintance) -> None:
        """End the streams that a decision of a person speaks against."""
        self._local.cut(acquaintance)

    def stopService(self) -> Deferred[Any]:
        """Listen no more, return what waits, and end all streams in good order."""
        stopped: Deferred[Any] = super().stopService()
        self._admission.dismiss()
        for offered in self.offered.values():
            offered.peers.stop()
        ended = self._local.stop()
        return stopped.addCallback(lambda _: ended)

    def _listen(self, options: E2EListenerOptions, hosts: Mapping[str, Peers], add_door: AddDoor) -> None:
        """Who does not say whom it means gets the one that is there."""
        alone = next(iter(hosts.values())) if len(hosts) == 1 else None

        def meant(to: str | None) -> Peers | None:
            return alone if to is None else hosts.get(domain_or_nothing(to))

        if options.endpoint:
            factory = Listener(self._local, meant, self._admission).factory
            listening(options.endpoint, factory, reactor=self._local.reactor).setServiceParent(self)
        if options.websocket_path:
            add_door(options.websocket_path[1:].encode(), Door(self._local, meant))


class Offered:
    """One domain of this server and its peers: their audience, and their whereabouts."""

    def __init__(
        self,
        domain: str,
        options: E2EListenerOptions,
        endpoints: Mapping[str, str],
        local: Local,
        store: TrustStore,
        router: Router,
        ours: Container[str],
    ) -> None:
        """`endpoints` has the Twisted client endpoints of peers, by their addresses."""
        self.domain = domain
        self._endpoints = {name_key(name): endpoint for name, endpoint in endpoints.items()}
        self._allowed = frozenset(map(name_key, options.allow))
        self._ours = ours
        self._reactor = local.reactor
        self._router = router
        self._seen: OrderedDict[str, None] = OrderedDict()
        policy = Policy(options.trust)
        self.peers = Peers(local, domain, None, store, policy, self, self, refuses=self._refuses, fixed_names=True)
        router.direct[domain] = self.send

    def _refuses(self, name: str) -> str | None:
        """Why somebody of this name is not let in (V4)."""
        try:
            jid = JID.parse(bare_name(name))
        except JIDError:
            return f"{name} is not let in at {self.domain}: it is no JID"
        if jid.resource:
            return f"{name} is not let in at {self.domain}: it is the address of one resource; wanted {jid.bare}"
        if jid.domain in self._ours:
            return f"{name} is not let in at {self.domain}: who has an account on this server logs in"
        if self._allowed.isdisjoint((EVERYBODY, jid.domain, str(jid))) and name_key(name) not in self._endpoints:
            return f"{name} is not let in at {self.domain}: nobody has allowed it, which is what `allow` of the listener is for"
        return None

    def send(self, stanza: Stanza) -> bool:
        """Send what the domain says to a peer; false when it is for somebody else. An answer to somebody who has left waits as
        long as that one can resume its session, and returns then: no other server is to hear of it."""
        name = stanza.attributes["to"]
        if name_key(name) not in self._endpoints and name_key(name) not in self._seen:
            return False
        self.peers.send(stanza, name)
        return True

    # What peers say.

    def received(self, peer: PeerStream, stanza: Stanza) -> None:
        """See `Audience.received`; PeerStream has seen to it that the stanza is for this domain, and from the peer."""
        try:
            for address in (stanza.attributes["from"], stanza.attributes["to"]):
                parse_cached(address)
        except JIDError as error:  # in a resource
            peer.end(StreamError(StreamCondition.IMPROPER_ADDRESSING, str(error)))
            return
        self._router.route_received(stanza)

    def returned(self, stanza: Stanza, error: StanzaError) -> None:
        """See `Audience.returned`."""
        self._router.bounce(stanza, error)

    def met(self, peer: PeerStream) -> None:
        """See `Audience.met`."""
        key = name_key(peer.name)
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)

    def parted(self, name: str) -> None:
        """See `Audience.parted`."""

    # Where peers are.

    def endpoint(self, name: str) -> Place:
        """See `Whereabouts.endpoint`."""
        found = self._endpoints.get(name_key(name))
        if found is None:
            raise StreamEnded(f"{name} has left, and is not among [services.e2e.peers]")
        return place_of(self._reactor, found)

    async def names_at(self, address: str) -> Collection[str] | None:
        """See `Whereabouts.names_at`."""
        return None
