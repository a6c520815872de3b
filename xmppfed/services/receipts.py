"""How a client shows that it has got what was sent: it answers a ping that came behind (XEP-0199, 4.2)."""

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

    def __init__(self) -> None:
        self._asked: dict[str, Callable[[], None]] = {}

    def __bool__(self) -> bool:
        return bool(self._asked)

    def ask(self, domain: str, to: str, done: Callable[[], None]) -> Stanza:
        """The ping to send to `to`; when it is answered, in whatever way, `done` is called."""
        id = secrets.token_urlsafe(12)
        self._asked[id] = done
        attributes = {"from": domain, "to": to, "type": "get", "id": id}
        return Stanza.from_element(Element("iq", NS_CLIENT, attributes, [Element("ping", _NS_PING)]))

    def take(self, stanza: Stanza) -> bool:
        """Whether `stanza` answers one of our pings; then nobody else wants it."""
        is_answer = stanza.kind == "iq" and stanza.type in ("result", "error")
        done = self._asked.pop(stanza.id or "", None) if is_answer else None
        if done is not None:
            done()
        return done is not None

    def forget(self) -> None:
        """Nobody will answer any more."""
        self._asked.clear()
