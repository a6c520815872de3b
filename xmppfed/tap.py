"""`twistd xmppfed --config FILE`: the one place that takes the reactor from Twisted and hands it down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from xmppfed import config, server
from xmppfed.errors import ConfigError

__all__ = ["Options", "makeService"]


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
        return server.make_service(config.load(Path(options["config"]), server.module_options()), reactor)
    except ConfigError as error:
        raise SystemExit(f"twistd xmppfed: {error}") from None
