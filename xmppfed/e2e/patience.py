"""What a stream waits for, a little: for its opener to speak, and before it asks for acknowledgements (XEP-0198, 4)."""

from __future__ import annotations

from collections.abc import Callable
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
    """Asks how much has arrived, after so many stanzas or so long, or when nothing goes on before we know."""

    __slots__ = ("_connection",)

    def __init__(self, later: Later, connection: Connection[Any]) -> None:
        super().__init__(later, self._ask)
        self._connection = connection

    def sent(self, ledger: Ledger) -> None:
        """One more stanza went out."""
        if len(ledger.unacknowledged) % _ASK_AFTER == 0 or ledger.full:
            self.stop()
            self._ask()
        else:
            self.start()

    def _ask(self) -> None:
        ledger = self._connection.stream.ledger
        if ledger is not None and ledger.unacknowledged:
            self._connection.stream.write(REQUEST)
            self._connection.flush()
