"""The configuration: one TOML file, read into frozen values, or refused with a reason.

Defaults are safe; a dangerous choice has a name that says so. There is no switch to trust everybody: a private
authority is named in `trust_anchors`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import msgspec

from xmppfed.checks import check_each, check_endpoint, check_file, is_backend, is_local, is_origin, is_plain_url, prepared
from xmppfed.options import (
    MAX_SESSIONS,
    C2STCPOptions,
    C2SWebSocketOptions,
    ClientOptions,
    DomainOptions,
    FederationOptions,
    GatewayOptions,
    GatewayServiceOptions,
    GeneralOptions,
    HTTPOptions,
    S2STCPOptions,
    S2SWebSocketOptions,
    StaticRoute,
)
from xmppfed.options_e2e import E2EListenerOptions, E2EOptions, read_e2e
from xmppfed.options_lan import LanGatewayOptions
from xmppfed.reference import markdown
from xmppfed.tables import Options, Table, read

__all__ = [
    "C2STCPOptions",
    "C2SWebSocketOptions",
    "Config",
    "DomainOptions",
    "E2EOptions",
    "FederationOptions",
    "GatewayOptions",
    "GatewayServiceOptions",
    "GeneralOptions",
    "HTTPOptions",
    "Network",
    "S2STCPOptions",
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
    c2s_tcp: C2STCPOptions | None = None
    s2s_ws: S2SWebSocketOptions | None = None
    s2s_tcp: S2STCPOptions | None = None
    gateway: GatewayServiceOptions | None = None
    e2e: E2EOptions | None = None

    @property
    def serve_clients(self) -> bool:
        """Whether clients can log in by any of them."""
        return self.c2s_ws is not None or self.c2s_tcp is not None

    @property
    def federate(self) -> bool:
        """Whether any of them speaks to other servers."""
        return self.s2s_ws is not None or self.s2s_tcp is not None

    def endpoints(self) -> dict[str, str]:
        """Where they listen, by the key that says so."""
        found = {} if self.http is None else {"services.http.endpoint": self.http.endpoint}
        for name, options in (("c2s_tcp", self.c2s_tcp), ("s2s_tcp", self.s2s_tcp)):
            if options is not None:
                found[f"services.{name}.endpoint"] = options.endpoint
                found[f"services.{name}.direct_tls_endpoint"] = options.direct_tls_endpoint
        if self.e2e is not None:
            found |= {f"services.e2e.listeners.{name}.endpoint": one.endpoint for name, one in self.e2e.listeners.items()}
            if self.e2e.lan_gateway is not None:
                found["services.e2e.lan_gateway.endpoint"] = self.e2e.lan_gateway.endpoint
        return {key: endpoint for key, endpoint in found.items() if endpoint}


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
    federation: FederationOptions = field(default_factory=FederationOptions)
    gateways: Mapping[str, GatewayOptions] = field(default_factory=dict)
    modules: Mapping[str, msgspec.Struct] = field(default_factory=dict)


_SERVICES: dict[str, type[Options]] = {
    "http": HTTPOptions,
    "c2s_ws": C2SWebSocketOptions,
    "c2s_tcp": C2STCPOptions,
    "s2s_ws": S2SWebSocketOptions,
    "s2s_tcp": S2STCPOptions,
    "gateway": GatewayServiceOptions,
    "e2e": E2EOptions,
}
_TABLES = ("domains", "services", "federation", "gateways", "modules")


def load(file: Path, module_options: Mapping[str, type[msgspec.Struct]]) -> Config:
    """Read `file`. `module_options` has the options of every installed module by its name.

    Raises ConfigError, whose text names the file, the key, what was found, what was wanted and what to do.
    """
    top = read(file)
    general = _general(top)
    domains = _domains(top.table("domains"))
    services = _services(top, domains)
    return Config(
        file=file,
        data_dir=general.data_dir,
        trust_anchors=general.trust_anchors,
        allow_private_addresses=tuple(map(ipaddress.ip_network, general.allow_private_addresses)),
        max_sessions=general.max_sessions,
        domains=domains,
        services=services,
        federation=_federation(top.table("federation"), domains, services),
        gateways=_gateways(top.table("gateways"), domains, services),
        modules=_modules(top.table("modules"), module_options),
    )


def reference(module_options: Mapping[str, type[msgspec.Struct]] = {}) -> str:
    """The configuration reference in Markdown, with the tables of the modules in `module_options`."""
    tables: list[tuple[str, type[msgspec.Struct]]] = [
        ("Top level", GeneralOptions),
        ('`[domains."example.org"]`', DomainOptions),
    ]
    tables += [(f"`[services.{name}]`", options) for name, options in _SERVICES.items()]
    tables.append(("`[services.e2e.listeners.lan]`", E2EListenerOptions))
    tables.append(("`[services.e2e.lan_gateway]`", LanGatewayOptions))
    tables.append(("`[federation]`", FederationOptions))
    tables.append(('`[gateways."example.net"]`', GatewayOptions))
    tables += [(f"`[modules.{name}]`", options) for name, options in sorted(module_options.items())]
    return markdown(tables)


def _general(top: Table) -> GeneralOptions:
    top.check_names([*GeneralOptions.__struct_fields__, *_TABLES], "key")
    general = top.without(*_TABLES).convert(GeneralOptions)
    if not general.data_dir.is_dir():
        wanted, advice = "a directory that exists", f"Create it: mkdir -m 700 {general.data_dir}"
        raise top.error("data_dir", top.values["data_dir"], wanted, advice)
    for anchor in general.trust_anchors:
        check_file(top, "trust_anchors", anchor)
    check_each(top, "allow_private_addresses", ipaddress.ip_network, "networks such as 10.0.0.0/8 or fd00::/8")
    return general


def _domains(table: Table) -> dict[str, DomainOptions]:
    found = {}
    for name in table.values:
        domain = prepared(table, name)
        if domain in found:
            raise table.error(name, name, "each domain once", f"It is another spelling of {domain}: remove one.")
        options = found[domain] = table.table(name).convert(DomainOptions)
        if options.certificate is not None:
            check_file(table.table(name), "certificate", options.certificate)
    if not found:
        top = Table(table.file, "", {})
        raise top.error("domains", {}, "at least one domain", 'Add a table such as [domains."example.org"].')
    return found


def _services(top: Table, domains: Mapping[str, DomainOptions]) -> Services:
    table = top.table("services")
    table.check_names(_SERVICES, "service")
    for name in ("c2s_ws", "s2s_ws"):
        if name in table.values and "http" not in table.values:
            advice = "Add a [services.http] table: it owns the port of this service."
            raise table.error(name, table.values[name], "services.http beside it", advice)
    services = Services(
        http=_http(table.table("http")) if "http" in table.values else None,
        c2s_ws=_c2s_ws(table.table("c2s_ws"), domains) if "c2s_ws" in table.values else None,
        c2s_tcp=_c2s_tcp(table.table("c2s_tcp"), domains) if "c2s_tcp" in table.values else None,
        s2s_ws=table.table("s2s_ws").convert(S2SWebSocketOptions) if "s2s_ws" in table.values else None,
        s2s_tcp=_s2s_tcp(table.table("s2s_tcp")) if "s2s_tcp" in table.values else None,
        gateway=_gateway(table.table("gateway")) if "gateway" in table.values else None,
        e2e=read_e2e(table.table("e2e"), domains, http="http" in table.values) if "e2e" in table.values else None,
    )
    _check_certificates(top.table("domains"), domains, services)
    return services


def _http(table: Table) -> HTTPOptions:
    http = table.convert(HTTPOptions)
    check_endpoint(table, "endpoint", http.endpoint)
    if http.tls is False:
        raise table.error("tls", False, 'true or "behind-proxy"', "XMPP over plain HTTP exists only behind a proxy.")
    if http.behind_proxy and not is_local(http.endpoint):
        advice = "Use tcp:PORT:interface=127.0.0.1 or unix:PATH; or let TLS end here with tls = true."
        raise table.error("endpoint", http.endpoint, "a loopback address or a Unix socket behind a proxy", advice)
    if http.public_url is not None and not (http.public_url.isascii() and is_origin(http.public_url, "https")):
        advice = "Paths are added to it: leave out what follows the port, and the user; write the host in ASCII (xn--...)."
        raise table.error("public_url", http.public_url, "https://HOST[:PORT]", advice)
    check_each(table, "public_addresses", ipaddress.ip_address, "IP addresses such as 203.0.113.7 or 2001:db8::7")
    _check_proxies(table, http)
    return http


def _check_proxies(table: Table, http: HTTPOptions) -> None:
    check_each(table, "trusted_proxies", _listed, 'networks such as 127.0.0.1/32, or "unix"')
    for name, value in (("client_certificate_header", http.client_certificate_header), ("proxy_protocol", http.proxy_protocol)):
        if value and not http.trusted_proxies:
            raise table.error(name, value, "trusted_proxies beside it", "List the proxies that are to be believed.")


def _listed(text: str) -> object:
    return text == "unix" or ipaddress.ip_network(text)


def _c2s_ws(table: Table, domains: Mapping[str, DomainOptions]) -> C2SWebSocketOptions:
    options = table.convert(C2SWebSocketOptions)
    for origin in options.allowed_origins:
        if not is_origin(origin, "https", "http"):
            advice = "Write it as the browser sends it in the header Origin."
            raise table.error("allowed_origins", origin, "an origin such as https://chat.example.org", advice)
    _check_anonymous(table, options, domains)
    if options.see_other_uri is not None and not is_plain_url(options.see_other_uri, "wss"):
        advice = "A client may not be sent from TLS to a plain connection."
        raise table.error("see_other_uri", options.see_other_uri, "wss://HOST[:PORT]/PATH", advice)
    return options


def _c2s_tcp(table: Table, domains: Mapping[str, DomainOptions]) -> C2STCPOptions:
    options = table.convert(C2STCPOptions)
    _check_endpoints(table, options)
    if not (options.endpoint or options.direct_tls_endpoint):
        advice = "Name a port, or remove the table."
        raise table.error("endpoint", "", "a server endpoint here or in direct_tls_endpoint", advice)
    _check_anonymous(table, options, domains)
    return options


def _s2s_tcp(table: Table) -> S2STCPOptions:
    options = table.convert(S2STCPOptions)
    _check_endpoints(table, options)
    return options


def _gateway(table: Table) -> GatewayServiceOptions:
    options = table.convert(GatewayServiceOptions)
    check_endpoint(table, "endpoint", options.endpoint)
    check_each(table, "peers", _listed, 'networks such as 10.0.0.5/32, or "unix"')
    if not (options.tls or is_local(options.endpoint)):
        wanted, advice = "a loopback address or a Unix socket without TLS", "Use tcp:PORT:interface=127.0.0.1, or tls = true."
        raise table.error("endpoint", options.endpoint, wanted, advice)
    return options


def _gateways(table: Table, domains: Mapping[str, DomainOptions], services: Services) -> dict[str, GatewayOptions]:
    found = {}
    for name in table.values:
        domain, entry = prepared(table, name), table.table(name)
        if domain in domains:
            raise table.error(name, table.values[name], "a domain that another server serves", "Remove it here or in [domains].")
        if services.e2e is not None and services.e2e.lan_gateway is not None and domain == services.e2e.lan_gateway.domain:
            advice = "Give services.e2e.lan_gateway another domain: nothing for that one goes to another server."
            raise table.error(name, table.values[name], "a domain that another server serves", advice)
        options = found[domain] = entry.convert(GatewayOptions)
        for key, where in (("backend", options.backend), ("clients", options.clients)):
            if not (is_backend(where) or (key, where) == ("clients", "")):
                wanted, advice = "xmpp://HOST[:PORT], xmpps://HOST[:PORT], tcp:127.0.0.1:PORT or unix:PATH", "Correct it."
                raise entry.error(key, where, wanted, advice)
        if options.clients and services.c2s_ws is None:
            advice = "Add a [services.c2s_ws] table: it takes the clients."
            raise entry.error("clients", options.clients, "services.c2s_ws beside it", advice)
        if options.certificate is not None:
            check_file(entry, "certificate", options.certificate)
    if found and not (services.federate and services.gateway is not None):
        wanted, advice = "services.gateway, and services.s2s_ws or services.s2s_tcp, beside it", "Add what is missing."
        raise table.error(next(iter(table.values)), next(iter(table.values.values())), wanted, advice)
    return found


def _federation(table: Table, domains: Mapping[str, DomainOptions], services: Services) -> FederationOptions:
    options = table.without("static_routes").convert(FederationOptions)
    by_domain = table.table("trust_by_domain")
    trust = {prepared(by_domain, name): value for name, value in options.trust_by_domain.items()}
    routes = table.table("static_routes")
    found = {}
    for name in routes.values:
        domain = prepared(routes, name)
        if domain in domains:
            raise routes.error(name, routes.values[name], "a domain served elsewhere", "This server serves it: remove it.")
        found[domain] = _static_route(routes, name, services)
    return msgspec.structs.replace(options, static_routes=found, trust_by_domain=trust)


def _static_route(routes: Table, name: str, services: Services) -> StaticRoute:
    value = routes.values[name]
    if isinstance(value, str):
        routes, value = Table(routes.file, routes.key, {name: {"url": value}}), value
    table = routes.table(name)
    route = table.convert(StaticRoute)
    if not (is_plain_url(route.url, "wss") or is_origin(route.url, "xmpp", "xmpps")):
        wanted, advice = "wss://HOST[:PORT]/PATH, xmpp://HOST[:PORT] or xmpps://HOST[:PORT]", "Federation is never without TLS."
        raise table.error("url", route.url, wanted, advice)
    way = "s2s_ws" if route.url.startswith("wss:") else "s2s_tcp"
    if getattr(services, way) is None:
        raise table.error("url", route.url, f"services.{way} beside it", f"Add a [services.{way}] table: it goes that way.")
    check_each(table, "addresses", ipaddress.ip_address, "IP addresses such as 203.0.113.7 or 2001:db8::7")
    return route


def _modules(table: Table, known: Mapping[str, type[msgspec.Struct]]) -> dict[str, msgspec.Struct]:
    table.check_names(known, "module")
    return {name: table.table(name).convert(known[name]) for name in table.values}


def _check_certificates(table: Table, domains: Mapping[str, DomainOptions], services: Services) -> None:
    key = _tls_ended(services)
    for name, options in zip(table.values, domains.values(), strict=True):
        if key is not None and options.certificate is None:
            advice = 'Name a PEM file, or have TLS end elsewhere: services.http can have tls = "behind-proxy".'
            raise table.error(name, table.values[name], f"a certificate, because of {key}", advice)


def _tls_ended(services: Services) -> str | None:
    """The key by which this server ends TLS, and needs a certificate for each domain."""
    behind_proxy = services.http is not None and services.http.behind_proxy
    others = ("services.e2e.", "services.http.") if behind_proxy else ("services.e2e.",)
    return next((key for key in services.endpoints() if not key.startswith(others)), None)


def _check_endpoints(table: Table, options: C2STCPOptions | S2STCPOptions) -> None:
    if options.endpoint:
        check_endpoint(table, "endpoint", options.endpoint)
    if options.direct_tls_endpoint:
        check_endpoint(table, "direct_tls_endpoint", options.direct_tls_endpoint)


def _check_anonymous(table: Table, options: ClientOptions, domains: Mapping[str, DomainOptions]) -> None:
    for domain in options.anonymous:
        if domain not in domains:
            advice = "Name a domain that has a [domains] table."
            raise table.error("anonymous", domain, f"one of {', '.join(domains)}", advice)
