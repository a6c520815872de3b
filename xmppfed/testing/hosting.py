"""One server of a test: its files, its configuration, and where it listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xmppfed import assembly, config, extend
from xmppfed.core.identity import ascii_domain
from xmppfed.discovery.sources import Answer
from xmppfed.e2e.linklocal.memory import MemoryLink
from xmppfed.net.certificates import moment
from xmppfed.net.issuing import Authority
from xmppfed.net.tls import ServerContexts, TrustRoots
from xmppfed.new_server import MODULES
from xmppfed.storage.memory import MemoryStorage
from xmppfed.testing.certificates import CertificateKind, certificate
from xmppfed.testing.configuring import Settings, merged, toml
from xmppfed.testing.listening import Listening
from xmppfed.testing.network import Network
from xmppfed.testing.ways import Memory, Uncertified, Way
from xmppfed.timeouts import Timeouts
from xmppfed.world import World

__all__ = ["Directory", "Ground", "Hosted"]


@dataclass(frozen=True)
class Directory:
    """The source of discovery that knows the servers of the test: `addresses` by domain."""

    way: Way
    addresses: Mapping[str, str]

    async def candidates(self, domain: str) -> Answer:
        """Where a domain of this test is reached; of others nothing is known."""
        address = self.addresses.get(domain)
        if address is None:
            return Answer((), ("the test: none of its domains",))
        return Answer((self.way.candidate(domain, address),), ("the test: one of its domains",), authoritative=True)


@dataclass(frozen=True)
class Ground:
    """What the servers of a test stand on; `directory` is None where they find each other as in production."""

    network: Network
    link: MemoryLink
    folder: Path
    way: Way
    directory: Directory | None
    modules: Mapping[str, type[extend.Module]]
    timeouts: Timeouts

    def authority(self) -> Authority:
        """A new authority that all servers of this ground trust."""
        authority = Authority(moment(self.network.reactor))
        (self.folder / "authority.pem").write_bytes(authority.pem)
        return authority


class Hosted:
    """A server at an address of its own, not started yet."""

    def __init__(
        self, ground: Ground, authority: Authority, domain: str, address: str, kind: CertificateKind, settings: list[Settings]
    ) -> None:
        """`settings` are laid over the configuration one after another. Raises ConfigError."""
        self._ground = ground
        self.domain = domain
        self.address = address
        self._kind = kind
        self._storage = MemoryStorage()
        self._reactor = ground.network.host(address)
        self._pem = ground.folder / f"{address}.pem"
        self._pem.write_bytes(certificate(domain, kind, authority, moment(ground.network.reactor)))
        ground.network.resolver.hosts[ascii_domain(domain) or domain] = (address,)
        self._settings = self._config(settings)
        self._assemble()

    def _assemble(self) -> None:
        self.server = assembly.assemble(self._settings, self._world(self._kind))
        self._listening = self._listen() if isinstance(self._ground.way, Memory) else None

    def start(self) -> None:
        """Listen."""
        self.server.startService()
        if self._listening is not None:
            self._listening.startService()

    def start_again(self) -> None:
        """Begin anew, with what storage has."""
        self._assemble()
        self.start()

    async def crash(self) -> None:
        """Vanish without a word to anybody: connections are reset, and what is on its way is lost."""
        self.server.remotes.send = lambda stanza: None  # type: ignore[method-assign]
        if self.server.federation is not None:
            self.server.federation.stopping = True  # others notice at once, and must not find it still there
        self._ground.network.cut(lambda link: self.address in (link.client[0], link.server[0]))
        self._ground.network.pump()
        await self.stop()

    async def stop(self) -> None:
        """Listen no more, and stop the services in their order."""
        if self._listening is not None:
            await self._listening.stopService()
        await self.server.stopService()

    def _config(self, settings: list[Settings]) -> config.Config:
        values = self._defaults()
        for each in settings:
            values = merged(values, each)
        file = self._pem.with_suffix(".toml")
        file.write_text(toml(values), encoding="utf-8")
        known = {**assembly.module_options(), **{name: module.options for name, module in self._ground.modules.items()}}
        return config.load(file, known)

    def _defaults(self) -> dict[str, object]:
        modules = (*MODULES, *self._ground.modules)
        return {
            "data_dir": ".",
            "trust_anchors": ["authority.pem"],
            "allow_private_addresses": ["127.0.0.0/8"],
            "domains": {self.domain: {"certificate": self._pem.name}},
            "services": self._ground.way.services(self.address),
            "modules": {name: {} for name in modules},
        }

    def _world(self, kind: CertificateKind) -> World:
        ground, reactor = self._ground, self._reactor
        dialer = ground.way.dialer(reactor, ground.timeouts)
        return World(
            reactor=reactor,
            dns=ground.network.resolver,
            storage=self._storage,
            run_in_thread=ground.network.run_in_thread,
            timeouts=ground.timeouts,
            control=False,
            modules=ground.modules,
            sources=() if ground.directory is None else (ground.directory,),
            dialers={ground.way.kind: Uncertified(dialer) if kind == "none" else dialer},
            discovery=lambda interfaces: ground.link.discovery(self.address),
        )

    def _listen(self) -> Listening:
        ground = self._ground
        contexts = ServerContexts({self.domain: self._pem}, TrustRoots.load(self.server.config.trust_anchors))
        listening = Listening(self._reactor, self.address, contexts, ground.timeouts)
        for name in ("c2s_ws", "s2s_ws"):
            if name in self.server.namedServices:
                listening.take(self.server.getServiceNamed(name))
        return listening
