"""Assembles a server from its configuration: every service stands alone, and all stand in one MultiService."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Container, Mapping
from functools import cached_property, partial
from typing import Any

import msgspec
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThreadPool

from xmppfed import extend
from xmppfed.assembly_e2e import EndToEnd
from xmppfed.assembly_federation import OtherDomains
from xmppfed.config import Config
from xmppfed.discovery.resolver import Resolver
from xmppfed.net.certificates import moment
from xmppfed.net.peer import PeerCertificate, judge_presented
from xmppfed.net.proxies import Listed, Presented, TrustedProxies
from xmppfed.net.tls import ServerContexts, TrustRoots
from xmppfed.options import C2STCPOptions, HTTPOptions, S2STCPOptions
from xmppfed.routing.handlers import Handlers
from xmppfed.routing.remotes import Remotes
from xmppfed.routing.router import Router
from xmppfed.routing.sessions import Sessions
from xmppfed.server import Server, certificates
from xmppfed.services.c2s_tcp import C2STCP
from xmppfed.services.c2s_ws import C2SWebSocket
from xmppfed.services.clients import Clients
from xmppfed.services.control import Command, Control, user_commands
from xmppfed.services.explaining import explaining_commands
from xmppfed.services.http import HTTPService
from xmppfed.services.login import ClientPolicy
from xmppfed.services.publishing import published
from xmppfed.services.registrar import Registrar
from xmppfed.services.s2s_tcp import S2STCP
from xmppfed.services.s2s_ws import S2SWebSocket
from xmppfed.services.tcp import TCPService
from xmppfed.services.tokens import Tokens
from xmppfed.storage.interface import Storage
from xmppfed.storage.memory import MemoryStorage
from xmppfed.storage.sqlite import SQLiteStorage
from xmppfed.storage.threads import at_once
from xmppfed.world import World

__all__ = ["assemble", "check", "make_service", "module_options"]


def module_options() -> Mapping[str, type[msgspec.Struct]]:
    """The options of every installed module, by its name; only those that are looked at are imported."""
    return extend.installed_options()


def _known(modules: Mapping[str, type[extend.Module]]) -> Mapping[str, type[msgspec.Struct]]:
    own = {name: module.options for name, module in modules.items()}
    return {**module_options(), **own} if own else module_options()


def make_service(config: Config, reactor: Any) -> Server:
    """The server that `config` describes, on a real reactor. Raises `ConfigError`."""
    world = World(
        reactor=reactor,
        dns=Resolver(reactor),
        storage=SQLiteStorage.open(config.data_dir, reactor),
        run_in_thread=partial(deferToThreadPool, reactor, reactor.getThreadPool()),
    )
    return assemble(config, world)


def check(config: Config) -> None:
    """All that a start does, up to listening and to opening the database. Raises `ConfigError`."""
    assemble(config, World(reactor=Clock(), dns=Resolver(Clock()), storage=MemoryStorage(), run_in_thread=at_once))


def assemble(config: Config, world: World) -> Server:
    """The server that `config` describes, in `world`. Raises `ConfigError`."""
    return _Assembly(config, world).server()


class _Assembly:
    """A server while it is put together. What several services share is made once, when the first of them asks for it."""

    def __init__(self, config: Config, world: World) -> None:
        self._config = config
        self._world = world
        trust = TrustRoots.load(config.trust_anchors)
        files = certificates(config)
        self._contexts = ServerContexts(files, trust) if files else None
        self._sessions, self._handlers = Sessions(config.max_sessions), Handlers()
        remotes = Remotes(world.reactor, lambda pair: self._others.connect(pair), world.timeouts)
        self._router = Router(config.domains, self._sessions, remotes, self._handlers)
        self._refused: deque[str] = deque()
        known = _known(world.modules)
        self._server = Server(config, self._contexts, trust, self._router, world.storage, self._sessions, remotes, known)
        self._others = OtherDomains(config, world, self._server, self._contexts)

    def server(self) -> Server:
        """The server with all its services, in the order in which they stop: listening first, storage last."""
        services = self._config.services
        if services.http is not None:
            self._add_http(services.http)
        if services.c2s_tcp is not None:
            self._add(self._c2s_tcp(services.c2s_tcp))
        if services.s2s_tcp is not None:
            self._add(self._s2s_tcp(services.s2s_tcp))
        if services.serve_clients:
            self._add(self._clients)
        if services.federate:
            self._add(self._others.federation)
        if services.gateway is not None:
            self._add(self._others.gateway(services.gateway))
            self._add(self._others.backends)
        if services.e2e is not None:
            for service in self._ends.services(services.e2e):
                self._add(service)
        self._add_modules()
        if self._world.control:
            self._add(Control(self._world.reactor, self._config.data_dir, self._commands()))
        self._add(_Closing(self._world.storage))
        return self._server

    def _add(self, service: Service) -> None:
        service.setServiceParent(self._server)

    # What services share.

    @cached_property
    def _clients(self) -> Clients:
        world = self._world
        return Clients(
            self._config.domains,
            world.storage.accounts,
            self._sessions,
            self._router,
            world.run_in_thread,
            Tokens(world.storage.records, world.reactor, world.timeouts),
        )

    @cached_property
    def _registrar(self) -> Registrar:
        world = self._world
        end = self._clients.end_account
        return Registrar(world.storage.accounts, world.run_in_thread, self._handlers, self._sessions, end)

    @cached_property
    def _ends(self) -> EndToEnd:
        """End-to-end streams, and whom this server knows by them."""
        return EndToEnd(self._config, self._world, self._server, self._sessions, self._contexts)

    # The parts.

    def _add_http(self, options: HTTPOptions) -> None:
        services = self._config.services
        self._add(http := self._http(options))
        self._refused = http.refused
        if services.c2s_ws is not None:
            policy = ClientPolicy(
                frozenset(services.c2s_ws.anonymous),
                frozenset(services.c2s_ws.allowed_origins),
                services.c2s_ws.see_other_uri,
            )
            self._add(c2s := C2SWebSocket(self._clients, policy, self._world.timeouts, services.c2s_ws.max_stanza_bytes))
            http.take(c2s)
            for domain, gateway in self._config.gateways.items():
                if gateway.clients:
                    self._add(relay := self._others.relay(domain, gateway, services.c2s_ws.max_stanza_bytes))
                    http.relay(domain, relay)
        if services.s2s_ws is not None:
            self._add(s2s := S2SWebSocket(self._others.federation))
            http.take(s2s)

    def _c2s_tcp(self, options: C2STCPOptions) -> C2STCP:
        policy = ClientPolicy(frozenset(options.anonymous))
        service = C2STCP(self._clients, policy, self._world.reactor, self._world.timeouts, options.max_stanza_bytes)
        self._listen(service, options, self._config.domains)
        return service

    def _s2s_tcp(self, options: S2STCPOptions) -> S2STCP:
        federation = self._others.federation
        service = S2STCP(federation, self._world.reactor)
        self._listen(service, options, federation.domains)
        return service

    def _listen(self, service: TCPService, options: C2STCPOptions | S2STCPOptions, domains: Container[str]) -> None:
        if options.endpoint or options.direct_tls_endpoint:
            assert self._contexts is not None  # the configuration demands certificates
            service.listen(options.endpoint, options.direct_tls_endpoint, self._contexts, domains)

    def _http(self, options: HTTPOptions) -> HTTPService:
        services = self._config.services
        http = HTTPService(
            self._world.reactor,
            options.endpoint,
            self._world.timeouts,
            self._contexts,
            behind_proxy=options.behind_proxy,
            fast_path=services.c2s_ws is None or services.c2s_ws.fast_path,
            proxies=_proxies(options),
            proxy_protocol=options.proxy_protocol,
            judge_presented=self._judge_presented,
        )
        http.root.putChild(b".well-known", published(self._config, options, self._contexts))
        return http

    def _judge_presented(self, presented: Presented) -> PeerCertificate:
        return judge_presented(presented.leaf, presented.chain, self._server.trust.store(), moment(self._world.reactor))

    def _add_modules(self) -> None:
        host = extend.Host(
            domains=self._config.domains,
            route=self._router.route,
            features=self._handlers.features,
            forms=self._handlers.forms,
            resources=self._sessions.resources_of,
            resource=self._sessions.resources.get,
            is_connected=self._sessions.is_connected,
            hold=self._router.hold,
            subscribed=self._handlers.subscribed,
            watchers=self._handlers.watchers,
            contacts=self._handlers.contacts,
            blocks=self._handlers.blocks,
            accounts=self._registrar,
            records=self._world.storage.records,
            clock=self._world.reactor,
            timeouts=self._world.timeouts,
        )
        for name, options in self._config.modules.items():
            module = (self._world.modules.get(name) or extend.load(name))(host, options)
            module.setName(f"modules.{name}")
            extend.register(module, self._handlers)
            self._add(module)

    def _commands(self) -> Mapping[str, Command]:
        world = self._world
        users = user_commands(world.storage.accounts, self._config.domains, world.run_in_thread, self._registrar.remove_and_end)

        async def reload(_: dict[str, Any]) -> object:
            self._server.reload()
            return {"reloaded": str(self._config.file)}

        async def status(_: dict[str, Any]) -> object:
            services = [_name(service) for service in self._server.services]
            return {"pid": os.getpid(), "domains": list(self._config.domains), "services": services}

        domains = [*self._config.domains, *self._config.gateways]
        explaining = explaining_commands(self._server.federation, domains, self._refused)
        return {**users, **explaining, **self._ends.commands(), "reload": reload, "status": status}


def _proxies(options: HTTPOptions) -> TrustedProxies:
    return TrustedProxies(Listed.of(options.trusted_proxies), certificate_header=options.client_certificate_header)


class _Closing(Service):
    """Closes the storage when everybody else has stopped."""

    name = "storage"

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._storage.close())


def _name(service: IService) -> str:
    return str(getattr(service, "name", None) or type(service).__name__)
