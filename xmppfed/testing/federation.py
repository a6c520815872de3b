"""Whole servers and their clients in one network in memory, for tests of what goes on between them::

    class Greeting(SynchronousTestCase):
        def test_hello(self) -> None:
            federation = Federation("capulet.example", "montague.example")
            self.addCleanup(federation.cleanup)
            juliet = federation.client("juliet@capulet.example/balcony")
            romeo = federation.client("romeo@montague.example/orchard")
            juliet.send("<message to='romeo@montague.example' type='chat'><body>hi</body></message>")
            romeo.expect("<message from='juliet@capulet.example/balcony'><body>hi</body></message>")

The manual has more: docs/how-to/testing.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeVar
from uuid import uuid4

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.python.failure import Failure

from xmppfed.core.element import Element
from xmppfed.core.jid import JID, prepare_domain
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.sasl.keys import HASH_NAMES, SALT_LENGTH, ScramKeys, derive_all
from xmppfed.core.sasl.registry import Credentials
from xmppfed.e2e.linklocal.memory import MemoryLink
from xmppfed.extend import Module
from xmppfed.net.tls import TrustRoots
from xmppfed.server import Server
from xmppfed.testing.certificates import CertificateKind
from xmppfed.testing.client import Client, LoginFailed
from xmppfed.testing.configuring import Settings
from xmppfed.testing.hosting import Directory, Ground, Hosted
from xmppfed.testing.network import Network
from xmppfed.testing.ways import WAYS, Way
from xmppfed.testing.wire import Link
from xmppfed.timeouts import Timeouts

__all__ = ["PASSWORD", "START", "Federation"]

PASSWORD = "wherefore"
"""Of every account that is not given another."""
START = 1_800_000_000
"""What the clock says at first, in seconds since 1970: a day in January 2027."""
EVERY = "*"
_STOPPING = 60  # seconds that may pass while a server stops

_T = TypeVar("_T")


class Federation:
    """A server for each of `domains`, started, with a network, a clock and an authority of their own."""

    def __init__(
        self,
        *domains: str,
        wire: Literal["memory", "tcp", "websocket"] = "websocket",
        certificates: Mapping[str, CertificateKind] = {},
        configuration: Mapping[str, Settings] = {},
        modules: Mapping[str, type[Module]] = {},
        timeouts: Timeouts | None = None,
        directory: bool = True,
    ) -> None:
        """`certificates` (valid unless told) and `configuration` go by domain; the settings under `"*"` are for every
        server. `modules` are switched on besides those of a new server. Without the `directory` servers find each
        other as in production, by host-meta. Raises ConfigError.

        All wires are TLS over connections of the `network`: `websocket` and `tcp` (RFC 6120) are those of production,
        `memory` has bare messages behind their length, which leaves out whatever WebSocket does.

        All are on one `link`, where their gateways to the local network find people (`[services.e2e.lan_gateway]`).
        """
        prepared = [prepare_domain(domain) for domain in domains]
        _check_names(prepared, [*certificates, *configuration])
        self._way = _way(wire)
        self.network = Network()
        self.network.reactor.advance(START)
        self.link = MemoryLink(self.network.reactor)
        self.clients: list[Client] = []
        self._down: dict[str, Hosted] = {}
        addresses = {domain: f"127.0.0.{number}" for number, domain in enumerate(prepared, 2)}
        found_by = Directory(self._way, addresses) if directory else None
        with ExitStack() as undo:
            folder = Path(undo.enter_context(TemporaryDirectory(prefix="xmppfed-")))
            ground = Ground(self.network, self.link, folder, self._way, found_by, modules, timeouts or Timeouts())
            authority = ground.authority()
            self._hosted = {
                domain: Hosted(
                    ground,
                    authority,
                    domain,
                    address,
                    certificates.get(domain, "valid"),
                    [configuration.get(EVERY, {}), configuration.get(domain, {})],
                )
                for domain, address in addresses.items()
            }
            self._files = undo.pop_all()
        self._trust = TrustRoots([authority.certificate], system=False)
        for hosted in self._hosted.values():
            hosted.start()

    def server(self, domain: str) -> Server:
        """The server of a domain: its services, sessions and accounts."""
        return self._find(domain).server

    def account(self, address: str, password: str = PASSWORD) -> None:
        """Create an account. Raises AccountExists."""
        jid = JID.parse(address)
        self.result(self.server(jid.domain).storage.accounts.create(jid.domain, jid.local, _keys(password)))

    def client(
        self,
        address: str,
        *,
        password: str = PASSWORD,
        presence: bool = True,
        sasl2: bool = False,
        again: Client | None = None,
    ) -> Client:
        """A client that has logged in and, with `presence`, is available and has taken the news of that.

        An account that is not there is created first. An address without localpart logs in by ANONYMOUS. With `sasl2` all
        is done in one exchange (XEP-0388, XEP-0386), in which the resource becomes part of a longer one and the client gets
        a `token`; by that it logs in `again`, as the same installation (XEP-0484). Raises LoginFailed, which says why.
        """
        jid = JID.parse(address)
        hosted = self._find(jid.domain)
        if jid.local and self.result(hosted.server.storage.accounts.keys(jid.domain, jid.local)) is None:
            self.account(str(jid.bare))
        credentials = Credentials(jid.local, password, anonymous=not jid.local, token=again.token if again else None)
        device = again.device if again else str(uuid4()) if sasl2 else ""
        client = Client(jid, credentials, f"127.1.0.{len(self.clients) + 1}", self.network.pump, device)
        self.clients.append(client)
        try:
            self.result(self._log_in(client, hosted.address))
        except (ConnectError, ConnectionError) as error:
            raise LoginFailed(f"{jid} found no connection: {error}") from error
        if not client.established:
            raise LoginFailed(f"{jid} could not log in: {client.complaints()}")
        if presence:
            client.send("<presence/>")
            client.take(Element("presence", NS_CLIENT, {"from": str(client.jid)}))
        return client

    async def _log_in(self, client: Client, address: str) -> None:
        line = await self._way.connect(self.network.reactor, client.jid.domain, address, self._trust, client.address)
        client.begin(line, self.network.reactor)

    def advance(self, seconds: float) -> None:
        """Let time pass, and all happen that happens meanwhile."""
        self.network.advance(seconds)

    def result(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What a coroutine returns, or the exception it raises. Raises AssertionError when time has to pass first."""
        results: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(results.append)
        self.network.pump()
        if not results:
            raise AssertionError(f"{work} is not done; it waits for something that does not happen by itself")
        if isinstance(results[0], Failure):
            results[0].raiseException()
        found: _T = results[0]
        return found

    def between_servers(self, link: Link) -> bool:
        """Whether a connection of the network is one between servers: `network.cut(federation.between_servers)`."""
        return not any(client.owns(link) for client in self.clients)

    def stop(self, domain: str) -> None:
        """Stop a server as an operator would; time passes as long as it takes. Raises AssertionError after a minute."""
        self._end(domain, Hosted.stop)

    def crash(self, domain: str) -> None:
        """Have a server vanish without a word to anybody, as when its power fails; its connections are reset."""
        self._end(domain, Hosted.crash)

    def start(self, domain: str) -> None:
        """Start a server again that was stopped or has crashed. It has what its storage has."""
        hosted = self._down.pop(prepare_domain(domain))
        self._hosted[hosted.domain] = hosted
        hosted.start_again()

    def _end(self, domain: str, how: Callable[[Hosted], Coroutine[Any, Any, None]]) -> None:
        hosted = self._find(domain)
        done: list[Any] = []
        Deferred.fromCoroutine(how(hosted)).addBoth(done.append)
        self.network.pump()
        for _ in range(_STOPPING):
            if not done:
                self.network.advance(1)
        self._down[hosted.domain] = self._hosted.pop(hosted.domain)
        if not done or isinstance(done[0], Failure):
            raise AssertionError(f"{domain} has not stopped: {done[0] if done else f'not within {_STOPPING} seconds'}")

    def cleanup(self) -> None:
        """Stop the servers, one after another; raises AssertionError when they leave something behind: a queued stanza, a
        session, a connection, a delayed call. Give it to `addCleanup`."""
        self.network.pump()
        servers = {domain: hosted.server for domain, hosted in self._hosted.items()}
        left = [f"{domain}: {stanza} waits for a stream" for domain in servers for stanza in servers[domain].remotes.waiting()]
        for domain in servers:
            try:
                self.stop(domain)
            except AssertionError as error:
                left.append(str(error))
        for client in self.clients:
            client.leave()
        self._files.close()
        left += [
            f"{domain}: {address} is still a session" for domain in servers for address in servers[domain].sessions.resources
        ]
        left += self.network.leftovers()
        if left:
            raise AssertionError("\n".join(["The federation is not clean:", *left]))

    def _find(self, domain: str) -> Hosted:
        hosted = self._hosted.get(prepare_domain(domain))
        if hosted is None:
            raise ValueError(f"found {domain!r}; wanted a domain that runs here: {', '.join(self._hosted) or 'none does'}")
        return hosted


def _check_names(domains: Collection[str], named: Collection[str]) -> None:
    for name in named:
        if name not in (EVERY, *domains):
            raise ValueError(f"found {name!r} among the certificates or the configuration; wanted one of {', '.join(domains)}")


def _way(wire: str) -> Way:
    if wire not in WAYS:
        raise ValueError(f"found the wire {wire!r}; wanted one of {', '.join(WAYS)}")
    return WAYS[wire]


@cache
def _keys(password: str) -> Mapping[str, ScramKeys]:
    """The same for every account with this password: deriving keys takes longer than most tests."""
    return derive_all(password, {name: secrets.token_bytes(SALT_LENGTH) for name in HASH_NAMES})
