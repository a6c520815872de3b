"""Where markup ends in a byte stream that comes in pieces; what it means is expat's to say."""

from __future__ import annotations

import re

from xmppfed.errors import StreamCondition, StreamError

__all__ = ["MarkupScanner"]

_CDATA = b"<![CDATA["
_ENDS = {b"!": b"]]>", b"?": b"?>"}
# What a tag may hold before its `>`: anything but quotes, and quotes that are closed.
_INSIDE = rb"[^'\">]*(?:(?:'[^']*'|\"[^\"]*\")[^'\">]*)*"
_INSIDE_TAG = re.compile(_INSIDE)
_WHOLE_TAG = re.compile(rb"[^<]*<(?![!?])" + _INSIDE + b">")


class MarkupScanner:
    """Finds the end of one tag, declaration or CDATA section after the other.

    Expat begins a token anew with every piece of it that it is given. Who feeds it whole tokens pays for each byte once,
    whatever pieces a peer sends; here, too, no byte is looked at more than twice.
    """

    __slots__ = ("_at", "_until")

    def __init__(self) -> None:
        self._at = 0  # what stands before is looked at
        self._until = b""  # what ends the markup we are in: `>`, `?>`, `]]>`, or first a quote; nothing outside of markup

    def end(self, buffer: bytearray) -> int:
        """Where the next markup of `buffer` ends; 0 when its end has not come. Raises `StreamError` for comments and
        document types (RFC 6120, 11.1).

        Between two calls bytes may only be added; those before an end that was found may be taken away, see `cut`.
        """
        if not self._until:
            tag = _WHOLE_TAG.match(buffer, self._at)
            if tag is not None:  # the usual case, in one step; the rest is for tags in pieces, sections and declarations
                self._at = tag.end()
                return self._at
            if not self._enter(buffer):
                return 0
        if not self._leave(buffer):
            return 0
        self._until = b""
        return self._at

    def cut(self, size: int) -> None:
        """The first `size` bytes are gone from the buffer."""
        self._at -= size

    def _enter(self, buffer: bytearray) -> bool:
        start = buffer.find(b"<", self._at)
        self._at = start if start >= 0 else len(buffer)
        head = buffer[self._at : self._at + len(_CDATA)]
        if _CDATA.startswith(head) and head != _CDATA:
            return False
        if head.startswith(b"<!") and head != _CDATA:
            text = "Found a comment or a document type declaration, which XMPP does not allow (RFC 6120, 11.1)."
            raise StreamError(StreamCondition.RESTRICTED_XML, text)
        self._until = _ENDS.get(bytes(head[1:2]), b">")
        return True

    def _leave(self, buffer: bytearray) -> bool:
        if self._until != b">":
            end = buffer.find(self._until, self._at)
            if end < 0:
                self._at = max(self._at, len(buffer) - len(self._until) + 1)
                return False
            self._at = end + len(self._until)
            if len(self._until) > 1:
                return True
        inside = _INSIDE_TAG.match(buffer, self._at)
        assert inside is not None  # it matches nothing, too
        last = bytes(buffer[inside.end() : inside.end() + 1])
        self._at = inside.end() + len(last)
        self._until = last or b">"
        return last == b">"
