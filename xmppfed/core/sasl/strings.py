"""Text as SASL carries it: UTF-8, prepared names and passwords, and base64 that has one spelling only."""

from __future__ import annotations

from base64 import b64decode, b64encode

from xmppfed.core.jid import prepare_local
from xmppfed.core.precis import opaque_string
from xmppfed.errors import JIDError, SASLCondition, SASLError

__all__ = ["base64_text", "decoded", "from_base64", "malformed", "prepare_password", "prepare_username", "without_nul"]


def malformed(text: str) -> SASLError:
    """The error for data that is not what the mechanism writes; `text` never repeats that data."""
    return SASLError(SASLCondition.MALFORMED_REQUEST, text)


def decoded(data: bytes) -> str:
    """The text of a message; raises `SASLError` when it is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise malformed("the message is not valid UTF-8") from None


def without_nul(data: bytes) -> str:
    """The text of a message of a mechanism whose grammar has no NUL; raises `SASLError`."""
    if b"\0" in data:
        raise malformed("the message holds a NUL")
    return decoded(data)


def prepare_username(username: str) -> str:
    """The localpart that a username names; raises `SASLError`: nobody can have a name that RFC 7622 forbids."""
    try:
        return prepare_local(username)
    except JIDError:
        raise SASLError(SASLCondition.NOT_AUTHORIZED, "no account can have this username") from None


def prepare_password(password: str) -> str:
    """A password as it is hashed (RFC 8265, 4.2), at most 1023 octets; raises `SASLError`."""
    try:
        return opaque_string(password)
    except ValueError as error:
        raise malformed(f"the password cannot be used: {error}") from None


def base64_text(data: bytes) -> str:
    """The base64 of `data` (RFC 4648, 4)."""
    return b64encode(data).decode()


def from_base64(text: str) -> bytes:
    """The bytes that `text` is the base64 of; raises `SASLError` for what no encoder writes (RFC 4648, 3.5)."""
    try:
        data = b64decode(text)
    except ValueError:
        raise malformed("a value is not base64") from None
    # Characters passed over and spare bits at the end would let different messages carry one proof.
    if base64_text(data) != text:
        raise malformed("a value is not canonical base64")
    return data
