"""`xmppfedctl user`: accounts, by the running server, or in its database when none runs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from getpass import getpass
from typing import Any, TextIO

from xmppfed.config import Config
from xmppfed.control_client import CommandFailed, NotRunning, ask, load, print_answer, run_here
from xmppfed.services.control import user_commands
from xmppfed.storage.sqlite import SQLiteStorage
from xmppfed.storage.threads import at_once

__all__ = ["add_user_commands"]


def add_user_commands(parser: ArgumentParser) -> None:
    """The commands behind `user`."""
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
    config = load(arguments)
    password = _password(arguments, stdin)
    print_answer(_run(config, arguments.command, {"address": arguments.address, "password": password}))


def _delete(arguments: Namespace, _: TextIO) -> None:
    print_answer(_run(load(arguments), "user/delete", {"address": arguments.address}))


def _list(arguments: Namespace, _: TextIO) -> None:
    for address in _run(load(arguments), "user/list", {})["accounts"]:
        print(address)


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


def _run(config: Config, name: str, arguments: dict[str, str]) -> dict[str, Any]:
    try:
        return ask(config, name, arguments)
    except NotRunning:
        return run_here(_in_the_database(config, name, arguments))


async def _in_the_database(config: Config, name: str, arguments: dict[str, str]) -> object:
    storage = SQLiteStorage.open_at_once(config.data_dir)
    try:
        return await user_commands(storage.accounts, config.domains, at_once)[name](arguments)
    finally:
        await storage.close()
