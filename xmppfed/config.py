"""The configuration: one TOML file, read into frozen values, or refused with a reason.

Defaults are safe; a dangerous choice has a name that says so. There is no switch to trust everybody: a private
authority is named in `trust_anchors`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec
from twisted.internet.endpoints import serverFromString

from xmppfed.core.jid import prepare_domain
from xmppfed.errors import JIDError
from xmppfed.options import (
    MAX_SESSIONS,
    C2SWebSocketOptions,
    DomainOptions,
    GeneralOptions,
    HTTPOptions,
    S2SWebSocketOptions,
    StaticRoute,
)
from xmppfed.reference import markdown
from xmppfed.tables import Options, Table, read

__all__ = [
    "C2SWebSocketOptions",
    "Config",
    "DomainOptions",
    "GeneralOptions",
    "HTTPOptions",
    "Network",
    "S2SWebSocketOptions",
    "Services",
    "StaticRoute",
    "load",
    "reference",
]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services switched on; None is off."""

    http: HTTPOptions | None = None
    c2s_ws: C2SWebSocketOptions | None = None
    s2s_ws: S2SWebSocketOptions | None = None


@dataclass(frozen=True, kw_only=True)
class Config:
    """All that `file` says, checked. Domains are prepared (RFC 7622); modules stand in the order of the file."""

    file: Path
    data_dir: Path
    trust_anchors: tuple[Path, ...] = ()
    allow_private_addresses: tuple[Network, ...] = ()
    max_sessions: int = MAX_SESSIONS
    domains: Mapping[str, DomainOptions]
    services: Services = field(default_factory=Services)
    modules: Mapping[str, msgspec.Struct] = field(default_factory=dict)


_SERVICES: dict[str, type[Options]] = {
    "http": HTTPOptions,
    "c2s_ws": C2SWebSocketOptions,
    "s2s_ws": S2SWebSocketOptions,
}
_TABLES = ("domains", "services", "modules")


def load(file: Path, module_options: Mapping[str, type[msgspec.Struct]]) -> Config:
    """Read `file`. `module_options` has the options of every installed module by its name.

    Raises ConfigError, whose text names the file, the key, what was found, what was wanted and what to do.
    """
    top = read(file)
    general = _general(top)
    domains = _domains(top.table("domains"))
    return Config(
        file=file,
        data_dir=general.data_dir,
        trust_anchors=general.trust_anchors,
        allow_private_addresses=tuple(map(ipaddress.ip_network, general.allow_private_addresses)),
        max_sessions=general.max_sessions,
        domains=domains,
        services=_services(top, domains),
        modules=_modules(top.table("modules"), module_options),
    )


def reference(module_options: Mapping[str, type[msgspec.Struct]] = {}) -> str:
    """The configuration reference in Markdown, with the tables of the modules in `module_options`."""
    tables: list[tuple[str, type[msgspec.Struct]]] = [
        ("Top level", GeneralOptions),
        ('`[domains."example.org"]`', DomainOptions),
    ]
    tables += [(f"`[services.{name}]`", options) for name, options in _SERVICES.items()]
    tables += [(f"`[modules.{name}]`", options) for name, options in sorted(module_options.items())]
    return markdown(tables)


def _general(top: Table) -> GeneralOptions:
    top.check_names([*GeneralOptions.__struct_fields__, *_TABLES], "key")
    general = top.without(*_TABLES).convert(GeneralOptions)
    if not general.data_dir.is_dir():
        wanted, advice = "a directory that exists", f"Create it: mkdir -m 700 {general.data_dir}"
        raise top.error("data_dir", top.values["data_dir"], wanted, advice)
    for anchor in general.trust_anchors:
        _check_file(top, "trust_anchors", anchor)
    _check_each(top, "allow_private_addresses", ipaddress.ip_network, "networks such as 10.0.0.0/8 or fd00::/8")
    return general


def _domains(table: Table) -> dict[str, DomainOptions]:
    found = {}
    for name in table.values:
        domain = _prepared(table, name)
        if domain in found:
            raise table.error(name, name, "each domain once", f"It is another spelling of {domain}: remove one.")
        options = found[domain] = table.table(name).convert(DomainOptions)
        if options.certificate is not None:
            _check_file(table.table(name), "certificate", options.certificate)
    if not found:
        top = Table(table.file, "", {})
        raise top.error("domains", {}, "at least one domain", 'Add a table such as [domains."example.org"].')
    return found


def _services(top: Table, domains: Mapping[str, DomainOptions]) -> Services:
    table = top.table("services")
    table.check_names(_SERVICES, "service")
    http = _http(table.table("http")) if "http" in table.values else None
    if http is None and table.values:
        name, advice = next(iter(table.values)), "Add a [services.http] table: it owns the port of this service."
        raise table.error(name, table.values[name], "services.http beside it", advice)
    if http is not None and not http.behind_proxy:
        _check_certificates(top.table("domains"), domains)
    return Services(
        http=http,
        c2s_ws=_c2s_ws(table.table("c2s_ws"), domains) if "c2s_ws" in table.values else None,
        s2s_ws=_s2s_ws(table.table("s2s_ws"), domains) if "s2s_ws" in table.values else None,
    )


def _http(table: Table) -> HTTPOptions:
    http = table.convert(HTTPOptions)
    _check_endpoint(table, http.endpoint)
    if http.tls is False:
        raise table.error("tls", False, 'true or "behind-proxy"', "XMPP over plain HTTP exists only behind a proxy.")
    if http.behind_proxy and not _is_local(http.endpoint):
        advice = "Use tcp:PORT:interface=127.0.0.1 or unix:PATH; or let TLS end here with tls = true."
        raise table.error("endpoint", http.endpoint, "a loopback address or a Unix socket behind a proxy", advice)
    if http.public_url is not None and not (http.public_url.isascii() and _is_origin(http.public_url, "https")):
        advice = "Paths are added to it: leave out what follows the port, and the user; write the host in ASCII (xn--...)."
        raise table.error("public_url", http.public_url, "https://HOST[:PORT]", advice)
    _check_each(table, "public_addresses", ipaddress.ip_address, "IP addresses such as 203.0.113.7 or 2001:db8::7")
    _check_proxies(table, http)
    return http


def _check_proxies(table: Table, http: HTTPOptions) -> None:
    _check_each(table, "trusted_proxies", _proxy, 'networks such as 127.0.0.1/32, or "unix"')
    for name, value in (("client_certificate_header", http.client_certificate_header), ("proxy_protocol", http.proxy_protocol)):
        if value and not http.trusted_proxies:
            raise table.error(name, value, "trusted_proxies beside it", "List the proxies that are to be believed.")


def _proxy(text: str) -> object:
    return text == "unix" or ipaddress.ip_network(text)


def _c2s_ws(table: Table, domains: Mapping[str, DomainOptions]) -> C2SWebSocketOptions:
    options = table.convert(C2SWebSocketOptions)
    for origin in options.allowed_origins:
        if not _is_origin(origin, "https", "http"):
            advice = "Write it as the browser sends it in the header Origin."
            raise table.error("allowed_origins", origin, "an origin such as https://chat.example.org", advice)
    for domain in options.anonymous:
        if domain not in domains:
            advice = "Name a domain that has a [domains] table."
            raise table.error("anonymous", domain, f"one of {', '.join(domains)}", advice)
    if options.see_other_uri is not None and not _is_plain_url(options.see_other_uri, "wss"):
        advice = "A client may not be sent from TLS to a plain connection."
        raise table.error("see_other_uri", options.see_other_uri, "wss://HOST[:PORT]/PATH", advice)
    return options


def _s2s_ws(table: Table, domains: Mapping[str, DomainOptions]) -> S2SWebSocketOptions:
    options = table.without("static_routes").convert(S2SWebSocketOptions)
    routes = table.table("static_routes")
    found = {}
    for name in routes.values:
        domain = _prepared(routes, name)
        if domain in domains:
            raise routes.error(name, routes.values[name], "a domain served elsewhere", "This server serves it: remove it.")
        found[domain] = _static_route(routes, name)
    return msgspec.structs.replace(options, static_routes=found)


def _static_route(routes: Table, name: str) -> StaticRoute:
    value = routes.values[name]
    if isinstance(value, str):
        routes, value = Table(routes.file, routes.key, {name: {"url": value}}), value
    table = routes.table(name)
    route = table.convert(StaticRoute)
    if not _is_plain_url(route.url, "wss"):
        raise table.error("url", route.url, "wss://HOST[:PORT]/PATH", "Federation is never without TLS.")
    _check_each(table, "addresses", ipaddress.ip_address, "IP addresses such as 203.0.113.7 or 2001:db8::7")
    return route


def _modules(table: Table, known: Mapping[str, type[msgspec.Struct]]) -> dict[str, msgspec.Struct]:
    table.check_names(known, "module")
    return {name: table.table(name).convert(known[name]) for name in table.values}


def _prepared(table: Table, name: str) -> str:
    try:
        return prepare_domain(name)
    except JIDError as error:
        raise table.error(name, name, "a domain name (RFC 7622, 3.2)", f"{error}") from None


def _check_file(table: Table, name: str, path: Path) -> None:
    if not path.is_file():
        raise table.error(name, str(path), "a PEM file that exists", "Correct the path, or put the file there.")


def _check_certificates(table: Table, domains: Mapping[str, DomainOptions]) -> None:
    for name, options in zip(table.values, domains.values(), strict=True):
        if options.certificate is None:
            advice = 'Name a PEM file, or set services.http.tls to "behind-proxy".'
            raise table.error(name, table.values[name], "a certificate, because services.http.tls is true", advice)


def _check_each(table: Table, name: str, parse: Callable[[str], object], wanted: str) -> None:
    for text in table.values.get(name, ()):
        try:
            parse(text)
        except ValueError as error:
            raise table.error(name, text, wanted, f"{error}.") from None


def _check_endpoint(table: Table, endpoint: str) -> None:
    try:
        serverFromString(object(), endpoint)
    except (ValueError, TypeError, LookupError) as error:
        advice = f"Twisted says: {error}."
        raise table.error("endpoint", endpoint, "a server endpoint such as tcp:443", advice) from None
    if endpoint.startswith("ssl:"):
        advice = "Use tcp: instead; TLS is added by services.http.tls."
        raise table.error("endpoint", endpoint, "an endpoint without TLS of its own", advice)


def _is_local(endpoint: str) -> bool:
    kind, *arguments = (part.replace("\\", "") for part in re.split(r"(?<!\\):", endpoint))
    interface = next((text.removeprefix("interface=") for text in arguments if text.startswith("interface=")), "")
    try:
        return kind == "unix" or ipaddress.ip_address(interface).is_loopback
    except ValueError:
        return False


def _is_plain_url(text: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or parts.username or text.endswith(("?", "#")))
    return parts.scheme in schemes and bool(host) and plain


def _is_origin(text: str, *schemes: str) -> bool:
    return _is_plain_url(text, *schemes) and not urlsplit(text).path
