"""`xmppfedctl e2e`: certificates of our own, whom we know by which key, and pairing."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from getpass import getpass
from pathlib import Path
from typing import Any, TextIO

from xmppfed.config import Config
from xmppfed.control_client import CommandFailed, NotRunning, ask, load, run_here
from xmppfed.e2e.identity import Identity, address_of, create_identity, identity_path, load_identity, renew_identity
from xmppfed.e2e.shown import abbreviated, base64_pin, fingerprint, printable
from xmppfed.e2e.store import FileTrustStore
from xmppfed.services.acquaintances import trust_commands

__all__ = ["add_e2e_commands"]


def add_e2e_commands(parser: ArgumentParser) -> None:
    """The commands behind `e2e`."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    cert = commands.add_parser("cert", help="make a certificate by which peers know us")
    cert.add_argument("address", metavar="ADDRESS", help="a user, a service's domain, or a name on the link")
    cert.add_argument("--file", type=Path, help="where it is kept with its key; default: e2e/ADDRESS.pem in data_dir")
    again = cert.add_mutually_exclusive_group()
    again.add_argument("--rotate", action="store_true", help="make it anew for the same key: peers notice nothing")
    again.add_argument("--new-key", action="store_true", help="make it anew with a new key: peers have to be told")
    cert.set_defaults(run=_cert)
    _add_trust_commands(commands.add_parser("trust", help="whom we know, and by which key"))
    pair = commands.add_parser("pair", help="pair with a peer: show a code, or type the one that the peer shows")
    pair.add_argument("peer", metavar="PEER", nargs="?", help="who shows a code; without, this server shows one")
    pair.add_argument("code", metavar="CODE", nargs="?", help="the code; asked for unless given")
    pair.set_defaults(run=_pair)


def _add_trust_commands(parser: ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("list", help="everybody, with the beginnings of their keys").set_defaults(run=_list)
    for name, words, run in (
        ("show", "all that is remembered of a peer", _show),
        ("revoke", "believe a key no more, for good", _revoke),
    ):
        command = commands.add_parser(name, help=words)
        command.add_argument("who", metavar="NAME-OR-KEY", help="a name, or a key or at least 8 digits of its beginning")
        command.set_defaults(run=run)
    pin = commands.add_parser("pin", help="say that a key is a peer's")
    pin.add_argument("name", metavar="NAME")
    pin.add_argument("key", metavar="KEY", nargs="+", help="its SHA-256, in hexadecimal or base64")
    pin.set_defaults(run=_pin)


def _cert(arguments: Namespace, _: TextIO) -> None:
    address = address_of(arguments.address)
    path: Path = arguments.file or identity_path(load(arguments).data_dir, address)
    now = datetime.now(UTC)
    if not (arguments.rotate or arguments.new_key):
        _print(_identity_lines(path, address, create_identity(path, address, now)))
        return
    old = load_identity(path)
    made = renew_identity(path, address, now, with_new_key=arguments.new_key)
    _print(_identity_lines(path, address, made))
    _print(_new_key_lines(address, old, made) if arguments.new_key else ["The key is the same as before: pins hold."])
    print("A server or program that runs with the old one shows this one from its next start on.")


def _identity_lines(path: Path, address: str, identity: Identity) -> Iterator[str]:
    leaf, key = identity.certificate.leaf, identity.spki_sha256
    yield f"Written: {path}, certificate and private key, until {leaf.not_valid_after_utc:%Y-%m-%d}"
    yield f"Key:     {fingerprint(key)}"
    yield f"         sha-256 {base64_pin(key)}"
    yield f"Whoever has this by a safe way can pin it: {_command('pin', address, fingerprint(key))}"


def _new_key_lines(address: str, old: Identity, made: Identity) -> Iterator[str]:
    yield "The key is a new one. Every peer that knows the old one refuses it until somebody there has said:"
    yield f"  {_command('revoke', fingerprint(old.spki_sha256))}"
    yield f"  {_command('pin', address, fingerprint(made.spki_sha256))}"
    yield "Instead of the second command it can pair again."


def _command(*words: str) -> str:
    return shlex.join(("xmppfedctl", "e2e", "trust", *words))


def _list(arguments: Namespace, _: TextIO) -> None:
    _print(_table(_trust(arguments, "list", {})["peers"]))


def _show(arguments: Namespace, _: TextIO) -> None:
    for one in _trust(arguments, "show", {"who": arguments.who})["peers"]:
        _print(_details(one))


def _pin(arguments: Namespace, _: TextIO) -> None:
    answer = _trust(arguments, "pin", {"name": arguments.name, "key": " ".join(arguments.key)})
    _print(_details(answer["pinned"]))
    if answer["formerly"]:
        print(f"It is the key that was known as {printable(answer['formerly'])} before.")


def _revoke(arguments: Namespace, _: TextIO) -> None:
    _print(_details(_trust(arguments, "revoke", {"who": arguments.who})["revoked"]))


def _trust(arguments: Namespace, name: str, fields: dict[str, str]) -> dict[str, Any]:
    """By the running server, so that it knows; in its file when none runs."""
    config: Config = load(arguments)
    try:
        return ask(config, f"e2e/trust/{name}", fields)
    except NotRunning:
        return run_here(trust_commands(FileTrustStore.under(config.data_dir))[f"e2e/trust/{name}"](fields))


def _table(peers: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each; the name stands last, so that letters that run to the left turn nothing around but themselves."""
    if not peers:
        yield "Nobody is known yet."
        return
    form = "{:<10} {:<19} {:<10} {:<10} {}"
    yield form.format("word", "key", "first seen", "last seen", "name")
    for one in peers:
        word = "revoked" if one["revoked"] else one["word"]
        key = abbreviated(bytes.fromhex(one["key"])) or "-"
        yield form.format(word, key, _date(one["first_seen"]), _date(one["last_seen"]), printable(one["name"]))


def _details(one: dict[str, Any]) -> Iterator[str]:
    key = bytes.fromhex(one["key"])
    yield printable(one["name"])
    yield f"  word:       {one['word']}" + (", and revoked: streams with this key are refused" if one["revoked"] else "")
    yield f"  key:        {fingerprint(key) if key else 'none is remembered'}"
    yield f"  first seen: {_date(one['first_seen'])}"
    yield f"  last seen:  {_date(one['last_seen'])}"


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}" if seconds else "never"


def _pair(arguments: Namespace, stdin: TextIO) -> None:
    config = load(arguments)
    if arguments.peer is None:
        print(f"Code: {ask(config, 'e2e/pair/show', {})['code']}")
        print("Type it at the peer. It is good for one attempt, within a few minutes.")
        print("Whether that succeeded is told there, and here by: xmppfedctl e2e trust list")
        return
    code = arguments.code or _typed_code(arguments.peer, stdin)
    print(f"Paired with {printable(ask(config, 'e2e/pair/enter', {'peer': arguments.peer, 'code': code})['paired'])}")


def _typed_code(peer: str, stdin: TextIO) -> str:
    if not stdin.isatty():
        return stdin.readline()
    try:
        return getpass(f"The code that {printable(peer)} shows: ")
    except (EOFError, KeyboardInterrupt):
        raise CommandFailed("no code was given; nothing was changed") from None


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
