"""How a client shows that it has got what was sent: it answers a ping that came behind (XEP-0199, 4.2).

A client that answers no pings (RFC 6120, 8.2.3 forbids that) shows it by saying anything at all some time later.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.stanza import Stanza

__all__ = ["Receipts"]

_NS_PING = "urn:xmpp:ping"


class Receipts:
    """The pings of one client that are not answered yet. Without any it is false."""

    __slots__ = ("_asked", "_patience")

    def __init__(self, patience: float) -> None:
        """`patience` seconds after a ping whatever the client says was said when it had got the ping."""
        self._patience = patience
        self._asked: dict[str, tuple[Callable[[], None], float]] = {}

    def __bool__(self) -> bool:
        return bool(self._asked)

    def ask(self, domain: str, to: str, done: Callable[[], None], now: float) -> Stanza:
        """The ping to send to `to`; `done` is called when it is answered, in whatever way."""
        id = secrets.token_urlsafe(12)
        self._asked[id] = done, now + self._patience
        attributes = {"from": domain, "to": to, "type": "get", "id": id}
        return Stanza.from_element(Element("iq", NS_CLIENT, attributes, [Element("ping", _NS_PING)]))

    def take(self, stanza: Stanza, now: float) -> bool:
        """Look at what the client says: whether it answers one of our pings, which concerns nobody else."""
        is_answer = stanza.kind == "iq" and stanza.type in ("result", "error") and stanza.id in self._asked
        shown = [id for id, (_, late) in self._asked.items() if now >= late or (is_answer and id == stanza.id)]
        for id in shown:
            done, _ = self._asked.pop(id)
            done()
        return is_answer

    def forget(self) -> None:
        """Nobody will answer any more."""
        self._asked.clear()
