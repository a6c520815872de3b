"""Other servers that do nothing by themselves: WebSockets whose every frame is seen and written, on either side."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha1
from typing import Any, NamedTuple

from OpenSSL import SSL
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.net.websockets import CLOSING, PING, PONG, TEXT, frame
from xmppfed.net.certificates import LoadedCertificate
from xmppfed.testing.network import Network

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class Frame(NamedTuple):
    """One frame as it came (RFC 6455, 5.2), its payload unmasked."""

    opcode: int
    payload: bytes
    fin: bool
    reserved: int
    masked: bool


class WebSocketPeer(Protocol):
    """One end of a WebSocket. `header` is what the other end said in HTTP; `lost` why the connection is gone.

    Pings and Close frames are answered unless `answers` is taken away; `text` is called with every text message.
    """

    mask: bytes | None = None
    answers = True

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.header = b""
        self.lost: BaseException | None = None
        self._data = b""
        self._seen = 0

    # What a test looks at.

    @property
    def messages(self) -> list[str]:
        """Every text frame."""
        return [one.payload.decode() for one in self.frames if one.opcode == TEXT]

    def take(self) -> list[str]:
        """The text frames since the last call."""
        new = self.messages[self._seen :]
        self._seen += len(new)
        return new

    def count(self, opcode: int) -> int:
        """How many frames of this kind came."""
        return sum(one.opcode == opcode for one in self.frames)

    @property
    def close_code(self) -> int | None:
        """The code of the Close frame, 0 if it had none; None without such a frame."""
        payload = next((one.payload for one in self.frames if one.opcode == CLOSING), None)
        return None if payload is None else int.from_bytes(payload[:2], "big")

    def field(self, name: str) -> str | None:
        """A field of the other end's HTTP header."""
        lines = [line.partition(b":") for line in self.header.split(b"\r\n")[1:]]
        return next((value.strip().decode() for key, _, value in lines if key.lower() == name.lower().encode()), None)

    # What a test says.

    def send(self, *texts: str) -> None:
        """One text frame each."""
        for text in texts:
            self.write(TEXT, text.encode())

    def write(self, opcode: int, payload: bytes = b"", **more: Any) -> None:
        """Any frame."""
        self.transport.write(frame(payload, opcode, **{"mask": self.mask, **more}))

    def drop(self) -> None:
        """No Close frame: the connection ends."""
        self.transport.loseConnection()

    def abort(self) -> None:
        """End at once, if it has not ended."""
        if self.transport is not None and self.lost is None:
            self.transport.abortConnection()

    # What a script changes.

    def opened(self) -> None:
        """The WebSocket is open."""

    def text(self, text: str) -> None:
        """A text message came."""

    def ponged(self) -> None:
        """A pong came."""

    def http(self, path: str) -> bytes | None:
        """As a server: what to answer a request with instead of opening a WebSocket; nothing for silence."""
        return None

    # What Twisted calls.

    def dataReceived(self, data: bytes) -> None:
        """Bytes came, cut anywhere."""
        self._data += data
        if not self.header:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            self.header, self._data = head, rest
            if not self._shake():
                return
            self.opened()
        while (taken := self._frame()) is not None:
            self.frames.append(taken)
            self._handle(taken)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end."""
        self.lost = reason.value

    def _shake(self) -> bool:
        if not self.header.startswith(b"GET "):
            return b" 101 " in self.header.split(b"\r\n")[0]
        answer = self.http(self.header.split()[1].decode())
        if answer is not None:
            self.transport.write(answer)
            return False
        key = (self.field("sec-websocket-key") or "").encode()
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: xmpp\r\nSec-WebSocket-Accept: " + b64encode(sha1(key + _GUID).digest()) + b"\r\n\r\n"
        )
        return True

    def _frame(self) -> Frame | None:
        data = self._data
        size, at = data[1] & 0x7F if len(data) > 1 else 0, 2
        if size > 125:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at], "big")
        masked = len(data) > 1 and data[1] > 0x7F
        start = at + 4 * masked
        if len(data) < start + size:
            return None
        payload, self._data = data[start : start + size], data[start + size :]
        if masked:
            payload = bytes(byte ^ data[at + index % 4] for index, byte in enumerate(payload))
        return Frame(data[0] & 0x0F, payload, data[0] > 0x7F, (data[0] >> 4) & 7, masked)

    def _handle(self, came: Frame) -> None:
        if came.opcode == TEXT and came.fin:
            self.text(came.payload.decode())
        elif came.opcode == PONG:
            self.ponged()
        elif came.opcode == PING and self.answers:
            self.write(PONG, came.payload)
        elif came.opcode == CLOSING and self.answers and self.lost is None:
            self.write(CLOSING, came.payload[:2])
            self.transport.loseConnection()


class ClientPeer(WebSocketPeer):
    """The side that connects; it masks, and asks for a WebSocket as soon as there is a connection."""

    mask: bytes | None = b"\x05\x06\x07\x08"
    request = b""

    def connectionMade(self) -> None:
        """Ask."""
        self.transport.write(self.request)


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class PeerTLS:
    """TLS of a peer: shows `certificate` with or without its chain, takes whatever it is shown, and remembers."""

    def __init__(
        self,
        certificate: LoadedCertificate | None = None,
        *,
        chain: bool = True,
        sni: str = "",
        protocols: Sequence[bytes] = (),
        by_name: Mapping[str, LoadedCertificate] = {},
    ) -> None:
        """A client names `sni` and offers `protocols` by ALPN. A server shows the certificates in `by_name` by SNI."""
        self.names: list[str | None] = []  # that clients named by SNI
        self.offered: list[bytes] = []  # that clients offered by ALPN
        self._sni = sni
        self._contexts = {name: self._context(own, chain) for name, own in by_name.items()}
        self._default = self._context(certificate, chain)
        if protocols:
            self._default.set_alpn_protos(list(protocols))

    def _context(self, certificate: LoadedCertificate | None, chain: bool) -> SSL.Context:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        context.set_session_id(b"peer")
        if certificate is not None:
            context.use_certificate(certificate.leaf)
            context.use_privatekey(certificate.key)
            for above in certificate.chain if chain else ():
                context.add_extra_chain_cert(above)
        context.set_tlsext_servername_callback(self._named)
        context.set_alpn_select_callback(self._alpn)
        return context

    def _named(self, connection: SSL.Connection) -> None:
        name = connection.get_servername()
        self.names.append(None if name is None else name.decode())
        context = self._contexts.get("" if name is None else name.decode())
        if context is not None:
            connection.set_context(context)

    def _alpn(self, connection: SSL.Connection, offered: list[bytes]) -> Any:
        self.offered += offered
        return SSL.NO_OVERLAPPING_PROTOCOLS

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Called by Twisted."""
        connection = SSL.Connection(self._default, None)
        if self._sni:
            connection.set_tlsext_host_name(self._sni.encode())
        return connection

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Called by Twisted."""
        return SSL.Connection(self._default, None)


def dial(
    network: Network,
    address: str,
    tls: PeerTLS | None,
    request: bytes,
    *,
    port: int = 443,
    source: str | None = None,
    kind: Callable[[], Any] = ClientPeer,
) -> Any:
    """A client of that kind, connecting; in plain text without `tls`."""
    client = kind()
    client.request = request
    factory: Any = Factory.forProtocol(lambda: client)
    if tls is not None:
        factory = TLSMemoryBIOFactory(tls, True, factory, clock=network.reactor)
    bound = None if source is None else (source, 0)
    connecting = TCP4ClientEndpoint(network.reactor, address, port, bindAddress=bound).connect(factory)
    connecting.addErrback(lambda _: None)  # where nobody listens the client hears nothing: that is for the test to see
    return client


class Listener:
    """Listens at `address` with the protocols that `kind` makes, which stand in `peers`. Close it at the end."""

    def __init__(
        self, network: Network, address: str, tls: PeerTLS | None, kind: Callable[[], Any] = WebSocketPeer, port: int = 443
    ) -> None:
        """Without `tls` what comes is not answered by TLS."""
        self.peers: list[Any] = []
        self.tls = tls
        self._network = network
        self._kind = kind
        factory: Any = Factory.forProtocol(self._build)
        if tls is not None:
            factory = TLSMemoryBIOFactory(tls, False, factory, clock=network.reactor)
        listening: list[Any] = []
        TCP4ServerEndpoint(network.reactor, port, interface=address).listen(factory).addBoth(listening.append)
        (self._port,) = listening

    def _build(self) -> Any:
        self.peers.append(self._kind())
        return self.peers[-1]

    @property
    def peer(self) -> Any:
        """The one that has come last."""
        return self.peers[-1]

    def close(self) -> None:
        """Listen no more, and drop every connection."""
        self._port.stopListening()
        for peer in self.peers:
            peer.abort()
        self._network.pump()
