"""EXTERNAL (RFC 4422, appendix A; XEP-0178): the certificate says who the peer is."""

from __future__ import annotations

from xmppfed.core.sasl.steps import Claim
from xmppfed.core.sasl.strings import malformed, without_nul

__all__ = ["ExternalClient", "ExternalServer"]


class ExternalServer:
    """The receiving side: a claim without `authcid`; the owner compares `authzid`, if any, with the certificate."""

    name = "EXTERNAL"

    def respond(self, data: bytes) -> Claim:
        """The claim in the one message there is; raises `SASLError`."""
        authzid = without_nul(data)
        # "=" is how XML writes an empty message (RFC 6120, 6.4.2); no identity has that name.
        return Claim(self.name, authzid="" if authzid == "=" else authzid)


class ExternalClient:
    """The initiating side; without `authzid` the server takes the name from the certificate."""

    name = "EXTERNAL"

    def __init__(self, authzid: str = "") -> None:
        self._authzid = authzid

    def start(self) -> bytes:
        """The one message there is."""
        return self._authzid.encode()

    def respond(self, challenge: bytes) -> bytes:
        """Repeats the identity for servers that ask by an empty challenge; raises `SASLError` for any other."""
        if challenge:
            raise malformed("the server sent a challenge, which EXTERNAL does not have")
        return self.start()

    def finish(self, data: bytes) -> None:
        """Nothing to judge: EXTERNAL leaves it to TLS who the server is."""
