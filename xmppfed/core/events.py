"""What a stream tells its owner. Those that ask something are answered on the stream, by the method each names."""

from __future__ import annotations

from dataclasses import dataclass, field

from xmppfed.core.element import Element
from xmppfed.core.framing import Opening
from xmppfed.core.jid import JID
from xmppfed.core.ledger import Ledger
from xmppfed.core.sasl.steps import Claim
from xmppfed.core.stanza import Stanza
from xmppfed.errors import SASLError, StanzaError, StreamError

__all__ = [
    "Acknowledged",
    "AuthFailed",
    "AuthRequested",
    "Authenticated",
    "BindFailed",
    "BindRequested",
    "Bound",
    "DialbackRequested",
    "Established",
    "Event",
    "KeyVerified",
    "KeysRequested",
    "Managed",
    "NonzaReceived",
    "OpenRequested",
    "Pair",
    "PairRefused",
    "PairVerified",
    "Passed",
    "Resumed",
    "ResumptionFailed",
    "StanzaReceived",
    "StrangerAsked",
    "StreamClosed",
    "StreamFailed",
    "StreamOpened",
    "TLSAgreed",
    "TokenReceived",
    "VerifyRequested",
]


@dataclass(frozen=True, slots=True)
class Pair:
    """Who may speak to whom on a stream between servers: the domain `sender` to the domain `to` (XEP-0220, 2.1)."""

    sender: str
    to: str


@dataclass(frozen=True, slots=True)
class OpenRequested:
    """The peer opened a stream; answer with `Stream.accept` or `Stream.fail`."""

    opening: Opening


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer answered our header."""

    opening: Opening


@dataclass(frozen=True, slots=True)
class TLSAgreed:
    """Both sides go on with TLS, as its server where we are the receiving entity. The stream ends here without a word: start
    TLS on its connection, and make a new stream there."""


@dataclass(frozen=True, slots=True)
class KeysRequested:
    """SCRAM needs the keys of an account; answer with `ReceivingExchange.provide_keys`."""

    mechanism: str
    username: str
    hash_name: str


@dataclass(frozen=True, slots=True)
class AuthRequested:
    """A mechanism came through; answer with `ReceivingExchange.accept` or `ReceivingExchange.reject`.

    `request` is the `<authenticate/>` of SASL2, with all that the peer asks for besides (XEP-0388, 2.3).
    """

    claim: Claim
    request: Element | None = None


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The stream is authenticated: as `peer`, when we are the receiving entity."""

    peer: JID | None
    mechanism: str


@dataclass(frozen=True, slots=True)
class AuthFailed:
    """An attempt to authenticate failed; the stream may go on."""

    mechanism: str
    error: SASLError


@dataclass(frozen=True, slots=True)
class TokenReceived:
    """The server gave us a token to log in by next time, by `mechanism` and until `expiry` (XEP-0484)."""

    mechanism: str
    token: str = field(repr=False)
    expiry: str


@dataclass(frozen=True, slots=True)
class BindRequested:
    """The client asks for a resource (RFC 6120, 7); answer with `ReceivingBind.accept` or `ReceivingBind.reject`."""

    resource: str


@dataclass(frozen=True, slots=True)
class Bound:
    """We have a full JID; the stream is for stanzas now."""

    jid: JID


@dataclass(frozen=True, slots=True)
class BindFailed:
    """The server gave us no resource."""

    error: StanzaError


@dataclass(frozen=True, slots=True)
class DialbackRequested:
    """A server claims a pair; verify `key` with the authoritative server and answer with `ReceivingDialback.answer`."""

    pair: Pair
    key: str
    stream_id: str


@dataclass(frozen=True, slots=True)
class VerifyRequested:
    """A receiving server asks whether we made `key`; answer with `ReceivingDialback.answer_verify` (XEP-0220, 2.2)."""

    pair: Pair
    key: str
    stream_id: str


@dataclass(frozen=True, slots=True)
class KeyVerified:
    """The authoritative server judged a key we asked about; `reason` says why when it is not valid."""

    pair: Pair
    stream_id: str
    valid: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PairVerified:
    """We may send from `pair.sender` to `pair.to` on this stream."""

    pair: Pair


@dataclass(frozen=True, slots=True)
class PairRefused:
    """The receiving server did not accept our pair."""

    pair: Pair
    reason: str


@dataclass(frozen=True, slots=True)
class Managed:
    """From now on stanzas are counted in this ledger (XEP-0198, 3); with an id, its session can be resumed."""

    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Resumed:
    """This stream goes on for the session of the ledger (XEP-0198, 5), where it has told what the peer has handled. The rest
    is to be sent again, which a former stream that still stands may not do any more."""

    ledger: Ledger


@dataclass(frozen=True, slots=True)
class ResumptionFailed:
    """The session of the ledger is not resumed on this stream. If the peer has `known` it, the ledger has been told what was
    handled; if it is `busy`, another stream is about to resume it."""

    ledger: Ledger
    known: bool
    busy: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The peer has said how much of what we sent it has handled."""


@dataclass(frozen=True, slots=True)
class Established:
    """Negotiation is done; stanzas may pass."""


@dataclass(frozen=True, slots=True)
class StanzaReceived:
    """A stanza on an established stream; whether the peer may say it is the owner's to judge."""

    stanza: Stanza


@dataclass(frozen=True, slots=True)
class NonzaReceived:
    """An element that is no stanza came on an established stream; nothing is answered."""

    element: Element


@dataclass(frozen=True, slots=True)
class StrangerAsked:
    """An iq came before any login; answer with `Offers.answer`."""

    stanza: Stanza


@dataclass(frozen=True, slots=True)
class Passed:
    """An item came on a stream that is passed through (`xmppfed.core.passing`); it is for the other end."""

    item: Opening | Stanza | Element


@dataclass(frozen=True, slots=True)
class StreamFailed:
    """The stream ended in an error: ours (`sent`) or the peer's."""

    error: StreamError
    sent: bool


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """Both directions are closed; the connection can go. `see_other_uri` is where the server sent us (RFC 7395, 3.6.1)."""

    see_other_uri: str | None = None


Event = (
    OpenRequested
    | StreamOpened
    | TLSAgreed
    | KeysRequested
    | AuthRequested
    | Authenticated
    | AuthFailed
    | TokenReceived
    | BindRequested
    | Bound
    | BindFailed
    | DialbackRequested
    | VerifyRequested
    | KeyVerified
    | PairVerified
    | PairRefused
    | Managed
    | Resumed
    | ResumptionFailed
    | Acknowledged
    | Established
    | StanzaReceived
    | Passed
    | NonzaReceived
    | StrangerAsked
    | StreamFailed
    | StreamClosed
)
