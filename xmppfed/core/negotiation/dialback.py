"""Server Dialback (XEP-0220 with the keys of XEP-0185), in all its roles, for each ordered pair of domains.

| role | class | sends | receives |
|---|---|---|---|
| initiating server | `InitiatingDialback` | `<db:result/>` with a key | its verdict |
| receiving server | `ReceivingDialback` | the verdict | `<db:result/>` with a key |
| receiving server, asking back | `VerifyingDialback` | `<db:verify/>` with a key | its verdict |
| authoritative server | `ReceivingDialback` | the verdict | `<db:verify/>` with a key |
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from xmppfed.core.element import Element
from xmppfed.core.events import DialbackRequested, KeyVerified, Pair, PairRefused, PairVerified, VerifyRequested
from xmppfed.core.jid import JID
from xmppfed.core.namespaces import NS_DIALBACK, NS_SERVER, NS_STANZA_ERRORS
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.stream import State, Stream
from xmppfed.errors import JIDError, StanzaError, StreamCondition, StreamError

__all__ = ["NS", "InitiatingDialback", "ReceivingDialback", "VerifyingDialback", "dialback_key"]

NS = NS_DIALBACK
NS_FEATURE = "urn:xmpp:features:dialback"
_RESULT, _VERIFY = f"{{{NS}}}result", f"{{{NS}}}verify"

# Requests that may wait for their verdict at once on one stream, and keys that may be asked about.
MAX_PENDING = 100
MAX_KEY = 1024
_SHOWN = 256  # characters of a peer's own words


def dialback_key(secret: bytes, pair: Pair, stream_id: str) -> str:
    """The key for `pair` on the stream `stream_id` (XEP-0185, 2); only who has the secret can make or check it."""
    hashed = hashlib.sha256(secret).hexdigest().encode()
    return hmac.new(hashed, f"{pair.to} {pair.sender} {stream_id}".encode(), "sha256").hexdigest()


def _pair(element: Element) -> Pair:
    """Who asks whom, by the attributes `from` and `to`."""
    return Pair(_domain(element, "from"), _domain(element, "to"))


def _domain(element: Element, attribute: str) -> str:
    try:
        jid = JID.parse(element.get(attribute) or "")
    except JIDError as error:
        text = f"<db:{element.name}/> with a bad {attribute!r}: {error}"
        raise StreamError(StreamCondition.IMPROPER_ADDRESSING, text) from None
    if jid.local or jid.resource:
        text = f"Found {attribute!r} with more than a domain in <db:{element.name}/>; wanted a domain."
        raise StreamError(StreamCondition.IMPROPER_ADDRESSING, text)
    return jid.domain


def _write(
    stream: Stream, name: str, sender: str, to: str, *, key: str = "", error: StanzaError | None = None, **more: str
) -> None:
    """A `db:` element, complete with its declaration; an error inside belongs to the content namespace (XEP-0220, 2.5)."""
    element = Element(name, NS, {"from": sender, "to": to, **more}, [key] if key else [])
    if error is not None:
        child = element.add("error", NS_SERVER, type=error.type)
        child.add(error.condition.value, NS_STANZA_ERRORS)
        if error.text:
            child.add("text", NS_STANZA_ERRORS, text=error.text)
    stream.write(element.to_xml())


def _key(element: Element) -> str:
    key = element.text.strip()
    if len(key) > MAX_KEY:
        raise StreamError(StreamCondition.POLICY_VIOLATION, f"A dialback key of more than {MAX_KEY} characters.")
    return key


def _kind(valid: bool, error: StanzaError | None) -> str:
    return "valid" if valid else "invalid" if error is None else "error"


def _verdict(element: Element) -> tuple[bool, str]:
    """Whether an answer says valid, and if not, in which words."""
    kind = element.get("type")
    if kind == "valid":
        return True, ""
    conditions = [child.name for error in element.elements() for child in error.elements() if child.name != "text"]
    texts = [child.text for error in element.elements() for child in error.elements() if child.name == "text"]
    return False, ": ".join([f"dialback answered {kind!r}", *conditions[:1], *(text[:_SHOWN] for text in texts[:1])])


class _Judging(Feature):
    """Lets the peer claim pairs: every claim gets an answer, and not too many are judged at once."""

    def __init__(self) -> None:
        self._pending: set[Pair] = set()

    def _claimed(self, stream: Stream, pair: Pair, key: str) -> None:
        if pair in self._pending:
            return
        if len(self._pending) >= MAX_PENDING:
            raise StreamError(StreamCondition.POLICY_VIOLATION, f"More than {MAX_PENDING} dialback requests at once.")
        self._pending.add(pair)
        stream.emit(DialbackRequested(pair, key, stream.id))

    def answer(self, stream: Stream, pair: Pair, valid: bool, error: StanzaError | None = None) -> None:
        """Answer `DialbackRequested`. The first valid pair establishes the stream; a bad one never closes it."""
        if pair not in self._pending or stream.state not in (State.NEGOTIATING, State.ESTABLISHED):
            return
        self._pending.discard(pair)
        _write(stream, "result", pair.to, pair.sender, error=error, type=_kind(valid, error))
        if valid and not stream.authenticated:
            stream.prove(JID("", pair.sender, ""), "dialback")
            stream.establish()


class ReceivingDialback(_Judging):
    """On a stream that came in: judges claims of its peer, and answers for our own keys."""

    tags = frozenset({_RESULT, _VERIFY})

    def offer(self, stream: Stream) -> str:
        """Offered always: more pairs may follow on an authenticated stream."""
        return f"<dialback xmlns='{NS_FEATURE}'><errors/></dialback>"

    def receive(self, stream: Stream, element: Element) -> None:
        """A request; answers to what we never asked here are dropped (XEP-0220, 2.1.1)."""
        pair = _pair(element)
        if element.get("type") is not None:
            return
        key = _key(element)
        if element.tag == _VERIFY:
            stream.emit(VerifyRequested(Pair(pair.to, pair.sender), key, element.get("id") or ""))
        else:
            self._claimed(stream, pair, key)

    def answer_verify(self, stream: Stream, pair: Pair, stream_id: str, valid: bool, error: StanzaError | None = None) -> None:
        """Answer `VerifyRequested` as the authoritative server of `pair.sender`; an `error` says why we cannot be asked."""
        _write(stream, "verify", pair.sender, pair.to, error=error, id=stream_id, type=_kind(valid, error))


class InitiatingDialback(_Judging):
    """On a stream we opened: claims our pair, and more pairs later. Where the stream is bidirectional the peer may claim
    some as well, once we have authenticated (XEP-0288, 2.2)."""

    tags = frozenset({_RESULT})

    def __init__(self, pair: Pair, make_key: Callable[[Pair, str], str]) -> None:
        """`make_key` makes the key for a pair and a stream id, see `dialback_key`."""
        super().__init__()
        self._first = pair
        self._make_key = make_key
        self._asked: set[Pair] = set()

    def start(self, stream: Stream, features: Element) -> bool:
        """Claim our pair where the peer offers dialback, or offers nothing at all."""
        offered = features.child(f"{{{NS_FEATURE}}}dialback") is not None or not any(features.elements())
        if stream.authenticated or self._asked or not offered:
            return False
        self.request(stream, self._first)
        return True

    def request(self, stream: Stream, pair: Pair) -> None:
        """Claim a pair; `PairVerified` or `PairRefused` follows."""
        self._asked.add(pair)
        _write(stream, "result", pair.sender, pair.to, key=self._make_key(pair, stream.id))

    def receive(self, stream: Stream, element: Element) -> None:
        """The verdict on a pair we claimed, or a claim of the peer; the rest is dropped."""
        addressed = _pair(element)
        if element.get("type") is not None:
            self._judged(stream, Pair(addressed.to, addressed.sender), element)
        elif stream.bidirectional and stream.authenticated:
            self._claimed(stream, addressed, _key(element))

    def _judged(self, stream: Stream, pair: Pair, element: Element) -> None:
        if pair not in self._asked:
            return
        self._asked.discard(pair)
        valid, reason = _verdict(element)
        stream.emit(PairVerified(pair) if valid else PairRefused(pair, reason))
        if stream.authenticated:
            return
        if valid:
            stream.prove(None, "dialback")
            stream.advance()  # no features follow: what is left of those that came may be asked for now
        else:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, reason)


class VerifyingDialback(Feature):
    """On a stream we opened to an authoritative server: asks whether it made a key. No authentication is needed for that."""

    tags = frozenset({_VERIFY})

    def __init__(self, pair: Pair, stream_id: str, key: str) -> None:
        """The pair, stream id and key of the `DialbackRequested` to verify."""
        self._question: tuple[Pair, str] | None = (pair, stream_id)
        self._key = key

    def start(self, stream: Stream, features: Element) -> bool:
        """Ask, whatever is offered."""
        if self._question is None:
            return False
        pair, stream_id = self._question
        _write(stream, "verify", pair.to, pair.sender, key=self._key, id=stream_id)
        return True

    def receive(self, stream: Stream, element: Element) -> None:
        """The verdict on the key we asked about; others are dropped."""
        answered = _pair(element)
        question = (Pair(answered.sender, answered.to), element.get("id") or "")
        if question != self._question or element.get("type") is None:
            return
        self._question = None
        valid, reason = _verdict(element)
        stream.emit(KeyVerified(*question, valid, reason))
