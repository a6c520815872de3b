"""Ours and servers of others over TCP, found by DNS; before that the others among themselves, so that the rig is proved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.interop.certificates import Certificates, issue
from tests.interop.ejabberd import ejabberd
from tests.interop.namespace import apart, name_server
from tests.interop.ours import Plan, ours
from tests.interop.prosody_s2s import DIALBACK, EXTERNAL, prosody_s2s
from tests.interop.scenario import Scenario, show
from tests.interop.servers import Host, converse, converse_over

__all__ = ["SCENARIOS"]

HERE, THERE = "one.example.org", "two.example.org"
ADDRESSES = {HERE: "127.0.0.2", THERE: "127.0.0.3"}
PORTS = {"STARTTLS": (5269, "_xmpp-server"), "direct TLS": (5270, "_xmpps-server")}
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


def _records(tls: str) -> list[str]:
    """Both servers have one port each, of which an SRV record tells."""
    port, service = PORTS[tls]
    return [*_addresses(), *(f"{service}._tcp.{name} SRV 0 0 {port} {name}" for name in ADDRESSES)]


def _plan(certificates: Certificates, tls: str, trust: str = "external") -> Plan:
    return Plan(
        domain=HERE,
        certificate=certificates.hosts[HERE],
        authority=certificates.authority,
        address=ADDRESSES[HERE],
        port=443,
        tcp_ports=(PORTS[tls][0],),
        trust=trust,
    )


def _prosody(folder: Path, tls: str, mechanism: str, streams: str) -> None:
    certificates = issue(folder, HERE, THERE)
    setup = EXTERNAL if mechanism == "EXTERNAL" else DIALBACK
    plan = _plan(certificates, tls, "external" if setup is EXTERNAL else "external-or-dialback")
    peer = prosody_s2s(folder, _host(THERE, certificates), setup, PORTS[tls][0], bidi=streams != "two")
    with name_server(folder, _records(tls)), peer as there, ours(folder, plan, "romeo") as here:
        converse_over(streams, here, there, mechanism)
        show(f"{tls}, found by SRV")


def _ejabberd(folder: Path, tls: str, case: str) -> None:
    """It knows no bidi. A certificate without the purpose of clients is nothing to it, nor is one of another authority."""
    certificates = issue(folder, HERE, THERE)
    ours_by, theirs_by, trust = _CASES[case]
    plan = _plan(certificates, tls, trust)
    if case == "no client certificates":
        plan = replace(plan, certificate=certificates.servers[HERE])
    if case == "strangers' certificates":
        (folder / "strangers").mkdir()
        certificates = issue(folder / "strangers", HERE, THERE)
    peer = ejabberd(folder, _host(THERE, certificates), PORTS[tls][0], dialback=trust != "external")
    with name_server(folder, _records(tls)), peer as there, ours(folder, plan, "romeo") as here:
        converse(here.client("romeo"), there.client("juliet"))
        here.must_say(f"stream from {HERE} to {THERE} is established by {ours_by}")
        here.must_say(f"server {THERE} authenticated by {theirs_by}")
        show(f"{tls}, found by SRV; two streams: ours by {ours_by}, theirs by {theirs_by}")


_CASES = {
    "both purposes": ("EXTERNAL", "EXTERNAL", "external"),
    "no client certificates": ("dialback", "EXTERNAL", "external-or-dialback"),
    "strangers' certificates": ("dialback", "dialback", "dialback-without-verified-tls"),
}
"""By which mechanism our stream and theirs is proved, and our policy."""


_STREAMS = {"EXTERNAL": ("two", "ours", "theirs"), "dialback": ("two", "theirs")}
"""Where we come by dialback Prosody makes a stream of its own to ask us, and goes on to use that."""


def _scenario(name: str, make: str, play: Callable[..., None], *words: str) -> Scenario:
    return Scenario(name, apart(play, *words), ("unshare", "ip", *COMMANDS[make]))


SCENARIOS = [
    *(
        _scenario(f"rehearsal: Prosody and {make} over TCP by {mechanism}", make, _rehearse, make, mechanism)
        for make in COMMANDS
        for mechanism in ("EXTERNAL", "dialback")
    ),
    *(
        _scenario(f"tcp: Prosody, {tls}, {mechanism}, streams: {streams}", "Prosody", _prosody, tls, mechanism, streams)
        for tls in PORTS
        for mechanism, kinds in _STREAMS.items()
        for streams in kinds
    ),
    *(_scenario(f"tcp: ejabberd, {tls}, {case}", "ejabberd", _ejabberd, tls, case) for tls in PORTS for case in _CASES),
]
