"""What a message costs from one end directly to another (XEP-0246), beside one through a server in the same run.

Both ends are ours, and their CPU is counted together; on the way through the server only the server's is: the clients are in C.
Where several are on their way at once, those through the server come from as many clients, and the direct ones share a stream,
so that more of them are read at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.interop.e2e import befriend, identities
from tests.interop.processes import free_port, running
from tests.interop.scenario import Failure

__all__ = ["Way", "measure", "report"]

ONE, OTHER = "one@here", "other@here"
ENDS = [sys.executable, "-m", "benchmarks.e2e_ends"]
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[1])}
_PATIENCE = 120.0


@dataclass(frozen=True)
class Way:
    """CPU microseconds per stanza, and stanzas per second, with so many on their way."""

    flying: int
    microseconds: float
    per_second: float


def measure(folder: Path, seconds: int, flying: int) -> Way:
    """Two processes with TLS 1.3 between them, each of which knows the other's key; so many messages are on their way."""
    folder.mkdir()
    identities(folder, ONE, OTHER)
    befriend(folder, ONE, OTHER)
    port = free_port()
    with running("other", [*ENDS, OTHER, ONE, str(port)], folder, [port], ENVIRONMENT) as process:
        command = [*ENDS, ONE, OTHER, *map(str, (port, seconds, flying, process.pid))]
        done = subprocess.run(
            command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_PATIENCE
        )
    if done.returncode:
        raise Failure(f"end to end: {done.stdout[-2000:]}")
    figures = json.loads(done.stdout)
    return Way(flying, figures["cpu"] * 1e6 / figures["delivered"], figures["delivered"] / figures["seconds"])


def report(ways: Sequence[tuple[Way, Way]]) -> None:
    """Print each direct one beside that through our server, over TLS as well."""
    print("\na message end to end, TLS 1.3, beside one through xmppfed over TLS")
    print(f"{'way':<20}{'at once':>8}{'CPU us/stanza':>15}{'stanzas/s':>12}")
    for pair in ways:
        for name, way in zip(("direct, both ends", "through the server"), pair, strict=True):
            print(f"{name:<20}{way.flying:>8}{way.microseconds:>15.1f}{way.per_second:>12.0f}")
    for direct, through in ways:
        print(f"direct, {direct.flying} at once: CPU, share of the server's: {direct.microseconds / through.microseconds:.2f}")
