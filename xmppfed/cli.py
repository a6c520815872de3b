"""`xmppfedctl`: accounts, a check of the configuration, a new server, and the running one."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from functools import partial
from getpass import getpass
from pathlib import Path
from typing import Any, TextIO

from twisted.internet.defer import Deferred

from xmppfed import assembly
from xmppfed import config as configuration
from xmppfed.config import Config
from xmppfed.core.identity import domain_name_matched
from xmppfed.core.jid import prepare_domain
from xmppfed.errors import XMPPFedError
from xmppfed.explained import check_lines, explain_lines, stream_lines
from xmppfed.net.certificates import load_certificate, presented_names, validity_problem
from xmppfed.net.issuing import VALIDITY, self_signed
from xmppfed.new_server import CONFIG, DATA_DIR, NewServer
from xmppfed.services.control import SOCKET_NAME, user_commands
from xmppfed.storage.sqlite import SQLiteStorage
from xmppfed.storage.threads import at_once

__all__ = ["main", "run"]

_PATIENCE = 60.0  # seconds for the running server to answer


class CommandFailed(XMPPFedError):
    """What was asked for was not done."""


class NotRunning(CommandFailed):
    """No server listens at the control socket."""


def run() -> None:
    """The entry point of the program."""
    sys.exit(main(sys.argv[1:], sys.stdin, sys.stdout, sys.stderr))


def main(argv: Sequence[str], stdin: TextIO, stdout: TextIO, stderr: TextIO) -> int:
    """Run the command that `argv` writes. The exit status: 0 done, 1 not done, 2 not understood."""
    with redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            arguments = _parser().parse_args(argv)
            arguments.run(arguments, stdin)
        except XMPPFedError as error:
            print(f"xmppfedctl: {error}", file=stderr)
            return 1
        except SystemExit as end:  # argparse has said why.
            return int(end.code or 0)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser("xmppfedctl", description="Looks after an xmppfed server.")
    parser.add_argument("--config", type=Path, default=Path(CONFIG), metavar="FILE", help=f"default: {CONFIG}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_user_commands(commands.add_parser("user", help="add, change, delete and list accounts"))
    commands.add_parser("check", help="read the configuration as a start would").set_defaults(run=_check)
    commands.add_parser("reload", help="the running server reads certificates and trust anchors again").set_defaults(run=_reload)
    commands.add_parser("status", help="what the running server says of itself").set_defaults(run=_status)
    for name, words, lines in (
        ("explain", "how another domain is reached, and why not", explain_lines),
        ("check-domain", "how a domain of this server is reached by others", check_lines),
    ):
        command = commands.add_parser(name, help=words)
        command.add_argument("domain", metavar="DOMAIN")
        command.set_defaults(run=partial(_explain, name, lines))
    commands.add_parser("s2s", help="the streams to and from other servers").set_defaults(run=_s2s)
    init = commands.add_parser("init", help="write the configuration of a new server")
    init.add_argument("domain", metavar="DOMAIN")
    init.add_argument("--self-signed", action="store_true", help="with a certificate that nobody vouches for, for a trial")
    init.add_argument("--directory", type=Path, default=Path(), help="where to write; default: here")
    init.set_defaults(run=_init)
    return parser


def _add_user_commands(parser: ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, words in (("add", "create an account"), ("passwd", "give an account a new password")):
        command = commands.add_parser(name, help=words)
        command.add_argument("address", metavar="NAME@DOMAIN")
        # Never an argument: every user of the machine can read those.
        command.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
        command.set_defaults(run=_set_password, command=f"user/{name}")
    delete = commands.add_parser("delete", help="delete an account")
    delete.add_argument("address", metavar="NAME@DOMAIN")
    delete.set_defaults(run=_delete)
    commands.add_parser("list", help="list all accounts").set_defaults(run=_list)


def _set_password(arguments: Namespace, stdin: TextIO) -> None:
    config = _load(arguments)
    password = _password(arguments, stdin)
    _print(_user_command(config, arguments.command, {"address": arguments.address, "password": password}))


def _delete(arguments: Namespace, _: TextIO) -> None:
    _print(_user_command(_load(arguments), "user/delete", {"address": arguments.address}))


def _list(arguments: Namespace, _: TextIO) -> None:
    for address in _user_command(_load(arguments), "user/list", {})["accounts"]:
        print(address)


def _reload(arguments: Namespace, _: TextIO) -> None:
    _print(_ask(_connected(_load(arguments)), "reload", {}))


def _status(arguments: Namespace, _: TextIO) -> None:
    _print(_ask(_connected(_load(arguments)), "status", {}))


def _explain(name: str, lines: Callable[[dict[str, Any]], Iterable[str]], arguments: Namespace, _: TextIO) -> None:
    for line in lines(_ask(_connected(_load(arguments)), name, {"domain": arguments.domain})):
        print(line)


def _s2s(arguments: Namespace, _: TextIO) -> None:
    for line in stream_lines(_ask(_connected(_load(arguments)), "s2s", {})["streams"]):
        print(line)


def _check(arguments: Namespace, _: TextIO) -> None:
    config = _load(arguments)
    assembly.check(config)
    print(f"{config.file}: a server can start with it.")
    for domain, options in config.domains.items():
        print(f"  domain {domain}: {_certificate(domain, options.certificate)}")
    for name, service in vars(config.services).items():
        if service is not None:
            ports = [endpoint for key, endpoint in config.services.endpoints().items() if key.startswith(f"services.{name}.")]
            print(f"  service {name}" + (f" at {' and '.join(ports)}" if ports else ""))
    for name in config.modules:
        print(f"  module {name}")


def _certificate(domain: str, path: Path | None) -> str:
    """The state of a certificate. A wrong one keeps no server from starting, but others from believing it."""
    if path is None:
        return "no certificate"
    leaf = load_certificate(path).leaf
    now = datetime.now(UTC)
    days = (leaf.not_valid_after_utc - now).days
    problem = validity_problem(leaf, now)
    state = problem or f"expires on {leaf.not_valid_after_utc:%Y-%m-%d} (in {days} days)"
    names = presented_names(leaf)
    if domain_name_matched(names, domain) is None:
        state += f"; found a certificate for {names}, wanted one for {domain}: other servers will not believe it"
    return f"{path}: {state}"


def _init(arguments: Namespace, _: TextIO) -> None:
    domain = prepare_domain(arguments.domain)
    new = NewServer(domain=domain, own_tls=arguments.self_signed)
    directory: Path = arguments.directory
    files = {directory / CONFIG: new.config().encode()}
    if arguments.self_signed:
        files[directory / new.certificate] = self_signed(domain, datetime.now(UTC))
    for path in files:
        if path.exists():
            raise CommandFailed(f"{path}: found a file, wanted none; move it away, or choose another --directory")
    instructions = new.instructions()
    _write(directory / DATA_DIR, files)
    print(f"{instructions}\nWritten: {', '.join(map(str, files))}")
    if arguments.self_signed:
        print(f"The certificate holds for {VALIDITY.days} days. Clients must be told to trust it; other servers will not.")
    print(f"Next: xmppfedctl --config {directory / CONFIG} check")


def _write(data_dir: Path, files: dict[Path, bytes]) -> None:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content in files.items():
            path.parent.mkdir(exist_ok=True)
            # Exclusive, so that nothing is overwritten that came since; the certificate's file holds its key.
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(content)
    except OSError as error:
        raise CommandFailed(f"{error.filename}: {error.strerror}; wanted to write there: correct --directory") from error


def _load(arguments: Namespace) -> Config:
    return configuration.load(arguments.config, assembly.module_options())


def _password(arguments: Namespace, stdin: TextIO) -> str:
    if arguments.password_stdin:
        return stdin.readline().rstrip("\r\n")
    if not stdin.isatty():
        raise CommandFailed("found no terminal to ask for the password at; give it with --password-stdin")
    try:
        password = getpass(f"Password for {arguments.address}: ")
        again = getpass("Again: ")
    except (EOFError, KeyboardInterrupt):
        raise CommandFailed("no password was given; nothing was changed") from None
    if again != password:
        raise CommandFailed("the two passwords differ; nothing was changed, try again")
    return password


def _user_command(config: Config, name: str, arguments: dict[str, str]) -> dict[str, Any]:
    """By the running server, so that it knows; in its database when none runs."""
    try:
        connection = _connected(config)
    except NotRunning:
        return _in_the_database(config, name, arguments)
    return _ask(connection, name, arguments)


def _in_the_database(config: Config, name: str, arguments: dict[str, str]) -> dict[str, Any]:
    async def work() -> Any:
        storage = SQLiteStorage.open_at_once(config.data_dir)
        try:
            return await user_commands(storage.accounts, config.domains, at_once)[name](arguments)
        finally:
            await storage.close()

    results: list[Any] = []
    failures: list[Any] = []
    Deferred.fromCoroutine(work()).addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    result: dict[str, Any] = results[0]
    return result


def _connected(config: Config) -> socket.socket:
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


def _ask(connection: socket.socket, name: str, arguments: dict[str, str]) -> dict[str, Any]:
    request = http.client.HTTPConnection("localhost")
    request.sock = connection
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


def _print(answer: dict[str, Any]) -> None:
    for key, value in answer.items():
        print(f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
