"""The program of the guide "Two devices that talk directly" does what the guide says."""

from __future__ import annotations

import io
import os
import runpy
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.identity import create_identity
from xmppfed.net.certificates import moment
from xmppfed.testing.network import Network

PROGRAM = Path(__file__).parent.parent / "docs" / "how-to" / "two_devices.py"


class TwoDevicesTests(SynchronousTestCase):
    """The file that the guide shows, from which nothing was left out."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(folder)
        self.network = Network()
        self.network.reactor.advance(1.8e9)
        for name, address in (("display", "display@desk"), ("sensor", "sensor@rig")):
            create_identity(Path(f"{name}.pem"), address, moment(self.network.reactor))
        self.program = runpy.run_path(str(PROGRAM))
        self.printed = io.StringIO()

    def run_until_quiet(self, name: str, *arguments: str) -> Deferred[Any]:
        """Start one of the two."""
        host = {"display": "192.0.2.7", "sensor": "192.0.2.8"}[name]
        with redirect_stdout(self.printed):
            running = Deferred.fromCoroutine(self.program[name](self.network.host(host), *arguments))
            self.network.pump()
        return running

    def lines(self) -> list[str]:
        """What was printed since the last time."""
        lines = self.printed.getvalue().splitlines()
        self.printed.seek(0)
        self.printed.truncate()
        return lines

    def test_as_the_guide_says(self) -> None:
        """A code is shown and typed, the value is shown, and the next time no code is needed."""
        display = self.run_until_quiet("display")
        [line] = self.lines()
        self.assertRegex(line, r"^Code for a new sensor: \d{3}-\d{3}$")
        self.successResultOf(self.run_until_quiet("sensor", line[-7:]))
        printed = ["Paired with display@desk", "sensor@rig says 21.5", "display@desk says noted"]
        self.assertEqual(sorted(self.lines()), sorted(printed))
        self.successResultOf(self.run_until_quiet("sensor"))
        self.assertEqual(sorted(self.lines()), sorted(printed[1:]))
        display.cancel()
        self.network.pump()
        self.failureResultOf(display, CancelledError)
        self.network.check_clean()
