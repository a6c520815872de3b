"""Assembles what a server has of other domains: federation with servers elsewhere, and with its own backends behind a gateway."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from ipaddress import IPv6Address, ip_network
from secrets import randbelow
from typing import Any

from xmppfed.checks import is_origin
from xmppfed.config import Config, GatewayOptions, GatewayServiceOptions
from xmppfed.core.events import Pair
from xmppfed.discovery.candidates import S2S_WEBSOCKET, XMPP_SERVER, XMPPS_SERVER
from xmppfed.discovery.discovery import Discovery
from xmppfed.discovery.dnssources import ServiceRecords, TextRecords
from xmppfed.discovery.fetch import DocumentClient
from xmppfed.discovery.sources import HostMetaDocuments, Source, StaticRoute, StaticRoutes
from xmppfed.discovery.vouching import Vouching
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.net.dial import Dialer, WebSocketDialer
from xmppfed.net.dialtcp import DirectTLSDialer, StartTLSDialer
from xmppfed.net.proxies import Listed
from xmppfed.net.tls import ServerContexts, strict_connection_creator, tls_endpoint
from xmppfed.server import Server
from xmppfed.services.federation import Federation, Trust, TrustPolicy
from xmppfed.services.gateway import (
    WITHOUT_TLS,
    BackendEndpoints,
    Backends,
    EndpointDialer,
    Everybody,
    Gateway,
    nobody_vouches,
)
from xmppfed.services.intake import FIRST_LIMIT
from xmppfed.services.relay import ClientDialer, Relay
from xmppfed.world import World

__all__ = ["OtherDomains"]


class OtherDomains:
    """The ways to domains that are not served here. Each is made once, when it is first asked for."""

    def __init__(self, config: Config, world: World, server: Server, contexts: ServerContexts | None) -> None:
        self._config = config
        self._world = world
        self._server = server
        self._contexts = contexts

    def connect(self, pair: Pair) -> None:
        """Open a stream for `pair`, if a service knows a way."""
        if pair.to in self._config.gateways:
            self.backends.connect(pair)
            return
        if self._server.federation is not None:
            self._server.federation.connect(pair)
            return
        text = "This server does not federate: its configuration has neither [services.s2s_ws] nor [services.s2s_tcp]."
        self._server.remotes.failed(pair, StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, text=text))

    @cached_property
    def federation(self) -> Federation:
        """The federation with servers elsewhere."""
        options, world, server = self._config.federation, self._world, self._server
        dialers = {**self._dialers(), **world.dialers}
        fetch = DocumentClient(
            world.reactor, world.dns.addresses, self._config.allow_private_addresses, self._wrap_tls, world.timeouts
        )
        server.federation = federation = Federation(
            world.reactor,
            [*self._config.domains, *self._config.gateways],
            server.remotes,
            server.router,
            self._discovery(fetch, dialers),
            Vouching(world.reactor, fetch.get),
            dialers,
            self._contexts,
            server.trust,
            TrustPolicy(Trust(options.trust), {domain: Trust(value) for domain, value in options.trust_by_domain.items()}),
            world.storage.accounts,
            world.timeouts,
            options.max_stanza_bytes,
        )
        return federation

    @cached_property
    def backends(self) -> Backends:
        """The federation with our own backends: on ways that the configuration names, and judged by nothing else."""
        world, server, gateways = self._world, self._server, self._config.gateways
        routes = {d: StaticRoute(o.backend) for d, o in gateways.items() if is_origin(o.backend, "xmpp", "xmpps")}
        endpoints = {domain: options.backend for domain, options in gateways.items() if domain not in routes}
        given = (world.reactor, world.timeouts, FIRST_LIMIT)
        dialers: dict[str, Dialer] = {
            XMPP_SERVER: StartTLSDialer(*given),
            XMPPS_SERVER: DirectTLSDialer(*given),
            WITHOUT_TLS: EndpointDialer(*given),
        }
        anywhere = (ip_network((0, 0)), ip_network((IPv6Address(0), 0)))
        sources: list[Source] = [StaticRoutes(routes), BackendEndpoints(endpoints)]
        backends = Backends(
            world.reactor,
            Everybody(),
            server.remotes,
            server.router,
            Discovery(world.reactor, sources, world.dns.addresses, anywhere, kinds=dialers, chance=randbelow),
            Vouching(world.reactor, nobody_vouches),
            dialers,
            None,
            server.trust,
            TrustPolicy(Trust.DIALBACK_WITHOUT_VERIFIED_TLS),
            world.storage.accounts,
            world.timeouts,
            self._config.federation.max_stanza_bytes,
        )
        backends.gateways = gateways
        return backends

    def gateway(self, options: GatewayServiceOptions) -> Gateway:
        """Where backends give us what is for elsewhere."""
        gateway = Gateway(self.backends, self._world.reactor, Listed.of(options.peers))
        gateway.listen_for_backends(options.endpoint, self._contexts if options.tls else None)
        return gateway

    def relay(self, domain: str, options: GatewayOptions, limit: int) -> Relay:
        """What carries clients of `domain` to its backend; `limit` is the largest stanza, in bytes."""
        world, trust = self._world, self._server.trust
        dial = ClientDialer(world.reactor, world.timeouts, domain, options.clients, options.proxy_protocol, trust)
        return Relay(domain, dial, world.reactor, world.timeouts, limit)

    def _dialers(self) -> dict[str, Dialer]:
        """By kind of candidate: who takes streams in some way opens them so, too."""
        services, given = self._config.services, (self._world.reactor, self._world.timeouts, FIRST_LIMIT)
        dialers: dict[str, Dialer] = {}
        if services.s2s_ws is not None:
            dialers[S2S_WEBSOCKET] = WebSocketDialer(*given)
        if services.s2s_tcp is not None:
            dialers[XMPP_SERVER], dialers[XMPPS_SERVER] = StartTLSDialer(*given), DirectTLSDialer(*given)
        return dialers

    def _discovery(self, fetch: DocumentClient, kinds: Collection[str]) -> Discovery:
        """Who is asked where another domain is, in the order of DESIGN, 7."""
        world, allowed, dns = self._world, self._config.allow_private_addresses, self._world.dns
        given = self._config.federation.static_routes
        routes = {domain: StaticRoute(route.url, route.addresses) for domain, route in given.items()}
        published: list[Source] = [HostMetaDocuments(fetch.get), ServiceRecords(dns), TextRecords(dns)]
        sources = [*world.sources, StaticRoutes(routes), *published]
        return Discovery(world.reactor, sources, dns.addresses, allowed, kinds=kinds, chance=randbelow)

    def _wrap_tls(self, endpoint: Any, host: str) -> Any:
        """TLS for documents, with the trust anchors of the moment: a reload makes new ones."""
        creator = strict_connection_creator(host, self._server.trust, self._world.reactor)
        return tls_endpoint(self._world.reactor, endpoint, creator)
