"""A stream that another server opened to us: it proves its domains, and may speak for those alone."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xmppfed.core.events import (
    Acknowledged,
    Authenticated,
    AuthFailed,
    AuthRequested,
    DialbackRequested,
    Event,
    Managed,
    OpenRequested,
    Pair,
    Resumed,
    ResumptionFailed,
    StanzaReceived,
    StreamClosed,
    StreamFailed,
    VerifyRequested,
)
from xmppfed.core.jid import JID, domain_or_nothing
from xmppfed.core.negotiation.bidi import ReceivingBidi
from xmppfed.core.negotiation.dialback import ReceivingDialback
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.negotiation.limits import ReceivingLimits
from xmppfed.core.negotiation.offers import Offers
from xmppfed.core.negotiation.sasl import ReceivingSASL
from xmppfed.core.sasl.external import ExternalServer
from xmppfed.core.sasl.steps import Claim
from xmppfed.errors import (
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
from xmppfed.services.federation import Federation, Trust
from xmppfed.services.management import Management
from xmppfed.services.pairs import ProvedPairs
from xmppfed.services.proof import Proof
from xmppfed.services.way import Way

__all__ = ["Incoming"]


class Incoming:
    """Owns a stream that came in. Where it is bidirectional, stanzas for whom it has proved go back on it (XEP-0288)."""

    log = Logger()
    __slots__ = (
        "_arrival",
        "_connection",
        "_dialback",
        "_domain",
        "_expiry",
        "_external",
        "_federation",
        "_heard",
        "_management",
        "_proof",
        "_proved",
        "_stream",
        "_way",
    )

    def __init__(self, federation: Federation, arrival: Arrival, connection: Connection[Incoming]) -> None:
        self._federation = federation
        self._arrival = arrival
        self._connection = connection
        self._stream = connection.stream
        self._domain = ""
        self._proof = Proof()
        self._dialback = ReceivingDialback()
        self._proved = ProvedPairs(federation, connection, self._dialback, self._pair_proved)
        self._management = Management(federation.resumption)
        self._management.serve(connection, self._proved.pairs, self._go_back)
        self._way = Way(federation.remotes, connection, self._management)
        self._external = ReceivingSASL(["EXTERNAL"], lambda _: ExternalServer())
        self._heard = False  # a stanza has come
        self._expiry: IDelayedCall | None = None
        federation.streams.add(self)

    def handle(self, event: Event) -> None:
        """Judge what the server did."""
        match event:
            case StanzaReceived(stanza):
                if not self._heard:
                    self._go_back()
                self._proved.route(stanza)
            case OpenRequested(opening):
                self._open(opening.sender, opening.to)
            case AuthRequested(claim):
                self._judge(claim)
            case DialbackRequested(pair, key, stream_id):
                self._proved.judge(pair, key, stream_id)
            case VerifyRequested(pair, key, stream_id):
                self._proved.later(self._answer(pair, key, stream_id))
            case Authenticated(peer, mechanism):
                self.log.info("server {domain} authenticated by {mechanism}", domain=str(peer), mechanism=mechanism)
            case AuthFailed(mechanism, error):
                self.log.warn(
                    "server {domain} failed {mechanism}: {reason}", domain=self._domain, mechanism=mechanism, reason=str(error)
                )
            case Acknowledged():
                self._way.acknowledged()
            case Managed() | Resumed() | ResumptionFailed():
                self._management.handle(event)
            case StreamFailed(error, sent):
                reason = printable(str(error))
                self.log.warn("stream from {domain} failed: {reason}", domain=self._domain, reason=reason, sent=sent)
                self._way.close(gone=not sent)
            case StreamClosed():
                self._proved.closed = True
                self._way.close(gone=True)
            case _:
                pass  # Established needs nothing of us

    def describe(self) -> dict[str, object]:
        """What an operator is told of it."""
        pairs = sorted((pair.sender, pair.to) for pair in (*self._proved.pairs, *self._way.pairs))
        mechanism, proof, waiting = self._stream.mechanism, self._proof.by, self._management.unacknowledged
        found = {"direction": "in", "pairs": pairs, "address": self._arrival.address, "mechanism": mechanism, "proof": proof}
        return {**found, "unacknowledged": waiting}

    def end(self, error: StreamError) -> None:
        """End the stream with an error."""
        self._connection.fail(error)

    def lost(self, reason: str) -> None:
        """The connection is gone, and nobody waits for our answers."""
        self._proved.stop()
        self._way.close(gone=True)
        if self._expiry is not None and self._expiry.active():
            self._expiry.cancel()
        self.log.info("stream from {domain} is gone: {reason}", domain=self._domain, reason=reason)
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
            self._proved.later(self._ask_and_accept(local, certificate))

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
        limits = ReceivingLimits(int(self._federation.timeouts.server_silence))
        dialback = self._federation.takes_dialback(self._domain)
        features: list[Feature] = [limits, ReceivingBidi(), self._management.receiving(early=dialback)]
        if external:
            features.append(self._external)
        if dialback:
            features.append(self._dialback)
        features.append(Offers(after=self._federation.router.handlers.offers("server")))
        return features

    def _judge(self, claim: Claim) -> None:
        """EXTERNAL was offered because a certificate proves the `from`; the authzid must be the same (XEP-0178, 3)."""
        if claim.authzid and domain_or_nothing(claim.authzid) != self._domain:
            text = f"Found {ascii(claim.authzid)[:64]}; wanted {self._domain}."
            self._external.reject(self._stream, SASLError(SASLCondition.INVALID_AUTHZID, text))
            return
        self._proved.pairs.add(Pair(self._domain, self._stream.local))
        self._expire_with_certificate()
        self._external.accept(self._stream, JID("", self._domain), claim)

    def _go_back(self) -> None:
        """The server has begun to speak: what we have for it may go the same way, if that was agreed on."""
        self._heard = True
        if self._stream.bidirectional:
            for pair in self._proved.pairs:
                if self._way.open(Pair(pair.to, pair.sender)):
                    self.log.info("stanzas from {to} to {sender} may go back on its stream", to=pair.to, sender=pair.sender)

    def _pair_proved(self, pair: Pair) -> None:
        if self._heard:
            self._go_back()

    def _expire_with_certificate(self) -> None:
        """What the certificate proved holds as long as the certificate (RFC 6120, 13.7.2.3)."""
        expired = StreamError(StreamCondition.RESET, f"The certificate of {self._domain} has expired.")
        self._expiry = self._federation.at_expiry(self._proof, lambda: self._connection.fail(expired))

    async def _answer(self, pair: Pair, key: str, stream_id: str) -> None:
        """Dialback as the authoritative server (XEP-0220, 2.2.2)."""
        error = None
        if not self._federation.speaks_for(pair.sender):
            error = StanzaError(StanzaCondition.ITEM_NOT_FOUND, text=f"{pair.sender} is not served here.")
        valid = error is None and await self._federation.is_ours(pair, stream_id, key)
        self._dialback.answer_verify(self._stream, pair, stream_id, valid, error)
