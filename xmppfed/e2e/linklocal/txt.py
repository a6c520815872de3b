"""The TXT record of a peer on a link (XEP-0174, 3 and 6): its presence, and what it tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LinkPresence", "Personal", "read_txt", "write_txt"]

_LONGEST = 255
"""Octets of one string, with its key (RFC 6763, 6.1)."""
_LARGEST = 1300
"""Octets of the whole record, so that it fits into one packet (RFC 6763, 6.2)."""

_STATUS = ("avail", "away", "dnd")
_AVAILABLE = _STATUS[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """What is told of a person only where that was asked for (XEP-0174, 12)."""

    first: str = ""
    last: str = ""
    email: str = ""
    jid: str = ""
    """Other addresses, with blanks between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPresence:
    """What a peer says of itself. It is presence too: a change of it is a change of presence (XEP-0174, 4)."""

    status: str = _AVAILABLE
    """`avail`, `away` or `dnd`."""
    message: str = ""
    nick: str = ""
    node: str = ""
    """With `hash` and `ver`, entity capabilities (XEP-0115)."""
    hash: str = ""
    ver: str = ""
    personal: Personal = Personal()


_KEYS = {"status": "status", "message": "msg", "nick": "nick", "node": "node", "hash": "hash", "ver": "ver"}
_PERSONAL = {"first": "1st", "last": "last", "email": "email", "jid": "jid"}


def write_txt(presence: LinkPresence, port: int) -> dict[str, bytes]:
    """The strings of the record in their order: `txtvers` first, no key twice, each string and the whole within what DNS
    carries. `port` is that of the SRV record, for old readers; what comes last is what a full record leaves out."""
    values = {"txtvers": "1", "port.p2pj": str(port)}
    values |= {key: getattr(presence, name) for name, key in _KEYS.items()}
    values |= {key: getattr(presence.personal, name) for name, key in _PERSONAL.items()}
    written: dict[str, bytes] = {}
    room = _LARGEST
    for key, value in values.items():
        text = value.encode("utf-8", "replace")[: _LONGEST - len(key) - 1].decode("utf-8", "ignore").encode()
        size = 1 + len(key) + 1 + len(text)
        if text and size <= room:
            written[key] = text
            room -= size
    return written


def read_txt(strings: Mapping[bytes, bytes | None]) -> LinkPresence:
    """What somebody else's record says. Nothing is demanded of it: keys may be missing, unknown, empty or no text, and the
    port in it is not read, for SRV has the true one (XEP-0174, 3)."""
    found = {key.decode("utf-8", "replace").lower(): (value or b"").decode("utf-8", "replace") for key, value in strings.items()}
    texts = {name: found.get(key, "") for name, key in _KEYS.items()}
    if texts["status"] not in _STATUS:
        texts["status"] = _AVAILABLE
    return LinkPresence(**texts, personal=Personal(**{name: found.get(key, "") for name, key in _PERSONAL.items()}))
