"""Host-meta documents: XEP-0487 and XEP-0156 in JSON, XEP-0156 in XRD (RFC 6415). Pure; the bytes are a stranger's.

Hard limits hold for the document; a link that cannot be used is skipped, with the reason kept, and fields and relations
that are unknown are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from xml.parsers.expat import ExpatError, ParserCreate

import msgspec

from xmppfed.discovery.candidates import DEFAULT_PRIORITY, Candidate, ordered, websocket_candidate
from xmppfed.discovery.urls import is_address, is_host_name, shown
from xmppfed.errors import DiscoveryError
from xmppfed.timeouts import Timeouts

__all__ = [
    "MAX_ADDRESSES",
    "MAX_DEPTH",
    "MAX_DOCUMENT",
    "MAX_LINKS",
    "NS_XRD",
    "REL",
    "HostMeta",
    "parse_json",
    "parse_xrd",
]

NS_XRD = "http://docs.oasis-open.org/ns/xri/xrd-1.0"
REL = "urn:xmpp:alt-connections:s2s-websocket"
MAX_DOCUMENT = Timeouts().document_bytes
MAX_LINKS = 32
MAX_DEPTH = 16
MAX_ADDRESSES = 16


@dataclass(frozen=True, slots=True)
class HostMeta:
    """What one document says. `ttl` is in seconds, None when it says nothing usable.

    `authoritative` is true when the document has the `xmpp` object of XEP-0487: legacy look-ups are then skipped.
    `pins` are base64 SHA-256 hashes of public keys. `skipped` has a line for everything that was ignored although it
    was meant for us.
    """

    candidates: tuple[Candidate, ...]
    ttl: int | None = None
    authoritative: bool = False
    pins: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


_Short = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class _Link(msgspec.Struct):
    """A link as XEP-0487 writes it; what XEP-0156 does not have has a default."""

    href: str
    priority: _Short = DEFAULT_PRIORITY
    weight: _Short = 0
    sni: str = ""
    ips: list[str] = []


class _XMPP(msgspec.Struct):
    """The top-level object of XEP-0487."""

    ttl: Annotated[int, msgspec.Meta(ge=0)]
    pins: Annotated[list[str], msgspec.Meta(max_length=MAX_LINKS)] = msgspec.field(
        default_factory=list, name="public-key-pins-sha-256"
    )


def parse_json(data: bytes, domain: str) -> HostMeta:
    """Read a `host-meta.json`; raises DiscoveryError for one that is too large or not a JSON object.

    `domain` is the ASCII form of the XMPP domain: the SNI for links whose URL has an address instead of a name.
    """
    _check_size(data)
    document = _decoded(data)
    links = document.get("links", [])
    if not isinstance(links, list):
        raise DiscoveryError("its links are not an array")
    _check_links(len(links))
    skipped: list[str] = []
    xmpp = _xmpp(document, skipped)
    found = [_json_candidate(number, link, domain, skipped) for number, link in enumerate(links, 1)]
    return HostMeta(
        candidates=ordered(candidate for candidate in found if candidate is not None),
        ttl=xmpp.ttl if xmpp else None,
        authoritative=isinstance(document.get("xmpp"), dict),
        pins=tuple(xmpp.pins) if xmpp else (),
        skipped=tuple(skipped),
    )


def parse_xrd(data: bytes, domain: str) -> HostMeta:
    """Read a `host-meta` in XRD; raises DiscoveryError for one that is too large, not well-formed, or has a DOCTYPE."""
    _check_size(data)
    skipped: list[str] = []
    found = [
        _candidate(f"link {number}", {"href": href} if href is not None else {}, domain, "host-meta", skipped)
        for number, (rel, href) in enumerate(_xrd_links(data), 1)
        if rel == REL
    ]
    return HostMeta(candidates=tuple(candidate for candidate in found if candidate is not None), skipped=tuple(skipped))


def _check_size(data: bytes) -> None:
    if len(data) > MAX_DOCUMENT:
        raise DiscoveryError(f"it has {len(data)} bytes, wanted at most {MAX_DOCUMENT}")


def _check_links(number: int) -> None:
    if number > MAX_LINKS:
        raise DiscoveryError(f"it has more than {MAX_LINKS} links, wanted at most {MAX_LINKS}")


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DiscoveryError(f"it is not JSON: {error}") from None
    except RecursionError:
        raise DiscoveryError(f"it is nested too deeply, wanted at most {MAX_DEPTH} levels") from None
    if not isinstance(document, dict):
        raise DiscoveryError("it is not a JSON object")
    if not _is_shallow(document, MAX_DEPTH):
        raise DiscoveryError(f"it is nested too deeply, wanted at most {MAX_DEPTH} levels")
    return document


def _is_shallow(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return levels > 0 and all(_is_shallow(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels > 0 and all(_is_shallow(item, levels - 1) for item in value)
    return True


def _xmpp(document: Mapping[str, Any], skipped: list[str]) -> _XMPP | None:
    if "xmpp" not in document:
        return None
    try:
        return msgspec.convert(document["xmpp"], _XMPP)
    except msgspec.ValidationError as error:
        skipped.append(f"the object xmpp: {error}")
        return None


def _json_candidate(number: int, link: object, domain: str, skipped: list[str]) -> Candidate | None:
    if not isinstance(link, dict) or not isinstance(link.get("rel"), str):
        skipped.append(f"link {number}: no object with a text rel")
        return None
    return _candidate(f"link {number}", link, domain, "host-meta.json", skipped) if link["rel"] == REL else None


def _candidate(name: str, fields: Mapping[str, Any], domain: str, source: str, skipped: list[str]) -> Candidate | None:
    try:
        link = msgspec.convert(fields, _Link)
        addresses = _addresses(name, link.ips, skipped)
        candidate = websocket_candidate(
            link.href,
            domain=domain,
            source=source,
            sni=_sni(link.sni),
            addresses=addresses,
            priority=link.priority,
            weight=link.weight,
        )
    except (msgspec.ValidationError, DiscoveryError) as error:
        skipped.append(f"{name}: {error}")
        return None
    return candidate


def _addresses(name: str, ips: list[str], skipped: list[str]) -> tuple[str, ...]:
    """The addresses a link names; none at all means that its host is to be resolved (XEP-0156)."""
    addresses = tuple(dict.fromkeys(ip for ip in ips if is_address(ip)))[:MAX_ADDRESSES]
    if len(addresses) < len(ips):
        skipped.append(f"{name}: {len(ips) - len(addresses)} of its ips are not usable, or more than {MAX_ADDRESSES}")
    if ips and not addresses:
        raise DiscoveryError(f"none of its ips is an IP address, found {shown(ips[0])}")
    return addresses


def _sni(text: str) -> str:
    sni = text.lower().removesuffix(".")
    if sni and not is_host_name(sni):
        raise DiscoveryError(f"its sni is {shown(text)}, wanted a host name")
    return sni


def _xrd_links(data: bytes) -> list[tuple[str | None, str | None]]:
    """The rel and href of every Link below the root XRD. expat meets no DOCTYPE, so no entity is ever declared."""
    links: list[tuple[str | None, str | None]] = []
    open_elements: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if not open_elements and name != f"{NS_XRD} XRD":
            raise DiscoveryError(f"its root is {shown(name)}, wanted XRD in {NS_XRD}")
        if len(open_elements) >= MAX_DEPTH:
            raise DiscoveryError(f"it is nested too deeply, wanted at most {MAX_DEPTH} levels")
        if len(open_elements) == 1 and name == f"{NS_XRD} Link":
            links.append((attributes.get("rel"), attributes.get("href")))
            _check_links(len(links))
        open_elements.append(name)

    _run_expat(data, start, lambda name: open_elements.pop())
    return links


def _run_expat(data: bytes, start: Callable[[str, dict[str, str]], None], end: Callable[[str], object]) -> None:
    def refuse_doctype(*declaration: object) -> None:
        raise DiscoveryError("it has a DOCTYPE, wanted none")

    parser = ParserCreate("utf-8", " ")
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(data.decode("utf-8").removeprefix("\ufeff"), True)
    except (ExpatError, UnicodeDecodeError) as error:
        raise DiscoveryError(f"it is not XML in UTF-8: {error}") from None
