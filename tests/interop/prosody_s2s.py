"""Prosody, Debian's, as a server that others reach: STARTTLS on 5269 or direct TLS on 5270, and clients on 443."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.processes import running
from tests.interop.prosody import register
from tests.interop.servers import Host, Peer

__all__ = ["BEHIND_XMPP_PROXY", "DIALBACK", "EXTERNAL", "STEERED", "Setup", "prosody_s2s"]

CONFIG = """\
pidfile = "{folder}/{domain}.pid"
data_path = "{folder}/{domain}.data"
daemonize = false
run_as_root = true
log = {{ {{ levels = {{ min = "debug" }}, to = "console" }} }}
interfaces = {{ "{address}" }}
c2s_ports = {{ }}
s2s_ports = {{ {starttls} }}
s2s_direct_tls_ports = {{ {direct_tls} }}
http_ports = {{ }}
https_ports = {{ 443 }}
https_interfaces = {{ "{address}" }}
consider_websocket_secure = true
{options}
modules_enabled = {{ "disco"; "iq"; "message"; "ping"; "presence"; "roster"; "s2s"; "websocket"; {modules} }}
authentication = "internal_hashed"
ssl = {{ certificate = "{certificate}"; key = "{certificate}"; cafile = "{authority}"; }}
VirtualHost "{domain}"
"""


@dataclass(frozen=True)
class Setup:
    """How it proves itself to others, and wants them to: modules and lines of the configuration."""

    modules: tuple[str, ...]
    options: str


EXTERNAL = Setup(("tls", "saslauth", "s2s_auth_certs"), "s2s_require_encryption = true s2s_secure_auth = true")
DIALBACK = Setup(("tls", "legacyauth", "dialback"), "s2s_require_encryption = true s2s_secure_auth = false")
"""Without SASL: clients log in by XEP-0078."""
_STEERED = 'unbound = { resolvconf = false; forward = "127.0.0.53" }'
STEERED = Setup(("tls", "saslauth", "dialback"), f"s2s_require_encryption = true s2s_secure_auth = false {_STEERED}")
"""Behind a gateway of ours, as the manual says: a name server of its own tells it where to send what is for others."""
BEHIND_XMPP_PROXY = Setup(
    ("saslauth", "behind_xmpp_proxy"),
    f'plugin_paths = {{ "{Path(__file__).parent / "prosody_plugins"}" }} s2s_require_encryption = false {_STEERED}',
)
"""Encryption and proofs are somebody else's."""


@contextmanager
def prosody_s2s(folder: Path, host: Host, setup: Setup, port: int = 5269, *, bidi: bool = False) -> Iterator[Peer]:
    """A running Prosody with an account `juliet`, which other servers reach at `port` alone."""
    modules = (*setup.modules, *(["s2s_bidi"] if bidi else []))
    config, data = folder / f"{host.domain}.cfg.lua", folder / f"{host.domain}.data"
    config.write_text(
        CONFIG.format(
            folder=folder,
            domain=host.domain,
            address=host.address,
            certificate=host.certificate,
            authority=host.authority,
            starttls="" if port == 5270 else port,
            direct_tls=port if port == 5270 else "",
            options=setup.options,
            modules="; ".join(f'"{module}"' for module in modules),
        )
    )
    data.mkdir()
    register(config, "juliet", host.domain, "juliet")
    command = ["prosody", "--root", "--config", str(config), "-F"]
    with running(host.domain, command, folder, [port, 443], host=host.address):
        yield Peer(domain=host.domain, log=folder / f"{host.domain}.log", host=host)
