"""What every service between servers shares: whom we believe to be which domain, and how a domain is reached."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppfed.core.events import Pair
from xmppfed.core.negotiation.bidi import InitiatingBidi
from xmppfed.core.negotiation.dialback import InitiatingDialback, VerifyingDialback, dialback_key
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.negotiation.limits import InitiatingLimits
from xmppfed.core.negotiation.sasl import InitiatingSASL
from xmppfed.core.sasl.registry import Credentials, create_client
from xmppfed.core.sasl.steps import ClientMechanism, Offer
from xmppfed.discovery.discovery import Discovery
from xmppfed.discovery.vouching import Vouching
from xmppfed.errors import DiscoveryError, SASLError, StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppfed.net.certificates import moment
from xmppfed.net.dial import Dialer
from xmppfed.net.gathering import Gathering
from xmppfed.net.peer import PeerCertificate
from xmppfed.net.tls import ServerContexts, TrustRoots
from xmppfed.routing.remotes import Remotes
from xmppfed.routing.router import Router
from xmppfed.services.management import Management
from xmppfed.services.outgoing import Outgoing, Purpose
from xmppfed.services.proof import CLIENT, Proof, prove
from xmppfed.services.reaching import Purposes, Reaching
from xmppfed.services.resumption import Resumption
from xmppfed.services.trace import Trace, Traces
from xmppfed.timeouts import Timeouts

__all__ = ["MAX_QUESTIONS", "MAX_WAITING_QUESTIONS", "Federation", "SecretSource", "Trust", "TrustPolicy"]

MAX_QUESTIONS = 50  # dialback verifications under way at once: strangers make us look up and connect with each
MAX_WAITING_QUESTIONS = 1000
_STOPPING = "This server is shutting down."


class Trust(Enum):
    """How another domain proves itself (DESIGN, 7)."""

    EXTERNAL = "external"
    EXTERNAL_OR_DIALBACK = "external-or-dialback"
    DIALBACK_WITHOUT_VERIFIED_TLS = "dialback-without-verified-tls"


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """What is asked of other domains, and of some in particular."""

    default: Trust = Trust.EXTERNAL_OR_DIALBACK
    by_domain: Mapping[str, Trust] = field(default_factory=dict)

    def of(self, domain: str) -> Trust:
        """How this domain has to prove itself."""
        return self.by_domain.get(domain, self.default)


class SecretSource(Protocol):
    """Keeps the secrets of this installation."""

    async def secret(self, name: str) -> bytes:
        """Random bytes, the same ever after."""


class Federation(Service):
    """Opens streams to other servers, and judges what other servers say they are, whatever carries the streams."""

    name = "federation"
    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        domains: Container[str],
        remotes: Remotes,
        router: Router,
        discovery: Discovery,
        vouching: Vouching,
        dialers: Mapping[str, Dialer],
        contexts: ServerContexts | None,
        trust_roots: TrustRoots,
        trust: TrustPolicy,
        secrets: SecretSource,
        timeouts: Timeouts,
        limit: int,
    ) -> None:
        """`dialers` open wires by the kind of a candidate; `contexts` has the certificates that we show as a client;
        `limit` is the longest stanza taken from a server."""
        self.clock = clock
        self.dialers = dialers
        self.domains = domains
        self.remotes = remotes
        self.router = router
        self.trust = trust
        self.timeouts = timeouts
        self.limit = limit
        self.trust_roots = trust_roots
        self.streams: Gathering[Any] = Gathering()
        self.discovery = discovery
        self.vouching = vouching
        self.contexts = contexts
        self.traces = Traces()
        self.resumption = Resumption(clock, remotes, timeouts, self.connect)
        self._secrets = secrets
        self._secret: bytes | None = None
        self._questions = DeferredSemaphore(MAX_QUESTIONS)
        self._reaching: set[Deferred[Outgoing]] = set()
        self._connecting: set[Pair] = set()
        self.stopping = False

    def stopService(self) -> Deferred[None]:
        """Open no more streams, and end those there are; the result comes when every connection is gone."""
        super().stopService()
        self.stopping = True
        self.resumption.stop()
        ended = self.streams.end_all(StreamError(StreamCondition.SYSTEM_SHUTDOWN))
        for reaching in list(self._reaching):
            reaching.cancel()
        self.remotes.stop()
        return ended

    # Reaching others.

    def connect(self, pair: Pair) -> None:
        """Make a stream for `pair`, unless one is being made; the queue of its stanzas hears how it ended."""
        if pair not in self._connecting:
            self._connecting.add(pair)
            Deferred.fromCoroutine(self._connect(pair)).addErrback(self._fault, pair)

    async def _connect(self, pair: Pair) -> None:
        try:
            secret = await self._dialback_secret()
            outgoing = await self._reach(pair, partial(self._purpose, pair, secret))
        except DiscoveryError as error:
            self._connecting.discard(pair)
            self.log.warn("no stream from {sender} to {to}: {reason}", sender=pair.sender, to=pair.to, reason=str(error))
            failure = StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, text=str(error))
            self.remotes.failed(pair, failure, expected=self.resumption.expects(pair))
            return
        self._connecting.discard(pair)
        outgoing.carry()

    async def explain(self, pair: Pair) -> Trace:
        """How `pair.to` is reached: what was done to make the stream that stands, or else what is done now to make one."""
        trace = self.traces.of(pair.to)
        if trace is None or trace.pair != pair or not self.remotes.stands(pair):
            self.discovery.expire(pair.to)
            await self._connect(pair)
            trace = self.traces.of(pair.to)
        assert trace is not None  # that is the last that was written down
        return trace

    def _fault(self, failure: Failure, pair: Pair) -> None:
        """A fault of ours, of which no detail leaves the house; what waits must not wait for nothing."""
        self._connecting.discard(pair)
        self.log.failure("fault while connecting to {domain}", failure, domain=pair.to)
        self.remotes.failed(pair, StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR))

    async def ask(self, pair: Pair, stream_id: str, key: str) -> str | None:
        """Ask the authoritative server of `pair.sender` whether it made `key`; none if it did, else why not. Raises
        `StanzaError` when nobody could be asked. Who cancels gives the question up."""
        if len(self._questions.waiting) >= MAX_WAITING_QUESTIONS:
            text = f"More than {MAX_WAITING_QUESTIONS} verifications wait already; try again later."
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=text)
        await self._questions.acquire()
        try:
            purpose = partial(self._verifying, pair, stream_id, key)
            outgoing = await self._reach(Pair(pair.to, pair.sender), purpose)
        except DiscoveryError as error:
            raise StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, text=str(error)) from None
        finally:
            self._questions.release()
        outgoing.close()
        return outgoing.verdict

    async def is_ours(self, pair: Pair, stream_id: str, key: str) -> bool:
        """Whether `key` is one that we made, as the authoritative server of `pair.sender`."""
        expected = dialback_key(await self._dialback_secret(), pair, stream_id)
        return hmac.compare_digest(expected.encode(), key.encode())

    async def _dialback_secret(self) -> bytes:
        """Kept, because strangers ask for it to be used."""
        if self._secret is None:
            self._secret = await self._secrets.secret("dialback")
        return self._secret

    def _purpose(self, pair: Pair, secret: bytes) -> Purpose:
        certificate = self.contexts is not None and self.contexts.certificate(pair.sender) is not None
        credentials = Credentials(authzid=pair.sender, certificate=certificate)
        bidi = InitiatingBidi(int(self.timeouts.server_silence))
        management = Management(self.resumption, pair)
        sasl = InitiatingSASL(partial(_mechanism, credentials))
        features: list[Feature] = [InitiatingLimits(), bidi, sasl, management.initiating()]
        if not self.takes_dialback(pair.to):  # who is asked back by dialback has to answer, which that policy forbids
            return Purpose(features, management)
        dialback = InitiatingDialback(pair, partial(dialback_key, secret))
        return Purpose([*features, dialback], management, dialback)

    def _verifying(self, pair: Pair, stream_id: str, key: str) -> Purpose:
        return Purpose([VerifyingDialback(pair, stream_id, key)], Management(self.resumption))

    def _reach(self, pair: Pair, purpose: Purposes) -> Deferred[Outgoing]:
        """A stream to `pair.to` that is ready for what it is made for; fails with a `DiscoveryError` of every reason."""
        trace = self.traces.begin(pair, self.clock.seconds())
        reaching = Deferred.fromCoroutine(self._stream(purpose, trace))
        self._reaching.add(reaching)
        return reaching.addBoth(self._reached, reaching, trace)

    async def _stream(self, purpose: Purposes, trace: Trace) -> Outgoing:
        if self.stopping:
            raise DiscoveryError(_STOPPING)
        return await Reaching(self, purpose, trace).stream()

    def _reached(self, result: Outgoing | Failure, reaching: Deferred[Outgoing], trace: Trace) -> Outgoing | Failure:
        self._reaching.discard(reaching)
        trace.seconds = self.clock.seconds() - trace.began
        if isinstance(result, Failure):
            if self.stopping:
                result = Failure(DiscoveryError(_STOPPING))
            trace.failure = str(result.value)
        return result

    def at_expiry(self, proof: Proof, act: Callable[[], object]) -> IDelayedCall | None:
        """What a certificate proved holds as long as the certificate (RFC 6120, 13.7.2.3): then comes `act`."""
        if proof.until is None:
            return None
        left = (proof.until - moment(self.clock)).total_seconds()
        return self.clock.callLater(max(left, 0), act)

    # Judging others.

    def speaks_for(self, domain: str) -> bool:
        """Whether streams to the domain end here, and the keys of its dialback are ours."""
        return domain in self.domains

    def refuses_sender(self, domain: str) -> str | None:
        """Why no stream that comes in can be from the domain, whoever sends it: what the domain is."""
        return "is served here" if domain in self.domains else None

    def takes_dialback(self, domain: str) -> bool:
        """Whether the domain may prove itself by dialback."""
        return self.trust.of(domain) is not Trust.EXTERNAL

    def prove_server(self, domain: str, accepted: Collection[str], certificate: PeerCertificate | None) -> Proof:
        """Whether a server that we reached is the domain; `accepted` are names that a trusted document delegated to."""
        if self.trust.of(domain) is Trust.DIALBACK_WITHOUT_VERIFIED_TLS:
            return Proof()
        vouched = self.vouching.known(domain)
        return prove(domain, certificate, moment(self.clock), accepted=accepted, vouched=vouched)

    def prove_client(self, domain: str, certificate: PeerCertificate | None) -> Proof:
        """Whether an incoming stream is from the domain; names from host-meta never prove that."""
        return prove(domain, certificate, moment(self.clock), what=CLIENT, vouched=self.vouching.known(domain))

    async def ask_about_client(self, domain: str, certificate: PeerCertificate) -> Proof:
        """The same after the domain was asked whether it vouches for the certificate."""
        vouched = await self.vouching.look_up_for_stranger(domain)
        return prove(domain, certificate, moment(self.clock), what=CLIENT, vouched=vouched)


def _mechanism(credentials: Credentials, offer: Offer) -> ClientMechanism | None:
    try:
        return create_client(offer, credentials, "", {}, encrypted=True)
    except SASLError:
        return None  # nothing for us: dialback may follow
