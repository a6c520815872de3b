"""One account of ours on the link: published while it is available, and what its peers there say to it."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger

from xmppfed.core.limiter import Limiter
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.connecting import Local
from xmppfed.e2e.host import StreamEnded
from xmppfed.e2e.linklocal.discovery import PresenceDiscovery
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.neighborhood import Neighborhood
from xmppfed.e2e.linklocal.txt import LinkPresence
from xmppfed.e2e.peers import Peers
from xmppfed.e2e.stream import PeerStream
from xmppfed.e2e.trust import Policy, TrustRefused, TrustStore, name_key
from xmppfed.errors import DiscoveryError, StanzaCondition, StanzaError
from xmppfed.net.certificates import LoadedCertificate
from xmppfed.routing.sessions import Resource
from xmppfed.services.lan_gateway.letters import failure_in, has_body, letter_of, message
from xmppfed.services.lan_gateway.neighbors import Neighbor, Neighbors

__all__ = ["Ground", "Resident", "presence_of"]

MINUTE = 60.0
MOST_FROM_ONE, MOST_FROM_ALL = 60, 300
"""Messages in a minute: people write fewer."""
_MOST_SENDERS = 1000
_STATUS = {"away": "away", "xa": "away", "dnd": "dnd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all accounts of ours on the link have in common."""

    local: Local
    discovery: PresenceDiscovery
    neighbors: Neighbors
    store: TrustStore
    policy: Policy
    port: int
    route: Callable[[Stanza], None]
    introduce: Callable[[Peers], Callable[[], None]]
    """Lets others pair with one of ours, until what it returns is called."""


class Resident:
    """An account, and the name it has on the link: the audience of its peers, and their whereabouts."""

    log = Logger()

    def __init__(self, ground: Ground, account: str, name: InstanceName, certificate: LoadedCertificate) -> None:
        """`account` is a bare address; `name` is what it would be called on the link, and is another where that is taken."""
        self._ground = ground
        self._account = account
        self._wanted_name = name
        self._certificate = certificate
        self.peers: Peers | None = None
        """While it is published."""
        self._leave_pairing: Callable[[], None] = lambda: None
        self._neighborhood = Neighborhood(ground.local.reactor, ground.discovery, ground.local.timeouts)
        self._name = name
        self._wanted: LinkPresence | None = None
        self._published: LinkPresence | None = None
        self._settling = False
        self._senders: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._each = Limiter(MOST_FROM_ONE, MINUTE)
        self._all = Limiter(MOST_FROM_ALL, MINUTE)

    # On the link, and off.

    def show(self, presence: LinkPresence | None) -> None:
        """Tell the link how the account is, and that it is there, or no more (L8, L14)."""
        self._wanted = presence
        if not self._settling:
            self._settling = True
            settled = Deferred.fromCoroutine(self._settle())
            settled.addErrback(lambda failure: self.log.failure("fault while an account was published", failure))

    async def _settle(self) -> None:
        """One step after another, until what is published is what is wanted."""
        before = wanted = None
        try:
            while self._published != self._wanted:
                before, wanted = self._published, self._wanted
                self._published = wanted
                await self._step(before, wanted)
        except DiscoveryError as error:
            self.log.error("{account} could not be published: {reason}", account=self._account, reason=str(error))
            self._published = before if wanted is not None else None  # it is tried again when the presence changes
        finally:
            self._settling = False

    async def _step(self, before: LinkPresence | None, wanted: LinkPresence | None) -> None:
        ground = self._ground
        if wanted is None:
            self.leave()
            await ground.discovery.withdraw(self._name)
        elif before is not None:
            await ground.discovery.update(self._name, wanted)
        else:
            self._name = await ground.discovery.publish(self._wanted_name, ground.port, wanted)
            self.log.info("{account} is {name} on the link", account=self._account, name=str(self._name))
            self._arrive()

    def _arrive(self) -> None:
        ground = self._ground
        self.peers = Peers(
            ground.local,
            str(self._name),
            self._certificate,
            ground.store,
            ground.policy,
            self,
            self,
            refuses=ground.neighbors.refuses,
        )

        self._leave_pairing = ground.introduce(self.peers)

    def leave(self) -> None:
        """End all streams in good order; what waits returns."""
        peers, self.peers = self.peers, None
        if peers is not None:
            self._leave_pairing()
            peers.stop()
            for stream in peers.streams():
                stream.close()

    def is_called(self, name: str | None) -> bool:
        """Whether it is there, and called so; whatever the name, where none is given."""
        return self.peers is not None and (name is None or name_key(name) == name_key(self.peers.address))

    # What the account says.

    def send(self, stanza: Stanza, to: Neighbor) -> None:
        """Say something to a neighbor. Raises StanzaError. What has no text is not worth a stream, and means nothing to old
        peers."""
        letter = letter_of(stanza)
        if self.peers is None:
            text = "You are not on the local network: this account has to be available."
            raise StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE, text=text)
        stream = self.peers.stream(to.instance)
        if not has_body(letter) and (not letter or stream is None or stream.legacy):
            return
        id = stanza.id or secrets.token_hex(8)
        self._senders[name_key(to.instance), id] = stanza.attributes["from"]
        if len(self._senders) > _MOST_SENDERS:
            self._senders.popitem(last=False)
        self.peers.send(message(self.peers.address, to.instance, id, letter), to.instance)

    # What peers say: see `Audience`.

    def received(self, peer: PeerStream, stanza: Stanza) -> None:
        """A message passes, as far as it may, to the account, from whom the stream is with; behind the word that is true now."""
        self._ground.neighbors.look_again(peer.name)
        if stanza.is_request:
            peer.send(stanza.error(StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)))
        elif stanza.kind == "message" and stanza.type == "error":
            self._failed(peer.name, stanza, failure_in(stanza))
        elif (letter := letter_of(stanza)) and self._has_room(peer, stanza):
            sender = self._ground.neighbors.full(peer.name)
            self._ground.route(message(sender, self._account, stanza.id, letter))

    def _has_room(self, peer: PeerStream, stanza: Stanza) -> bool:
        now, key = self._ground.local.reactor.seconds(), name_key(peer.name)
        if self._each.has_room(key, now) and self._all.allow("", now):
            self._each.count(key, now)
            return True
        text = f"Too many messages in a minute; at most {MOST_FROM_ONE} pass."
        peer.send(stanza.error(StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=text)))
        return False

    def _failed(self, name: str, stanza: Stanza, error: StanzaError) -> None:
        """The client that has written a message to somebody hears that it failed, once."""
        sender = self._senders.pop((name_key(name), stanza.id or ""), None)
        if sender is not None:
            self._ground.route(message(sender, self._ground.neighbors.full(name), stanza.id, []).error(error))

    def returned(self, stanza: Stanza, error: StanzaError) -> None:
        """What was not sent returns."""
        self._failed(stanza.attributes["to"], stanza, error)

    def met(self, peer: PeerStream) -> None:
        """What the key of a peer is worth is shown."""
        self._ground.neighbors.met(peer.name, peer.trust)

    def parted(self, name: str) -> None:
        """Presence is a matter of the link, not of streams (XEP-0174, 4); but a key may have been revoked."""
        self._ground.neighbors.look_again(name)

    # Where peers are: see `Whereabouts`.

    def endpoint(self, name: str) -> IStreamClientEndpoint:
        """Wherever it is when it is connected to (L7, L15)."""
        neighbor = self._ground.neighbors.named(name)
        if neighbor is None:
            raise StreamEnded(f"{name} has left the local network")
        return self._neighborhood.endpoint(neighbor.instance)

    async def names_at(self, address: str) -> Collection[str]:
        """Who is announced there. Raises TrustRefused where nobody is: the port may be open to more than the link."""
        names = await self._neighborhood.names_at(address)
        if not names:
            raise TrustRefused(f"found a connection from {address}; nobody on the local network is announced there")
        return names


def presence_of(resources: Iterable[Resource], nick: str, *, with_text: bool) -> LinkPresence | None:
    """How an account is, by the one of its resources that stands first; None where none is available. What somebody has
    written about that is not for everybody, unless it is wanted so (L21)."""
    available = [resource for resource in resources if resource.presence is not None]
    if not available:
        return None
    presence = max(available, key=lambda resource: resource.priority).presence
    assert presence is not None  # it is available
    texts = {child.name: child.text for child in reversed(list(presence.element.elements())) if child.namespace == NS_CLIENT}
    status = _STATUS.get(texts.get("show", ""), "avail")
    return LinkPresence(status=status, nick=nick, message=texts.get("status", "") if with_text else "")
