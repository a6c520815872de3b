"""A stanza as envelope and letter.

The envelope (start tag) is taken apart; the letter (everything between the tags) stays the bytes that came. Forwarding
writes a new envelope around the same letter; the tree is built only when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import accumulate
from typing import Literal, cast

from xmppfed.core.element import Element, write_attributes
from xmppfed.core.jid import JID, parse_cached
from xmppfed.core.namespaces import CONTENT_NAMESPACES, NS_FORWARD, NS_XML
from xmppfed.core.tree import parse_tree
from xmppfed.errors import StanzaError

__all__ = ["LANG", "Kind", "Stanza"]

Kind = Literal["message", "presence", "iq"]
LANG = f"{{{NS_XML}}}lang"

# As `Element.to_xml` writes it: inside a letter it would keep its meaning where the stanza around it changes its own.
_CONTENT_DECLARATIONS = tuple(f" xmlns='{namespace}'".encode() for namespace in sorted(CONTENT_NAMESPACES))


class Stanza:
    """A message, presence or iq (RFC 6120, 8). Never changed once made: who changes a stanza makes a new one."""

    __slots__ = ("_element", "_starts", "attributes", "children", "kind", "letter", "namespace", "verbatim")

    def __init__(
        self,
        kind: Kind,
        namespace: str,
        attributes: dict[str, str],
        letter: bytes = b"",
        children: tuple[str, ...] = (),
        starts: tuple[int, ...] = (),
        verbatim: bool = True,
    ) -> None:
        """`children` are `{namespace}name`, `starts` where each begins; the first begins the letter.

        The letter declares all it uses but its default namespace, which is `namespace`. It is `verbatim` when it means
        the same in every content namespace.
        """
        self.kind = kind
        self.namespace = namespace
        self.attributes = attributes
        self.letter = letter
        self.children = children
        self._starts = starts
        self.verbatim = verbatim
        self._element: Element | None = None

    @classmethod
    def from_element(cls, element: Element) -> Stanza:
        """A stanza of our own making, or one that had to be written anew; text beside its children means nothing."""
        parts = [child.to_xml(element.namespace).encode() for child in element.elements()]
        starts = tuple(accumulate((len(part) for part in parts[:-1]), initial=0)) if parts else ()
        tags = tuple(child.tag for child in element.elements())
        letter = b"".join(parts)
        verbatim = not any(declaration in letter for declaration in _CONTENT_DECLARATIONS)
        made = cls(cast(Kind, element.name), element.namespace, dict(element.attributes), letter, tags, starts, verbatim)
        made._element = element
        return made

    @property
    def to(self) -> JID | None:
        """The recipient; raises `JIDError` when it is no address (RFC 6120, 8.1.1)."""
        text = self.attributes.get("to")
        return None if text is None else parse_cached(text)

    @property
    def sender(self) -> JID | None:
        """The attribute `from`; raises `JIDError` when it is no address (RFC 6120, 8.1.2)."""
        text = self.attributes.get("from")
        return None if text is None else parse_cached(text)

    @property
    def type(self) -> str | None:
        """The attribute `type`, as it came."""
        return self.attributes.get("type")

    @property
    def id(self) -> str | None:
        """The attribute `id`."""
        return self.attributes.get("id")

    @property
    def is_request(self) -> bool:
        """Whether it is an iq that must be answered (RFC 6120, 8.2.3)."""
        return self.kind == "iq" and self.attributes.get("type") in ("get", "set")

    def span(self, index: int) -> tuple[int, int]:
        """Where child number `index` stands in the letter; text behind it, which means nothing, belongs to it."""
        first, following = self._starts[0], self._starts[index + 1 :]
        return self._starts[index] - first, following[0] - first if following else len(self.letter)

    @property
    def element(self) -> Element:
        """The tree, built at the first use; it is shared, so who changes it copies it first."""
        if self._element is None:
            kind = self.kind.encode()
            tree = parse_tree(b"<%b xmlns='%b'>%b</%b>" % (kind, self.namespace.encode(), self.letter, kind))
            self._element = Element(self.kind, self.namespace, dict(self.attributes), tree.children)
        return self._element

    def with_attributes(self, **changes: str | None) -> Stanza:
        """The same letter in another envelope; `None` removes an attribute, `sender` is the attribute `from`."""
        attributes = dict(self.attributes)
        for name, value in changes.items():
            name = "from" if name == "sender" else name
            if value is None:
                attributes.pop(name, None)
            else:
                attributes[name] = value
        return self._in_envelope(attributes)

    def stamped(self, sender: str, lang: str | None) -> Stanza:
        """As the sender's server passes it on: its true `from`, and the language of its stream where it has none of its own
        (RFC 6120, 8.1.2.1 and 8.1.5)."""
        attributes = {**self.attributes, "from": sender}
        if lang is not None and LANG not in attributes:
            attributes[LANG] = lang
        return self._in_envelope(attributes)

    def with_child(self, child: Element) -> Stanza:
        """This stanza with one child more, behind the others."""
        added = child.to_xml(self.namespace).encode()
        starts = (*self._starts, self._starts[0] + len(self.letter)) if self._starts else (0,)
        verbatim = self.verbatim and not any(declaration in added for declaration in _CONTENT_DECLARATIONS)
        children = (*self.children, child.tag)
        return Stanza(self.kind, self.namespace, self.attributes, self.letter + added, children, starts, verbatim)

    def without(self, indexes: Collection[int]) -> Stanza:
        """This stanza less the children with these numbers; the others stay the bytes that they are."""
        kept = [index for index in range(len(self.children)) if index not in indexes]
        parts = [self.letter[slice(*self.span(index))] for index in kept]
        starts = tuple(accumulate(map(len, parts), initial=0))[:-1]
        children = tuple(self.children[index] for index in kept)
        return Stanza(self.kind, self.namespace, self.attributes, b"".join(parts), children, starts, self.verbatim)

    def _in_envelope(self, attributes: dict[str, str]) -> Stanza:
        made = Stanza(self.kind, self.namespace, attributes, self.letter, self.children, self._starts, self.verbatim)
        if self._element is not None:
            made._element = Element(self.kind, self.namespace, dict(attributes), self._element.children)
        return made

    def to_bytes(self, namespace: str, *, declare: bool = True) -> bytes:
        """The stanza for a stream with this content namespace; `declare` is false where the stream header declares it.

        The letter goes as it came where that is safe, else canonically.
        """
        if self.verbatim or namespace == self.namespace:
            return self._envelope(namespace if declare else None)
        tree = self.element.renamed(self.namespace, namespace, NS_FORWARD)
        tree.children = list(tree.elements())
        return tree.to_xml("" if declare else namespace).encode()

    def _envelope(self, namespace: str | None) -> bytes:
        declaration = "" if namespace is None else f" xmlns='{namespace}'"
        start = f"<{self.kind}{declaration}{write_attributes(self.attributes)}"
        if not self.letter:
            return f"{start}/>".encode()
        return b"%b>%b</%b>" % (start.encode(), self.letter, self.kind.encode())

    def reply(self, *children: Element, type: str = "result") -> Stanza:
        """The answer to this stanza: addresses swapped, same id (RFC 6120, 8.2.3)."""
        return Stanza.from_element(Element(self.kind, self.namespace, self._swapped(type), list(children)))

    def error(self, error: StanzaError) -> Stanza:
        """This stanza's error answer, without the letter it answers (RFC 6120, 8.3.1 leaves that to us)."""
        return Stanza(
            self.kind,
            self.namespace,
            self._swapped("error"),
            error.to_xml().encode(),
            (f"{{{self.namespace}}}error",),
            (0,),
        )

    def _swapped(self, type: str) -> dict[str, str]:
        pairs = {"from": self.attributes.get("to"), "to": self.attributes.get("from"), "id": self.id, "type": type}
        return {name: value for name, value in pairs.items() if value is not None}

    def __repr__(self) -> str:
        return f"<Stanza {self.kind} {self.attributes!r} {self.children!r}>"
