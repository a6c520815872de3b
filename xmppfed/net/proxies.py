"""Reverse proxies whose word counts: they say from where a connection came, and which certificate its client showed.

Only connections from listed addresses are believed; nobody else's headers are read. A listed proxy overwrites what its
clients send under these names: the manual shows how.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import unquote_to_bytes

from cryptography import x509

from xmppfed.net.arrival import LOCAL

__all__ = ["CLIENT_CERT", "UNIX", "Listed", "Presented", "TrustedProxies", "Word"]

CLIENT_CERT = "Client-Cert"
"""The header of RFC 9440. Under any other name the certificate is PEM with percent signs, as nginx escapes it."""

UNIX = "unix"
"""How a list names whoever comes through a Unix socket."""

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


class Listed:
    """Addresses that a configuration lists; `unix` says that whoever comes through a Unix socket of ours is among them."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network] = (), *, unix: bool = False) -> None:
        self._networks = tuple(networks)
        self._unix = unix

    @classmethod
    def of(cls, texts: Iterable[str]) -> Listed:
        """From texts such as `10.0.0.0/8` and `unix`. Raises ValueError."""
        return cls([ip_network(text) for text in texts if text != UNIX], unix=UNIX in texts)

    def include(self, host: str) -> bool:
        """Whether a connection from this IP address, or `local` for a Unix socket, comes from one of them."""
        if host == LOCAL:
            return self._unix
        found = ip_address(host.partition("%")[0])
        found = found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
        return any(found in network for network in self._networks)


class TrustedProxies:
    """The proxies that are listed, and where they put a client's certificate."""

    def __init__(self, listed: Listed | None = None, *, certificate_header: str = "") -> None:
        """No certificate is read where `certificate_header` is empty."""
        self._listed = listed or Listed()
        self._header = certificate_header.lower()

    def include(self, host: str) -> bool:
        """Whether a connection from there is a listed proxy's."""
        return self._listed.include(host)

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
