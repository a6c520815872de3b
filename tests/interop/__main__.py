"""Plays the scenarios, names every peer that was not met, and closes with `peers: N met, M failed, K not met`."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.interop import candidates, demo, dialects, discovery, federation, rehearsal, tcp_peers, xmpp_proxy
from tests.interop.scenario import Failure, NotMet, Scenario

SCENARIOS: list[Scenario] = [
    *rehearsal.SCENARIOS,
    *tcp_peers.SCENARIOS,
    *demo.SCENARIOS,
    *federation.SCENARIOS,
    *candidates.SCENARIOS,
    *discovery.SCENARIOS,
    *dialects.SCENARIOS,
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
    print(f"peers: {met} met, {failed} failed, {missing} not met")
    return 1 if failed else 0


def _play(scenario: Scenario) -> str:
    folder = Path(tempfile.mkdtemp(prefix="xmppfed-interop-"))
    start = time.monotonic()
    try:
        scenario.run(folder / "run")
    except NotMet as missing:
        verdict, line = "not met", f"not met: {scenario.name} ({missing})"
    except Failure as failure:
        verdict, line = "failed", f"failed: {scenario.name}: {failure} (files: {folder})"
    except Exception:  # noqa: BLE001 - the others must still be played
        verdict, line = "failed", f"failed: {scenario.name} (files: {folder}): {traceback.format_exc()}"
    else:
        verdict, line = "met", f"met: {scenario.name} ({time.monotonic() - start:.1f} s)"
    print(line, flush=True)
    if verdict != "failed":
        shutil.rmtree(folder)
    return verdict


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
