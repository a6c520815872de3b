"""What values of the configuration have to be, beyond their types: files that exist, endpoints, addresses, URLs."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from twisted.internet.endpoints import clientFromString, serverFromString

from xmppfed.core.jid import prepare_domain
from xmppfed.errors import JIDError
from xmppfed.tables import Table

__all__ = ["check_each", "check_endpoint", "check_file", "is_backend", "is_local", "is_origin", "is_plain_url", "prepared"]


def prepared(table: Table, name: str) -> str:
    """The domain that is the name of an entry, prepared. Raises ConfigError."""
    try:
        return prepare_domain(name)
    except JIDError as error:
        raise table.error(name, name, "a domain name (RFC 7622, 3.2)", f"{error}") from None


def check_file(table: Table, name: str, path: Path) -> None:
    """Raise ConfigError unless the file is there."""
    if not path.is_file():
        raise table.error(name, str(path), "a PEM file that exists", "Correct the path, or put the file there.")


def check_each(table: Table, name: str, parse: Callable[[str], object], wanted: str) -> None:
    """Raise ConfigError for the first of a list of texts that makes `parse` raise ValueError."""
    for text in table.values.get(name, ()):
        try:
            parse(text)
        except ValueError as error:
            raise table.error(name, text, wanted, f"{error}.") from None


def check_endpoint(table: Table, name: str, endpoint: str) -> None:
    """Raise ConfigError unless this is a server endpoint of Twisted, without TLS of its own."""
    try:
        serverFromString(object(), endpoint)
    except (ValueError, TypeError, LookupError) as error:
        advice = f"Twisted says: {error}."
        raise table.error(name, endpoint, "a server endpoint such as tcp:443", advice) from None
    if endpoint.startswith("ssl:"):
        advice = "Use tcp: instead; TLS is added here, with the certificates of the domains."
        raise table.error(name, endpoint, "an endpoint without TLS of its own", advice)


def is_local(endpoint: str) -> bool:
    """Whether only this machine reaches an endpoint: a loopback address, or a Unix socket."""
    kind, *arguments = (part.replace("\\", "") for part in re.split(r"(?<!\\):", endpoint))
    interface = next((text.removeprefix("interface=") for text in arguments if text.startswith("interface=")), "")
    try:
        return kind == "unix" or ipaddress.ip_address(interface).is_loopback
    except ValueError:
        return False


def is_backend(text: str) -> bool:
    """Whether it says where a backend is: by a URL, or without TLS on this machine by a client endpoint."""
    if is_origin(text, "xmpp", "xmpps"):
        return True
    try:
        clientFromString(object(), text)
    except (ValueError, TypeError, LookupError):
        return False
    kind, _, rest = text.partition(":")
    host = rest.removeprefix("host=").partition(":")[0]
    return kind == "unix" or (kind == "tcp" and is_loopback(host.replace("\\", "")))


def is_loopback(text: str) -> bool:
    """Whether it is an address of this machine alone."""
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def is_plain_url(text: str, *schemes: str) -> bool:
    """Whether a URL has one of the schemes, a host, perhaps port and path, and nothing else."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or parts.username or text.endswith(("?", "#")))
    return parts.scheme in schemes and bool(host) and plain


def is_origin(text: str, *schemes: str) -> bool:
    """Whether a URL has not even a path."""
    return is_plain_url(text, *schemes) and not urlsplit(text).path
