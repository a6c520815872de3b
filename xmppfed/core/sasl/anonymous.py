"""ANONYMOUS (RFC 4505, XEP-0175): a guest, whom the owner gives a name."""

from __future__ import annotations

from xmppfed.core.sasl.steps import Claim
from xmppfed.core.sasl.strings import malformed, without_nul

__all__ = ["AnonymousClient", "AnonymousServer"]

_LONGEST_TRACE = 255  # characters (RFC 4505, 2)


class AnonymousServer:
    """The receiving side: a claim without any identity."""

    name = "ANONYMOUS"

    def respond(self, data: bytes) -> Claim:
        """The claim; the trace is checked and dropped, for nobody has proved it. Raises `SASLError`."""
        if len(without_nul(data)) > _LONGEST_TRACE:
            raise malformed(f"the trace is longer than {_LONGEST_TRACE} characters")
        return Claim(self.name)


class AnonymousClient:
    """The initiating side; it leaves no trace."""

    name = "ANONYMOUS"

    def start(self) -> bytes:
        """An empty message."""
        return b""

    def respond(self, challenge: bytes) -> bytes:
        """ANONYMOUS has no challenges: raises `SASLError`."""
        raise malformed("the server sent a challenge, which ANONYMOUS does not have")

    def finish(self, data: bytes) -> None:
        """Nothing to judge: a guest trusts whom TLS has named."""
