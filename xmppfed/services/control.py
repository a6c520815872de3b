"""The door for the operator: HTTP and JSON on a Unix socket that only the server's own user can open.

`POST /user/add` with a JSON object as body runs the command `user/add`; the answer is JSON, and `{"error": ...}` with
a status of 400 or more where it is refused. A later command plugs in by its name.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorUNIX
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from xmppfed.core.jid import JID
from xmppfed.errors import ConfigError, XMPPFedError
from xmppfed.storage.accounts import account_address, add_account, change_password
from xmppfed.storage.interface import AccountExists, Accounts, NoSuchAccount
from xmppfed.storage.threads import RunInThread

__all__ = ["SOCKET_NAME", "Command", "CommandRefused", "Control", "converted", "user_commands"]

SOCKET_NAME = "control.sock"
"""The name of the socket inside `data_dir`."""

Command: TypeAlias = Callable[[dict[str, Any]], Coroutine[Any, Any, object]]
"""An `async def` that takes the JSON object of a request; its result is written as JSON. A refusal is an XMPPFedError."""

_STATUS = {AccountExists: 409, NoSuchAccount: 404}
S = TypeVar("S", bound=msgspec.Struct)


class CommandRefused(XMPPFedError):
    """A command that cannot be run as it was asked for."""


class Control(Service):
    """Listens at `data_dir/control.sock`, mode 0600, and runs `commands` by their names."""

    name = "control"

    def __init__(self, reactor: IReactorUNIX, data_dir: Path, commands: Mapping[str, Command]) -> None:
        self._reactor, self._path = reactor, data_dir / SOCKET_NAME
        self._commands = commands
        self._port: IListeningPort | None = None

    def startService(self) -> None:
        """Begin to listen. Raises ConfigError: no such directory, or another server has it."""
        _clear(self._path)
        site: Any = Site(_Commands(self._commands), reactor=self._reactor)
        site.noisy, site.log = False, lambda request: None  # what a command did is logged by who does it
        # Twisted sets the mode after binding; nobody may come in between.
        umask = os.umask(0o177)
        try:
            self._port = self._reactor.listenUNIX(os.fspath(self._path), site, mode=0o600)
        except CannotListenError as error:
            raise _unusable(self._path, str(error.socketError), "correct data_dir") from error
        finally:
            os.umask(umask)
        super().startService()

    async def stopService(self) -> None:
        """Stop listening; the socket file is gone afterwards."""
        super().stopService()
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)


def user_commands(
    accounts: Accounts,
    domains: Collection[str],
    run_in_thread: RunInThread,
    remove: Callable[[JID], Awaitable[None]] | None = None,
) -> dict[str, Command]:
    """`user/add`, `user/passwd`, `user/delete` and `user/list`, for accounts at `domains`. Where a server runs, `remove` ends
    what an account has there besides."""

    async def add(arguments: dict[str, Any]) -> object:
        login = converted(arguments, _Login)
        jid = account_address(login.address, domains)
        await add_account(accounts, jid, login.password, run_in_thread)
        return {"added": str(jid)}

    async def passwd(arguments: dict[str, Any]) -> object:
        login = converted(arguments, _Login)
        jid = account_address(login.address, domains)
        await change_password(accounts, jid, login.password, run_in_thread)
        return {"changed": str(jid)}

    async def delete(arguments: dict[str, Any]) -> object:
        jid = account_address(converted(arguments, _Account).address, domains)
        await (accounts.delete(jid.domain, jid.local) if remove is None else remove(jid))
        return {"deleted": str(jid)}

    async def list_all(arguments: dict[str, Any]) -> object:
        converted(arguments, _Nothing)
        return {"accounts": [f"{local}@{domain}" for domain in domains for local in await accounts.list(domain)]}

    return {"user/add": add, "user/passwd": passwd, "user/delete": delete, "user/list": list_all}


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Account(msgspec.Struct, forbid_unknown_fields=True):
    address: str


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    address: str
    password: str


class _Commands(Resource):
    """Every command, whatever the depth of its name."""

    isLeaf = True
    log = Logger()

    def __init__(self, commands: Mapping[str, Command]) -> None:
        super().__init__()
        self._commands = commands

    def render(self, request: Any) -> int:
        """Answer when the command is through."""
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        Deferred.fromCoroutine(self._outcome(request)).addCallback(self._write, request, gone)
        return NOT_DONE_YET

    async def _outcome(self, request: Any) -> tuple[int, object]:
        name = b"/".join(request.postpath).decode("ascii", "replace")
        try:
            return 200, await self._command(request, name)(_arguments(request))
        except XMPPFedError as error:
            return _STATUS.get(type(error), 400), {"error": str(error)}
        except Exception:  # noqa: BLE001 - Our fault: the operator gets no traceback, but the log does.
            self.log.failure("control command {name} failed", name=name)
            return 500, {"error": f"{name} failed inside the server; its log says why"}

    def _command(self, request: Any, name: str) -> Command:
        if request.method != b"POST":
            raise CommandRefused(f"found the method {request.method.decode('ascii', 'replace')}; wanted POST")
        if name not in self._commands:
            known = ", ".join(sorted(self._commands))
            raise CommandRefused(f"found the command {name!r}; wanted one of {known}")
        return self._commands[name]

    def _write(self, outcome: tuple[int, object], request: Any, gone: list[object]) -> None:
        if gone:
            return
        status, result = outcome
        request.setResponseCode(status)
        request.setHeader(b"content-type", b"application/json")
        request.write(json.dumps(result).encode() + b"\n")
        request.finish()


def _arguments(request: Any) -> dict[str, Any]:
    try:
        arguments = json.loads(request.content.read() or b"{}")
    except ValueError as error:
        raise CommandRefused(f"found a body that is no JSON ({error}); wanted a JSON object") from None
    if not isinstance(arguments, dict):
        raise CommandRefused(f"found a body of type {type(arguments).__name__}; wanted a JSON object")
    return arguments


def converted(arguments: dict[str, Any], wanted: type[S]) -> S:
    """The fields of a request. Raises CommandRefused, with those that are wanted."""
    try:
        return msgspec.convert(arguments, wanted)
    except msgspec.ValidationError as error:
        fields = f"the fields {', '.join(wanted.__struct_fields__)}" if wanted.__struct_fields__ else "no fields"
        raise CommandRefused(f"{error}; wanted {fields}") from None


def _clear(path: Path) -> None:
    """Remove the socket that a killed server has left. Raises ConfigError if there is a living one, or no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(path, f"{error.strerror}", "correct data_dir") from error
    if not stat.S_ISSOCK(mode):
        raise _unusable(path, "a file that is no socket", "move it away")
    if _is_listened_at(path):
        raise _unusable(path, "a server that listens there", "stop it, or give this one a data_dir of its own")
    path.unlink()


def _is_listened_at(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True  # Its queue of connections is full.
    return True


def _unusable(path: Path, found: str, advice: str) -> ConfigError:
    return ConfigError(f"{path}: found: {found}; wanted to listen there for xmppfedctl. What to do: {advice}")
