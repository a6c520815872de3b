"""One end-to-end stream (XEP-0246), whichever end opened it and whatever carries it: who the other end is, whether it may
stay, and which of its stanzas are its own.

The stream that comes before TLS and the one under it are two streams (RFC 6120, 5.4.3.3); each has an owner of its own.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xmppfed.core.events import (
    Acknowledged,
    AuthFailed,
    AuthRequested,
    Established,
    Event,
    Managed,
    OpenRequested,
    Resumed,
    StanzaReceived,
    StreamClosed,
    StreamFailed,
    TLSAgreed,
)
from xmppfed.core.framing import Opening
from xmppfed.core.ledger import Ledger
from xmppfed.core.negotiation.sasl import ReceivingSASL
from xmppfed.core.sasl.external import ExternalServer
from xmppfed.core.sasl.steps import Claim
from xmppfed.core.stanza import Stanza
from xmppfed.core.stream import State
from xmppfed.e2e.features import may_be_plain, receiving_features
from xmppfed.e2e.host import Beneath, Choose, Host, StreamEnded
from xmppfed.e2e.patience import Patience
from xmppfed.e2e.trust import Trust, TrustRefused, bare_name, name_key, same
from xmppfed.errors import SASLCondition, SASLError, StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppfed.net.asking import Asking
from xmppfed.net.connection import Connection
from xmppfed.net.gathering import Gathering
from xmppfed.net.websocketwire import printable

__all__ = ["PeerStream"]


_UNKNOWN = (Trust.PLAIN, Trust.FIRST_USE, Trust.STRANGER)


class PeerStream:
    """Owns one stream. `settled` is true when stanzas may pass, and false when TLS comes first; it fails with StreamEnded."""

    log = Logger()

    def __init__(
        self,
        choose: Choose,
        beneath: Beneath,
        gathering: Gathering[PeerStream],
        connection: Connection[PeerStream],
        name: str = "",
    ) -> None:
        """`name` is whom we have called; who calls us says it in its header. `gathering` has the stream as long as it has
        its connection."""
        self.name = name
        self.initiated = bool(name)
        self.beneath = beneath
        self.trust = Trust.PLAIN
        self.host = choose(None) if name else None
        self.connection = connection
        connection.stream.bidirectional = connection.patient = True
        self.settled: Deferred[bool] = Deferred(lambda _: connection.cut("nobody waits for this stream any more"))
        self.reason = ""
        self._choose = choose
        self._gathering = gathering
        gathering.add(self)
        self.closed = False
        """By both ends, and so was the connection: all has arrived that was sent. Known when the connection is gone."""
        self._closed = False
        self._loud = False
        self.failed = False
        """Ended by an error of either end: what was sent before may not have been read."""
        self._second = self._said = 0  # stanzas within the second
        self._introduction = Patience(connection, self._introduce)
        self._asking = Asking(connection)
        self._stands = False
        self._ended = False
        self._external = ReceivingSASL(("EXTERNAL",), lambda _: ExternalServer())

    # What the host calls.

    @property
    def legacy(self) -> bool:
        """Whether the peer is one of old, that knows no version and no acknowledgements."""
        return self.connection.stream.legacy

    @property
    def stands(self) -> bool:
        """Whether stanzas may pass."""
        return self._stands and not self._ended

    @property
    def opener(self) -> str:
        """Who opened the stream."""
        return self.connection.stream.local if self.initiated else self.name

    def open(self, trust: Trust | None) -> None:
        """Send our header, as the initiating end; under TLS the peer is known by then, as `trust` says."""
        assert self.host is not None  # who calls is somebody
        stream = self.connection.stream
        if trust is not None:
            self.trust = trust
        stream.open_to_all = trust is not None or may_be_plain(self.host, self.name, self.beneath)
        stream.open(self.host.address, self.name)
        self.connection.flush()

    def send(self, stanza: Stanza) -> bool:
        """Send a stanza; false when nothing passes any more."""
        if not self._stands or self._ended or (self.ledger is not None and self.ledger.full):
            return False
        sent = self.connection.send(stanza)
        if sent:
            self._asking.sent()
        return sent

    @property
    def ledger(self) -> Ledger | None:
        """What the peer acknowledges, if it does that."""
        return self.connection.stream.ledger

    def hand_over(self) -> None:
        """Another stream goes on with the session of this one, which is worth nothing any more."""
        self.connection.stream.ledger = None
        self.connection.cut("another stream goes on with its session")

    def close(self) -> None:
        """End the stream in good order; what still comes is delivered (XEP-0174, 7)."""
        self.connection.close()

    def end(self, error: StreamError) -> None:
        """End the stream with an error; who stops of its own will does it in good order, for what is under way."""
        if error.condition is StreamCondition.SYSTEM_SHUTDOWN:
            self.close()
        else:
            self.connection.fail(error)

    # What the connection tells.

    def handle(self, event: Event) -> None:
        """Judge what the peer did."""
        match event:
            case StanzaReceived(stanza):
                self._stanza(stanza)
            case OpenRequested(opening):
                self._opened(opening)
            case TLSAgreed():
                self._gathering.discard(self)
                self._settle(False)
            case AuthRequested(claim):
                self._authorize(claim)
            case Established():
                self._establish()
            case Acknowledged():
                self._asking.answered()
                if self.host is not None:
                    self.host.acknowledged(self)
            case Managed() if self._stands:
                self._asking.ask(anyway=True)  # something may have been said before, and is not counted
            case Managed() | Resumed() if not self.initiated:
                self._introduce()
            case AuthFailed(mechanism, error):
                self._note(f"{mechanism} failed: {printable(str(error))}")
            case StreamFailed(error, sent):
                self.failed = True
                self._note(f"{'we' if sent else 'the peer'} ended the stream with {printable(str(error))}")
                self._end()
            case StreamClosed():
                self._closed = True
                self._note("the stream was closed")
                self._end()
            case _:
                pass  # the rest is on the way to one of these

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        self._note(reason)
        self.closed = self._closed and not self.failed and (self.connection.clean or self.legacy)
        self._end()
        if self.host is not None and self._stands:
            self.host.ended(self, self.reason)
        self._gathering.discard(self)

    # Who the peer is.

    def _opened(self, opening: Opening) -> None:
        stream = self.connection.stream
        self.host = self._choose(opening.to) or (self._choose(None) if stream.legacy else None)
        if self.host is None:
            text = f"Found {ascii(opening.to)[:64]} as 'to'; nobody of that name is here."
            stream.fail(StreamError(StreamCondition.HOST_UNKNOWN, text))
            return
        if self._too_many():
            text = f"More than {self.connection.timeouts.peer_streams} streams from {self.beneath.address}."
            stream.fail(StreamError(StreamCondition.RESOURCE_CONSTRAINT, text))
            return
        self.name = bare_name(opening.sender) if opening.sender else ""
        if self.beneath.certificate is not None:
            self._accept(self.host)
        else:
            looking = Deferred.fromCoroutine(self._look_around(self.host))
            looking.addErrback(lambda failure: self.log.failure("fault while looking for who calls", failure))

    def _too_many(self) -> bool:
        """Whether more streams come from this address than one may have; behind a proxy all come from one."""
        direct = self.beneath.secure or self.beneath.can_start_tls
        streams = sum(not other.initiated and other.beneath.address == self.beneath.address for other in self._gathering)
        return direct and streams > self.connection.timeouts.peer_streams

    async def _look_around(self, host: Host) -> None:
        """Who shows no certificate is at least at an address where somebody of that name is announced (M4)."""
        try:
            names = await host.names_at(self.beneath.address)
        except TrustRefused as refused:
            self._refuse(refused)
        else:
            if names is not None:
                self.beneath = replace(self.beneath, names=frozenset(map(name_key, names)))
                self.name = self.name or (next(iter(names)) if len(names) == 1 else "")
            self._accept(host)
        self.connection.answered()

    def _accept(self, host: Host) -> None:
        if not self.name:
            self.name = self._named_by_the_certificate()
        try:
            self.host = self._admit(host)
        except TrustRefused as refused:
            self._refuse(refused)
            return
        required = not self.connection.stream.open_to_all
        features = receiving_features(self.host, self.name, self.beneath, self._external, tls_required=required)
        self.connection.stream.accept(host.address, features)

    def _named_by_the_certificate(self) -> str:
        """Who says nothing of itself is called by its certificate, where that has one name."""
        if self.beneath.certificate is None:
            return ""
        names = self.beneath.certificate.names
        found = [*names.xmpp_addresses, *names.dns_names]
        return bare_name(found[0]) if len(found) == 1 else ""

    def _admit(self, host: Host) -> Host:
        """Who takes the stream. Raises TrustRefused for who cannot be helped; who can start TLS may still show who it is."""
        stream, beneath = self.connection.stream, self.beneath
        if beneath.certificate is not None and not self.name:
            raise TrustRefused(
                f"the stream has no 'from', and the certificate is for {beneath.certificate.names}; wanted one name"
            )
        if beneath.can_start_tls and host.certificate is not None and not stream.legacy:
            stream.open_to_all = may_be_plain(host, self.name, beneath)
            return host
        host, self.trust = host.admit(self.name, beneath)
        stream.open_to_all = True
        return host

    def _refuse(self, refused: TrustRefused) -> None:
        text = printable(str(refused))
        if refused.loud:
            self._loud = True
            self.log.critical(
                "{peer} at {address} is refused: {reason}", peer=self._shown, address=self.beneath.address, reason=text
            )
        self.connection.stream.fail(StreamError(StreamCondition.NOT_AUTHORIZED, text))

    def _authorize(self, claim: Claim) -> None:
        """EXTERNAL (XEP-0178): the certificate was judged under the name of the header, and that is the name one gets."""
        if claim.authzid and not same(claim.authzid, self.name):
            text = f"Found {ascii(claim.authzid)[:64]}; wanted {printable(self.name)}, the 'from' of the stream."
            self._external.reject(self.connection.stream, SASLError(SASLCondition.INVALID_AUTHZID, text))
        else:
            self._external.accept(self.connection.stream, None, claim)

    def _establish(self) -> None:
        """The stream stands once its peer has a name."""
        assert self.host is not None  # it was chosen
        if not self.name:
            return
        if self.initiated or not self.connection.stream.authenticated:
            self._introduce()
        else:  # who may want to resume a session says so first
            self._introduction.start()

    def _introduce(self) -> None:
        """From now on we say something, too. What is known of the peer may have changed since it was judged."""
        if self._stands or self._ended:
            return
        assert self.host is not None  # it was chosen
        self._introduction.stop()
        try:
            self.trust = self.host.judge(self.name, self.beneath)
        except TrustRefused as refused:
            self._refuse(refused)
            self.connection.answered()
            return
        self._stands = True
        self.log.info("stream with {peer} stands: {trust}", peer=self._shown, trust=self.trust.value)
        self.host.established(self)
        self._settle(True)

    # What the peer says.

    def _stanza(self, stanza: Stanza) -> None:
        """Fill in what is missing, and let through what is the peer's to say."""
        if self.trust in _UNKNOWN:
            self._count()
        sender, to = stanza.attributes.get("from"), stanza.attributes.get("to")
        if not self.name:
            self._identify(sender)
        elif not self.initiated and self.connection.stream.state is State.ESTABLISHED:
            self._introduce()
        if not (self._stands or (self.initiated and self.beneath.secure)) or self.host is None:
            return  # it was refused, and what it sent in the same breath with it
        if sender is not None and not same(sender, self.name):
            text = f"Found a stanza from {ascii(sender)[:64]}; this is the stream of {printable(self.name)}."
            self.connection.stream.fail(StreamError(StreamCondition.INVALID_FROM, text))
            return
        if to is not None and not same(to, self.host.address):
            if not self.legacy:
                self._misdirected(stanza, to)
                return
            self.log.info("{peer} wrote to {to}, and means us", peer=self._shown, to=printable(to))
            to = None
        self.host.received(self, stanza.with_attributes(sender=sender or self.name, to=to or self.host.address))

    def _count(self) -> None:
        """Who is known to nobody may not say everything at once (XEP-0205)."""
        second = int(self.connection.now())
        self._said = self._said + 1 if second == self._second else 1
        self._second = second
        if self._said == self.connection.timeouts.unknown_peer_stanzas:
            self.connection.hold_back(1.0)

    def _identify(self, sender: str | None) -> None:
        """The first stanza says who a peer is that has not said it before; it has no TLS that could say so."""
        if sender:
            self.name = bare_name(sender)
            self._establish()
        else:
            text = "neither the stream nor its first stanza has a 'from', and nobody is known at this address; wanted one of them"
            self._refuse(TrustRefused(text))

    def _misdirected(self, stanza: Stanza, to: str) -> None:
        assert self.host is not None  # it was chosen
        text = f"{to} is not on this stream, which is with {self.host.address}."
        if stanza.kind != "presence" and stanza.type not in ("error", "result"):
            ours = stanza.with_attributes(sender=self.name, to=self.host.address)  # the answer is from nobody else
            self.connection.send(ours.error(StanzaError(StanzaCondition.ITEM_NOT_FOUND, text=text)))

    # How it ends.

    @property
    def _shown(self) -> str:
        return printable(self.name) or "somebody"

    def _note(self, reason: str) -> None:
        self.reason = self.reason or reason

    def _settle(self, stands: bool) -> None:
        if not self.settled.called:
            self.settled.callback(stands)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._asking.stop()
        self._introduction.stop()
        if not self.settled.called:
            self.settled.errback(StreamEnded(self.reason, loud=self._loud, again=not self.failed))
