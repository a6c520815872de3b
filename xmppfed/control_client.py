"""What the commands of `xmppfedctl` share: which server they are about, how to ask it, and what is done where none runs."""

from __future__ import annotations

import http.client
import json
import os
import socket
from argparse import Namespace
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from xmppfed import assembly
from xmppfed import config as configuration
from xmppfed.config import Config
from xmppfed.errors import XMPPFedError
from xmppfed.services.control import SOCKET_NAME

__all__ = ["CommandFailed", "NotRunning", "ask", "connected", "load", "print_answer", "run_here"]

_PATIENCE = 60.0  # seconds for the running server to answer


class CommandFailed(XMPPFedError):
    """What was asked for was not done."""


class NotRunning(CommandFailed):
    """No server listens at the control socket."""


def load(arguments: Namespace) -> Config:
    """The configuration that `--config` names. Raises ConfigError."""
    return configuration.load(arguments.config, assembly.module_options())


def ask(config: Config, name: str, arguments: dict[str, str]) -> dict[str, Any]:
    """What the running server answers to the command `name`. Raises NotRunning, or CommandFailed with its refusal."""
    request = http.client.HTTPConnection("localhost")
    request.sock = connected(config)
    try:
        request.request("POST", f"/{name}", json.dumps(arguments))
        response = request.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise CommandFailed(f"the server did not answer as it should ({error!r}); its log may say why") from None
    finally:
        request.close()
    if response.status != 200:
        raise CommandFailed(str(answer["error"]))
    return answer


def connected(config: Config) -> socket.socket:
    """A connection to the control socket. Raises NotRunning, or CommandFailed when it is somebody else's."""
    path = config.data_dir / SOCKET_NAME
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_PATIENCE)
    try:
        connection.connect(os.fspath(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        start = f"twistd xmppfed --config {config.file}"
        raise NotRunning(f"{path}: no server listens there; start it with `{start}`") from None
    except OSError as error:
        connection.close()
        raise CommandFailed(f"{path}: {error.strerror}; run this as the user that the server runs as") from None
    return connection


def run_here(command: Coroutine[Any, Any, Any]) -> dict[str, Any]:
    """The answer of a command that waits for nothing but this process."""
    results: list[Any] = []
    failures: list[Any] = []
    Deferred.fromCoroutine(command).addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    answer: dict[str, Any] = results[0]
    return answer


def print_answer(answer: dict[str, Any]) -> None:
    """Line by line, for people."""
    for key, value in answer.items():
        print(f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
