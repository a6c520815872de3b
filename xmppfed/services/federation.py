"""What every service between servers shares: whom we believe to be which domain, and how a domain is reached."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from xmppfed.core.events import Pair
from xmppfed.core.identity import domain_name_matched, host_matched
from xmppfed.core.negotiation.dialback import InitiatingDialback, VerifyingDialback, dialback_key
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.negotiation.sasl import InitiatingSASL
from xmppfed.core.sasl.registry import Credentials, create_client
from xmppfed.core.sasl.steps import ClientMechanism
from xmppfed.core.stream import Stream
from xmppfed.discovery.candidates import Candidate
from xmppfed.discovery.discovery import Discovery
from xmppfed.errors import DiscoveryError, SASLError, StanzaCondition, StanzaError, StreamError
from xmppfed.net.connection import Connection
from xmppfed.net.dial import Dialer, DialFailed, Target
from xmppfed.net.gathering import Gathering
from xmppfed.net.peer import PeerCertificate
from xmppfed.net.tls import ServerContexts, TrustRoots
from xmppfed.routing.remotes import Remotes
from xmppfed.services.outgoing import AttemptFailed, Outgoing, Question
from xmppfed.timeouts import Timeouts

__all__ = ["Federation", "SecretSource", "Trust"]


MAX_QUESTIONS = 50  # dialback verifications under way at once: strangers make us look up and connect with each


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
        self._stopping = False
        self._questions = DeferredSemaphore(MAX_QUESTIONS)

    def stop(self, error: StreamError) -> Deferred[None]:
        """Open no more streams, and end those there are; the result comes when every connection is gone."""
        self._stopping = True
        return self.streams.end_all(error)

    # Reaching others.

    def connect(self, pair: Pair) -> None:
        """Make a stream for `pair`; the queue of its stanzas hears how it ended."""
        Deferred.fromCoroutine(self._connect(pair)).addErrback(
            lambda failure: self.log.failure("fault while connecting to {domain}", failure, domain=pair.to)
        )

    async def _connect(self, pair: Pair) -> None:
        secret = await self._secrets.secret("dialback")
        features = partial(self._features, pair, secret)
        try:
            outgoing = await self._reach(pair, features)
        except DiscoveryError as error:
            self.log.warn("no stream from {sender} to {to}: {reason}", sender=pair.sender, to=pair.to, reason=str(error))
            self.remotes.failed(pair, StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, text=str(error)))
            return
        self.remotes.established(pair, outgoing.send)

    async def ask(self, pair: Pair, stream_id: str, key: str) -> str | None:
        """Ask the authoritative server of `pair.sender` whether it made `key`; none if it did, else why we do not think so."""
        await self._questions.acquire()
        try:
            outgoing = await self._reach(
                Pair(pair.to, pair.sender), lambda: [VerifyingDialback(pair, stream_id, key)], Question(pair, stream_id)
            )
        except DiscoveryError as error:
            return str(error)
        finally:
            self._questions.release()
        outgoing.close()
        return outgoing.verdict

    async def is_ours(self, pair: Pair, stream_id: str, key: str) -> bool:
        """Whether `key` is one that we made, as the authoritative server of `pair.sender`."""
        expected = dialback_key(await self._secrets.secret("dialback"), pair, stream_id)
        return hmac.compare_digest(expected.encode(), key.encode())

    def _features(self, pair: Pair, secret: bytes) -> list[Feature]:
        certificate = self._contexts is not None and self._contexts.certificate(pair.sender) is not None
        credentials = Credentials(authzid=pair.sender, certificate=certificate)
        return [InitiatingSASL(partial(_mechanism, credentials)), InitiatingDialback(pair, partial(dialback_key, secret))]

    async def _reach(self, pair: Pair, features: Callable[[], Sequence[Feature]], question: Question | None = None) -> Outgoing:
        """A stream to `pair.to` that is ready for what it is made for; raises `DiscoveryError` with every reason."""
        found = await self._discovery.candidates(pair.to)
        reasons = list(found.explanations)
        for candidate in found.candidates:
            for address in candidate.addresses:
                if self._stopping:
                    raise DiscoveryError("This server is shutting down.")
                try:
                    return await self._attempt(pair, candidate, address, features(), question)
                except (DialFailed, AttemptFailed) as error:
                    reasons.append(f"{candidate.url} at {address}: {error}")
        self._discovery.expire(pair.to)
        raise DiscoveryError("\n".join(reasons))

    async def _attempt(
        self, pair: Pair, candidate: Candidate, address: str, features: Sequence[Feature], question: Question | None
    ) -> Outgoing:
        target = Target(candidate.url, address, candidate.port, candidate.sni)
        own = self._contexts.certificate(pair.sender) if self._contexts is not None else None
        refusal = partial(self.refusal, pair.to, candidate.accepted_names)
        line = await self._dialers[candidate.kind].dial(target, own, self.trust_roots, refusal)
        new_id = partial(secrets.token_hex, 16)
        stream = Stream(line.framing, features, receiving=False, new_id=new_id, limit=self.limit, secure=True)

        def made(connection: Connection[Outgoing]) -> Outgoing:
            return Outgoing(self, pair, question, connection)

        connection = Connection(stream, line.wire, made, self.clock, self.timeouts, self.timeouts.server_silence)
        outgoing = connection.owner
        line.attach(connection)
        stream.open(pair.sender, pair.to)
        connection.answered()
        return await outgoing.ready

    # Judging others.

    def refusal(self, domain: str, accepted: Collection[str], certificate: PeerCertificate | None) -> str | None:
        """Why a server that we reached is not `domain`; `accepted` are names that a trusted document delegated to."""
        if self.trust is Trust.DIALBACK_WITHOUT_VERIFIED_TLS:
            return None
        if certificate is None:
            return "found no certificate"
        wanted = ", ".join(sorted({domain, *accepted}))
        if certificate.problems:
            return f"found a certificate with {'; '.join(certificate.problems)}; wanted a trusted one for {wanted}"
        proved = domain_name_matched(certificate.names, domain)
        if proved is None and not any(host_matched(certificate.names, name) for name in accepted):
            return f"found a certificate for {certificate.names}; wanted one for {wanted}"
        return None

    def unproved(self, domain: str, certificate: PeerCertificate | None) -> str | None:
        """Why a certificate does not prove an incoming stream to be from `domain`; names from host-meta never do."""
        if certificate is None:
            return f"found no client certificate; wanted one for {domain}"
        if certificate.problems:
            return f"found a client certificate with {'; '.join(certificate.problems)}; wanted a trusted one for {domain}"
        if domain_name_matched(certificate.names, domain) is None:
            return f"found a client certificate for {certificate.names}; wanted one for {domain}"
        return None


def _mechanism(credentials: Credentials, offer: Sequence[str]) -> ClientMechanism | None:
    try:
        return create_client(offer, credentials, "", {}, encrypted=True)
    except SASLError:
        return None  # nothing for us: dialback may follow
