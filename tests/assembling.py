"""What tests of a whole server begin with: a configuration, and a network to assemble the server in."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.services.raw import CAPULET
from xmppfed import assembly, config, extend, server
from xmppfed.net.certificates import moment
from xmppfed.net.issuing import Authority
from xmppfed.storage.memory import MemoryStorage
from xmppfed.storage.threads import at_once
from xmppfed.testing.network import Network
from xmppfed.world import World

__all__ = ["ALL", "DOMAIN", "AssemblyCase", "Greeting", "names"]

DOMAIN = f'[domains."{CAPULET}"]\ncertificate = "cert.pem"\n'
ALL = """
[services.http]
endpoint = "tcp:443:interface=127.0.0.2"
[services.c2s_ws]
[services.s2s_ws]
[modules.ping]
[modules.disco]
"""


class Greeting(extend.Module):
    """A module with an option."""

    class Options(msgspec.Struct, forbid_unknown_fields=True):
        """Its option."""

        words: str = "hail"

    options = Options


class AssemblyCase(SynchronousTestCase):
    """A configuration in a folder of its own, and a network to assemble its server in."""

    def setUp(self) -> None:
        """A folder with a certificate."""
        self.network = Network()
        self.network.reactor.advance(1_800_000_000)
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "data").mkdir(parents=True)
        self.now: datetime = moment(self.network.reactor)
        (self.folder / "cert.pem").write_bytes(Authority(self.now).issue(CAPULET))
        self.storage = MemoryStorage()

    def config(self, text: str = ALL, domain: str = DOMAIN, **known: Any) -> config.Config:
        """What is read from a file with this text."""
        file = self.folder / "server.toml"
        file.write_text(f'data_dir = "data"\n{domain}{text}')
        return config.load(file, {**assembly.module_options(), **known})

    def world(self, **changes: Any) -> World:
        """The network, with accounts in memory."""
        given: dict[str, Any] = {
            "reactor": self.network.reactor,
            "dns": self.network.resolver,
            "storage": self.storage,
            "run_in_thread": at_once,
            "control": False,
        }
        return World(**{**given, **changes})

    def start(self, text: str = ALL, **changes: Any) -> server.Server:
        """A server that runs, and is stopped at the end."""
        made = assembly.assemble(self.config(text), self.world(**changes))
        made.startService()
        self.addCleanup(self.stop, made)
        return made

    def stop(self, made: server.Server) -> None:
        """Stop it; nothing is left."""
        done: list[object] = []
        Deferred.fromCoroutine(made.stopService()).addBoth(done.append)
        self.network.advance(10)
        self.assertEqual(done, [None])
        self.network.check_clean()


def names(made: server.Server) -> list[str]:
    """The names of its services, in their order."""
    return [str(service.name or type(service).__name__) for service in made.services]
