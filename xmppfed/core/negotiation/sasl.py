"""SASL as RFC 6120, 6 writes it: a new stream follows success. Mechanisms are in `xmppfed.core.sasl`."""

from __future__ import annotations

from collections.abc import Sequence

from xmppfed.core.element import Element
from xmppfed.core.events import AuthRequested
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.exchange import InitiatingExchange, ReceivingExchange, decode, encode
from xmppfed.core.sasl.steps import Claim, ClientMechanism
from xmppfed.core.stream import Stream
from xmppfed.errors import NS_SASL, SASLCondition, SASLError

__all__ = ["NS", "InitiatingSASL", "ReceivingSASL"]

NS = NS_SASL

_AUTH, _RESPONSE, _ABORT = f"{{{NS}}}auth", f"{{{NS}}}response", f"{{{NS}}}abort"
_CHALLENGE, _SUCCESS, _FAILURE = f"{{{NS}}}challenge", f"{{{NS}}}success", f"{{{NS}}}failure"


class ReceivingSASL(ReceivingExchange):
    """Lets a peer authenticate."""

    tags = frozenset({_AUTH, _RESPONSE, _ABORT})

    def offer(self, stream: Stream) -> str:
        """The mechanisms, until somebody is authenticated."""
        if stream.authenticated or not self._mechanisms:
            return ""
        names = "".join(f"<mechanism>{name}</mechanism>" for name in self._mechanisms)
        return f"<mechanisms xmlns='{NS}'>{names}</mechanisms>"

    def take(self, stream: Stream, element: Element) -> None:
        """`<auth/>`, `<response/>` or `<abort/>`."""
        if element.tag == _ABORT:
            raise SASLError(SASLCondition.ABORTED)
        if element.tag == _RESPONSE:
            self.proceed(stream, decode(element.text))
            return
        if self.under_way:
            raise SASLError(SASLCondition.MALFORMED_REQUEST, "Found <auth/> while an attempt was under way.")
        data = decode(element.text) if element.text else None
        self.begin(stream, element.get("mechanism", "") or "", self._mechanisms, data)

    def challenge(self, data: bytes) -> str:
        """See `ReceivingExchange.challenge`."""
        return f"<challenge xmlns='{NS}'>{encode(data)}</challenge>" if data else f"<challenge xmlns='{NS}'/>"

    def failure(self, error: SASLError) -> str:
        """See `ReceivingExchange.failure`."""
        return error.to_xml()

    def request(self, stream: Stream, claim: Claim) -> AuthRequested:
        """See `ReceivingExchange.request`; nothing else can be asked for."""
        return AuthRequested(claim)

    def succeed(self, stream: Stream, peer: JID | None, claim: Claim, answers: Sequence[Element]) -> None:
        """A new stream must follow (RFC 6120, 6.4.6)."""
        stream.write(f"<success xmlns='{NS}'>{encode(claim.final)}</success>" if claim.final else f"<success xmlns='{NS}'/>")
        stream.prove(peer, claim.mechanism)
        stream.restart()


class InitiatingSASL(InitiatingExchange):
    """Authenticates us, and opens a new stream."""

    tags = frozenset({_CHALLENGE, _SUCCESS, _FAILURE})
    namespace = NS

    def offered(self, features: Element) -> Element | None:
        """`<mechanisms/>`."""
        return features.child(f"{{{NS}}}mechanisms")

    def begin(self, offered: Element, mechanism: ClientMechanism, initial: bytes | None) -> str:
        """`<auth/>`; an empty initial response is `=` (RFC 6120, 6.4.2)."""
        text = "" if initial is None else encode(initial) or "="
        return f"<auth xmlns='{NS}' mechanism='{mechanism.name}'>{text}</auth>"

    def respond(self, data: bytes) -> str:
        """`<response/>`."""
        return f"<response xmlns='{NS}'>{encode(data) or '='}</response>"

    def succeed(self, stream: Stream, mechanism: ClientMechanism, success: Element) -> None:
        """The server has to prove itself; a new stream follows."""
        mechanism.finish(decode(success.text))
        stream.prove(None, mechanism.name)
        stream.restart()
