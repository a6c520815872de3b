"""The whole server as one Twisted service. `xmppfed.assembly` makes it from a configuration."""

from __future__ import annotations

import pyexpat
from collections.abc import Mapping
from pathlib import Path

import msgspec
from twisted.application.service import MultiService, Service
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from xmppfed import config as configuration
from xmppfed.config import Config, DomainOptions, GatewayOptions
from xmppfed.errors import ConfigError
from xmppfed.net.tls import ServerContexts, TrustRoots
from xmppfed.routing.remotes import Remotes
from xmppfed.routing.router import Router
from xmppfed.routing.sessions import Sessions
from xmppfed.services.e2e import E2E
from xmppfed.services.federation import Federation
from xmppfed.storage.interface import Storage

__all__ = ["Server", "certificates"]


class Server(MultiService):
    """The whole server. Its children stop one after another: listening first, then the streams, storage last."""

    log = Logger()

    def __init__(
        self,
        config: Config,
        contexts: ServerContexts | None,
        trust: TrustRoots,
        router: Router,
        storage: Storage,
        sessions: Sessions,
        remotes: Remotes,
        known: Mapping[str, type[msgspec.Struct]],
    ) -> None:
        """`known` has the options of every module that the configuration can name."""
        super().__init__()
        self.config = config
        self.trust = trust
        self.router = router
        self.storage = storage
        self.sessions = sessions
        self.remotes = remotes
        self.federation: Federation | None = None
        self.e2e: E2E | None = None
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
            self._contexts.reload(certificates(config), trust)
        self.trust = trust
        if self.federation is not None:
            self.federation.trust_roots = trust
        if self.e2e is not None:
            self.e2e.reload(trust)
        self.log.info("certificates and trust anchors were read again")


def certificates(config: Config) -> dict[str, Path]:
    """The PEM file of each domain that has one."""
    served: dict[str, DomainOptions | GatewayOptions] = {**config.domains, **config.gateways}
    return {domain: options.certificate for domain, options in served.items() if options.certificate is not None}
