"""The framing of RFC 6120: one XML document each way, its root the stream, its children the stanzas."""

from __future__ import annotations

import codecs
from collections import deque
from pyexpat import ExpatError

from xmppfed.core.element import escape_attribute, write_attributes
from xmppfed.core.framing import Closing, Item, Opening, Profile, checked
from xmppfed.core.markup import MarkupScanner
from xmppfed.core.namespaces import NS_DIALBACK, NS_STREAM
from xmppfed.core.parser import ElementPass, stanza_names
from xmppfed.core.stanza import Stanza
from xmppfed.core.tree import MAX_PREFIXES, attribute_names, check_element, check_uri, new_parser, refused, violation
from xmppfed.errors import StreamCondition, StreamError

__all__ = ["StreamFraming"]


class StreamFraming:
    """Cuts a byte stream, in whatever pieces it comes, into the header, stanzas, other elements and the end.

    Expat is fed the markup piece by piece. So an item is known before anything behind it was read, and its last byte is
    the last one fed.
    """

    def __init__(self, profile: Profile, limit: int) -> None:
        """`limit` is the most bytes one top-level element may have; the stream raises it after authentication."""
        self.profile = profile
        self.limit = limit
        self._kinds = stanza_names(profile.content)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._buffer = bytearray()  # from the first byte of the element that is not complete yet
        self._over = False  # nothing is taken any more
        self._failure: StreamError | None = None  # why, to be told behind what came before
        self.restart()

    def restart(self) -> None:
        """A new document begins; of the old one only what was not looked at survives, for it is the new one's."""
        self._parser = new_parser(markup=True)
        # Expat 2.6 would keep the last stanza back until more comes; what it guards against the scanner keeps away.
        getattr(self._parser, "SetReparseDeferralEnabled", bool)(False)
        self._base = 0  # what expat calls the first byte of the buffer
        self._fed = 0  # how much of the buffer expat has seen
        self._markup = MarkupScanner()
        self._default: str | None = None
        self._prefixes: dict[str, str] = {}
        self._element: ElementPass | None = None
        self._items: deque[Item] = deque()
        self._parser.XmlDeclHandler = self._declaration
        self._parser.StartNamespaceDeclHandler = self._declare
        self._parser.StartElementHandler = self._header

    @property
    def backlog(self) -> int:
        """The bytes of what is not complete, and of what stands behind it; one for all that could not be read."""
        return len(self._buffer) + (self._failure is not None)

    def feed(self, data: bytes) -> None:
        """Take some bytes, up to the first that cannot be text."""
        if self._over:
            return
        text, nul, _ = data.partition(b"\0")
        pending = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(text)
        except UnicodeDecodeError as error:
            text, nul = text[: max(error.start - pending, 0)], b"\0"
        self._buffer += text
        if nul:
            self._over = True
            self._failure = _unsupported("a NUL, or bytes that are not UTF-8")

    def next_item(self) -> Item | None:
        """The next item that is complete, or the error that ended the reading."""
        try:
            while not self._items:
                if not self._step():
                    failure, self._failure = self._failure, None
                    return failure
        except StreamError as error:
            return self._end_with(error)
        except ExpatError as error:
            return self._end_with(refused(error))
        return self._items.popleft()

    def _end_with(self, item: Item) -> Item:
        self._over = True
        self._failure = None
        self._buffer.clear()
        self._fed = 0
        return item

    def _step(self) -> bool:
        """Feed expat up to the end of the next markup; false when it has not come."""
        buffer = self._buffer
        if not self._fed:
            self._skip_space()
        end = self._markup.end(buffer)
        if (end or len(buffer)) > self.limit:
            raise violation(f"An element of more than {self.limit} bytes, which is the most taken here.")
        if not end:
            return False
        piece = buffer[self._fed : end]
        self._fed = end
        self._parser.Parse(piece, False)
        if self._items:
            del buffer[:end]
            self._markup.cut(end)
            self._base += end
            self._fed = 0
        return True

    def _skip_space(self) -> None:
        """White space between elements keeps the connection alive (RFC 6120, 4.6.1), and does not count."""
        if self._buffer.startswith((b" ", b"\n", b"\r", b"\t")):
            self._buffer[:] = self._buffer.lstrip(b" \n\r\t")
        if self._base == 0 and self._buffer.startswith(b"\xef"):
            raise _unsupported("a byte order mark")

    # What expat tells.

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            raise _unsupported(f"the encoding {encoding[:32]!a}")

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        """A namespace of the stream header."""
        check_uri(uri)
        if prefix is None:
            self._default = uri
        else:
            self._prefixes[prefix] = uri or ""
        if len(self._prefixes) > MAX_PREFIXES:
            raise violation(f"More than {MAX_PREFIXES} namespace prefixes in the stream header.")

    def _header(self, name: str, attributes: dict[str, str]) -> None:
        check_element(name, attributes, 0, 1)
        if name != f"{NS_STREAM}}}stream" or self._default != self.profile.content:
            text = f"Found another stream header; wanted <stream:stream/> of {NS_STREAM} around {self.profile.content}."
            raise StreamError(StreamCondition.INVALID_NAMESPACE, text)
        declared = "".join(f" xmlns:{prefix}='{escape_attribute(uri)}'" for prefix, uri in self._prefixes.items())
        self._context = f"<stream xmlns='{self._default}'{declared}>".encode()
        self._used = tuple(f"{prefix}:".encode() for prefix in self._prefixes)
        self._items.append(Opening.of(attribute_names(attributes)))
        self._listen()

    def _listen(self) -> None:
        """Outside of elements: the next one may begin, or the stream end."""
        parser = self._parser
        parser.StartNamespaceDeclHandler = self._begin_declared
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._footer
        parser.CharacterDataHandler = parser.StartCdataSectionHandler = self._between

    def _begin_declared(self, prefix: str | None, uri: str | None) -> None:
        self._new_element().declare(prefix, uri)

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        self._new_element().start(name, attributes)

    def _new_element(self) -> ElementPass:
        element = self._element = ElementPass(self._parser, self._kinds, self._complete)
        self._parser.CharacterDataHandler = None
        element.attach()
        return element

    def _complete(self) -> None:
        assert self._element is not None  # it calls us
        data = bytes(self._buffer[: self._fed])
        item = self._element.result(data, self.profile.content, self._base, self._context, self._used)
        self._items.append(item if isinstance(item, Stanza) else checked(item))
        self._element = None
        self._listen()

    def _footer(self, _: str) -> None:
        self._items.append(Closing())
        self._over = True
        self._failure = None
        del self._buffer[self._fed :]

    def _between(self, *_: str) -> None:
        raise StreamError(StreamCondition.BAD_FORMAT, "Found text between stanzas; wanted elements.")

    # What we send.

    def opening(self, opening: Opening) -> bytes:
        """The stream header, in the words that peers which compare text expect."""
        dialback = f" xmlns:db='{NS_DIALBACK}'" if self.profile.dialback else ""
        namespaces = f" xmlns='{self.profile.content}' xmlns:stream='{NS_STREAM}'{dialback}"
        return f"<?xml version='1.0'?><stream:stream{namespaces}{write_attributes(opening.attributes())}>".encode()

    def closing(self, see_other_uri: str | None = None) -> bytes:
        """The end tag of the stream."""
        return b"</stream:stream>"

    def text(self, xml: str) -> bytes:
        """An element as it is."""
        return xml.encode()

    def stanza(self, stanza: Stanza) -> bytes:
        """A stanza in the namespace that the header declared."""
        return stanza.to_bytes(self.profile.content, declare=False)


def _unsupported(what: str) -> StreamError:
    return StreamError(StreamCondition.UNSUPPORTED_ENCODING, f"Found {what}; wanted plain UTF-8.")
