"""What a client that nobody looks at need not be told at once (XEP-0352, 3.2)."""

from __future__ import annotations

from xmppfed.core.stanza import Stanza

__all__ = ["Rest"]

_MOST = 500  # presences
_CHAT_STATE = "{http://jabber.org/protocol/chatstates}"
_BESIDE = (_CHAT_STATE, "{urn:xmpp:hints}", "{urn:xmpp:sid:0}")


class Rest:
    """Presence waits, and only the last of each address counts; chat states alone are old news by then, and left out.

    Whatever else comes is sent, and what waits goes before it: so nothing overtakes anything, and a device that has been
    woken up anyway learns all there is.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Stanza] = {}

    def take(self, stanza: Stanza) -> list[Stanza]:
        """What is to be sent now that `stanza` has come."""
        if stanza.kind == "presence" and stanza.type in (None, "unavailable"):
            sender = stanza.attributes.get("from", "")
            self._waiting.pop(sender, None)
            self._waiting[sender] = stanza
            return self.flush() if len(self._waiting) > _MOST else []
        if _is_chat_state(stanza):
            return []
        return [*self.flush(), stanza]

    def flush(self) -> list[Stanza]:
        """All that waits, in its order."""
        waiting, self._waiting = list(self._waiting.values()), {}
        return waiting


def _is_chat_state(stanza: Stanza) -> bool:
    if stanza.kind != "message" or stanza.type == "error":
        return False
    thread = f"{{{stanza.namespace}}}thread"
    return any(child.startswith(_CHAT_STATE) for child in stanza.children) and all(
        child.startswith(_BESIDE) or child == thread for child in stanza.children
    )
