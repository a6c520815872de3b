"""Prosody, Debian's: several domains in one process, for clients over WebSocket."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.processes import free_port, running
from tests.interop.scenario import Failure

__all__ = ["Prosody", "prosody", "register"]

CONFIG = """\
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
daemonize = false
run_as_root = true
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ }}
s2s_ports = {{ }}
http_interfaces = {{ "127.0.0.1" }}
https_interfaces = {{ "127.0.0.1" }}
http_ports = {{ {http_port} }}
https_ports = {{ {https_port} }}
https_ssl = {{ certificate = "{certificate}", key = "{certificate}" }}
consider_websocket_secure = true
modules_enabled = {{
    "roster"; "saslauth"; "disco"; "ping"; "smacks"; "carbons"; "websocket"; "message"; "presence"; "iq";
}}
modules_disabled = {{ "s2s" }}
authentication = "internal_hashed"
{hosts}
"""


@dataclass(frozen=True)
class Prosody:
    """Where it listens, always at `/xmpp-websocket`: with TLS, and plain for a proxy in front."""

    https_port: int
    http_port: int


@contextmanager
def prosody(folder: Path, accounts: Mapping[str, Mapping[str, str]], certificate: Path) -> Iterator[Prosody]:
    """A running Prosody. `accounts` has per domain the passwords by user."""
    server = Prosody(free_port(), free_port())
    config = folder / "prosody.cfg.lua"
    hosts = "\n".join(f'VirtualHost "{domain}"' for domain in accounts)
    config.write_text(
        CONFIG.format(
            folder=folder,
            hosts=hosts,
            certificate=certificate,
            http_port=server.http_port,
            https_port=server.https_port,
        )
    )
    (folder / "data").mkdir()
    for domain, users in accounts.items():
        for user, password in users.items():
            register(config, user, domain, password)
    ports = [server.https_port, server.http_port]
    with running("prosody", ["prosody", "--root", "--config", config, "-F"], folder, ports):
        yield server


def register(config: Path, user: str, domain: str, password: str) -> None:
    """Make an account at a Prosody that need not run yet."""
    command = ["prosodyctl", "--root", "--config", str(config), "register", user, domain, password]
    answer = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if answer.returncode != 0:
        raise Failure(f"prosodyctl register {user}@{domain}: {answer.stdout}{answer.stderr}")
