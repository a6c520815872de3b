"""The two servers of `make run`: a folder with certificates and configurations, and a process for each server."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError, ProcessExitedAlready
from twisted.internet.interfaces import IConsumer, IStreamClientEndpoint
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseFailed, readBody
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from xmppfed.errors import XMPPFedError
from xmppfed.net.issuing import Authority
from xmppfed.new_server import MODULE_TABLES
from xmppfed.services.control import SOCKET_NAME

__all__ = [
    "HOST",
    "PATIENCE",
    "DemoFailed",
    "Place",
    "Server",
    "command",
    "configuration",
    "first_end",
    "free_ports",
    "places",
    "write_files",
]

HOST = "127.0.0.1"
PATIENCE = 60.0
"""Seconds for any one step: generous, because a busy machine proves nothing."""
AUTHORITY = "authority.pem"
_TWISTD = "from twisted.scripts.twistd import run; run()"
_POLL = 0.1
_TAIL_LINES = 15

_CONFIG = """\
# {domain}, one of two servers of the demo.
data_dir = "{domain}"
trust_anchors = ["{authority}"]              # the throw-away authority of the demo
allow_private_addresses = ["{host}/32"]   # the other server is on this machine

[domains."{domain}"]
certificate = "{domain}.pem"

[services.http]
endpoint = "tcp:{port}:interface={host}"

[services.c2s_ws]

[services.s2s_ws]

[federation.static_routes]
"{other.domain}" = {{ url = "{other.url}", addresses = ["{host}"] }}

{modules}
"""


class DemoFailed(XMPPFedError):
    """The demo could not show what it is for; the text says what was seen and what was wanted."""


@dataclass(frozen=True)
class Place:
    """One domain of the demo with one account, its server at `port` of 127.0.0.1, its files in `folder`."""

    domain: str
    user: str
    password: str
    port: int
    folder: Path

    @property
    def address(self) -> str:
        """The address of the account."""
        return f"{self.user}@{self.domain}"

    @property
    def url(self) -> str:
        """Where the server takes WebSockets; the name in it is in no DNS, so who connects must know the address."""
        return f"wss://{self.domain}:{self.port}/xmpp-websocket"

    @property
    def local_url(self) -> str:
        """The same for any client on this machine: the certificate is good for `localhost` as well."""
        return f"wss://localhost:{self.port}/xmpp-websocket"

    @property
    def config(self) -> Path:
        """The configuration file of the server."""
        return self.folder / f"{self.domain}.toml"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / f"{self.domain}.log"


def free_ports(count: int) -> list[int]:
    """Different TCP ports of 127.0.0.1 that nobody listens on now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def places(folder: Path, ports: Sequence[int]) -> tuple[Place, Place]:
    """Juliet's and Romeo's servers, with passwords that nobody has guessed."""
    juliet, romeo = (secrets.token_urlsafe(9) for _ in range(2))
    return (
        Place("capulet.example", "juliet", juliet, ports[0], folder),
        Place("montague.example", "romeo", romeo, ports[1], folder),
    )


def configuration(place: Place, other: Place) -> str:
    """The configuration of the server at `place`, which is told where `other` is."""
    return _CONFIG.format(
        domain=place.domain, port=place.port, other=other, authority=AUTHORITY, host=HOST, modules=MODULE_TABLES
    )


def write_files(pair: tuple[Place, Place], now: datetime) -> Path:
    """Make an authority at `now` (UTC), certificates and configurations in the folder of the two; the authority's file."""
    authority = Authority(now, "xmppfed demo")
    for place, other in (pair, pair[::-1]):
        (place.folder / place.domain).mkdir()
        (place.folder / f"{place.domain}.pem").write_bytes(authority.issue(place.domain, dns=(place.domain, "localhost")))
        place.config.write_text(configuration(place, other))
    file = pair[0].folder / AUTHORITY
    file.write_bytes(authority.pem)
    return file


class Server(ProcessProtocol):
    """The process of one server. `ended` gives its exit in words, whenever that is."""

    def __init__(self, reactor: Any, place: Place) -> None:
        self._reactor = reactor
        self.place = place
        self.ended: Deferred[str] = Deferred()
        self.pid = 0

    def start(self) -> None:
        """Run twistd with this Python; what it writes goes to the log of the place."""
        arguments = [sys.executable, "-c", _TWISTD, "--nodaemon", "--pidfile=", "xmppfed", "--config", str(self.place.config)]
        with self.place.log.open("wb") as log, open(os.devnull, "rb") as nothing:
            files = {0: nothing.fileno(), 1: log.fileno(), 2: log.fileno()}
            # Without env=None the child would get an empty environment.
            self._reactor.spawnProcess(self, sys.executable, arguments, env=None, path=str(self.place.folder), childFDs=files)

    def connectionMade(self) -> None:
        """The process runs."""
        assert self.transport is not None  # Twisted has set it just now.
        self.pid = self.transport.pid or 0

    def processEnded(self, reason: Failure) -> None:
        """The process is gone."""
        self.ended.callback(reason.getErrorMessage())

    async def ready(self) -> None:
        """Wait until the server answers at its control socket: then it listens everywhere else as well."""
        deadline = self._reactor.seconds() + PATIENCE
        while not await self._answers():
            if self.ended.called:
                raise DemoFailed(f"the server of {self.place.domain} has ended before it was ready")
            if self._reactor.seconds() > deadline:
                raise DemoFailed(f"the server of {self.place.domain} was not ready within {PATIENCE:.0f} s")
            await deferLater(self._reactor, _POLL)

    async def stop(self) -> None:
        """End the process and wait for its end; not gently if it takes too long."""
        self._signal("TERM")
        late = self._reactor.callLater(PATIENCE, self._signal, "KILL")
        await self.ended
        if late.active():
            late.cancel()

    def report(self) -> str:
        """The end of the log, for who must find out what went wrong."""
        lines = self.place.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([f"The log of {self.place.domain} ends so:", *(f"    {line}" for line in lines)])

    async def _answers(self) -> bool:
        try:
            await command(self._reactor, self.place, "status", {})
        except ConnectError:
            return False
        return True

    def _signal(self, name: str) -> None:
        assert self.transport is not None  # `start` came before.
        try:
            self.transport.signalProcess(name)
        except ProcessExitedAlready:
            pass  # It ended by itself; `ended` says how.


async def first_end(servers: Sequence[Server]) -> Server:
    """Wait for the end of any of them: the one that has ended. To be cancelled by who wants to wait no more."""
    found: Deferred[Server] = Deferred()

    def ended(how: str, server: Server) -> str:
        if not found.called:
            found.callback(server)
        return how

    for server in servers:
        server.ended.addCallback(ended, server)
    return await found


@implementer(IAgentEndpointFactory)
class _ControlSocket:
    """Leads every request to the control socket."""

    def __init__(self, reactor: Any, path: Path) -> None:
        self._endpoint = UNIXClientEndpoint(reactor, str(path))

    def endpointForURI(self, uri: object) -> IStreamClientEndpoint:
        endpoint: IStreamClientEndpoint = self._endpoint
        return endpoint


@implementer(IBodyProducer)
class _Body:
    """A short body, sent at once: Twisted's own takes the time of the global reactor."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """All is sent."""

    def resumeProducing(self) -> None:
        """All is sent."""

    def stopProducing(self) -> None:
        """All is sent."""


async def command(reactor: Any, place: Place, name: str, arguments: dict[str, str]) -> dict[str, Any]:
    """Have the server at `place` run a command; its answer. Raises `DemoFailed` if refused, ConnectError if nobody is there."""
    socket_path = place.folder / place.domain / SOCKET_NAME
    agent = Agent.usingEndpointFactory(reactor, _ControlSocket(reactor, socket_path))
    body = _Body(json.dumps(arguments).encode())
    try:
        response = await agent.request(b"POST", f"http://localhost/{name}".encode("ascii"), None, body)
        answer: dict[str, Any] = json.loads(await readBody(response))
    except ResponseFailed as error:
        if any(reason.check(CancelledError) for reason in error.reasons):
            raise CancelledError from None
        raise DemoFailed(f"{name} was not answered by the server of {place.domain}") from None
    if response.code != 200:
        raise DemoFailed(f"{name} was refused by the server of {place.domain}: {answer.get('error')}")
    return answer
