"""What crosses the boundary of a stream, and how WebSocket messages carry it (RFC 7395, XEP-0468).

`MessageFraming` here and `StreamFraming` in `streamframing` are the only two places that know the difference.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from xmppfed.core.element import Element, write_attributes
from xmppfed.core.namespaces import NS_CLIENT, NS_DIALBACK, NS_FRAMING, NS_FRAMING_SERVER, NS_SERVER, NS_STREAM
from xmppfed.core.parser import parse_element, stanza_names
from xmppfed.core.stanza import LANG, Kind, Stanza
from xmppfed.core.tree import violation
from xmppfed.errors import StreamCondition, StreamError

__all__ = [
    "C2S",
    "E2E",
    "S2S",
    "Closing",
    "Dialect",
    "Framing",
    "Item",
    "MessageFraming",
    "Opening",
    "Profile",
    "opening_profile",
]


@dataclass(frozen=True, slots=True)
class Profile:
    """What tells one kind of stream from another on the wire."""

    name: str
    content: str
    framing: str
    accepted_closings: frozenset[str]
    alpn: bytes  # its name in TLS (XEP-0368)
    dialback: bool = False
    versionless: bool = False  # peers of old, whose header has no version, are spoken to (XEP-0246, 2)


C2S = Profile("c2s", NS_CLIENT, NS_FRAMING, frozenset({NS_FRAMING}), b"xmpp-client")
# xmpp-proxy closes with the clients' namespace, also between servers.
S2S = Profile("s2s", NS_SERVER, NS_FRAMING_SERVER, frozenset({NS_FRAMING, NS_FRAMING_SERVER}), b"xmpp-server", dialback=True)
# End-to-end streams know one namespace, also between services.
E2E = Profile("e2e", NS_CLIENT, NS_FRAMING, frozenset({NS_FRAMING}), b"xmpp-client", versionless=True)


class Dialect(Enum):
    """How the peer writes XEP-0468; the two deviating dialects belong to the two deployed peers."""

    STANDARD = "standard"
    REWRITTEN = "rewritten"  # every `jabber:server` of the header replaced, also inside the dialback namespace
    STREAM_HEADER = "stream-header"  # `<?xml?><stream:stream>` instead of `<open/>`


@dataclass(frozen=True, slots=True)
class Opening:
    """A stream header (RFC 6120, 4.7; RFC 7395, 3.3.2)."""

    sender: str | None = None
    to: str | None = None
    id: str = ""
    version: str | None = None
    lang: str | None = None
    dialect: Dialect = Dialect.STANDARD

    @classmethod
    def of(cls, attributes: Mapping[str, str], dialect: Dialect = Dialect.STANDARD) -> Opening:
        """From the attributes of `<open/>` or `<stream:stream>`."""
        get = attributes.get
        return cls(get("from"), get("to"), get("id", ""), get("version"), get(LANG), dialect)

    def attributes(self) -> dict[str, str]:
        """As attributes again, in the order in which the deployed peers are used to see them."""
        pairs = {"from": self.sender, "to": self.to, "id": self.id, "version": self.version, LANG: self.lang}
        return {name: value for name, value in pairs.items() if value}


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of a stream, perhaps with another place to go (RFC 7395, 3.6.1)."""

    see_other_uri: str | None = None


Item = Opening | Closing | Stanza | Element | StreamError


class Framing(Protocol):
    """Bytes to items and items to bytes.

    Items are made one by one, when asked for: one of them can make the stream wait, or begin anew, and what came behind
    it is not looked at before that is done. What cannot be read comes as a `StreamError` behind what could.
    """

    profile: Profile
    limit: int

    @property
    def backlog(self) -> int:
        """How many bytes are kept that no item was made of yet."""

    def feed(self, data: bytes) -> None:
        """Take what the peer sent."""

    def next_item(self) -> Item | None:
        """The next item that is complete."""

    def restart(self) -> None:
        """A new stream begins on the same connection (RFC 6120, 4.3.3); what no item was made of belongs to it."""

    def opening(self, opening: Opening) -> bytes:
        """Our stream header."""

    def closing(self, see_other_uri: str | None = None) -> bytes:
        """The end of our stream; only WebSocket can name another place to go."""

    def text(self, xml: str) -> bytes:
        """A complete top-level element that is no stanza."""

    def stanza(self, stanza: Stanza) -> bytes:
        """A stanza, in the content namespace of this stream."""


_MESSAGE_COST = 64
_CLOSE_TAG = b"</stream:stream>"
_LEGACY_HEADER = re.compile(
    rb"(?:<\?xml version=['\"]1\.0['\"](?: encoding=['\"](?i:utf-8)['\"])? ?\?>\s*)?(<stream:stream [^<]*[^/<]>)"
)
_ROOT_PREFIX = re.compile(rb"<(db|stream):[a-z-]+(?=[\s/>])")
_DECLARED = {b"db": NS_DIALBACK.encode(), b"stream": NS_STREAM.encode()}
_MANGLED_DIALBACK = f"{NS_FRAMING_SERVER}:dialback".encode()


class MessageFraming:
    """One WebSocket message is one element; the stream header is `<open/>`, its end `<close/>`."""

    def __init__(self, profile: Profile, limit: int) -> None:
        """`limit` is the most bytes a message may have; the stream raises it after authentication."""
        self.profile = profile
        self.limit = limit
        self._kinds = stanza_names(profile.content)
        self._messages: deque[bytes] = deque()

    @property
    def backlog(self) -> int:
        """The messages' bytes, and what keeping a message costs."""
        return sum(map(len, self._messages)) + _MESSAGE_COST * len(self._messages)

    def feed(self, data: bytes) -> None:
        """Take one message."""
        self._messages.append(data)

    def next_item(self) -> Item | None:
        """The one item that a message is."""
        if not self._messages:
            return None
        data = self._messages.popleft()
        try:
            if len(data) > self.limit:
                raise violation(f"A message of {len(data)} bytes; at most {self.limit} are taken here.")
            return self._item(data)
        except StreamError as error:
            return error

    def _item(self, data: bytes) -> Item:
        if self.profile.dialback and data[:1] == b"<":
            if data == _CLOSE_TAG:
                return Closing()
            if header := _LEGACY_HEADER.fullmatch(data):
                return self._legacy_opening(header[1])
            data = _with_root_prefix(data)
        item = parse_element(data, self._kinds, self.profile.content)
        if isinstance(item, Stanza):
            return item
        return self._framed(item, data) if item.name in ("open", "close") else checked(item)

    def _framed(self, item: Element, data: bytes) -> Item:
        """`<open/>` and `<close/>`, or an element of another language with such a name."""
        if item.name == "close" and item.namespace in self.profile.accepted_closings:
            return Closing(item.get("see-other-uri"))
        if item.name == "open" and item.namespace == self.profile.framing:
            if item.children:
                raise StreamError(StreamCondition.BAD_FORMAT, "An <open/> with something inside; wanted an empty one.")
            rewritten = self.profile.dialback and _MANGLED_DIALBACK in data
            return self._opened(Opening.of(item.attributes, Dialect.REWRITTEN if rewritten else Dialect.STANDARD))
        text = f"Found <{item.name}/> in {item.namespace[:64]!a}; wanted {self.profile.framing}."
        raise StreamError(StreamCondition.INVALID_NAMESPACE, text)

    def _legacy_opening(self, header: bytes) -> Opening:
        root = parse_element(header + b"<child/>" + _CLOSE_TAG, {}, "")
        assert isinstance(root, Element)  # no name is a stanza's here
        if root.tag != f"{{{NS_STREAM}}}stream" or root.children != [Element("child", self.profile.content)]:
            text = f"Found a stream header of another language; wanted {NS_STREAM} around {self.profile.content}."
            raise StreamError(StreamCondition.INVALID_NAMESPACE, text)
        return self._opened(Opening.of(root.attributes, Dialect.STREAM_HEADER))

    def _opened(self, opening: Opening) -> Opening:
        """The dialects also leave stanzas in the framing namespace, or in none."""
        content = self.profile.content
        standard = opening.dialect is Dialect.STANDARD
        self._kinds = stanza_names(content) if standard else stanza_names(content, self.profile.framing, "")
        return opening

    def restart(self) -> None:
        """Every message stands alone: there is nothing to forget."""

    def opening(self, opening: Opening) -> bytes:
        """`<open/>` in the one lexical form that peers which replace text can read."""
        dialback = f" xmlns:db='{NS_DIALBACK}'" if self.profile.dialback else ""
        return f"<open xmlns='{self.profile.framing}'{dialback}{write_attributes(opening.attributes())}/>".encode()

    def closing(self, see_other_uri: str | None = None) -> bytes:
        """`<close/>`, with the attribute that peers which replace text need."""
        other = {"see-other-uri": see_other_uri} if see_other_uri else {}
        return f"<close xmlns='{self.profile.framing}'{write_attributes(other)}/>".encode()

    def text(self, xml: str) -> bytes:
        """Every message declares what it uses (RFC 7395, 3.3.3)."""
        return xml.encode()

    def stanza(self, stanza: Stanza) -> bytes:
        """A stanza that declares its own namespace."""
        return stanza.to_bytes(self.profile.content)


def _with_root_prefix(data: bytes) -> bytes:
    """Declare `db` or `stream` in a root that uses it undeclared, as both known s2s-ws peers do; nowhere else."""
    match = _ROOT_PREFIX.match(data)
    if match is None or b"xmlns:%b=" % match[1] in data[: data.find(b">")]:
        return data
    return b"%b xmlns:%b='%b'%b" % (match[0], match[1], _DECLARED[match[1]], data[match.end() :])


_KINDS = frozenset({"message", "presence", "iq"})


def checked(item: Element) -> Element:
    """Refuse a stanza of another content namespace (RFC 6120, 4.9.3.10); other elements are the stream's to judge."""
    if item.name in _KINDS:
        text = f"Found <{item.name}/> in {item.namespace[:64]!a}, which is not the content namespace of this stream."
        raise StreamError(StreamCondition.INVALID_NAMESPACE, text)
    return item


def opening_profile(data: bytes) -> tuple[Profile, str]:
    """Whether a first message opens a client's or a server's stream, and to whom a client's is; raises `StreamError` when it
    opens neither.

    Told by the namespace of `<open/>`; a legacy stream header is a server's.
    """
    if data.startswith((b"<?xml", b"<stream:stream ")):
        return S2S, ""
    item = parse_element(data, _NO_STANZAS, "")
    assert isinstance(item, Element)  # no name is a stanza's here
    if item.name == "open" and item.namespace == NS_FRAMING_SERVER:
        return S2S, ""
    return C2S, item.get("to", "") or ""


_NO_STANZAS: Mapping[str, Kind] = {}
