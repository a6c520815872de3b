"""Assembles what a server has of end-to-end streams: listeners, the gateway to the local network, pairing, and whom it knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from importlib.util import find_spec
from socket import gethostname

from twisted.application.service import Service

from xmppfed.config import Config
from xmppfed.e2e.connecting import Local
from xmppfed.e2e.linklocal.mdns import ZeroconfDiscovery
from xmppfed.e2e.store import FileTrustStore
from xmppfed.errors import ConfigError
from xmppfed.net.tls import ServerContexts
from xmppfed.net.websocket import Acceptor
from xmppfed.options_e2e import E2EOptions
from xmppfed.options_lan import LanGatewayOptions
from xmppfed.routing.sessions import Sessions
from xmppfed.server import Server
from xmppfed.services.acquaintances import NotInstalled, Pairing, pair_commands, trust_commands
from xmppfed.services.control import Command
from xmppfed.services.e2e import E2E
from xmppfed.services.http import HTTPService
from xmppfed.services.lan_gateway.names import own_names
from xmppfed.services.lan_gateway.service import LanGateway
from xmppfed.world import World

__all__ = ["EndToEnd"]


class EndToEnd:
    """What all end-to-end streams share is made once, when it is first asked for."""

    def __init__(self, config: Config, world: World, server: Server, sessions: Sessions, contexts: ServerContexts | None) -> None:
        self._config = config
        self._world = world
        self._server = server
        self._sessions = sessions
        self._contexts = contexts

    def services(self, options: E2EOptions) -> Iterator[Service]:
        """In the order in which they stop: the one that ends the streams of all is the last."""
        if options.lan_gateway is not None:
            yield self._lan_gateway(options.lan_gateway)
        yield self._e2e(options)

    def commands(self) -> Mapping[str, Command]:
        """Of the control socket. Whom the server knows can be looked at also where it has no such streams now."""
        e2e = self._server.e2e
        trust = trust_commands(self._acquaintances, None if e2e is None else e2e.cut)
        return {**trust, **pair_commands(None if e2e is None else self._pairing)}

    def _e2e(self, options: E2EOptions) -> E2E:
        ours = {*self._config.domains, *self._config.gateways}
        given = (options, self._ends, self._acquaintances, self._contexts, self._server.router, ours)
        self._server.e2e = service = E2E(*given, self._add_door)
        for offered in service.offered.values():
            self._pairing.add(offered.peers)
        return service

    @cached_property
    def _pairing(self) -> Pairing:
        """Who pairs; it takes a package that not everybody has."""
        try:
            from xmppfed.services.pairings import Pairings
        except ModuleNotFoundError:
            return NotInstalled()
        return Pairings(self._ends, self._acquaintances)

    def _add_door(self, path: bytes, acceptor: Acceptor) -> None:
        """A path of the HTTPS port, which the configuration demands where somebody asks for one."""
        http: HTTPService = self._server.getServiceNamed("http")
        http.add_door(path, acceptor)

    def _lan_gateway(self, options: LanGatewayOptions) -> LanGateway:
        if self._world.discovery is None and find_spec("zeroconf") is None:
            raise ConfigError(
                "services.e2e.lan_gateway: found no module zeroconf; wanted it to find people on the network. "
                "Install it: pip install 'xmppfed[linklocal]'"
            )
        return LanGateway(
            options,
            own_names(options.users, options.machine or gethostname()),
            self._ends,
            self._acquaintances,
            self._server.router,
            self._sessions,
            [*self._config.domains, *self._config.gateways],
            self._config.data_dir,
            self._world.discovery or partial(ZeroconfDiscovery, self._world.reactor, timeouts=self._world.timeouts),
            self._pairing.add,
        )

    @cached_property
    def _ends(self) -> Local:
        """What all end-to-end streams share; the service of that name ends them, and is the last of those that have any."""
        options = self._config.services.e2e
        assert options is not None  # who asks has them
        return Local(self._world.reactor, self._world.timeouts, self._server.trust, options.max_stanza_bytes)

    @cached_property
    def _acquaintances(self) -> FileTrustStore:
        """Whom this server knows end to end."""
        return FileTrustStore.under(self._config.data_dir)
