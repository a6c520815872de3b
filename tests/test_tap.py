"""`twistd xmppfed`: what becomes of its options, and of a configuration that cannot be used."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from twisted.application.service import IServiceMaker, MultiService, ServiceMaker
from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from xmppfed import assembly, config, tap
from xmppfed.errors import ConfigError


def parsed(*arguments: str) -> tap.Options:
    """The options as twistd hands them over."""
    options = tap.Options()
    options.parseOptions(list(arguments))
    return options


class PluginTests(SynchronousTestCase):
    """Twisted finds us."""

    def test_twistd_knows_the_name(self) -> None:
        """A plug-in named `xmppfed` is there, and it leads to xmppfed.tap."""
        found: list[Any] = [maker for maker in getPlugins(IServiceMaker) if maker.tapname == "xmppfed"]
        self.assertEqual([(type(maker), maker.module) for maker in found], [(ServiceMaker, "xmppfed.tap")])
        self.assertIs(found[0].makeService, tap.makeService)
        self.assertIs(found[0].options, tap.Options)


class OptionsTests(SynchronousTestCase):
    """`--config FILE` is all there is."""

    def test_file_by_either_name(self) -> None:
        """`--config FILE` and `-c FILE` name the file."""
        self.assertEqual(parsed("--config", "one.toml")["config"], "one.toml")
        self.assertEqual(parsed("-c", "two.toml")["config"], "two.toml")

    def test_without_a_file(self) -> None:
        """Without a file the process ends, and says what to write."""
        ended = self.assertRaises(SystemExit, parsed)
        self.assertIn("--config FILE", str(ended))


class MakeServiceTests(SynchronousTestCase):
    """From the file to the service, with the reactor handed down."""

    def test_server_gets_configuration_and_reactor(self) -> None:
        """The named file is read with the options of the installed modules, and the server gets what came of it."""
        service, calls = MultiService(), []

        def make_service(*arguments: object) -> MultiService:
            calls.append(arguments)
            return service

        self.patch(config, "load", lambda *arguments: ("configuration", *arguments))
        self.patch(assembly, "make_service", make_service)
        made: Any = tap.makeService(parsed("--config", "one.toml"))
        self.assertEqual(made.services, [service])
        read = ("configuration", Path("one.toml"), assembly.module_options())
        self.assertEqual(calls, [(read, reactor)])

    def test_configuration_refused(self) -> None:
        """A file that cannot be used ends the process with the reason alone."""
        reason = "one.toml: services: found nothing"

        def refuse(*arguments: object) -> None:
            raise ConfigError(reason)

        self.patch(config, "load", refuse)
        ended = self.assertRaises(SystemExit, tap.makeService, parsed("--config", "one.toml"))
        self.assertEqual(str(ended), f"twistd xmppfed: {reason}")

    def test_server_refused(self) -> None:
        """What only the server finds out (a damaged certificate, say) ends the process in the same way."""

        def refuse(*arguments: object) -> None:
            raise ConfigError("the certificate is damaged")

        self.patch(config, "load", lambda *arguments: None)
        self.patch(assembly, "make_service", refuse)
        ended = self.assertRaises(SystemExit, tap.makeService, parsed("--config", "one.toml"))
        self.assertEqual(str(ended), "twistd xmppfed: the certificate is damaged")


class _Refusing(MultiService):
    """A server that cannot start, in one way or the other."""

    def __init__(self, listening: Exception | None = None, starting: Exception | None = None) -> None:
        super().__init__()
        self.listening, self.starting = listening, starting
        services = config.Services(http=config.HTTPOptions(), s2s_tcp=config.S2STCPOptions(direct_tls_endpoint="unix:/s"))
        self.config = SimpleNamespace(services=services)
        self.reloads = 0

    def privilegedStartService(self) -> None:
        if self.listening is not None:
            raise self.listening

    def startService(self) -> None:
        if self.starting is not None:
            raise self.starting

    def reload_or_log(self) -> None:
        self.reloads += 1


class _Reactor:
    """Runs what a signal asks for when it is told to."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def callFromThread(self, call: Any) -> None:
        self.calls.append(call)


class StartTests(SynchronousTestCase):
    """What keeps a server from starting is one line, and SIGHUP reloads."""

    def setUp(self) -> None:
        self.handlers: dict[int, Any] = {}
        self.patch(tap.signal, "signal", self.handlers.__setitem__)

    def test_port_is_taken(self) -> None:
        """A port that cannot be had ends the process; the line names the key and says what to do."""
        taken = CannotListenError("127.0.0.1", 443, OSError(98, "Address already in use"))
        started: Any = tap.Started(cast(Any, _Refusing(listening=taken)), _Reactor())
        ended = self.assertRaises(SystemExit, started.privilegedStartService)
        self.assertIn("services.http.endpoint: ", str(ended))
        self.assertIn("Address already in use. Stop what listens there", str(ended))

    def test_which_port(self) -> None:
        """Of several endpoints the one is named that has the port, or the Unix socket; without any, their table."""
        for port, key in (
            (5269, "services.s2s_tcp.endpoint"),
            ("/s", "services.s2s_tcp.direct_tls_endpoint"),
            (1, "services"),
        ):
            taken = CannotListenError("", port, OSError(98, "Address already in use"))
            started: Any = tap.Started(cast(Any, _Refusing(listening=taken)), _Reactor())
            ended = self.assertRaises(SystemExit, started.privilegedStartService)
            self.assertIn(f"twistd xmppfed: {key}: ", str(ended))

    def test_another_server_has_the_directory(self) -> None:
        """What only the start finds out ends the process with the reason alone."""
        started: Any = tap.Started(cast(Any, _Refusing(starting=ConfigError("data_dir: taken"))), _Reactor())
        self.assertEqual(str(self.assertRaises(SystemExit, started.startService)), "twistd xmppfed: data_dir: taken")

    def test_hang_up(self) -> None:
        """SIGHUP reloads in the reactor's time, not inside the signal handler."""
        made, reactor = _Refusing(), _Reactor()
        started = tap.Started(cast(Any, made), reactor)
        started.privilegedStartService()
        started.startService()
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.assertEqual(made.reloads, 0)
        for call in reactor.calls:
            call()
        self.assertEqual(made.reloads, 1)
