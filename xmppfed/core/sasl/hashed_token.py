"""HT (draft-schmaus-kitten-sasl-ht, as XEP-0484 uses it): who has a token proves it in one message."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from xmppfed.core.sasl.steps import Claim
from xmppfed.core.sasl.strings import decoded, malformed, prepare_username
from xmppfed.errors import SASLCondition, SASLError

__all__ = ["HashedTokenClient", "HashedTokenServer", "TokenProof", "token_mechanisms"]

_BINDINGS = {"HT-SHA-256-EXPR": "tls-exporter", "HT-SHA-256-ENDP": "tls-server-end-point", "HT-SHA-256-NONE": ""}
"""The type of channel binding of each mechanism, best first."""
_HASH = "sha256"


def token_mechanisms(bindings: Collection[str]) -> list[str]:
    """The mechanisms of a stream that has these channel bindings, best first."""
    return [name for name, binding in _BINDINGS.items() if not binding or binding in bindings]


def _hashed(token: str, role: bytes, binding: bytes) -> bytes:
    return hmac.digest(token.encode(), role + binding, _HASH)


@dataclass(frozen=True, slots=True)
class TokenProof:
    """What a client says to prove that it has a token; only who has that as well can judge it."""

    hashed: bytes = field(repr=False)
    binding: bytes = field(repr=False)

    def fits(self, token: str) -> bool:
        """Whether it was made of `token`, for this channel."""
        return hmac.compare_digest(_hashed(token, b"Initiator", self.binding), self.hashed)

    def answer(self, token: str) -> bytes:
        """The proof in return, for `Claim.final`."""
        return _hashed(token, b"Responder", self.binding)


class HashedTokenServer:
    """The receiving side: a claim with a proof, which the owner judges, for it knows which tokens there are."""

    def __init__(self, name: str, bindings: Mapping[str, bytes]) -> None:
        """`bindings` are those of this stream; the one that `name` needs is among them."""
        self.name = name
        binding = _BINDINGS[name]
        self._binding = bindings[binding] if binding else b""

    def respond(self, data: bytes) -> Claim:
        """The claim in the one message there is; raises `SASLError`."""
        username, nul, hashed = data.partition(b"\0")
        if not nul:
            raise malformed("wanted authcid NUL hashed-token")
        return Claim(self.name, prepare_username(decoded(username)), proof=TokenProof(hashed, self._binding))


class HashedTokenClient:
    """The initiating side."""

    def __init__(self, name: str, username: str, token: str, bindings: Mapping[str, bytes]) -> None:
        """As `HashedTokenServer`."""
        self.name = name
        binding = _BINDINGS[name]
        self._binding = bindings[binding] if binding else b""
        self._username = prepare_username(username)
        self._token = token

    def start(self) -> bytes:
        """The one message there is."""
        return self._username.encode() + b"\0" + _hashed(self._token, b"Initiator", self._binding)

    def respond(self, challenge: bytes) -> bytes:
        """HT has no challenges: raises `SASLError`."""
        raise malformed("the server sent a challenge, which HT does not have")

    def finish(self, data: bytes) -> None:
        """Raises `SASLError` unless the server has proved that it has the token too."""
        if not hmac.compare_digest(_hashed(self._token, b"Responder", self._binding), data):
            raise SASLError(SASLCondition.NOT_AUTHORIZED, "the server did not prove that it knows this token")
