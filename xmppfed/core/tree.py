"""Expat as we use it: the XML that RFC 6120 (11.1) allows, within limits, and elements built from it."""

from __future__ import annotations

from pyexpat import ExpatError, ParserCreate, XMLParserType, errors

from xmppfed.core.element import Element
from xmppfed.errors import StreamCondition, StreamError

__all__ = [
    "MAX_ATTRIBUTES",
    "MAX_DEPTH",
    "MAX_ELEMENTS",
    "MAX_NAME",
    "MAX_PREFIXES",
    "TreeBuilder",
    "attribute_names",
    "check_element",
    "check_text",
    "check_uri",
    "new_parser",
    "parse_tree",
    "refused",
    "violation",
]

MAX_DEPTH = 128
MAX_ELEMENTS = 10_000
MAX_ATTRIBUTES = 128
MAX_NAME = 1024
MAX_PREFIXES = 128
MAX_NAMESPACES = 262_144  # characters, once written without prefixes
MIN_ROOM = 16_384

_UNDEFINED_ENTITY = errors.codes[errors.XML_ERROR_UNDEFINED_ENTITY]


def check_text(data: bytes) -> None:
    """Refuse what is not UTF-8 before expat sees it, for expat obeys no forced encoding (RFC 6120, 11.6; RFC 6455, 8.1)."""
    if data.isascii() and b"\0" not in data:
        return
    if b"\0" in data or data.startswith((b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")):
        raise StreamError(StreamCondition.UNSUPPORTED_ENCODING, "Found a NUL or a byte order mark; wanted plain UTF-8.")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        text = f"Found bytes that are not UTF-8 at offset {error.start}; wanted UTF-8 alone."
        raise StreamError(StreamCondition.UNSUPPORTED_ENCODING, text) from None


def violation(text: str) -> StreamError:
    """What a peer hears who passes a limit (RFC 6120, 4.9.3.14)."""
    return StreamError(StreamCondition.POLICY_VIOLATION, text)


def _restricted(what: str) -> StreamError:
    return StreamError(StreamCondition.RESTRICTED_XML, f"Found {what}, which XMPP does not allow (RFC 6120, 11.1).")


def _doctype(*_: object) -> None:
    raise _restricted("a document type declaration")


def _instruction(*_: object) -> None:
    raise _restricted("a processing instruction")


def _comment(*_: object) -> None:
    raise _restricted("a comment")


def new_parser(*, markup: bool) -> XMLParserType:
    """A parser in namespace mode: names are `namespace}local`, since `}` cannot stand in a URI.

    `markup` says that `<!` or `<?` may occur; without them there is nothing restricted to look for.
    """
    parser = ParserCreate("UTF-8", "}")
    if markup:
        parser.StartDoctypeDeclHandler = _doctype
        parser.ProcessingInstructionHandler = _instruction
        parser.CommentHandler = _comment
    return parser


def refused(error: ExpatError) -> StreamError:
    """What the peer hears for XML that expat did not take (RFC 6120, 4.9.3.13 and 4.9.3.18)."""
    if error.code == _UNDEFINED_ENTITY:
        return _restricted("a reference to an entity that is not one of the five")
    return StreamError(StreamCondition.NOT_WELL_FORMED, str(error).capitalize() + ".")


class TreeBuilder:
    """Builds one tree from a parser's events, within the limits of depth, elements, attributes and names."""

    __slots__ = ("_count", "_room", "_stack", "root")

    def __init__(self, room: int = MAX_NAMESPACES) -> None:
        """`room` is how many characters of namespaces the tree may need when it is written without prefixes."""
        self.root: Element | None = None
        self._stack: list[Element] = []
        self._count = 0
        self._room = room

    def attach(self, parser: XMLParserType) -> None:
        """Take over the events of `parser`."""
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """A start tag."""
        stack = self._stack
        self._count += 1
        check_element(name, attributes, len(stack), self._count)
        namespace, _, local = name.rpartition("}")
        element = Element(local, namespace, attribute_names(attributes))
        if stack:
            stack[-1].children.append(element)
            if namespace != stack[-1].namespace:
                self._take_room(len(namespace))
        else:
            self.root = element
        for key in attributes:
            if "}" in key:
                self._take_room(len(key))
        stack.append(element)

    @property
    def open(self) -> bool:
        """Whether the end tag of the root has not come yet."""
        return bool(self._stack)

    def _take_room(self, size: int) -> None:
        """One long namespace bound to a short prefix would otherwise grow a thousandfold on its way to the next stream."""
        self._room -= size
        if self._room < 0:
            raise violation("Namespaces that, written without prefixes, are longer than what is taken here.")

    def end(self, _: str) -> None:
        """An end tag."""
        self._stack.pop()

    def characters(self, text: str) -> None:
        """Character data, references resolved."""
        self._stack[-1].children.append(text)


def attribute_names(attributes: dict[str, str]) -> dict[str, str]:
    """Expat's attributes under our names: `{namespace}name` where expat says `namespace}name`."""
    return {f"{{{key}" if "}" in key else key: value for key, value in attributes.items()}


def check_uri(uri: str | None) -> None:
    """A namespace must be able to be a URI: no white space, no control character, no `}` (Namespaces in XML, 2.2)."""
    if uri and ("}" in uri or " " in uri or not uri.isprintable()):
        raise StreamError(StreamCondition.NOT_WELL_FORMED, f"Found {uri[:64]!a} as a namespace; wanted a URI.")


def check_element(name: str, attributes: dict[str, str], depth: int, count: int) -> None:
    """The limits of one element, within a whole that has reached `depth` and `count`."""
    if depth >= MAX_DEPTH:
        raise violation(f"Elements nested deeper than {MAX_DEPTH}.")
    if count > MAX_ELEMENTS:
        raise violation(f"More than {MAX_ELEMENTS} elements in one stanza.")
    if len(attributes) > MAX_ATTRIBUTES:
        raise violation(f"More than {MAX_ATTRIBUTES} attributes in one element.")
    if len(name) > MAX_NAME or (attributes and max(map(len, attributes)) > MAX_NAME):
        raise violation(f"A name of more than {MAX_NAME} characters.")


def parse_tree(data: bytes, context: bytes = b"") -> Element:
    """The tree of one complete element; `context` are the start tags it stands in, if any. Raises `StreamError`.

    For elements that a pass has been over already, so that prefixes and namespaces are known to be within their limits.
    """
    parser, builder = new_parser(markup=True), TreeBuilder(MIN_ROOM + 4 * len(data))
    try:
        parser.Parse(context, False)
        builder.attach(parser)
        parser.Parse(data, not context)
    except ExpatError as error:
        raise refused(error) from None
    assert builder.root is not None  # expat has seen one whole element
    return builder.root
