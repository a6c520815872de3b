"""nginx in front of a server: TLS ends there, and a client certificate goes no further."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.processes import free_port, running

__all__ = ["Upstream", "nginx"]

TEMPLATE = Path(__file__).parent / "nginx.conf.in"
SERVER = """\
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name {name};
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Forwarded "for=$remote_addr;proto=https;host=$host";
            proxy_read_timeout 120s;
            proxy_buffering off;
        }}
    }}"""


@dataclass(frozen=True)
class Upstream:
    """The plain HTTP port on 127.0.0.1 behind one name, and the certificate (chain and key, PEM) for that name."""

    port: int
    certificate: Path


@contextmanager
def nginx(folder: Path, upstreams: Mapping[str, Upstream]) -> Iterator[int]:
    """A running nginx; yields the one TLS port on 127.0.0.1 that serves every name in `upstreams` (by SNI)."""
    port = free_port()
    servers = "\n".join(
        SERVER.format(port=port, name=name, certificate=upstream.certificate, upstream=upstream.port)
        for name, upstream in upstreams.items()
    )
    config = folder / "nginx.conf"
    config.write_text(TEMPLATE.read_text().replace("@FOLDER@", str(folder)).replace("@SERVERS@", servers))
    with running("nginx", ["nginx", "-c", config, "-p", folder, "-e", "stderr"], folder, [port]):
        yield port
