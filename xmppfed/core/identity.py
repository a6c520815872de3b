"""Whom a certificate may speak for: domains, hosts and JIDs (RFC 6120, 13.7.1.2; XEP-0178; RFC 6125).

Everything here works on names that somebody else took out of a certificate. The subject's common name is not among
them: RFC 6125, 6.4.4 allows it only as a last resort, and nobody needs it any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

import idna

from xmppfed.core.jid import JID
from xmppfed.errors import JIDError

__all__ = ["PresentedNames", "ascii_domain", "domain_name_matched", "host_matched", "jid_matched"]

# Letters, digits and hyphens. A wildcard is the whole left-most label or nothing (RFC 6125, 6.4.3), and nobody may hold a
# whole top-level domain: OpenSSL and service-identity want two labels behind it too.
_PRESENTED_DNS_NAME = re.compile(r"(?:\*\.[A-Za-z0-9-]+\.)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True, slots=True)
class PresentedNames:
    """The names in a certificate's subjectAltName, as text and as found: nothing in them has been checked.

    `xmpp_addresses` are id-on-xmppAddr values (RFC 6120, 13.7.1.4), `srv_names` SRVName values such as
    `_xmpp-server.example.org` (RFC 4985), `dns_names` dNSName values.
    """

    xmpp_addresses: tuple[str, ...] = ()
    srv_names: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()

    def __str__(self) -> str:
        names = [f"xmppAddr {name}" for name in self.xmpp_addresses]
        names += [f"SRV {name}" for name in self.srv_names]
        names += [f"DNS {name}" for name in self.dns_names]
        return ", ".join(names) or "no names"


def ascii_domain(domain: str) -> str | None:
    """The domain in lower case with A-labels, as DNS, SNI and certificates write it.

    None for an IP address, for what is no domain, and for one that DNS cannot hold. An internationalized name is prepared
    as RFC 7622, 3.2 says before it is encoded.
    """
    prepared = _domain(domain)
    return None if prepared is None else _ascii(prepared)


def domain_name_matched(names: PresentedNames, domain: str, service: str = "xmpp-server") -> str | None:
    """Which of the names proves the XMPP domain, for example `DNS *.example.org`; None when none does.

    `service` is `xmpp-server` or `xmpp-client`, the SRV service a SRVName must be for (RFC 6120, 13.7.1.2).
    """
    prepared = _domain(domain)
    return None if prepared is None else next(_matches(names, prepared, service), None)


def host_matched(names: PresentedNames, host: str) -> str | None:
    """Which dNSName proves the host name, as for https (RFC 6125); None when none does, and for IP addresses."""
    wanted = ascii_domain(host)
    return None if wanted is None else next(_dns_matches(names, wanted), None)


def jid_matched(names: PresentedNames, jid: JID) -> str | None:
    """Which xmppAddr is the bare JID of this user (XEP-0178, 2), or None. A domain never stands for its users."""
    if not jid.local:
        return None
    return next((f"xmppAddr {name}" for name in names.xmpp_addresses if _parsed(name) == jid.bare), None)


def _matches(names: PresentedNames, domain: JID, service: str) -> Iterator[str]:
    yield from (f"xmppAddr {name}" for name in names.xmpp_addresses if _parsed(name) == domain)
    wanted = _ascii(domain)
    if wanted is None:
        return
    yield from (f"SRV {name}" for name in names.srv_names if _srv_name_matches(name, wanted, service))
    yield from _dns_matches(names, wanted)


def _dns_matches(names: PresentedNames, wanted: str) -> Iterator[str]:
    return (f"DNS {name}" for name in names.dns_names if _dns_name_matches(name, wanted))


def _srv_name_matches(presented: str, wanted: str, service: str) -> bool:
    label, _, name = presented.partition(".")
    return label.isascii() and label.lower() == f"_{service}" and _dns_name_matches(name, wanted)


def _dns_name_matches(presented: str, wanted: str) -> bool:
    # RFC 6125, 6.4.2: an IA5String holds A-labels. Anything else (U-label, NUL, blank) must not be bent until it fits.
    if not _PRESENTED_DNS_NAME.fullmatch(presented):
        return False
    name = presented.lower()
    return wanted.partition(".")[2] == name[2:] if name.startswith("*.") else wanted == name


def _domain(text: str) -> JID | None:
    parsed = _parsed(text)
    return parsed if parsed is not None and not parsed.local and parsed.is_bare else None


def _parsed(text: str) -> JID | None:
    try:
        return JID.parse(text)
    except JIDError:
        return None


def _ascii(domain: JID) -> str | None:
    if _is_address(domain.domain):
        return None
    try:
        return idna.encode(domain.domain).decode("ascii")
    except idna.IDNAError:  # A domainpart may be longer than DNS allows.
        return None


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
