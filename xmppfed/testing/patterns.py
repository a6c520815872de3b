"""Stanzas as tests write them: text, and patterns that name what must be there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.parser import parse_element, stanza_names
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StreamError

__all__ = ["Written", "fits", "shown", "stanza"]

Written: TypeAlias = str | Element | Stanza
"""A stanza in any form; text and elements need not name the namespace `jabber:client`."""

_KINDS = stanza_names("", NS_CLIENT)


def stanza(written: Written) -> Stanza:
    """What is written, as a stanza of a client. Raises ValueError for what is none."""
    if isinstance(written, Stanza):
        return written
    text = written.to_xml() if isinstance(written, Element) else written.strip()
    try:
        parsed = parse_element(text.encode(), _KINDS, NS_CLIENT)
    except StreamError as error:
        raise ValueError(f"found {text!r}, which cannot be read: {error}") from None
    if not isinstance(parsed, Stanza):
        raise ValueError(f"found {text!r}; wanted a message, presence or iq")
    return parsed


def fits(pattern: str | Element | Stanza, found: Stanza) -> bool:
    """Whether `found` has all that the pattern names.

    A pattern is the name of a kind (`"iq"`), or a stanza: the attributes, children and text given must be there, at
    any depth; what else there is does not matter. One element stands for one child, in whatever order they come.
    """
    if isinstance(pattern, str) and pattern in ("message", "presence", "iq"):
        return found.kind == pattern
    return _fits(stanza(pattern).element, found.element)


def shown(stanzas: Iterable[Stanza]) -> str:
    """The stanzas as text, one a line."""
    return "\n".join(f"  {one.to_bytes(NS_CLIENT, declare=False).decode()}" for one in stanzas) or "  nothing"


def _fits(wanted: Element, found: Element) -> bool:
    if wanted.tag != found.tag or not wanted.attributes.items() <= found.attributes.items():
        return False
    text = wanted.text.strip()
    return (not text or text == found.text.strip()) and _each_found(list(wanted.elements()), list(found.elements()))


def _each_found(wanted: list[Element], found: list[Element]) -> bool:
    """Whether each wanted child has one of its own among those found."""
    if not wanted:
        return True
    first, *others = wanted
    return any(_fits(first, child) and _each_found(others, found[:at] + found[at + 1 :]) for at, child in enumerate(found))
