"""A client of the demo's own: logs in over wss as any other would, says something, and hears what comes."""

from __future__ import annotations

import secrets
from typing import Any

from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError

from xmppfed.core.element import Element
from xmppfed.core.events import AuthFailed, BindFailed, Bound, Event, StanzaReceived, StreamFailed
from xmppfed.core.framing import C2S, MessageFraming
from xmppfed.core.jid import JID
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.negotiation.bind import InitiatingBind
from xmppfed.core.negotiation.sasl import InitiatingSASL
from xmppfed.core.sasl.registry import Credentials, create_client
from xmppfed.core.stanza import Stanza
from xmppfed.core.stream import Stream
from xmppfed.demo_servers import HOST, PATIENCE, DemoFailed, Place
from xmppfed.net.connection import Connection
from xmppfed.net.tls import TrustRoots, channel_bindings, strict_connection_creator, tls_endpoint
from xmppfed.net.websocket import StreamClientFactory
from xmppfed.timeouts import Timeouts

__all__ = ["Person", "log_in"]

_LIMIT = 262_144


class Person:
    """Somebody who is logged in: owns a client's stream, and hears what comes."""

    def __init__(self, connection: Connection[Person]) -> None:
        self._connection = connection
        self._heard: DeferredQueue[Stanza] = DeferredQueue()
        self.bound: Deferred[JID] = Deferred()
        self._reason = ""

    @property
    def mechanism(self) -> str | None:
        """The SASL mechanism of the login."""
        return self._connection.stream.mechanism

    def say(self, to: str, text: str) -> None:
        """Send a message."""
        message = Element("message", NS_CLIENT, {"to": to, "type": "chat", "id": secrets.token_hex(4)})
        message.add("body", text=text)
        self._connection.send(Stanza.from_element(message))

    def available(self) -> None:
        """Tell the server that messages may come (RFC 6121, 4.2)."""
        self._connection.send(Stanza.from_element(Element("presence", NS_CLIENT)))

    async def hear(self, reactor: Any) -> Element:
        """The next message. Raises `DemoFailed` when it is an error, or when none comes."""
        try:
            stanza = await self._heard.get().addTimeout(PATIENCE, reactor)
        except DeferredTimeoutError:
            raise DemoFailed(f"no message came within {PATIENCE:.0f} s") from None
        if stanza.type == "error":
            raise DemoFailed(f"the message came back: {stanza.element.to_xml()}")
        return stanza.element

    def handle(self, event: Event) -> None:
        """Something happened on the stream."""
        match event:
            case Bound(jid):
                self.bound.callback(jid)
            case StanzaReceived(stanza) if stanza.kind == "message":
                self._heard.put(stanza)
            case AuthFailed(_, error) | BindFailed(error) | StreamFailed(error, _):
                self._reason = self._reason or str(error)
                self._connection.close()
            case _:
                pass  # the rest is on the way to one of these

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        if not self.bound.called:
            self.bound.errback(DemoFailed(f"the login failed: {self._reason or reason}"))


async def log_in(reactor: Any, place: Place, trust: TrustRoots) -> Person:
    """Log the account of `place` in over wss; its server must prove the domain to `trust`."""
    factory = StreamClientFactory(place.url, None, reactor, _LIMIT)
    creator = strict_connection_creator(place.domain, trust, reactor)
    try:
        await tls_endpoint(reactor, TCP4ClientEndpoint(reactor, HOST, place.port), creator).connect(factory)
        wire = await factory.opened.addTimeout(PATIENCE, reactor)
    except (ConnectError, ConnectionError) as error:
        raise DemoFailed(f"no WebSocket at {place.url}: {error}") from None
    bindings = channel_bindings(wire.transport, None)
    credentials, nonce = Credentials(place.user, place.password), secrets.token_urlsafe(18)
    features = [
        InitiatingSASL(lambda offer: create_client(offer, credentials, nonce, bindings, encrypted=True)),
        InitiatingBind("demo"),
    ]
    framing = MessageFraming(C2S, _LIMIT)
    stream = Stream(framing, features, receiving=False, new_id=lambda: "", limit=_LIMIT, secure=True)
    timeouts = Timeouts()
    connection = Connection(stream, wire, Person, reactor, timeouts, timeouts.client_silence)
    wire.attach(connection)
    stream.open(None, place.domain)
    connection.answered()
    await connection.owner.bound
    connection.owner.available()
    return connection.owner
