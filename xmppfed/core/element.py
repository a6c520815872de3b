"""A small tree of elements: to build, to look at, to write. Nothing here recurses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from xmppfed.core.namespaces import NS_DIALBACK, NS_STREAM, NS_XML

__all__ = ["Element", "escape_attribute", "escape_text", "write_attributes"]

# What XML has no way to write (XML 1.0, 2.2) becomes U+FFFD: a text of ours must never end somebody's stream.
_FORBIDDEN = [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF]
_SPECIAL = re.compile("[&<>'\"\\x00-\\x1f\ud800-\udfff\ufffe\uffff]").search
_TEXT_ESCAPES = {**dict.fromkeys(_FORBIDDEN, "\ufffd"), **str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})}
_ATTRIBUTE_ESCAPES = {**_TEXT_ESCAPES, **str.maketrans({"'": "&apos;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;"})}

# Elements of these namespaces are written with the prefix that RFC 6120 (4.8.5) and XEP-0220 (2.1) ask for, and that of
# XML itself with the only one it can have.
_PREFIXES = {NS_STREAM: "stream", NS_DIALBACK: "db", NS_XML: "xml"}
_DECLARED = frozenset({"xml"})


def escape_text(text: str) -> str:
    """Character data for use between tags."""
    return text.translate(_TEXT_ESCAPES) if _SPECIAL(text) else text


def escape_attribute(text: str) -> str:
    """Character data for use between single quotes; white space survives normalization (XML 1.0, 3.3.3)."""
    return text.translate(_ATTRIBUTE_ESCAPES) if _SPECIAL(text) else text


def write_attributes(attributes: dict[str, str]) -> str:
    """` name='value'` for each attribute; those of foreign namespaces (`{ns}name`) get a declaration of their own."""
    written, prefixes = [], 0
    clean = not _SPECIAL("".join(attributes.values()))  # one look at all of them: nearly always there is nothing to escape
    for name, value in attributes.items():
        if name[0] == "{":
            namespace, _, local = name[1:].partition("}")
            if namespace == NS_XML:
                name = f"xml:{local}"
            else:
                written.append(f" xmlns:a{prefixes}='{escape_attribute(namespace)}'")
                name, prefixes = f"a{prefixes}:{local}", prefixes + 1
        written.append(f" {name}='{value if clean else escape_attribute(value)}'")
    return "".join(written)


@dataclass(slots=True, eq=True)
class Element:
    """One XML element. Attributes are keyed `"id"` or `"{namespace}name"`; children are elements and text, in order."""

    name: str
    namespace: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def tag(self) -> str:
        """`{namespace}name`, the form in which features and modules compare names."""
        return f"{{{self.namespace}}}{self.name}"

    @property
    def text(self) -> str:
        """The character data directly inside."""
        return "".join(child for child in self.children if isinstance(child, str))

    def elements(self) -> Iterator[Element]:
        """The child elements, in order."""
        return (child for child in self.children if isinstance(child, Element))

    def child(self, tag: str) -> Element | None:
        """The first child element with this `{namespace}name`."""
        return next((child for child in self.elements() if child.tag == tag), None)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of an attribute."""
        return self.attributes.get(name, default)

    def add(self, name: str, namespace: str | None = None, text: str = "", **attributes: str) -> Element:
        """Append a child element, in our own namespace unless another is named, and return it."""
        child = Element(name, self.namespace if namespace is None else namespace, dict(attributes), [text] if text else [])
        self.children.append(child)
        return child

    def to_xml(self, inherited: str = "") -> str:
        """Canonical text: single quotes, no CDATA, each default namespace declared where it changes from `inherited`."""
        out: list[str] = []
        work: list[tuple[Element | str, str, frozenset[str]]] = [(self, inherited, _DECLARED)]
        while work:
            item, default, declared = work.pop()
            if isinstance(item, str):
                out.append(item)
                continue
            start, name, default, declared = item._start_tag(default, declared)
            if not item.children:
                out.append(f"{start}/>")
                continue
            out.append(f"{start}>")
            work.append((f"</{name}>", default, declared))
            for child in reversed(item.children):
                work.append((escape_text(child) if isinstance(child, str) else child, default, declared))
        return "".join(out)

    def _start_tag(self, default: str, declared: frozenset[str]) -> tuple[str, str, str, frozenset[str]]:
        """The start tag without its end, the written name, and what is declared inside."""
        prefix = _PREFIXES.get(self.namespace)
        if prefix is None:
            declaration = "" if self.namespace == default else f" xmlns='{escape_attribute(self.namespace)}'"
            return f"<{self.name}{declaration}{write_attributes(self.attributes)}", self.name, self.namespace, declared
        declaration = "" if prefix in declared else f" xmlns:{prefix}='{self.namespace}'"
        name = f"{prefix}:{self.name}"
        return f"<{name}{declaration}{write_attributes(self.attributes)}", name, default, declared | {prefix}

    def renamed(self, old: str, new: str, keep: str) -> Element:
        """A copy in which the namespace `old` has become `new`, except inside elements of the namespace `keep`."""
        copy = Element(self.name, self.namespace, dict(self.attributes), self.children)
        work = [copy]
        while work:
            element = work.pop()
            if element.namespace == old:
                element.namespace = new
            if element.namespace == keep:
                continue
            element.children = [
                child if isinstance(child, str) else Element(child.name, child.namespace, dict(child.attributes), child.children)
                for child in element.children
            ]
            work.extend(element.elements())
        return copy
