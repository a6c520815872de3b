"""What this server publishes below `/.well-known/`: host-meta in XRD and in JSON (XEP-0156, XEP-0487), and POSH."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from xml.sax.saxutils import quoteattr

from twisted.web.http import Request
from twisted.web.resource import Resource

from xmppfed.discovery.hostmeta import REL, REL_TLS
from xmppfed.discovery.urls import is_host_name, split_url
from xmppfed.discovery.xrd import NS_XRD
from xmppfed.errors import ConfigError, DiscoveryError
from xmppfed.services.merging import NO_BASE, Base

__all__ = ["POSH_TTL", "REL_C2S", "REL_C2S_TLS", "TTL", "Documents", "Offer", "documents", "well_known"]

REL_C2S = "urn:xmpp:alt-connections:websocket"
REL_C2S_TLS = "urn:xmpp:alt-connections:tls"
TTL = 3600
"""Seconds. xmpp-proxy reads it as 16 bits."""
POSH_TTL = 86_400
_S2S = (REL, REL_TLS)
_WEIGHT = 50


@dataclass(frozen=True, slots=True)
class Offer:
    """A way to connect that is published: our WebSocket, or a TCP port that begins with TLS (XEP-0368)."""

    rel: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Documents:
    """The bytes of both documents."""

    xrd: bytes
    json: bytes


def documents(
    offers: Sequence[Offer],
    *,
    public_url: str,
    public_addresses: Sequence[str] = (),
    path: str = "/xmpp-websocket",
    base: Base = NO_BASE,
) -> Documents:
    """The documents of a server that is reached at `public_url` (`https://host[:port]`), among the links of `base`.

    Strict readers of XEP-0487 drop the whole JSON for one link without `ips`. So the JSON has the `xmpp` object and the
    s2s links only when `public_addresses` are known; without them the URL for servers stands in the XRD alone. The `xmpp`
    object makes others skip SRV, so it needs an s2s link beside it. Raises ConfigError, which names the key.
    """
    host, href = _location(public_url, path)
    addresses = _addresses(public_addresses)
    if addresses and not is_host_name(host):
        raise ConfigError(f"public_url: found {public_url!r}, wanted a host name in it when public_addresses are set")
    urls = [offer.rel for offer in offers if offer.port is None]
    if addresses:
        links = [_complete(offer, href, host, addresses) for offer in offers]
    else:
        links = [{"rel": rel, "href": href} for rel in urls if rel not in _S2S]
    skips_srv = bool(addresses) and any(offer.rel in _S2S for offer in offers)
    ours: dict[str, Any] = {"xmpp": {"ttl": TTL}, "links": links} if skips_srv else {"links": links}
    rels = [offer.rel for offer in offers]
    return Documents(
        base.merged_xrd(_xrd_links(urls, href, f" xmlns='{NS_XRD}'"), rels) or _xrd(_xrd_links(urls, href)),
        base.merged_json(ours, rels) or _json(ours),
    )


def well_known(published: Documents, posh: Callable[[], Iterable[bytes]] | None = None) -> Resource:
    """The resource for `/.well-known`. It is the same for every Host, which a reverse proxy may have rewritten.

    With `posh`, which gives the certificates we have at the moment in DER, their fingerprints are published (RFC 7711).
    Anything else is 404 at once; xmpp-proxy asks for POSH documents before it lets our streams in.
    """
    resource = Resource()
    resource.putChild(b"host-meta", _HostMeta(lambda: published.xrd, b"application/xrd+xml"))
    resource.putChild(b"host-meta.json", _HostMeta(lambda: published.json, b"application/json"))
    if posh is not None:
        folder, document = Resource(), _Document(lambda: _posh(posh()), b"application/json")
        for service in (b"xmpp-server", b"xmpp-client"):
            folder.putChild(service + b".json", document)
        resource.putChild(b"posh", folder)
    return resource


class _Document(Resource):
    """A document, made when it is asked for."""

    def __init__(self, body: Callable[[], bytes], media_type: bytes) -> None:
        super().__init__()
        self._body = body
        self._media_type = media_type

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", self._media_type)
        return self._body()


class _HostMeta(_Document):
    """A document that scripts of any origin may read (XEP-0156, CORS); nothing else of ours says so."""

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"access-control-allow-origin", b"*")
        return super().render_GET(request)


def _location(public_url: str, path: str) -> tuple[str, str]:
    """The host of the public URL, and the `wss:` URL of our WebSocket there."""
    wanted = "wanted https://host or https://host:port"
    try:
        target = split_url(public_url, "https")
    except DiscoveryError as error:
        raise ConfigError(f"public_url: {error}; {wanted}") from None
    if target.path != "/":
        raise ConfigError(f"public_url: found the path {target.path!r}, {wanted}")
    host = f"[{target.host}]" if ":" in target.host else target.host
    port = "" if target.port == 443 else f":{target.port}"
    return target.host, f"wss://{host}{port}{path}"


def _addresses(texts: Sequence[str]) -> list[str]:
    try:
        return [str(ip_address(text)) for text in texts]
    except ValueError as error:
        raise ConfigError(f"public_addresses: {error}, wanted IPv4 or IPv6 addresses") from None


def _complete(offer: Offer, href: str, host: str, addresses: list[str]) -> dict[str, Any]:
    """A link with everything that XEP-0487 demands; WebSocket is what we do best, and comes first."""
    where = {"href": href} if offer.port is None else {"port": offer.port}
    priority = 5 if offer.port is None else 10
    return {"rel": offer.rel, **where, "ips": addresses, "priority": priority, "weight": _WEIGHT, "sni": host}


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _xrd(links: str) -> bytes:
    """Clients want an un-prefixed root, rel and href in every Link, and, where they take the first Link, c2s there."""
    return f"<?xml version='1.0' encoding='utf-8'?><XRD xmlns='{NS_XRD}'>{links}</XRD>".encode("ascii")


def _xrd_links(rels: Sequence[str], href: str, declaration: str = "") -> str:
    return "".join(f"<Link rel={quoteattr(rel)} href={quoteattr(href)}{declaration}/>" for rel in rels)


def _posh(certificates: Iterable[bytes]) -> bytes:
    fingerprints = [{"sha-256": _base64(hashlib.sha256(der)), "sha-512": _base64(hashlib.sha512(der))} for der in certificates]
    return _json({"fingerprints": fingerprints, "expires": POSH_TTL})


def _base64(hashed: Any) -> str:
    return b64encode(hashed.digest()).decode("ascii")
