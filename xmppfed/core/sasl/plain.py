"""PLAIN (RFC 4616): the password itself, so only on encrypted streams."""

from __future__ import annotations

from xmppfed.core.sasl.steps import Claim
from xmppfed.core.sasl.strings import decoded, malformed, prepare_password, prepare_username

__all__ = ["PlainClient", "PlainServer"]


class PlainServer:
    """The receiving side: a claim with a password, which the owner checks with `verify_password`."""

    name = "PLAIN"

    def respond(self, data: bytes) -> Claim:
        """The claim in the one message there is; raises `SASLError`."""
        parts = decoded(data).split("\0")
        if len(parts) != 3:
            raise malformed("wanted [authzid] NUL authcid NUL password (RFC 4616, 2)")
        authzid, authcid, password = parts
        return Claim(self.name, prepare_username(authcid), authzid, prepare_password(password))


class PlainClient:
    """The initiating side."""

    name = "PLAIN"

    def __init__(self, username: str, password: str, authzid: str = "") -> None:
        parts = authzid, prepare_username(username), prepare_password(password)
        self._message = "\0".join(parts).encode()

    def start(self) -> bytes:
        """The one message there is."""
        return self._message

    def respond(self, challenge: bytes) -> bytes:
        """PLAIN has no challenges: raises `SASLError`."""
        raise malformed("the server sent a challenge, which PLAIN does not have")

    def finish(self, data: bytes) -> None:
        """Nothing to judge: PLAIN leaves it to TLS who the server is."""
