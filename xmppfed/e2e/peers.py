"""One of us and its peers: for each a queue, and one stream that counts (XEP-0246).

A queue belongs to a peer and not to a stream, so that streams can cross, break and be replaced while nothing of ours is lost.
"""

from __future__ import annotations

import hmac
import random
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppfed.core.ledger import Ledger
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.connecting import Caller, Local, Place
from xmppfed.e2e.host import Beneath, Host, StreamEnded
from xmppfed.e2e.queue import Queue
from xmppfed.e2e.session import Session, new_ledger
from xmppfed.e2e.strangers import Nobody, Strangers
from xmppfed.e2e.stream import PeerStream
from xmppfed.e2e.trust import Acquaintance, Policy, Trust, TrustRefused, TrustStore, judge, name_key
from xmppfed.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppfed.net.certificates import LoadedCertificate, moment
from xmppfed.net.peer import dates_alone
from xmppfed.net.websocketwire import printable

__all__ = ["Audience", "Nowhere", "Peers", "Whereabouts"]

SETTLING = 3.0
"""Seconds after which a stanza counts as delivered that went to a peer without acknowledgements: such peers drop what they
were sent on one of two streams that crossed."""
MOST_REMEMBERED = 1000
"""Peers in the store of whom no person has decided anything."""
MOST_SESSIONS = 1000
"""Peers of whom something is kept, before no more sessions are: what was not acknowledged then may come twice."""
_TRIES = 3
_DAY = 86_400.0


class Audience(Protocol):
    """Who hears what peers say."""

    def received(self, peer: PeerStream, stanza: Stanza) -> None:
        """A stanza of a peer, with both addresses; `peer` says who that is, and how we know."""
        ...

    def returned(self, stanza: Stanza, error: StanzaError) -> None:
        """A stanza of ours that did not get through."""
        ...

    def met(self, peer: PeerStream) -> None:
        """A stream with a peer stands."""
        ...

    def parted(self, name: str) -> None:
        """No stream with a peer stands any more."""
        ...


class Whereabouts(Protocol):
    """Where peers are."""

    def endpoint(self, name: str) -> Place:
        """Where a peer is connected to. Raises StreamEnded when nobody knows."""
        ...

    async def names_at(self, address: str) -> Collection[str] | None:
        """Who is announced at an IP address, and may speak from there without TLS; None when everybody may. Raises TrustRefused
        when nobody may speak from there, not even under TLS."""
        ...


class Nowhere:
    """For those who only are called, by anybody from anywhere."""

    def endpoint(self, name: str) -> Place:
        """See `Whereabouts.endpoint`."""
        raise StreamEnded(f"nobody knows where {name} is")

    async def names_at(self, address: str) -> Collection[str] | None:
        """See `Whereabouts.names_at`."""
        return None


@dataclass(slots=True, eq=False)
class _Peer:
    """One peer: its streams, of which the last is used, and stanzas in their order until one takes them."""

    name: str
    queue: Queue
    session: Session
    streams: list[PeerStream] = field(default_factory=list)
    leaving: set[PeerStream] = field(default_factory=set)
    sent: dict[PeerStream, deque[tuple[float, Stanza]]] = field(default_factory=dict)
    """What went out lately, with its time."""
    crossed: float = -SETTLING
    """When the newest of its streams came."""
    calling: Deferred[object] | None = None
    tries: int = 0
    retry: IDelayedCall | None = None

    @property
    def has_something_to_say(self) -> bool:
        """Whether a stream is needed."""
        return bool(self.queue) or (self.session.ledger is not None and bool(self.session.ledger.unacknowledged))


class Peers:
    """Somebody here, under one address: the host of its streams."""

    log = Logger()

    def __init__(
        self,
        local: Local,
        address: str,
        certificate: LoadedCertificate | None,
        store: TrustStore,
        policy: Policy,
        audience: Audience,
        whereabouts: Whereabouts,
        *,
        refuses: Callable[[str], str | None] = lambda name: None,
        jitter: Callable[[], float] = lambda: random.uniform(1, 2),
    ) -> None:
        """`refuses` says why somebody of a name may not speak with us, whatever it shows. `jitter` is how many seconds pass
        before a call is tried again, so that two ends do not go on crossing."""
        self.address = address
        self.certificate = certificate
        self.policy = policy
        self.strangers: Strangers = Nobody()
        self._local = local
        self._store = store
        self._audience = audience
        self._whereabouts = whereabouts
        self._refuses = refuses
        self._jitter = jitter
        self._caller = Caller(local, self)
        self._peers: dict[str, _Peer] = {}
        self._expiries: dict[PeerStream, IDelayedCall] = {}
        self._stopping = False

    # What the owner calls.

    def send(self, stanza: Stanza, to: str) -> None:
        """Send a stanza to a peer; a stream is made if there is none. It returns to the audience if that cannot be."""
        peer = self._peer(to)
        if peer.queue or peer.leaving or not self._write(peer, stanza):
            peer.queue.put(stanza)
            self._call(peer)

    def stream(self, name: str) -> PeerStream | None:
        """The stream with a peer, if one stands."""
        peer = self._peers.get(name_key(name))
        return peer.streams[-1] if peer is not None and peer.streams else None

    def endpoint(self, name: str) -> Place:
        """Where a peer is connected to. Raises StreamEnded when nobody knows."""
        return self._whereabouts.endpoint(name)

    def streams(self) -> list[PeerStream]:
        """All streams that stand."""
        return [stream for peer in self._peers.values() for stream in peer.streams]

    def stop(self) -> None:
        """Return what waits, and call nobody any more."""
        self._stopping = True
        for peer in list(self._peers.values()):
            if peer.calling is not None:
                peer.calling.cancel()
            self._leave(peer)

    # What streams ask and tell.

    def admit(self, name: str, beneath: Beneath) -> tuple[Host, Trust]:
        """See `Host.admit`."""
        try:
            return self, self.judge(name, beneath)
        except TrustRefused as refused:
            host = self.strangers.host(beneath) if refused.unknown else None
            if host is None:
                raise
            return host, Trust.STRANGER

    def judge(self, name: str, beneath: Beneath) -> Trust:
        """See `Host.judge`: by its certificate; without one it is at least where its name is announced."""
        if name and (why := self._refuses(name)) is not None:
            raise TrustRefused(why)
        trust = judge(name, beneath.certificate, self._store, self.policy)
        if beneath.certificate is not None and trust is Trust.FIRST_USE:
            problem, _ = dates_alone(beneath.certificate, moment(self._local.reactor))
            if problem is not None:
                text = f"found {name} with a {problem}; wanted one that holds, for whom we meet for the first time"
                raise TrustRefused(text, unknown=True)
            if self._store.by_key(beneath.certificate.spki_sha256) is None and self._remembers_enough():
                text = f"more than {MOST_REMEMBERED} peers are remembered already, and {name} is not among them"
                raise TrustRefused(f"{text}. Pin its key with `xmppfedctl e2e trust pin`, or pair with it.", unknown=True)
        if name and beneath.certificate is None and beneath.names is not None and name_key(name) not in beneath.names:
            there = ", ".join(sorted(beneath.names)) or "nobody"
            text = f"found {name} at {beneath.address}, without a certificate; announced there is {there}"
            raise TrustRefused(f"{text}. Somebody may be posing as it.", loud=True)
        return trust

    def later(self, seconds: float, act: Callable[[], object]) -> IDelayedCall:
        """See `Host.later`."""
        call: IDelayedCall = self._local.reactor.callLater(seconds, act)
        return call

    def new_ledger(self, id: str) -> Ledger:
        """See `Host.new_ledger`."""
        return new_ledger(id, self._local.timeouts)

    def former(self, name: str) -> Ledger | None:
        """See `Host.former`."""
        return self._peer(name).session.take()

    def find(self, name: str, id: str) -> Ledger:
        """See `Host.find`: the peer may know better than we that the former stream is broken."""
        peer = self._peer(name)
        for stream in [*peer.streams, *peer.leaving]:
            if stream.ledger is not None and hmac.compare_digest(stream.ledger.id.encode(), id.encode()):
                peer.queue.put_back(peer.session.keep(stream.ledger))
                stream.hand_over()
        return peer.session.find(id, yields=_precedes(name, self.address))

    async def names_at(self, address: str) -> Collection[str] | None:
        """See `Host.names_at`."""
        return await self._whereabouts.names_at(address)

    def established(self, stream: PeerStream) -> None:
        """Of two streams between two of ours the one stays that the lower address has opened (i;octet); with a peer of old
        both stay, for such a peer closes one of them itself."""
        peer = self._peer(stream.name)
        self._remember(stream)
        peer.crossed = self._local.reactor.seconds()
        peer.sent[stream] = deque()
        peer.queue.put_back(peer.session.end())
        self._stop_retrying(peer)
        rivals = [rival for rival in peer.streams if not (rival.legacy or stream.legacy)]
        if any(_outranks(rival, stream) for rival in rivals):
            self._dismiss(peer, stream)
            return
        peer.streams.append(stream)
        self._expire_with_certificate(stream)
        for rival in rivals:
            peer.streams.remove(rival)
            self._dismiss(peer, rival)
        self._audience.met(stream)
        self._drain(peer)

    def received(self, stream: PeerStream, stanza: Stanza) -> None:
        """See `Host.received`."""
        if not self.strangers.took(stream, stanza):
            self._audience.received(stream, stanza)

    def ended(self, stream: PeerStream, reason: str) -> None:
        """What may not have arrived goes first when the next stream stands."""
        self.strangers.parted(stream, reason)
        peer = self._peer(stream.name)
        stood = stream in peer.streams
        if stood:
            peer.streams.remove(stream)
        peer.leaving.discard(stream)
        if (expiry := self._expiries.pop(stream, None)) is not None and expiry.active():
            expiry.cancel()
        self.log.info("stream with {peer} has ended: {reason}", peer=printable(stream.name), reason=printable(reason))
        if stream.ledger is not None and len(self._peers) > MOST_SESSIONS:
            stream.ledger.id = ""
        if stream.ledger is not None and stream.ledger.id and not stream.closed:
            peer.queue.put_back(peer.session.keep(stream.ledger))
        peer.queue.put_back(self._unsettled(peer, stream))
        if stood and not peer.streams:
            self._audience.parted(stream.name)
        if self._stopping:
            self._leave(peer)
        self._drain(peer)
        if peer.has_something_to_say and not peer.streams:
            self._call_later(peer)
        self._tidy(peer)

    def acknowledged(self, stream: PeerStream) -> None:
        """See `Host.acknowledged`: there is room for more."""
        self._drain(self._peer(stream.name))

    # Streams.

    def _dismiss(self, peer: _Peer, stream: PeerStream) -> None:
        """What follows waits until all that was sent on it has arrived: the peer answers our closing behind that."""
        peer.leaving.add(stream)
        stream.close()

    def _expire_with_certificate(self, stream: PeerStream) -> None:
        """What an authority vouched for holds as long as its word (RFC 6120, 13.7.2.3)."""
        certificate = stream.beneath.certificate
        if certificate is not None and stream.trust is Trust.VERIFIED:
            left = (certificate.not_after - moment(self._local.reactor)).total_seconds()
            error = StreamError(StreamCondition.RESET, f"The certificate of {stream.name} has expired.")
            self._expiries[stream] = self._local.reactor.callLater(left, stream.end, error)

    def _remember(self, stream: PeerStream) -> None:
        """Keep whom we have met: a first use, and that an authority has vouched; who comes without TLS leaves no trace."""
        certificate = stream.beneath.certificate
        if certificate is None:
            return
        now = self._local.reactor.seconds()
        known = self._store.by_name(stream.name)
        if known is not None and known.trust is stream.trust and now - known.last_seen < _DAY:
            return
        if known is None and stream.trust is Trust.VERIFIED and self._remembers_enough():
            return
        key = None if stream.trust is Trust.VERIFIED else certificate.spki_sha256
        former = self._store.by_key(certificate.spki_sha256) if key else known
        first = former.first_seen if former is not None else now
        self._store.keep(
            Acquaintance(name=stream.name, trust=stream.trust, spki_sha256=key, first_seen=first or now, last_seen=now)
        )

    def _remembers_enough(self) -> bool:
        """Strangers do not fill the store, and none of them pushes out somebody who is known."""
        undecided = (Trust.FIRST_USE, Trust.VERIFIED)
        return sum(one.trust in undecided and not one.revoked for one in self._store.all()) >= MOST_REMEMBERED

    def _call(self, peer: _Peer) -> None:
        if self._stopping:
            self._leave(peer)
        if not peer.has_something_to_say or peer.streams or peer.leaving or peer.calling is not None or peer.retry is not None:
            return
        peer.tries += 1
        calling = peer.calling = Deferred.fromCoroutine(self._make_stream(peer.name))
        calling.addBoth(self._called, peer)

    async def _make_stream(self, name: str) -> object:
        return await self._caller.call(name, self.endpoint(name))

    def _called(self, result: object, peer: _Peer) -> None:
        peer.calling = None
        peer.session.taken = False
        if not isinstance(result, Failure) or self._stopping:
            return
        if result.check(StreamEnded) is None:
            self.log.failure("fault while calling {peer}", result, peer=printable(peer.name))
        error = result.value
        loud = isinstance(error, StreamEnded) and error.loud
        again = isinstance(error, StreamEnded) and error.again
        if loud:
            self.log.critical("{peer} is refused: {reason}", peer=printable(peer.name), reason=printable(str(error)))
        if peer.streams or peer.leaving:
            self._drain(peer)  # it has called us meanwhile
            return
        if again and peer.tries < _TRIES:
            self._call_later(peer)
            return
        text = f"No stream with {peer.name}: {error or type(error).__name__}"
        self._give_up(peer, StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE, text=text))

    def _call_later(self, peer: _Peer) -> None:
        if peer.retry is None and not self._stopping:
            peer.retry = self._local.reactor.callLater(self._jitter(), self._call_again, peer)

    def _call_again(self, peer: _Peer) -> None:
        peer.retry = None
        self._call(peer)
        self._tidy(peer)

    def _stop_retrying(self, peer: _Peer) -> None:
        if peer.retry is not None:
            peer.retry.cancel()
            peer.retry = None

    # Stanzas.

    def _write(self, peer: _Peer, stanza: Stanza) -> bool:
        if not peer.streams or _may_be_replaced(peer):
            return False
        stream, now = peer.streams[-1], self._local.reactor.seconds()
        try:
            if not stream.send(stanza):
                return False
        except StanzaError as error:
            self._audience.returned(stanza, error)
            return True
        if stream.ledger is not None:
            return True
        sent = peer.sent[stream]
        while sent and now - sent[0][0] > SETTLING:
            sent.popleft()
        sent.append((now, stanza))
        return True

    def _unsettled(self, peer: _Peer, stream: PeerStream) -> list[Stanza]:
        """What was sent on a stream that ended, and may not have been read: a peer without acknowledgements drops one of two
        streams that crossed, with what is on it. If it closes the only one, it has had enough, and nothing is said again."""
        sent = peer.sent.pop(stream, deque())
        ledger = stream.ledger
        if stream.closed and not (stream.legacy and (peer.streams or peer.calling)):
            return []
        if ledger is not None:
            return [] if ledger.id else [entry.stanza for entry in ledger.forget()]
        now = self._local.reactor.seconds()
        if now - peer.crossed > SETTLING:
            return []
        return [stanza for time, stanza in sent if now - time <= SETTLING]

    def _drain(self, peer: _Peer) -> None:
        while peer.queue and peer.streams and not peer.leaving:
            stanza = peer.queue.take()
            if not self._write(peer, stanza):
                peer.queue.put_back([stanza])
                return
        if not peer.queue:
            peer.tries = 0

    def _leave(self, peer: _Peer) -> None:
        self._give_up(peer, StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE, text=f"{self.address} is leaving."))

    def _give_up(self, peer: _Peer, error: StanzaError) -> None:
        peer.tries = 0
        peer.queue.put_back(peer.session.end())
        peer.queue.give_up(error)
        self._stop_retrying(peer)
        self._tidy(peer)

    # Bookkeeping.

    def _peer(self, name: str) -> _Peer:
        key = name_key(name)
        if key not in self._peers:
            queue = Queue(name, self._local.reactor, self._local.timeouts, partial(self._returned, key))
            session = Session(self._local.reactor, self._local.timeouts, partial(self._give_up_session, key))
            self._peers[key] = _Peer(name, queue, session)
        return self._peers[key]

    def _returned(self, key: str, stanza: Stanza, error: StanzaError) -> None:
        self._audience.returned(stanza, error)
        if peer := self._peers.get(key):
            self._tidy(peer)

    def _give_up_session(self, key: str, stanzas: Iterable[Stanza]) -> None:
        """Nobody has gone on with a session in time: what was never acknowledged may have arrived, or not."""
        text = f"No stream with {key} within {self._local.timeouts.queue:g} seconds; this may have arrived, or not."
        for stanza in stanzas:
            self._audience.returned(stanza, StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE, text=text))
        self._tidy(self._peer(key))

    def _tidy(self, peer: _Peer) -> None:
        """Keep nothing of a peer with whom nothing goes on."""
        if not (peer.queue or peer.streams or peer.leaving or peer.calling or peer.retry or peer.session.ledger):
            self._peers.pop(name_key(peer.name), None)


def _may_be_replaced(peer: _Peer) -> bool:
    """Whether a peer of old has called us while we were calling it: as soon as it sees our call it drops its own, unread (M5)."""
    newest = peer.streams[-1]
    return newest.legacy and not newest.initiated and peer.calling is not None


def _outranks(one: PeerStream, other: PeerStream) -> bool:
    """Whether the older of two streams stays: between two ends that have both opened one, that of the lower address."""
    return _precedes(one.opener, other.opener)


def _precedes(one: str, other: str) -> bool:
    """The order of i;octet (RFC 4790, 9.3)."""
    return one.encode() < other.encode()
