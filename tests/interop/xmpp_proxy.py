"""The real xmpp-proxy (AGPL: run, never read) in front of a Prosody, and ours; nothing but DNS and host-meta between them.

Prosody is told by a name server of its own that every other domain is xmpp-proxy's port for what leaves.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.interop.certificates import Certificates, issue
from tests.interop.documents import documents
from tests.interop.namespace import apart, name_server
from tests.interop.ours import Plan, ours
from tests.interop.processes import running
from tests.interop.prosody_s2s import BEHIND_XMPP_PROXY, prosody_s2s
from tests.interop.scenario import NotMet, Scenario, show
from tests.interop.servers import Host, converse_over

__all__ = ["SCENARIOS"]

OURS, PROXY, BACKEND = "one.example.org", "two.example.org", "backend.example.org"
ADDRESSES = {OURS: "127.0.0.2", PROXY: "127.0.0.3", BACKEND: "127.0.0.4"}
URL = f"wss://{PROXY}:5443/xmpp-websocket"
BUILT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "xmppfed/bin/xmpp-proxy"
"""Where scripts/install_peers.sh puts it."""
CONFIG = f"""\
incoming_listen = ["{ADDRESSES[PROXY]}:5443"]
outgoing_listen = ["{ADDRESSES[BACKEND]}:15270"]
s2s_target = "{ADDRESSES[BACKEND]}:5269"
proxy = false
max_stanza_size_bytes = 262144
log_level = "info,xmpp_proxy=trace"
"""
_STEERING = [f"_xmpp-server._tcp.{OURS} SRV 0 0 15270 {BACKEND}", f"{BACKEND} A {ADDRESSES[BACKEND]}"]


@contextmanager
def xmpp_proxy(folder: Path, certificates: Certificates) -> Iterator[None]:
    """A running xmpp-proxy for `PROXY`."""
    command = shutil.which("xmpp-proxy") or shutil.which(BUILT)
    if command is None:
        raise NotMet("xmpp-proxy from 1.1 on is not installed")
    config = folder / "xmpp-proxy.toml"
    pair = f'tls_key = "{certificates.hosts[PROXY]}"\ntls_cert = "{certificates.hosts[PROXY]}"\n'
    config.write_text(pair + CONFIG)
    environment = {"SSL_CERT_FILE": str(certificates.authority)}
    with running("xmpp-proxy", [command, config], folder, [5443], environment, host=ADDRESSES[PROXY]):
        yield


def _meet(folder: Path, found_by: str, streams: str) -> None:
    """Each finds the other's WebSocket by host-meta.json (XEP-0487), or by the TXT record that xmpp-proxy made up.

    `streams` is `two`, or by bidi one: `ours` or `theirs`.
    """
    certificates = issue(folder, OURS, PROXY)
    by_json = found_by == "host-meta.json"
    records = [f"{name} A {address}" for name, address in ADDRESSES.items()]
    if not by_json:
        urls = {OURS: f"wss://{OURS}/xmpp-websocket", PROXY: URL}
        records += [f"_xmppconnect-server.{name} TXT _xmpp-server-websocket={url}" for name, url in urls.items()]
    plan = Plan(
        domain=OURS,
        certificate=certificates.hosts[OURS],
        authority=certificates.authority,
        address=ADDRESSES[OURS],
        port=443,
        public=(ADDRESSES[OURS],) if by_json else (),
        trust="external",
    )
    with ExitStack() as stack:
        stack.enter_context(name_server(folder, records))
        stack.enter_context(name_server(folder, _STEERING, "127.0.0.53"))
        stack.enter_context(xmpp_proxy(folder, certificates))
        if by_json:
            published = {f"{PROXY}/.well-known/host-meta.json": json.dumps(_host_meta())}
            stack.enter_context(documents(ADDRESSES[PROXY], certificates.hosts[PROXY], published))
        host = Host(PROXY, ADDRESSES[BACKEND], certificates.hosts[PROXY], certificates.authority)
        backend = stack.enter_context(prosody_s2s(folder, host, BEHIND_XMPP_PROXY, bidi=streams != "two"))
        server = stack.enter_context(ours(folder, plan, "romeo"))
        converse_over(streams, server, backend, "EXTERNAL")
        show(f"s2s-ws through xmpp-proxy, found by {found_by}")


def _host_meta() -> dict[str, object]:
    """Section 4 of XEP-0487: what xmpp-proxy itself reads but does not publish."""
    link = {
        "rel": "urn:xmpp:alt-connections:s2s-websocket",
        "href": URL,
        "ips": [ADDRESSES[PROXY]],
        "priority": 5,
        "weight": 50,
        "sni": PROXY,
    }
    return {"xmpp": {"ttl": 300}, "links": [link]}


SCENARIOS = [
    Scenario(
        f"xmpp-proxy: s2s-ws found by {found_by}, streams: {streams}",
        apart(_meet, found_by, streams),
        ("unshare", "ip", "prosody"),
    )
    for found_by, streams in (("host-meta.json", "two"), ("TXT", "two"), ("host-meta.json", "ours"), ("TXT", "theirs"))
]
