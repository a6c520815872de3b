"""A network with nobody else in it: only loopback leads anywhere, every port is free, a name server answers from a table.

What is played there runs in a process of its own: `python -m tests.interop.namespace MODULE FUNCTION FOLDER [WORD ...]`.
Clients and servers run there as they are: nothing in them is patched.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tests.interop.processes import running
from tests.interop.scenario import Failure, NotMet, Outcome, outcome, show

__all__ = ["ADDRESSES", "A", "B", "apart", "domains_known", "name_server", "trust_only"]

A, B = "one.example.org", "two.example.org"
ADDRESSES = {A: "127.0.0.2", B: "127.0.0.3"}
"""Two domains, and where they are when `domains_known`."""

LIMIT = 300
"""Seconds for one play; what it waits for has shorter limits of its own."""

_NAMESPACE = ["unshare", "--net", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child"]
"""Processes have a namespace of their own too, so that nobody outlives a play, however it ends."""
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# The other interface leads nowhere. With nothing but loopback Chromium and GLib take themselves for off line, and ask no DNS.
_PREPARE = """\
set -e
ip link set lo up
ip link add outside type veth peer name nowhere
ip address add 192.0.2.1/24 dev outside
ip link set outside up
ip link set nowhere up
printf 'nameserver 127.0.0.1\\noptions timeout:2 attempts:2\\n' > "$1/resolv.conf"
printf '127.0.0.1 localhost\\n' > "$1/hosts"
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/hosts" /etc/hosts
shift
exec "$@"
"""


def apart(play: Callable[..., str | None], *words: str) -> Callable[[Path], str]:
    """What a scenario plays: `play(folder, *words)` in a namespace of its own, which must be a function of a module."""

    def run(folder: Path) -> str:
        allowed = subprocess.run([*_NAMESPACE, "true"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if allowed.returncode != 0:
            raise NotMet(f"no network namespace of our own: {allowed.stderr.strip()}")
        again = [sys.executable, "-m", __name__, play.__module__, play.__name__, str(folder), *words]
        command = [*_NAMESPACE, "sh", "-c", _PREPARE, "sh", str(folder), *again]
        played = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LIMIT)
        try:
            told = Outcome(**json.loads(played.stdout))
        except ValueError:
            raise Failure(f"in the namespace: {played.stdout}{played.stderr}") from None
        for line in told.seen:
            show(line)
        match told.verdict:
            case "failed":
                raise Failure(told.text)
            case "not met":
                raise NotMet(told.text)
        return told.text

    return run


@contextmanager
def name_server(folder: Path, records: Iterable[str], address: str = "127.0.0.1") -> Iterator[None]:
    """A name server, by default the one that resolv.conf names. A record is written `NAME A ADDRESS`; see `dns_stub`."""
    stub = [sys.executable, "-m", "tests.interop.dns_stub", address, "53", *records]
    with running(f"dns-{address}", stub, folder, [53], host=address):
        yield


def domains_known(folder: Path, *further: str) -> AbstractContextManager[None]:
    """A name server that knows where the two domains are, and `further` records."""
    return name_server(folder, [*(f"{name} A {address}" for name, address in ADDRESSES.items()), *further])


def trust_only(authority: Path) -> None:
    """Let everything here that asks the system whom to trust, trust this and nobody else."""
    subprocess.run(["mount", "--bind", authority, _BUNDLE], check=True)


def main(module: str, function: str, folder: str, *words: str) -> None:
    """Play it here, and print the outcome for the process outside."""
    play = getattr(importlib.import_module(module), function)
    print(json.dumps(asdict(outcome(partial(play, Path(folder), *words)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
