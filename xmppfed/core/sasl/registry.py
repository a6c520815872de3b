"""Which mechanisms fit a stream, and the objects that speak them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from xmppfed.core.sasl.anonymous import AnonymousClient, AnonymousServer
from xmppfed.core.sasl.external import ExternalClient, ExternalServer
from xmppfed.core.sasl.hashed_token import HashedTokenClient, HashedTokenServer, token_mechanisms
from xmppfed.core.sasl.plain import PlainClient, PlainServer
from xmppfed.core.sasl.scram import HASHES
from xmppfed.core.sasl.scram_client import ScramClient
from xmppfed.core.sasl.scram_server import ScramServer
from xmppfed.core.sasl.steps import ClientMechanism, Offer, ServerMechanism
from xmppfed.errors import SASLCondition, SASLError

__all__ = ["Credentials", "Token", "create_client", "create_server", "offered"]


@dataclass(frozen=True, slots=True)
class Token:
    """What a server gave a client for its next login, with the mechanism that it is good for (XEP-0484)."""

    mechanism: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client may log in with; `certificate` says that TLS has shown one of ours."""

    username: str = ""
    password: str = field(default="", repr=False)
    authzid: str = ""
    certificate: bool = False
    anonymous: bool = False
    token: Token | None = None
    """Who has one logs in by it and by nothing else."""


def offered(
    *,
    bindings: Collection[str],
    encrypted: bool,
    passwords: bool = True,
    external: bool = False,
    anonymous: bool = False,
) -> list[str]:
    """The mechanisms that fit a stream, strongest first.

    EXTERNAL leads, for it is possible only where a certificate names the peer already (XEP-0178). `-PLUS` needs a
    channel binding. PLAIN comes after all of SCRAM and only when the stream is encrypted; ANONYMOUS, which proves
    nothing, is last.
    """
    names = ["EXTERNAL"] if external else []
    if passwords and bindings:
        names += [f"{name}-PLUS" for name in HASHES]
    if passwords:
        names += HASHES
    if passwords and encrypted:
        names.append("PLAIN")
    return [*names, "ANONYMOUS"] if anonymous else names


def create_server(name: str, nonce: str, bindings: Mapping[str, bytes], beside: Collection[str] = ()) -> ServerMechanism:
    """The receiving side of a mechanism; raises `SASLError` for one that is unknown or has no binding to use.

    That `name` was `offered` is checked by the stream. `nonce`, `bindings` and `beside`, the names of all that was
    offered, are those of `ScramServer`.
    """
    match name:
        case "EXTERNAL":
            return ExternalServer()
        case "PLAIN":
            return PlainServer()
        case "ANONYMOUS":
            return AnonymousServer()
    if name in token_mechanisms(bindings):
        return HashedTokenServer(name, bindings)
    known = offered(bindings=bindings, encrypted=True, external=True, anonymous=True)
    if name not in known:
        raise SASLError(SASLCondition.INVALID_MECHANISM, f"unknown mechanism, wanted one of: {', '.join(known)}")
    return ScramServer(name, nonce, bindings, beside)


def create_client(
    offer: Offer, credentials: Credentials, nonce: str, bindings: Mapping[str, bytes], *, encrypted: bool
) -> ClientMechanism:
    """The initiating side of the best mechanism that the server's `offer` and our `credentials` have in common.

    PLAIN is taken only when the caller says that the stream is encrypted. `nonce` and `bindings` are those of
    `ScramClient`; a binding that the server does not announce is not used where it announces any (XEP-0440). Raises
    `SASLError` when nothing fits.
    """
    if offer.bindings:
        bindings = {name: data for name, data in bindings.items() if name in offer.bindings}
    if credentials.token is not None:
        return _token_client(offer, credentials.username, credentials.token, bindings)
    usable = offered(
        bindings=bindings,
        encrypted=encrypted,
        passwords=bool(credentials.username),
        external=credentials.certificate,
        anonymous=credentials.anonymous,
    )
    name = next((name for name in usable if name in offer.mechanisms), None)
    match name:
        case None:
            wanted = ", ".join(usable) or "none, for there are no credentials"
            raise SASLError(SASLCondition.INVALID_MECHANISM, f"the server offers no mechanism we can use here: {wanted}")
        case "EXTERNAL":
            return ExternalClient(credentials.authzid)
        case "PLAIN":
            return PlainClient(credentials.username, credentials.password, credentials.authzid)
        case "ANONYMOUS":
            return AnonymousClient()
    return ScramClient(name, credentials.username, credentials.password, nonce, bindings, credentials.authzid, offer)


def _token_client(offer: Offer, username: str, token: Token, bindings: Mapping[str, bytes]) -> ClientMechanism:
    if token.mechanism not in offer.tokens or token.mechanism not in token_mechanisms(bindings):
        text = f"the server takes no token by {token.mechanism} here, but by: {', '.join(offer.tokens) or 'nothing'}"
        raise SASLError(SASLCondition.INVALID_MECHANISM, text)
    return HashedTokenClient(token.mechanism, username, token.text, bindings)
