"""The servers that are measured: ours, Prosody beside it, and an echo in C as the floor. All on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tests.interop.processes import free_port, running
from tests.interop.scenario import NotMet
from xmppfed.core.sasl.keys import HASH_NAMES, derive_all
from xmppfed.new_server import MODULE_TABLES
from xmppfed.storage.sqlite import SQLiteStorage

__all__ = ["Server", "build", "echo", "now", "ours", "prosody"]

LOADGEN = Path(__file__).parent / "loadgen"
CONFIG = """\
data_dir = "var"

[domains.localhost]
certificate = "localhost.pem"

[services.http]
endpoint = "tcp:{port}:interface=127.0.0.1"
tls = {tls}
public_url = "https://localhost"

[services.c2s_ws]
{modules}
"""


@dataclass(frozen=True)
class Server:
    """A running server: its process, its URL, what the load generator has to say to it (`xmpp` or `echo`), its data."""

    name: str
    pid: int
    url: str
    mode: str = "xmpp"
    data_dir: Path = Path()

    @property
    def wire(self) -> str:
        """`TLS` or `plain`."""
        return "TLS" if self.url.startswith("wss:") else "plain"


def build(folder: Path) -> tuple[Path, Path]:
    """Compile the load generator and the echo server; raises `NotMet` without a compiler."""
    if shutil.which("gcc") is None:
        raise NotMet("gcc is not installed: without it there is no load")
    binaries = folder / "xmppload", folder / "wsecho"
    for binary in binaries:
        source = LOADGEN / f"{binary.name}.c"
        subprocess.run(["gcc", "-O2", "-march=native", "-o", binary, source, "-lssl", "-lcrypto"], check=True)
    return binaries


@contextmanager
def echo(folder: Path, binary: Path, certificate: Path | None) -> Iterator[Server]:
    """A WebSocket echo in C: what the wire and the kernel cost without any server."""
    port = free_port()
    tls = [certificate, certificate] if certificate else []
    with running("wsecho", [binary, str(port), *tls], folder, [port]) as process:
        yield Server("echo in C", process.pid, _url(port, bool(tls)), "echo")


@contextmanager
def ours(folder: Path, certificate: Path, users: int, tls: bool) -> Iterator[Server]:
    """xmppfed under twistd, with the modules of a new server; plain means `behind-proxy`."""
    port = free_port()
    folder.mkdir()
    (folder / "var").mkdir(mode=0o700)
    shutil.copy(certificate, folder / "localhost.pem")
    content = CONFIG.format(port=port, tls="true" if tls else '"behind-proxy"', modules=MODULE_TABLES)
    (folder / "xmppfed.toml").write_text(content)
    now(_create_accounts(folder / "var", users))
    twistd = [str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile="]
    with running("xmppfed", [*twistd, "xmppfed", "--config", "xmppfed.toml"], folder, [port]) as process:
        yield Server("xmppfed", process.pid, _url(port, tls), data_dir=folder / "var")


def now(work: Coroutine[Deferred[Any], Any, None]) -> None:
    """Do work that waits for nothing, as storage for command lines does not."""
    failures: list[Failure] = []
    Deferred.fromCoroutine(work).addErrback(failures.append)
    for failure in failures:
        failure.raiseException()


async def _create_accounts(data_dir: Path, users: int) -> None:
    """u0, u1 and so on, password pw; one derivation for all, for it is the deriving that takes long."""
    storage = SQLiteStorage.open_at_once(data_dir)
    keys = derive_all("pw", dict.fromkeys(HASH_NAMES, b"saltsaltsalt"))
    for number in range(users):
        await storage.accounts.create("localhost", f"u{number}", keys)
    await storage.close()


@contextmanager
def prosody(folder: Path, users: int) -> Iterator[tuple[Server, Server]]:
    """Prosody with minimal modules, plain and TLS, in one process. Raises `NotMet` where it is not installed."""
    for command in ("prosody", "openssl"):
        if shutil.which(command) is None:
            raise NotMet(f"{command} is not installed: there is nothing to compare with")
    start = LOADGEN / "peers" / "start.sh"
    arguments = ["bash", str(start), "prosody", str(folder), str(users), str(free_port()), str(free_port())]
    pid, plain, tls = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    try:
        data = folder / "data"
        yield Server("Prosody", int(pid), plain, data_dir=data), Server("Prosody", int(pid), tls, data_dir=data)
    finally:
        os.kill(int(pid), signal.SIGTERM)


def _url(port: int, tls: bool) -> str:
    return f"wss://localhost:{port}/xmpp-websocket" if tls else f"ws://127.0.0.1:{port}/xmpp-websocket"
