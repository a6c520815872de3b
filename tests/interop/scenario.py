"""What `make interop` plays: a scenario has a name, what it needs, and a function that raises when it fails."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Failure", "NotMet", "Outcome", "Scenario", "need", "outcome", "show"]

_seen: list[str] = []


class Failure(Exception):
    """A peer and we do not understand each other; the text says what was seen and what was wanted."""


class NotMet(Exception):
    """A peer cannot be had on this machine; the text names it and says why."""


@dataclass(frozen=True)
class Outcome:
    """How a scenario went: `met`, `failed` or `not met`; figures or the reason; and what it has shown."""

    verdict: str
    text: str = ""
    seen: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scenario:
    """One meeting with a peer. `play` gets an empty folder of its own; it returns figures, or raises `Failure` or `NotMet`."""

    name: str
    play: Callable[[Path], str | None]
    needs: tuple[str | Path, ...] = ()

    def run(self, folder: Path) -> Outcome:
        """Play it, after a look whether what it needs is there."""

        def play() -> str | None:
            need(*self.needs)
            folder.mkdir(parents=True)
            return self.play(folder)

        return outcome(play)


def outcome(play: Callable[[], str | None]) -> Outcome:
    """How it went to `play`, whatever that raises: the others must still be played."""
    _seen.clear()
    try:
        verdict, text = "met", play() or ""
    except NotMet as missing:
        verdict, text = "not met", str(missing)
    except Failure as failure:
        verdict, text = "failed", str(failure)
    except Exception:  # noqa: BLE001 - it is told, with its traceback
        verdict, text = "failed", traceback.format_exc()
    return Outcome(verdict, text, [*_seen])


def need(*things: str | Path) -> None:
    """Raise `NotMet` unless these commands (as text) and files (as paths) are there."""
    for thing in things:
        if not thing.exists() if isinstance(thing, Path) else shutil.which(thing) is None:
            raise NotMet(f"{thing} is not installed; scripts/install_peers.sh does that")


def show(text: str) -> None:
    """Note what a scenario has seen, for the lines below its verdict."""
    _seen.append(text)
