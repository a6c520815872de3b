"""What of a message passes between a client and a peer on the link: what stands here, made anew, and nothing else."""

from __future__ import annotations

from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.stanza import Stanza
from xmppfed.errors import NS_STANZA_ERRORS, StanzaCondition, StanzaError

__all__ = ["failure_in", "has_body", "letter_of", "message"]

NS_STATES = "http://jabber.org/protocol/chatstates"
NS_RECEIPTS = "urn:xmpp:receipts"
NS_EVENT = "jabber:x:event"

_BODY = f"{{{NS_CLIENT}}}body"
_EVENT = f"{{{NS_EVENT}}}x"
_EVENT_ID = f"{{{NS_EVENT}}}id"
_STATES = frozenset(f"{{{NS_STATES}}}{state}" for state in ("active", "composing", "paused", "inactive", "gone"))
_RECEIVED, _REQUEST = (f"{{{NS_RECEIPTS}}}{name}" for name in ("received", "request"))
_CONDITIONS = {condition.value: condition for condition in StanzaCondition}


def letter_of(stanza: Stanza) -> list[Element]:
    """What passes of a message: its text, one chat state (XEP-0085), a receipt or the wish for one (XEP-0184); of what is not
    a message of the kinds that people write to each other, nothing."""
    if stanza.kind != "message" or stanza.type in ("error", "groupchat") or _is_typing_notice(stanza):
        return []
    children = list(stanza.element.elements())
    body = next((child.text for child in children if child.tag == _BODY and child.text), "")
    found = [Element("body", NS_CLIENT, {}, [body])] if body else []
    state = next((child.name for child in children if child.tag in _STATES), "")
    found += [Element(state, NS_STATES)] if state else []
    return found + _receipt(children, body)


def _receipt(children: list[Element], body: str) -> list[Element]:
    """The wish for a receipt is one about a text."""
    received = next((child.get("id") for child in children if child.tag == _RECEIVED and child.get("id")), None)
    if received is not None:
        return [Element("received", NS_RECEIPTS, {"id": received})]
    return [Element("request", NS_RECEIPTS)] if body and any(child.tag == _REQUEST for child in children) else []


def _is_typing_notice(stanza: Stanza) -> bool:
    """iChat shows by an event with an id that somebody types, beside a text that is not finished (XEP-0022)."""
    event = stanza.element.child(_EVENT) if _EVENT in stanza.children else None
    return event is not None and event.child(_EVENT_ID) is not None


def has_body(letter: list[Element]) -> bool:
    """Whether somebody has written something."""
    return any(child.tag == _BODY for child in letter)


def message(sender: str, to: str, id: str | None, letter: list[Element]) -> Stanza:
    """A message with this letter."""
    attributes = {"from": sender, "to": to, "type": "chat"} | ({"id": id} if id else {})
    return Stanza.from_element(Element("message", NS_CLIENT, attributes, list(letter)))


def failure_in(stanza: Stanza) -> StanzaError:
    """What a message of type error says, without words of the peer."""
    error = stanza.element.child(f"{{{NS_CLIENT}}}error")
    names = (child.name for child in error.elements() if child.namespace == NS_STANZA_ERRORS) if error else ()
    found = next((_CONDITIONS[name] for name in names if name in _CONDITIONS), StanzaCondition.UNDEFINED_CONDITION)
    return StanzaError(found, text="The peer has refused this.")
