"""The gateway between clients of ours and people on the local network (XEP-0174): its port, and what clients say to it.

Nothing from the link reaches anybody but the account whose name it was sent to; and nothing for the domain of the gateway
goes to another server, whoever sends it (L20).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.application.strports import service as listening
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xmppfed.core.disco import NS_INFO, info
from xmppfed.core.element import Element
from xmppfed.core.escaping import FEATURE
from xmppfed.core.jid import domain_or_nothing
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.roster import NS as NS_ROSTER
from xmppfed.core.stanza import Stanza
from xmppfed.core.subscription import TYPES
from xmppfed.e2e.connecting import Listener, Local
from xmppfed.e2e.endpoints import offer
from xmppfed.e2e.identity import Identity, create_identity, identity_path, load_identity
from xmppfed.e2e.linklocal.discovery import PresenceDiscovery
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.peers import Peers
from xmppfed.e2e.trust import Policy, TrustStore
from xmppfed.errors import DiscoveryError, StanzaCondition, StanzaError
from xmppfed.net.admission import Admission
from xmppfed.net.certificates import moment
from xmppfed.net.websocketwire import printable
from xmppfed.options_lan import LanGatewayOptions
from xmppfed.routing.router import Router
from xmppfed.routing.sessions import Resource, Sessions
from xmppfed.services.lan_gateway.neighbors import Neighbor, Neighbors
from xmppfed.services.lan_gateway.resident import Ground, Resident, presence_of
from xmppfed.services.lan_gateway.screen import Screen

__all__ = ["LanGateway"]

_ROSTER = f"{{{NS_ROSTER}}}query"
_INFO = f"{{{NS_INFO}}}query"


class LanGateway(MultiService):
    """Shows accounts to the link, and the link to accounts."""

    name = "lan_gateway"
    log = Logger()

    def __init__(
        self,
        options: LanGatewayOptions,
        names: Mapping[str, InstanceName],
        local: Local,
        store: TrustStore,
        router: Router,
        sessions: Sessions,
        domains: Collection[str],
        data_dir: Path,
        discovery: Callable[[Sequence[str]], PresenceDiscovery],
        introduce: Callable[[Peers], Callable[[], None]],
    ) -> None:
        """`names` has for each account that is let in, by its bare address, what it is called on the link. `discovery` makes one
        for these interfaces, when the gateway starts. `introduce` lets people there pair with one of ours, until
        what it returns is called."""
        super().__init__()
        self._options = options
        self._names = names
        self._local = local
        self._store = store
        self._router = router
        self._sessions = sessions
        self._data_dir = data_dir
        self._make_discovery = discovery
        self._introduce = introduce
        self._discovery: PresenceDiscovery | None = None
        self._endings: list[Callable[[], None]] = []
        """What ends our part in the link; nothing while we are not on it."""
        self._residents: dict[str, Resident] = {}
        own = [text for account, name in names.items() for text in (account, account.partition("@")[0], str(name))]
        self._neighbors = Neighbors(options.domain, own, domains, store, local.reactor, options.max_contacts)
        self._screen = Screen(router.route, sessions, names.keys())
        self._admission = Admission()
        factory = Listener(local, self._meant, self._admission).factory
        listening(options.endpoint, factory, reactor=local.reactor).setServiceParent(self)
        self._register()

    def _register(self) -> None:
        """Before modules, so that what is for the link does not come to them."""
        handlers, owner = self._router.handlers, str(self.name)
        handlers.add(("hook", "sent"), self._sent, owner)
        handlers.add(("hook", "received"), self._received, owner)
        handlers.add(("presence", "own"), self._changed, owner)
        handlers.add(("roster", "contacts"), self._contacts, owner)
        self._router.beside[self._options.domain] = self._take

    # Its life.

    def startService(self) -> None:
        """Listen, and look for people. Raises ConfigError for an identity that cannot be read or made."""
        discovery = self._discovery = self._make_discovery(self._options.interfaces)
        ground = Ground(
            local=self._local,
            discovery=discovery,
            neighbors=self._neighbors,
            store=self._store,
            policy=Policy(self._options.trust),
            port=self._options.port,
            route=self._router.route,
            introduce=self._introduce,
        )
        for account, name in self._names.items():
            self._residents[account] = Resident(ground, account, name, self._identity(str(name)).certificate)
        super().startService()
        joined = Deferred.fromCoroutine(self._join(discovery))
        joined.addErrback(lambda failure: self.log.failure("fault while looking for people on the link", failure))

    def stopService(self) -> Deferred[Any]:
        """Listen no more, say goodbye (L14), and end all streams in good order."""
        stopped: Deferred[Any] = super().stopService()
        discovery, endings, self._endings = self._discovery, self._endings, []
        assert discovery is not None  # it was started
        for end in endings:
            end()
        self._admission.dismiss()
        for resident in self._residents.values():
            resident.leave()
        return stopped.addCallback(lambda _: Deferred.fromCoroutine(discovery.stop()))

    async def _join(self, discovery: PresenceDiscovery) -> None:
        try:
            await discovery.start()
        except DiscoveryError as error:
            self.log.critical("nobody on the local network can be found: {reason}", reason=str(error))
            return
        if self.running:
            self._endings = [self._neighbors.watch(discovery, self._screen.tell), offer(self._local.reactor, discovery)]
            for account in self._residents:
                self._publish(account)

    def _identity(self, name: str) -> Identity:
        """What one of ours shows on its streams, made when it is wanted first."""
        path = identity_path(self._data_dir, name)
        return load_identity(path) if path.exists() else create_identity(path, name, moment(self._local.reactor))

    def _meant(self, to: str | None) -> Peers | None:
        """Whom of us a stream is for; who does not say it means the one that is there."""
        found = [resident.peers for resident in self._residents.values() if resident.is_called(to)]
        return found[0] if len(found) == 1 else None

    # How accounts are.

    def _changed(self, stanza: Stanza, resource: Resource) -> None:
        """A client is available, has changed, or is no more there."""
        account = str(resource.session.jid.bare)
        if account in self._residents:
            self._screen.changed(resource, self._neighbors.told())
            self._publish(account)

    def _publish(self, account: str) -> None:
        if self._endings:
            options, resources = self._options, self._sessions.resources_of(account)
            presence = presence_of(resources, options.nicks.get(account, ""), with_text=options.publish_status_text)
            self._residents[account].show(presence)

    def _contacts(self, account: str) -> Collection[Element] | None:
        """The contacts that an account has besides those of its roster; None where it is not let in."""
        return [told.item for told in self._neighbors.told()] if account in self._residents else None

    # What is for the domain.

    def _take(self, stanza: Stanza) -> None:
        """What somebody says to the domain, or to a neighbor, ends here. Raises StanzaError."""
        sender, to = stanza.sender, stanza.to
        if stanza.kind == "presence" or stanza.type in ("error", "result"):
            return  # the link is told of presence by its own means
        assert sender is not None and to is not None  # they were stamped, and looked at
        resident = self._resident(str(sender.bare))
        if not to.local:
            self._answer(stanza)
            return
        neighbor = self._neighbor(str(to.bare))
        if stanza.kind == "iq":
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE, text="People on the local network answer no requests.")
        resident.send(stanza, neighbor)

    def _answer(self, stanza: Stanza) -> None:
        """A client asks how names are written (XEP-0106, 7)."""
        if stanza.type != "get" or stanza.children != (_INFO,):
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        self._router.route(stanza.reply(info("gateway", "xmpp", (NS_INFO, FEATURE))))

    def _resident(self, account: str) -> Resident:
        resident = self._residents.get(account)
        if resident is None:
            text = f"{account} is not let into the local network: it is not among the `users` of the gateway."
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, text=text)
        return resident

    def _neighbor(self, address: str) -> Neighbor:
        neighbor = self._neighbors.at(address)
        if neighbor is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, text="Nobody of that name is on the local network.")
        return neighbor

    def _sent(self, stanza: Stanza) -> Stanza | None:
        """What clients say about contacts on the link is for nobody else, least of all for their rosters."""
        if stanza.kind == "presence" and stanza.type in (*TYPES, "probe") and self._is_for_us(stanza):
            self._subscribe(stanza)
            return None
        if stanza.children == (_ROSTER,) and stanza.type == "set" and self._is_about_us(stanza):
            text = "People on the local network come and go by themselves; nothing of them is kept."
            raise StanzaError(StanzaCondition.NOT_ALLOWED, text=text)
        return stanza

    def _is_for_us(self, stanza: Stanza) -> bool:
        return stanza.to is not None and stanza.to.domain == self._options.domain

    def _is_about_us(self, stanza: Stanza) -> bool:
        items = next(stanza.element.elements()).elements()
        jids = ((item.get("jid") or "").partition("/")[0] for item in items)
        return any(domain_or_nothing(jid.rpartition("@")[2]) == self._options.domain for jid in jids)

    def _subscribe(self, stanza: Stanza) -> None:
        """Everybody on the link sees everybody (XEP-0174, 4): who asks is shown what is there."""
        sender, to = stanza.sender, stanza.to
        assert sender is not None and to is not None  # they were stamped, and looked at
        self._resident(str(sender.bare))
        neighbor = self._neighbor(str(to.bare))
        resource = self._sessions.resources.get(str(sender))
        if stanza.type not in ("subscribe", "probe") or resource is None:
            return
        if stanza.type == "subscribe":
            attributes = {"from": neighbor.address, "to": str(sender.bare), "type": "subscribed"}
            resource.session.deliver(Stanza("presence", NS_CLIENT, attributes))
        for told in [one for one in self._neighbors.told() if one.address == neighbor.address]:
            self._screen.show(told, resource)

    def _received(self, stanza: Stanza) -> Stanza | None:
        """No other server speaks for the link."""
        sender = stanza.sender
        if sender is not None and sender.domain == self._options.domain:
            self.log.critical("{sender} is claimed by another server: dropped", sender=printable(str(sender)))
            return None
        return stanza
