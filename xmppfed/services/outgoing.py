"""A stream that we open to another server: ours to send on, for one pair of domains or for one dialback question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xmppfed.core.events import (
    AuthFailed,
    Established,
    Event,
    KeyVerified,
    Pair,
    StanzaReceived,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StreamCondition, StreamError, XMPPFedError
from xmppfed.net.connection import Connection
from xmppfed.net.websocketwire import printable
from xmppfed.services.proof import Proof

if TYPE_CHECKING:
    from xmppfed.services.federation import Federation

__all__ = ["AttemptFailed", "Outgoing"]


class AttemptFailed(XMPPFedError):
    """A server was reached, and the stream to it came to nothing; the text says why."""


class Outgoing:
    """Owns a stream to `pair.to`: `opened` when the server has answered, `ready` when it has reached what it is for."""

    log = Logger()
    __slots__ = (
        "_connection",
        "_established",
        "_expiry",
        "_federation",
        "_pair",
        "_proof",
        "_reasons",
        "_waiting",
        "opened",
        "ready",
        "verdict",
    )

    def __init__(
        self,
        federation: Federation,
        pair: Pair,
        connection: Connection[Outgoing],
        proof: Proof,
    ) -> None:
        """`proof` is what the server proved itself by. Cancelling `opened`, and then `ready`, gives the stream up."""
        self._federation = federation
        self._pair = pair
        self._connection = connection
        self._proof = proof
        self._reasons: list[str] = []
        self._established = False
        self._expiry: IDelayedCall | None = None
        self.verdict: str | None = None  # why the key we asked about is not valid
        self.opened: Deferred[None] = Deferred(self._give_up)
        self.ready: Deferred[None] = Deferred(self._give_up)
        self._waiting: Deferred[None] | None = self.opened  # for which somebody waits
        federation.streams.add(self)

    def send(self, stanza: Stanza) -> None:
        """Send a stanza of the pair."""
        self._connection.send(stanza)

    @property
    def mechanism(self) -> str:
        """By what the stream is authenticated."""
        return self._connection.stream.mechanism

    @property
    def offered(self) -> tuple[str, ...]:
        """The names of the features that the server offers."""
        features = self._connection.stream.offered
        return () if features is None else tuple(printable(feature.tag) for feature in features.elements())

    def describe(self) -> dict[str, object]:
        """What an operator is told of it."""
        pairs = [(self._pair.sender, self._pair.to)] if self._established else []
        return {"direction": "out", "pairs": pairs, "address": "", "mechanism": self.mechanism, "proof": self._proof.by}

    def close(self) -> None:
        """The stream has done what it was for."""
        self._connection.close()

    def end(self, error: StreamError) -> None:
        """End the stream with an error."""
        self._connection.fail(error)

    def handle(self, event: Event) -> None:
        """Judge what the server did."""
        match event:
            case StreamOpened():
                self._open()
            case Established():
                self._establish()
            case KeyVerified(_, _, valid, reason):
                self.verdict = None if valid else reason
                self._ready()
            case AuthFailed(mechanism, error):
                self._reasons.append(f"{mechanism} was refused: {printable(str(error))}")
            case StreamFailed(error, sent):
                self._leave(f"{'we ended' if sent else 'the server ended'} the stream with {printable(str(error))}")
            case StreamClosed():
                self._leave("the server closed the stream")
            case StanzaReceived():
                text = "Stanzas go one way on this stream: bidirectional streams (XEP-0288) were not agreed on."
                self._connection.stream.fail(StreamError(StreamCondition.NOT_AUTHORIZED, text))
            case _:
                pass  # the rest is on the way to one of these

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        self._leave(reason)
        if self._expiry is not None and self._expiry.active():
            self._expiry.cancel()
        self._federation.streams.discard(self)

    def _establish(self) -> None:
        self._established = True
        self._expiry = self._federation.at_expiry(self._proof, self._expired)
        self.log.info(
            "stream from {sender} to {to} is established by {mechanism}",
            sender=self._pair.sender,
            to=self._pair.to,
            mechanism=self._connection.stream.mechanism,
        )
        self._ready()

    def _expired(self) -> None:
        """The next stanza makes another stream, whose certificate is judged then."""
        self._leave("the server's certificate has expired")
        self._connection.close()

    def _open(self) -> None:
        """The server has answered our header; after a restart it does so again."""
        if self._waiting is self.opened:
            self._waiting = self.ready
            self.opened.callback(None)

    def _ready(self) -> None:
        if self._waiting is self.ready:
            self._waiting = None
            self.ready.callback(None)

    def _give_up(self, waiting: Deferred[None]) -> None:
        self._waiting = None
        waiting.errback(CancelledError())
        self._connection.cut("nobody waits for this stream any more")

    def _leave(self, reason: str) -> None:
        """Nothing can be sent any more; who waits for the stream hears every reason."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(AttemptFailed("; ".join([*self._reasons, reason])))
        elif self._established:
            self._established = False
            self._federation.remotes.lost(self._pair)
            self.log.info("stream to {to} has ended: {reason}", to=self._pair.to, reason=reason)
