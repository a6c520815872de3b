"""The demo's two servers in memory, from the demo's own files."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher, textFileLogObserver
from twisted.trial.unittest import SynchronousTestCase

from xmppfed import assembly, config, server
from xmppfed.core.jid import JID
from xmppfed.demo_servers import Place, places, write_files
from xmppfed.net.certificates import moment
from xmppfed.net.tls import TrustRoots
from xmppfed.storage.accounts import add_account
from xmppfed.storage.memory import MemoryStorage
from xmppfed.storage.threads import at_once
from xmppfed.testing.network import Network
from xmppfed.world import World

__all__ = ["DemoCase"]


class DemoCase(SynchronousTestCase):
    """Two servers on a network in memory, with an account on each; what both log stands in both logs."""

    def setUp(self) -> None:
        self.network = Network()
        self.network.reactor.advance(1.8e9)
        folder = Path(self.mktemp())
        folder.mkdir()
        self.pair = places(folder, (40001, 40002))
        self.trust = TrustRoots.load([write_files(self.pair, moment(self.network.reactor))])
        for place in self.pair:
            self._start(place)
            log = place.log.open("w")
            self.addCleanup(log.close)
            observer = textFileLogObserver(log)
            globalLogPublisher.addObserver(observer)
            self.addCleanup(globalLogPublisher.removeObserver, observer)

    def _start(self, place: Place) -> None:
        storage = MemoryStorage()
        world = World(
            reactor=self.network.reactor,
            dns=self.network.resolver,
            storage=storage,
            run_in_thread=at_once,
            control=False,
        )
        made = assembly.assemble(config.load(place.config, assembly.module_options()), world)
        made.privilegedStartService()
        made.startService()
        self.addCleanup(self._stop, made)
        account = JID.of(place.user, place.domain)
        self.successResultOf(Deferred.fromCoroutine(add_account(storage.accounts, account, place.password, at_once)))

    def _stop(self, made: server.Server) -> None:
        stopped = Deferred.fromCoroutine(made.stopService())
        self.network.advance(10)
        self.successResultOf(stopped)
