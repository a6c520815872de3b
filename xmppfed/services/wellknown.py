"""What this server publishes below `/.well-known/`: host-meta in XRD and in JSON (XEP-0156, XEP-0487)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from xml.sax.saxutils import quoteattr

from twisted.web.http import Request
from twisted.web.resource import Resource

from xmppfed.discovery.hostmeta import REL
from xmppfed.discovery.urls import is_host_name, split_url
from xmppfed.discovery.xrd import NS_XRD
from xmppfed.errors import ConfigError, DiscoveryError

__all__ = ["REL_C2S", "TTL", "Documents", "documents", "well_known"]

REL_C2S = "urn:xmpp:alt-connections:websocket"
TTL = 3600
"""Seconds. xmpp-proxy reads it as 16 bits."""
_PRIORITY, _WEIGHT = 5, 50


@dataclass(frozen=True, slots=True)
class Documents:
    """The bytes of both documents."""

    xrd: bytes
    json: bytes


def documents(
    *, public_url: str, public_addresses: Sequence[str] = (), path: str = "/xmpp-websocket", c2s: bool, s2s: bool
) -> Documents:
    """The documents of a server reached at `public_url` (`https://host[:port]`), which serves the kinds that are true.

    Strict readers of XEP-0487 drop the whole JSON for one link without `ips`. So the JSON has the `xmpp` object and the
    s2s link only when `public_addresses` are known; without them the s2s link stands in the XRD alone. The `xmpp`
    object makes others skip SRV, so it needs an s2s link beside it. Raises ConfigError, which names the key.
    """
    host, href = _location(public_url, path)
    rels = [rel for rel, served in ((REL_C2S, c2s), (REL, s2s)) if served]
    addresses = _addresses(public_addresses)
    if not addresses:
        return Documents(_xrd(rels, href), _json({"links": [{"rel": rel, "href": href} for rel in rels if rel != REL]}))
    if not is_host_name(host):
        raise ConfigError(f"public_url: found {public_url!r}, wanted a host name in it when public_addresses are set")
    details = {"ips": addresses, "priority": _PRIORITY, "weight": _WEIGHT, "sni": host}
    full: dict[str, object] = {"xmpp": {"ttl": TTL}} if s2s else {}
    return Documents(_xrd(rels, href), _json({**full, "links": [{"rel": rel, "href": href, **details} for rel in rels]}))


def well_known(published: Documents) -> Resource:
    """The resource for `/.well-known`. It is the same for every Host, which a reverse proxy may have rewritten.

    Anything else below it is 404 at once; xmpp-proxy asks for POSH documents before it lets our streams in.
    """
    resource = Resource()
    resource.putChild(b"host-meta", _Document(published.xrd, b"application/xrd+xml"))
    resource.putChild(b"host-meta.json", _Document(published.json, b"application/json"))
    return resource


class _Document(Resource):
    """A document that scripts of any origin may read (XEP-0156, CORS); nothing else of ours says so."""

    def __init__(self, body: bytes, media_type: bytes) -> None:
        super().__init__()
        self._body = body
        self._media_type = media_type

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", self._media_type)
        request.setHeader(b"access-control-allow-origin", b"*")
        return self._body


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


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _xrd(rels: Sequence[str], href: str) -> bytes:
    """Clients want an un-prefixed root, rel and href in every Link, and, where they take the first Link, c2s there."""
    links = "".join(f"<Link rel={quoteattr(rel)} href={quoteattr(href)}/>" for rel in rels)
    return f"<?xml version='1.0' encoding='utf-8'?><XRD xmlns='{NS_XRD}'>{links}</XRD>".encode("ascii")
