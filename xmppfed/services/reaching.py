"""Makes one stream to another domain: its candidates are raced, and what came of each is written down."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError

from xmppfed.core.identity import ascii_domain
from xmppfed.core.stream import Stream
from xmppfed.discovery.candidates import Candidate
from xmppfed.errors import DiscoveryError
from xmppfed.net.connection import Connection
from xmppfed.net.dial import DialFailed, Line, Target
from xmppfed.net.peer import PeerCertificate
from xmppfed.net.racing import Start, race
from xmppfed.net.websocketwire import printable
from xmppfed.services.outgoing import AttemptFailed, Outgoing, Purpose
from xmppfed.services.proof import Proof
from xmppfed.services.trace import Attempt, Outcome, Trace

if TYPE_CHECKING:
    from xmppfed.services.federation import Federation

__all__ = ["MAX_ATTEMPTS", "MAX_AT_ONCE", "Purposes", "Reaching"]

MAX_ATTEMPTS = 16  # addresses tried for one stream: the domain names them, and could name hundreds of others' addresses
MAX_AT_ONCE = 4  # of these: strangers make us reach domains that they name, and every try costs a socket

T = TypeVar("T")
Purposes = Callable[[], Purpose]
_Contestant = tuple[Outgoing, Attempt]


class Reaching:
    """A stream in the making, from the pair's sender to its `to`; each attempt has a `purpose` of its own."""

    def __init__(self, federation: Federation, purpose: Purposes, trace: Trace) -> None:
        self._federation = federation
        self._purpose = purpose
        self._trace = trace
        self._pair = trace.pair
        self._won = False

    async def stream(self) -> Outgoing:
        """The stream, ready for what it is made for. Raises DiscoveryError with every reason why there is none.

        The address wins that is first to come to a stream header of the domain (XEP-0487, notes for programmers). Should
        it come to nothing after that, the race goes on between the others.
        """
        found = await self._federation.discovery.candidates(self._pair.to)
        self._trace.explanations = found.explanations
        ways: list[Start[_Contestant]] = [
            partial(self._begin, one, address) for one in found.candidates for address in one.addresses
        ]
        while ways and (room := MAX_ATTEMPTS - len(self._trace.attempts)) > 0:
            clock, delay = self._federation.clock, self._federation.timeouts.race
            finish = await race(clock, ways[:room], delay=delay, at_once=MAX_AT_ONCE)
            self._won = False
            ways = [*finish.left, *ways[room:]]
            if finish.winner is not None:
                outgoing, attempt = finish.winner
                if await self._watched(attempt, self._finish(outgoing, attempt)):
                    return outgoing
        if ways:
            self._trace.explain([f"{len(ways)} more addresses were not tried; {MAX_ATTEMPTS} are the most."])
        self._federation.discovery.expire(self._pair.to)
        raise DiscoveryError("\n".join(self._trace.reasons()))

    def _begin(self, candidate: Candidate, address: str) -> Deferred[_Contestant | None]:
        attempt = self._trace.begin(candidate, address, self._federation.clock.seconds())
        return Deferred.fromCoroutine(self._watched(attempt, self._open(attempt)))

    async def _watched(self, attempt: Attempt, step: Coroutine[Any, Any, T]) -> T | None:
        """What a step of an attempt gives, or nothing when the attempt has failed; how it ended is written down."""
        try:
            return await step
        except (DialFailed, AttemptFailed) as error:
            attempt.outcome, attempt.reason = Outcome.CANCELED if self._won else Outcome.FAILED, str(error)
            if self._federation.stopping:
                raise
            return None
        except (CancelledError, ConnectingCancelledError):
            attempt.outcome = Outcome.CANCELED
            raise
        finally:
            attempt.seconds = self._federation.clock.seconds() - self._trace.began - attempt.began

    async def _open(self, attempt: Attempt) -> _Contestant:
        """A stream whose header the server has answered."""
        federation, pair, purpose = self._federation, self._pair, self._purpose()
        line, proof = await self._dial(attempt)
        attempt.proof = proof.by
        new_id = partial(secrets.token_hex, 16)
        stream = Stream(line.framing, purpose.features, receiving=False, new_id=new_id, limit=federation.limit, secure=True)

        def made(connection: Connection[Outgoing]) -> Outgoing:
            return Outgoing(federation, pair, connection, proof, purpose)

        connection = Connection(
            stream, line.wire, made, federation.clock, federation.timeouts, federation.timeouts.server_silence
        )
        outgoing = connection.owner
        line.attach(connection)
        stream.open(pair.sender, pair.to)
        connection.answered()
        await outgoing.opened
        self._won = True
        return outgoing, attempt

    async def _finish(self, outgoing: Outgoing, attempt: Attempt) -> bool:
        """The winner authenticates."""
        try:
            await outgoing.ready
        finally:
            attempt.features = outgoing.offered
        attempt.outcome, attempt.mechanism = Outcome.READY, outgoing.mechanism
        return True

    async def _dial(self, attempt: Attempt) -> tuple[Line, Proof]:
        """A wire to a server that has proved to be the domain.

        One that shows a wrong certificate is asked for the domain's own, by SNI. Then the domain is asked whether it
        vouches for what was shown; if so the server is dialed again.
        """
        candidate, domain = attempt.candidate, self._pair.to
        judges = {
            name: _Judge(self._federation, domain, attempt) for name in (candidate.sni, ascii_domain(domain) or candidate.sni)
        }
        for name, judge in judges.items():
            if line := await self._dial_as(name, judge):
                return line, judge.proof
        vouched = await self._federation.vouching.look_up(domain)
        for name, judge in judges.items():
            if judge(judge.certificate) is None and (line := await self._dial_as(name, judge)):
                return line, judge.proof
        self._trace.explain(vouched.explanations)
        raise DialFailed(f"{judge.proof.problem} (SNI {' and '.join(judges)})")

    async def _dial_as(self, name: str, judge: _Judge) -> Line | None:
        """A wire to the server that answers to this name, or none because of its certificate."""
        federation, attempt = self._federation, judge.attempt
        own = federation.contexts.certificate(self._pair.sender) if federation.contexts is not None else None
        target = Target(attempt.candidate.url, attempt.address, attempt.candidate.port, name, self._pair)
        attempt.server_names.append(name)
        try:
            return await federation.dialers[attempt.candidate.kind].dial(target, own, federation.trust_roots, judge)
        except DialFailed:
            if not judge.proof.problem:
                raise
            return None


@dataclass(slots=True)
class _Judge:
    """Judges the certificate of a server that was dialed, and remembers."""

    federation: Federation
    domain: str
    attempt: Attempt
    certificate: PeerCertificate | None = None
    proof: Proof = field(default_factory=Proof)

    def __call__(self, certificate: PeerCertificate | None) -> str | None:
        """Why it proves nothing, if it does not."""
        self.certificate = certificate
        self.attempt.seen = printable(str(certificate.names)) if certificate is not None else ""
        self.proof = self.federation.prove_server(self.domain, self.attempt.candidate.accepted_names, certificate)
        return self.proof.problem or None
