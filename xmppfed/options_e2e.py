"""The typed tables of end-to-end streams in the configuration, and what has to hold between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from twisted.internet.endpoints import clientFromString

from xmppfed.checks import check_endpoint, is_plain_url
from xmppfed.core.jid import JID
from xmppfed.errors import JIDError
from xmppfed.options import DomainOptions
from xmppfed.options_lan import LanGatewayOptions, read_lan_gateway
from xmppfed.tables import Options, Table

__all__ = ["E2EListenerOptions", "E2EOptions", "read_e2e"]

EVERYBODY = "*"
_PATH = re.compile("/[A-Za-z0-9][A-Za-z0-9._-]*")
_TAKEN = ("/xmpp-websocket", "/ws", "/xmpp-websocket-s2s")
_ADDRESS = "a domain, or an address such as juliet@example.org"


class E2EListenerOptions(Options, frozen=True, kw_only=True):
    """A port where peers open end-to-end streams: with whom, and how they have to prove who they are. Nobody is let in who is
    not listed in `allow`."""

    endpoint: Annotated[
        str,
        Meta(
            description="Where to listen, as a Twisted server endpoint without TLS. Empty: nowhere but at `websocket_path`.",
            examples=["tcp:5298:interface=192.0.2.7"],
        ),
    ] = ""
    websocket_path: Annotated[
        str,
        Meta(
            description="A path of the HTTPS port where peers come by WebSocket. Behind a reverse proxy, which ends their TLS, "
            'nobody can prove anything there: only `trust = "plain"` lets them in.',
            examples=["/e2e-websocket"],
        ),
    ] = ""
    offer: Annotated[
        tuple[str, ...],
        Meta(
            description="The domains of this server that peers can speak with here: their modules answer.",
            examples=[["example.org"]],
        ),
    ]
    trust: Annotated[
        Literal["plain", "first-use", "verified", "paired"],
        Meta(
            description="What a peer has to show at least. `paired`: a key that was paired or pinned. `verified`: that, or a "
            "certificate of a trusted authority for its address. `first-use`: or the key it had when it came first. "
            "`plain`: or nothing.",
            examples=["first-use"],
        ),
    ] = "verified"
    allow: Annotated[
        tuple[str, ...],
        Meta(
            description='Who may open a stream: addresses, domains with all their users, or `"*"` for everybody who proves '
            "what `trust` asks for.",
            examples=[["juliet@example.net", "example.com"]],
        ),
    ] = ()


class E2EOptions(Options, frozen=True):
    """End-to-end streams (XEP-0246): peers speak with a domain of this server directly, without a server of theirs. Its tables
    are `listeners`, `peers` and `lan_gateway`."""

    max_stanza_bytes: Annotated[
        int, Meta(ge=10_000, description="The longest stanza taken from a peer, in bytes.", examples=[65536])
    ] = 262_144
    listeners: Annotated[
        dict[str, E2EListenerOptions],
        Meta(
            description="The ports, each with a name and a table of its own: `[services.e2e.listeners.lan]`, see below.",
            examples=[{"lan": {"endpoint": "tcp:5298", "offer": ["example.org"]}}],
        ),
    ] = msgspec.field(default_factory=dict)
    peers: Annotated[
        dict[str, str],
        Meta(
            description="Where peers are that the offered domains themselves speak with directly and never through another "
            "server: Twisted client endpoints, or URLs of WebSockets (`wss://HOST/PATH`).",
            examples=[{"echo.example.net": "tcp:192.0.2.9:5298"}],
        ),
    ] = msgspec.field(default_factory=dict)
    lan_gateway: Annotated[
        LanGatewayOptions | None,
        Meta(
            description="People on the local network in an ordinary client: `[services.e2e.lan_gateway]`, see below.",
            examples=[{"users": ["juliet@example.org"]}],
        ),
    ] = None


def read_e2e(table: Table, domains: Mapping[str, DomainOptions], *, http: bool) -> E2EOptions:
    """The table `[services.e2e]`, checked; `http` says whether there is an HTTPS port. Raises ConfigError."""
    options = table.without("listeners", "lan_gateway").convert(E2EOptions)
    listeners = table.table("listeners")
    found: dict[str, E2EListenerOptions] = {}
    offered: dict[str, str] = {}
    for name in listeners.values:
        found[name] = _listener(listeners.table(name), domains, offered)
        _check_path(listeners.table(name), found, name, http=http)
    peers = table.table("peers")
    for address, endpoint in options.peers.items():
        _check_peer(peers, address, endpoint, domains)
    lan = read_lan_gateway(table.table("lan_gateway"), domains) if "lan_gateway" in table.values else None
    return msgspec.structs.replace(options, listeners=found, lan_gateway=lan)


def _listener(table: Table, domains: Mapping[str, DomainOptions], offered: dict[str, str]) -> E2EListenerOptions:
    options = table.convert(E2EListenerOptions)
    if options.endpoint:
        check_endpoint(table, "endpoint", options.endpoint)
    elif not options.websocket_path:
        advice = "Say where peers come in."
        raise table.error("endpoint", "", "a server endpoint here or a path in websocket_path", advice)
    for domain in options.offer:
        if domain not in domains:
            advice = "Name a domain that has a [domains] table."
            raise table.error("offer", domain, f"one of {', '.join(domains)}", advice)
        if domains[domain].certificate is None:
            advice = f"Name a PEM file: peers have to know whom they speak with. It is the key domains.{domain}.certificate."
            raise table.error("offer", domain, "a domain with a certificate", advice)
        if domain in offered:
            advice = f"It is offered by {offered[domain]} already: give that one more in `allow`, or remove it there."
            raise table.error("offer", domain, "each domain at one listener", advice)
        offered[domain] = table.key
    for who in options.allow:
        if who != EVERYBODY:
            _check_address(table, "allow", who, domains)
    return options


def _check_path(table: Table, listeners: Mapping[str, E2EListenerOptions], name: str, *, http: bool) -> None:
    path = listeners[name].websocket_path
    if not path:
        return
    if not http:
        raise table.error("websocket_path", path, "services.http beside it", "Add a [services.http] table: it owns the port.")
    if not _PATH.fullmatch(path) or path in _TAKEN:
        raise table.error("websocket_path", path, "a path of one segment that nobody has", "Write for example /e2e-websocket.")
    if any(one.websocket_path == path for other, one in listeners.items() if other != name):
        raise table.error("websocket_path", path, "a path that no other listener has", "Choose another one.")


def _check_peer(table: Table, address: str, endpoint: str, domains: Mapping[str, DomainOptions]) -> None:
    _check_address(table, address, address, domains)
    if is_plain_url(endpoint, "wss"):
        return
    try:
        clientFromString(object(), endpoint)
    except (ValueError, TypeError, LookupError) as error:
        advice = f"Twisted says: {error}."
        raise table.error(
            address, endpoint, "a client endpoint such as tcp:192.0.2.9:5298, or wss://HOST[:PORT]/PATH", advice
        ) from None


def _check_address(table: Table, name: str, address: str, domains: Mapping[str, DomainOptions]) -> None:
    try:
        jid = JID.parse(address)
    except JIDError as error:
        raise table.error(name, address, _ADDRESS, f"{error}") from None
    if jid.resource:
        raise table.error(name, address, _ADDRESS, "Leave out the resource.")
    if jid.domain in domains:
        advice = "Who has an account here logs in; nobody can come from there over an end-to-end stream."
        raise table.error(name, address, "an address elsewhere", advice)
