"""`twistd xmppfed --config FILE`: the one place that takes the reactor from Twisted and hands it down."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.error import CannotListenError
from twisted.python import usage

from xmppfed import assembly, config
from xmppfed.errors import ConfigError
from xmppfed.server import Server

__all__ = ["Options", "Started", "makeService"]


class Options(usage.Options):
    """The options behind `twistd xmppfed`."""

    longdesc = "Starts an XMPP server. The manual describes every key of the configuration file."
    optParameters = [["config", "c", None, "The configuration file (TOML); required."]]

    def postOptions(self) -> None:
        """Ask for the file when it was not named; twistd itself would print all its help first and exit with 0."""
        if self["config"] is None:
            raise SystemExit("twistd xmppfed: no configuration was named; write: twistd xmppfed --config FILE")


def makeService(options: Any) -> IService:
    """The whole server as one service. A configuration that cannot be used ends the process with a reason, no traceback."""
    from twisted.internet import reactor

    try:
        made = assembly.make_service(config.load(Path(options["config"]), assembly.module_options()), reactor)
    except ConfigError as error:
        raise SystemExit(f"twistd xmppfed: {error}") from None
    return Started(made, reactor)


class Started(MultiService):
    """Holds the server for twistd: what keeps it from starting is said in one line, without a traceback.

    SIGHUP reloads, once it runs.
    """

    def __init__(self, made: Server, reactor: Any) -> None:
        super().__init__()
        self._server = made
        self._reactor = reactor
        made.setServiceParent(self)

    def privilegedStartService(self) -> None:
        """Listen. What cannot listen ends the process."""
        try:
            super().privilegedStartService()
        except CannotListenError as error:
            advice = "Stop what listens there, or choose an address and a port that this machine has and this user may take."
            key = _listening_key(self._server.config.services.endpoints(), error)
            raise SystemExit(f"twistd xmppfed: {key}: {str(error).rstrip('.')}. {advice}") from None

    def startService(self) -> None:
        """Start everything else, and take SIGHUP."""
        signal.signal(signal.SIGHUP, self._hang_up)
        try:
            super().startService()
        except ConfigError as error:
            raise SystemExit(f"twistd xmppfed: {error}") from None

    def _hang_up(self, *_: object) -> None:
        """A signal interrupts anything: the reactor reloads when it has time."""
        self._reactor.callFromThread(self._server.reload_or_log)


def _listening_key(endpoints: Mapping[str, str], error: CannotListenError) -> str:
    """The key of the endpoint that could not be had, as far as its port tells; the error does not know it."""
    return next((key for key, endpoint in endpoints.items() if str(error.port) in endpoint.split(":")), "services")
