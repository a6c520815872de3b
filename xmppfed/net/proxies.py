"""Reverse proxies whose word counts: they say from where a connection came, and which certificate its client showed.

Only connections from listed addresses are believed; nobody else's headers are read. A listed proxy overwrites what its
clients send under these names: the manual shows how.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote_to_bytes

from cryptography import x509

__all__ = ["CLIENT_CERT", "Presented", "TrustedProxies", "Word"]

CLIENT_CERT = "Client-Cert"
"""The header of RFC 9440. Under any other name the certificate is PEM with percent signs, as nginx escapes it."""

_CHAIN = "client-cert-chain"
_BYTES = re.compile(r":([A-Za-z0-9+/=]*):")


@dataclass(frozen=True, slots=True)
class Presented:
    """A certificate that a client showed to the proxy, which has seen that it holds the key; nobody has judged it yet."""

    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Word:
    """What a listed proxy says of a connection: the client's IP address, and its certificate, where it says so."""

    address: str | None = None
    presented: Presented | None = None


class TrustedProxies:
    """The proxies that are listed, by address; `unix` says that those of our Unix socket count among them."""

    def __init__(
        self, networks: Iterable[IPv4Network | IPv6Network] = (), *, unix: bool = False, certificate_header: str = ""
    ) -> None:
        """`certificate_header` is where they put a client's certificate; none is read where it is empty."""
        self._networks = tuple(networks)
        self._unix = unix
        self._header = certificate_header.lower()

    def include(self, address: object) -> bool:
        """Whether a connection from this Twisted address is a listed proxy's."""
        host = getattr(address, "host", None)
        if host is None:
            return self._unix
        found = ip_address(host.partition("%")[0])
        found = found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
        return any(found in network for network in self._networks)

    def word(self, headers: Mapping[str, str]) -> Word:
        """What the headers of a listed proxy say. `headers` are keyed in lower case, lines of one name joined by commas."""
        return Word(_forwarded_for(headers.get("forwarded", "")), self._presented(headers))

    def _presented(self, headers: Mapping[str, str]) -> Presented | None:
        """None also for what is no certificate: a stream can still be authenticated by dialback or a password."""
        value = headers.get(self._header, "") if self._header else ""
        try:
            if not value:
                return None
            if self._header == CLIENT_CERT.lower():
                (leaf,) = _binaries(value)
                return Presented(leaf, tuple(_binaries(headers.get(_CHAIN, ""))))
            leaf, *chain = x509.load_pem_x509_certificates(unquote_to_bytes(value))
            return Presented(leaf, tuple(chain))
        except ValueError:
            return None


def _forwarded_for(value: str) -> str | None:
    """The client that the nearest proxy saw: the last `for` of `Forwarded` (RFC 7239, 5.2), where it is an IP address."""
    pairs = (pair.partition("=") for pair in value.rpartition(",")[2].split(";"))
    nodes = [node.strip().strip('"') for name, _, node in pairs if name.strip().lower() == "for"]
    if len(nodes) != 1:
        return None
    (node,) = nodes
    bracketed = re.match(r"\[([^\]]*)\]", node)
    host = bracketed[1] if bracketed else node.partition(":")[0] if node.count(":") == 1 else node
    try:
        return str(ip_address(host))
    except ValueError:
        return None


def _binaries(value: str) -> list[x509.Certificate]:
    """A list of byte sequences (RFC 8941, 3.1 and 3.3.5), each a certificate in DER (RFC 9440, 2.1). Raises ValueError."""
    items = [item.strip() for item in value.split(",")] if value else []
    matches = [_BYTES.fullmatch(item) for item in items]
    return [x509.load_der_x509_certificate(b64decode(match[1] if match else "-", validate=True)) for match in matches]
