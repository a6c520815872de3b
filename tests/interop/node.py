"""Clients that run in Node: `clients/*.mjs`, with alice on one side and bob on the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.scenario import Failure, NotMet

__all__ = ["CLIENTS", "Side", "converse"]

CLIENTS = Path(__file__).parent / "clients"
LIMIT = 180
"""Seconds for one script; each of its steps has a shorter limit of its own."""


@dataclass(frozen=True)
class Side:
    """Where one of the two users logs in. `url` is `wss://HOST:PORT/PATH`; HOST is found at `address`, without DNS."""

    domain: str
    url: str
    user: str
    password: str
    address: str = "127.0.0.1"

    def environment(self, letter: str) -> dict[str, str]:
        """The variables that clients/settings.mjs reads."""
        values = {"DOMAIN": self.domain, "WS": self.url, "USER": self.user, "PW": self.password, "IP": self.address}
        return {f"XMPP_{name}_{letter}": value for name, value in values.items()}


def converse(script: str, a: Side, b: Side, authority: Path, folder: Path) -> list[dict[str, Any]]:
    """Run `clients/SCRIPT` and return its steps; raises `Failure` with the last of them when it fails.

    `authority` (PEM) is trusted beside the public ones. Output is kept in `folder`.
    """
    _install()
    environment = os.environ | a.environment("A") | b.environment("B") | {"NODE_EXTRA_CA_CERTS": str(authority)}
    log = folder / f"{Path(script).stem}.log"
    with log.open("wb") as output:
        try:
            status = subprocess.run(
                ["node", script], cwd=CLIENTS, env=environment, stdout=output, stderr=subprocess.STDOUT, timeout=LIMIT
            ).returncode
        except subprocess.TimeoutExpired:
            raise Failure(f"{script} did not end within {LIMIT} s: {_tail(log)}") from None
    if status != 0:
        raise Failure(f"{script} ended with status {status}: {_tail(log)}")
    steps = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    if not steps or steps[-1]["step"] != "done":
        raise Failure(f"{script} ended before its last step: {_tail(log)}")
    return steps


def _install() -> None:
    """Install what package-lock.json names, unless it is there already."""
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            raise NotMet(f"{command} is not installed")
    lock, installed = CLIENTS / "package-lock.json", CLIENTS / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    answer = subprocess.run(["npm", "ci"], cwd=CLIENTS, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if answer.returncode != 0:
        raise NotMet(f"npm cannot install the clients: {answer.stderr.strip()[-500:]}")
    installed.touch()


def _tail(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").splitlines()[-4:])[-2000:]
