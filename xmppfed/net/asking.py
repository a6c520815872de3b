"""Asks a peer how much of what it was sent has arrived (XEP-0198, 4)."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall

from xmppfed.core.ledger import REQUEST
from xmppfed.net.connection import Connection

__all__ = ["Asking"]


class Asking:
    """Asks after so many stanzas or so long, or when nothing goes on before we know; and again, some times, when nobody says so:
    what lacks its acknowledgement must not wait for ever."""

    __slots__ = ("_answer", "_call", "_connection", "_missed")

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._call: IDelayedCall | None = None  # to ask
        self._answer: IDelayedCall | None = None  # that does not come
        self._missed = 0  # times that we asked and got no answer

    def sent(self) -> None:
        """One more stanza went out, which is counted: ask after some, or after a while."""
        ledger = self._connection.stream.ledger
        if ledger is None:  # it was one too many for a peer that does not read, and the connection was cut
            return
        if ledger.full or len(ledger.unacknowledged) % self._connection.timeouts.acknowledgement_stanzas == 0:
            self.ask()
        else:
            self._ask_soon()

    def answered(self) -> None:
        """The peer has said how much. One that has not handled all yet is asked again: perhaps nothing else follows."""
        self._missed = 0
        _cancel(self._answer)
        self._answer = None
        ledger = self._connection.stream.ledger
        if ledger is not None and ledger.unacknowledged:
            self._ask_soon()

    def ask(self, *, anyway: bool = False) -> None:
        """Ask now, if anything lacks its acknowledgement, or `anyway`."""
        _cancel(self._call)
        self._call = None
        connection = self._connection
        ledger = connection.stream.ledger
        if ledger is None or not (ledger.unacknowledged or anyway):
            return
        connection.stream.write(REQUEST)
        connection.flush()
        if self._answer is None:
            silence = connection.timeouts.acknowledgement_silence
            self._answer = connection.later(silence, self._unanswered, connection.now())

    def stop(self) -> None:
        """The stream has ended, or what is counted on it goes on elsewhere."""
        _cancel(self._call)
        _cancel(self._answer)
        self._call = self._answer = None

    def _ask_soon(self) -> None:
        if self._call is None:
            self._call = self._connection.later(self._connection.timeouts.acknowledgement, self.ask)

    def _unanswered(self, since: float) -> None:
        """A peer that says something else is slow, and asked again, some times; one that says nothing is behind a wire that was
        cut without a word."""
        self._answer = None
        self._missed += 1
        if self._connection.silent_since(since):
            self._connection.cut("nothing came after an acknowledgement was asked for")
        elif self._missed >= self._connection.timeouts.acknowledgements_missed:
            self._connection.cut(f"{self._missed} times an acknowledgement was asked for, and none came")
        else:
            self.ask()


def _cancel(call: IDelayedCall | None) -> None:
    if call is not None and call.active():
        call.cancel()
