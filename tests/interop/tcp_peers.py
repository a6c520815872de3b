"""Servers of others over TCP, found by DNS: first among themselves, so that the rig is proved before we are looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.interop.certificates import Certificates, issue
from tests.interop.ejabberd import ejabberd
from tests.interop.namespace import apart, name_server
from tests.interop.prosody_s2s import DIALBACK, EXTERNAL, prosody_s2s
from tests.interop.scenario import Scenario
from tests.interop.servers import Host, converse

__all__ = ["SCENARIOS"]

HERE, THERE = "one.example.org", "two.example.org"
ADDRESSES = {HERE: "127.0.0.2", THERE: "127.0.0.3"}
COMMANDS = {"Prosody": ("prosody",), "ejabberd": ("ejabberdctl", "erl")}


def _host(domain: str, certificates: Certificates) -> Host:
    return Host(domain, ADDRESSES[domain], certificates.hosts[domain], certificates.authority)


def _rehearse(folder: Path, make: str, mechanism: str) -> None:
    """Prosody here and a peer there, which find each other by their addresses alone (RFC 6120, 3.2.2)."""
    certificates = issue(folder, HERE, THERE)
    here, there = _host(HERE, certificates), _host(THERE, certificates)
    setup = EXTERNAL if mechanism == "EXTERNAL" else DIALBACK
    peer = (
        prosody_s2s(folder, there, setup, bidi=True) if make == "Prosody" else ejabberd(folder, there, dialback=setup is DIALBACK)
    )
    with name_server(folder, _addresses()), prosody_s2s(folder, here, setup, bidi=True) as one, peer as two:
        converse(one.client("juliet"), two.client("juliet"))
        wanted = f"SASL EXTERNAL with {THERE} succeeded" if setup is EXTERNAL else "sent dialback key on outgoing s2s stream"
        one.must_say(wanted)


def _addresses() -> list[str]:
    return [f"{name} A {address}" for name, address in ADDRESSES.items()]


def _scenario(name: str, make: str, play: Callable[..., None], *words: str) -> Scenario:
    return Scenario(name, apart(play, *words), ("unshare", "ip", *COMMANDS[make]))


SCENARIOS = [
    *(
        _scenario(f"rehearsal: Prosody and {make} over TCP by {mechanism}", make, _rehearse, make, mechanism)
        for make in COMMANDS
        for mechanism in ("EXTERNAL", "dialback")
    ),
]
