"""Stream management between servers (XEP-0198): a cable is cut while something is under way, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.interop.cable import Cable, cable
from tests.interop.certificates import Certificates, issue
from tests.interop.client import Client
from tests.interop.namespace import apart, name_server
from tests.interop.ours import Ours, Plan, ours
from tests.interop.processes import free_port, wait_until
from tests.interop.prosody_s2s import EXTERNAL, Setup, prosody_s2s
from tests.interop.scenario import Scenario, show
from tests.interop.servers import Host, converse

__all__ = ["SCENARIOS", "acknowledged"]

HERE, THERE = "one.example.org", "two.example.org"
ADDRESSES = {HERE: "127.0.0.2", THERE: "127.0.0.3"}
CABLES = {HERE: "127.0.0.4", THERE: "127.0.0.5"}
PORT = 5270

# Prosody acknowledges as it is; what it was not acknowledged it sends again when it is told to.
MANAGED = Setup((*EXTERNAL.modules, "smacks"), f"{EXTERNAL.options} smacks_s2s_resend = true")


def acknowledged(server: Ours) -> None:
    """Wait until nothing that a server of ours has sent lacks its acknowledgement."""

    def settled() -> bool:
        return not any(one["unacknowledged"] for one in server.command("s2s")["streams"])

    wait_until(settled, f"{server.domain} having every acknowledgement")


def _records() -> list[str]:
    """Each server is found at the end of its cable."""
    cables = {f"cable.{name}": address for name, address in CABLES.items()}
    return [
        *(f"{name} A {address}" for name, address in {**ADDRESSES, **cables}.items()),
        *(f"_xmpps-server._tcp.{name} SRV 0 0 {PORT} cable.{name}" for name in ADDRESSES),
    ]


def _plan(certificates: Certificates) -> Plan:
    return Plan(
        domain=HERE,
        certificate=certificates.hosts[HERE],
        authority=certificates.authority,
        address=ADDRESSES[HERE],
        port=443,
        tcp_ports=(PORT,),
        trust="external",
    )


def _prosody(folder: Path, streams: str) -> None:
    """Over two streams or one, what either says while the cable is broken arrives, and once."""
    certificates = issue(folder, HERE, THERE)
    host = Host(THERE, ADDRESSES[THERE], certificates.hosts[THERE], certificates.authority)
    with (
        name_server(folder, _records()),
        prosody_s2s(folder, host, MANAGED, PORT, bidi=streams != "two") as there,
        ours(folder, _plan(certificates), "romeo") as here,
        cable((CABLES[HERE], PORT), (ADDRESSES[HERE], PORT)) as to_us,
        cable((CABLES[THERE], PORT), (ADDRESSES[THERE], PORT)) as to_them,
    ):
        romeo, juliet = here.client("romeo"), there.client("juliet")
        converse(*(juliet, romeo) if streams == "theirs" else (romeo, juliet))
        there.must_say("Enabling stream management")
        acknowledged(here)
        used: dict[str, list[tuple[Cable, tuple[str, ...]]]] = {
            "two": [(to_them, ("there",)), (to_us, ("there",))],
            "ours": [(to_them, ("there", "back"))],
            "theirs": [(to_us, ("there", "back"))],
        }
        for one, _ in used[streams]:
            one.break_()
        romeo.say(juliet.address, "to Prosody")
        juliet.say(romeo.address, "to us")
        for one, lost in used[streams]:
            one.cut(*lost)
        for speaker, hearer, text in ((romeo, juliet, "to Prosody"), (juliet, romeo, "to us")):
            hearer.hear(text)
            speaker.say(hearer.address, f"after that, {text}")
            hearer.hear(f"after that, {text}")
        show(f"cut with a message under way in each direction, streams: {streams}; each arrived, and once")


def _both(folder: Path, play: Callable[[Ours, Ours, Client, Client, Cable], None], idle: float | None = None) -> None:
    """Two of ours with a cable between them, which only one of them can use: nobody finds that one."""
    certificates = issue(folder, HERE, THERE)
    port = free_port()
    two = Plan(domain=THERE, certificate=certificates.hosts[THERE], authority=certificates.authority)
    one = Plan(domain=HERE, certificate=certificates.hosts[HERE], authority=certificates.authority)
    one = replace(one, routes={THERE: replace(two, public_port=port).url})
    with (
        cable(("127.0.0.1", port), ("127.0.0.1", two.port), idle) as between,
        ours(folder, one, "romeo") as here,
        ours(folder, two, "juliet") as there,
    ):
        romeo, juliet = here.client("romeo"), there.client("juliet")
        converse(romeo, juliet)
        play(here, there, romeo, juliet, between)


def _resumed(here: Ours, there: Ours, romeo: Client, juliet: Client, between: Cable) -> None:
    for number in range(3):
        acknowledged(here)
        between.break_()
        romeo.say(juliet.address, f"there {number}")
        juliet.say(romeo.address, f"back {number}")
        between.cut("there", "back")
        juliet.hear(f"there {number}")
        romeo.hear(f"back {number}")
    here.must_say(f"session with {THERE} was resumed, which held 1 stanzas")
    there.must_say(f"session with {HERE} was resumed, which held 1 stanzas")
    show("cut three times with a message under way in each direction; each arrived, and once")


def _idle(here: Ours, there: Ours, romeo: Client, juliet: Client, between: Cable) -> None:
    for number in range(3):
        before = between.cuts
        wait_until(lambda before=before: between.cuts > before, "the cut of an idle connection")
        juliet.say(romeo.address, f"back {number}")
        romeo.hear(f"back {number}")
        romeo.say(juliet.address, f"there {number}")
        juliet.hear(f"there {number}")
    show("three idle connections were cut; a server that cannot connect spoke first after each")


def _cut(folder: Path) -> None:
    _both(folder, _resumed)


def _cut_when_idle(folder: Path) -> None:
    _both(folder, _idle, idle=2)


SCENARIOS = [
    *(
        Scenario(f"management: Prosody, streams: {streams}", apart(_prosody, streams), ("unshare", "ip", "prosody"))
        for streams in ("two", "ours", "theirs")
    ),
    Scenario("management: two of ours, cut with something under way", _cut),
    Scenario("management: two of ours, cut when idle", _cut_when_idle),
]
