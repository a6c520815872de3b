"""What every service between servers shares: whom we believe to be which domain, and how a domain is reached."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import islice
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppfed.core.events import Pair
from xmppfed.core.identity import ascii_domain, domain_name_matched, host_matched
from xmppfed.core.negotiation.dialback import InitiatingDialback, VerifyingDialback, dialback_key
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.negotiation.sasl import InitiatingSASL
from xmppfed.core.sasl.registry import Credentials, create_client
from xmppfed.core.sasl.steps import ClientMechanism, Offer
from xmppfed.core.stream import Stream
from xmppfed.discovery.candidates import Candidate
from xmppfed.discovery.discovery import Discovery
from xmppfed.errors import DiscoveryError, SASLError, StanzaCondition, StanzaError, StreamError
from xmppfed.net.certificates import moment
from xmppfed.net.connection import Connection
from xmppfed.net.dial import Dialer, DialFailed, Line, Target
from xmppfed.net.gathering import Gathering
from xmppfed.net.peer import PeerCertificate
from xmppfed.net.tls import ServerContexts, TrustRoots
from xmppfed.net.websocketwire import printable
from xmppfed.routing.remotes import Remotes
from xmppfed.services.outgoing import AttemptFailed, Outgoing
from xmppfed.timeouts import Timeouts

__all__ = ["MAX_ATTEMPTS", "MAX_QUESTIONS", "MAX_WAITING_QUESTIONS", "Federation", "SecretSource", "Trust"]

MAX_QUESTIONS = 50  # dialback verifications under way at once: strangers make us look up and connect with each
MAX_WAITING_QUESTIONS = 1000
MAX_ATTEMPTS = 16  # addresses tried for one stream: the domain names them, and could name hundreds of others' addresses
_STOPPING = "This server is shutting down."


class Trust(Enum):
    """How another domain proves itself (DESIGN, 7)."""

    EXTERNAL = "external"
    EXTERNAL_OR_DIALBACK = "external-or-dialback"
    DIALBACK_WITHOUT_VERIFIED_TLS = "dialback-without-verified-tls"


class SecretSource(Protocol):
    """Keeps the secrets of this installation."""

    async def secret(self, name: str) -> bytes:
        """Random bytes, the same ever after."""


class Federation:
    """Opens streams to other servers, and judges what other servers say they are."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        domains: Collection[str],
        remotes: Remotes,
        discovery: Discovery,
        dialers: Mapping[str, Dialer],
        contexts: ServerContexts | None,
        trust_roots: TrustRoots,
        trust: Trust,
        secrets: SecretSource,
        timeouts: Timeouts,
        limit: int,
    ) -> None:
        """`dialers` open wires by the kind of a candidate; `contexts` has the certificates that we show as a client;
        `limit` is the longest stanza taken from a server."""
        self.clock = clock
        self._dialers = dialers
        self.domains = domains
        self.remotes = remotes
        self.trust = trust
        self.timeouts = timeouts
        self.limit = limit
        self.trust_roots = trust_roots
        self.streams: Gathering[Any] = Gathering()
        self._discovery = discovery
        self._contexts = contexts
        self._secrets = secrets
        self._secret: bytes | None = None
        self._questions = DeferredSemaphore(MAX_QUESTIONS)
        self._reaching: set[Deferred[Outgoing]] = set()
        self.stopping = False

    def stop(self, error: StreamError) -> Deferred[None]:
        """Open no more streams, and end those there are; the result comes when every connection is gone."""
        self.stopping = True
        ended = self.streams.end_all(error)
        for reaching in list(self._reaching):
            reaching.cancel()
        return ended

    # Reaching others.

    def connect(self, pair: Pair) -> None:
        """Make a stream for `pair`; the queue of its stanzas hears how it ended."""
        Deferred.fromCoroutine(self._connect(pair)).addErrback(self._fault, pair)

    async def _connect(self, pair: Pair) -> None:
        secret = await self._dialback_secret()
        try:
            outgoing = await self._reach(pair, partial(self._features, pair, secret))
        except DiscoveryError as error:
            self.log.warn("no stream from {sender} to {to}: {reason}", sender=pair.sender, to=pair.to, reason=str(error))
            self.remotes.failed(pair, StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, text=str(error)))
            return
        self.remotes.established(pair, outgoing.send)

    def _fault(self, failure: Failure, pair: Pair) -> None:
        """A fault of ours, of which no detail leaves the house; what waits must not wait for nothing."""
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
            features = partial(_verifying, pair, stream_id, key)
            outgoing = await self._reach(Pair(pair.to, pair.sender), features)
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

    def _features(self, pair: Pair, secret: bytes) -> list[Feature]:
        certificate = self._contexts is not None and self._contexts.certificate(pair.sender) is not None
        credentials = Credentials(authzid=pair.sender, certificate=certificate)
        features: list[Feature] = [InitiatingSASL(partial(_mechanism, credentials))]
        if self.trust is not Trust.EXTERNAL:  # who is asked back by dialback has to answer, which that policy forbids
            features.append(InitiatingDialback(pair, partial(dialback_key, secret)))
        return features

    def _reach(self, pair: Pair, features: Features) -> Deferred[Outgoing]:
        """A stream to `pair.to` that is ready for what it is made for; fails with a `DiscoveryError` of every reason."""
        reaching = Deferred.fromCoroutine(self._try_all(pair, features))
        self._reaching.add(reaching)
        return reaching.addBoth(self._reached, reaching)

    def _reached(self, result: Outgoing | Failure, reaching: Deferred[Outgoing]) -> Outgoing | Failure:
        self._reaching.discard(reaching)
        if self.stopping and isinstance(result, Failure):
            return Failure(DiscoveryError(_STOPPING))
        return result

    async def _try_all(self, pair: Pair, features: Features) -> Outgoing:
        if self.stopping:
            raise DiscoveryError(_STOPPING)
        found = await self._discovery.candidates(pair.to)
        reasons = list(found.explanations)
        targets = _targets(found.candidates)
        for candidate, address in islice(targets, MAX_ATTEMPTS):
            try:
                return await self._attempt(pair, candidate, address, features())
            except (DialFailed, AttemptFailed) as error:
                if self.stopping:
                    raise
                reasons.append(f"{candidate.url} at {address}: {error}")
        if left := sum(1 for _ in targets):
            reasons.append(f"{left} more addresses were not tried; {MAX_ATTEMPTS} are the most.")
        self._discovery.expire(pair.to)
        raise DiscoveryError("\n".join(reasons))

    async def _attempt(self, pair: Pair, candidate: Candidate, address: str, features: Sequence[Feature]) -> Outgoing:
        line, certificate = await self._dial(pair, candidate, address)
        new_id = partial(secrets.token_hex, 16)
        stream = Stream(line.framing, features, receiving=False, new_id=new_id, limit=self.limit, secure=True)

        def made(connection: Connection[Outgoing]) -> Outgoing:
            return Outgoing(self, pair, connection, certificate)

        connection = Connection(stream, line.wire, made, self.clock, self.timeouts, self.timeouts.server_silence)
        outgoing = connection.owner
        line.attach(connection)
        stream.open(pair.sender, pair.to)
        connection.answered()
        return await outgoing.ready

    async def _dial(self, pair: Pair, candidate: Candidate, address: str) -> tuple[Line, PeerCertificate | None]:
        """A wire, and the certificate that was judged; a server that shows a wrong one is asked for the domain's own."""
        own = self._contexts.certificate(pair.sender) if self._contexts is not None else None
        verdict = _Verdict(partial(self.refusal, pair.to, candidate.accepted_names))
        names = dict.fromkeys([candidate.sni, ascii_domain(pair.to) or candidate.sni])
        for sni in names:
            target = Target(candidate.url, address, candidate.port, sni)
            try:
                line = await self._dialers[candidate.kind].dial(target, own, self.trust_roots, verdict)
            except DialFailed:
                if verdict.reason is None:
                    raise
            else:
                return line, verdict.certificate
        raise DialFailed(f"{verdict.reason} (SNI {' and '.join(names)})")

    def at_expiry(self, certificate: PeerCertificate, act: Callable[[], object]) -> IDelayedCall:
        """What a certificate proved holds as long as the certificate (RFC 6120, 13.7.2.3): then comes `act`."""
        left = (certificate.not_after - moment(self.clock)).total_seconds()
        return self.clock.callLater(max(left, 0), act)

    # Judging others.

    def refusal(self, domain: str, accepted: Collection[str], certificate: PeerCertificate | None) -> str | None:
        """Why a server that we reached is not `domain`; `accepted` are names that a trusted document delegated to."""
        if self.trust is Trust.DIALBACK_WITHOUT_VERIFIED_TLS:
            return None
        proved = certificate is not None and any(host_matched(certificate.names, name) for name in accepted)
        return _mismatch("certificate", certificate, domain, ", ".join(sorted({domain, *accepted})), proved=proved)

    def unproved(self, domain: str, certificate: PeerCertificate | None) -> str | None:
        """Why a certificate does not prove an incoming stream to be from `domain`; names from host-meta never do."""
        return _mismatch("client certificate", certificate, domain, domain)


Features = Callable[[], Sequence[Feature]]


@dataclass(slots=True)
class _Verdict:
    """Judges the certificate of a server that was dialed, and remembers."""

    judge: Callable[[PeerCertificate | None], str | None]
    certificate: PeerCertificate | None = None
    reason: str | None = None

    def __call__(self, certificate: PeerCertificate | None) -> str | None:
        self.certificate, self.reason = certificate, self.judge(certificate)
        return self.reason


def _mismatch(what: str, certificate: PeerCertificate | None, domain: str, wanted: str, *, proved: bool = False) -> str | None:
    """Why a certificate does not prove the domain, in words; `proved` says that another name in it was enough."""
    if certificate is None:
        return f"found no {what}; wanted one for {wanted}"
    names = printable(str(certificate.names))  # whatever a stranger may have had signed, or has signed himself
    if certificate.problems:
        problems = "; ".join(certificate.problems)
        return f"found a {what} for {names} ({problems}); wanted a trusted one for {wanted}"
    if not proved and domain_name_matched(certificate.names, domain) is None:
        return f"found a {what} for {names}; wanted one for {wanted}"
    return None


def _targets(candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, str]]:
    return ((candidate, address) for candidate in candidates for address in candidate.addresses)


def _verifying(pair: Pair, stream_id: str, key: str) -> list[Feature]:
    return [VerifyingDialback(pair, stream_id, key)]


def _mechanism(credentials: Credentials, offer: Offer) -> ClientMechanism | None:
    try:
        return create_client(offer, credentials, "", {}, encrypted=True)
    except SASLError:
        return None  # nothing for us: dialback may follow
