"""What `make interop` plays: a scenario has a name, the commands it needs, and a function that raises when it fails."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Failure", "NotMet", "Scenario", "show"]


class Failure(Exception):
    """A peer and we do not understand each other; the text says what was seen and what was wanted."""


class NotMet(Exception):
    """A peer cannot be had on this machine; the text names it and says why."""


@dataclass(frozen=True)
class Scenario:
    """One meeting with a peer. `play` gets an empty folder of its own, and raises `Failure` or `NotMet`."""

    name: str
    play: Callable[[Path], None]
    commands: tuple[str, ...] = ()

    def run(self, folder: Path) -> None:
        """Play it, after a look whether its commands are there."""
        for command in self.commands:
            if shutil.which(command) is None:
                raise NotMet(f"{command} is not installed")
        folder.mkdir(parents=True)
        self.play(folder)


def show(text: str) -> None:
    """Say what a scenario has seen."""
    print(f"  {text}", flush=True)
