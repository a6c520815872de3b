"""What a mechanism says next, and the two sides of one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from xmppfed.core.sasl.hashed_token import TokenProof

__all__ = ["Challenge", "Claim", "ClientMechanism", "KeysNeeded", "Offer", "ServerMechanism"]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server offers to log in by: names of mechanisms, and the types of channel binding it announces (XEP-0440)."""

    mechanisms: Collection[str]
    bindings: Collection[str] = ()
    tokens: Collection[str] = ()
    """Mechanisms for those who have a token (XEP-0484)."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send `data` and wait for the next response."""

    data: bytes


@dataclass(frozen=True, slots=True)
class KeysNeeded:
    """Look up the keys of `username` (a prepared localpart) for `hash_name`, then call `ScramServer.provide`.

    For a user who does not exist provide `decoy_keys`: a stranger must not learn who exists (RFC 5802, 9).
    """

    username: str
    hash_name: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The mechanism is through; the owner says whether the claim is accepted (RFC 4422, 3.4.1).

    `authcid` is a prepared localpart; it is empty with EXTERNAL, where the certificate says who the peer is, and with
    ANONYMOUS. `authzid` is what the peer wrote, unprepared, and empty when it asked for no other identity. `password`
    comes with PLAIN alone and is not checked yet; so does `proof` with HT, to which the owner adds `final`. That is the
    additional data of `<success/>`, if any.
    """

    mechanism: str
    authcid: str = ""
    authzid: str = ""
    password: str | None = field(default=None, repr=False)
    proof: TokenProof | None = field(default=None, repr=False)
    final: bytes | None = None


class ServerMechanism(Protocol):
    """The receiving side.

    All mechanisms here start with the client: where it sends no initial response, the owner answers with an empty
    challenge (RFC 6120, 6.4.2) and hands over the first response.
    """

    @property
    def name(self) -> str:
        """The registered name."""

    def respond(self, data: bytes) -> Challenge | KeysNeeded | Claim:
        """The step that follows the response `data`; raises `SASLError`, and is not asked again after that."""


class ClientMechanism(Protocol):
    """The initiating side; every method raises `SASLError` when the exchange must be aborted."""

    @property
    def name(self) -> str:
        """The registered name."""

    def start(self) -> bytes | None:
        """The initial response; `b""` is an empty one, which XML writes as `=`, `None` is none."""

    def respond(self, challenge: bytes) -> bytes:
        """The response to `challenge`."""

    def finish(self, data: bytes) -> None:
        """Judges the additional data of `<success/>` (`b""` for none): did the server prove itself?"""
