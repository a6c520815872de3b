"""SASL on a stream (RFC 6120, 6), with the channel bindings announced (XEP-0440). Mechanisms are in `xmppfed.core.sasl`."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence

from xmppfed.core.element import Element
from xmppfed.core.events import AuthFailed, AuthRequested, KeysRequested
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.core.sasl.scram_server import ScramServer
from xmppfed.core.sasl.steps import Challenge, Claim, ClientMechanism, KeysNeeded, ServerMechanism
from xmppfed.core.stream import Stream
from xmppfed.errors import NS_SASL, SASLCondition, SASLError, StreamCondition, StreamError

__all__ = ["NS", "InitiatingSASL", "ReceivingSASL"]

NS = NS_SASL
NS_CHANNEL_BINDING = "urn:xmpp:sasl-cb:0"

_AUTH, _RESPONSE, _ABORT = f"{{{NS}}}auth", f"{{{NS}}}response", f"{{{NS}}}abort"
_CHALLENGE, _SUCCESS, _FAILURE = f"{{{NS}}}challenge", f"{{{NS}}}success", f"{{{NS}}}failure"


def _decode(text: str) -> bytes:
    """The bytes of a SASL element; `=` stands for none (RFC 6120, 6.4.2)."""
    if text == "=":
        return b""
    try:
        return b64decode(text.encode("ascii"), validate=True)
    except (Base64Error, UnicodeEncodeError):
        raise SASLError(SASLCondition.INCORRECT_ENCODING, "Found text that is not base64.") from None


def _encode(data: bytes) -> str:
    return b64encode(data).decode("ascii") or "="


class ReceivingSASL(Feature):
    """Lets a peer authenticate, a bounded number of times (RFC 6120, 6.4.5)."""

    tags = frozenset({_AUTH, _RESPONSE, _ABORT})

    def __init__(
        self,
        mechanisms: Mapping[str, Callable[[], ServerMechanism]],
        bindings: Sequence[str] = (),
        *,
        attempts: int = 5,
    ) -> None:
        """`mechanisms` are offered in their order; `bindings` are the channel binding types of this stream."""
        self._mechanisms = mechanisms
        self._bindings = bindings
        self._attempts = attempts
        self._current: ServerMechanism | None = None

    def offer(self, stream: Stream) -> str:
        """The mechanisms, and XEP-0440's list of channel bindings, until somebody is authenticated."""
        if stream.authenticated or not self._mechanisms:
            return ""
        names = "".join(f"<mechanism>{name}</mechanism>" for name in self._mechanisms)
        offer = f"<mechanisms xmlns='{NS}'>{names}</mechanisms>"
        if self._bindings:
            types = "".join(f"<channel-binding type='{binding}'/>" for binding in self._bindings)
            offer += f"<sasl-channel-binding xmlns='{NS_CHANNEL_BINDING}'>{types}</sasl-channel-binding>"
        return offer

    def receive(self, stream: Stream, element: Element) -> None:
        """`<auth/>`, `<response/>` or `<abort/>`."""
        if stream.authenticated:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "The stream is authenticated already.")
        try:
            if element.tag == _ABORT:
                raise SASLError(SASLCondition.ABORTED)
            if element.tag == _AUTH:
                self._begin(stream, element)
            else:
                self._continue(stream, _decode(element.text))
        except SASLError as error:
            self._failed(stream, error)

    def _begin(self, stream: Stream, element: Element) -> None:
        name = element.get("mechanism", "")
        if self._current is not None:
            raise SASLError(SASLCondition.MALFORMED_REQUEST, "Found <auth/> while an attempt was under way.")
        create = self._mechanisms.get(name or "")
        if create is None:
            raise SASLError(SASLCondition.INVALID_MECHANISM, f"Found {ascii(name)[:64]}, which was not offered.")
        self._current = create()
        if element.text:
            self._continue(stream, _decode(element.text))
        else:
            stream.write(f"<challenge xmlns='{NS}'/>")

    def _continue(self, stream: Stream, data: bytes) -> None:
        if self._current is None:
            raise SASLError(SASLCondition.MALFORMED_REQUEST, "Found a response to no challenge.")
        self._proceed(stream, self._current.respond(data))

    def _proceed(self, stream: Stream, step: Challenge | KeysNeeded | Claim) -> None:
        match step:
            case Challenge(data):
                stream.write(f"<challenge xmlns='{NS}'>{_encode(data)}</challenge>")
            case KeysNeeded(username, hash_name):
                assert self._current is not None  # it has just spoken
                stream.wait_for_owner()
                stream.emit(KeysRequested(self._current.name, username, hash_name))
            case claim:
                stream.wait_for_owner()
                stream.emit(AuthRequested(claim))

    def provide_keys(self, stream: Stream, keys: ScramKeys) -> None:
        """Answer `KeysRequested`."""
        if stream.resume():
            assert isinstance(self._current, ScramServer)  # no other mechanism asks for keys
            self._proceed(stream, self._current.provide(keys))

    def accept(self, stream: Stream, peer: JID, claim: Claim) -> None:
        """Answer `AuthRequested`: the peer is `peer`. A new stream must follow (RFC 6120, 6.4.6)."""
        if stream.resume():
            final = _encode(claim.final) if claim.final else ""
            stream.write(f"<success xmlns='{NS}'>{final}</success>" if final else f"<success xmlns='{NS}'/>")
            self._current = None
            stream.prove(peer, claim.mechanism)
            stream.restart()

    def reject(self, stream: Stream, error: SASLError) -> None:
        """Answer `KeysRequested` or `AuthRequested`: no."""
        if stream.resume():
            self._failed(stream, error)

    def _failed(self, stream: Stream, error: SASLError) -> None:
        name = self._current.name if self._current else ""
        self._current = None
        self._attempts -= 1
        stream.write(error.to_xml())
        stream.emit(AuthFailed(name, error))
        if self._attempts <= 0:
            stream.fail(StreamError(StreamCondition.POLICY_VIOLATION, "Too many failed attempts to authenticate."))


class InitiatingSASL(Feature):
    """Authenticates us with the best mechanism that both sides have."""

    tags = frozenset({_CHALLENGE, _SUCCESS, _FAILURE})

    def __init__(self, choose: Callable[[Sequence[str]], ClientMechanism | None]) -> None:
        """`choose` picks from the names offered; `None` or a `SASLError` says that there is none for us."""
        self._choose = choose
        self._current: ClientMechanism | None = None
        self._spent = False

    def start(self, stream: Stream, features: Element) -> bool:
        """Begin, unless we are through or have been refused already."""
        offered = features.child(f"{{{NS}}}mechanisms")
        if stream.authenticated or self._spent or offered is None:
            return False
        self._spent = True
        try:
            self._current = self._choose([child.text for child in offered.elements() if child.name == "mechanism"])
            initial = self._current.start() if self._current is not None else None
        except SASLError as error:
            stream.emit(AuthFailed(self._current.name if self._current else "", error))
            self._current = None
        if self._current is None:
            return False
        text = "" if initial is None else _encode(initial)
        stream.write(f"<auth xmlns='{NS}' mechanism='{self._current.name}'>{text}</auth>")
        return True

    def receive(self, stream: Stream, element: Element) -> None:
        """`<challenge/>`, `<success/>` or `<failure/>`."""
        if self._current is None:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "Found SASL that we did not begin.")
        try:
            self._answer(stream, self._current, element)
        except SASLError as error:
            if self._current is not None:
                stream.write(f"<abort xmlns='{NS}'/>")
            raise StreamError(StreamCondition.NOT_AUTHORIZED, str(error)) from None

    def _answer(self, stream: Stream, mechanism: ClientMechanism, element: Element) -> None:
        if element.tag == _CHALLENGE:
            stream.write(f"<response xmlns='{NS}'>{_encode(mechanism.respond(_decode(element.text)))}</response>")
            return
        self._current = None
        if element.tag == _SUCCESS:
            mechanism.finish(_decode(element.text))
            stream.prove(None, mechanism.name)
            stream.restart()
            return
        stream.emit(AuthFailed(mechanism.name, _read_failure(element)))
        stream.advance()


def _read_failure(element: Element) -> SASLError:
    names = {condition.value: condition for condition in SASLCondition}
    found = next((names[child.name] for child in element.elements() if child.name in names), SASLCondition.NOT_AUTHORIZED)
    text = element.child(f"{{{NS}}}text")
    return SASLError(found, text.text if text else "")
