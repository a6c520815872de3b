"""SCRAM on the receiving side (RFC 5802, RFC 7677), with channel binding (RFC 5929, RFC 9266)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import Enum, auto

from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.core.sasl.scram import EXTENSIONS, NONCE, hash_of, offer_hash, proof_fits, sign, unescape_name
from xmppfed.core.sasl.steps import Challenge, Claim, KeysNeeded, Offer
from xmppfed.core.sasl.strings import base64_text, from_base64, malformed, prepare_username, without_nul
from xmppfed.errors import SASLCondition, SASLError

__all__ = ["ScramServer"]

_CLIENT_FIRST = re.compile(
    r"(?P<header>(?:(?P<flag>[ny])|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<authzid>[^,]+))?,)"
    rf"(?P<bare>n=(?P<username>[^,]+),r=(?P<nonce>{NONCE}{{1,256}}){EXTENSIONS})"
).fullmatch
_CLIENT_FINAL = re.compile(rf"(?P<unproven>c=(?P<binding>[^,]+),r=(?P<nonce>{NONCE}+){EXTENSIONS}),p=(?P<proof>[^,]+)").fullmatch


class _State(Enum):
    CLIENT_FIRST = auto()
    KEYS = auto()
    CLIENT_FINAL = auto()
    DONE = auto()


class ScramServer:
    """One login by SCRAM. `nonce` is this login's own, random printable ASCII without comma, at least 18 characters.

    `bindings` has the data of every channel binding type that exists on this stream; it is not empty exactly when the
    stream offered a `-PLUS` mechanism. `offered` are the names of all that the stream offered; the client is told their
    hash (XEP-0474), or nothing where there are none.
    """

    def __init__(self, name: str, nonce: str, bindings: Mapping[str, bytes], offered: Collection[str] = ()) -> None:
        self.name = name
        self._hash_name = hash_of(name)
        self._nonce = nonce
        self._bindings = bindings
        self._more = f",h={offer_hash(self._hash_name, Offer(offered, bindings))}" if offered else ""
        self._state = _State.CLIENT_FIRST

    def respond(self, data: bytes) -> KeysNeeded | Claim:
        """The step that follows client-first-message or client-final-message; raises `SASLError`."""
        # Whatever fails below ends the login: a proof can be tried once.
        state, self._state = self._state, _State.DONE
        match state:
            case _State.CLIENT_FIRST:
                return self._client_first(without_nul(data))
            case _State.CLIENT_FINAL:
                return self._client_final(without_nul(data))
        raise malformed("a response came where none was asked for")

    def provide(self, keys: ScramKeys) -> Challenge:
        """The server-first-message, made of the keys of the user whom `KeysNeeded` named (decoys if there is none)."""
        self._keys = keys
        self._server_first = f"r={self._nonce},s={base64_text(keys.salt)},i={keys.iterations}{self._more}"
        self._state = _State.CLIENT_FINAL
        return Challenge(self._server_first.encode())

    def _client_first(self, message: str) -> KeysNeeded:
        match = _CLIENT_FIRST(message)
        if not match:
            raise malformed("wanted a SCRAM client-first-message (RFC 5802, 7)")
        self._binding_input = match["header"].encode() + self._binding_data(match["flag"], match["binding"])
        self._authzid = unescape_name(match["authzid"] or "")
        self._username = prepare_username(unescape_name(match["username"]))
        self._client_first_bare = match["bare"]
        self._nonce = match["nonce"] + self._nonce
        self._state = _State.KEYS
        return KeysNeeded(self._username, self._hash_name)

    def _binding_data(self, flag: str | None, binding: str | None) -> bytes:
        """What the client must have seen of the channel (RFC 5802, 6); empty when it does not bind.

        `n` with a -PLUS mechanism is taken for its plain sibling: StanzaJS takes the first name it knows, whether it can
        bind or not. It costs nothing, for the same client could have chosen the sibling, and who can bind says `p`.
        """
        if binding is not None:
            if not self.name.endswith("-PLUS"):
                raise malformed("channel binding is used with -PLUS mechanisms only")
            if binding not in self._bindings:
                known = ", ".join(self._bindings)
                raise malformed(f"this type of channel binding is not known on this stream, wanted one of: {known}")
            return self._bindings[binding]
        if flag == "y" and self._bindings:
            raise _refused("the client did not see the -PLUS mechanisms this stream offers: somebody removed them")
        self.name = self.name.removesuffix("-PLUS")
        return b""

    def _client_final(self, message: str) -> Claim:
        match = _CLIENT_FINAL(message)
        if not match:
            raise malformed("wanted a SCRAM client-final-message (RFC 5802, 7)")
        if match["nonce"] != self._nonce:
            raise _refused("the nonce is not the one of this login")
        if from_base64(match["binding"]) != self._binding_input:
            raise _refused("the channel binding does not match: the two ends see different channels")
        signed = f"{self._client_first_bare},{self._server_first},{match['unproven']}"
        if not proof_fits(self._hash_name, self._keys.stored_key, signed, from_base64(match["proof"])):
            raise _refused("wrong username or password")
        signature = sign(self._hash_name, self._keys.server_key, signed)
        return Claim(self.name, self._username, self._authzid, final=f"v={base64_text(signature)}".encode())


def _refused(text: str) -> SASLError:
    return SASLError(SASLCondition.NOT_AUTHORIZED, text)
