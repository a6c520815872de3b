"""Prosody, Debian's: several domains in one process, for clients over WebSocket and TCP at the standard ports."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.interop.namespace import ADDRESSES
from tests.interop.processes import running
from tests.interop.scenario import Failure

__all__ = ["prosody", "register"]

CONFIG = """\
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
daemonize = false
run_as_root = true
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ {addresses} }}
c2s_ports = {{ 5222 }}
c2s_direct_tls_ports = {{ 5223 }}
s2s_ports = {{ }}
https_interfaces = {{ {addresses} }}
http_ports = {{ }}
https_ports = {{ 443 }}
ssl = {{ certificate = "{certificate}", key = "{certificate}" }}
https_ssl = {{ certificate = "{certificate}", key = "{certificate}" }}
modules_enabled = {{
    "roster"; "saslauth"; "tls"; "disco"; "ping"; "carbons"; "websocket"; "message"; "presence"; "iq";
    "blocklist"; "pep"; "private"; "vcard_legacy";
}}
modules_disabled = {{ "s2s" }}
authentication = "internal_hashed"
{hosts}
"""


@contextmanager
def prosody(folder: Path, accounts: Mapping[str, Mapping[str, str]], certificate: Path) -> Iterator[None]:
    """A running Prosody at the addresses of the domains. `accounts` has per domain the passwords by user."""
    addresses = [ADDRESSES[domain] for domain in accounts]
    config = folder / "prosody.cfg.lua"
    config.write_text(
        CONFIG.format(
            folder=folder,
            hosts="\n".join(f'VirtualHost "{domain}"' for domain in accounts),
            addresses=", ".join(f'"{address}"' for address in addresses),
            certificate=certificate,
        )
    )
    (folder / "data").mkdir()
    for domain, users in accounts.items():
        for user, password in users.items():
            register(config, user, domain, password)
    ports = [443, 5222, 5223]
    with running("prosody", ["prosody", "--root", "--config", config, "-F"], folder, ports, host=addresses[-1]):
        yield


def register(config: Path, user: str, domain: str, password: str) -> None:
    """Make an account at a Prosody that need not run yet."""
    command = ["prosodyctl", "--root", "--config", str(config), "register", user, domain, password]
    answer = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if answer.returncode != 0:
        raise Failure(f"prosodyctl register {user}@{domain}: {answer.stdout}{answer.stderr}")
