"""One expat pass over one element: a `Stanza` with its envelope taken apart, or the tree of anything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pyexpat import ExpatError, XMLParserType
from typing import cast

from xmppfed.core.element import Element
from xmppfed.core.namespaces import CONTENT_NAMESPACES, NS_CLIENT, NS_FORWARD, NS_FRAMING_SERVER
from xmppfed.core.stanza import Kind, Stanza
from xmppfed.core.tree import (
    MAX_PREFIXES,
    TreeBuilder,
    attribute_names,
    check_element,
    check_text,
    check_uri,
    new_parser,
    parse_tree,
    refused,
    violation,
)
from xmppfed.errors import StreamCondition, StreamError

__all__ = ["CONTENT_NAMESPACES", "ElementPass", "parse_element", "parse_stored", "stanza_names"]

# A child that declares one of these again, or none, would not be renamed with its stanza (DESIGN, 4).
_RENAMED = CONTENT_NAMESPACES | {NS_FRAMING_SERVER, "", None}

# Up to this size an element cannot pass any limit: it has room for less than 128 attributes or levels.
_SMALL = 640


def stanza_names(*namespaces: str) -> dict[str, Kind]:
    """The expat names of the three kinds of stanza in these content namespaces (`""` is none)."""
    kinds: tuple[Kind, ...] = ("message", "presence", "iq")
    return {f"{namespace}}}{kind}" if namespace else kind: kind for namespace in namespaces for kind in kinds}


class ElementPass:
    """What one pass over an element tells: for a stanza the envelope, and name and place of each child; else a tree."""

    __slots__ = (
        "_attributes",
        "_builder",
        "_complete",
        "_count",
        "_declared",
        "_default",
        "_depth",
        "_end_index",
        "_kinds",
        "_names",
        "_parser",
        "_root",
        "_starts",
        "_verbatim",
    )

    def __init__(self, parser: XMLParserType, kinds: Mapping[str, Kind], complete: Callable[[], None] | None = None) -> None:
        """`kinds` says which expat names are stanzas; `complete` is called at the end of the element."""
        self._parser = parser
        self._kinds = kinds
        self._complete = complete
        self._depth = self._count = self._declared = 0
        self._names: list[str] = []
        self._starts: list[int] = []
        self._default: str | None = None
        self._verbatim = True
        self._builder: TreeBuilder | None = None

    def attach(self, *, small: bool = False, plain: bool = False) -> None:
        """Take the parser's events. `small` leaves out the limits that a small element cannot pass, `plain` what looks
        after prefixes and CDATA where there are none."""
        parser = self._parser
        parser.StartElementHandler = self._start if small else self.start
        parser.EndElementHandler = self._end
        if not plain:
            parser.StartNamespaceDeclHandler = self.declare
            parser.StartCdataSectionHandler = self._cdata

    def detach(self) -> None:
        """Let go of the parser: it and we would otherwise keep each other alive until the garbage is collected."""
        del self._parser

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """A start tag, all limits checked."""
        self._count += 1
        check_element(name, attributes, self._depth, self._count)
        self._start(name, attributes)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        depth = self._depth
        if depth == 1:
            self._names.append(name)
            self._starts.append(self._parser.CurrentByteIndex)
        elif not depth:
            self._root = name
            self._attributes = attributes
            if name not in self._kinds:
                self._build(name, attributes)
        self._depth = depth + 1

    def _end(self, _: str) -> None:
        self._depth -= 1
        if not self._depth:
            self._end_index = self._parser.CurrentByteIndex
            if self._complete is not None:
                self._complete()

    def _cdata(self) -> None:
        """A CDATA section: legal, and never passed on."""
        self._verbatim = False

    def _build(self, name: str, attributes: dict[str, str]) -> None:
        """No stanza: a tree is wanted."""
        check_uri(name.rpartition("}")[0])
        self._builder = TreeBuilder()
        self._builder.attach(self._parser)
        self._parser.EndElementHandler = self._end_of_tree
        self._builder.start(name, attributes)

    def _end_of_tree(self, name: str) -> None:
        assert self._builder is not None  # we are its handler
        self._builder.end(name)
        if not self._builder.open:
            self._end(name)

    def declare(self, prefix: str | None, uri: str | None) -> None:
        """A namespace comes into scope; what the letter may not carry to another stream makes it canonical."""
        check_uri(uri)
        if prefix is not None:
            self._verbatim = False
            self._declared += 1
            if self._declared > MAX_PREFIXES:
                raise violation(f"More than {MAX_PREFIXES} namespace prefixes in one element.")
        elif not self._depth:
            self._default = uri
        elif uri in _RENAMED:
            self._verbatim = False

    def result(
        self, data: bytes, namespace: str, base: int = 0, context: bytes = b"", prefixes: tuple[bytes, ...] = ()
    ) -> Stanza | Element:
        """What was found in `data`, the bytes of the element, whose first one expat counted as `base`.

        A stanza is said to be of `namespace`. `context` are the start tags that the element stands in, and `prefixes`
        what they declare, each with its colon: a letter that may use one of them cannot travel by itself.
        """
        if self._builder is not None and self._builder.root is not None:
            return self._builder.root
        starts = self._starts
        first = starts[0] if starts else base
        letter = data[first - base : self._end_index - base] if starts else b""
        source = self._root.rpartition("}")[0]
        if not self._verbatim or self._default not in (None, source) or (prefixes and any(map(letter.__contains__, prefixes))):
            tree = parse_tree(data, context)
            return Stanza.from_element(tree if source == namespace else tree.renamed(source, namespace, NS_FORWARD))
        attributes = attribute_names(self._attributes) if context or b"xml:" in data else self._attributes
        names = self._names if source == namespace else self._renamed(source, namespace)
        children = tuple(map("{".__add__, names))  # each has a namespace: what would take it away is not verbatim
        return Stanza(self._kinds[self._root], namespace, attributes, letter, children, tuple(starts))

    def _renamed(self, source: str, namespace: str) -> list[str]:
        """The children's names: those that shared the root's namespace share the one it is given."""
        names = (name.rpartition("}") for name in self._names)
        return [f"{namespace if own == source else own}}}{name}" for own, _, name in names]


def parse_element(data: bytes, kinds: Mapping[str, Kind], namespace: str) -> Stanza | Element:
    """Parse one WebSocket message: exactly one element, nothing around it (RFC 7395, 3.3.3). Raises `StreamError`."""
    check_text(data)
    if data[:1] != b"<" or data[-1:] != b">":
        raise StreamError(StreamCondition.NOT_WELL_FORMED, "A message must be one element with nothing before or behind it.")
    if data[:2] == b"<?":
        raise StreamError(StreamCondition.RESTRICTED_XML, "An XML declaration has no place in a WebSocket message.")
    markup = b"<!" in data or b"<?" in data
    parser = new_parser(markup=markup)
    seen = ElementPass(parser, kinds)
    # One declaration, without a prefix, is the root's own if the root is a stanza's: its name tells it.
    plain = not markup and b"xmlns:" not in data and data.count(b"xmlns") == 1 and "message" not in kinds
    seen.attach(small=len(data) <= _SMALL, plain=plain)
    try:
        parser.Parse(data, True)
    except ExpatError as error:
        raise refused(error) from None
    finally:
        seen.detach()
    return seen.result(data, namespace)


_STORED = stanza_names(NS_CLIENT)


def parse_stored(data: bytes) -> Stanza:
    """The stanza that was kept as `to_bytes(NS_CLIENT)` writes it."""
    return cast(Stanza, parse_element(data, _STORED, NS_CLIENT))
