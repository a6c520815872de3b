"""Processes of others: started with a log, waited for on a condition, ended by their own id."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.interop.scenario import Failure

__all__ = ["free_port", "listening", "running", "wait_until"]

PATIENCE = 60.0
"""Seconds: generous, because nothing is proved by being fast here, and machines are busy."""


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port of `host` that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll `condition`; raise `Failure` when it has not come true after `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"{what} did not happen within {PATIENCE:.0f} s")
        time.sleep(0.05)


@contextmanager
def running(
    name: str,
    arguments: Sequence[str | Path],
    folder: Path,
    ports: Sequence[int],
    environment: Mapping[str, str] = {},
    *,
    host: str = "127.0.0.1",
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens on all `ports` of `host`. Its output is `folder/NAME.log`; it is ended (SIGTERM) and waited for."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **environment},
        )

    def ready() -> bool:
        if process.poll() is not None:
            raise Failure(f"{name} ended with status {process.returncode}: {log.read_text(errors='replace')[-2000:]}")
        return all(listening(port, host) for port in ports)

    try:
        wait_until(ready, f"{name} listening on {', '.join(map(str, ports))}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failure(f"{name} did not stop within {PATIENCE:.0f} s after SIGTERM") from None
