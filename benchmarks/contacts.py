"""What a login costs of somebody with a long contact list: from the request for it to the presence of everybody who is there.

Most contacts are off line, as they are for people. Each login is one session of its own, which ends again, so that the broadcast
of both is in the figure; that of somebody without contacts, which is the same but for them, stands beside it.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.servers import Server, now
from tests.interop.scenario import Failure
from xmppfed.core.jid import JID
from xmppfed.core.roster import Contact, Roster
from xmppfed.core.subscription import State
from xmppfed.storage.sqlite import SQLiteStorage

__all__ = ["CONTACTS", "USERS", "Logins", "cpu", "measure", "report"]

CONTACTS, PRESENT = 1000, 100
USERS = CONTACTS + 2
"""u0 has all others as contacts but the last, who has none."""
_PATIENCE = 60.0


@dataclass(frozen=True)
class Logins:
    """CPU milliseconds of a server for one login and logout, with contacts and without."""

    server: Server
    with_contacts: float
    without: float


def measure(binary: Path, servers: Sequence[Server], rounds: int) -> list[Logins]:
    """The cost of logins; the servers take turns."""
    for server in servers:
        _fill(server)
    costs = {server: [0.0, 0.0] for server in servers}
    for server in servers:
        with _present(binary, server):
            for which, user in enumerate((0, USERS - 1)):
                before = cpu(server.pid)
                for _ in range(rounds):
                    _login(binary, server, user, PRESENT if user == 0 else 0)
                costs[server][which] = (cpu(server.pid) - before) * 1000 / rounds
    return [Logins(server, *costs[server]) for server in servers]


def report(found: Sequence[Logins]) -> None:
    """Print the table, and what contacts cost here as a share of what they cost Prosody."""
    print(f"\nlogin and logout with {CONTACTS} contacts, {PRESENT} of them on line: CPU in ms")
    print(f"{'server':<12}{'wire':<8}{'with contacts':>14}{'without':>12}{'the contacts':>15}")
    for each in found:
        cost = each.with_contacts - each.without
        print(f"{each.server.name:<12}{each.server.wire:<8}{each.with_contacts:>14.1f}{each.without:>12.1f}{cost:>15.1f}")
    by_name = {(each.server.name, each.server.wire): each for each in found}
    for wire in ("plain", "TLS"):
        mine, theirs = by_name.get(("xmppfed", wire)), by_name.get(("Prosody", wire))
        if mine is not None and theirs is not None:
            share = mine.with_contacts / theirs.with_contacts
            print(f"{wire}: CPU of a login with contacts, share of Prosody's: {share:.2f}")


def _login(binary: Path, server: Server, user: int, wanted: int) -> None:
    """One login; raises `Failure` when not everybody who is there was seen."""
    seen = _run(binary, server, "--offset", user)["presences"] - 1  # less one's own
    if seen != wanted:
        raise Failure(f"{server.name}, {server.wire}: u{user} saw {seen} contacts on line; {wanted} are")


def _run(binary: Path, server: Server, *options: object) -> dict[str, Any]:
    answer = subprocess.run(_command(binary, server, "--idle", 1, "--settle", 0, *options), stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(answer.stdout or "{}")
    if answer.returncode or figures.get("login_failed"):
        raise Failure(f"{server.name}, {server.wire}: {figures.get('first_error', 'no figures')}")
    return figures


def _command(binary: Path, server: Server, *options: object) -> list[str]:
    fixed = ("--url", server.url, "--mech", "SCRAM-SHA-1", "--pairs", 0, "--duration", 0, "--roster")
    return list(map(str, (binary, *fixed, *options)))


@contextmanager
def _present(binary: Path, server: Server) -> Iterator[None]:
    """The contacts that are there."""
    command = _command(binary, server, "--offset", 1, "--idle", PRESENT, "--settle", 3600)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + _PATIENCE
            while _run(binary, server, "--offset", 0)["presences"] <= PRESENT:
                if time.monotonic() > deadline:
                    raise Failure(f"{server.name}, {server.wire}: {PRESENT} contacts did not log in within {_PATIENCE:.0f} s")
                time.sleep(0.2)
            yield
        finally:
            process.kill()


def cpu(pid: int | str = "self") -> float:
    """The seconds of CPU that the threads of a process have used."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def _fill(server: Server) -> None:
    """Everybody is a contact of u0, and u0 of everybody who is there."""
    others = [f"u{number}@localhost" for number in range(1, CONTACTS + 1)]
    rosters = {"u0": others, **{f"u{number}": ["u0@localhost"] for number in range(1, PRESENT + 1)}}
    if server.name == "Prosody":
        for user, contacts in rosters.items():
            _write_prosody(server.data_dir / "localhost" / "roster" / f"{user}.dat", contacts)
    else:
        now(_write_ours(server.data_dir, rosters))


async def _write_ours(data_dir: Path, rosters: dict[str, list[str]]) -> None:
    storage = SQLiteStorage.open_at_once(data_dir)
    for user, contacts in rosters.items():
        roster, records = Roster(), dict[str, bytes | None]()
        for jid in contacts:
            change = roster.change(Contact(jid, State.BOTH, listed=True), 1.0)
            roster.apply(change)
            records.update(change.records)
        await storage.records.change(JID(user, "localhost"), "roster", records)
    await storage.close()


def _write_prosody(file: Path, contacts: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    items = "".join(f'["{jid}"]={{["subscription"]="both";["groups"]={{}};}};' for jid in contacts)
    file.write_text(f'return {{[false]={{["version"]=1;["pending"]={{}};}};{items}}};\n')
