"""Host-meta documents: XEP-0487 and XEP-0156 in JSON, XEP-0156 in XRD (RFC 6415). Pure; the bytes are a stranger's.

Hard limits hold for the document; a link that cannot be used is skipped, with the reason kept, and fields and relations
that are unknown are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from xmppfed.discovery.candidates import DEFAULT_PRIORITY, XMPPS_SERVER, Candidate, port_candidate, websocket_candidate
from xmppfed.discovery.documents import MAX_ITEMS, check_number, decoded_hash, json_object
from xmppfed.discovery.urls import is_address, is_host_name, shown
from xmppfed.discovery.xrd import xrd_links
from xmppfed.errors import DiscoveryError

__all__ = ["MAX_ADDRESSES", "REL", "REL_TLS", "HostMeta", "parse_json", "parse_xrd"]

REL = "urn:xmpp:alt-connections:s2s-websocket"
REL_TLS = "urn:xmpp:alt-connections:s2s-tls"
_REL_S2S = "urn:xmpp:alt-connections:s2s-"
MAX_ADDRESSES = 16


@dataclass(frozen=True, slots=True)
class HostMeta:
    """What one document says. `ttl` is in seconds, None when it says nothing usable.

    `authoritative` is true when the document has the `xmpp` object of XEP-0487: legacy look-ups are then skipped.
    `pins` are SHA-256 hashes of public keys (SubjectPublicKeyInfo). `skipped` has a line for everything that was ignored
    although it was meant for us.
    """

    candidates: tuple[Candidate, ...]
    ttl: int | None = None
    authoritative: bool = False
    pins: frozenset[bytes] = frozenset()
    skipped: tuple[str, ...] = ()


_Short = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class _Link(msgspec.Struct):
    """A link as XEP-0487 writes it; what XEP-0156 does not have has a default."""

    priority: _Short = DEFAULT_PRIORITY
    weight: _Short = 0
    sni: str = ""
    ips: list[str] = []


class _URLLink(_Link, kw_only=True):
    """A link to a WebSocket."""

    href: str


class _PortLink(_Link, kw_only=True):
    """A link to a port, which XEP-0487 has in place of the URL."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]


class _XMPP(msgspec.Struct):
    """The top-level object of XEP-0487."""

    ttl: Annotated[int, msgspec.Meta(ge=0)]
    pins: Annotated[list[str], msgspec.Meta(max_length=MAX_ITEMS)] = msgspec.field(
        default_factory=list, name="public-key-pins-sha-256"
    )


@dataclass(slots=True)
class _Reader:
    """Makes candidates of links, and remembers why others were skipped."""

    domain: str
    source: str
    candidates: list[Candidate] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def take(self, number: int, rel: str, fields: Mapping[str, Any]) -> None:
        """Read one link."""
        if not rel.startswith(_REL_S2S):
            return
        try:
            if rel == REL:
                self.candidates.append(self._websocket(f"link {number}", msgspec.convert(fields, _URLLink)))
            elif rel == REL_TLS:
                self.candidates.append(self._direct_tls(f"link {number}", msgspec.convert(fields, _PortLink)))
            else:
                self.skipped.append(f"link {number}: {shown(rel)} is a way to connect that is not known here")
        except (msgspec.ValidationError, DiscoveryError) as error:
            self.skipped.append(f"link {number}: {error}")

    def _websocket(self, name: str, link: _URLLink) -> Candidate:
        return websocket_candidate(
            link.href,
            domain=self.domain,
            source=self.source,
            sni=_sni(link.sni),
            addresses=self._addresses(name, link.ips),
            priority=link.priority,
            weight=link.weight,
        )

    def _direct_tls(self, name: str, link: _PortLink) -> Candidate:
        """Without the `ips` that XEP-0487 demands, the host is what `sni` names, or the domain."""
        sni = _sni(link.sni)
        return port_candidate(
            XMPPS_SERVER,
            sni or self.domain.strip("[]"),
            link.port,
            domain=self.domain,
            source=self.source,
            sni=sni,
            addresses=self._addresses(name, link.ips),
            priority=link.priority,
            weight=link.weight,
        )

    def _addresses(self, name: str, ips: list[str]) -> tuple[str, ...]:
        """The addresses a link names; none at all means that its host is to be resolved (XEP-0156)."""
        addresses = tuple(dict.fromkeys(ip for ip in ips if is_address(ip)))[:MAX_ADDRESSES]
        if len(addresses) < len(ips):
            self.skipped.append(f"{name}: {len(ips) - len(addresses)} of its ips are not usable, or more than {MAX_ADDRESSES}")
        if ips and not addresses:
            raise DiscoveryError(f"none of its ips is an IP address, found {shown(ips[0])}")
        return addresses


def parse_json(data: bytes, domain: str) -> HostMeta:
    """Read a `host-meta.json`; raises DiscoveryError for one that is too large or not a JSON object.

    `domain` is the ASCII form of the XMPP domain: the SNI for links whose URL has an address instead of a name.
    """
    document = json_object(data)
    links = document.get("links", [])
    if not isinstance(links, list):
        raise DiscoveryError("its links are not an array")
    check_number(len(links), "links")
    reader = _Reader(domain, "host-meta.json")
    xmpp = _xmpp(document, reader.skipped)
    for number, link in enumerate(links, 1):
        if isinstance(link, dict) and isinstance(link.get("rel"), str):
            reader.take(number, link["rel"], link)
        else:
            reader.skipped.append(f"link {number}: no object with a text rel")
    return HostMeta(
        candidates=tuple(reader.candidates),
        ttl=xmpp.ttl if xmpp else None,
        authoritative=isinstance(document.get("xmpp"), dict),
        pins=_pins(xmpp.pins, reader.skipped) if xmpp else frozenset(),
        skipped=tuple(reader.skipped),
    )


def parse_xrd(data: bytes, domain: str) -> HostMeta:
    """Read a `host-meta` in XRD; raises DiscoveryError as `xrd_links` does. XRD has no place for other kinds than URLs."""
    reader = _Reader(domain, "host-meta")
    for number, (rel, href) in enumerate(xrd_links(data), 1):
        if rel == REL:
            reader.take(number, rel, {"href": href} if href is not None else {})
    return HostMeta(tuple(reader.candidates), skipped=tuple(reader.skipped))


def _xmpp(document: Mapping[str, Any], skipped: list[str]) -> _XMPP | None:
    if "xmpp" not in document:
        return None
    try:
        return msgspec.convert(document["xmpp"], _XMPP)
    except msgspec.ValidationError as error:
        skipped.append(f"the object xmpp: {error}")
        return None


def _pins(texts: list[str], skipped: list[str]) -> frozenset[bytes]:
    """The hashes; one that is none leaves the others their worth."""
    pins = {text: decoded_hash(text, 32) for text in texts}
    skipped += [f"the key pin {shown(text)} is no SHA-256 hash in base64" for text, pin in pins.items() if pin is None]
    return frozenset(pin for pin in pins.values() if pin is not None)


def _sni(text: str) -> str:
    sni = text.lower().removesuffix(".")
    if sni and not is_host_name(sni):
        raise DiscoveryError(f"its sni is {shown(text)}, wanted a host name")
    return sni
