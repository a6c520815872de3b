"""What tests of streams over TCP share: ports with and without TLS, people who are written by hand, a clean end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.trial.unittest import SynchronousTestCase

from tests.testing.peers import Recorder, Remembering
from xmppfed.core.events import Event, OpenRequested, Pair
from xmppfed.core.framing import C2S, Profile
from xmppfed.core.jid import JID
from xmppfed.core.stream import Stream
from xmppfed.core.streamframing import StreamFraming
from xmppfed.net.admission import Admission
from xmppfed.net.certificates import LoadedCertificate, load_certificate, moment
from xmppfed.net.connection import Connection
from xmppfed.net.issuing import Authority
from xmppfed.net.starttls import StartTLSFactory
from xmppfed.net.tcp import StreamServerFactory, StreamServerProtocol
from xmppfed.net.tls import ServerContexts, TrustRoots, tls_server_factory
from xmppfed.testing.network import Network
from xmppfed.timeouts import Timeouts

__all__ = ["ADDRESS", "DIRECT", "FEATURES", "HOST", "PAIR", "PLAIN", "TIMEOUTS", "PlainCase", "Scripted", "header"]

HOST, ADDRESS = "b.example", "192.0.2.2"
PAIR = Pair("a.example", HOST)
PLAIN, DIRECT = 5222, 5223  # ports
TIMEOUTS = Timeouts()
TLS = "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
FEATURES = "<stream:features>%s</stream:features>"


def header(to: str = HOST, namespace: str = "jabber:client", more: str = "") -> str:
    """A stream header."""
    return f"<stream:stream xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams' to='{to}' version='1.0'{more}>"


class Owning:
    """Lets everybody in who opens a stream under TLS."""

    def __init__(self, connection: Connection[Owning]) -> None:
        self.connection = connection
        self.events: list[Event] = []

    def handle(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, OpenRequested):
            self.connection.stream.prove(JID("juliet", HOST), "test")
            self.connection.stream.accept(HOST, [])

    def lost(self, reason: str) -> None:
        """Nothing is kept."""


class Scripted(Recorder):
    """A server that answers what contains a key with the value, in their order, each once."""

    script: Mapping[bytes, bytes] = {}

    def __init__(self) -> None:
        super().__init__()
        self.left = dict(self.script)

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        assert self.transport is not None
        for said in list(self.left):
            if said in self.deliveries[-1]:
                self.transport.write(self.left.pop(said))


class PlainCase(SynchronousTestCase):
    """A server of HOST at ADDRESS that takes streams on two ports."""

    profile: Profile = C2S

    def setUp(self) -> None:
        self.network = Network()
        self.network.reactor.advance(1.8e9)
        self.authority = Authority(moment(self.network.reactor))
        self.trust = TrustRoots([self.authority.certificate], system=False)
        self.admission = Admission(each=2)
        self.wires: list[StreamServerProtocol] = []
        self.ports: list[Any] = []
        self.addCleanup(self.clean)

    def clean(self) -> None:
        """No delayed call is left, and no connection; nobody counts any more."""
        for port in self.ports:
            port.stopListening()
        self.network.cut()
        self.network.pump()
        self.network.check_clean()
        self.assertEqual(len(self.admission), 0)

    def serve(self) -> None:
        """Listen on both ports, with a certificate for HOST, and one for another domain that comes first."""
        reactor = self.network.reactor
        contexts = ServerContexts({name: self.file(name) for name in ("first.example", HOST)}, self.trust)
        streams = StreamServerFactory(self, reactor, TIMEOUTS, self.admission)

        def secured(domain: str) -> Any:
            creator = contexts.creator(protocols=(self.profile.alpn,), strict_alpn=True, domain=domain)
            return tls_server_factory(creator, streams, reactor)

        self.listen(secured(""), DIRECT)
        self.listen(StartTLSFactory(self.profile, {HOST}, secured, reactor, TIMEOUTS, self.admission), PLAIN)

    def file(self, domain: str) -> Path:
        """A certificate for `domain`, in a file."""
        path = Path(self.mktemp())
        path.write_bytes(self.authority.issue(domain))
        return path

    def own(self, domain: str = PAIR.sender) -> LoadedCertificate:
        """A certificate to show."""
        return load_certificate(self.file(domain))

    def listen(self, factory: Any, port: int, address: str = ADDRESS) -> None:
        """Have something else listen."""
        listening = TCP4ServerEndpoint(self.network.reactor, port, interface=address).listen(factory)
        self.ports.append(self.successResultOf(listening))

    def stop_listening(self) -> None:
        """The last port is closed."""
        self.ports.pop().stopListening()
        self.network.pump()

    def script(self, answers: Mapping[str, str]) -> Remembering:
        """A server at the plain port that answers by heart."""

        class Answering(Scripted):
            script = {said.encode(): answer.encode() for said, answer in answers.items()}

        servers = Remembering(Answering)
        self.listen(servers, PLAIN)
        return servers

    def accept(self, protocol: StreamServerProtocol) -> Connection[Owning]:
        """Called for each stream that begins under TLS."""
        self.wires.append(protocol)
        stream = Stream(StreamFraming(self.profile, 10_000), receiving=True, new_id=lambda: "id", limit=10_000)
        return Connection(stream, protocol, Owning, self.network.reactor, TIMEOUTS, 30)

    def peer(self, *said: str | bytes, port: int = PLAIN) -> Any:
        """Somebody who connects, and says something without TLS."""
        peers = Remembering()
        self.endpoint(port).connect(peers)
        self.network.pump()
        self.say(peers.built[0], *said)
        return peers.built[0]

    def say(self, peer: Any, *said: str | bytes) -> None:
        """Each in a piece of its own."""
        for one in said:
            peer.transport.write(one.encode() if isinstance(one, str) else one)
            self.network.pump()

    def endpoint(self, port: int = PLAIN) -> TCP4ClientEndpoint:
        """Where the server is."""
        return TCP4ClientEndpoint(self.network.reactor, ADDRESS, port)

    def begin(self, work: Any) -> Deferred[Any]:
        """Have a coroutine run as far as it gets."""
        beginning = Deferred.fromCoroutine(work)
        self.network.pump()
        return beginning
