"""xmppfed as the edge of other servers, its backends (docs/design/0008-proxies-and-gateway.md).

Towards the rest of the world the domains of the backends are like our own. Towards a backend we are everybody else: what we
have verified goes to it as if it came from the sender's own server, and its question whether that is so (dialback, XEP-0220)
is for us to answer. What a backend says to others comes to a listener of ours, where it is known by its address.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from twisted.internet.endpoints import clientFromString

from xmppfed.core.events import Pair
from xmppfed.core.framing import S2S, Profile
from xmppfed.core.streamframing import StreamFraming
from xmppfed.discovery.candidates import Candidate
from xmppfed.discovery.sources import Answer
from xmppfed.errors import DiscoveryError, StreamCondition, StreamError
from xmppfed.net.arrival import Arrival
from xmppfed.net.certificates import LoadedCertificate
from xmppfed.net.connection import Connection
from xmppfed.net.dial import DialFailed, Line, Refusal, Target
from xmppfed.net.peer import PeerCertificate
from xmppfed.net.proxies import Listed
from xmppfed.net.tcp import StreamServerFactory, connect_without_tls
from xmppfed.net.tls import ServerContexts, TrustRoots
from xmppfed.services.federation import Federation
from xmppfed.services.incoming import Incoming
from xmppfed.services.proof import Proof
from xmppfed.services.tcp import TCPService
from xmppfed.timeouts import Timeouts

__all__ = ["WITHOUT_TLS", "BackendEndpoints", "Backends", "EndpointDialer", "Everybody", "Gateway", "nobody_vouches"]

WITHOUT_TLS = "without-tls"
"""The kind of candidate that is a Twisted endpoint to a backend on this machine."""


async def nobody_vouches(url: str) -> bytes:
    """In the place of fetching documents about backends: what they are is for the configuration to say."""
    raise DiscoveryError("nobody is asked about a backend")


class Everybody:
    """All domains there are: at the listener of a gateway we stand for each of them."""

    def __contains__(self, domain: object) -> bool:
        return True


class Backends(Federation):
    """The side that faces the backends: opens streams to them in the name of those whom we have verified."""

    name = "backends"
    gateways: Collection[str] = ()

    def speaks_for(self, domain: str) -> bool:
        """For everybody: the backend has no other way to anybody."""
        return bool(domain)

    def refuses_sender(self, domain: str) -> str | None:
        """A backend speaks for its own domain."""
        return None if domain in self.gateways else f"is no domain of a gateway; wanted {' or '.join(self.gateways)}"

    async def ask_about_client(self, domain: str, certificate: PeerCertificate) -> Proof:
        """Nobody else is asked: whatever certificate a backend shows, it is not what it is known by."""
        return self.prove_client(domain, certificate)

    async def ask(self, pair: Pair, stream_id: str, key: str) -> str | None:
        """A backend needs no key: it is known by its address, and `refuses_sender` has looked at its domain."""
        return None


class Gateway(TCPService):
    """Listens for the streams of the backends."""

    name = "gateway"
    profile: Profile = S2S

    def __init__(self, backends: Backends, reactor: Any, peers: Listed) -> None:
        """`peers` are the addresses of the backends."""
        timeouts = backends.timeouts
        super().__init__(reactor, timeouts, limit=backends.limit, silence=timeouts.server_silence)
        self._backends = backends
        self._peers = peers

    def listen_for_backends(self, endpoint: str, contexts: ServerContexts | None) -> None:
        """Take streams at `endpoint`, by STARTTLS, or without TLS where there are no `contexts`."""
        if contexts is not None:
            self.listen(endpoint, "", contexts, Everybody())
        else:
            factory = StreamServerFactory(self, self._reactor, self._timeouts, self._admission, self.protocol)
            self._listen(endpoint, factory)

    def own(self, arrival: Arrival, connection: Connection[Incoming]) -> Incoming:
        """The owner of a backend's stream."""
        return _FromBackend(self._backends, arrival, connection, self._peers)


class _FromBackend(Incoming):
    """A stream of a backend, or of somebody who would like to be one."""

    __slots__ = ("_peers",)

    def __init__(self, backends: Backends, arrival: Arrival, connection: Connection[Incoming], peers: Listed) -> None:
        self._peers = peers
        super().__init__(backends, arrival, connection)

    def _refusal(self, local: str, sender: str | None, to: str | None) -> StreamError | None:
        if not self._peers.include(self._arrival.address):
            text = f"Found a connection from {self._arrival.address}; wanted one of services.gateway.peers."
            return StreamError(StreamCondition.NOT_AUTHORIZED, text)
        return super()._refusal(local, sender, to)


@dataclass(frozen=True, slots=True)
class BackendEndpoints:
    """A source that knows the backends without TLS, by domain."""

    endpoints: dict[str, str]

    async def candidates(self, domain: str) -> Answer:
        """The endpoint of this domain's backend."""
        endpoint = self.endpoints.get(domain)
        if endpoint is None:
            return Answer((), ())
        candidate = Candidate(
            kind=WITHOUT_TLS,
            url=endpoint,
            host="127.0.0.1",
            port=0,
            path="",
            addresses=("127.0.0.1",),  # the endpoint has the true one
            sni="",
            accepted_names=frozenset(),
            priority=0,
            weight=0,
            source="configuration",
        )
        return Answer((candidate,), (f"gateways: {endpoint}",), authoritative=True)


class EndpointDialer:
    """Opens streams without TLS at the endpoints of backends."""

    def __init__(self, reactor: Any, timeouts: Timeouts, limit: int) -> None:
        self._reactor = reactor
        self._timeouts = timeouts
        self._limit = limit

    async def dial(self, target: Target, own: LoadedCertificate | None, trust: TrustRoots, refusal: Refusal) -> Line:
        """A connection to the endpoint that the target's URL is. Raises `DialFailed`."""
        endpoint = clientFromString(self._reactor, f"{target.url}:timeout={self._timeouts.connect:.0f}")
        try:
            wire = await connect_without_tls(endpoint)
        except ConnectionError as error:
            raise DialFailed(str(error)) from None
        return Line(wire, StreamFraming(S2S, self._limit), wire.attach)
