"""SCRAM on the initiating side (RFC 5802, RFC 7677), with channel binding (RFC 5929, RFC 9266)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from enum import Enum, auto

from xmppfed.core.sasl.keys import client_key_of, salted_password, server_key_of
from xmppfed.core.sasl.scram import EXTENSIONS, NONCE, escape_name, hash_of, offer_hash, sign, xor
from xmppfed.core.sasl.steps import Offer
from xmppfed.core.sasl.strings import base64_text, from_base64, malformed, prepare_username, without_nul
from xmppfed.errors import SASLCondition, SASLError

__all__ = ["MAX_ITERATIONS", "MIN_ITERATIONS", "ScramClient"]

MIN_ITERATIONS = 4096  # RFC 5802, 5.1
# Above the highest common advice (1 300 000 for SHA-1), and low enough that a hostile server costs us about a second.
MAX_ITERATIONS = 2_000_000

_SERVER_FIRST = re.compile(
    rf"r=(?P<nonce>{NONCE}+),s=(?P<salt>[^,]+),i=(?P<iterations>[1-9][0-9]{{0,9}})(?P<more>{EXTENSIONS})"
).fullmatch
_SERVER_FINAL = re.compile(rf"v=(?P<verifier>[^,]+){EXTENSIONS}").fullmatch


class _State(Enum):
    SERVER_FIRST = auto()
    SERVER_FINAL = auto()
    PROVEN = auto()
    FAILED = auto()


class ScramClient:
    """One login by SCRAM. `nonce` is this login's own, random printable ASCII without comma, at least 18 characters.

    `bindings` has the data of the channel binding types that both ends know, best first; `-PLUS` uses the first.
    Without it a binding means that the server did not offer `-PLUS`, and says so to the server (RFC 5802, 6).
    `offer` is what reached us of the server's; it may prove that this is not what it said (XEP-0474).
    """

    def __init__(
        self,
        name: str,
        username: str,
        password: str,
        nonce: str,
        bindings: Mapping[str, bytes],
        authzid: str = "",
        offer: Offer | None = None,
    ) -> None:
        self.name = name
        self._hash_name = hash_of(name)
        self._password = password
        self._nonce = nonce
        self._offer_hash = None if offer is None else offer_hash(self._hash_name, offer)
        flag, data = "y" if bindings else "n", b""
        if name.endswith("-PLUS"):
            binding, data = next(iter(bindings.items()))
            flag = f"p={binding}"
        self._header = f"{flag},{authzid and 'a='}{escape_name(authzid)},"
        self._binding_input = self._header.encode() + data
        self._first_bare = f"n={escape_name(prepare_username(username))},r={nonce}"
        self._state = _State.SERVER_FIRST

    def start(self) -> bytes:
        """The client-first-message."""
        return f"{self._header}{self._first_bare}".encode()

    def respond(self, challenge: bytes) -> bytes:
        """The client-final-message, which costs PBKDF2; or nothing, where server-final comes as a challenge."""
        state, self._state = self._state, _State.FAILED
        match state:
            case _State.SERVER_FIRST:
                return self._final(without_nul(challenge))
            case _State.SERVER_FINAL:
                self._judge(without_nul(challenge))
                return b""
        raise malformed("the server sent a challenge where none was due")

    def finish(self, data: bytes) -> None:
        """Raises `SASLError` unless the server has proved, in `data` or in the last challenge, that it has the keys."""
        state, self._state = self._state, _State.FAILED
        match state:
            case _State.SERVER_FINAL:
                self._judge(without_nul(data))
            case _State.PROVEN if not data:
                pass
            case _:
                raise malformed("the server ended the login before or after it was through")

    def _final(self, server_first: str) -> bytes:
        match = _SERVER_FIRST(server_first)
        if not match:
            raise malformed("wanted a SCRAM server-first-message (RFC 5802, 7)")
        if not match["nonce"].startswith(self._nonce) or match["nonce"] == self._nonce:
            raise malformed("the nonce of the server does not extend ours")
        self._check_offer(match["more"])
        salted = self._salted(from_base64(match["salt"]), int(match["iterations"]))
        unproven = f"c={base64_text(self._binding_input)},r={match['nonce']}"
        signed = f"{self._first_bare},{server_first},{unproven}"
        self._verifier = sign(self._hash_name, server_key_of(self._hash_name, salted), signed)
        self._state = _State.SERVER_FINAL
        return f"{unproven},p={base64_text(self._proof(salted, signed))}".encode()

    def _check_offer(self, extensions: str) -> None:
        """A server that tells the hash of its offer must have made the offer that we saw (XEP-0474, 4.2)."""
        told = [text[2:] for text in extensions.split(",") if text.startswith("h=")]
        if self._offer_hash is not None and any(text != self._offer_hash for text in told):
            text = "the mechanisms and channel bindings that reached us are not those of the server: somebody changed them"
            raise SASLError(SASLCondition.NOT_AUTHORIZED, text)

    def _salted(self, salt: bytes, iterations: int) -> bytes:
        if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
            wanted = f"{MIN_ITERATIONS} to {MAX_ITERATIONS}"
            raise SASLError(SASLCondition.MECHANISM_TOO_WEAK, f"the server asks for {iterations} iterations, not {wanted}")
        return salted_password(self._hash_name, self._password, salt, iterations)

    def _proof(self, salted: bytes, signed: str) -> bytes:
        client_key = client_key_of(self._hash_name, salted)
        stored_key = hashlib.new(self._hash_name, client_key).digest()
        return xor(client_key, sign(self._hash_name, stored_key, signed))

    def _judge(self, server_final: str) -> None:
        match = _SERVER_FINAL(server_final)
        if not match or not hmac.compare_digest(from_base64(match["verifier"]), self._verifier):
            raise SASLError(SASLCondition.NOT_AUTHORIZED, "the server did not prove that it knows this account")
        self._state = _State.PROVEN
