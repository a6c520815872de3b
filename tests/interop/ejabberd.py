"""ejabberd, Debian's, as a server that others reach: STARTTLS on 5269 or direct TLS on 5270, and clients on 443.

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
from tests.interop.servers import Host, Peer

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
  - {{ port: {port}, ip: {address}, module: ejabberd_s2s_in, tls: {direct_tls} }}
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
def ejabberd(folder: Path, host: Host, port: int = 5269, *, dialback: bool = False) -> Iterator[Peer]:
    """A running ejabberd with an account `juliet`. It knows EXTERNAL, and `dialback` if that is asked for."""
    libraries = next(Path("/usr/lib").glob("*/ejabberd-*/ebin"), None)
    if libraries is None:
        raise NotMet("ejabberd is not in /usr/lib")
    config, inetrc, log = folder / "ejabberd.yml", folder / "inetrc", folder / "ejabberd.log"
    config.write_text(
        CONFIG.format(
            domain=host.domain,
            address=host.address,
            certificate=host.certificate,
            authority=host.authority,
            port=port,
            direct_tls="true" if port == 5270 else "false",
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
    command = ["erl", "-noinput", "-mnesia", "dir", f'"{folder}/{host.domain}.data"', "-s", "ejabberd"]
    with running(host.domain, command, folder, [port, 443, 5280], environment, host=host.address):
        _register(host, "juliet")
        yield Peer(domain=host.domain, log=log, host=host)


def _register(host: Host, user: str) -> None:
    request = http.client.HTTPConnection(host.address, 5280, timeout=PATIENCE)
    request.request("POST", "/api/register", json.dumps({"user": user, "host": host.domain, "password": user}))
    response = request.getresponse()
    if response.status != 200:
        raise Failure(f"ejabberd's register {user}@{host.domain}: {response.status} {response.read()!r}")
