"""What we have asked and was not answered yet: iqs of type get and set, and their answers (RFC 6120, 8.2.3)."""

from __future__ import annotations

import secrets
from collections.abc import Hashable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_STANZA_ERRORS
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError

__all__ = ["Requests", "error_of"]


class Requests:
    """Requests that wait, by whom was asked and by their ids, which nobody else can guess."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[tuple[Hashable, str], Deferred[Stanza]] = {}

    def ask(self, whom: Hashable, iq: Stanza, seconds: float) -> tuple[Stanza, Deferred[Stanza]]:
        """The request with an id of ours, to be sent, and its result; that fails with a StanzaError, the peer's own or one that
        says that none came."""
        sent = iq.with_attributes(id=secrets.token_hex(8))
        key = whom, str(sent.id)
        answer = self._waiting[key] = Deferred()
        answer.addTimeout(seconds, self._clock, _too_late)
        answer.addBoth(self._forget, key)
        return sent, answer

    def answered(self, whom: Hashable, stanza: Stanza) -> bool:
        """Whether this was an answer that somebody waits for."""
        answer = self._waiting.get((whom, stanza.id or "")) if stanza.kind == "iq" and not stanza.is_request else None
        if answer is None:
            return False
        if stanza.type == "error":
            answer.errback(error_of(stanza))
        else:
            answer.callback(stanza)
        return True

    def failed(self, whom: Hashable, error: StanzaError, id: str | None = None) -> bool:
        """No answer will come: to the one request with that id, or to any that was sent there. Whether somebody waited."""
        found = [answer for (asked, one), answer in self._waiting.items() if asked == whom and id in (None, one)]
        for answer in found:
            answer.errback(error)
        return bool(found)

    def _forget(self, result: Stanza | Failure, key: tuple[Hashable, str]) -> Stanza | Failure:
        del self._waiting[key]
        return result


def error_of(stanza: Stanza) -> StanzaError:
    """The error that a stanza of type error tells; the text is the peer's, and may be anything."""
    error = stanza.element.child(f"{{{stanza.namespace}}}error") or Element("error", stanza.namespace)
    text = error.child(f"{{{NS_STANZA_ERRORS}}}text")
    names = [child.name for child in error.elements() if child.namespace == NS_STANZA_ERRORS]
    found = [_CONDITIONS[name] for name in names if name in _CONDITIONS]
    condition = found[0] if found else StanzaCondition.UNDEFINED_CONDITION
    return StanzaError(condition, error.get("type"), text.text if text is not None else "")


_CONDITIONS = {condition.value: condition for condition in StanzaCondition}


def _too_late(failure: object, limit: float) -> object:
    text = f"No answer within {limit:g} seconds."
    raise StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, text=text)
