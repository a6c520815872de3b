"""One of us and its peers: for each a queue, and one stream that counts (XEP-0246).

A queue belongs to a peer and not to a stream, so that streams can cross, break and be replaced while nothing of ours is lost.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppfed.core.ledger import Ledger
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.acquaintances import Acquaintances
from xmppfed.e2e.audience import Audience, Whereabouts
from xmppfed.e2e.connecting import Caller, Local, Place
from xmppfed.e2e.host import Beneath, Host, StreamEnded
from xmppfed.e2e.lane import Lane
from xmppfed.e2e.session import new_ledger
from xmppfed.e2e.strangers import Nobody, Strangers
from xmppfed.e2e.stream import PeerStream
from xmppfed.e2e.trust import Policy, Trust, TrustRefused, TrustStore, name_key
from xmppfed.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppfed.net.certificates import LoadedCertificate, moment
from xmppfed.net.websocketwire import printable

__all__ = ["Nowhere", "Peers"]

MOST_SESSIONS = 1000
"""Peers of whom something is kept, before no more sessions are: what was not acknowledged then may come twice."""
_TRIES = 3


class Nowhere:
    """For those who only are called, by anybody from anywhere."""

    def endpoint(self, name: str) -> Place:
        """See `Whereabouts.endpoint`."""
        raise StreamEnded(f"nobody knows where {name} is")

    async def names_at(self, address: str) -> Collection[str] | None:
        """See `Whereabouts.names_at`."""
        return None


class _Nowhere(StreamEnded):
    """Nobody knows where a peer is."""


@dataclass(slots=True, eq=False)
class _Peer:
    """One peer, and our calls to it."""

    lane: Lane
    call: Deferred[object] | None = None
    tries: int = 0
    failures: int = 0
    """How many streams in turn have come to an early end by an error: something that waits may be why."""
    retry: IDelayedCall | None = None

    def stop_retrying(self) -> None:
        """No call is wanted any more."""
        if self.retry is not None:
            self.retry.cancel()
            self.retry = None


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
        fixed_names: bool = False,
        jitter: Callable[[], float] = lambda: random.uniform(1, 2),
    ) -> None:
        """`refuses` and `fixed_names` are those of `Acquaintances`. `jitter` is how many seconds pass
        before a call is tried again, so that two ends do not go on crossing."""
        self.address = address
        self.certificate = certificate
        self.acquaintances = Acquaintances(local, store, policy, refuses, fixed_names=fixed_names)
        self.strangers: Strangers = Nobody()
        self._local = local
        self._audience = audience
        self._whereabouts = whereabouts
        self._jitter = jitter
        self._caller = Caller(local, self)
        self._peers: dict[str, _Peer] = {}
        self._expiries: dict[PeerStream, IDelayedCall] = {}
        self._stopping = False

    # What the owner calls.

    def send(self, stanza: Stanza, to: str) -> None:
        """Send a stanza to a peer; a stream is made if there is none. It returns to the audience if that cannot be."""
        peer = self._peer(to)
        if not peer.lane.send(stanza):
            self._call(peer)

    def stream(self, name: str) -> PeerStream | None:
        """The stream with a peer, if one stands."""
        peer = self._peers.get(name_key(name))
        return peer.lane.streams[-1] if peer is not None and peer.lane.streams else None

    def endpoint(self, name: str) -> Place:
        """Where a peer is connected to. Raises StreamEnded when nobody knows."""
        return self._whereabouts.endpoint(name)

    def streams(self) -> list[PeerStream]:
        """All streams that stand."""
        return [stream for peer in self._peers.values() for stream in peer.lane.streams]

    def stop(self) -> None:
        """Return what waits, and call nobody any more."""
        self._stopping = True
        for peer in list(self._peers.values()):
            if peer.call is not None:
                peer.call.cancel()
            self._leave(peer)

    # What streams ask and tell.

    def judge(self, name: str, beneath: Beneath) -> Trust:
        """See `Host.judge`."""
        if self._stopping:
            raise TrustRefused(f"{self.address} is leaving")
        return self.acquaintances.judge(name, beneath)

    def admit(self, name: str, beneath: Beneath) -> tuple[Host, Trust]:
        """See `Host.admit`."""
        try:
            return self, self.judge(name, beneath)
        except TrustRefused as refused:
            host = self.strangers.host(beneath) if refused.unknown else None
            if host is None:
                raise
            return host, Trust.STRANGER

    def new_ledger(self, id: str) -> Ledger:
        """See `Host.new_ledger`."""
        return new_ledger(id, self._local.timeouts)

    def former(self, name: str) -> Ledger | None:
        """See `Host.former`."""
        peer = self._peers.get(name_key(name))
        return None if peer is None else peer.lane.session.take()

    def find(self, name: str, id: str) -> Ledger:
        """See `Host.find`."""
        peer = self._peers.get(name_key(name))
        if peer is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        return peer.lane.find(id, yields=_precedes(name, self.address))

    async def names_at(self, address: str) -> Collection[str] | None:
        """See `Host.names_at`."""
        return await self._whereabouts.names_at(address)

    def established(self, stream: PeerStream) -> None:
        """Of two streams between two of ours the one stays that the lower address has opened (i;octet); with a peer of old
        both stay, for such a peer closes one of them itself."""
        peer = self._peer(stream.name)
        if not self.acquaintances.remember(stream):
            stream.end(StreamError(StreamCondition.RESOURCE_CONSTRAINT, "Nobody new can be remembered here now."))
            return
        lane = peer.lane
        lane.begin(stream)
        peer.stop_retrying()
        if stream.trust is not Trust.PLAIN:  # who came without a key has nothing to do with who this is
            lane.streams = [rival for rival in lane.streams if rival.trust is not Trust.PLAIN]
        rivals = [rival for rival in lane.streams if not (rival.legacy or stream.legacy)]
        if any(_outranks(rival, stream) for rival in rivals):
            lane.dismiss(stream)
            return
        lane.streams.append(stream)
        self._expire_with_certificate(stream)
        for rival in rivals:
            lane.dismiss(rival)
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
        if (expiry := self._expiries.pop(stream, None)) is not None and expiry.active():
            expiry.cancel()
        self.log.info("stream with {peer} has ended: {reason}", peer=printable(stream.name), reason=printable(reason))
        last = peer.lane.end(stream, resumable=len(self._peers) <= MOST_SESSIONS)
        peer.failures = peer.failures + 1 if stream.failed and peer.lane.is_young else 0
        if last:
            self._audience.parted(stream.name)
        if self._stopping:
            self._leave(peer)
        elif peer.failures >= _TRIES:
            text = (
                f"{_TRIES} streams with {peer.lane.name} have failed in turn; this may have arrived, or not. The last: {reason}"
            )
            self._give_up(peer, StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE, text=text))
        self._drain(peer)
        if peer.lane.has_something_to_say and not peer.lane.streams:
            self._call_later(peer)
        self._tidy(peer)

    def acknowledged(self, stream: PeerStream) -> None:
        """See `Host.acknowledged`: there is room for more."""
        if peer := self._peers.get(name_key(stream.name)):
            peer.lane.acknowledged(stream)
            self._drain(peer)

    # Streams.

    def _expire_with_certificate(self, stream: PeerStream) -> None:
        """What an authority vouched for holds as long as its word (RFC 6120, 13.7.2.3)."""
        certificate = stream.beneath.certificate
        if certificate is not None and stream.trust is Trust.VERIFIED:
            left = (certificate.not_after - moment(self._local.reactor)).total_seconds()
            error = StreamError(StreamCondition.RESET, f"The certificate of {stream.name} has expired.")
            self._expiries[stream] = self._local.reactor.callLater(left, stream.end, error)

    def _call(self, peer: _Peer) -> None:
        if self._stopping:
            self._leave(peer)
        lane = peer.lane
        if not lane.has_something_to_say or lane.streams or lane.leaving or lane.calling or peer.retry is not None:
            return
        peer.tries += 1
        lane.calling = True
        call = peer.call = Deferred.fromCoroutine(self._make_stream(lane.name))
        call.addBoth(self._called, peer)

    async def _make_stream(self, name: str) -> object:
        try:
            place = self.endpoint(name)
        except StreamEnded as nowhere:
            raise _Nowhere(str(nowhere)) from None
        return await self._caller.call(name, place)

    def _called(self, result: object, peer: _Peer) -> None:
        lane, peer.call = peer.lane, None
        lane.calling = lane.session.taken = False
        if not isinstance(result, Failure) or self._stopping:
            return
        if result.check(StreamEnded) is None:
            self.log.failure("fault while calling {peer}", result, peer=printable(lane.name))
        error = result.value
        loud = isinstance(error, StreamEnded) and error.loud
        again = isinstance(error, StreamEnded) and error.again
        if loud:
            self.log.critical("{peer} is refused: {reason}", peer=printable(lane.name), reason=printable(str(error)))
        if lane.streams or lane.leaving:
            self._drain(peer)  # it has called us meanwhile
            return
        if isinstance(error, _Nowhere) and lane.session.ledger is not None:
            return  # it has to come to us, and may do so before the session is over
        if again and peer.tries < _TRIES:
            self._call_later(peer)
            return
        text = f"No stream with {lane.name}: {error or type(error).__name__}"
        self._give_up(peer, StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE, text=text))

    def _call_later(self, peer: _Peer) -> None:
        if peer.retry is None and not self._stopping:
            peer.retry = self._local.reactor.callLater(self._jitter(), self._call_again, peer)

    def _call_again(self, peer: _Peer) -> None:
        peer.retry = None
        self._call(peer)
        self._tidy(peer)

    def _drain(self, peer: _Peer) -> None:
        if peer.lane.drain():
            peer.tries = 0

    def _leave(self, peer: _Peer) -> None:
        self._give_up(peer, StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE, text=f"{self.address} is leaving."))

    def _give_up(self, peer: _Peer, error: StanzaError) -> None:
        peer.tries = peer.failures = 0
        peer.lane.give_up(error)
        peer.stop_retrying()
        self._tidy(peer)

    # Bookkeeping.

    def _peer(self, name: str) -> _Peer:
        key = name_key(name)
        if key not in self._peers:
            lane = Lane(name, self._local.reactor, self._local.timeouts, partial(self._returned, key))
            self._peers[key] = _Peer(lane)
        return self._peers[key]

    def _returned(self, key: str, stanza: Stanza, error: StanzaError) -> None:
        self._audience.returned(stanza, error)
        if peer := self._peers.get(key):
            self._tidy(peer)

    def _tidy(self, peer: _Peer) -> None:
        """Keep nothing of a peer with whom nothing goes on."""
        if peer.lane.idle and peer.retry is None:
            self._peers.pop(name_key(peer.lane.name), None)


def _outranks(one: PeerStream, other: PeerStream) -> bool:
    """Whether the older of two streams stays: between two ends that have both opened one, that of the lower address."""
    return _precedes(one.opener, other.opener)


def _precedes(one: str, other: str) -> bool:
    """The order of i;octet (RFC 4790, 9.3)."""
    return one.encode() < other.encode()
