"""What services over TCP share: a port where TLS has to be asked for, a port where connections begin with it (RFC 6120, 5;
XEP-0368), and no stream without TLS."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container
from typing import Any, ClassVar

from twisted.application.service import MultiService
from twisted.application.strports import service as listening
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory

from xmppfed.core.framing import Framing, Profile
from xmppfed.core.streamframing import StreamFraming
from xmppfed.net.admission import Admission
from xmppfed.net.arrival import Arrival, address_of
from xmppfed.net.certificates import moment
from xmppfed.net.connection import Connection, Owner
from xmppfed.net.peer import channel_bindings, judge, own_leaf
from xmppfed.net.starttls import StartTLSFactory
from xmppfed.net.tcp import StreamServerFactory, StreamServerProtocol
from xmppfed.net.tls import ServerContexts, tls_server_factory
from xmppfed.services.intake import FIRST_LIMIT, take
from xmppfed.timeouts import Timeouts

__all__ = ["TCPService"]


class TCPService(MultiService, ABC):
    """Listens for streams of one kind, and owns them. A subclass says which, and whose they are."""

    profile: Profile
    protocol: ClassVar[type[StreamServerProtocol]] = StreamServerProtocol

    def __init__(self, reactor: Any, timeouts: Timeouts, *, limit: int, silence: float) -> None:
        """`limit` is the longest stanza in bytes once authenticated; after `silence` a peer is pinged."""
        super().__init__()
        self.limit = limit
        self.silence = silence
        self._reactor = reactor
        self._timeouts = timeouts
        self._admission = Admission()

    @abstractmethod
    def own(self, arrival: Arrival, connection: Connection[Any]) -> Owner:
        """Who judges a stream that came in."""

    def listen(self, endpoint: str, direct_tls_endpoint: str, contexts: ServerContexts, domains: Container[str]) -> None:
        """Take streams at both endpoints once started; an empty one is none. Both ports share one limit on strangers."""
        reactor, timeouts, admission = self._reactor, self._timeouts, self._admission
        streams = StreamServerFactory(self, reactor, timeouts, admission, self.protocol)

        def secured(domain: str = "") -> IProtocolFactory:
            creator = contexts.creator(protocols=(self.profile.alpn,), strict_alpn=True, domain=domain)
            return tls_server_factory(creator, streams, reactor)

        self._listen(direct_tls_endpoint, secured())
        self._listen(endpoint, StartTLSFactory(self.profile, domains, secured, reactor, timeouts, admission))

    def _listen(self, endpoint: str, factory: IProtocolFactory) -> None:
        if endpoint:
            listening(endpoint, factory, reactor=self._reactor).setServiceParent(self)

    def accept(self, protocol: StreamServerProtocol) -> Connection[Any]:
        """The connection for a stream that begins, the peer's certificate judged: the handshake is complete."""
        transport: Any = protocol.transport
        arrival = Arrival(
            address=address_of(transport),
            secure=True,
            certificate=judge(transport, moment(self._reactor)),
            bindings=lambda _: channel_bindings(transport, own_leaf(transport)),
        )
        return take(self, self.framing(FIRST_LIMIT), protocol, arrival, self._reactor, self._timeouts)

    def framing(self, limit: int) -> Framing:
        """The framing of a stream."""
        return StreamFraming(self.profile, limit)

    def stopService(self) -> Deferred[object]:
        """Listen no more, and send away who has no stream yet; streams end with what judges them."""
        stopped: Deferred[object] = super().stopService()
        self._admission.dismiss()
        return stopped
