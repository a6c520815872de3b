"""Assembles a server from its configuration: every service stands alone, and all stand in one MultiService."""

from __future__ import annotations

import os
import pyexpat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from xmppfed import config as configuration
from xmppfed import extend
from xmppfed.config import Config
from xmppfed.core.events import Pair
from xmppfed.core.identity import ascii_domain
from xmppfed.core.jid import JID
from xmppfed.discovery.discovery import Discovery
from xmppfed.discovery.fetch import DocumentClient, Resolve
from xmppfed.discovery.resolver import Resolver
from xmppfed.discovery.sources import HostMetaDocuments, Source, StaticRoute, StaticRoutes
from xmppfed.errors import ConfigError, StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppfed.net.dial import Dialer, WebSocketDialer
from xmppfed.net.tls import ServerContexts, TrustRoots, strict_connection_creator, tls_endpoint
from xmppfed.options import C2SWebSocketOptions, HTTPOptions, S2SWebSocketOptions
from xmppfed.routing.handlers import Handlers
from xmppfed.routing.remotes import Remotes
from xmppfed.routing.router import Router
from xmppfed.routing.sessions import Sessions
from xmppfed.services.c2s_ws import C2SWebSocket
from xmppfed.services.clients import Clients
from xmppfed.services.control import Command, Control, user_commands
from xmppfed.services.federation import Federation, Trust
from xmppfed.services.http import FIRST_LIMIT, HTTPService
from xmppfed.services.login import ClientPolicy
from xmppfed.services.s2s_ws import S2SWebSocket
from xmppfed.services.wellknown import documents, well_known
from xmppfed.storage.interface import Accounts
from xmppfed.storage.memory import MemoryAccounts
from xmppfed.storage.sqlite import SQLiteAccounts
from xmppfed.storage.threads import RunInThread, at_once
from xmppfed.timeouts import Timeouts

__all__ = ["Server", "World", "assemble", "check", "make_service", "module_options"]


@dataclass(frozen=True, kw_only=True)
class World:
    """What a server takes from outside: tests hand in a clock, a network and a storage of their own."""

    reactor: Any
    resolve: Resolve
    accounts: Accounts
    run_in_thread: RunInThread
    timeouts: Timeouts = field(default_factory=Timeouts)
    control: bool = True
    modules: Mapping[str, type[extend.Module]] = field(default_factory=dict)
    """Modules by name besides those that are installed."""
    sources: Sequence[Source] = ()
    """Asked for candidates before all others."""
    dialers: Mapping[str, Dialer] = field(default_factory=dict)
    """By kind of candidate; they come before our own."""


class Server(MultiService):
    """The whole server. Its children stop one after another: listening first, then the streams, storage last."""

    log = Logger()

    def __init__(
        self,
        config: Config,
        contexts: ServerContexts | None,
        router: Router,
        accounts: Accounts,
        sessions: Sessions,
        remotes: Remotes,
        known: Mapping[str, type[msgspec.Struct]],
    ) -> None:
        """`known` has the options of every module that the configuration can name."""
        super().__init__()
        self.config = config
        self.router = router
        self.accounts = accounts
        self.sessions = sessions
        self.remotes = remotes
        self.federation: Federation | None = None
        self._contexts = contexts
        self._known = known

    def startService(self) -> None:
        """Start every service; what cannot listen stops the start."""
        expat = pyexpat.version_info
        if expat < (2, 6):
            self.log.warn("expat {version} is old: 2.6 parses hostile XML faster", version=pyexpat.EXPAT_VERSION)
        self.log.info("serving {domains}", domains=", ".join(self.config.domains))
        super().startService()

    async def stopService(self) -> None:
        """Stop the services in their order; a fault of one does not keep the others from stopping."""
        Service.stopService(self)
        for service in self.services:
            try:
                await maybeDeferred(service.stopService)
            except Exception:  # noqa: BLE001 - the others must still be stopped
                self.log.failure("fault while stopping {name}", name=service.name)

    def reload_or_log(self) -> None:
        """`reload` for who cannot be told: a configuration that cannot be used changes nothing, and is logged."""
        try:
            self.reload()
        except ConfigError as error:
            self.log.error("nothing was reloaded: {reason}", reason=str(error))

    def reload(self) -> None:
        """Read the configuration again and take over certificates and trust anchors; streams stay. Raises `ConfigError`."""
        config = configuration.load(self.config.file, self._known)
        trust = TrustRoots.load(config.trust_anchors)
        if self._contexts is not None:
            self._contexts.reload(_certificates(config), trust)
        if self.federation is not None:
            self.federation.trust_roots = trust
        self.log.info("certificates and trust anchors were read again")


class _Storage(Service):
    """Closes the storage when everybody else has stopped."""

    name = "storage"

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._accounts.close())


def module_options() -> Mapping[str, type[msgspec.Struct]]:
    """The options of every installed module, by its name; only those that are looked at are imported."""
    return extend.installed_options()


def _known(modules: Mapping[str, type[extend.Module]]) -> Mapping[str, type[msgspec.Struct]]:
    own = {name: module.options for name, module in modules.items()}
    return {**module_options(), **own} if own else module_options()


def make_service(config: Config, reactor: Any) -> Server:
    """The server that `config` describes, on a real reactor. Raises `ConfigError`."""
    resolver = Resolver(reactor)
    world = World(
        reactor=reactor,
        resolve=resolver.addresses,
        accounts=SQLiteAccounts.open(config.data_dir, reactor),
        run_in_thread=partial(deferToThreadPool, reactor, reactor.getThreadPool()),
    )
    return assemble(config, world)


def check(config: Config) -> None:
    """All that a start does, up to listening and to opening the database. Raises `ConfigError`."""

    async def nowhere(host: str) -> tuple[str, ...]:
        return ()

    assemble(config, World(reactor=Clock(), resolve=nowhere, accounts=MemoryAccounts(), run_in_thread=at_once))


def assemble(config: Config, world: World) -> Server:
    """The server that `config` describes, in `world`. Raises `ConfigError`."""
    trust = TrustRoots.load(config.trust_anchors)
    certificates = _certificates(config)
    contexts = ServerContexts(certificates, trust) if certificates else None
    sessions, handlers = Sessions(), Handlers()
    ways = _Ways()
    remotes = Remotes(world.reactor, ways.connect, world.timeouts)
    ways.remotes = remotes
    router = Router(config.domains, sessions, remotes, handlers)
    server = Server(config, contexts, router, world.accounts, sessions, remotes, _known(world.modules))
    services = config.services
    clients = None
    if services.http is not None:
        http = _http(config, services.http, world, contexts)
        http.setServiceParent(server)
        if services.c2s_ws is not None:
            clients = _clients(services.c2s_ws, config, world, sessions, router)
            c2s = C2SWebSocket(clients, world.timeouts, services.c2s_ws.max_stanza_bytes)
            c2s.setServiceParent(server)
            http.take(c2s)
        if services.s2s_ws is not None:
            server.federation = federation = _federation(services.s2s_ws, config, world, remotes, contexts, trust)
            ways.open = federation.connect
            s2s = S2SWebSocket(federation, router)
            s2s.setServiceParent(server)
            http.take(s2s)
    _add_modules(config, world.modules, handlers, router, server)
    if world.control:
        users = user_commands(world.accounts, config.domains, world.run_in_thread)
        commands = {**users, **_server_commands(server, clients, users["user/delete"])}
        Control(world.reactor, config.data_dir, commands).setServiceParent(server)
    _Storage(world.accounts).setServiceParent(server)
    return server


class _Ways:
    """The way to other domains, if a service knows one."""

    remotes: Remotes
    open: Callable[[Pair], None] | None = None

    def connect(self, pair: Pair) -> None:
        if self.open is not None:
            self.open(pair)
            return
        text = "This server does not federate: its configuration has no [services.s2s_ws]."
        self.remotes.failed(pair, StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, text=text))


def _certificates(config: Config) -> dict[str, Path]:
    return {domain: options.certificate for domain, options in config.domains.items() if options.certificate is not None}


def _http(config: Config, options: HTTPOptions, world: World, contexts: ServerContexts | None) -> HTTPService:
    c2s, s2s = config.services.c2s_ws, config.services.s2s_ws
    http = HTTPService(
        world.reactor,
        options.endpoint,
        world.timeouts,
        contexts,
        behind_proxy=options.behind_proxy,
        fast_path=c2s is None or c2s.fast_path,
    )
    first = next(iter(config.domains))
    published = documents(
        public_url=options.public_url or f"https://{ascii_domain(first) or first}",
        public_addresses=options.public_addresses,
        c2s=c2s is not None,
        s2s=s2s is not None,
    )
    http.root.putChild(b".well-known", well_known(published))
    return http


def _clients(options: C2SWebSocketOptions, config: Config, world: World, sessions: Sessions, router: Router) -> Clients:
    policy = ClientPolicy(frozenset(options.anonymous), frozenset(options.allowed_origins), options.see_other_uri)
    return Clients(config.domains, world.accounts, sessions, router, world.run_in_thread, policy)


def _federation(
    options: S2SWebSocketOptions,
    config: Config,
    world: World,
    remotes: Remotes,
    contexts: ServerContexts | None,
    trust: TrustRoots,
) -> Federation:
    allowed = config.allow_private_addresses

    def wrap_tls(endpoint: Any, host: str) -> Any:
        return tls_endpoint(world.reactor, endpoint, strict_connection_creator(host, federation.trust_roots, world.reactor))

    fetch = DocumentClient(world.reactor, world.resolve, allowed, wrap_tls, world.timeouts)
    routes = {domain: StaticRoute(route.url, route.addresses) for domain, route in options.static_routes.items()}
    sources = [*world.sources, StaticRoutes(routes), HostMetaDocuments(fetch.get)]
    discovery = Discovery(world.reactor, sources, world.resolve, allowed)
    federation = Federation(
        world.reactor,
        config.domains,
        remotes,
        discovery,
        {"s2s-websocket": WebSocketDialer(world.reactor, world.timeouts, FIRST_LIMIT), **world.dialers},
        contexts,
        trust,
        Trust(options.trust),
        world.accounts,
        world.timeouts,
        options.max_stanza_bytes,
    )
    return federation


def _add_modules(
    config: Config, known: Mapping[str, type[extend.Module]], handlers: Handlers, router: Router, server: Server
) -> None:
    host = extend.Host(config.domains, router.route, handlers.features)
    for name, options in config.modules.items():
        module = (known.get(name) or extend.load(name))(host, options)
        module.setName(f"modules.{name}")
        extend.register(module, handlers)
        module.setServiceParent(server)


def _server_commands(server: Server, clients: Clients | None, delete_account: Command) -> Mapping[str, Command]:
    async def delete(arguments: dict[str, Any]) -> object:
        """Delete an account, and end the streams it still has."""
        answer = await delete_account(arguments)
        if clients is not None:
            account = JID.parse(arguments["address"])
            clients.end_account(account, StreamError(StreamCondition.NOT_AUTHORIZED, "The account was deleted."))
        return answer

    async def reload(_: dict[str, Any]) -> object:
        server.reload()
        return {"reloaded": str(server.config.file)}

    async def status(_: dict[str, Any]) -> object:
        return {"pid": os.getpid(), "domains": list(server.config.domains), "services": [_name(s) for s in server.services]}

    return {"user/delete": delete, "reload": reload, "status": status}


def _name(service: IService) -> str:
    return str(getattr(service, "name", None) or type(service).__name__)
