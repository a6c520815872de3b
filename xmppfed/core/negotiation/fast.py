"""FAST (XEP-0484): a token instead of the password, given to a client that has logged in, for its next login.

A login by token is one message and its answer. Early data of TLS is not accepted here, so none is offered.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from xmppfed.core.element import Element
from xmppfed.core.events import TokenReceived
from xmppfed.core.stream import Stream
from xmppfed.errors import SASLCondition, SASLError

__all__ = ["FAST", "NS", "FastRequest", "InitiatingFast", "offer", "read", "token"]

NS = "urn:xmpp:fast:0"
FAST = f"{{{NS}}}fast"
_REQUEST, _TOKEN = f"{{{NS}}}request-token", f"{{{NS}}}token"

_COUNT = re.compile(r"\+?0*([0-9]{1,10})")
_MAX_COUNT = 2**31 - 1  # the type is xs:int (XEP-0484, 10)


@dataclass(frozen=True, slots=True)
class FastRequest:
    """What a client asks for: `mechanism` of the token that it wants, if any; of the token it uses, `count` tells one use
    from another, and `invalidate` makes this the last."""

    mechanism: str = ""
    count: int | None = None
    invalidate: bool = False


def offer(mechanisms: Iterable[str]) -> str:
    """What stands in `<inline/>`."""
    return f"<fast xmlns='{NS}'>{''.join(f'<mechanism>{name}</mechanism>' for name in mechanisms)}</fast>"


def read(request: Element | None) -> FastRequest:
    """The requests that stand in an `<authenticate/>`; raises `SASLError` for those that mean nothing."""
    wanted = request.child(_REQUEST) if request else None
    fast = request.child(FAST) if request else None
    return FastRequest(
        mechanism=wanted.get("mechanism", "") or "" if wanted else "",
        count=_count(fast.get("count")) if fast else None,
        invalidate=fast is not None and fast.get("invalidate") in ("1", "true"),
    )


def token(text: str, expires: datetime) -> Element:
    """What stands in `<success/>`; the time is written as XEP-0082 says."""
    return Element("token", NS, {"token": text, "expiry": f"{expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"})


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    match = _COUNT.fullmatch(text.strip())
    if match is None or not 0 < int(match[1]) <= _MAX_COUNT:
        raise SASLError(SASLCondition.MALFORMED_REQUEST, f"Found {ascii(text)[:32]} as the count; wanted a positive integer.")
    return int(match[1])


class InitiatingFast:
    """Says that we use a token, or asks for one. `TokenReceived` tells of the one to use next."""

    def __init__(self, known: Collection[str], used: str = "", count: int | None = None) -> None:
        """`known` are the mechanisms that we could use a token by, the best first; `used` is that of the one we use."""
        self._known = known
        self._mechanism = self._used = used
        self._count = count

    def ask(self, inline: Element) -> list[Element]:
        """See `Inline.ask`."""
        if self._used:
            return [Element("fast", NS, {} if self._count is None else {"count": str(self._count)})]
        fast = inline.child(FAST)
        offered = [child.text for child in fast.elements()] if fast else []
        self._mechanism = next((name for name in self._known if name in offered), "")
        return [Element("request-token", NS, {"mechanism": self._mechanism})] if self._mechanism else []

    def answered(self, stream: Stream, success: Element) -> None:
        """See `Inline.answered`."""
        found = success.child(_TOKEN)
        if found is not None:
            stream.emit(TokenReceived(self._mechanism, found.get("token", "") or "", found.get("expiry", "") or ""))
