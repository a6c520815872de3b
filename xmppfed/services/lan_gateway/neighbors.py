"""Who is on the link, as contacts: under which address, with which word of trust; and who is none, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from xmppfed.core.element import Element
from xmppfed.core.jid import domain_or_nothing
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.roster import Contact
from xmppfed.core.subscription import State
from xmppfed.e2e.linklocal.discovery import Peer, PeerEvent, PeerGone, PresenceDiscovery
from xmppfed.e2e.linklocal.txt import LinkPresence
from xmppfed.e2e.trust import Trust, TrustStore, bare_name, name_key
from xmppfed.errors import JIDError
from xmppfed.net.websocketwire import printable
from xmppfed.services.lan_gateway.names import LONGEST_STATUS, local_of, marked, name_of, shown

__all__ = ["GROUP", "RESOURCE", "Neighbor", "Neighbors", "Told"]

GROUP = "Local network"
RESOURCE = "link"
"""Of all of them: clients want presence to come from a full address."""
NOT_MET = "not met"
PAUSE = 1.0
"""Seconds between two things that are told of one neighbor: whoever is on the link can change as fast as it likes."""
_SHOW = {"away": "away", "dnd": "dnd"}


@dataclass(frozen=True, slots=True)
class Neighbor:
    """Somebody on the link who is a contact."""

    instance: str
    """The name there, as it was heard."""
    address: str
    """The bare address here."""
    peer: Peer


@dataclass(frozen=True, slots=True)
class Told:
    """What clients see of a neighbor."""

    address: str
    word: str
    item: Element
    presence: Element


Tell = Callable[[Told | None, Told | None], None]
"""Hears what clients were shown of somebody, and what they are to be shown now."""


class Neighbors:
    """Watches a discovery. The word of trust that stands in a contact's name is worth what its messages are worth: they pass
    for nobody who does not show the key that earned it."""

    log = Logger()

    def __init__(
        self, domain: str, own: Collection[str], served: Collection[str], store: TrustStore, clock: IReactorTime, most: int
    ) -> None:
        """`own` are names of our accounts, whatever they are called by. `most` is how many contacts there are at most."""
        self._domain = domain
        self._own = frozenset(map(name_key, own))
        self._served = served
        self._store = store
        self._clock = clock
        self._most = most
        self._tell: Tell = lambda old, new: None
        self._discovery: PresenceDiscovery | None = None
        self._neighbors: dict[str, Neighbor] = {}
        self._by_address: dict[str, Neighbor] = {}
        self._told: dict[str, Told] = {}
        self._plain: set[str] = set()
        self._news: dict[str, None] = {}
        self._telling: IDelayedCall | None = None
        self._refused: set[str] = set()
        self._vacant = False

    def watch(self, discovery: PresenceDiscovery, tell: Tell) -> Callable[[], None]:
        """Show who is there from now on, until what is returned is called."""
        self._tell, self._discovery = tell, discovery
        unwatch = discovery.watch(self._heard)

        def stop() -> None:
            unwatch()
            if self._telling is not None:
                self._telling.cancel()
                self._telling = None

        return stop

    # Who is there.

    def named(self, name: str) -> Neighbor | None:
        """The neighbor of this name on the link."""
        return self._neighbors.get(name_key(name))

    def at(self, address: str) -> Neighbor | None:
        """The neighbor with this bare address."""
        return self._by_address.get(address)

    def full(self, name: str) -> str:
        """Where presence and messages of somebody come from who is on the link, or was there when we met."""
        neighbor = self.named(name)
        address = neighbor.address if neighbor is not None else f"{local_of(name)}@{self._domain}"
        return f"{address}/{RESOURCE}"

    def told(self) -> list[Told]:
        """What clients see."""
        return list(self._told.values())

    def refuses(self, name: str) -> str | None:
        """Why a peer of this name may not speak: it is not announced on the link, or is no contact for a reason of its own."""
        if self.named(name) is not None:
            return None
        return self._reason(name) or f"{name} is not among the people on the local network"

    def met(self, name: str, trust: Trust) -> None:
        """A stream with somebody stands: what its key is worth is known now."""
        if self.named(name) is not None:
            (self._plain.add if trust is Trust.PLAIN else self._plain.discard)(name_key(name))
            self.look_again(name)

    def look_again(self, name: str) -> None:
        """Another word than the one that was told, because somebody was paired with or a key was revoked, is told at once."""
        key, neighbor = name_key(name), self.named(name)
        if neighbor is not None and (key not in self._told or self._told[key].word != self._word(key, neighbor.instance)):
            self._tell_of(key)

    # What is heard.

    def _heard(self, event: PeerEvent) -> None:
        key = name_key(event.peer.instance)
        known = self._neighbors.get(key)
        if known is not None and known.instance != event.peer.instance:
            self._refuse(event.peer.instance, f"{known.instance} is there, which is the same name to us")
        elif isinstance(event, PeerGone):
            self._gone(key, known)
        else:
            self._there(key, event.peer)

    def _there(self, key: str, peer: Peer) -> None:
        reason = self._reason(peer.instance)
        if reason is not None:
            self._refuse(peer.instance, reason)
        elif key in self._neighbors or len(self._neighbors) < self._most:
            self._add(key, peer)
        else:
            self._refuse(peer.instance, f"there are {self._most} people already, which is the most")

    def _add(self, key: str, peer: Peer) -> None:
        try:
            address = f"{local_of(peer.instance)}@{self._domain}"
        except JIDError as error:
            self._refuse(peer.instance, str(error))
            return
        self._neighbors[key] = self._by_address[address] = Neighbor(peer.instance, address, peer)
        self._note(key)

    def _gone(self, key: str, known: Neighbor | None) -> None:
        if known is None:
            return
        del self._neighbors[key], self._by_address[known.address]
        self._plain.discard(key)
        self._vacant = True
        self._note(key)

    def _fill(self) -> None:
        """Who found no place before may find it now. That takes a look at everybody, and so is not done for each who leaves."""
        self._vacant = False
        for peer in self._discovery.peers if self._discovery is not None else ():
            if len(self._neighbors) >= self._most:
                return
            if (key := name_key(peer.instance)) not in self._neighbors:
                self._there(key, peer)

    def _reason(self, instance: str) -> str | None:
        """Why somebody of this name is no contact: nobody on the link has the name of an account of ours."""
        if name_key(instance) in self._own:
            return f"{instance} is the name of an account of this server"
        if domain_or_nothing(bare_name(instance).rpartition("@")[2]) in self._served:
            return f"{instance} is an address at a domain of this server"
        return None

    def _refuse(self, instance: str, reason: str) -> None:
        """Loudly, and once: it may be said again every second."""
        if instance not in self._refused and len(self._refused) < self._most:
            self._refused.add(instance)
            self.log.critical("{peer} on the link is not shown: {reason}", peer=printable(instance), reason=printable(reason))

    # What is told.

    def _note(self, key: str) -> None:
        self._news[key] = None
        if self._telling is None:
            self._telling = self._clock.callLater(0, self._tell_news)

    def _tell_news(self) -> None:
        """At once, and what comes within the pause after it."""
        self._telling = self._clock.callLater(PAUSE, self._rest)
        if self._vacant:
            self._fill()
        news, self._news = self._news, {}
        for key in news:
            self._tell_of(key)

    def _tell_of(self, key: str) -> None:
        old, neighbor = self._told.pop(key, None), self._neighbors.get(key)
        new = None if neighbor is None else self._shown(key, neighbor)
        if new is not None:
            self._told[key] = new
        if old != new:
            self._tell(old, new)

    def _rest(self) -> None:
        self._telling = None
        if self._news:
            self._tell_news()

    def _shown(self, key: str, neighbor: Neighbor) -> Told:
        peer = neighbor.peer
        name = name_of(peer)
        if name_key(name) in self._own:  # a nick that is the name of one of ours
            name = name_of(Peer(peer.instance, LinkPresence()))
        word = self._word(key, peer.instance)
        contact = Contact(neighbor.address, State.BOTH, marked(name, word), (GROUP,))
        return Told(neighbor.address, word, contact.item(), _presence(self.full(peer.instance), peer.presence))

    def _word(self, key: str, instance: str) -> str:
        """How we know whoever speaks under this name."""
        known = self._store.by_name(instance)
        return known.trust.value if known is not None else Trust.PLAIN.value if key in self._plain else NOT_MET


def _presence(sender: str, told: LinkPresence) -> Element:
    """What somebody tells of themselves by the record on the link (XEP-0174, 4)."""
    presence = Element("presence", NS_CLIENT, {"from": sender})
    if show := _SHOW.get(told.status):
        presence.add("show", text=show)
    if status := shown(told.message, LONGEST_STATUS):
        presence.add("status", text=status)
    return presence
