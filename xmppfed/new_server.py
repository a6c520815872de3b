"""What a new server begins with: its configuration file, and the lines that its DNS and its proxy want.

Texts only: who writes and prints them is `xmppfedctl init`.
"""

from __future__ import annotations

from dataclasses import dataclass

from xmppfed.discovery.hostmeta import REL
from xmppfed.discovery.urls import url_host
from xmppfed.services.wellknown import REL_C2S, Offer, documents

__all__ = ["CERTIFICATE", "CONFIG", "DATA_DIR", "MODULES", "MODULE_TABLES", "NewServer"]

CONFIG = "xmppfed.toml"
CERTIFICATE = "certs/{host}.pem"
DATA_DIR = "var"
MODULES = (
    "disco",
    "caps",
    "ping",
    "version",
    "time",
    "contact",
    "vcard",
    "private",
    "blocking",
    "delay",
    "stanza_ids",
    "last_activity",
    "roster",
    "offline",
    "carbons",
    "csi",
)
"""What a new server has: what clients ask for and what harms nobody. The order is that of the hooks."""
MODULE_TABLES = "\n".join(f"[modules.{name}]" for name in MODULES)
"""The tables that switch them on."""
_OWN_PORT = 5443
_LOCAL = "127.0.0.1:5280"
_LOCAL_ENDPOINT = "tcp:5280:interface=127.0.0.1"
_PATHS = ("/xmpp-websocket", "/xmpp-websocket-s2s", "/ws", "/.well-known/host-meta", "/.well-known/host-meta.json")

_CONFIG = """\
# The configuration of xmppfed. `xmppfedctl check` reads it as a start would. Relative paths start at this file.

data_dir = "{data_dir}"                  # the database and the control socket

# trust_anchors = ["certs/our-ca.pem"]       # authorities to trust besides those of the system
# allow_private_addresses = ["10.0.0.0/8"]   # networks that federation may connect to besides public ones

[domains."{domain}"]
{certificate}

[services.http]
{port}
{public_url}
# public_addresses = ["203.0.113.7"]   # fill in, and others find this server by host-meta.json (XEP-0487)

[services.c2s_ws]                      # clients over WebSocket
# allowed_origins = ["https://chat.{host}"]   # web clients that may use EXTERNAL and ANONYMOUS; passwords work from any

[services.s2s_ws]                      # federation over WebSocket

# [services.c2s_tcp]                   # clients over TCP, ports 5222 and 5223; needs the certificate above
# [services.s2s_tcp]                   # federation over TCP, ports 5269 and 5270; needs the certificate above

# [federation]
# trust = "external"                   # certificates only; the default takes dialback over verified TLS as well

"""
_OWN_TLS = """\
endpoint = "tcp:{port}"                # 443 needs the right to use it, and spares others the look-up of a port
tls = true"""
_BEHIND_PROXY = """\
endpoint = "{endpoint}"
tls = "behind-proxy"                   # TLS ends in a proxy on this machine; to end it here: "tcp:443", true, a certificate"""

_DNS = """\
; DNS, in the zone of {host}
{host}. IN A 203.0.113.7                 ; your IPv4 address
{host}. IN AAAA 2001:db8::7              ; your IPv6 address, if you have one
_xmppconnect-server.{host}. IN TXT "_xmpp-server-websocket={url}"
"""
_HOST_META = """\
# https://{host}/.well-known/host-meta, if another web server answers there (type application/xrd+xml)
{xrd}
# https://{host}/.well-known/host-meta.json (type application/json); both with Access-Control-Allow-Origin: *
{json}
"""
_NGINX = """\
# nginx, in the server block of {host} (with endpoint = "{endpoint}" and tls = "behind-proxy")
location ~ ^({paths})$ {{
    proxy_pass {backend};
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    proxy_buffering off;
    proxy_read_timeout 120s;
}}
"""
_CADDY = """\
# Caddy (with the same endpoint and tls)
{host} {{
    @xmpp path {paths}
    reverse_proxy @xmpp {backend}
}}
"""


@dataclass(frozen=True, kw_only=True)
class NewServer:
    """A server for `domain` (prepared, RFC 7622); with TLS of its own if `own_tls`, else behind a proxy."""

    domain: str
    own_tls: bool

    @property
    def host(self) -> str:
        """The domain as DNS and URLs write it. Raises DiscoveryError for a domain that they cannot."""
        return url_host(self.domain)

    @property
    def public_url(self) -> str:
        """How others reach the port."""
        return f"https://{self.host}:{_OWN_PORT}" if self.own_tls else f"https://{self.host}"

    @property
    def certificate(self) -> str:
        """The path of the certificate, relative to the configuration."""
        return CERTIFICATE.format(host=self.host)

    def config(self) -> str:
        """The configuration file: what is written in it works, and what can be changed is explained beside it."""
        line = f'certificate = "{self.certificate}"'
        config = _CONFIG.format(
            data_dir=DATA_DIR,
            domain=self.domain,
            host=self.host,
            certificate=line if self.own_tls else f"# {line}   # for the certificate that other servers see",
            port=_OWN_TLS.format(port=_OWN_PORT) if self.own_tls else _BEHIND_PROXY.format(endpoint=_LOCAL_ENDPOINT),
            public_url=f'public_url = "{self.public_url}"',
        )
        return f"{config}{MODULE_TABLES}\n"

    def instructions(self) -> str:
        """What is left to do outside: DNS, host-meta, and lines for nginx and Caddy."""
        published = documents([Offer(REL_C2S), Offer(REL)], public_url=self.public_url)
        url = self.public_url.replace("https://", "wss://") + _PATHS[0]
        patterns = "|".join(path.replace(".", r"\.") for path in _PATHS)
        return "\n".join(
            (
                _DNS.format(host=self.host, url=url),
                _HOST_META.format(host=self.host, xrd=published.xrd.decode(), json=published.json.decode()),
                _NGINX.format(host=self.host, paths=patterns, backend=f"http://{_LOCAL}", endpoint=_LOCAL_ENDPOINT),
                _CADDY.format(host=self.host, paths=" ".join(_PATHS), backend=_LOCAL),
            )
        )
