"""Names from elsewhere as localparts of addresses (XEP-0106): what a localpart cannot hold is written with a backslash."""

from __future__ import annotations

import re

__all__ = ["FEATURE", "escape", "unescape"]

FEATURE = r"jid\20escaping"
"""What somebody announces who writes addresses so (XEP-0106, 7)."""

_SIGNS = " \"&'/:<>@\\"
_CODES = {sign: f"{ord(sign):02x}" for sign in _SIGNS}
_CODE = "|".join(_CODES.values())
_TO_ESCAPE = re.compile(rf"""[ "&'/:<>@]|\\(?={_CODE})""")
_ESCAPED = re.compile(rf"\\({_CODE})")


def escape(text: str) -> str:
    """The text without the ten signs; a backslash stays one unless it would be read as the beginning of an escape."""
    return _TO_ESCAPE.sub(lambda found: f"\\{_CODES[found.group()]}", text)


def unescape(text: str) -> str:
    """What `escape` was given."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
