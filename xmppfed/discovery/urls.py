"""URLs and host names as they come from strangers: split strictly, shown safely."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from xmppfed.core.identity import ascii_domain
from xmppfed.errors import DiscoveryError

__all__ = ["Target", "is_address", "is_host_name", "shown", "split_url", "url_host"]

_URL_TEXT = re.compile(r"[\x21-\x7e]{1,2048}")
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: host in lower case (a name, or an address without brackets), port, path with query."""

    host: str
    port: int
    path: str


def shown(text: str, limit: int = 120) -> str:
    """Foreign text as it may stand in a log or an error: quoted, control characters escaped, cut to `limit`."""
    return repr(text) if len(text) <= limit else f"{text[:limit]!r}..."


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address (IPv6 without brackets)."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_host_name(text: str) -> bool:
    """Whether `text` can be asked of the DNS and sent as SNI (RFC 6066, 3): ASCII, lower case, not an address."""
    return len(text) <= 253 and _HOST_NAME.fullmatch(text) is not None and not is_address(text)


def url_host(domain: str) -> str:
    """The XMPP domain (RFC 7622, 3.2) as the host of a URL: A-labels for a name, an address as it is.

    Raises DiscoveryError for a domain that no URL can hold.
    """
    if is_address(domain) or (domain[:1] == "[" and domain[-1:] == "]" and is_address(domain[1:-1])):
        return f"[{domain}]" if ":" in domain and domain[0] != "[" else domain
    name = ascii_domain(domain)
    if name is None:
        raise DiscoveryError(f"{shown(domain)} cannot be the host of a URL, wanted a domain name or an IP address")
    return name


def split_url(url: str, scheme: str, default_port: int = 443) -> Target:
    """Split an absolute URL of the given scheme.

    Raises DiscoveryError, which names what was found, for another scheme, for credentials, and for a fragment
    (RFC 6455, 3), and for characters outside printable ASCII, which urllib would silently drop.
    """
    if not _URL_TEXT.fullmatch(url):
        raise DiscoveryError(f"the URL {shown(url)} is not 1 to 2048 printable ASCII characters")
    try:
        parts = urlsplit(url)
        port = default_port if parts.port is None else parts.port
    except ValueError as error:
        raise DiscoveryError(f"the URL {shown(url)} cannot be read: {error}") from None
    host = (parts.hostname or "").removesuffix(".")
    fault = _fault(parts, scheme, host, port)
    if fault:
        raise DiscoveryError(f"the URL {shown(url)} {fault}")
    return Target(host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def _fault(parts: SplitResult, scheme: str, host: str, port: int) -> str:
    if parts.scheme != scheme:
        return f"has the scheme {shown(parts.scheme)}, wanted {scheme}:"
    if parts.username is not None or parts.password is not None:
        return "carries credentials, wanted none"
    if parts.fragment:
        return "has a fragment, wanted none"
    if not (is_host_name(host) or is_address(host)):
        return f"has the host {shown(host)}, wanted a host name or an IP address"
    if "%" in host:
        return f"has the host {shown(host)}, wanted an address without a zone"
    return "" if port else "has port 0, wanted 1 to 65535"
