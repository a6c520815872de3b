"""`xmppfedctl`: a check of the configuration, a new server, and the running one; accounts and end-to-end trust beside it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from xmppfed import assembly
from xmppfed.control_client import CommandFailed, ask, load, print_answer
from xmppfed.core.identity import domain_name_matched
from xmppfed.core.jid import prepare_domain
from xmppfed.e2e_cli import add_e2e_commands
from xmppfed.errors import XMPPFedError
from xmppfed.explained import check_lines, explain_lines, stream_lines
from xmppfed.net.certificates import load_certificate, presented_names, validity_problem
from xmppfed.net.issuing import VALIDITY, create_private, self_signed
from xmppfed.new_server import CONFIG, DATA_DIR, NewServer
from xmppfed.user_cli import add_user_commands

__all__ = ["main", "run"]


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
    add_user_commands(commands.add_parser("user", help="add, change, delete and list accounts"))
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
    add_e2e_commands(commands.add_parser("e2e", help="certificates, trust and pairing for end-to-end streams"))
    init = commands.add_parser("init", help="write the configuration of a new server")
    init.add_argument("domain", metavar="DOMAIN")
    init.add_argument("--self-signed", action="store_true", help="with a certificate that nobody vouches for, for a trial")
    init.add_argument("--directory", type=Path, default=Path(), help="where to write; default: here")
    init.set_defaults(run=_init)
    return parser


def _reload(arguments: Namespace, _: TextIO) -> None:
    print_answer(ask(load(arguments), "reload", {}))


def _status(arguments: Namespace, _: TextIO) -> None:
    print_answer(ask(load(arguments), "status", {}))


def _explain(name: str, lines: Callable[[dict[str, Any]], Iterable[str]], arguments: Namespace, _: TextIO) -> None:
    for line in lines(ask(load(arguments), name, {"domain": arguments.domain})):
        print(line)


def _s2s(arguments: Namespace, _: TextIO) -> None:
    answer = ask(load(arguments), "s2s", {})
    for line in stream_lines(answer["streams"], answer["broken"]):
        print(line)


def _check(arguments: Namespace, _: TextIO) -> None:
    config = load(arguments)
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
            create_private(path, content)
    except OSError as error:
        raise CommandFailed(f"{error.filename}: {error.strerror}; wanted to write there: correct --directory") from error
