"""`make run` as a newcomer runs it, and clients of others that use what it prints."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.interop.conversation import converse
from tests.interop.person import Account, Program, person
from tests.interop.processes import PATIENCE, wait_until
from tests.interop.programs import STROPHE
from tests.interop.scenario import Failure, Scenario

__all__ = ["SCENARIOS"]

_COMMAND = [sys.executable, "-m", "xmppfed.demo"]
_ACCOUNT = re.compile(r"^ *(\w+)@(\S+) +password (\S+) +(wss://localhost:\d+/\S+)$", re.MULTILINE)


def _once(folder: Path) -> None:
    """In a pipe, with ONCE=1: messages both ways, exit status 0, nothing left."""
    run = subprocess.run(
        _COMMAND,
        env={**os.environ, "ONCE": "1", "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    arrived = run.stdout.count("arrived after")
    if run.returncode != 0 or arrived != 3:
        raise Failure(f"found status {run.returncode} and {arrived} messages; wanted 0 and 3: {run.stdout}{run.stderr}")
    _nothing_left(folder)


def _until_interrupted(program: Program, folder: Path) -> str:
    """Without ONCE it stays up for clients of others, until an interruption, which is no failure."""
    log = folder / "demo.log"
    files = folder / "files"
    files.mkdir()
    with log.open("wb") as output:
        process = subprocess.Popen(
            _COMMAND,
            env={name: value for name, value in os.environ.items() if name != "ONCE"} | {"TMPDIR": str(files)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: process.poll() is not None or "must trust" in log.read_text(), "an invitation of the demo")
        printed = log.read_text()
        accounts = [Account(domain, user, password, url) for user, domain, password, url in _ACCOUNT.findall(printed)]
        authority = re.search(r"trust this authority: (\S+)", printed)
        if len(accounts) != 2 or authority is None:
            raise Failure(f"found {printed}; wanted two accounts and an authority in it")
        with (
            person(program, accounts[0], Path(authority[1]), folder) as a,
            person(program, accounts[1], Path(authority[1]), folder) as b,
        ):
            figures = converse(a, b, alone=False)
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(PATIENCE)
    if status != 0:
        raise Failure(f"found status {status} after the interruption; wanted 0: {log.read_text()}")
    _nothing_left(files)
    return str(figures)


def _nothing_left(folder: Path) -> None:
    left = [path.name for path in folder.iterdir()]
    if left:
        raise Failure(f"found {left} after the demo; wanted nothing")


SCENARIOS = [
    Scenario("demo: once, in a pipe", _once),
    Scenario("demo: Strophe logs in with what is on the screen", partial(_until_interrupted, STROPHE)),
]
