"""A network with nobody else in it: only loopback, every port free, and a name server that answers from a table.

What is played there runs in a process of its own: `python -m tests.interop.namespace MODULE FUNCTION FOLDER [WORD ...]`.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.processes import running
from tests.interop.scenario import Failure, NotMet

__all__ = ["apart", "name_server"]

LIMIT = 300
"""Seconds for one play; what it waits for has shorter limits of its own."""

_NOT_MET = 3
_NAMESPACE = ["unshare", "--net", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child"]
"""Processes have a namespace of their own too, so that nobody outlives a play, however it ends."""
_PREPARE = """\
set -e
ip link set lo up
printf 'nameserver 127.0.0.1\\noptions timeout:2 attempts:2\\n' > "$1/resolv.conf"
printf '127.0.0.1 localhost\\n' > "$1/hosts"
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/hosts" /etc/hosts
shift
exec "$@"
"""


def apart(play: Callable[..., None], *words: str) -> Callable[[Path], None]:
    """What a scenario plays: `play(folder, *words)` in a namespace of its own, which must be a function of a module."""

    def run(folder: Path) -> None:
        allowed = subprocess.run([*_NAMESPACE, "true"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if allowed.returncode != 0:
            raise NotMet(f"no network namespace of our own: {allowed.stderr.strip()}")
        again = [sys.executable, "-m", __name__, play.__module__, play.__name__, str(folder), *words]
        command = [*_NAMESPACE, "sh", "-c", _PREPARE, "sh", str(folder), *again]
        played = subprocess.run(command, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, timeout=LIMIT)
        said = played.stderr.strip()
        if played.returncode == _NOT_MET:
            raise NotMet(said)
        if played.returncode != 0:
            raise Failure(f"in the namespace: {said[-2500:]}")

    return run


@contextmanager
def name_server(folder: Path, records: Iterable[str], address: str = "127.0.0.1") -> Iterator[None]:
    """A name server, by default the one that resolv.conf names. A record is written `NAME A ADDRESS`; see `dns_stub`."""
    stub = [sys.executable, "-m", "tests.interop.dns_stub", address, "53", *records]
    with running(f"dns-{address}", stub, folder, [53], host=address):
        yield


def main(module: str, function: str, folder: str, *words: str) -> int:
    """Play it here; what goes wrong is told on standard error, and the exit status is its kind."""
    try:
        getattr(importlib.import_module(module), function)(Path(folder), *words)
    except NotMet as missing:
        print(missing, file=sys.stderr)
        return _NOT_MET
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
