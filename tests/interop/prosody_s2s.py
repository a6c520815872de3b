"""Prosody, Debian's, as a server that others reach over TCP: STARTTLS on 5269, direct TLS on 5270, clients on 443."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.interop.processes import running
from tests.interop.prosody import register
from tests.interop.servers import Peer

__all__ = ["prosody_s2s"]

CONFIG = """\
pidfile = "{folder}/{domain}.pid"
data_path = "{folder}/{domain}.data"
daemonize = false
run_as_root = true
log = {{ {{ levels = {{ min = "debug" }}, to = "console" }} }}
interfaces = {{ "{address}" }}
c2s_ports = {{ }}
s2s_ports = {{ 5269 }}
s2s_direct_tls_ports = {{ 5270 }}
http_ports = {{ }}
https_ports = {{ 443 }}
https_interfaces = {{ "{address}" }}
consider_websocket_secure = true
s2s_require_encryption = true
s2s_secure_auth = {secure}
modules_enabled = {{ "disco"; "iq"; "message"; "ping"; "presence"; "roster"; "s2s"; "tls"; "websocket"; {modules} }}
authentication = "internal_hashed"
ssl = {{ certificate = "{certificate}"; key = "{certificate}"; cafile = "{authority}"; }}
VirtualHost "{domain}"
"""


@contextmanager
def prosody_s2s(
    folder: Path, domain: str, address: str, certificate: Path, authority: Path, *, dialback: bool = False
) -> Iterator[Peer]:
    """A running Prosody with bidi, and an account `juliet`. It knows either EXTERNAL alone, or `dialback` alone."""
    modules: Sequence[str] = ("legacyauth", "dialback") if dialback else ("saslauth", "s2s_auth_certs")
    config = folder / f"{domain}.cfg.lua"
    config.write_text(
        CONFIG.format(
            folder=folder,
            domain=domain,
            address=address,
            certificate=certificate,
            authority=authority,
            secure="false" if dialback else "true",
            modules="; ".join(f'"{module}"' for module in (*modules, "s2s_bidi")),
        )
    )
    (folder / f"{domain}.data").mkdir()
    register(config, "juliet", domain, "juliet")
    command = ["prosody", "--root", "--config", str(config), "-F"]
    with running(domain, command, folder, [5269, 5270, 443], host=address):
        yield Peer(domain=domain, log=folder / f"{domain}.log", address=address, authority=authority)
