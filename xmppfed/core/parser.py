"""One expat pass over one element: a `Stanza` with its envelope taken apart, or the tree of anything else."""

from __future__ import annotations

from collections.abc import Mapping
from pyexpat import ExpatError, XMLParserType

from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_CLIENT, NS_SERVER
from xmppfed.core.stanza import Kind, Stanza
from xmppfed.core.tree import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_PREFIXES,
    TreeBuilder,
    check_element,
    check_text,
    check_uri,
    new_parser,
    refused,
    violation,
)
from xmppfed.errors import StreamCondition, StreamError

__all__ = ["CONTENT_NAMESPACES", "ElementPass", "parse_element", "stanza_names"]

# A child that declares one of these again would not be renamed with its stanza (DESIGN, 4).
CONTENT_NAMESPACES = frozenset({NS_CLIENT, NS_SERVER, "jabber:component:accept"})

# Up to this size neither a name nor the number of elements can pass its limit.
_SMALL = 1024


def stanza_names(*namespaces: str) -> dict[str, Kind]:
    """The expat names of the three kinds of stanza in these content namespaces (`""` is none)."""
    kinds: tuple[Kind, ...] = ("message", "presence", "iq")
    return {f"{namespace}}}{kind}" if namespace else kind: kind for namespace in namespaces for kind in kinds}


class ElementPass:
    """What one pass over an element tells: for a stanza the envelope, and name and place of each child; else a tree."""

    __slots__ = (
        "_attributes",
        "_builder",
        "_count",
        "_declared",
        "_end_index",
        "_kinds",
        "_names",
        "_parser",
        "_prefixes",
        "_root",
        "_starts",
        "_verbatim",
        "depth",
    )

    def __init__(self, parser: XMLParserType, kinds: Mapping[str, Kind]) -> None:
        """`kinds` says which expat names are stanzas."""
        self._parser = parser
        self._kinds = kinds
        self.depth = self._count = self._declared = self._end_index = 0
        self._root = ""
        self._attributes: dict[str, str] = {}
        self._names: list[str] = []
        self._starts: list[int] = []
        self._prefixes: dict[str, str] = {}
        self._verbatim = True
        self._builder: TreeBuilder | None = None

    def attach(self, *, small: bool) -> None:
        """Take the parser's events; `small` leaves out the checks that a small element cannot fail."""
        parser = self._parser
        parser.StartElementHandler = self._start if small else self.start
        parser.EndElementHandler = self.end
        parser.StartNamespaceDeclHandler = self.declare
        parser.StartCdataSectionHandler = self.cdata

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """A start tag, all limits checked."""
        self._count += 1
        check_element(name, attributes, self.depth, self._count)
        self._start(name, attributes)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        depth = self.depth
        if depth == 1:
            self._names.append(name)
            self._starts.append(self._parser.CurrentByteIndex)
        elif depth == 0:
            self._begin(name, attributes)
        elif depth >= MAX_DEPTH:
            raise violation(f"Elements nested deeper than {MAX_DEPTH}.")
        if len(attributes) > MAX_ATTRIBUTES:
            raise violation(f"More than {MAX_ATTRIBUTES} attributes in one element.")
        if self._builder is not None:
            self._builder.start(name, attributes)
        self.depth = depth + 1

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        self._root = name
        self._attributes = attributes
        if name not in self._kinds:
            self._builder = TreeBuilder()
            self._parser.CharacterDataHandler = self._builder.characters
            self._parser.buffer_text = True

    def end(self, name: str) -> None:
        """An end tag."""
        self.depth -= 1
        if self._builder is not None:
            self._builder.end(name)
        if self.depth == 0:
            self._end_index = self._parser.CurrentByteIndex
            self._parser.CharacterDataHandler = None

    def declare(self, prefix: str | None, uri: str | None) -> None:
        """A namespace comes into scope; what the letter may not carry to another stream makes it canonical."""
        check_uri(uri)
        if prefix is not None:
            self._verbatim = False
            self._declared += 1
            if self._declared > MAX_PREFIXES:
                raise violation(f"More than {MAX_PREFIXES} namespace prefixes in one element.")
            if self.depth == 0:
                self._prefixes[prefix] = uri or ""
        elif self.depth and uri in CONTENT_NAMESPACES:
            self._verbatim = False

    def cdata(self) -> None:
        """A CDATA section: legal, and never passed on."""
        self._verbatim = False

    def result(self, data: bytes, namespace: str, base: int = 0, outer: Mapping[str, str] | None = None) -> Stanza | Element:
        """What was found in `data`, whose first byte expat counted as `base`.

        A stanza is said to be of `namespace`. `outer` are the prefixes the stream header declared: a letter that may
        use one of them cannot travel by itself.
        """
        if self._builder is not None and self._builder.root is not None:
            return self._builder.root
        attributes = {"{" + name if "}" in name else name: value for name, value in self._attributes.items()}
        starts = self._starts
        first = starts[0] if starts else 0
        letter = data[first - base : self._end_index - base] if starts else b""
        verbatim, prefixes = self._verbatim, self._prefixes
        if outer and any(prefix.encode() + b":" in letter for prefix in outer):
            verbatim, prefixes = False, {**outer, **prefixes}
        return Stanza(
            self._kinds[self._root],
            namespace,
            attributes,
            letter,
            self._child_names(namespace),
            tuple([start - first for start in starts]),
            verbatim,
            prefixes,
        )

    def _child_names(self, namespace: str) -> tuple[str, ...]:
        """`{namespace}name` of each child; those that shared the root's namespace share the one it is given."""
        names = ["{" + name if "}" in name else "{}" + name for name in self._names]
        source = self._root.rpartition("}")[0]
        if source != namespace:
            names = [f"{{{namespace}}}{name[len(source) + 2 :]}" if name.startswith(f"{{{source}}}") else name for name in names]
        return tuple(names)


def parse_element(data: bytes, kinds: Mapping[str, Kind], namespace: str) -> Stanza | Element:
    """Parse one WebSocket message: exactly one element, nothing around it (RFC 7395, 3.3.3). Raises `StreamError`."""
    check_text(data)
    if data[:1] != b"<" or data[-1:] != b">":
        raise StreamError(StreamCondition.NOT_WELL_FORMED, "A message must be one element with nothing before or behind it.")
    if data[:2] == b"<?":
        raise StreamError(StreamCondition.RESTRICTED_XML, "An XML declaration has no place in a WebSocket message.")
    parser = new_parser(markup=b"<!" in data or b"<?" in data)
    seen = ElementPass(parser, kinds)
    seen.attach(small=len(data) <= _SMALL)
    try:
        parser.Parse(data, True)
    except ExpatError as error:
        raise refused(error) from None
    return seen.result(data, namespace)
