"""What a chat message costs here, beside Prosody and an echo in C in the same run: `make bench`, or `BENCH=long make bench`.

Absolute figures drift with the machine; ratios taken in one run hold. Nothing is asserted about time, but a ratio ten times
worse than the goal, a failed login or a lost stanza fails: then something is broken, not slow.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import contacts, e2e
from benchmarks.servers import Server, build, echo, ours, prosody
from tests.interop.certificates import issue
from tests.interop.scenario import Failure, NotMet

BROKEN = 10
"""A figure this many times its goal fails the run."""


@dataclass(frozen=True)
class Size:
    """How long to look: pairs that chat, seconds per round, rounds of which the median counts, idle sessions, and logins of
    somebody with many contacts."""

    pairs: int
    seconds: int
    rounds: int
    idle: int
    logins: int


@dataclass(frozen=True)
class Goals:
    """CPU per stanza as a share of Prosody's, and KB of memory per idle session."""

    share: float
    kilobytes: float


SIZES = {
    "--short": Size(pairs=20, seconds=4, rounds=1, idle=300, logins=20),
    "--long": Size(pairs=50, seconds=15, rounds=3, idle=3000, logins=100),
}
GOALS = {"plain": Goals(0.25, 14), "TLS": Goals(0.33, 38)}


@dataclass(frozen=True)
class Cost:
    """What one server showed: medians of CPU microseconds per stanza, stanzas per second and p99 in milliseconds."""

    server: Server
    microseconds: float
    per_second: float
    p99: float
    kilobytes: float | None


def load(binary: Path, server: Server, *options: object) -> dict[str, Any]:
    """One run of the load generator; raises `Failure` when nobody could log in or a stanza got lost."""
    command = [binary, "--url", server.url, "--mode", server.mode, "--pid", server.pid, "--mech", "SCRAM-SHA-1", *options]
    answer = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(answer.stdout or "{}")
    trouble = figures.get("first_error", f"status {answer.returncode} and no figures")
    if trouble or figures["login_failed"] or figures["lost"] or figures["errors"]:
        raise Failure(f"{server.name}, {server.wire}: {trouble or 'stanzas were lost'}")
    return figures


def measure(binary: Path, servers: Sequence[Server], size: Size) -> list[Cost]:
    """The costs of `servers`, which take turns, so that a noisy minute hurts each of them."""
    idle = {server: _idle(binary, server, size) for server in servers if server.mode == "xmpp"}
    options = ("--pairs", size.pairs, "--duration", size.seconds, "--warmup", 1)
    rounds = [{server: load(binary, server, *options) for server in servers} for _ in range(size.rounds)]

    def median(server: Server, key: str) -> float:
        return float(statistics.median(figures[server][key] for figures in rounds))

    return [
        Cost(
            server,
            median(server, "server_us_per_stanza"),
            median(server, "delivered_per_s"),
            median(server, "lat_p99_ms"),
            idle.get(server),
        )
        for server in servers
    ]


def _idle(binary: Path, server: Server, size: Size) -> float:
    """KB of resident memory that one session costs which logged in and says nothing."""
    load(binary, server, "--pairs", 0, "--idle", 5, "--duration", 0)  # What only a first login costs is not counted.
    figures = load(binary, server, "--pairs", 0, "--idle", size.idle, "--duration", 0, "--settle", 2)
    return float(figures["rss_kb_per_session"])


def report(costs: Sequence[Cost]) -> list[str]:
    """Print the table and the ratios; return what is broken."""
    print(f"{'server':<12}{'wire':<8}{'CPU us/stanza':>14}{'stanzas/s':>12}{'p99 ms':>9}{'KB/idle session':>17}")
    for cost in costs:
        memory = f"{cost.kilobytes:.1f}" if cost.kilobytes is not None else "-"
        server = cost.server
        print(f"{server.name:<12}{server.wire:<8}{cost.microseconds:>14.1f}{cost.per_second:>12.0f}{cost.p99:>9.2f}{memory:>17}")
    by_name = {(cost.server.name, cost.server.wire): cost for cost in costs}
    return [line for wire in GOALS for line in _judge(by_name.get(("xmppfed", wire)), by_name.get(("Prosody", wire)))]


def _judge(mine: Cost | None, theirs: Cost | None) -> list[str]:
    """Print our figures beside the goals; return those that are `BROKEN` times worse."""
    if mine is None or mine.kilobytes is None:
        return []
    goals = GOALS[mine.server.wire]
    figures = [("memory per idle session, KB", mine.kilobytes, goals.kilobytes)]
    if theirs is not None:
        figures.append(("CPU per stanza, share of Prosody's", mine.microseconds / theirs.microseconds, goals.share))
    broken = []
    for what, value, goal in figures:
        line = f"{mine.server.wire}: {what}: {value:.2f} (goal: {goal} or less)"
        print(line)
        if value > BROKEN * goal:
            broken.append(line)
    return broken


def main(arguments: list[str]) -> int:
    """Measure, print, and say with the exit status whether something is broken."""
    if len(arguments) != 1 or arguments[0] not in SIZES:
        print("usage: python -m benchmarks.run --short|--long", file=sys.stderr)
        return 2
    size = SIZES[arguments[0]]
    with tempfile.TemporaryDirectory(prefix="xmppfed-bench-") as name:
        try:
            broken = report(_costs(Path(name), size))
        except (Failure, NotMet) as reason:
            print(f"not measured: {reason}", file=sys.stderr)
            return 1
    for line in broken:
        print(f"broken: more than {BROKEN} times the goal: {line}", file=sys.stderr)
    return 1 if broken else 0


def _costs(folder: Path, size: Size) -> list[Cost]:
    """Start everything, measure, and stop everything."""
    binary, echo_binary = build(folder)
    users = max(2 * size.pairs, size.idle, contacts.USERS)
    certificate = issue(folder, "localhost").joint
    with ExitStack() as stack:
        servers = [
            stack.enter_context(echo(folder, echo_binary, None)),
            stack.enter_context(ours(folder / "plain", certificate, users, tls=False)),
            stack.enter_context(echo(folder, echo_binary, certificate)),
            stack.enter_context(ours(folder / "tls", certificate, users, tls=True)),
        ]
        try:
            servers += stack.enter_context(prosody(folder / "prosody", users))
        except NotMet as missing:
            print(f"not met: Prosody ({missing})")
        costs = measure(binary, servers, size)
        contacts.report(contacts.measure(binary, [server for server in servers if server.mode == "xmpp"], size.logins))
        _report_direct(
            folder, binary, next(cost for cost in costs if (cost.server.name, cost.server.wire) == ("xmppfed", "TLS")), size
        )
    return costs


def _report_direct(folder: Path, binary: Path, mine: Cost, size: Size) -> None:
    """Measure and print messages that need no server, one at a time and several at once."""
    alone = load(binary, mine.server, "--pairs", 1, "--duration", size.seconds, "--warmup", 1)
    through = [
        e2e.Way(1, alone["server_us_per_stanza"], alone["delivered_per_s"]),
        e2e.Way(size.pairs, mine.microseconds, mine.per_second),
    ]
    direct = [e2e.measure(folder / f"e2e-{way.flying}", size.seconds, way.flying) for way in through]
    e2e.report(list(zip(direct, through, strict=True)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
