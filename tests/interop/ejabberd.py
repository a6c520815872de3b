"""ejabberd, Debian's, over TCP: STARTTLS on 5269, direct TLS on 5270, clients over WebSocket on 443.

Erlang is started without its distribution, so that neither `epmd` nor a cookie is left behind.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.processes import PATIENCE, running
from tests.interop.scenario import Failure, NotMet
from tests.interop.servers import Peer

__all__ = ["ejabberd"]

CONFIG = """\
hosts: [{domain}]
loglevel: debug
certfiles: [{certificate}]
ca_file: {authority}
s2s_use_starttls: required
auth_password_format: plain
auth_method: internal
api_permissions:
  accounts: {{ from: mod_http_api, who: all, what: register }}
listen:
  - {{ port: 5269, ip: {address}, module: ejabberd_s2s_in }}
  - {{ port: 5270, ip: {address}, module: ejabberd_s2s_in, tls: true }}
  - {{ port: 443, ip: {address}, module: ejabberd_http, tls: true, request_handlers: {{ /xmpp-websocket: ejabberd_http_ws }} }}
  - {{ port: 5280, ip: {address}, module: ejabberd_http, request_handlers: {{ /api: mod_http_api }} }}
modules:
  mod_admin_extra: {{}}
  mod_disco: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
  {dialback}
"""
_INETRC = """\
{lookup, ["file", "dns"]}.
{host, {127, 0, 0, 1}, ["localhost"]}.
{nameserver, {127, 0, 0, 1}}.
{file, resolv, "/etc/resolv.conf"}.
{file, hosts, "/etc/hosts"}.
"""


@contextmanager
def ejabberd(
    folder: Path, domain: str, address: str, certificate: Path, authority: Path, *, dialback: bool = False
) -> Iterator[Peer]:
    """A running ejabberd with an account `juliet`. It knows EXTERNAL, and `dialback` if asked for."""
    libraries = next(Path("/usr/lib").glob("*/ejabberd-*/ebin"), None)
    if libraries is None:
        raise NotMet("ejabberd is not in /usr/lib")
    config, inetrc, log = folder / "ejabberd.yml", folder / "inetrc", folder / "ejabberd.log"
    config.write_text(
        CONFIG.format(
            domain=domain,
            address=address,
            certificate=certificate,
            authority=authority,
            dialback="mod_s2s_dialback: {}" if dialback else "",
        )
    )
    inetrc.write_text(_INETRC)
    environment = {
        "EJABBERD_CONFIG_PATH": str(config),
        "EJABBERD_LOG_PATH": str(log),
        "ERL_CRASH_DUMP": "/dev/null",
        "ERL_INETRC": str(inetrc),
        "ERL_LIBS": str(libraries.parent.parent),
        "HOME": str(folder),
    }
    command = ["erl", "-noinput", "-mnesia", "dir", f'"{folder}/{domain}.data"', "-s", "ejabberd"]
    with running(domain, command, folder, [5269, 5270, 443, 5280], environment, host=address):
        _register(address, "juliet", domain)
        yield Peer(domain=domain, log=log, address=address, authority=authority)


def _register(address: str, user: str, domain: str) -> None:
    request = http.client.HTTPConnection(address, 5280, timeout=PATIENCE)
    request.request("POST", "/api/register", json.dumps({"user": user, "host": domain, "password": user}))
    response = request.getresponse()
    if response.status != 200:
        raise Failure(f"ejabberd's register {user}@{domain}: {response.status} {response.read()!r}")
