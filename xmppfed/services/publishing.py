"""What the configuration says is public, as the documents below `/.well-known/`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from twisted.web.resource import Resource

from xmppfed.config import Config
from xmppfed.core.identity import ascii_domain
from xmppfed.discovery.hostmeta import REL, REL_TLS
from xmppfed.errors import ConfigError
from xmppfed.net.tls import ServerContexts
from xmppfed.options import C2STCPOptions, HTTPOptions, S2STCPOptions
from xmppfed.services.merging import NO_BASE, Base
from xmppfed.services.wellknown import REL_C2S, REL_C2S_TLS, Offer, documents, well_known

__all__ = ["published"]

_TCP = re.compile(r"tcp6?:(?:port=)?([0-9]+)\b")


def published(config: Config, options: HTTPOptions, contexts: ServerContexts | None) -> Resource:
    """The resource for `/.well-known` of the HTTPS port. Raises ConfigError, which names the key or the file."""
    if options.posh and contexts is None:
        wanted = "a `certificate` in the table of a domain at least, to publish the fingerprint of"
        raise ConfigError(f"services.http.posh: found true, and no certificate; wanted {wanted}")
    first = next(iter(config.domains))
    made = documents(
        list(_offers(config)),
        public_url=options.public_url or f"https://{ascii_domain(first) or first}",
        public_addresses=options.public_addresses,
        base=NO_BASE if options.host_meta_base is None else Base.read(options.host_meta_base),
    )
    return well_known(made, contexts.leaves if options.posh and contexts is not None else None)


def _offers(config: Config) -> Iterator[Offer]:
    """The ways in, those for clients first: some clients take the first link that they know."""
    services = config.services
    if services.c2s_ws is not None:
        yield Offer(REL_C2S)
    if services.s2s_ws is not None:
        yield Offer(REL)
    yield from _port(REL_C2S_TLS, services.c2s_tcp)
    yield from _port(REL_TLS, services.s2s_tcp)


def _port(rel: str, options: C2STCPOptions | S2STCPOptions | None) -> Iterator[Offer]:
    """The port that begins with TLS, where the endpoint has a number."""
    if options is not None and (port := _TCP.match(options.direct_tls_endpoint)):
        yield Offer(rel, int(port[1]))
