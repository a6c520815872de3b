"""What peers on a link are called (XEP-0174, 3): `user@machine`, one DNS label, of which anybody may be anything.

An instance name is opaque: it may hold blanks, capitals and several signs `@`, and is no JID (RFC 6763, 4.1.1).
"""

from __future__ import annotations

import re
import secrets
import string
import unicodedata
from dataclasses import dataclass

__all__ = ["LONGEST", "InstanceName", "folded", "host_label"]

LONGEST = 63
"""Octets of a DNS label (RFC 1035, 2.3.4)."""

_NOT_IN_A_HOST_NAME = re.compile("[^A-Za-z0-9-]+")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_NUMBERED = re.compile(r"(.*)-([1-9][0-9]*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class InstanceName:
    """A name on the link, in its two parts; `machine` is empty where there is no `@`."""

    user: str
    machine: str

    @classmethod
    def parse(cls, text: str) -> InstanceName:
        """Split at the last `@`: before it anything may stand."""
        user, at, machine = text.rpartition("@")
        return cls(user, machine) if at else cls(text, "")

    @classmethod
    def made(cls, user: str, machine: str) -> InstanceName:
        """A name that can be published: the machine's part is one of a host in ASCII; dots and what cannot be seen are
        taken out of the user's, for the publishers of today cut a name at its dots."""
        host = _NOT_IN_A_HOST_NAME.sub("-", machine.partition(".")[0]).strip("-")[: LONGEST // 2] or "xmppfed"
        seen = "".join("-" if letter == "." or unicodedata.category(letter)[0] in "CZ" else letter for letter in user)
        return cls(_cut(unicodedata.normalize("NFC", seen), LONGEST - len(host) - 1) or "user", host)

    def renamed(self) -> InstanceName:
        """The next name to try when somebody else has this one: `juliet-1@pronto`, then `juliet-2@pronto` (XEP-0174, 3.1)."""
        numbered = _NUMBERED.fullmatch(self.user)
        base, number = (numbered[1], int(numbered[2]) + 1) if numbered else (self.user, 1)
        suffix = f"-{number}"
        return InstanceName(_cut(base, LONGEST - len(self.machine) - 1 - len(suffix)) + suffix, self.machine)

    def __str__(self) -> str:
        return f"{self.user}@{self.machine}" if self.machine else self.user


def host_label() -> str:
    """A host name of our own that nobody else claims: what the name of the machine resolves to is not ours to say."""
    return f"xf-{secrets.token_hex(4)}"


def folded(instance: str) -> str:
    """What two spellings of one name have in common: the letters of ASCII have no case in DNS, all others have (RFC 6762, 16)."""
    return instance.translate(_LOWER)


def _cut(text: str, octets: int) -> str:
    """As much of the beginning as fits, in whole characters."""
    return text.encode("utf-8", "replace")[:octets].decode("utf-8", "ignore")
