"""Two of our servers behind one reverse proxy that ends TLS, with the very configuration that the manual shows."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.interop.certificates import issue
from tests.interop.conversation import converse
from tests.interop.namespace import ADDRESSES, A, B, apart, domains_known, trust_only
from tests.interop.ours import Plan, ours
from tests.interop.person import Account, person
from tests.interop.processes import PATIENCE, running
from tests.interop.programs import CONVERSE, XMPPJS
from tests.interop.scenario import Failure, Scenario

__all__ = ["PROXIES", "SCENARIOS", "Proxy"]

_HAPROXY = "127.0.0.9"
_PAGES = Path(__file__).parents[2] / "docs" / "how-to" / "proxies"
_NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr info;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {sites}
}}
"""
_CADDY = """\
{{
    admin off
    storage file_system {folder}
    skip_install_trust
}}
{sites}
"""


@dataclass(frozen=True)
class Proxy:
    """A kind of proxy: its frame around the page of the manual, its command, and how certificates are put into the page."""

    name: str
    page: str
    frame: str
    command: tuple[str, ...]
    certificate: Mapping[str, str]
    header: str = ""
    """Where it says which certificate a client showed."""

    @contextmanager
    def running(self, folder: Path, plans: Sequence[Plan], address: str = "") -> Iterator[None]:
        """The proxy on port 443 of every address, or for nginx of one, in front of all `plans`."""
        config = folder / self.page
        sites = "\n".join(map(self._site, plans))
        if address:
            sites = sites.replace("listen 443", f"listen {address}:443")
        config.write_text(self.frame.format(folder=folder, sites=sites))
        command = [part.format(config=config, folder=folder) for part in self.command]
        with running(self.name, command, folder, [443], host=address or "127.0.0.1"):
            yield

    def _site(self, plan: Plan) -> str:
        """The page, with the names of this server for those of the manual."""
        text = (_PAGES / self.page).read_text()
        names = {"example.org": plan.domain, "127.0.0.1:5280": f"{plan.address}:{plan.port}"}
        for shown, wanted in {**self.certificate, **names}.items():
            if shown not in text:
                raise Failure(f"{self.page} of the manual has no {shown!r}")
            text = text.replace(shown, wanted)
        return text.replace("CERTIFICATE", str(plan.certificate))


def _nginx(page: str, header: str = "") -> Proxy:
    command = ("nginx", "-c", "{config}", "-p", "{folder}", "-e", "stderr")
    files = {"/etc/ssl/example.org.pem": "CERTIFICATE", "/etc/ssl/example.org.key": "CERTIFICATE"}
    return Proxy("nginx", page, _NGINX, command, files, header)


def _caddy(page: str, shown: str, wanted: str, header: str = "") -> Proxy:
    """Caddy would get certificates by itself, from where there is no way to here."""
    command = ("caddy", "run", "--adapter", "caddyfile", "--config", "{config}")
    return Proxy("caddy", page, _CADDY, command, {shown: wanted}, header)


def _behind(folder: Path, page: str, mechanism: str) -> str:
    """Clients and servers find everything by what is published through the proxy, which a browser can use unless it is asked
    for a certificate."""
    proxy = PROXIES[page]
    certificates = issue(folder, A, B)
    trust_only(certificates.authority)
    plans = [
        Plan(
            domain=domain,
            certificate=certificates.hosts[domain],
            authority=certificates.authority,
            behind_proxy=True,
            client_certificate_header=proxy.header,
        )
        for domain in (A, B)
    ]
    with ExitStack() as stack:
        stack.enter_context(domains_known(folder))
        stack.enter_context(proxy.running(folder, plans))
        one, two = (stack.enter_context(ours(folder, plan, user)) for plan, user in zip(plans, ("alice", "bob"), strict=True))
        alice, bob = (
            stack.enter_context(person(program, Account(server.plan.domain, user, user), certificates.authority, folder))
            for program, server, user in ((XMPPJS if proxy.header else CONVERSE, one, "alice"), (XMPPJS, two, "bob"))
        )
        figures = converse(alice, bob)
        one.must_have_reached(two, mechanism)
        if mechanism == "dialback":
            two.must_say(f"{A} cannot use EXTERNAL: found no client certificate; wanted one for {A}")
        return f"servers trust each other by {mechanism}; {figures}"


def _passing_on(folder: Path, version: str) -> str:
    """Servers reach each other through haproxy, which leaves TLS as it is and says where each connection comes from: that is
    believed of haproxy, and nobody else may connect."""
    certificates = issue(folder, A, B)
    trust_only(certificates.authority)
    plans = [
        Plan(domain=domain, certificate=certificates.hosts[domain], authority=certificates.authority, proxy_protocol=_HAPROXY)
        for domain in (A, B)
    ]
    with ExitStack() as stack:
        stack.enter_context(domains_known(folder))
        for plan in plans:
            stack.enter_context(_haproxy(folder, plan, version))
        one, two = (stack.enter_context(ours(folder, plan, user)) for plan, user in zip(plans, ("alice", "bob"), strict=True))
        alice, bob = (
            stack.enter_context(person(XMPPJS, Account(server.plan.domain, user, user), certificates.authority, folder))
            for server, user in ((one, "alice"), (two, "bob"))
        )
        figures = converse(alice, bob)
        one.must_have_reached(two, "EXTERNAL")
        found = {stream["address"] for stream in two.command("s2s")["streams"] if stream["direction"] == "in"}
        if found != {"127.0.0.1"}:
            raise Failure(f"the stream comes from {found}; wanted the address before the proxy, 127.0.0.1")
        _must_refuse(plans[0])
        return f"servers trust each other by EXTERNAL, and see whom the proxy tells; {figures}"


def _must_refuse(plan: Plan) -> None:
    """Who is not the proxy is not answered."""
    with socket.create_connection((plan.address, plan.port), PATIENCE) as direct, suppress(ConnectionResetError):
        direct.settimeout(PATIENCE)
        if direct.recv(1):
            raise Failure("somebody else than the proxy was answered")


@contextmanager
def _haproxy(folder: Path, plan: Plan, version: str) -> Iterator[None]:
    """haproxy in front of a server, with the page of the manual, going out from an address of its own."""
    address = ADDRESSES[plan.domain]
    text = (_PAGES / "haproxy.cfg").read_text()
    for shown, wanted in (
        ("bind :443", f"bind {address}:443"),
        ("127.0.0.1:5280 send-proxy-v2", f"{plan.address}:{plan.port} {version} source {_HAPROXY}"),
    ):
        if shown not in text:
            raise Failure(f"haproxy.cfg of the manual has no {shown!r}")
        text = text.replace(shown, wanted)
    config = folder / f"{plan.domain}.haproxy.cfg"
    config.write_text(text)
    with running(f"haproxy-{plan.domain}", ["haproxy", "-db", "-f", config], folder, [443], host=address):
        yield


PROXIES = {
    proxy.page: proxy
    for proxy in (
        _nginx("nginx.conf"),
        _nginx("nginx-certificates.conf", "X-Client-PEM"),
        _caddy("Caddyfile", "example.org {", "example.org {\n    tls CERTIFICATE CERTIFICATE"),
        _caddy("Caddyfile-certificates", "tls {", "tls CERTIFICATE CERTIFICATE {", "Client-Cert"),
    )
}

SCENARIOS = [
    Scenario(
        f"proxies: {page} of the manual",
        apart(_behind, page, "EXTERNAL" if proxy.header else "dialback"),
        (proxy.command[0], *XMPPJS.needs, *CONVERSE.needs),
    )
    for page, proxy in PROXIES.items()
] + [
    Scenario(f"proxies: haproxy.cfg of the manual, with {version}", apart(_passing_on, version), ("haproxy", *XMPPJS.needs))
    for version in ("send-proxy", "send-proxy-v2")
]
