"""Addresses as values (RFC 7622): a JID holds prepared parts, so that equal JIDs name the same entity."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address

import idna

from xmppfed.core.precis import LONGEST, check_size, opaque_string, username_case_mapped, width_mapped
from xmppfed.errors import JIDError

__all__ = ["JID", "domain_or_nothing", "parse_cached", "prepare_domain", "prepare_local", "prepare_resource"]

_LOCALPART, _DOMAINPART, _RESOURCEPART = "localpart", "domainpart", "resourcepart"
_WANTED = {
    _LOCALPART: "letters, digits and signs except \"&'/:<>@ (RFC 7622, 3.3)",
    _DOMAINPART: "a name of IDNA2008 labels, an IPv4 address, or an IPv6 address in brackets (RFC 7622, 3.2)",
    _RESOURCEPART: "text without control characters (RFC 7622, 3.4)",
}
_EXCLUDED_FROM_LOCAL = re.compile("[\"&'/:<>@]")

_LONGEST_LABEL = 63  # octets of ASCII (RFC 5890, 2.3.2.1)
_LONGEST_SHOWN = 64  # characters of a refused text that an error repeats

# What preparation leaves alone but for upper case. "--" is left to the slow path, for it may begin an A-label.
# No possessive quantifiers: Python before 3.11.5 lets a group under one keep what it failed to match.
_ASCII_JID = re.compile(
    r"(?:([!#$%()*+,\-.0-9;=?A-Z\[-~]+)@)?"
    r"([A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*)\.?"
    r"(?:/([ -~]+))?"
).fullmatch


@dataclass(frozen=True, slots=True)
class JID:
    """An address, `[local@]domain[/resource]`; a part that is absent is the empty string.

    The constructor takes prepared parts and checks nothing; text from elsewhere goes through `parse` or `of`.
    """

    local: str
    domain: str
    resource: str = ""

    @classmethod
    def parse(cls, text: str) -> JID:
        """The address that `text` writes (RFC 7622, 3.1); raises `JIDError`, and no other error, for what is none."""
        match = _ASCII_JID(text) if len(text) <= LONGEST else None
        if match is not None:
            local, domain, resource = match.groups("")
            if len(domain) <= _LONGEST_LABEL:
                return cls(local.lower(), domain.lower(), resource)
        return cls._parse_any(text)

    @classmethod
    def _parse_any(cls, text: str) -> JID:
        # The separators are looked for before anything is mapped (RFC 7622, 3.1): a fullwidth sign never becomes one.
        address, slash, resource = text.partition("/")
        before, at, after = address.partition("@")
        local, domain = (before, after) if at else ("", before)
        if at and not local:
            raise _refused(_LOCALPART, "", "it is empty, though an @ follows it")
        if slash and not resource:
            raise _refused(_RESOURCEPART, "", "it is empty, though a / precedes it")
        return cls.of(local, domain, resource)

    @classmethod
    def of(cls, local: str, domain: str, resource: str = "") -> JID:
        """The address of these unprepared parts; an empty local or resource means none. Raises `JIDError`."""
        return cls(
            prepare_local(local) if local else "",
            prepare_domain(domain),
            prepare_resource(resource) if resource else "",
        )

    @property
    def bare(self) -> JID:
        """This address without its resource (RFC 6120, 1.4)."""
        return JID(self.local, self.domain) if self.resource else self

    @property
    def is_bare(self) -> bool:
        """Whether the address has no resource."""
        return not self.resource

    def with_resource(self, resource: str) -> JID:
        """The full address of `resource` under this one; raises `JIDError` when it is empty or not allowed."""
        return JID(self.local, self.domain, prepare_resource(resource))

    def __str__(self) -> str:
        bare = f"{self.local}@{self.domain}" if self.local else self.domain
        return f"{bare}/{self.resource}" if self.resource else bare


@lru_cache(maxsize=4096)
def parse_cached(text: str) -> JID:
    """`JID.parse` with the last 4096 answers kept; for authenticated streams only: strangers must not flush it."""
    return JID.parse(text)


def prepare_local(text: str) -> str:
    """A localpart as it is compared: UsernameCaseMapped without the signs of RFC 7622, 3.3.1. Raises `JIDError`."""
    prepared = _prepared(_LOCALPART, username_case_mapped, text)
    excluded = _EXCLUDED_FROM_LOCAL.search(prepared)
    if excluded:
        raise _refused(_LOCALPART, text, f"it holds {excluded.group()}")
    return prepared


def prepare_resource(text: str) -> str:
    """A resourcepart as it is compared: OpaqueString (RFC 7622, 3.4). Raises `JIDError`."""
    return _prepared(_RESOURCEPART, opaque_string, text)


def prepare_domain(text: str) -> str:
    """A domainpart as it is compared: U-labels in lower case, no final dot (RFC 7622, 3.2). Raises `JIDError`.

    Width, case, normal form and the ideographic full stop are mapped as in RFC 5895, 2. Underscores are refused, for
    LDH has none. The whole may have 1023 octets, which is more than DNS can look up (253).
    """
    return _prepared(_DOMAINPART, _domain, text)


def domain_or_nothing(text: str | None) -> str:
    """The prepared domain that `text` is, or nothing."""
    try:
        return prepare_domain(text or "")
    except JIDError:
        return ""


def _prepared(part: str, prepare: Callable[[str], str], text: str) -> str:
    try:
        return prepare(text)
    except ValueError as error:
        raise _refused(part, text, _shown(str(error))) from error


def _domain(text: str) -> str:
    check_size(text)
    if text.startswith("["):
        return _ip_literal(text)
    lower = "".join(map(_lower, width_mapped(text)))
    mapped = unicodedata.normalize("NFC", lower).replace("\u3002", ".")
    prepared = ".".join(map(_u_label, mapped.removesuffix(".").split(".")))
    check_size(prepared)
    return prepared


def _lower(letter: str) -> str:
    # Letter by letter, for str.lower() makes a sigma final or not by what stands around its label; and not where case
    # folding keeps the capital: of the Cherokee letters, those are the ones that IDNA2008 allows.
    return letter if letter.casefold() == letter else letter.lower()


def _u_label(label: str) -> str:
    if len(label) > _LONGEST_LABEL:  # Before the contextual rules, which take quadratic time.
        raise ValueError("Label too long")
    idna.alabel(label)  # Refuses what is no label, and what has more than 63 octets as an A-label.
    return idna.ulabel(label) if label.startswith("xn--") else label


def _ip_literal(text: str) -> str:
    if not text.endswith("]") or "%" in text:
        raise ValueError("an address in brackets ends with one and has no zone")
    return f"[{IPv6Address(text[1:-1])}]"


def _refused(part: str, found: str, reason: str) -> JIDError:
    shown = _shown(repr(found[:_LONGEST_SHOWN]))
    return JIDError(f"The {part} {shown} is refused: {reason}. Wanted: 1 to {LONGEST} octets, {_WANTED[part]}.")


def _shown(text: str) -> str:
    escaped = text.encode("ascii", "backslashreplace").decode()
    return escaped if len(escaped) <= _LONGEST_SHOWN else f"{escaped[: _LONGEST_SHOWN - 3]}..."
