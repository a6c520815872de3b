"""A server's HTTP port in memory, and a peer that writes bytes as it likes: what the tests of the network shell share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from xmppfed.core.events import Event, OpenRequested, StanzaReceived
from xmppfed.core.framing import C2S, S2S, MessageFraming
from xmppfed.core.jid import JID
from xmppfed.core.stream import Stream
from xmppfed.net.admission import Admission
from xmppfed.net.certificates import moment
from xmppfed.net.connection import Connection
from xmppfed.net.fastpath import FastStreamServerProtocol
from xmppfed.net.httpport import HTTPPort, StreamResource
from xmppfed.net.issuing import Authority
from xmppfed.net.tls import ServerContexts, TrustRoots, client_connection_creator, tls_endpoint, tls_server_factory
from xmppfed.net.websocket import StreamServerFactory, StreamServerProtocol
from xmppfed.testing.network import Network
from xmppfed.timeouts import Timeouts

SERVER = "192.0.2.1"
OPEN = b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.org' version='1.0'/>"
OPEN_SERVER = b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing-server' from='a.example' to='example.org' version='1.0'/>"
CLOSE = b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"
MESSAGE = b"<message xmlns='jabber:client'><body>%s</body></message>"
HEADERS = {
    "Host": "example.org",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "xmpp",
}

TEXT, BINARY, CLOSING, PING, PONG = 1, 2, 8, 9, 10

Case = TypeVar("Case", bound=type[Any])


def both_ways(case: Case) -> Case:
    """Run a case over the stock protocol and, as `Fast…`, over the one with the fast path."""
    name = f"Fast{case.__name__}"
    fast = type(name, (case,), {"server_protocol": FastStreamServerProtocol, "__module__": case.__module__})
    setattr(sys.modules[case.__module__], name, fast)
    return case


def handshake(method: str = "GET", path: str = "/xmpp-websocket", version: str = "HTTP/1.1", **changes: str | None) -> bytes:
    """A handshake; `changes` replaces headers (`Sec_WebSocket_Key="..."`) or, by None, leaves them out."""
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(
    payload: bytes = b"",
    opcode: int = TEXT,
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x01\x02\x03\x04",
    announce: int | None = None,
    form: int = 0,
) -> bytes:
    """A frame (RFC 6455, 5.2), or what pretends to be one: it can `announce` another length, and write it in a longer `form`
    of 2 or 8 bytes."""
    size = len(payload) if announce is None else announce
    flag = 0 if mask is None else 0x80
    form = form or (0 if size < 126 else 2 if size < 65536 else 8)
    length = bytes([flag | size]) if not form else bytes([flag | (126 if form == 2 else 127)]) + size.to_bytes(form, "big")
    body = payload if mask is None else _masked(payload, mask)
    return bytes([fin << 7 | rsv << 4 | opcode]) + length + (mask or b"") + body


def _masked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


class Frame(NamedTuple):
    """A frame of the server's."""

    fin: bool
    rsv: int
    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """The code of a Close frame."""
        return int.from_bytes(self.payload[:2], "big")


def read_frames(data: bytes) -> list[Frame]:
    """The frames of a server, which are not masked; fails when some of it is not a whole frame."""
    frames = []
    while data:
        size, start = data[1], 2
        assert size < 128, "a server must not mask"
        if size >= 126:
            width = 2 if size == 126 else 8
            start, size = 2 + width, int.from_bytes(data[2 : 2 + width], "big")
        assert len(data) >= start + size, "part of a frame"
        frames.append(Frame(bool(data[0] & 0x80), (data[0] >> 4) & 7, data[0] & 15, data[start : start + size]))
        data = data[start + size :]
    return frames


class Peer(Protocol):
    """The other end, which is nobody's library."""

    def __init__(self) -> None:
        self.received = b""
        self.reason: BaseException | None = None

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep why."""
        self.reason = reason.value

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return self.reason is not None

    @property
    def head(self) -> bytes:
        """The header of the HTTP answer."""
        return self.received.partition(b"\r\n\r\n")[0]

    @property
    def frames(self) -> list[Frame]:
        """The frames behind the HTTP answer."""
        return read_frames(self.received.partition(b"\r\n\r\n")[2])

    @property
    def texts(self) -> list[bytes]:
        """The messages among them."""
        return [one.payload for one in self.frames if one.opcode == TEXT]

    @property
    def close_codes(self) -> list[int]:
        """The codes of the Close frames among them: one at most."""
        return [one.code for one in self.frames if one.opcode == CLOSING]


@dataclass
class Owner:
    """Keeps what happens; accepts a stream, and at once believes who is there if it is `trusting`."""

    connection: Connection[Owner]
    trusting: bool
    on_stanza: Callable[[Owner, StanzaReceived], None] | None = None
    events: list[Event] = field(default_factory=list)
    reason: str | None = None

    def handle(self, event: Event) -> None:
        """Keep it, and answer."""
        self.events.append(event)
        stream = self.connection.stream
        if isinstance(event, OpenRequested):
            if self.trusting:
                stream.prove(JID("juliet", "example.org", ""), "TEST")
            stream.accept("example.org", [])
        elif isinstance(event, StanzaReceived) and self.on_stanza is not None:
            self.on_stanza(self, event)

    def lost(self, reason: str) -> None:
        """Keep why."""
        self.reason = reason

    @property
    def stanzas(self) -> list[bytes]:
        """The stanzas that came, as they came."""
        return [one.stanza.to_bytes("jabber:client") for one in self.events if isinstance(one, StanzaReceived)]


class Acceptor:
    """Takes what comes as `services.http` does."""

    def __init__(self, reactor: Any, timeouts: Timeouts) -> None:
        self.reactor = reactor
        self.timeouts = timeouts
        self.trusting = True
        self.limit = 262_144
        self.on_stanza: Callable[[Owner, StanzaReceived], None] | None = None
        self.fault: Exception | None = None
        self.owners: list[Owner] = []
        self.protocols: list[StreamServerProtocol] = []

    def accept(self, protocol: StreamServerProtocol, first: bytes) -> Connection[Owner] | None:
        """A connection, unless the peer is a client that does not mask."""
        self.protocols.append(protocol)
        if self.fault is not None:
            raise self.fault
        profile = S2S if b"framing-server" in first else C2S
        if profile is C2S and not protocol.require_masks():
            return None
        ids = count(1)
        stream = Stream(
            MessageFraming(profile, 10_000), receiving=True, new_id=lambda: f"id{next(ids)}", limit=self.limit, secure=True
        )
        connection = Connection(stream, protocol, self.own, self.reactor, self.timeouts, self.timeouts.client_silence)
        return connection

    def own(self, connection: Connection[Owner]) -> Owner:
        """A new owner."""
        owner = Owner(connection, self.trusting, self.on_stanza)
        self.owners.append(owner)
        return owner


class ServerCase(SynchronousTestCase):
    """Listens on port 80 of SERVER. At the end of a test nothing may be left, and nothing may have been logged as a warning
    that the test has not looked at (`warnings`)."""

    server_protocol: type[StreamServerProtocol] = StreamServerProtocol

    def setUp(self) -> None:
        """Listen."""
        self.network = Network()
        self.timeouts = Timeouts()
        self.admission = Admission()
        self.acceptor = Acceptor(self.network.reactor, self.timeouts)
        self.logged: list[LogEvent] = []
        observer: Any = self.log_event
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.peers: list[Peer] = []
        self.listen()
        self.addCleanup(self.clean_up)

    def log_event(self, event: LogEvent) -> None:
        """Keep what is logged."""
        self.logged.append(event)

    def listen(self) -> None:
        """Start the port."""
        self.factory = StreamServerFactory(
            self.acceptor, self.network.reactor, self.timeouts, 10_000, self.admission, self.server_protocol
        )
        self.root = Resource()
        self.root.putChild(b"xmpp-websocket", StreamResource(self.factory))
        self.port = HTTPPort(self.root, self.network.reactor, self.timeouts, self.admission)
        endpoint = TCP4ServerEndpoint(self.network.reactor, 80, interface=SERVER)
        self.listening = self.successResultOf(endpoint.listen(self.wrapped(self.port)))

    def wrapped(self, factory: Any) -> Any:
        """The factory to listen with."""
        return factory

    def clean_up(self) -> None:
        """End everything; what is left fails the test."""
        for peer in self.peers:
            if not peer.lost:
                peer.transport.resumeProducing()
                peer.transport.abortConnection()
        self.listening.stopListening()
        self.network.pump()
        self.network.check_clean()
        self.assertEqual(len(self.admission), 0, "strangers are still counted")
        self.assertEqual(self.warnings(), [])

    def warnings(self) -> list[str]:
        """What was logged as a warning or worse since this was asked last."""
        found = [str(one.get("log_format")) for one in self.logged if one["log_level"] >= LogLevel.warn]
        self.logged.clear()
        return found

    def connect(self, source: str | None = None) -> Peer:
        """A connection on which nothing was said."""
        bind = (source, 0) if source else None
        endpoint = TCP4ClientEndpoint(self.network.reactor, SERVER, 80, bindAddress=bind)
        connecting = endpoint.connect(Factory.forProtocol(Peer))
        self.network.pump()
        peer: Peer = self.successResultOf(connecting)  # type: ignore[assignment]  # endpoints promise an IProtocol
        self.peers.append(peer)
        return peer

    def say(self, peer: Peer, *data: bytes) -> Peer:
        """Write, and let everything happen that follows at once."""
        peer.transport.write(b"".join(data))
        self.network.pump()
        return peer

    def websocket(self, source: str | None = None, **changes: str | None) -> Peer:
        """A connection on which the handshake was made."""
        peer = self.say(self.connect(source), handshake("GET", "/xmpp-websocket", "HTTP/1.1", **changes))
        self.assertIn(b" 101 ", peer.head)
        return peer

    def stream(self, opening: bytes = OPEN) -> tuple[Peer, Owner]:
        """A stream that was opened, and established if the acceptor is trusting; what was said on it is forgotten."""
        peer = self.say(self.websocket(), frame(opening))
        self.forget(peer)
        return peer, self.acceptor.owners[-1]

    def forget(self, peer: Peer) -> None:
        """Forget all frames that came."""
        peer.received = peer.received.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


class OverTLS(ServerCase):
    """In front of a case: the same below TLS."""

    def wrapped(self, factory: Any) -> Any:
        """Speak TLS."""
        authority = Authority(moment(self.network.reactor))
        path = Path(self.mktemp())
        path.write_bytes(authority.issue("example.org"))
        self.trust = TrustRoots([authority.certificate], system=False)
        contexts = ServerContexts({"example.org": path}, self.trust)
        return tls_server_factory(contexts.creator(), factory, self.network.reactor)

    def connect(self, source: str | None = None) -> Peer:
        """Speak TLS, too."""
        endpoint = TCP4ClientEndpoint(self.network.reactor, SERVER, 80)
        creator = client_connection_creator("example.org", None, self.trust)
        connecting = tls_endpoint(self.network.reactor, endpoint, creator).connect(Factory.forProtocol(Peer))
        self.network.pump()
        peer: Peer = self.successResultOf(connecting)  # type: ignore[assignment]  # endpoints promise an IProtocol
        self.peers.append(peer)
        return peer
