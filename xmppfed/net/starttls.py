"""STARTTLS on a connection (RFC 6120, 5): a stream without TLS, which can do nothing but agree on TLS, and what comes next.

The protocols here own a connection up to `<proceed/>`. Then another one takes their place, with TLS between it and the
transport, as if the connection had begun so: nothing of theirs can reach it, for nothing is handed over but the transport.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Container
from functools import partial
from typing import Any

from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IOpenSSLClientConnectionCreator,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppfed.core.events import Event, OpenRequested, Pair, StreamClosed, StreamFailed, TLSAgreed
from xmppfed.core.framing import Profile
from xmppfed.core.jid import domain_or_nothing
from xmppfed.core.negotiation.starttls import InitiatingStartTLS, ReceivingStartTLS
from xmppfed.core.stream import Stream
from xmppfed.core.streamframing import StreamFraming
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.admission import Admission
from xmppfed.net.arrival import address_of
from xmppfed.net.tcp import StreamClientProtocol, connected, hand_over, tune, under_tls
from xmppfed.net.tls import tls_client_factory
from xmppfed.net.websocketwire import printable
from xmppfed.timeouts import Timeouts

__all__ = ["PlainClientProtocol", "PlainProtocol", "PlainServerProtocol", "StartTLSFactory", "start_tls"]

_LIMIT = 10_000  # bytes of one element: more is not needed to agree on TLS
_new_id = partial(secrets.token_hex, 16)


class PlainProtocol(protocol.Protocol):
    """Carries a stream without TLS, for so many seconds at most: `happened` says what becomes of it."""

    log = Logger()
    transport: Any
    reason = ""
    _deadline: IDelayedCall | None = None

    def __init__(self, stream: Stream, clock: IReactorTime, seconds: float) -> None:
        self.stream = stream
        self._clock = clock
        self._seconds = seconds

    def connectionMade(self) -> None:
        """The time runs."""
        tune(self.transport)
        self._deadline = self._clock.callLater(self._seconds, self._expired)

    def _expired(self) -> None:
        self.reason = f"no agreement on TLS within {self._seconds:.0f} s"
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Bytes, cut anywhere."""
        events = self.stream.receive(data)
        while events:
            for event in events:
                self.happened(event)
            events = self.stream.take_events()
        self.flush()

    def happened(self, event: Event) -> None:
        """What both sides do: the end of the stream is that of the connection."""
        match event:
            case StreamFailed(error, sent):
                self._end(f"{'we' if sent else 'the peer'} ended the stream with {printable(str(error))}")
            case StreamClosed():
                self._end("the peer closed the stream")
            case _:
                pass  # the header of a server

    def _end(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.flush()
        self.transport.loseConnection()

    def flush(self) -> None:
        """Hand everything to the transport."""
        if pieces := self.stream.data_to_send():
            self.transport.write(b"".join(pieces))

    def hand_over(self, factory: IProtocolFactory) -> Any:
        """Give the connection to a protocol of `factory`, for good."""
        self.flush()
        self._stop_waiting()
        return hand_over(self.transport, factory)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nothing waits any more."""
        self._stop_waiting()
        self.reason = self.reason or reason.getErrorMessage()

    def _stop_waiting(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()


class PlainServerProtocol(PlainProtocol):
    """The receiving side: lets a peer ask for TLS, and for nothing else."""

    factory: StartTLSFactory
    _domain = ""

    def connectionMade(self) -> None:
        """Let a stranger in, for a while."""
        if self.factory.admission.enter(self, address_of(self.transport)):
            super().connectionMade()
        else:
            self.transport.abortConnection()

    def happened(self, event: Event) -> None:
        """Open the stream of a domain that is served here, and take TLS up."""
        match event:
            case OpenRequested(opening):
                self._open(opening.to)
            case TLSAgreed():
                self.factory.admission.leave(self)  # its successor enters
                self.hand_over(self.factory.secured(self._domain))
            case _:
                super().happened(event)

    def _open(self, to: str | None) -> None:
        self._domain = domain_or_nothing(to)
        if self._domain in self.factory.domains:
            self.stream.accept(self._domain, [ReceivingStartTLS()])
        else:
            text = f"Found {ascii(to)[:64]} as the domain of the stream; wanted one that is served here."
            self.stream.fail(StreamError(StreamCondition.HOST_UNKNOWN, text))

    def dismiss(self) -> None:
        """Whatever comes, it comes too late."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """A place is free again."""
        self.factory.admission.leave(self)
        if self.reason:  # who just leaves is not worth a line
            self.log.info("no TLS with {address}: {reason}", address=address_of(self.transport), reason=self.reason)
        super().connectionLost(reason)


class StartTLSFactory(protocol.ServerFactory[Any]):
    """Makes the protocols of a listening port where TLS has to be asked for."""

    noisy = False

    def __init__(
        self,
        profile: Profile,
        domains: Container[str],
        secured: Callable[[str], IProtocolFactory],
        clock: IReactorTime,
        timeouts: Timeouts,
        admission: Admission,
    ) -> None:
        """`secured` makes what comes next, as on a port where connections begin with TLS; its factory for the domain of the
        stream, which Prosody 0.12 does not name again by SNI."""
        self.profile = profile
        self.domains = domains
        self.secured = secured
        self.clock = clock
        self.timeouts = timeouts
        self.admission = admission

    def buildProtocol(self, addr: Any) -> PlainServerProtocol:
        """A protocol for one connection."""
        stream = Stream(StreamFraming(self.profile, _LIMIT), receiving=True, new_id=_new_id, limit=_LIMIT)
        made = PlainServerProtocol(stream, self.clock, self.timeouts.handshake)
        made.factory = self
        return made


class PlainClientProtocol(PlainProtocol):
    """The initiating side. `agreed` comes when the server goes on with TLS; a ConnectionError says why it does not. Who
    cancels it gives the connection up."""

    def __init__(self, profile: Profile, pair: Pair, clock: IReactorTime, seconds: float) -> None:
        """The header says that the stream is from `pair.sender`, if it is from anybody, to `pair.to`."""
        framing = StreamFraming(profile, _LIMIT)
        super().__init__(Stream(framing, [InitiatingStartTLS()], receiving=False, new_id=_new_id, limit=_LIMIT), clock, seconds)
        self._pair = pair
        self.agreed: Deferred[None] = Deferred(lambda _: self.transport.abortConnection())

    def connectionMade(self) -> None:
        """Speak first."""
        super().connectionMade()
        self.stream.open(self._pair.sender or None, self._pair.to)
        self.flush()

    def happened(self, event: Event) -> None:
        """Wait for TLS."""
        if isinstance(event, TLSAgreed):
            self.agreed.callback(None)
        else:
            super().happened(event)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Who waits for TLS hears why it does not come."""
        super().connectionLost(reason)
        if not self.agreed.called:
            self.agreed.errback(ConnectionError(self.reason))


async def start_tls(
    reactor: Any,
    endpoint: IStreamClientEndpoint,
    creator: IOpenSSLClientConnectionCreator,
    profile: Profile,
    pair: Pair,
    timeouts: Timeouts,
) -> StreamClientProtocol:
    """Connect to a port where streams begin without TLS, and have TLS begin, with its handshake complete.

    Raises ConnectionError, whose text says how far it came.
    """
    factory: Any = protocol.Factory()
    factory.protocol, factory.noisy = lambda: PlainClientProtocol(profile, pair, reactor, timeouts.upgrade), False
    plain: PlainClientProtocol = await connected(endpoint, factory)
    try:
        await plain.agreed
    except ConnectionError as error:
        raise ConnectionError(f"no TLS: {error}") from None
    secured = plain.hand_over(tls_client_factory(creator, protocol.Factory.forProtocol(StreamClientProtocol), reactor))
    return await under_tls(secured.wrappedProtocol, reactor, timeouts.connect)
