"""A stream that we open to another server: ours to send on, for one pair of domains or for one dialback question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xmppfed.core.events import (
    Acknowledged,
    Authenticated,
    AuthFailed,
    DialbackRequested,
    Established,
    Event,
    KeyVerified,
    Managed,
    Pair,
    Resumed,
    ResumptionFailed,
    StanzaReceived,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)
from xmppfed.core.negotiation.dialback import InitiatingDialback
from xmppfed.core.negotiation.feature import Feature
from xmppfed.errors import StreamCondition, StreamError, XMPPFedError
from xmppfed.net.connection import Connection
from xmppfed.net.websocketwire import printable
from xmppfed.services.management import Management
from xmppfed.services.pairs import ProvedPairs
from xmppfed.services.proof import Proof
from xmppfed.services.way import Way

if TYPE_CHECKING:
    from xmppfed.services.federation import Federation

__all__ = ["AttemptFailed", "Outgoing", "Purpose"]


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a stream is opened for: its features, and those of them that its owner speaks to."""

    features: Sequence[Feature]
    management: Management
    dialback: InitiatingDialback | None = None


class AttemptFailed(XMPPFedError):
    """A server was reached, and the stream to it came to nothing; the text says why."""


class Outgoing:
    """Owns a stream to `pair.to`: `opened` when the server has answered, `ready` when it has reached what it is for.

    Where it is bidirectional the server may speak for the inverse of the pair, which it proved to be when we dialed it, and
    for the pairs that it proves later (XEP-0288).
    """

    log = Logger()
    __slots__ = (
        "_connection",
        "_expiry",
        "_federation",
        "_management",
        "_pair",
        "_proof",
        "_proved",
        "_reasons",
        "_waiting",
        "_way",
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
        purpose: Purpose,
    ) -> None:
        """`proof` is what the server proved itself by. Cancelling `opened`, and then `ready`, gives the stream up."""
        self._federation = federation
        self._pair = pair
        self._connection = connection
        self._proof = proof
        self._reasons: list[str] = []
        self._proved = ProvedPairs(federation, connection, purpose.dialback, self._pair_proved)
        self._management = purpose.management
        self._management.serve(connection, self._proved.pairs, lambda: None)
        self._way = Way(federation.remotes, connection, self._management)
        self._expiry: IDelayedCall | None = None
        self.verdict: str | None = None  # why the key we asked about is not valid
        self.opened: Deferred[None] = Deferred(self._give_up)
        self.ready: Deferred[None] = Deferred(self._give_up)
        self._waiting: Deferred[None] | None = self.opened  # for which somebody waits
        federation.streams.add(self)

    def carry(self) -> None:
        """The stanzas of the pair go this way, and those to what the server has proved meanwhile."""
        self._way.open(self._pair)
        for pair in self._proved.pairs:
            self._pair_proved(pair)

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
        pairs = sorted((pair.sender, pair.to) for pair in (*self._way.pairs, *self._proved.pairs))
        waiting, by = self._management.unacknowledged, self._proof.by
        found = {"direction": "out", "pairs": pairs, "address": "", "mechanism": self.mechanism, "proof": by}
        return {**found, "unacknowledged": waiting}

    def close(self) -> None:
        """The stream has done what it was for."""
        self._connection.close()

    def end(self, error: StreamError) -> None:
        """End the stream with an error."""
        self._connection.fail(error)

    def handle(self, event: Event) -> None:
        """Judge what the server did."""
        match event:
            case StanzaReceived(stanza) if self._connection.stream.bidirectional:
                self._proved.route(stanza)
            case StreamOpened():
                self._open()
            case Established():
                self._establish()
            case DialbackRequested(pair, key, stream_id):
                self._proved.judge(pair, key, stream_id)
            case KeyVerified(_, _, valid, reason):
                self.verdict = None if valid else reason
                self._ready()
            case AuthFailed(mechanism, error):
                self._reasons.append(f"{mechanism} was refused: {printable(str(error))}")
            case Authenticated():
                if self._connection.stream.bidirectional:
                    self._proved.pairs.add(Pair(self._pair.to, self._pair.sender))
            case Acknowledged():
                self._way.acknowledged()
            case Managed() | Resumed() | ResumptionFailed():
                self._management.handle(event)
            case StreamFailed(error, sent):
                who = "we" if sent else "the server"
                self._leave(f"{who} ended the stream with {printable(str(error))}", gone=not sent)
            case StreamClosed():
                self._proved.closed = True
                self._leave("the server closed the stream", gone=True)
            case StanzaReceived():
                text = "Stanzas go one way on this stream: bidirectional streams (XEP-0288) were not agreed on."
                self._connection.stream.fail(StreamError(StreamCondition.NOT_AUTHORIZED, text))
            case _:
                pass  # the rest is on the way to one of these

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        self._leave(reason, gone=True)
        self._proved.stop()
        if self._expiry is not None and self._expiry.active():
            self._expiry.cancel()
        self._federation.streams.discard(self)

    def _establish(self) -> None:
        self._expiry = self._federation.at_expiry(self._proof, self._expired)
        self.log.info(
            "stream from {sender} to {to} is established by {mechanism}",
            sender=self._pair.sender,
            to=self._pair.to,
            mechanism=self._connection.stream.mechanism,
        )
        self._ready()

    def _pair_proved(self, pair: Pair) -> None:
        if self._waiting is None:  # nothing is sent before the stream is ready
            self._way.open(Pair(pair.to, pair.sender))

    def _expired(self) -> None:
        """The next stanza makes another stream, whose certificate is judged then."""
        self._connection.close()
        self._leave("the server's certificate has expired", gone=False)

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

    def _leave(self, reason: str, *, gone: bool) -> None:
        """Nothing can be sent any more; who waits for the stream hears every reason."""
        carried = bool(self._way.pairs) and not self._way.closing
        self._way.close(gone=gone)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(AttemptFailed("; ".join([*self._reasons, reason])))
        elif carried:
            self.log.info("stream to {to} has ended: {reason}", to=self._pair.to, reason=reason)
