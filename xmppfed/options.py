"""The typed tables of the configuration: what each key means, its type, its default and an example.

The reference in the manual is written from these; `xmppfed.config` reads files into them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from xmppfed.tables import Options

__all__ = [
    "MAX_SESSIONS",
    "C2STCPOptions",
    "C2SWebSocketOptions",
    "ClientOptions",
    "DomainOptions",
    "FederationOptions",
    "GatewayOptions",
    "GatewayServiceOptions",
    "GeneralOptions",
    "HTTPOptions",
    "S2STCPOptions",
    "S2SWebSocketOptions",
    "StaticRoute",
]

MAX_SESSIONS = 20


class GeneralOptions(Options, frozen=True):
    """The keys above the first table. A relative path is relative to the configuration file."""

    data_dir: Annotated[
        Path,
        Meta(description="The directory of the database and of the control socket. It must exist.", examples=["var"]),
    ]
    trust_anchors: Annotated[
        tuple[Path, ...],
        Meta(
            description="PEM files of certificate authorities to trust besides those of the system.",
            examples=[["certs/our-ca.pem"]],
        ),
    ] = ()
    allow_private_addresses: Annotated[
        tuple[str, ...],
        Meta(description="Networks that federation may connect to besides public addresses.", examples=[["10.0.0.0/8"]]),
    ] = ()
    max_sessions: Annotated[
        int, Meta(ge=1, description="How many sessions one account may have at once, over all services.", examples=[10])
    ] = MAX_SESSIONS


class DomainOptions(Options, frozen=True):
    """A domain served here."""

    certificate: Annotated[
        Path | None,
        Meta(
            description="PEM file with the certificate chain and the key. Read again on reload. "
            'Only servers with `tls = "behind-proxy"` can do without.',
            examples=["certs/example.org.pem"],
        ),
    ] = None


class HTTPOptions(Options, frozen=True):
    """The HTTPS port: WebSocket at `/xmpp-websocket`, and the documents at `/.well-known/host-meta`."""

    endpoint: Annotated[
        str,
        Meta(
            description="Where to listen, as a Twisted server endpoint without TLS.",
            examples=["tcp:8080:interface=127.0.0.1"],
        ),
    ] = "tcp:443"
    tls: Annotated[
        bool | Literal["behind-proxy"],
        Meta(
            description='`true`: TLS ends here. `"behind-proxy"`: a reverse proxy on this machine ends it, and '
            "`endpoint` is a loopback address or a Unix socket.",
            examples=["behind-proxy"],
        ),
    ] = True
    public_url: Annotated[
        str | None,
        Meta(
            description="How the port is reached from outside, if not by `https://` and the domain.",
            examples=["https://xmpp.example.org"],
        ),
    ] = None
    public_addresses: Annotated[
        tuple[str, ...],
        Meta(
            description="The public IP addresses, for host-meta.json (XEP-0487). "
            "Without them that document speaks of client connections only.",
            examples=[["203.0.113.7"]],
        ),
    ] = ()

    host_meta_base: Annotated[
        Path | None,
        Meta(
            description="The `host-meta` that the domain has already: the links of the server are added to this file and to "
            "the one beside it whose name ends in `.json`, of which one may be missing. Both are read at start.",
            examples=["/var/www/example.org/.well-known/host-meta"],
        ),
    ] = None
    posh: Annotated[
        bool,
        Meta(
            description="Publish the fingerprints of the certificates at `/.well-known/posh/` (RFC 7711), so that servers "
            "which do not trust their authority believe them all the same.",
            examples=[True],
        ),
    ] = False
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks of reverse proxies that are believed: for the client's address by `Forwarded` (RFC 7239), "
            'for its certificate by `client_certificate_header`. `"unix"` is whoever can open a Unix socket of ours.',
            examples=[["127.0.0.1/32"]],
        ),
    ] = ()
    client_certificate_header: Annotated[
        str,
        Meta(
            description="Where trusted proxies put the certificate of a client: `Client-Cert` is read as RFC 9440 says, "
            "any other as the percent-escaped PEM of nginx. They must overwrite what a client sends under that name.",
            examples=["Client-Cert"],
        ),
    ] = ""
    proxy_protocol: Annotated[
        bool,
        Meta(
            description="Every connection begins with a header of the PROXY protocol (v1 or v2), and only "
            "`trusted_proxies` may connect.",
            examples=[True],
        ),
    ] = False

    @property
    def behind_proxy(self) -> bool:
        """Whether a reverse proxy ends TLS."""
        return self.tls == "behind-proxy"


class ClientOptions(Options, frozen=True):
    """What every service for clients can be told."""

    anonymous: Annotated[
        tuple[str, ...],
        Meta(description="The domains that offer ANONYMOUS logins (RFC 4505).", examples=[["guests.example.org"]]),
    ] = ()
    max_stanza_bytes: Annotated[
        int, Meta(ge=10_000, description="The longest stanza taken from a client (RFC 6120, 13.12).", examples=[65_536])
    ] = 262_144


class C2SWebSocketOptions(ClientOptions, frozen=True):
    """Clients over WebSocket (RFC 7395), on the port of `[services.http]`. The table may be empty: it switches the service
    on."""

    fast_path: Annotated[
        bool, Meta(description="Read and write plain text frames without Autobahn's detours.", examples=[False])
    ] = True
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Web origins that may use EXTERNAL and ANONYMOUS. Every origin may use a password.",
            examples=[["https://chat.example.org"]],
        ),
    ] = ()
    see_other_uri: Annotated[
        str | None,
        Meta(
            description="The WebSocket that every client is sent to instead of being served here, during a move "
            "(RFC 7395, 3.6.1).",
            examples=["wss://other.example.org/xmpp-websocket"],
        ),
    ] = None


class C2STCPOptions(ClientOptions, frozen=True):
    """Clients over TCP (RFC 6120), never without TLS. The table may be empty: it switches the service on. Every domain needs
    a `certificate`."""

    endpoint: Annotated[
        str,
        Meta(
            description="Where to listen for clients that ask for TLS (STARTTLS), as a Twisted server endpoint. Empty: nowhere.",
            examples=["tcp:5222:interface=203.0.113.7"],
        ),
    ] = "tcp:5222"
    direct_tls_endpoint: Annotated[
        str,
        Meta(
            description="Where to listen for clients that begin with TLS (XEP-0368). Empty: nowhere.",
            examples=["tcp:5223:interface=203.0.113.7"],
        ),
    ] = "tcp:5223"


class StaticRoute(Options, frozen=True):
    """Where to reach one domain, instead of asking DNS."""

    url: str
    addresses: tuple[str, ...] = ()


TrustName = Literal["external", "external-or-dialback", "dialback-without-verified-tls"]


class FederationOptions(Options, frozen=True):
    """What the services between servers share: `[services.s2s_ws]` and `[services.s2s_tcp]`."""

    trust: Annotated[
        TrustName,
        Meta(
            description="How another domain proves itself. `external`: by its certificate only. "
            "`external-or-dialback`: else by dialback to a server whose TLS is verified. "
            "`dialback-without-verified-tls`: dialback to anybody; who controls DNS can pose as any domain.",
            examples=["external"],
        ),
    ] = "external-or-dialback"
    trust_by_domain: Annotated[
        dict[str, TrustName],
        Meta(description="The same for one domain or another.", examples=[{"example.net": "external"}]),
    ] = {}
    max_stanza_bytes: Annotated[
        int,
        Meta(ge=10_000, description="The longest stanza taken from a server (RFC 6120, 13.12).", examples=[262_144]),
    ] = 524_288
    static_routes: Annotated[
        dict[str, StaticRoute],
        Meta(
            description="Domains and the URL to reach them by: `wss://HOST[:PORT]/PATH` (XEP-0468), `xmpp://HOST[:PORT]` "
            "(TCP with STARTTLS) or `xmpps://HOST[:PORT]` (TCP that begins with TLS); or a table of `url` and `addresses` "
            "(IP addresses to use instead of asking DNS for the host).",
            examples=[{"example.net": "wss://xmpp.example.net/xmpp-websocket"}],
        ),
    ] = {}


class S2SWebSocketOptions(Options, frozen=True):
    """Federation over WebSocket (XEP-0468), on the port of `[services.http]`. The table is empty: it switches the service
    on."""


class S2STCPOptions(Options, frozen=True):
    """Federation over TCP (RFC 6120), never without TLS. The table may be empty: it switches the service on. With a port to
    listen on, every domain needs a `certificate`."""

    endpoint: Annotated[
        str,
        Meta(
            description="Where to listen for servers that ask for TLS (STARTTLS), as a Twisted server endpoint. "
            "Empty: nowhere; without any port, servers are reached over TCP but cannot reach this one so.",
            examples=["tcp:5269:interface=203.0.113.7"],
        ),
    ] = "tcp:5269"
    direct_tls_endpoint: Annotated[
        str,
        Meta(
            description="Where to listen for servers that begin with TLS (XEP-0368). Empty: nowhere.",
            examples=["tcp:5270:interface=203.0.113.7"],
        ),
    ] = "tcp:5270"


class GatewayOptions(Options, frozen=True):
    """The domain of another server, the backend, whose edge this server is: `[services.s2s_ws]` and the others take streams
    for it, and pass them on once they are verified."""

    backend: Annotated[
        str,
        Meta(
            description="Where the backend takes streams of servers: `xmpp://HOST[:PORT]` (STARTTLS), `xmpps://HOST[:PORT]`, or "
            "on this machine, without TLS, a Twisted client endpoint. Its certificate is not judged.",
            examples=["unix:/run/ejabberd/s2s.sock"],
        ),
    ]
    clients: Annotated[
        str,
        Meta(
            description="Where the backend takes clients, like `backend`; `[services.c2s_ws]` passes theirs on whole. "
            "Without it clients of the domain are not served here.",
            examples=["xmpp://127.0.0.1:5222"],
        ),
    ] = ""
    proxy_protocol: Annotated[
        bool,
        Meta(description="Tell the backend by the PROXY protocol (v1) from where its clients come.", examples=[True]),
    ] = False
    certificate: Annotated[
        Path | None,
        Meta(
            description="PEM file with the certificate chain and the key of the domain, as for `[domains]`.",
            examples=["certs/example.net.pem"],
        ),
    ] = None


class GatewayServiceOptions(Options, frozen=True):
    """The port to which backends send what is for other domains."""

    endpoint: Annotated[
        str,
        Meta(
            description="Where to listen, as a Twisted server endpoint without TLS.",
            examples=["tcp:5269:interface=127.0.0.2"],
        ),
    ]
    tls: Annotated[
        bool,
        Meta(description="`true`: STARTTLS is demanded. `false`: streams without TLS, on this machine alone.", examples=[False]),
    ] = True
    peers: Annotated[
        tuple[str, ...],
        Meta(
            description='Networks of the backends; `"unix"` is whoever can open a Unix socket of ours. '
            "Who comes from there is believed to be any of the gateways' domains.",
            examples=[["10.0.0.5/32"]],
        ),
    ] = ("127.0.0.0/8", "::1/128", "unix")
