"""The framing of RFC 6120: one XML document each way, its root the stream, its children the stanzas."""

from __future__ import annotations

import codecs
from pyexpat import ExpatError

from xmppfed.core.element import write_attributes
from xmppfed.core.framing import Closing, Item, Opening, Profile, checked
from xmppfed.core.namespaces import NS_DIALBACK, NS_STREAM
from xmppfed.core.parser import ElementPass, stanza_names
from xmppfed.core.stanza import Stanza
from xmppfed.core.tree import check_element, check_uri, new_parser, refused, violation
from xmppfed.errors import StreamCondition, StreamError

__all__ = ["StreamFraming"]


class StreamFraming:
    """Cuts a byte stream, in whatever pieces it comes, into the header, stanzas, other elements and the end."""

    def __init__(self, profile: Profile, limit: int) -> None:
        """`limit` is the most bytes one top-level element may have; the stream raises it after authentication."""
        self.profile = profile
        self.limit = limit
        self._kinds = stanza_names(profile.content)
        self.restart()

    def restart(self) -> None:
        """A new document begins; nothing of the old one survives."""
        self._parser = parser = new_parser(markup=True)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._buffer = bytearray()
        self._base = 0  # what expat calls the first byte of the buffer
        self._mark = 0  # where the last complete thing ended
        self._opened = False
        self._prefixes: dict[str, str] = {}
        self._default: str | None = None
        self._element: ElementPass | None = None
        self._items: list[Item] = []
        parser.XmlDeclHandler = self._declaration
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._between
        parser.StartNamespaceDeclHandler = self._declare
        parser.StartCdataSectionHandler = self._cdata

    def receive(self, data: bytes) -> list[Item]:
        """The items that `data` completes, and the error that ended the reading, if one did."""
        self._items = []
        try:
            self._feed(data)
        except StreamError as error:
            self._items.append(error)
        except ExpatError as error:
            self._items.append(refused(error))
        return self._items

    def _feed(self, data: bytes) -> None:
        self._check_encoding(data)
        self._buffer += data
        self._parser.Parse(data, False)
        end = self._base + len(self._buffer)
        if end - self._mark > self.limit:
            raise violation(f"An element of more than {self.limit} bytes, which is the most taken here.")
        if self._element is None:
            self._buffer.clear()
            self._base = end
        else:
            keep = max(self._mark - self._base, 0)
            del self._buffer[:keep]
            self._base += keep

    def _check_encoding(self, data: bytes) -> None:
        if b"\0" in data or (self._base == 0 and not self._buffer and data[:1] in (b"\xef", b"\xfe", b"\xff")):
            raise StreamError(StreamCondition.UNSUPPORTED_ENCODING, "Found a NUL or a byte order mark; wanted plain UTF-8.")
        try:
            self._decoder.decode(data)
        except UnicodeDecodeError:
            raise StreamError(StreamCondition.UNSUPPORTED_ENCODING, "Found bytes that are not UTF-8.") from None

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            raise StreamError(StreamCondition.UNSUPPORTED_ENCODING, f"Found encoding {encoding[:32]!a}; wanted UTF-8.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._opened:
            self._header(name, attributes)
            return
        if self._element is None:
            self._begin()
        assert self._element is not None  # just begun, or inside
        self._element.start(name, attributes)

    def _begin(self) -> None:
        self._element = ElementPass(self._parser, self._kinds)
        self._parser.CharacterDataHandler = None

    def _header(self, name: str, attributes: dict[str, str]) -> None:
        check_element(name, attributes, 0, 1)
        if name != f"{NS_STREAM}}}stream" or self._default != self.profile.content:
            text = f"Found another stream header; wanted <stream:stream/> of {NS_STREAM} around {self.profile.content}."
            raise StreamError(StreamCondition.INVALID_NAMESPACE, text)
        self._opened = True
        self._mark = self._parser.CurrentByteIndex
        self._items.append(Opening.of({"{" + key if "}" in key else key: value for key, value in attributes.items()}))

    def _end(self, name: str) -> None:
        element = self._element
        if element is None:
            self._items.append(Closing())
            return
        element.end(name)
        if element.depth == 0:
            self._complete(element)

    def _complete(self, element: ElementPass) -> None:
        end = self._parser.CurrentByteIndex
        if end - self._mark > self.limit:
            raise violation(f"An element of more than {self.limit} bytes, which is the most taken here.")
        item = element.result(bytes(self._buffer), self.profile.content, self._base, self._prefixes)
        self._items.append(item if isinstance(item, Stanza) else checked(item))
        self._element = None
        self._mark = end
        self._parser.CharacterDataHandler = self._between

    def _between(self, text: str) -> None:
        """Between stanzas only white space may stand, which keeps the connection alive (RFC 6120, 4.6.1)."""
        if not text.isspace():
            raise StreamError(StreamCondition.BAD_FORMAT, "Found text between stanzas; wanted elements.")
        self._mark = self._parser.CurrentByteIndex

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        check_uri(uri)
        if not self._opened:
            if prefix is None:
                self._default = uri
            else:
                self._prefixes[prefix] = uri or ""
            return
        if self._element is None:
            self._begin()
        assert self._element is not None  # just begun, or inside
        self._element.declare(prefix, uri)

    def _cdata(self) -> None:
        if self._element is not None:
            self._element.cdata()

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
