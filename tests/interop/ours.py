"""Our own server as others run it: `twistd xmppfed` with a configuration file, in a process of its own."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.interop.certificates import Certificates
from tests.interop.client import Client
from tests.interop.namespace import ADDRESSES
from tests.interop.processes import PATIENCE, free_port, running, wait_until
from tests.interop.scenario import Failure
from tests.interop.servers import Server
from xmppfed.new_server import MODULE_TABLES

__all__ = ["Ours", "Plan", "at_home", "ours"]

_TWISTD = "from twisted.scripts.twistd import run; run()"
_CONFIG = """\
data_dir = "{domain}"
trust_anchors = ["{authority}"]
allow_private_addresses = ["127.0.0.0/8"]

{domains}

[services.http]
endpoint = "tcp:{port}:interface={address}"
tls = {tls}
{proxies}
public_addresses = {public}

[services.c2s_ws]

[services.s2s_ws]

{tcp}

[federation]
trust = "{trust}"

[federation.static_routes]
{routes}

{modules}

{tables}
"""
_DOMAIN = """\
[domains."{}"]
certificate = "{}"
"""


_PROXIES = """\
trusted_proxies = ["127.0.0.0/8"]
client_certificate_header = "{}"
"""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A server to be: a domain (and `others`, with their certificates) at `address` and `port`; its `routes` are at 127.0.0.1.

    Clients find it at `public_port`, by the name `shown`, which differ behind a proxy and with a wrong certificate.
    """

    domain: str
    certificate: Path
    authority: Path
    routes: Mapping[str, str] = field(default_factory=dict)
    trust: str = "external-or-dialback"
    behind_proxy: bool = False
    client_certificate_header: str = ""
    proxy_protocol: str = ""
    """The address of the proxy that speaks it."""
    address: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    public_port: int = 0
    shown: str = ""
    public: tuple[str, ...] = ()
    tcp_ports: tuple[int, ...] = ()
    others: Mapping[str, Path] = field(default_factory=dict)
    tables: str = ""

    @property
    def url(self) -> str:
        """Where other servers find it."""
        return f"wss://{self.domain}:{self.public_port or self.port}/xmpp-websocket"

    def config(self) -> str:
        """The configuration file."""
        return _CONFIG.format(
            modules=MODULE_TABLES,
            domain=self.domain,
            domains="\n".join(_DOMAIN.format(*item) for item in ((self.domain, self.certificate), *self.others.items())),
            authority=self.authority,
            port=self.port,
            address=self.address,
            tls='"behind-proxy"' if self.behind_proxy else "true",
            proxies=self._proxies(),
            public=json.dumps(self.public),
            trust=self.trust,
            tcp=self._tcp(),
            tables=self.tables,
            routes="\n".join(f'"{to}" = {{ url = "{url}", addresses = ["127.0.0.1"] }}' for to, url in self.routes.items()),
        )

    def _proxies(self) -> str:
        if self.proxy_protocol:
            return f'proxy_protocol = true\ntrusted_proxies = ["{self.proxy_protocol}/32"]'
        return _PROXIES.format(self.client_certificate_header) if self.client_certificate_header else ""

    def _tcp(self) -> str:
        """The service for servers over TCP: those that come to 5270 begin with TLS."""
        if not self.tcp_ports:
            return ""
        starttls, direct = (f"tcp:{port}:interface={self.address}" if port in self.tcp_ports else "" for port in (5269, 5270))
        return f'[services.s2s_tcp]\nendpoint = "{starttls}"\ndirect_tls_endpoint = "{direct}"'


def at_home(domain: str, certificates: Certificates, **more: Any) -> Plan:
    """The plan of a server at the standard port of the address that `namespace.ADDRESSES` has for its domain."""
    certificate, authority = certificates.hosts[domain], certificates.authority
    return Plan(domain=domain, certificate=certificate, authority=authority, address=ADDRESSES[domain], port=443, **more)


@dataclass(frozen=True, kw_only=True)
class Ours(Server):
    """A running server of ours and its process."""

    plan: Plan
    folder: Path
    process: subprocess.Popen[bytes]
    clients: list[Client] = field(default_factory=list)
    """Those who must be gone before the server stops: they would not answer its closing."""

    def must_have_reached(self, other: Ours, mechanism: str) -> None:
        """Wait until a stream to `other` is authenticated, and its way back is used by `other` (XEP-0288)."""
        here, there = self.plan.domain, other.plan.domain
        self.must_say(f"stream from {here} to {there} is established by {mechanism}")
        other.must_say(f"server {here} authenticated by {mechanism}")
        other.must_say(f"stanzas from {there} to {here} may go back on its stream")

    def add(self, user: str) -> None:
        """Make an account whose password is its name."""
        self.command("user/add", address=f"{user}@{self.plan.domain}", password=user)

    def client(self, user: str) -> Client:
        """Log an account in that `add` made."""
        plan = self.plan
        port = plan.public_port or plan.port
        client = Client.log_in(user, user, plan.domain, port, plan.authority, host=plan.shown, address=plan.address)
        self.clients.append(client)
        return client

    def answers(self) -> bool:
        """Whether the control socket answers; everything else listens by then."""
        try:
            self.command("status")
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def command(self, name: str, **arguments: str) -> Any:
        """What the control socket answers."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self.folder / self.plan.domain / "control.sock"))
            request = http.client.HTTPConnection("localhost")
            request.sock = connection
            request.request("POST", f"/{name}", json.dumps(arguments))
            response = request.getresponse()
            answer = response.read()
        if response.status != 200:
            raise Failure(f"{name} was refused: {answer!r}")
        return json.loads(answer)


@contextmanager
def ours(folder: Path, plan: Plan, *users: str, name: str = "") -> Iterator[Ours]:
    """A running server with accounts for `users`. With another `name` it can be started again in the same folder."""
    config = folder / f"{plan.domain}.toml"
    config.write_text(plan.config())
    (folder / plan.domain).mkdir(exist_ok=True)
    name = name or plan.domain
    arguments = [sys.executable, "-c", _TWISTD, "--nodaemon", "--pidfile=", "xmppfed", "--config", str(config)]
    with running(name, arguments, folder, []) as process:
        server = Ours(domain=plan.domain, log=folder / f"{name}.log", plan=plan, folder=folder, process=process)

        def ready() -> bool:
            if process.poll() is not None:
                log = server.log.read_text(errors="replace")[-2000:]
                raise Failure(f"{plan.domain} ended with status {process.returncode}: {log}")
            return server.answers()

        wait_until(ready, f"{plan.domain} answering at its control socket")
        for user in users:
            server.add(user)
        try:
            yield server
        finally:
            for client in server.clients:
                client.close()
        server.must_not_say("Traceback")
