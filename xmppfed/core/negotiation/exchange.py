"""A SASL exchange on a stream (RFC 4422), both sides of it. How it is written is told by a profile: `sasl`, or `sasl2`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Collection, Sequence

from xmppfed.core.element import Element
from xmppfed.core.events import AuthFailed, AuthRequested, KeysRequested
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.channel_binding import announced
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.sasl.keys import ScramKeys
from xmppfed.core.sasl.scram_server import ScramServer
from xmppfed.core.sasl.steps import Challenge, Claim, ClientMechanism, KeysNeeded, Offer, ServerMechanism
from xmppfed.core.stream import Stream
from xmppfed.errors import SASLCondition, SASLError, StreamCondition, StreamError

__all__ = ["Attempts", "Choose", "Create", "InitiatingExchange", "ReceivingExchange", "decode", "encode"]

Create = Callable[[str], ServerMechanism]
"""Makes a mechanism that was offered, by its name; may raise `SASLError`."""
Choose = Callable[[Offer], ClientMechanism | None]
"""Picks a mechanism; `None` or a `SASLError` says that there is none for us."""


def decode(text: str) -> bytes:
    """The bytes of a SASL element; `=` stands for none (RFC 6120, 6.4.2). Raises `SASLError`."""
    if text == "=":
        return b""
    try:
        return b64decode(text.encode("ascii"), validate=True)
    except (Base64Error, UnicodeEncodeError):
        raise SASLError(SASLCondition.INCORRECT_ENCODING, "Found text that is not base64.") from None


def encode(data: bytes) -> str:
    """The text of a SASL element."""
    return b64encode(data).decode("ascii")


class Attempts:
    """What the profiles of one stream share: one login at a time, and a bounded number of failures (RFC 6120, 6.4.5)."""

    def __init__(self, left: int = 5) -> None:
        self.left = left
        self.current: ReceivingExchange | None = None
        """The profile by which a login is under way: it is the one to answer."""


class ReceivingExchange(Feature, ABC):
    """Lets a peer authenticate. A profile says by which elements."""

    def __init__(self, mechanisms: Collection[str], create: Create, attempts: Attempts | None = None) -> None:
        """`mechanisms` are offered in their order. Profiles that are offered side by side are given the same `attempts`."""
        self._mechanisms = mechanisms
        self._create = create
        self._attempts = attempts or Attempts()
        self._mechanism: ServerMechanism | None = None

    # What a profile tells.

    @abstractmethod
    def take(self, stream: Stream, element: Element) -> None:
        """One of its elements came: call `begin` or `proceed`, or raise `SASLError`."""

    @abstractmethod
    def challenge(self, data: bytes) -> str:
        """The element of a challenge; of an empty one, which asks for an initial response, as well."""

    @abstractmethod
    def failure(self, error: SASLError) -> str:
        """The element of a failure."""

    @abstractmethod
    def request(self, stream: Stream, claim: Claim) -> AuthRequested:
        """The question to the owner; raises `SASLError` for a claim that is none."""

    @abstractmethod
    def succeed(self, stream: Stream, peer: JID | None, claim: Claim, answers: Sequence[Element]) -> None:
        """Write the success, and what follows it."""

    # The machine.

    @property
    def under_way(self) -> bool:
        """Whether a login by this profile has begun, and has not ended."""
        return self._mechanism is not None

    def receive(self, stream: Stream, element: Element) -> None:
        """An element of the profile; one of another profile than the login under way ends the stream (XEP-0388, 2.4)."""
        if stream.authenticated:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "The stream is authenticated already.")
        if self._attempts.current not in (None, self):
            raise StreamError(StreamCondition.POLICY_VIOLATION, "Found a second kind of login while one was under way.")
        try:
            self.take(stream, element)
        except SASLError as error:
            self._failed(stream, error)

    def begin(self, stream: Stream, name: str, known: Collection[str], data: bytes | None) -> None:
        """Begin with one of the `known` mechanisms and its initial response, if there is one; raises `SASLError`."""
        if name not in known:
            raise SASLError(SASLCondition.INVALID_MECHANISM, f"Found {ascii(name)[:64]}, which was not offered.")
        self._mechanism = self._create(name)
        self._attempts.current = self
        if data is None:
            stream.write(self.challenge(b""))
        else:
            self.proceed(stream, data)

    def proceed(self, stream: Stream, data: bytes) -> None:
        """Hand a response to the mechanism; raises `SASLError`."""
        if self._mechanism is None:
            raise SASLError(SASLCondition.MALFORMED_REQUEST, "Found a response to no challenge.")
        self._follow(stream, self._mechanism.respond(data))

    def _follow(self, stream: Stream, step: Challenge | KeysNeeded | Claim) -> None:
        match step:
            case Challenge(data):
                stream.write(self.challenge(data))
            case KeysNeeded(username, hash_name):
                assert self._mechanism is not None  # it has just spoken
                stream.wait_for_owner()
                stream.emit(KeysRequested(self._mechanism.name, username, hash_name))
            case claim:
                request = self.request(stream, claim)
                stream.wait_for_owner()
                stream.emit(request)

    def _failed(self, stream: Stream, error: SASLError) -> None:
        name = self._end()
        self._attempts.left -= 1
        stream.write(self.failure(error))
        stream.emit(AuthFailed(name, error))
        if self._attempts.left <= 0:
            stream.fail(StreamError(StreamCondition.POLICY_VIOLATION, "Too many failed attempts to authenticate."))

    def _end(self) -> str:
        """The login is over; the name of its mechanism."""
        name = self._mechanism.name if self._mechanism else ""
        self._mechanism = self._attempts.current = None
        return name

    # What the owner answers.

    def provide_keys(self, stream: Stream, keys: ScramKeys) -> None:
        """Answer `KeysRequested`."""
        if self.under_way and stream.resume():
            assert isinstance(self._mechanism, ScramServer)  # no other mechanism asks for keys
            self._follow(stream, self._mechanism.provide(keys))

    def accept(self, stream: Stream, peer: JID | None, claim: Claim, answers: Sequence[Element] = ()) -> None:
        """Answer `AuthRequested`: the peer is `peer`, or somebody whose name is no JID (XEP-0174, 3), and `answers` are to
        what it asked for besides."""
        if self.under_way and stream.resume():
            self._end()
            self.succeed(stream, peer, claim, answers)

    def reject(self, stream: Stream, error: SASLError) -> None:
        """Answer `KeysRequested` or `AuthRequested`: no."""
        if self.under_way and stream.resume():
            self._failed(stream, error)


class InitiatingExchange(Feature, ABC):
    """Authenticates us with the best mechanism that both sides have. A profile says by which elements."""

    namespace: str
    """Of the profile's `<challenge/>`, `<response/>`, `<success/>`, `<failure/>` and `<abort/>`."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._current: ClientMechanism | None = None
        self._spent = False

    # What a profile tells.

    @abstractmethod
    def offered(self, features: Element) -> Element | None:
        """The element that offers it."""

    @abstractmethod
    def begin(self, offered: Element, mechanism: ClientMechanism, initial: bytes | None) -> str:
        """The first element."""

    @abstractmethod
    def respond(self, data: bytes) -> str:
        """A response."""

    @abstractmethod
    def succeed(self, stream: Stream, mechanism: ClientMechanism, success: Element) -> None:
        """Judge the success, and go on; raises `SASLError`."""

    # The machine.

    def start(self, stream: Stream, features: Element) -> bool:
        """Begin, unless we are through or have been refused already."""
        offered = self.offered(features)
        if stream.authenticated or self._spent or offered is None:
            return False
        self._spent = True
        try:
            self._current = self._choose(self.read_offer(offered, features))
            initial = self._current.start() if self._current is not None else None
        except SASLError as error:
            stream.emit(AuthFailed(self._current.name if self._current else "", error))
            self._current = None
        if self._current is None:
            return False
        stream.write(self.begin(offered, self._current, initial))
        return True

    def read_offer(self, offered: Element, features: Element) -> Offer:
        """What there is to choose from."""
        names = tuple(child.text for child in offered.elements() if child.name == "mechanism")
        return Offer(names, announced(features))

    def receive(self, stream: Stream, element: Element) -> None:
        """`<challenge/>`, `<success/>` or `<failure/>`."""
        if self._current is None:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "Found SASL that we did not begin.")
        try:
            self._answer(stream, self._current, element)
        except SASLError as error:
            if self._current is not None:
                stream.write(f"<abort xmlns='{self.namespace}'/>")
            raise StreamError(StreamCondition.NOT_AUTHORIZED, str(error)) from None

    def _answer(self, stream: Stream, mechanism: ClientMechanism, element: Element) -> None:
        if element.name == "challenge":
            stream.write(self.respond(mechanism.respond(decode(element.text))))
            return
        self._current = None
        if element.name == "success":
            self.succeed(stream, mechanism, element)
            return
        stream.emit(AuthFailed(mechanism.name, self._read_failure(element)))
        stream.advance()

    def _read_failure(self, element: Element) -> SASLError:
        names = {condition.value: condition for condition in SASLCondition}
        found = next((names[child.name] for child in element.elements() if child.name in names), SASLCondition.NOT_AUTHORIZED)
        text = element.child(f"{{{self.namespace}}}text")
        return SASLError(found, text.text if text else "")
