"""Limits for documents that strangers write, and reading JSON within them. Pure."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import msgspec

from xmppfed.errors import DiscoveryError
from xmppfed.timeouts import Timeouts

__all__ = ["MAX_DEPTH", "MAX_DOCUMENT", "MAX_ITEMS", "check_number", "check_size", "decoded_hash", "json_object", "too_deep"]

MAX_DOCUMENT = Timeouts().document_bytes
MAX_DEPTH = 16
MAX_ITEMS = 32
"""Links, key pins or fingerprints of one document."""


def check_size(data: bytes) -> None:
    """Raise DiscoveryError for a document that is too long."""
    if len(data) > MAX_DOCUMENT:
        raise DiscoveryError(f"it has {len(data)} bytes, wanted at most {MAX_DOCUMENT}")


def check_number(number: int, what: str) -> None:
    """Raise DiscoveryError for too many of something."""
    if number > MAX_ITEMS:
        raise DiscoveryError(f"it has more than {MAX_ITEMS} {what}, wanted at most {MAX_ITEMS}")


def too_deep() -> DiscoveryError:
    """The error for a document with too many levels."""
    return DiscoveryError(f"it is nested too deeply, wanted at most {MAX_DEPTH} levels")


def json_object(data: bytes) -> dict[str, Any]:
    """The object that a JSON document is; raises DiscoveryError for any other, too long or too deep."""
    check_size(data)
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DiscoveryError(f"it is not JSON: {error}") from None
    except RecursionError:
        raise too_deep() from None
    if not isinstance(document, dict):
        raise DiscoveryError("it is not a JSON object")
    if not _is_shallow(document, MAX_DEPTH):
        raise too_deep()
    return document


def decoded_hash(text: str, size: int) -> bytes | None:
    """A hash of that many bytes from its base64, or None for what is none."""
    try:
        value = b64decode(text, validate=True)
    except ValueError:
        return None
    return value if len(value) == size else None


def _is_shallow(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return levels > 0 and all(_is_shallow(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels > 0 and all(_is_shallow(item, levels - 1) for item in value)
    return True
