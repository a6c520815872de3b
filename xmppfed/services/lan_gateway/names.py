"""Names on a link as addresses, and as text that a person reads. Whoever is on the link wrote them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote, unquote

from xmppfed.core.escaping import escape, unescape
from xmppfed.core.jid import prepare_local
from xmppfed.e2e.linklocal.discovery import Peer
from xmppfed.e2e.linklocal.names import InstanceName, folded
from xmppfed.e2e.trust import name_key
from xmppfed.errors import ConfigError, JIDError

__all__ = ["LONGEST_NAME", "LONGEST_STATUS", "instance_of", "local_of", "marked", "name_of", "own_names", "shown"]

LONGEST_NAME = 48
"""Characters of a name that are shown: our word behind it must not be pushed out of sight."""
LONGEST_STATUS = 256

_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn")
_BRACKETS = ("Ps", "Pe")
_ODD_ASCII = re.compile(r"[\x00-\x1f\x7f%]|^ | $")
_BEYOND_ASCII = re.compile(r"[\x00-\x1f\x7f-\U0010ffff%]|^ | $")


def local_of(instance: str) -> str:
    """The localpart that stands for a name on the link, whatever the case of its ASCII letters; no two names have the same.
    Raises JIDError for a name that is too long for one.

    Letters beyond ASCII stay as they are where an address leaves them alone (RFC 7622, 3.3).
    """
    name = folded(instance)
    for odd in (_ODD_ASCII, _BEYOND_ASCII):
        local = escape(odd.sub(_in_octets, name))
        if (prepared := _prepared(local)) == local:
            return prepared
    raise JIDError(f"{instance!r} cannot be written as an address.")


def own_names(accounts: Iterable[str], machine: str) -> dict[str, InstanceName]:
    """What accounts of ours are called on the link, by their bare addresses. Raises ConfigError: each has its own key, and two
    of one name would have one."""
    found: dict[str, InstanceName] = {}
    for account in accounts:
        name = InstanceName.made(account.rpartition("@")[0], machine)
        same = next((other for other, taken in found.items() if name_key(str(taken)) == name_key(str(name))), None)
        if same is not None:
            raise ConfigError(
                f"services.e2e.lan_gateway.users: found {same} and {account}; wanted accounts with different names on the "
                f"network. Both would be {name}: remove one."
            )
        found[account] = name
    return found


def instance_of(local: str) -> str:
    """The name on the link that a localpart stands for."""
    return unquote(unescape(local), errors="replace")


def shown(text: str, most: int) -> str:
    """What somebody on the link wrote, for a person to read: on one line, without signs that cannot be seen or that turn the
    text around, without brackets, and cut."""
    spaced = "".join(" " if sign.isspace() else sign for sign in text)
    seen = "".join(sign for sign in spaced if unicodedata.category(sign) not in (*_HIDDEN, *_BRACKETS))
    plain = " ".join(seen.split())
    return plain if len(plain) <= most else f"{plain[: most - 1]}\u2026"


def name_of(peer: Peer) -> str:
    """What a person calls somebody on the link: the nick, or the name that is announced. First and last names are not shown:
    programs fill them in with whatever the system calls its user."""
    return shown(peer.presence.nick, LONGEST_NAME) or shown(peer.instance, LONGEST_NAME) or "somebody"


def marked(name: str, word: str) -> str:
    """A name that `shown` has made, with our word on it: in brackets, which no such name has."""
    return f"{name} ({word})"


def _in_octets(found: re.Match[str]) -> str:
    return quote(found.group(), safe="", errors="replace").lower()


def _prepared(local: str) -> str | None:
    try:
        return prepare_local(local)
    except JIDError:
        return None
