"""Pairing: two peers that have an encrypted stream and one short code learn that nobody sits between them.

One shows a code, a person types it at the other. SPAKE2 turns it into a key that tells nobody the code; each end
then proves to have that key, bound to the public keys of both certificates and to this very TLS connection (RFC 9266). Who
guesses has one guess per code.

| step | from | carries |
|---|---|---|
| 1 | who types the code | `Entering.start()` |
| 2 | who shows it | `Showing.respond()`: an element of the group, and the proof that the key is had |
| 3 | who types it | `Entering.verify()`: the proof of this end; it is checked by `Showing.verify()` |

How the steps travel is the matter of `xmppfed.e2e.introductions`.
"""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from dataclasses import dataclass

from spake2 import SPAKE2_A, SPAKE2_B, SPAKEError
from spake2.ed25519_basic import NotOnCurve

from xmppfed.errors import XMPPFedError

__all__ = ["CODES_AN_HOUR", "CODE_SECONDS", "Channel", "Codes", "Entering", "PairingFailed", "Showing"]

CODES_AN_HOUR = 3
"""How many codes are shown: with one guess each and a million codes, somebody who tries all the time needs decades."""
CODE_SECONDS = 300.0
"""How long a code holds."""

_HOUR = 3600.0
_DIGITS = 6
_ELEMENT = 33  # octets: the side and a point of Ed25519
_WRONG = "the codes differ, or somebody sits between the two peers; nothing was trusted. Make a new code and try again"


class PairingFailed(XMPPFedError):
    """The peers are not paired; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Channel:
    """What the proof is bound to: the keys (SPKI, SHA-256) of both certificates as this end saw them, and the data of
    `tls-exporter`."""

    showing: bytes
    """The key of the end that shows the code."""
    entering: bytes
    exporter: bytes


class Codes:
    """The codes that this peer shows: one at a time, for one guess, and not many."""

    def __init__(self) -> None:
        self._made: deque[float] = deque(maxlen=CODES_AN_HOUR)
        self._code = ""

    def make(self, now: float) -> str:
        """A new code, `123-456`; an older one is void. `now` is in seconds. Raises PairingFailed."""
        if len(self._made) == CODES_AN_HOUR and now - self._made[0] < _HOUR:
            wait = _HOUR - (now - self._made[0])
            raise PairingFailed(
                f"{CODES_AN_HOUR} codes were made within an hour, which is the most; wait {wait / 60:.0f} minutes"
            )
        self._made.append(now)
        digits = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}}"
        self._code = f"{digits[:3]}-{digits[3:]}"
        return self._code

    def shown(self, now: float) -> bool:
        """Whether there is a code that somebody may try."""
        return bool(self._code) and now - self._made[-1] <= CODE_SECONDS

    def take(self, now: float) -> str:
        """The code, for the one guess that it is good for. Raises PairingFailed when there is none."""
        shown = self.shown(now)
        code, self._code = self._code, ""
        if not shown:
            raise PairingFailed("no code is shown, or it is too old or was tried already; make a new one")
        return code


class _Side:
    """One end: the exchange, and the proof that both have the same key."""

    def __init__(self, exchange: type[SPAKE2_A | SPAKE2_B], code: str, channel: Channel) -> None:
        digits = "".join(filter(str.isdecimal, code)).encode()
        self._exchange = exchange(digits, idA=channel.entering, idB=channel.showing)
        self._message: bytes = self._exchange.start()
        self._exporter = channel.exporter
        self._key = b""

    def _finish(self, message: bytes) -> None:
        try:
            if len(message) != _ELEMENT:
                raise ValueError("the length is wrong")
            self._key = self._exchange.finish(message)
        except (SPAKEError, NotOnCurve, ValueError) as error:
            raise PairingFailed(f"the peer sent what is no message of SPAKE2 ({error or type(error).__name__})") from None

    def _proof(self, who: bytes) -> bytes:
        return hmac.digest(self._key, b"xmppfed pairing " + who + self._exporter, "sha256")

    def _check(self, who: bytes, proof: bytes) -> None:
        if not self._key or not hmac.compare_digest(self._proof(who), proof):
            raise PairingFailed(_WRONG)


class Entering(_Side):
    """The end where a person types the code."""

    def __init__(self, code: str, channel: Channel) -> None:
        """`code` as it was typed: whatever stands between its digits means nothing."""
        super().__init__(SPAKE2_A, code, channel)

    def start(self) -> bytes:
        """Step 1."""
        return self._message

    def verify(self, message: bytes, proof: bytes) -> bytes:
        """Step 2 has come: the peer has the code if this returns, which is then step 3. Raises PairingFailed."""
        self._finish(message)
        self._check(b"showing", proof)
        return self._proof(b"entering")


class Showing(_Side):
    """The end that shows the code."""

    def __init__(self, code: str, channel: Channel) -> None:
        super().__init__(SPAKE2_B, code, channel)

    def respond(self, message: bytes) -> tuple[bytes, bytes]:
        """Step 1 has come; returns step 2. Raises PairingFailed."""
        self._finish(message)
        return self._message, self._proof(b"showing")

    def verify(self, proof: bytes) -> None:
        """Step 3 has come: the peer had the code if this returns. Raises PairingFailed."""
        self._check(b"entering", proof)
