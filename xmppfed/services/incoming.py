"""A stream that another server opened to us: it proves its domains, and may speak for those alone."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppfed.core.events import (
    Authenticated,
    AuthFailed,
    AuthRequested,
    DialbackRequested,
    Event,
    OpenRequested,
    Pair,
    StanzaReceived,
    StreamClosed,
    StreamFailed,
    VerifyRequested,
)
from xmppfed.core.jid import JID, domain_or_nothing
from xmppfed.core.negotiation.dialback import ReceivingDialback
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.negotiation.offers import Offers
from xmppfed.core.negotiation.sasl import ReceivingSASL
from xmppfed.core.sasl.external import ExternalServer
from xmppfed.core.sasl.steps import Claim
from xmppfed.core.stanza import Stanza
from xmppfed.errors import (
    JIDError,
    SASLCondition,
    SASLError,
    StanzaCondition,
    StanzaError,
    StreamCondition,
    StreamError,
)
from xmppfed.net.arrival import Arrival
from xmppfed.net.connection import Connection
from xmppfed.net.peer import PeerCertificate
from xmppfed.net.websocketwire import printable
from xmppfed.routing.router import Router
from xmppfed.services.federation import Federation, Trust
from xmppfed.services.proof import Proof

__all__ = ["MAX_PAIRS", "Incoming"]

MAX_PAIRS = 1000  # on one stream


class Incoming:
    """Owns a stream that came in. Authorization is per ordered pair, on this stream (RFC 6120, 8.1.2.2)."""

    log = Logger()
    __slots__ = (
        "_arrival",
        "_closed",
        "_connection",
        "_dialback",
        "_domain",
        "_expiry",
        "_external",
        "_federation",
        "_gone",
        "_pairs",
        "_proof",
        "_router",
        "_stream",
        "_work",
    )

    def __init__(self, federation: Federation, router: Router, arrival: Arrival, connection: Connection[Incoming]) -> None:
        self._federation = federation
        self._router = router
        self._arrival = arrival
        self._connection = connection
        self._stream = connection.stream
        self._domain = ""
        self._proof = Proof()
        self._pairs: set[Pair] = set()
        self._dialback = ReceivingDialback()
        self._external = ReceivingSASL(["EXTERNAL"], lambda _: ExternalServer())
        self._closed = False  # by the peer, in good order
        self._gone = False
        self._work: set[Deferred[None]] = set()
        self._expiry: IDelayedCall | None = None
        federation.streams.add(self)

    def handle(self, event: Event) -> None:
        """Judge what the server did."""
        match event:
            case StanzaReceived(stanza):
                self._route(stanza)
            case OpenRequested(opening):
                self._open(opening.sender, opening.to)
            case AuthRequested(claim):
                self._judge(claim)
            case DialbackRequested(pair, key, stream_id):
                self._later(self._verify(pair, key, stream_id))
            case VerifyRequested(pair, key, stream_id):
                self._later(self._answer(pair, key, stream_id))
            case Authenticated(peer, mechanism):
                self.log.info("server {domain} authenticated by {mechanism}", domain=str(peer), mechanism=mechanism)
            case AuthFailed(mechanism, error):
                self.log.warn(
                    "server {domain} failed {mechanism}: {reason}", domain=self._domain, mechanism=mechanism, reason=str(error)
                )
            case StreamFailed(error, sent):
                reason = printable(str(error))
                self.log.warn("stream from {domain} failed: {reason}", domain=self._domain, reason=reason, sent=sent)
            case StreamClosed():
                self._closed = True
            case _:
                pass  # Established needs nothing of us

    def describe(self) -> dict[str, object]:
        """What an operator is told of it."""
        pairs = sorted((pair.sender, pair.to) for pair in self._pairs)
        mechanism, proof = self._stream.mechanism, self._proof.by
        return {"direction": "in", "pairs": pairs, "address": self._arrival.address, "mechanism": mechanism, "proof": proof}

    def end(self, error: StreamError) -> None:
        """End the stream with an error."""
        self._connection.fail(error)

    def lost(self, reason: str) -> None:
        """The connection is gone, and nobody waits for our answers."""
        self._gone = True
        for work in list(self._work):
            work.cancel()
        if self._expiry is not None and self._expiry.active():
            self._expiry.cancel()
        self.log.info("stream from {domain} is gone: {reason}", domain=self._domain, reason=reason)
        if not self._closed:
            self._router.broken(self._pairs)
        self._federation.streams.discard(self)  # last: when all are gone, the services behind the federation stop

    def _open(self, sender: str | None, to: str | None) -> None:
        """Offer what can prove the peer to be the domain it says it is."""
        local, self._domain = domain_or_nothing(to), domain_or_nothing(sender)
        refusal = self._refusal(local, sender, to)
        if refusal is not None:
            self._stream.fail(refusal)
            return
        certificate = self._arrival.certificate
        self._proof = (
            self._federation.prove_client(self._domain, certificate) if self._domain else Proof(problem="found no 'from'")
        )
        if self._proof.by or certificate is None or not self._domain:
            self._accept(local)
        else:
            self._later(self._ask_and_accept(local, certificate))

    async def _ask_and_accept(self, local: str, certificate: PeerCertificate) -> None:
        """A certificate that proves nothing by itself may be one that the domain vouches for."""
        self._proof = await self._federation.ask_about_client(self._domain, certificate)
        self._accept(local)

    def _accept(self, local: str) -> None:
        problem = self._proof.problem
        if problem and self._federation.trust.of(self._domain) is Trust.EXTERNAL:
            self._stream.fail(StreamError(StreamCondition.NOT_AUTHORIZED, f"{problem[0].upper()}{problem[1:]}."))
            return
        if problem:
            self.log.info("{domain} cannot use EXTERNAL: {reason}", domain=self._domain, reason=problem)
        self._stream.accept(local, self._features(external=not problem))

    def _refusal(self, local: str, sender: str | None, to: str | None) -> StreamError | None:
        """Why a stream with this header is not for us."""
        if self._federation.stopping:
            return StreamError(StreamCondition.SYSTEM_SHUTDOWN)
        if not self._federation.speaks_for(local):
            return StreamError(StreamCondition.HOST_UNKNOWN, f"Found {ascii(to)[:64]} as 'to'; it is not served here.")
        if sender and not self._domain:
            return StreamError(StreamCondition.IMPROPER_ADDRESSING, f"Found {ascii(sender)[:64]} as 'from'; wanted a domain.")
        if self._domain and (why := self._federation.refuses_sender(self._domain)):
            return StreamError(StreamCondition.INVALID_FROM, f"Found {self._domain} as 'from'; that {why}.")
        return None

    def _features(self, *, external: bool) -> list[Feature]:
        features: list[Feature] = []
        if external:
            features.append(self._external)
        if self._federation.trust.of(self._domain) is not Trust.EXTERNAL:
            features.append(self._dialback)
        features.append(Offers(after=self._router.handlers.offers("server")))
        return features

    def _judge(self, claim: Claim) -> None:
        """EXTERNAL was offered because a certificate proves the `from`; the authzid must be the same (XEP-0178, 3)."""
        if claim.authzid and domain_or_nothing(claim.authzid) != self._domain:
            text = f"Found {ascii(claim.authzid)[:64]}; wanted {self._domain}."
            self._external.reject(self._stream, SASLError(SASLCondition.INVALID_AUTHZID, text))
            return
        self._pairs.add(Pair(self._domain, self._stream.local))
        self._expire_with_certificate()
        self._external.accept(self._stream, JID("", self._domain), claim)

    def _expire_with_certificate(self) -> None:
        """What the certificate proved holds as long as the certificate (RFC 6120, 13.7.2.3)."""
        expired = StreamError(StreamCondition.RESET, f"The certificate of {self._domain} has expired.")
        self._expiry = self._federation.at_expiry(self._proof, lambda: self._connection.fail(expired))

    async def _verify(self, pair: Pair, key: str, stream_id: str) -> None:
        """Dialback as the receiving server (XEP-0220, 2.1.2): ask the authoritative one."""
        error = self._unacceptable(pair)
        if error is not None:
            self._dialback.answer(self._stream, pair, False, error)
            return
        try:
            reason = await self._federation.ask(pair, stream_id, key)
        except StanzaError as failed:
            reason, error = failed.text, failed
        if reason is None:
            self._pairs.add(pair)
        else:
            self.log.warn("dialback of {sender} to {to} failed: {reason}", sender=pair.sender, to=pair.to, reason=reason)
        self._dialback.answer(self._stream, pair, reason is None, error)

    def _unacceptable(self, pair: Pair) -> StanzaError | None:
        if not self._federation.speaks_for(pair.to):
            return StanzaError(StanzaCondition.ITEM_NOT_FOUND, text=f"{pair.to} is not served here.")
        if why := self._federation.refuses_sender(pair.sender):
            return StanzaError(StanzaCondition.NOT_ALLOWED, text=f"{pair.sender} {why}.")
        if self._federation.trust.of(pair.sender) is Trust.EXTERNAL:  # also on the stream of a domain that may use dialback
            return StanzaError(StanzaCondition.NOT_ALLOWED, text=f"{pair.sender} proves itself by its certificate here.")
        if len(self._pairs) >= MAX_PAIRS:
            return StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=f"More than {MAX_PAIRS} pairs on one stream.")
        return None

    async def _answer(self, pair: Pair, key: str, stream_id: str) -> None:
        """Dialback as the authoritative server (XEP-0220, 2.2.2)."""
        error = None
        if not self._federation.speaks_for(pair.sender):
            error = StanzaError(StanzaCondition.ITEM_NOT_FOUND, text=f"{pair.sender} is not served here.")
        valid = error is None and await self._federation.is_ours(pair, stream_id, key)
        self._dialback.answer_verify(self._stream, pair, stream_id, valid, error)

    def _later(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Have the stream go on when the work is done; if it is gone by then, the work is canceled."""
        answered = Deferred.fromCoroutine(work)
        self._work.add(answered)
        answered.addCallbacks(lambda _: self._connection.answered(), self._fault)
        answered.addBoth(lambda _: self._work.discard(answered))

    def _fault(self, failure: Failure) -> None:
        if self._gone:  # so the work was canceled, and whatever it waited for has its own words for that
            return
        self.log.failure("fault while judging {domain}", failure, domain=self._domain)
        self._connection.fail(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))

    def _route(self, stanza: Stanza) -> None:
        """Let a stanza of an authorized pair through (RFC 6120, 8.1.1.2 and 8.1.2.2)."""
        try:
            sender, to = stanza.sender, stanza.to
        except JIDError as error:
            self._stream.fail(StreamError(StreamCondition.IMPROPER_ADDRESSING, str(error)))
            return
        if sender is None or to is None:
            self._stream.fail(StreamError(StreamCondition.IMPROPER_ADDRESSING, "A stanza between servers needs 'from' and 'to'."))
            return
        if Pair(sender.domain, to.domain) not in self._pairs:
            text = f"Found a stanza from {sender.domain} to {to.domain}, which this stream is not authorized for."
            self._stream.fail(StreamError(StreamCondition.INVALID_FROM, text))
            return
        lang = self._stream.lang
        if lang is not None:
            stanza = stanza.stamped(stanza.attributes["from"], lang)
        self._router.route_received(stanza)
