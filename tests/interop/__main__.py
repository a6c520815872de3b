"""Plays the scenarios, names every peer that was not met, and closes with `peers: N met, M failed, K not met`."""

from __future__ import annotations

import shutil
import sys
import tempfile
import textwrap
import time
from pathlib import Path

from tests.interop import (
    candidates,
    clients,
    demo,
    demo_lan,
    dialects,
    discovery,
    e2e,
    fast,
    federation,
    gateway,
    linklocal_discovery,
    linklocal_purple,
    management,
    proxies,
    rehearsal,
    restart,
    tcp_peers,
    xmpp_proxy,
)
from tests.interop.conversation import LEFT_OUT
from tests.interop.scenario import Scenario

SCENARIOS: list[Scenario] = [
    *rehearsal.SCENARIOS,
    *tcp_peers.SCENARIOS,
    *demo.SCENARIOS,
    *demo_lan.SCENARIOS,
    *clients.SCENARIOS,
    *fast.SCENARIOS,
    *federation.SCENARIOS,
    *restart.SCENARIOS,
    *management.SCENARIOS,
    *candidates.SCENARIOS,
    *discovery.SCENARIOS,
    *e2e.SCENARIOS,
    *proxies.SCENARIOS,
    *dialects.SCENARIOS,
    *gateway.SCENARIOS,
    *linklocal_discovery.SCENARIOS,
    *linklocal_purple.SCENARIOS,
    *xmpp_proxy.SCENARIOS,
]


def main(words: list[str]) -> int:
    """Play what the words select; 0 if nothing failed. The files of failed scenarios are kept."""
    chosen = [scenario for scenario in SCENARIOS if not words or any(word in scenario.name for word in words)]
    if not chosen:
        print(f"No scenario has {' or '.join(words)} in its name; there are: {', '.join(s.name for s in SCENARIOS)}")
        return 2
    verdicts = [_play(scenario) for scenario in chosen]
    met, failed, missing = (verdicts.count(verdict) for verdict in ("met", "failed", "not met"))
    print(f"left out: {LEFT_OUT}")
    print(f"peers: {met} met, {failed} failed, {missing} not met")
    return 1 if failed else 0


def _play(scenario: Scenario) -> str:
    """One line for the peer, with what was measured or what went wrong; and below it what was seen."""
    folder = Path(tempfile.mkdtemp(prefix="xmppfed-interop-"))
    start = time.monotonic()
    outcome = scenario.run(folder / "run")
    seconds = time.monotonic() - start
    text = f": {outcome.text}" if outcome.text else ""
    files = f" (files: {folder})" if outcome.verdict == "failed" else ""
    print(f"{outcome.verdict}: {scenario.name} ({seconds:.1f} s){text}{files}")
    for line in outcome.seen:
        print(textwrap.indent(line, "  "))
    sys.stdout.flush()
    if outcome.verdict != "failed":
        shutil.rmtree(folder)
    return outcome.verdict


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
