"""End-to-end streams (XEP-0246) between processes on loopback: ours among themselves, and with a peer that is none of ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.interop.processes import PATIENCE, free_port, running, wait_until
from tests.interop.scenario import Failure, Scenario, show
from xmppfed.e2e.identity import create_identity, load_identity
from xmppfed.e2e.store import FileTrustStore
from xmppfed.e2e.trust import Acquaintance, Trust

__all__ = ["SCENARIOS", "befriend", "identities"]

JULIET, ROMEO, RAW = "juliet@pronto", "romeo@forza", "raw@socket"
ROOT = Path(__file__).parents[2]
END = [sys.executable, "-m", "tests.interop.e2e_end"]
PEER: list[str | Path] = [sys.executable, Path(__file__).with_name("raw_e2e_peer.py")]
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}


def identities(folder: Path, *names: str) -> None:
    """A certificate with its key for each."""
    for name in names:
        create_identity(folder / f"{name}.pem", name, datetime.now(UTC))


def befriend(folder: Path, *names: str) -> None:
    """Each has the keys of the others pinned."""
    keys = {name: load_identity(folder / f"{name}.pem").spki_sha256 for name in names}
    for name in names:
        store = FileTrustStore(folder / f"{name}.json")
        for other in set(names) - {name}:
            store.keep(Acquaintance(name=other, trust=Trust.PINNED, spki_sha256=keys[other]))


@contextmanager
def _listening(folder: Path, name: str, policy: str, *more: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """One of our ends that is called: its port, and what it has said so far."""
    port = str(free_port())
    with running(name, [*END, name, policy, "listen", port, *more], folder, [int(port)], ENVIRONMENT):
        yield port, (folder / f"{name}.log").read_text


def _run(folder: Path, *command: str | Path) -> str:
    """A process that ends by itself: what it has said. Raises `Failure`."""
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=2 * PATIENCE
    )
    if done.returncode:
        raise Failure(f"found status {done.returncode} of {command[1:]}, wanted 0: {done.stdout[-2000:]}")
    return done.stdout


def _must_say(said: str, *wanted: str) -> None:
    for words in wanted:
        if words not in said:
            raise Failure(f"found {said!r}, wanted {words!r} in it")


def _ours(folder: Path) -> None:
    """Pinned keys, nobody else let in; both know each other by their certificates."""
    identities(folder, JULIET, ROMEO)
    befriend(folder, JULIET, ROMEO)
    with _listening(folder, JULIET, "paired") as (port, log):
        said = _run(folder, *END, ROMEO, "paired", "call", JULIET, port, "hello")
        _must_say(said, f"heard {JULIET} (pinned, TLSv1.3, EXTERNAL): you said hello", "closed")
        _must_say(log(), f"heard {ROMEO} (pinned, TLSv1.3, EXTERNAL): hello")
    show(said.splitlines()[0])


def _pairing(folder: Path) -> None:
    """The code goes from one process to the other by hand; the next stream needs none."""
    identities(folder, JULIET, ROMEO)
    with _listening(folder, JULIET, "paired", "code") as (port, log):
        wait_until(lambda: "code " in log(), "the code")
        code = log().split("code ")[1][:7]
        _must_say(_run(folder, *END, ROMEO, "paired", "call", JULIET, port, "one", code), f"paired with {JULIET}", "you said one")
        _must_say(_run(folder, *END, ROMEO, "paired", "call", JULIET, port, "two"), f"{JULIET} (paired, TLSv1.3", "you said two")
        _must_say(log(), f"heard {ROMEO} (paired, TLSv1.3", ": one", ": two")


def _raw_key(folder: Path) -> Path:
    """A self-signed certificate that none of our code has made."""
    san = f"subjectAltName=otherName:1.3.6.1.5.5.7.8.5;UTF8:{RAW}"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    _run(folder, *new, "-subj", "/CN=raw", "-addext", san, "-keyout", "raw.key", "-out", "raw.crt")
    path = folder / "raw.pem"
    path.write_bytes((folder / "raw.key").read_bytes() + (folder / "raw.crt").read_bytes())
    return path


def _raw_calls(folder: Path, legacy: str = "") -> None:
    """It calls us."""
    identities(folder, JULIET)
    with _listening(folder, JULIET, "plain" if legacy else "first-use") as (port, log):
        said = _run(folder, *PEER, f"call{legacy}", port, RAW, JULIET, _raw_key(folder), f"{JULIET}.pem")
        how = "plain, no TLS, no SASL" if legacy else "first-use, TLSv1.3, EXTERNAL"
        _must_say(said, "heard you said hello from a raw socket", "closed")
        _must_say(log(), f"heard {RAW} ({how}): hello from a raw socket")
    show(said.splitlines()[0])


def _raw_answers(folder: Path, legacy: str = "") -> None:
    """We call it."""
    identities(folder, JULIET)
    port, log = str(free_port()), folder / "raw.log"
    command = [*PEER, f"answer{legacy}", port, RAW, JULIET, _raw_key(folder), f"{JULIET}.pem"]
    with running("raw", command, folder, []) as process:
        wait_until(lambda: "listening" in log.read_text(), "the raw peer listening")
        said = _run(folder, *END, JULIET, "plain" if legacy else "first-use", "call", RAW, port, "hello")
        how = "plain, no TLS, no SASL" if legacy else "first-use, TLSv1.3, EXTERNAL"
        _must_say(said, f"heard {RAW} ({how}): hello from a raw socket", "closed")
        wait_until(lambda: process.poll() is not None, "the end of the raw peer")
        _must_say(log.read_text(), "heard hello", "closed")
    show(said.splitlines()[0])


SCENARIOS = [
    Scenario("e2e: two of ours, each knows the other's key", _ours),
    Scenario("e2e: two of ours pair by a code", _pairing),
    Scenario("e2e: a raw peer calls us, TLS and EXTERNAL", _raw_calls, ("openssl",)),
    Scenario("e2e: we call a raw peer, TLS and EXTERNAL", _raw_answers, ("openssl",)),
    Scenario("e2e: a raw peer of old calls us, no version and no TLS", partial(_raw_calls, legacy="-legacy"), ("openssl",)),
    Scenario("e2e: we call a raw peer of old, no version and no TLS", partial(_raw_answers, legacy="-legacy"), ("openssl",)),
]
