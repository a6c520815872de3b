"""`twistd xmppfed`: what becomes of its options, and of a configuration that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import IServiceMaker, MultiService, ServiceMaker
from twisted.internet import reactor
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from xmppfed import config, server, tap
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
        self.patch(server, "make_service", make_service)
        self.assertIs(tap.makeService(parsed("--config", "one.toml")), service)
        read = ("configuration", Path("one.toml"), server.module_options())
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
        self.patch(server, "make_service", refuse)
        ended = self.assertRaises(SystemExit, tap.makeService, parsed("--config", "one.toml"))
        self.assertEqual(str(ended), "twistd xmppfed: the certificate is damaged")
