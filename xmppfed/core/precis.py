"""Strings that are compared after preparation (RFC 8264, 8265), within bounds of length and of work."""

from __future__ import annotations

import re

from precis_i18n import get_profile
from precis_i18n.profile import Profile

__all__ = ["LONGEST", "check_size", "opaque_string", "username_case_mapped", "width_mapped"]

LONGEST = 1023  # octets of UTF-8: a part of an address (RFC 7622, 3.1), and more than a password needs

_USERNAME = get_profile("UsernameCaseMapped")
_OPAQUE = get_profile("OpaqueString")

# Characters whose contextual rule asks about the whole string (RFC 5892, A.7 to A.9), once for each of them.
_ASKING = [re.compile(kind) for kind in ("[\u0660-\u0669]", "[\u06f0-\u06f9]", "\u30fb")]


def username_case_mapped(text: str) -> str:
    """`text` under UsernameCaseMapped (RFC 8265, 3.3), 1 to 1023 octets; the `ValueError` does not repeat it."""
    return _enforced(_USERNAME, text)


def opaque_string(text: str) -> str:
    """`text` under OpaqueString (RFC 8265, 4.2), 1 to 1023 octets; the `ValueError` does not repeat it."""
    return _enforced(_OPAQUE, text)


def width_mapped(text: str) -> str:
    """`text` with fullwidth and halfwidth characters as their decompositions (RFC 8265, 3.3.2)."""
    mapped: str = _USERNAME.width_mapping_rule(text)
    return mapped


def check_size(text: str) -> None:
    """Raises `ValueError` unless `text` has 1 to 1023 octets in UTF-8."""
    if not text:
        raise ValueError("it is empty")
    if len(text) > LONGEST or len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} octets")


def _enforced(profile: Profile, text: str) -> str:
    check_size(text)
    try:
        mapped: str = profile.idempotence_check(profile.apply_five_rules(text))
        profile.base.enforce(_thinned(mapped), profile.name)
    except UnicodeEncodeError as error:
        raise ValueError(error.reason) from None
    check_size(mapped)  # Mapping may lengthen a text.
    return mapped


def _thinned(text: str) -> str:
    """`text` with all but the first character of each kind in `_ASKING` made zeros.

    The verdict stays the same, for the others get the answer of the first. Unthinned, 1023 octets take 23 ms.
    """
    for kind in _ASKING:
        first = kind.search(text)
        if first:
            text = text[: first.end()] + kind.sub("0", text[first.end() :])
    return text
