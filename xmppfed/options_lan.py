"""The typed table of the gateway to the local network in the configuration, and what has to hold for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from xmppfed.checks import check_endpoint, prepared
from xmppfed.core.jid import JID
from xmppfed.errors import JIDError
from xmppfed.options import DomainOptions
from xmppfed.tables import Options, Table

__all__ = ["LanGatewayOptions", "read_lan_gateway"]

_PORT = re.compile(r"tcp6?:(?:port=)?([1-9][0-9]{0,4})(?::.*)?")


class LanGatewayOptions(Options, frozen=True):
    """People on the local network, found by multicast DNS (XEP-0174), are contacts of accounts that are listed here, and these
    accounts are seen on the network while they are available. It needs `pip install 'xmppfed[linklocal]'`."""

    users: Annotated[
        tuple[str, ...],
        Meta(
            description="The accounts that see the local network and are seen there, as `NAME@MACHINE`. Nobody else does, or is.",
            examples=[["juliet@example.org"]],
        ),
    ] = ()
    endpoint: Annotated[
        str,
        Meta(
            description="Where to listen, as a Twisted server endpoint of the kind `tcp` or `tcp6` with a port; `tcp6` takes "
            "IPv4 as well, and `tcp` is for machines without IPv6.",
            examples=["tcp:5298"],
        ),
    ] = "tcp6:5298"
    domain: Annotated[
        str,
        Meta(
            description="What stands behind the `@` of the people on the network, in the roster of the accounts. It exists on "
            "this server alone, and nothing for it ever goes to another one.",
            examples=["lan.example.org"],
        ),
    ] = "local"
    trust: Annotated[
        Literal["plain", "first-use", "verified", "paired"],
        Meta(
            description="What people on the network have to show at least, as for a listener; `plain` lets in Pidgin and other "
            "programs that know no encryption.",
            examples=["plain"],
        ),
    ] = "first-use"
    interfaces: Annotated[
        tuple[str, ...],
        Meta(
            description="Names or addresses of the interfaces whose networks are meant; all but loopback where none is given.",
            examples=[["eth0", "192.0.2.7"]],
        ),
    ] = ()
    machine: Annotated[
        str,
        Meta(description="What this machine is called on the network; its host name if nothing is given.", examples=["pronto"]),
    ] = ""
    nicks: Annotated[
        dict[str, str],
        Meta(
            description="Nicknames to publish, by account. Of a person nothing else is published but name and status.",
            examples=[{"juliet@example.org": "Juliet"}],
        ),
    ] = msgspec.field(default_factory=dict)
    publish_status_text: Annotated[
        bool,
        Meta(
            description="Whether everybody on the network may read what somebody writes as a status, and not only `away`.",
            examples=[True],
        ),
    ] = False
    max_contacts: Annotated[int, Meta(ge=1, description="How many people on the network are shown at most.", examples=[50])] = 200

    @property
    def port(self) -> int:
        """Where others connect to."""
        found = _PORT.fullmatch(self.endpoint)
        return int(found[1]) if found else 0


def read_lan_gateway(table: Table, domains: Mapping[str, DomainOptions]) -> LanGatewayOptions:
    """The table `[services.e2e.lan_gateway]`, checked. Raises ConfigError."""
    options = table.convert(LanGatewayOptions)
    check_endpoint(table, "endpoint", options.endpoint)
    if not options.port:
        advice = "The port is published, so it has to stand there."
        raise table.error("endpoint", options.endpoint, "tcp:PORT or tcp6:PORT", advice)
    domain = prepared(Table(table.file, table.key_of("domain"), {}), options.domain)
    if domain in domains:
        raise table.error("domain", options.domain, "a domain that nobody serves", "Take another one, such as local.")
    users = tuple(_user(table, "users", user, domains) for user in options.users)
    nicks = {_user(table, "nicks", user, domains): nick for user, nick in options.nicks.items()}
    return msgspec.structs.replace(options, domain=domain, users=users, nicks=nicks)


def _user(table: Table, name: str, address: str, domains: Mapping[str, DomainOptions]) -> str:
    """An account of this server, prepared."""
    try:
        jid = JID.parse(address)
    except JIDError as error:
        raise table.error(name, address, "accounts such as juliet@example.org", f"{error}") from None
    if not jid.local or jid.resource or jid.domain not in domains:
        raise table.error(name, address, "accounts of this server, such as juliet@example.org", "Correct it, or remove it.")
    return str(jid)
