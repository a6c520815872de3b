"""Two of our servers, as processes: with real clients, by certificates, by dialback behind nginx, and after a crash."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.interop.certificates import issue
from tests.interop.client import Client
from tests.interop.management import acknowledged
from tests.interop.ours import Ours, Plan, ours
from tests.interop.processes import free_port
from tests.interop.scenario import Failure, Scenario, show

__all__ = ["SCENARIOS"]

A, B, WRONG = "one.test", "two.test", "wrong.test"


def _plans(folder: Path) -> tuple[Plan, Plan]:
    """Two servers that know where the other is, each with a certificate for its name."""
    certificates = issue(folder, A, B, WRONG)
    ports = free_port(), free_port()
    one = Plan(domain=A, certificate=certificates.hosts[A], authority=certificates.authority, port=ports[0])
    two = Plan(domain=B, certificate=certificates.hosts[B], authority=certificates.authority, port=ports[1])
    return replace(one, routes={B: two.url}), replace(two, routes={A: one.url})


@contextmanager
def _running(folder: Path, one: Plan, two: Plan) -> Iterator[tuple[Ours, Ours]]:
    with ours(folder, one, "alice") as a, ours(folder, two, "bob") as b:
        yield a, b


def _say(sender: Client, to: Client, address: str, text: str) -> float:
    """Milliseconds from one client to the other."""
    start = time.monotonic()
    sender.say(address, text)
    to.hear(text)
    return (time.monotonic() - start) * 1000


def _talk(a: Ours, b: Ours) -> tuple[Client, Client, str]:
    """Messages both ways between alice and bob, who stay; and how long these took."""
    alice, bob = a.client("alice"), b.client("bob")
    first = _say(alice, bob, f"bob@{B}", "first")
    back = _say(bob, alice, f"alice@{A}", "back")
    warm = _say(alice, bob, f"bob@{B}", "warm")
    return alice, bob, f"first message {first:.0f} ms, first answer {back:.0f} ms, warm {warm:.0f} ms"


def _by_certificates(folder: Path) -> str:
    with _running(folder, *_plans(folder)) as (a, b):
        _, _, figures = _talk(a, b)
        a.must_have_reached(b, "EXTERNAL")
    return figures


def _wrong_server(folder: Path) -> None:
    one, two = _plans(folder)
    two = replace(two, certificate=folder / f"{WRONG}.pem", shown=WRONG)
    with _running(folder, one, two) as (a, b):
        alice, _ = a.client("alice"), b.client("bob")
        alice.say(f"bob@{B}", "to an impostor")
        _names_both(alice.hear_error(), "found a certificate for", WRONG, f"wanted one for {B}")
        a.must_say(f"no stream from {A} to {B}")


def _wrong_client(folder: Path) -> None:
    one, two = _plans(folder)
    one = replace(one, certificate=folder / f"{WRONG}.pem", shown=WRONG)
    with _running(folder, one, replace(two, trust="external")) as (a, b):
        alice, _ = a.client("alice"), b.client("bob")
        alice.say(f"bob@{B}", "from an impostor")
        _names_both(alice.hear_error(), "Found a client certificate for", WRONG, f"wanted one for {A}")
        b.must_say(f"stream from {A} failed")
        b.must_not_say(f"server {A} authenticated")


def _names_both(text: str, *wanted: str) -> None:
    """A refusal says what was found and what was wanted."""
    show(f"the sender reads: {text}")
    missing = [words for words in ("remote-server-not-found", *wanted) if words not in text]
    if missing:
        raise Failure(f"found the error {text!r}; wanted in it: {missing}")


def _crash(folder: Path) -> None:
    one, two = _plans(folder)
    with ours(folder, one, "alice") as a:
        with ours(folder, two, "bob") as b:
            alice, _, _ = _talk(a, b)
            acknowledged(a)
            b.process.kill()
            b.process.wait()
            a.must_say(f"stream to {B} has ended")
            alice.say(f"bob@{B}", "while nobody is there")
            _names_both(alice.hear_error(), "no connection")
        start = time.monotonic()
        with ours(folder, two, name=f"{B}-again") as b:
            bob = b.client("bob")
            _say(alice, bob, f"bob@{B}", "after the crash")
            _say(bob, alice, f"alice@{A}", "and back")
            show(f"messages flow both ways again {time.monotonic() - start:.1f} s after the new start")


def _queue(folder: Path) -> None:
    """A frozen server is connected to, and does not answer: what is said to it meanwhile must wait, in order."""
    one, two = _plans(folder)
    with _running(folder, one, two) as (a, b):
        alice, bob = a.client("alice"), b.client("bob")
        b.process.send_signal(signal.SIGSTOP)
        try:
            for text in ("one", "two", "three"):
                alice.say(f"bob@{B}", text)
            alice.ping()
        finally:
            b.process.send_signal(signal.SIGCONT)
        for text in ("one", "two", "three"):
            bob.hear(text)
        show("three messages waited for a stream, and arrived in their order")


SCENARIOS = [
    Scenario("federation: by certificates (EXTERNAL)", _by_certificates),
    Scenario("refusal: a server with a certificate for another name", _wrong_server),
    Scenario("refusal: a client certificate for another name", _wrong_client),
    Scenario("recovery: a server is killed and started again", _crash),
    Scenario("recovery: what waits for a stream arrives", _queue),
]
