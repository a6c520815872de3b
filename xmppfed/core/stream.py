"""One state table for every kind of stream: initiating and receiving, over WebSocket, TCP, a bytestream or memory.

Bytes go in through `receive`, events come out; what is to be sent waits in `data_to_send`. The core asks and the owner
answers: nothing here looks anything up, keeps time or opens a connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import Enum, auto

from xmppfed.core.element import Element
from xmppfed.core.events import (
    Authenticated,
    Established,
    Event,
    OpenRequested,
    StanzaReceived,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)
from xmppfed.core.framing import Closing, Framing, Item, Opening
from xmppfed.core.jid import JID
from xmppfed.core.ledger import NS as NS_SM
from xmppfed.core.ledger import REQUEST, Ledger
from xmppfed.core.namespaces import NS_STREAM, NS_STREAM_ERRORS
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.stanza import Stanza
from xmppfed.core.tree import violation
from xmppfed.errors import JIDError, StanzaCondition, StanzaError, StreamCondition, StreamError

__all__ = ["Input", "State", "Stream"]

_LANG = re.compile(r"[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8}){0,4}")
_FEATURES = f"{{{NS_STREAM}}}features"
_ERROR = f"{{{NS_STREAM}}}error"
_ACKNOWLEDGEMENT = f"{{{NS_SM}}}a"


class State(Enum):
    """How far a stream has come."""

    __hash__ = object.__hash__  # members are single; Enum's own is Python code, and every stanza is looked up in the table

    IDLE = auto()  # initiating: nothing sent yet
    AWAITING_HEADER = auto()  # receiving: nothing came yet
    HEADER_RECEIVED = auto()  # receiving: the owner has to accept or refuse
    HEADER_SENT = auto()  # initiating: waiting for the answer to our header
    AWAITING_FEATURES = auto()  # initiating: header answered
    NEGOTIATING = auto()
    DECIDING = auto()  # a feature has asked the owner; the peer has to wait
    RESTARTING = auto()  # receiving: authenticated, a new header must follow
    ESTABLISHED = auto()
    CLOSING = auto()  # established before, our side is closed; stanzas still come in (RFC 6120, 4.4)
    ABANDONED = auto()  # our side is closed, whatever comes is dropped
    CLOSED = auto()


class Input(Enum):
    """What a peer can say."""

    __hash__ = object.__hash__

    OPENING = auto()
    FEATURES = auto()
    NONZA = auto()
    STANZA = auto()
    ERROR = auto()
    CLOSING = auto()


class Stream:
    """One XML stream (RFC 6120, 4), whatever carries it."""

    def __init__(
        self,
        framing: Framing,
        features: Sequence[Feature] = (),
        *,
        receiving: bool,
        new_id: Callable[[], str],
        limit: int,
        secure: bool = False,
    ) -> None:
        """`limit` is the size in bytes of a stanza once authenticated; `secure` says that TLS lies under this stream.

        A receiving stream gets its `features` when it is accepted.
        """
        self.framing = framing
        self.receiving = receiving
        self.secure = secure
        self.limit = limit
        self.state = State.AWAITING_HEADER if receiving else State.IDLE
        self.local = ""  # the domain (or address) that we are on this stream
        self.remote: str | None = None  # what the peer says it is; proves nothing
        self.peer: JID | None = None  # who the peer is, proved
        self.authenticated = False
        self.mechanism = ""  # by what it is: a SASL mechanism, or dialback
        self.peer_limit: int | None = None  # the longest stanza in bytes that the peer takes, if it said so (XEP-0478)
        self.bidirectional = False  # between servers: both sides may send stanzas (XEP-0288)
        self.open_to_all = False  # end-to-end: stanzas may pass without SASL, once nothing is left that must be negotiated
        self.legacy = False  # end-to-end: the peer's header had no version; there are no features, and no TLS
        self.ledger: Ledger | None = None  # what is counted and acknowledged, if that was agreed on (XEP-0198)
        self.id = ""
        self.lang: str | None = None
        self.offered: Element | None = None
        self.failure: StreamError | None = None  # the error of ours that ended the stream
        self._features = tuple(features)
        self._new_id = new_id
        self._header_sent = False
        self._header = Opening()
        self._out: list[bytes] = []
        self._events: list[Event] = []

    # What the owner calls.

    def receive(self, data: bytes) -> list[Event]:
        """Take what the peer sent; never raises for what a peer does."""
        if self.state is not State.CLOSED:
            self.framing.feed(data)
        return self.take_events()

    def take_events(self) -> list[Event]:
        """Events since the last look. Call it after each answer: it can cause some, and what waited for it is read now."""
        self._read()
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> list[bytes]:
        """What waits to be sent; each item is one WebSocket message."""
        out, self._out = self._out, []
        return out

    def open(self, sender: str | None, to: str, lang: str | None = None) -> None:
        """Send our header, as the initiating entity; once."""
        if self.state is not State.IDLE:
            return
        self.local, self.remote = sender or "", to
        self._header = Opening(sender=sender, to=to, version="1.0", lang=lang)
        self.state = State.HEADER_SENT
        self._write_header(self._header)

    def accept(self, local: str, features: Sequence[Feature]) -> None:
        """Answer `OpenRequested`: we are `local` here, and this is what we can do."""
        if self.state is State.HEADER_RECEIVED:
            self.local = local
            self._features = tuple(features)
            self._answer_header()

    def send(self, stanza: Stanza) -> bool:
        """Send a stanza; the caller sees to it that the stream is established. False once our side is closed: nothing
        may follow its end (RFC 6120, 4.4). Raises `StanzaError` when it is longer than what the peer takes."""
        if self.state in _ENDED:
            return False
        data = self.framing.stanza(stanza)
        if self.peer_limit is not None and len(data) > self.peer_limit:
            text = f"This stanza has {len(data)} bytes; {self.remote} takes {self.peer_limit} at most."
            raise StanzaError(StanzaCondition.POLICY_VIOLATION, text=text)
        self._out.append(data)
        if self.ledger is not None:
            self.ledger.sent(stanza, len(data))
        return True

    def fail(self, error: StreamError) -> None:
        """End the stream with an error of ours (RFC 6120, 4.9.1): our header first, if it was not sent yet."""
        if self.state in (State.ABANDONED, State.CLOSED):
            return
        if not self._header_sent:
            self._write_header(Opening(sender=self.local or None, to=self.remote, id=self._new_id(), version="1.0"))
        if self.state is not State.CLOSING:
            self._acknowledge()
            if not self.legacy:  # whose peers know no errors
                self.write(error.to_xml())
            self._out.append(self.framing.closing())
        self.state = State.ABANDONED
        self.failure = error
        self.emit(StreamFailed(error, sent=True))

    def close(self, see_other_uri: str | None = None) -> None:
        """Close our side in good order (RFC 6120, 4.4; RFC 7395, 3.6); the peer's `Closing` ends the stream.

        `see_other_uri` is for WebSocket alone, where it may take the place of our header (RFC 7395, 3.6.1).
        """
        if self.state in _ENDED:
            return
        if self._header_sent or see_other_uri:
            self._acknowledge()
            self._out.append(self.framing.closing(see_other_uri))
            self.state = State.CLOSING if self.state is State.ESTABLISHED else State.ABANDONED
        else:
            self._closed(None)

    def connection_lost(self) -> None:
        """The transport is gone; late answers of the owner change nothing any more."""
        self.state = State.CLOSED

    def _acknowledge(self) -> None:
        """Say at the end what we have handled, so that it is not sent again (XEP-0198, 4), and ask the same."""
        if self.ledger is not None:
            self.write(self.ledger.answer())
            if self.ledger.unacknowledged:
                self.write(REQUEST)

    # What features call.

    def write(self, xml: str) -> None:
        """Send an element that is no stanza; dropped once our side is closed."""
        if self.state not in _ENDED:
            self._out.append(self.framing.text(xml))

    def emit(self, event: Event) -> None:
        """Tell the owner."""
        self._events.append(event)

    def wait_for_owner(self) -> None:
        """The peer has to wait for the owner's answer."""
        self.state = State.DECIDING

    def resume(self) -> bool:
        """The owner has answered; false when the stream has ended meanwhile."""
        if self.state is not State.DECIDING:
            return False
        self.state = State.NEGOTIATING
        return True

    def prove(self, peer: JID | None, mechanism: str) -> None:
        """The stream is authenticated; larger stanzas may pass."""
        self.authenticated = True
        self.mechanism = mechanism
        self.peer = peer
        self.framing.limit = self.limit
        self.emit(Authenticated(peer, mechanism))

    def restart(self) -> None:
        """A new stream on the same connection (RFC 6120, 6.3.2): the initiating side sends its header again."""
        self.framing.restart()
        if self.receiving:
            self.state = State.RESTARTING
        else:
            self.state = State.HEADER_SENT
            self._write_header(self._header)

    def go_on(self) -> None:
        """The same stream, authenticated (XEP-0388, 2.6.1): features follow at once, without a header."""
        if self.receiving:
            self._offer()
        else:
            self.state = State.AWAITING_FEATURES

    def establish(self) -> None:
        """Negotiation is done: stanzas may pass."""
        self.framing.limit = self.limit
        self.state = State.ESTABLISHED
        self.emit(Established())

    def advance(self) -> None:
        """As the initiating entity, begin the next feature whose turn it is (RFC 6120, 4.3.5)."""
        self.state = State.NEGOTIATING
        offered = self.offered or Element("features", NS_STREAM)
        if any(feature.start(self, offered) for feature in self._features):
            return
        if self.authenticated or self.open_to_all:
            self.establish()
            return
        found = ", ".join(child.tag for child in offered.elements()) or "nothing"
        self.fail(
            StreamError(StreamCondition.UNSUPPORTED_FEATURE, f"The server offered {found}; none of it lets us authenticate.")
        )

    # What the peer says.

    def _read(self) -> None:
        """Take what the peer has sent, up to where the owner has to decide; what is behind that waits, within the limit."""
        while self.state is not State.DECIDING and self.state is not State.HEADER_RECEIVED:
            item = self.framing.next_item()
            if item is None:
                return
            self._take(item)
        if self.framing.backlog > self.framing.limit:
            self.fail(violation(f"More than {self.framing.limit} bytes came without waiting for our answer."))

    def _take(self, item: Item) -> None:
        if isinstance(item, StreamError):
            self.fail(item)
            return
        kind = _INPUTS.get(type(item)) or _element_input(item)
        step = _TABLE.get((self.state, kind))
        if step is None:
            self._violation(kind)
            return
        try:
            step(self, item)
        except StreamError as error:
            self.fail(error)

    def _violation(self, kind: Input) -> None:
        if kind in (Input.NONZA, Input.FEATURES) and (self.authenticated or self.open_to_all):
            self.fail(StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE, "Found an element that has no meaning at this point."))
            return
        text = f"Found {kind.name.lower()} while {self.state.name.lower().replace('_', ' ')}; the stream is not ready for it."
        self.fail(StreamError(StreamCondition.NOT_AUTHORIZED, text))

    def _header_received(self, opening: Opening) -> None:
        self._check_version(opening)
        self.remote = opening.sender
        self.lang = _language(opening.lang)
        self.local = opening.to or ""
        self._header = opening
        self.state = State.HEADER_RECEIVED
        self.emit(OpenRequested(opening))

    def _header_again(self, opening: Opening) -> None:
        self._check_version(opening)
        if opening.to != self._header.to or (opening.sender and self.remote and opening.sender != self.remote):
            text = f"Found a restart from {opening.sender!r} to {opening.to!r}; wanted the addresses of the first header."
            raise StreamError(StreamCondition.NOT_AUTHORIZED, text)
        self.lang = _language(opening.lang)
        self._answer_header()

    def _answer_header(self) -> None:
        self.id = self._new_id()
        version = None if self.legacy else "1.0"
        self._write_header(Opening(sender=self.local or None, to=self.remote, id=self.id, version=version, lang=self.lang))
        if self.legacy:
            self._do_without_features()
        else:
            self._offer()

    def _do_without_features(self) -> None:
        """Stanzas follow the headers at once, where that is enough (XEP-0174, 5)."""
        if self.open_to_all:
            self.establish()
        else:
            text = "Found a stream header without version, of a peer that knows no TLS; wanted version 1.0."
            self.fail(StreamError(StreamCondition.UNSUPPORTED_VERSION, text))

    def _offer(self) -> None:
        """Say what can be negotiated now; when the peer is known and nothing is required of it, stanzas may pass."""
        offers = "".join(feature.offer(self) for feature in self._features)
        self.write(f"<stream:features xmlns:stream='{NS_STREAM}'>{offers}</stream:features>")
        self.state = State.NEGOTIATING
        if self.authenticated and not any(feature.required for feature in self._features):
            self.establish()

    def _header_answered(self, opening: Opening) -> None:
        self._check_version(opening)
        self.id = opening.id
        self.lang = _language(opening.lang)
        if opening.sender is not None and not _same_address(opening.sender, self.remote or ""):
            text = f"Found a stream from {opening.sender!r}; wanted {self.remote!r}."
            raise StreamError(StreamCondition.INVALID_FROM, text)
        self.state = State.AWAITING_FEATURES
        self.emit(StreamOpened(opening))
        if self.legacy:
            self._do_without_features()

    def _features_received(self, features: Element) -> None:
        self.offered = features
        self.advance()

    def _nonza(self, element: Element) -> None:
        tag = element.tag
        for feature in self._features:
            if tag in feature.tags:
                feature.receive(self, element)
                return
        self._violation(Input.NONZA)

    def _too_late(self, element: Element) -> None:
        """We have said all that we will say: who negotiates now gets no answer. What the peer has handled we still hear."""
        if self.ledger is not None and element.tag == _ACKNOWLEDGEMENT:
            self._nonza(element)

    def _early_stanza(self, stanza: Stanza) -> None:
        """A peer that knows us may speak on a bidirectional stream while we are still asking for something."""
        if self._offer_stanza(stanza):
            return
        if self.receiving and self.open_to_all and not any(feature.required for feature in self._features):
            self.establish()  # the peer wants nothing of what is offered
            self._stanza(stanza)
        elif self.authenticated and self.bidirectional:
            self.emit(StanzaReceived(stanza))
        else:
            self._violation(Input.STANZA)

    def _stanza(self, stanza: Stanza) -> None:
        if self.ledger is not None:
            self.ledger.took()
        if stanza.kind != "iq" or not self._offer_stanza(stanza):
            self.emit(StanzaReceived(stanza))

    def _offer_stanza(self, stanza: Stanza) -> bool:
        return any(
            tag in feature.tags and feature.receive_stanza(self, stanza)
            for tag in stanza.children[:1]
            for feature in self._features
        )

    def _peer_error(self, element: Element) -> None:
        error = _read_error(element)
        self.emit(StreamFailed(error, sent=False))
        self.close()
        self.state = State.ABANDONED

    def _peer_closed(self, closing: Closing) -> None:
        self.close()
        if self.state is not State.CLOSED:
            self._closed(closing.see_other_uri)

    def _closed(self, see_other_uri: str | None) -> None:
        self.state = State.CLOSED
        self.emit(StreamClosed(see_other_uri))

    def _write_header(self, opening: Opening) -> None:
        self._header_sent = True
        self._out.append(self.framing.opening(opening))

    def _check_version(self, opening: Opening) -> None:
        if self.framing.profile.versionless and opening.version in (None, "0.9"):
            self.legacy = True
            return
        major = (opening.version or "0").partition(".")[0]
        if not (major.isascii() and major.isdigit() and int(major[:4]) >= 1):
            text = f"Found version {ascii(opening.version)[:32]}; wanted 1.0."
            raise StreamError(StreamCondition.UNSUPPORTED_VERSION, text)


_INPUTS = {Stanza: Input.STANZA, Opening: Input.OPENING, Closing: Input.CLOSING}


def _element_input(item: Item) -> Input:
    assert isinstance(item, Element)  # the other items are in the table above
    return {_FEATURES: Input.FEATURES, _ERROR: Input.ERROR}.get(item.tag, Input.NONZA)


_ENDED = (State.CLOSING, State.ABANDONED, State.CLOSED)
_OPEN = (
    State.HEADER_SENT,
    State.AWAITING_FEATURES,
    State.NEGOTIATING,
    State.RESTARTING,
    State.ESTABLISHED,
    State.CLOSING,
)

# What is not in this table is a violation; after our side has been given up it is dropped. While the owner decides,
# nothing is read.
_TABLE: dict[tuple[State, Input], Callable[..., None]] = {
    (State.AWAITING_HEADER, Input.OPENING): Stream._header_received,
    (State.AWAITING_HEADER, Input.CLOSING): Stream._peer_closed,
    (State.RESTARTING, Input.OPENING): Stream._header_again,
    (State.HEADER_SENT, Input.OPENING): Stream._header_answered,
    (State.AWAITING_FEATURES, Input.FEATURES): Stream._features_received,
    (State.NEGOTIATING, Input.NONZA): Stream._nonza,
    (State.NEGOTIATING, Input.STANZA): Stream._early_stanza,
    (State.ESTABLISHED, Input.NONZA): Stream._nonza,
    (State.ESTABLISHED, Input.STANZA): Stream._stanza,
    (State.CLOSING, Input.STANZA): Stream._stanza,
    (State.CLOSING, Input.NONZA): Stream._too_late,
    (State.ABANDONED, Input.NONZA): Stream._too_late,
    (State.ABANDONED, Input.CLOSING): Stream._peer_closed,
    **{(state, Input.ERROR): Stream._peer_error for state in _OPEN},
    **{(state, Input.CLOSING): Stream._peer_closed for state in _OPEN},
}


def _same_address(one: str, other: str) -> bool:
    try:
        return one == other or JID.parse(one) == JID.parse(other)
    except JIDError:
        return one.casefold() == other.casefold()  # names of the local network may be no JIDs (XEP-0174, 3)


def _language(lang: str | None) -> str | None:
    """A language tag that is safe to write into other people's stanzas."""
    return lang if lang and _LANG.fullmatch(lang) else None


def _read_error(element: Element) -> StreamError:
    """The peer's stream error; an unknown condition counts as undefined (RFC 6120, 4.9.2)."""
    name = next((child.name for child in element.elements() if child.namespace == NS_STREAM_ERRORS and child.name != "text"), "")
    text = element.child(f"{{{NS_STREAM_ERRORS}}}text")
    known = {condition.value: condition for condition in StreamCondition}
    return StreamError(known.get(name, StreamCondition.UNDEFINED_CONDITION), text.text if text else name)
