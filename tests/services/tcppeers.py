"""What tests of services over TCP share: people and servers that are written by hand, with TLS and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.trial.unittest import SynchronousTestCase

from tests.net.plain import TLS, header
from tests.testing.peers import Remembering
from xmppfed.core.events import Pair
from xmppfed.core.framing import Profile
from xmppfed.net.certificates import LoadedCertificate, load_certificate
from xmppfed.net.starttls import start_tls
from xmppfed.net.tcp import StreamClientProtocol
from xmppfed.net.tls import TrustRoots, client_connection_creator, tls_endpoint
from xmppfed.testing.federation import Federation
from xmppfed.timeouts import Timeouts

__all__ = ["ADDRESS", "JULIET", "OURS", "ROMEO", "STARTTLS", "THEIRS", "TRUST", "TCPCase", "header"]

OURS, THEIRS = "capulet.example", "montague.example"
ADDRESS = "127.0.0.2"  # of OURS
JULIET, ROMEO = f"juliet@{OURS}/balcony", f"romeo@{THEIRS}/orchard"
STARTTLS = f"<starttls {TLS}/>"
TRUST = TrustRoots(system=False)


class TCPCase(SynchronousTestCase):
    """A federation over TCP whose servers have no HTTPS port."""

    domains: tuple[str, ...] = (OURS,)
    options: Mapping[str, Any] = {}

    def setUp(self) -> None:
        self.federation = Federation(*self.domains, wire="tcp", **self.options)
        self.addCleanup(self.federation.cleanup)
        self.network = self.federation.network
        self.server = self.federation.server(OURS)

    def connect(
        self,
        port: int,
        *,
        tls: bool = True,
        alpn: Sequence[bytes] = (),
        own: LoadedCertificate | None = None,
        source: str = "127.9.0.1",
    ) -> Any:
        """Somebody at one of our ports."""
        peers = Remembering()
        endpoint: Any = TCP4ClientEndpoint(self.network.reactor, ADDRESS, port, bindAddress=(source, 0))
        if tls:
            endpoint = tls_endpoint(self.network.reactor, endpoint, client_connection_creator(OURS, own, TRUST, alpn))
        endpoint.connect(peers)
        self.network.pump()
        (peer,) = peers.built
        self.addCleanup(self.leave, peer)
        return peer

    def leave(self, peer: Any) -> None:
        """End what has not ended."""
        if peer.lost is None:
            peer.transport.abortConnection()
            self.network.pump()

    def say(self, peer: Any, *said: str) -> str:
        """What comes back."""
        before = len(peer.received)
        for one in said:
            peer.transport.write(one.encode())
            self.network.pump()
        answer: str = peer.received[before:].decode()
        return answer

    def started(self, port: int, profile: Profile, pair: Pair, own: LoadedCertificate | None = None) -> StreamClientProtocol:
        """A connection that went through STARTTLS."""
        endpoint = TCP4ClientEndpoint(self.network.reactor, ADDRESS, port, bindAddress=("127.9.0.2", 0))
        creator = client_connection_creator(OURS, own, TRUST)
        work = Deferred.fromCoroutine(start_tls(self.network.reactor, endpoint, creator, profile, pair, Timeouts()))
        self.network.pump()
        return self.successResultOf(work)

    def loaded(self, pem: bytes) -> LoadedCertificate:
        """A certificate to show."""
        path = Path(self.mktemp())
        path.write_bytes(pem)
        return load_certificate(path)
