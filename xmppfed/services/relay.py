"""Clients of a backend over WebSocket: each stream is passed to the backend whole, and only the framing changes (RFC 7395,
RFC 6120). The backend logs them in; what is no XMPP, or too large, ends here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, quoteStringArgument
from twisted.logger import Logger

from xmppfed.core.element import Element
from xmppfed.core.events import Event, Pair, Passed, StreamClosed, StreamFailed
from xmppfed.core.framing import C2S, Framing, MessageFraming, Opening
from xmppfed.core.namespaces import NS_STREAM
from xmppfed.core.negotiation.channel_binding import NS as NS_CHANNEL_BINDING
from xmppfed.core.negotiation.sasl import NS as NS_SASL
from xmppfed.core.negotiation.sasl2 import NS as NS_SASL2
from xmppfed.core.passing import PassingStream
from xmppfed.core.stanza import Stanza
from xmppfed.core.streamframing import StreamFraming
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.arrival import Arrival
from xmppfed.net.connection import Connection, Wire
from xmppfed.net.gathering import Gathering
from xmppfed.net.proxyport import Announcing
from xmppfed.net.starttls import start_tls
from xmppfed.net.tcp import StreamProtocol, connect, connect_without_tls
from xmppfed.net.tls import TrustRoots, client_connection_creator
from xmppfed.net.websocketwire import printable
from xmppfed.services.intake import FIRST_LIMIT
from xmppfed.timeouts import Timeouts

__all__ = ["ClientDialer", "Relay"]

Dial = Callable[[Arrival], Coroutine[Any, Any, StreamProtocol]]
"""Opens a connection to the backend for a client. Raises ConnectionError."""

_FEATURES = f"{{{NS_STREAM}}}features"
_MECHANISMS = f"{{{NS_SASL}}}mechanisms"
_SUCCESS = (f"{{{NS_SASL}}}success", f"{{{NS_SASL2}}}success")
_PORTS = {"xmpp": 5222, "xmpps": 5223}
_new_id = partial(secrets.token_hex, 16)


class Relay(Service):
    """Takes the streams of clients for one domain of a backend."""

    def __init__(self, domain: str, dial: Dial, clock: Any, timeouts: Timeouts, limit: int) -> None:
        """`limit` is the longest stanza in bytes after login."""
        self.name = f"relay {domain}"
        self.dial = dial
        self.clock = clock
        self.timeouts = timeouts
        self.limit = limit
        self.streams: Gathering[_Client] = Gathering()

    def take(self, wire: Wire, arrival: Arrival) -> Connection[Any]:
        """The connection of a client whose stream begins on `wire`."""
        return self.connection(MessageFraming(C2S, FIRST_LIMIT), wire, partial(_Client, self, arrival), receiving=True)

    def connection(self, framing: Framing, wire: Wire, own: Callable[..., Any], *, receiving: bool) -> Connection[Any]:
        """One end."""
        stream = PassingStream(framing, receiving=receiving, new_id=_new_id, limit=self.limit)
        return Connection(stream, wire, own, self.clock, self.timeouts, self.timeouts.client_silence)

    def stopService(self) -> Deferred[None]:
        """End every stream, and wait until the last connection is gone."""
        super().stopService()
        return self.streams.end_all(StreamError(StreamCondition.SYSTEM_SHUTDOWN))


class ClientDialer:
    """Opens connections to a backend for its clients."""

    def __init__(
        self, reactor: Any, timeouts: Timeouts, domain: str, where: str, proxy_protocol: bool, trust: TrustRoots
    ) -> None:
        """`where` is `xmpp://HOST[:PORT]`, `xmpps://HOST[:PORT]`, or a Twisted client endpoint without TLS. The certificate is
        not judged: the operator says where the backend is."""
        self._reactor = reactor
        self._timeouts = timeouts
        self._domain = domain
        self._proxy_protocol = proxy_protocol
        self._scheme = where.partition(":")[0]
        self._tls = self._scheme in _PORTS
        parts = urlsplit(where) if self._tls else None
        endpoint = where
        if parts is not None:
            endpoint = f"tcp:host={quoteStringArgument(parts.hostname or '')}:port={parts.port or _PORTS[self._scheme]}"
        self._endpoint = clientFromString(reactor, f"{endpoint}:timeout={timeouts.connect:.0f}")
        alpn = (C2S.alpn,) if self._scheme == "xmpps" else ()
        self._creator = client_connection_creator(domain, None, trust, alpn)

    async def __call__(self, arrival: Arrival) -> StreamProtocol:
        """A connection for a client that came so. Raises ConnectionError."""
        endpoint = Announcing(self._endpoint, arrival.address) if self._proxy_protocol else self._endpoint
        if self._scheme == "xmpp":
            pair = Pair("", self._domain)
            return await start_tls(self._reactor, endpoint, self._creator, C2S, pair, self._timeouts)
        if self._scheme == "xmpps":
            return await connect(self._reactor, endpoint, self._creator, self._timeouts.connect)
        return await connect_without_tls(endpoint)


class _End:
    """One of the two ends of a client's stream."""

    log = Logger()

    def __init__(self, relay: Relay, arrival: Arrival, connection: Connection[Any]) -> None:
        self.relay = relay
        self.arrival = arrival
        self.connection = connection
        self.stream: Any = connection.stream
        self.other: _End | None = None

    def handle(self, event: Event) -> None:
        """Hand on what came; the end of one is that of the other."""
        match event:
            case Passed(item):
                self.passed(item)
            case StreamFailed(error, sent):
                reason = printable(str(error))
                self.log.info("stream of {address} failed: {reason}", address=self.arrival.address, reason=reason, sent=sent)
                self.leave(StreamError(error.condition) if not sent else StreamError(StreamCondition.REMOTE_CONNECTION_FAILED))
            case StreamClosed():
                self.leave(None)
            case _:
                pass  # that it is established we have said ourselves

    def passed(self, item: Opening | Stanza | Element) -> None:
        """Write it at the other end."""
        if self.other is not None:
            self.other.stream.pass_on(item)
            self.other.connection.flush()

    def leave(self, error: StreamError | None) -> None:
        """There is nothing more to hand on."""
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            if error is None:
                other.connection.close()
            else:
                other.connection.fail(error)

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        self.leave(StreamError(StreamCondition.REMOTE_CONNECTION_FAILED))


class _Client(_End):
    """The client's end, on a WebSocket."""

    def __init__(self, relay: Relay, arrival: Arrival, connection: Connection[Any]) -> None:
        super().__init__(relay, arrival, connection)
        self._reaching: Deferred[None] | None = None
        relay.streams.add(self)

    def passed(self, item: Opening | Stanza | Element) -> None:
        """The first header has the backend connected to; the client waits."""
        if self._reaching is None:
            assert isinstance(item, Opening)  # the stream lets nothing pass before it
            self.stream.wait_for_owner()
            self._reaching = Deferred.fromCoroutine(self._reach(item))
            self._reaching.addErrback(self._fault)
        else:
            super().passed(item)

    async def _reach(self, opening: Opening) -> None:
        try:
            wire = await self.relay.dial(self.arrival)
        except ConnectionError as error:
            self.log.warn("no connection to the backend of {name}: {reason}", name=self.relay.name, reason=str(error))
            self.connection.fail(
                StreamError(StreamCondition.REMOTE_CONNECTION_FAILED, "The server behind this one is not there.")
            )
            return
        framing = StreamFraming(C2S, FIRST_LIMIT)
        connection = self.relay.connection(framing, wire, partial(_Backend, self.relay, self.arrival), receiving=False)
        self.other = connection.owner
        connection.owner.other = self
        wire.attach(connection)
        self.stream.resume()
        super().passed(opening)
        self.connection.answered()

    def _fault(self, failure: Any) -> None:
        if self._reaching is None:  # nobody waits any more
            return
        self.log.failure("fault while reaching a backend", failure)
        self.connection.fail(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))

    def end(self, error: StreamError) -> None:
        """End the stream with an error."""
        self.connection.fail(error)

    def lost(self, reason: str) -> None:
        """The connection is gone; who still connects for it need not."""
        reaching, self._reaching = self._reaching, None
        if reaching is not None:
            reaching.cancel()
        self.relay.streams.discard(self)
        super().lost(reason)


class _Backend(_End):
    """The backend's end, on TCP."""

    def passed(self, item: Opening | Stanza | Element) -> None:
        """Watch for the end of the login: larger stanzas may pass then, and after SASL a new stream begins (RFC 6120, 6.4.6)."""
        if isinstance(item, Element) and item.tag == _FEATURES:
            item = _offered(item)
        other = self.other
        super().passed(item)
        if isinstance(item, Element) and item.tag in _SUCCESS and other is not None:
            for end in (self, other):
                end.stream.raise_limit()
                end.stream.establish()
                end.connection.answered()
            if item.namespace == NS_SASL:
                self.stream.framing.restart()


def _offered(features: Element) -> Element:
    """Without what has its end here: TLS, and the logins that are bound to it (RFC 5802, 6), SASL2 among them as a whole."""
    kept: list[Element | str] = []
    for feature in features.elements():
        if feature.tag == _MECHANISMS:
            names = [one for one in feature.elements() if not one.text.endswith("-PLUS")]
            kept.append(Element(feature.name, feature.namespace, dict(feature.attributes), list(names)))
        elif feature.name != "starttls" and feature.namespace not in (NS_CHANNEL_BINDING, NS_SASL2):
            kept.append(feature)
    return Element(features.name, features.namespace, dict(features.attributes), kept)
