"""What a stream waits for, a little: for its opener to speak, and before it asks for acknowledgements (XEP-0198, 4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from xmppfed.core.ledger import REQUEST, Ledger
from xmppfed.net.connection import Connection

__all__ = ["Asking", "Patience"]

_SECONDS = 1.0
_ASK_AFTER = 50
"""Stanzas after which we ask at once."""

Later = Callable[[float, Callable[[], object]], IDelayedCall]


class Patience:
    """Has something done in a second, unless it is stopped."""

    __slots__ = ("_act", "_call", "_later")

    def __init__(self, later: Later, act: Callable[[], object]) -> None:
        self._later = later
        self._act = act
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """From now on, if the time does not run already."""
        if self._call is None:
            self._call = self._later(_SECONDS, self._done)

    def stop(self) -> None:
        """It is not wanted any more."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _done(self) -> None:
        self._call = None
        self._act()


class Asking(Patience):
    """Asks how much has arrived, after so many stanzas or so long, or when nothing goes on before we know; and again, some times,
    when nobody says so: what lacks its acknowledgement must not wait for ever."""

    __slots__ = ("_answer", "_connection", "_missed")

    def __init__(self, later: Later, connection: Connection[Any]) -> None:
        super().__init__(later, self.ask)
        self._connection = connection
        self._answer: IDelayedCall | None = None
        self._missed = 0

    def sent(self, ledger: Ledger) -> None:
        """One more stanza went out."""
        if len(ledger.unacknowledged) % _ASK_AFTER == 0 or ledger.full:
            super().stop()
            self.ask()
        else:
            self.start()

    def answered(self) -> None:
        """The peer has said how much; whoever has not handled everything is asked again."""
        self._missed = 0
        self._cancel()
        ledger = self._connection.stream.ledger
        if ledger is not None and ledger.unacknowledged:
            self.start()

    def stop(self) -> None:
        """The stream has ended."""
        super().stop()
        self._cancel()

    def ask(self, *, anyway: bool = False) -> None:
        """Ask now, if anything lacks its acknowledgement, or `anyway`."""
        connection = self._connection
        ledger = connection.stream.ledger
        if ledger is None or not (ledger.unacknowledged or anyway):
            return
        if self._answer is None:
            silence = connection.timeouts.acknowledgement_silence
            self._answer = self._later(silence, partial(self._unanswered, connection.now()))
        connection.stream.write(REQUEST)
        connection.flush()

    def _unanswered(self, since: float) -> None:
        """A peer that says something else is only slow, for a while; one that says nothing is behind a wire that was cut."""
        self._answer = None
        self._missed += 1
        if self._connection.silent_since(since) or self._missed >= self._connection.timeouts.acknowledgements_missed:
            self._connection.cut(f"{self._missed} times an acknowledgement was asked for, and none came")
        else:
            self.ask()

    def _cancel(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.cancel()
