"""What the server at the other end of a stream has proved to be, whichever side opened the stream: it may speak for the
ordered pairs of domains that were proved on this very stream, and for no others (RFC 6120, 8.1.1.2 and 8.1.2.2)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppfed.core.events import Pair
from xmppfed.core.negotiation.dialback import InitiatingDialback, ReceivingDialback
from xmppfed.core.stanza import Stanza
from xmppfed.errors import JIDError, StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppfed.net.connection import Connection
from xmppfed.net.websocketwire import printable

if TYPE_CHECKING:
    from xmppfed.services.federation import Federation

__all__ = ["MAX_PAIRS", "ProvedPairs"]

MAX_PAIRS = 1000  # on one stream


class ProvedPairs:
    """The pairs that were proved on one stream, and those that are being proved by dialback."""

    log = Logger()
    __slots__ = ("_connection", "_dialback", "_federation", "_gone", "_proved", "_stream", "_work", "closed", "pairs")

    def __init__(
        self,
        federation: Federation,
        connection: Connection[Any],
        dialback: ReceivingDialback | InitiatingDialback | None,
        proved: Callable[[Pair], None],
    ) -> None:
        """`proved` is called with each pair that dialback has proved, when the peer has been told."""
        self._federation = federation
        self._connection = connection
        self._stream = connection.stream
        self._dialback = dialback
        self._proved = proved
        self._gone = False
        self._work: set[Deferred[None]] = set()
        self.pairs: set[Pair] = set()
        self.closed = False  # by the peer, in good order

    def stop(self) -> None:
        """The connection is gone, and nobody waits for our answers; who did not close may have lost something."""
        self._gone = True
        for work in list(self._work):
            work.cancel()
        if not self.closed:
            self._federation.router.broken(self.pairs)

    def route(self, stanza: Stanza) -> None:
        """Let a stanza of a proved pair through; any other ends the stream."""
        try:
            sender, to = stanza.sender, stanza.to
        except JIDError as error:
            self._stream.fail(StreamError(StreamCondition.IMPROPER_ADDRESSING, str(error)))
            return
        if sender is None or to is None:
            self._stream.fail(StreamError(StreamCondition.IMPROPER_ADDRESSING, "A stanza between servers needs 'from' and 'to'."))
            return
        if Pair(sender.domain, to.domain) not in self.pairs:
            text = f"Found a stanza from {sender.domain} to {to.domain}, which this stream is not authorized for."
            self._stream.fail(StreamError(StreamCondition.INVALID_FROM, text))
            return
        lang = self._stream.lang
        if lang is not None:
            stanza = stanza.stamped(stanza.attributes["from"], lang)
        self._federation.router.route_received(stanza)

    def judge(self, pair: Pair, key: str, stream_id: str) -> None:
        """The peer claims a pair by dialback."""
        self.later(self._judge(pair, key, stream_id))

    async def _judge(self, pair: Pair, key: str, stream_id: str) -> None:
        """As the receiving server (XEP-0220, 2.1.2): ask the authoritative one."""
        assert self._dialback is not None  # it has told of the claim
        error = self._unacceptable(pair)
        if error is not None:
            self._dialback.answer(self._stream, pair, False, error)
            return
        try:
            reason = await self._federation.ask(pair, stream_id, key)
        except StanzaError as failed:
            reason, error = failed.text, failed
        if reason is None:
            self.pairs.add(pair)
        else:
            self.log.warn("dialback of {sender} to {to} failed: {reason}", sender=pair.sender, to=pair.to, reason=reason)
        self._dialback.answer(self._stream, pair, reason is None, error)
        if reason is None:
            self._proved(pair)

    def _unacceptable(self, pair: Pair) -> StanzaError | None:
        if not self._federation.speaks_for(pair.to):
            return StanzaError(StanzaCondition.ITEM_NOT_FOUND, text=f"{pair.to} is not served here.")
        if why := self._federation.refuses_sender(pair.sender):
            return StanzaError(StanzaCondition.NOT_ALLOWED, text=f"{pair.sender} {why}.")
        if not self._federation.takes_dialback(pair.sender):  # also on the stream of a domain that may use it
            return StanzaError(StanzaCondition.NOT_ALLOWED, text=f"{pair.sender} proves itself by its certificate here.")
        if len(self.pairs) >= MAX_PAIRS:
            return StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=f"More than {MAX_PAIRS} pairs on one stream.")
        return None

    def later(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Have the stream go on when the work is done; if it is gone by then, the work is canceled."""
        answered = Deferred.fromCoroutine(work)
        self._work.add(answered)
        answered.addCallbacks(lambda _: self._connection.answered(), self._fault)
        answered.addBoth(lambda _: self._work.discard(answered))

    def _fault(self, failure: Failure) -> None:
        if self._gone:  # so the work was canceled, and whatever it waited for has its own words for that
            return
        self.log.failure("fault while judging {domain}", failure, domain=printable(str(self._stream.remote)))
        self._connection.fail(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))
