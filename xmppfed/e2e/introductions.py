"""Pairing over a stream (T6): who may pair with whom and when, and where strangers wait until they have.

Whoever is not known to the end that shows a code may come as a stranger as long as it does, and who is called to pair and not
known is one to the end that calls. A stranger can pair, soon, and nothing else; nothing of it is kept before.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xmppfed.core.element import Element
from xmppfed.core.framing import E2E
from xmppfed.core.ledger import Ledger
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.connecting import Caller, Local, Place
from xmppfed.e2e.host import Beneath, Host, StreamEnded
from xmppfed.e2e.pairing import CODE_SECONDS, Channel, Codes, Entering, PairingFailed, Showing
from xmppfed.e2e.pairing_steps import START, STEPS, read, read_response, write, write_response
from xmppfed.e2e.requests import Requests
from xmppfed.e2e.strangers import Strangers
from xmppfed.e2e.stream import PeerStream
from xmppfed.e2e.trust import Acquaintance, Trust, TrustRefused, TrustStore
from xmppfed.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppfed.net.certificates import LoadedCertificate, spki_sha256
from xmppfed.net.websocketwire import printable

__all__ = ["Home", "Introductions"]

_MOST = 10
"""Strangers at once."""


class Home(Host, Protocol):
    """Whom strangers want to pair with."""

    strangers: Strangers

    def stream(self, name: str) -> PeerStream | None:
        """The stream with a peer, if one stands."""
        ...

    def endpoint(self, name: str) -> Place:
        """Where a peer is connected to. Raises StreamEnded when nobody knows."""
        ...


@dataclass(slots=True)
class _Guess:
    showing: Showing
    deadline: IDelayedCall


class Introductions:
    """Pairs somebody here with its peers, and is the host of the strangers' streams."""

    log = Logger()

    def __init__(self, local: Local, home: Home, store: TrustStore, codes: Codes | None = None) -> None:
        """From now on strangers may come while a code is shown. Who is here under several addresses shows the same `codes`."""
        self._local = local
        self._home = home
        self._store = store
        self._codes = codes or Codes()
        self._caller = Caller(local, self)
        self._requests = Requests(local.reactor)
        self._strangers: dict[PeerStream, IDelayedCall] = {}
        self._guesses: dict[PeerStream, _Guess] = {}
        self._waiting: list[Deferred[str]] = []
        self._outcome: str | PairingFailed | None = PairingFailed("no code was made yet")
        home.strangers = self

    # What people do.

    def show(self) -> str:
        """A new code, for somebody to type at a peer. Raises PairingFailed when there have been too many."""
        code = self._codes.make(self._local.reactor.seconds())
        self._tell(PairingFailed("a newer code was made, which makes this one void"))
        self._outcome = None
        return code

    async def outcome(self) -> str:
        """Who has paired by the newest code, once it is so. Raises PairingFailed, which says why nobody has."""
        if isinstance(self._outcome, str):
            return self._outcome
        if self._outcome is not None:
            raise self._outcome
        waiting: Deferred[str] = Deferred()
        self._waiting.append(waiting)
        waiting.addTimeout(CODE_SECONDS, self._local.reactor)
        try:
            return await waiting
        except TimeoutError:
            raise PairingFailed(f"nobody typed the code within {CODE_SECONDS / 60:.0f} minutes") from None
        finally:
            self._waiting = [other for other in self._waiting if other is not waiting]

    async def enter(self, peer: str, code: str) -> str:
        """Pair with a peer that shows `code`: over the stream with it if there is one, else over a new one. Returns the name by
        which it is known then. Raises PairingFailed, and nothing was trusted."""
        stream = self._home.stream(peer) or await self._call(peer)
        try:
            await self._enter(stream, Entering(code, self._channel(stream, showing=False)))
        except PairingFailed as failed:
            self._failed(stream, failed, loud=True)
            raise
        self._paired(stream)
        return stream.name

    # The end where the code is typed.

    async def _call(self, peer: str) -> PeerStream:
        try:
            return await self._caller.call(peer, self._home.endpoint(peer))
        except StreamEnded as ended:
            raise PairingFailed(f"no stream with {peer}: {ended}. See that it shows a code") from None

    async def _enter(self, stream: PeerStream, entering: Entering) -> None:
        response = await self._ask(stream, "start", entering.start())
        try:
            proof = entering.verify(*read_response(response))
        except PairingFailed:
            with suppress(PairingFailed):
                await self._ask(stream, "confirm", b"")
            raise
        await self._ask(stream, "confirm", proof)
        self._keep(stream)

    async def _ask(self, stream: PeerStream, step: str, data: bytes) -> Stanza:
        element = Element("iq", E2E.content, {"type": "set"}, [write(step, data)])
        iq, answer = self._requests.ask(stream, Stanza.from_element(element), self._local.timeouts.authentication)
        if not stream.send(iq) and stream.reason:  # without one, `parted` is about to tell
            self.parted(stream, stream.reason)
        try:
            return await answer
        except StanzaError as error:
            raise PairingFailed(f"{stream.name} is not paired: {printable(error.text or str(error))}") from None

    # The end that shows the code.

    def took(self, stream: PeerStream, stanza: Stanza) -> bool:
        """See `Strangers.took`."""
        if stanza.kind != "iq":
            return False
        if not stanza.is_request or stanza.children not in STEPS:
            return self._requests.answered(stream, stanza)
        try:
            answer = self._respond(stream, stanza) if stanza.children == START else self._confirm(stream, stanza)
        except PairingFailed as failed:
            stream.send(stanza.error(StanzaError(StanzaCondition.NOT_AUTHORIZED, text=str(failed))))
            self._failed(stream, failed)
            return True
        stream.send(stanza.reply(*answer))
        if not answer:
            self._paired(stream)
        return True

    def _respond(self, stream: PeerStream, stanza: Stanza) -> list[Element]:
        """Step 1 has come. Whatever it says, it is the one guess."""
        channel = self._channel(stream, showing=True)
        showing = Showing(self._codes.take(self._local.reactor.seconds()), channel)
        seconds = self._local.timeouts.authentication
        late = PairingFailed(f"the peer did not finish within {seconds:.0f} seconds")
        self._guessed(stream)  # of a former code
        self._guesses[stream] = _Guess(showing, self._local.reactor.callLater(seconds, self._failed, stream, late))
        return [write_response(*showing.respond(read(stanza)))]

    def _confirm(self, stream: PeerStream, stanza: Stanza) -> list[Element]:
        """Step 3 has come."""
        guess = self._guesses.get(stream)
        if guess is None:
            raise PairingFailed("the peer confirmed what it had not begun")
        guess.showing.verify(read(stanza))
        self._keep(stream)
        return []

    # Both ends.

    def _channel(self, stream: PeerStream, *, showing: bool) -> Channel:
        beneath, own = stream.beneath, self._home.certificate
        if own is None or beneath.certificate is None or not beneath.exporter:
            raise PairingFailed(
                f"the stream with {stream.name} cannot be told from any other: it has no TLS 1.3 with a certificate of each end, "
                "or that ends on the way; wanted such a stream"
            )
        mine, theirs = spki_sha256(own.leaf), beneath.certificate.spki_sha256
        return Channel(mine, theirs, beneath.exporter) if showing else Channel(theirs, mine, beneath.exporter)

    def _keep(self, stream: PeerStream) -> None:
        """From now on the key is the peer's, unless somebody has decided meanwhile what forbids it."""
        certificate = stream.beneath.certificate
        assert certificate is not None  # the proof was bound to it
        try:
            self._home.judge(stream.name, stream.beneath)
        except TrustRefused as refused:
            if not refused.unknown:
                raise PairingFailed(f"{refused} Nothing was trusted") from None
        known, now = self._store.by_key(certificate.spki_sha256), self._local.reactor.seconds()
        first = known.first_seen if known is not None else now
        peer = Acquaintance(
            name=stream.name, trust=Trust.PAIRED, spki_sha256=certificate.spki_sha256, first_seen=first, last_seen=now
        )
        try:
            self._store.keep(peer)
        except OSError:
            self.log.failure("a pairing could not be written down")
            raise PairingFailed("the pairing could not be written down, and nothing was trusted; see the log") from None
        self._local.cut(peer)

    def _paired(self, stream: PeerStream) -> None:
        """A stranger becomes a peer."""
        stream.trust = Trust.PAIRED
        self.log.info("{peer} at {address} is paired", peer=printable(stream.name), address=stream.beneath.address)
        if self._guessed(stream):
            self._tell(stream.name)
        if (deadline := self._strangers.pop(stream, None)) is not None:
            deadline.cancel()
            stream.host = self._home
            self._home.established(stream)

    def _failed(self, stream: PeerStream, failed: PairingFailed, *, loud: bool = False) -> None:
        """Nothing was trusted. People hear of it where somebody typed a code or a guess was made; a stranger has to go."""
        guessed = self._guessed(stream)
        tell = self.log.critical if loud or guessed else self.log.info
        tell(
            "{peer} at {address} is not paired: {reason}",
            peer=printable(stream.name),
            address=stream.beneath.address,
            reason=printable(str(failed)),
        )
        if guessed:
            self._tell(failed)
        if stream in self._strangers:
            stream.end(StreamError(StreamCondition.NOT_AUTHORIZED, "Not paired."))

    def _guessed(self, stream: PeerStream) -> bool:
        """Whether the one guess of a code was made on this stream; it is over now."""
        guess = self._guesses.pop(stream, None)
        if guess is not None and guess.deadline.active():
            guess.deadline.cancel()
        return guess is not None

    def _tell(self, outcome: str | PairingFailed) -> None:
        self._outcome = outcome
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if isinstance(outcome, str):
                one.callback(outcome)
            else:
                one.errback(outcome)

    def parted(self, stream: PeerStream, reason: str) -> None:
        """See `Strangers.parted`."""
        self._requests.failed(stream, StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE, text=reason))
        if stream in self._guesses:
            self._failed(stream, PairingFailed(f"the stream has ended: {reason}"))

    # The streams of strangers.

    @property
    def address(self) -> str:
        """See `Host.address`."""
        return self._home.address

    @property
    def certificate(self) -> LoadedCertificate | None:
        """See `Host.certificate`."""
        return self._home.certificate

    def host(self, beneath: Beneath) -> Host | None:
        """See `Strangers.host`."""
        fit = beneath.certificate is not None and bool(beneath.exporter)
        return self if fit and self._codes.shown(self._local.reactor.seconds()) else None

    def judge(self, name: str, beneath: Beneath) -> Trust:
        """See `Host.judge`, of whom we call to pair: who would be met for the first time is a stranger until that is done."""
        try:
            trust = self._home.judge(name, beneath)
        except TrustRefused as refused:
            if not refused.unknown:
                raise
            return Trust.STRANGER
        certificate = beneath.certificate
        known = certificate is None or self._store.by_key(certificate.spki_sha256) is not None
        return trust if known or trust is not Trust.FIRST_USE else Trust.STRANGER

    def admit(self, name: str, beneath: Beneath) -> tuple[Host, Trust]:
        """See `Host.admit`; nobody calls us."""
        return self, self.judge(name, beneath)

    async def names_at(self, address: str) -> Collection[str] | None:
        """See `Host.names_at`."""
        return await self._home.names_at(address)

    def new_ledger(self, id: str) -> Ledger:
        """See `Host.new_ledger`: the session goes on when they have paired."""
        return self._home.new_ledger(id)

    def former(self, name: str) -> Ledger | None:
        """See `Host.former`: with a stranger there was none."""
        return None

    def find(self, name: str, id: str) -> Ledger:
        """See `Host.find`: nor is there one for a stranger."""
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)

    def acknowledged(self, stream: PeerStream) -> None:
        """See `Host.acknowledged`."""

    def established(self, stream: PeerStream) -> None:
        """See `Host.established`. Whom we have called to pair, and know, is no stranger."""
        if stream.trust is not Trust.STRANGER:
            stream.host = self._home
            self._home.established(stream)
            return
        seconds = self._local.timeouts.authentication
        late = StreamError(StreamCondition.CONNECTION_TIMEOUT, f"Not paired within {seconds:.0f} seconds.")
        self._strangers[stream] = stream.connection.later(seconds, stream.end, late)
        if len(self._strangers) > _MOST:
            stream.end(StreamError(StreamCondition.POLICY_VIOLATION, "There are too many strangers already."))

    def received(self, stream: PeerStream, stanza: Stanza) -> None:
        """See `Host.received`."""
        if not self.took(stream, stanza) and stanza.kind != "presence" and stanza.type not in ("error", "result"):
            text = "This stream is for pairing until that is done."
            stream.send(stanza.error(StanzaError(StanzaCondition.NOT_AUTHORIZED, text=text)))

    def ended(self, stream: PeerStream, reason: str) -> None:
        """See `Host.ended`."""
        deadline = self._strangers.pop(stream)
        if deadline.active():
            deadline.cancel()
        self.parted(stream, reason)
