"""Well-formed stanzas that a text-cutting or text-replacing server gets wrong, and how a second parser sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from hypothesis import strategies as st

from xmppfed.core.namespaces import CONTENT_NAMESPACES, NS_FORWARD

__all__ = ["PAIRS", "hostile_stanzas", "seen", "seen_renamed"]

CONTENT = sorted(CONTENT_NAMESPACES)
PAIRS = [(one, other) for one in CONTENT for other in CONTENT]
NAMESPACES = [*CONTENT, NS_FORWARD, "urn:x", "urn:q?a='b'&c=\"d\"", "http://etherx.jabber.org/streams", ""]
CHARACTERS = "ab <>&'\"]\t\n\r\u00e9\u0301\u2028\ud7ff\ufffd\U0001f600/=!-"
CLARK = "{%s}%s"

TEXT = st.text(st.sampled_from(CHARACTERS), max_size=6)
Seen = tuple[Any, ...]


def _written_text(text: str, how: int) -> str:
    if how == 0 and "]]>" not in text and text:
        return f"<![CDATA[{text}]]>"
    if how == 1:
        return "".join(f"&#x{ord(character):x};" for character in text)
    return (
        escape(text).replace("]]&gt;", "]]&#62;").replace("\r", "&#13;")
        if how == 2
        else escape(text).replace("&gt;", ">").replace("]]>", "]]&gt;")
    )


def _written_value(text: str, how: int) -> str:
    quote = "'" if how % 2 else '"'
    value = text.replace("&", "&amp;").replace("<", "&lt;").replace(quote, "&#39;" if how % 2 else "&#34;")
    value = "".join(f"&#{ord(c)};" if c in "\t\n\r" else c for c in value)
    return f"{quote}{value}{quote}"


@st.composite
def hostile_stanzas(
    draw: Callable[..., Any], namespace: str, scope: tuple[tuple[str, str], ...] = (), declared: bool = False
) -> str:
    """A stanza of `namespace`. `scope` are prefixes bound outside of it; `declared` says that its namespace is, too."""

    def declarations(default: str, prefixes: dict[str, str]) -> tuple[str, str, dict[str, str]]:
        written, prefixes = "", dict(prefixes)
        if draw(st.integers(0, 2)) == 0:
            default = draw(st.sampled_from(NAMESPACES))
            written += f" xmlns={_written_value(default, draw(st.integers(0, 1)))}"
        for prefix in draw(st.lists(st.sampled_from(["p", "q", "stream", "a0"]), unique=True, max_size=2)):
            uri = draw(st.sampled_from([each for each in NAMESPACES if each]))
            prefixes[prefix] = uri
            written += f" xmlns:{prefix}={_written_value(uri, draw(st.integers(0, 1)))}"
        return written, default, prefixes

    def attributes(prefixes: dict[str, str]) -> str:
        names = {name: name for name in draw(st.lists(st.sampled_from(["id", "x", "type"]), unique=True, max_size=2))}
        for prefix in draw(st.lists(st.sampled_from([*prefixes, "xml"]), unique=True, max_size=2)):
            names[CLARK % (prefixes.get(prefix, prefix), "lang")] = f"{prefix}:lang"
        space = draw(st.sampled_from([" ", "\n", "  "]))
        return "".join(f"{space}{name}={_written_value(draw(TEXT), draw(st.integers(0, 1)))}" for name in names.values())

    def inside(depth: int, default: str, prefixes: dict[str, str]) -> str:
        parts = []
        for _ in range(draw(st.integers(0, 3 if depth < 3 else 0))):
            if draw(st.booleans()):
                parts.append(_written_text(draw(TEXT), draw(st.integers(0, 3))))
            else:
                parts.append(element(depth + 1, draw(st.sampled_from(["body", "x", "message", "forwarded"])), default, prefixes))
        return "".join(parts)

    def element(depth: int, name: str, default: str, prefixes: dict[str, str]) -> str:
        written, default, prefixes = declarations(default, prefixes)
        prefix = draw(st.sampled_from([*prefixes, "xml"])) if draw(st.integers(0, 3)) == 0 else ""
        return tag(f"{prefix}:{name}" if prefix else name, written, depth, default, prefixes)

    def tag(name: str, written: str, depth: int, default: str, prefixes: dict[str, str]) -> str:
        start = f"<{name}{written}{attributes(prefixes)}{draw(st.sampled_from(['', ' ', chr(10)]))}"
        content = inside(depth, default, prefixes)
        if not content and draw(st.booleans()):
            return f"{start}/>"
        return f"{start}>{content}</{name}{draw(st.sampled_from(['', ' ']))}>"

    kind = draw(st.sampled_from(["message", "presence", "iq"]))
    root = draw(st.integers(0, 5))
    if root == 0:
        default = draw(st.sampled_from(NAMESPACES))
        return tag(
            f"c:{kind}", f" xmlns:c='{namespace}' xmlns={_written_value(default, 1)}", 0, default, {**dict(scope), "c": namespace}
        )
    if root == 1:
        return tag(kind, f" xmlns='{namespace}' xmlns:c='{namespace}'", 0, namespace, {**dict(scope), "c": namespace})
    if root == 2 and declared:
        return tag(kind, "", 0, namespace, dict(scope))
    return tag(kind, f' xmlns="{namespace}"', 0, namespace, dict(scope))


def seen(element: ElementTree.Element, *, root: bool = True) -> Seen:
    """What a second parser sees: names, attributes, text and children; text beside the children of a stanza is left out."""
    content: list[Any] = [] if root else [element.text or ""]
    for child in element:
        content += [seen(child, root=False)] if root else [seen(child, root=False), child.tail or ""]
    return (element.tag, tuple(sorted(element.attrib.items())), tuple(content))


def seen_renamed(element: ElementTree.Element, old: str, new: str) -> Seen:
    """As `seen`, with the elements of the namespace `old` in `new`, except inside `<forwarded/>`."""
    work = [element]
    while work:
        item = work.pop()
        if item.tag.startswith(f"{{{old}}}"):
            item.tag = CLARK % (new, item.tag.rpartition("}")[2])
        if not item.tag.startswith(f"{{{NS_FORWARD}}}"):
            work.extend(item)
    return seen(element)
