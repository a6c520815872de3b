"""SASL2 (XEP-0388): the same exchanges without a new stream behind them, and with room for what else a client wants.

Tasks behind an exchange (`<continue/>`, `<next/>`) are not spoken: nothing here asks for a second factor.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from xmppfed.core.element import Element
from xmppfed.core.events import AuthRequested, Bound
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.bind import ReceivingBind
from xmppfed.core.negotiation.exchange import Attempts, Choose, Create, InitiatingExchange, ReceivingExchange, decode, encode
from xmppfed.core.negotiation.fast import FAST
from xmppfed.core.negotiation.feature import Inline
from xmppfed.core.sasl.steps import Claim, ClientMechanism, Offer
from xmppfed.core.stream import Stream
from xmppfed.errors import NS_SASL, JIDError, SASLCondition, SASLError, StreamCondition, StreamError

__all__ = ["NS", "InitiatingSASL2", "ReceivingSASL2", "user_agent_id"]

NS = "urn:xmpp:sasl:2"

_AUTHENTICATION, _INLINE = f"{{{NS}}}authentication", f"{{{NS}}}inline"
_AUTHENTICATE, _RESPONSE, _ABORT = f"{{{NS}}}authenticate", f"{{{NS}}}response", f"{{{NS}}}abort"
_CHALLENGE, _SUCCESS, _FAILURE = f"{{{NS}}}challenge", f"{{{NS}}}success", f"{{{NS}}}failure"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def user_agent_id(request: Element | None) -> str:
    """What tells the client's installation from others, in lower case; nothing where it says none, or no UUID."""
    agent = request.child(f"{{{NS}}}user-agent") if request else None
    found = (agent.get("id") or "").lower() if agent else ""
    return found if _UUID.fullmatch(found) else ""


class ReceivingSASL2(ReceivingExchange):
    """Lets a peer authenticate, and get what it asked for in the same breath."""

    tags = frozenset({_AUTHENTICATE, _RESPONSE, _ABORT})

    def __init__(
        self,
        mechanisms: Collection[str],
        create: Create,
        attempts: Attempts,
        bind: ReceivingBind,
        tokens: Collection[str] = (),
        inline: str = "",
    ) -> None:
        """`tokens` are the mechanisms that a client uses which has a token (XEP-0484); what can be asked for besides a login
        is offered as `inline`."""
        super().__init__(mechanisms, create, attempts)
        self._bind = bind
        self._tokens = tokens
        self._inline = inline
        self._request: Element | None = None

    def offer(self, stream: Stream) -> str:
        """The mechanisms and the inline features, until somebody is authenticated, and over TLS alone (XEP-0388, 6)."""
        if stream.authenticated or not stream.secure or not self._mechanisms:
            return ""
        names = "".join(f"<mechanism>{name}</mechanism>" for name in self._mechanisms)
        return f"<authentication xmlns='{NS}'>{names}<inline>{self._inline}</inline></authentication>"

    def take(self, stream: Stream, element: Element) -> None:
        """`<authenticate/>`, `<response/>` or `<abort/>`."""
        if not stream.secure:
            raise SASLError(SASLCondition.ENCRYPTION_REQUIRED, "SASL2 was not offered: this stream has no TLS.")
        if element.tag == _ABORT:
            raise SASLError(SASLCondition.ABORTED)
        if element.tag == _RESPONSE:
            self.proceed(stream, decode(element.text))
            return
        if self.under_way:
            raise StreamError(StreamCondition.POLICY_VIOLATION, "Found <authenticate/> while an attempt was under way.")
        self._request = element
        known = self._mechanisms if element.child(FAST) is None else self._tokens
        initial = element.child(f"{{{NS}}}initial-response")
        data = None if initial is None else decode(initial.text)
        self.begin(stream, element.get("mechanism", "") or "", known, data)

    def challenge(self, data: bytes) -> str:
        """See `ReceivingExchange.challenge`."""
        return Element("challenge", NS, {}, [encode(data)] if data else []).to_xml()

    def failure(self, error: SASLError) -> str:
        """The condition is that of RFC 6120, in its namespace."""
        failure = Element("failure", NS)
        failure.add(error.condition.value, NS_SASL)
        if error.text:
            failure.add("text", text=error.text)
        return failure.to_xml()

    def request(self, stream: Stream, claim: Claim) -> AuthRequested:
        """With all that the client asked for. Who names an identity and has named another in its header is refused."""
        if claim.authzid and stream.remote and not _matches(claim.authzid, stream.remote):
            text = f"Found {ascii(claim.authzid)[:64]}; wanted what 'from' in the stream's header says (XEP-0388, 2.3)."
            raise SASLError(SASLCondition.INVALID_AUTHZID, text)
        return AuthRequested(claim, self._request)

    def succeed(self, stream: Stream, peer: JID | None, claim: Claim, answers: Sequence[Element]) -> None:
        """The features of the authenticated stream follow at once (XEP-0388, 2.6.1). A `peer` with a resource is bound."""
        assert peer is not None  # who logs in has an address
        success = Element("success", NS)
        if claim.final:
            success.add("additional-data", text=encode(claim.final))
        success.add("authorization-identifier", text=str(peer))
        success.children.extend(answers)
        stream.write(success.to_xml())
        stream.prove(peer.bare, claim.mechanism)
        self._bind.required = not peer.resource
        self._request = None
        stream.go_on()
        if peer.resource:
            stream.emit(Bound(peer))


class InitiatingSASL2(InitiatingExchange):
    """Authenticates us, and asks for more in the same breath."""

    tags = frozenset({_CHALLENGE, _SUCCESS, _FAILURE})
    namespace = NS

    def __init__(self, choose: Choose, inline: Sequence[Inline] = (), user_agent: str = "") -> None:
        """`user_agent` is the UUID of this installation, if it wants to be known again."""
        super().__init__(choose)
        self._inline = inline
        self._user_agent = user_agent

    def offered(self, features: Element) -> Element | None:
        """`<authentication/>`."""
        return features.child(_AUTHENTICATION)

    def read_offer(self, offered: Element, features: Element) -> Offer:
        """With the mechanisms for tokens, which stand inline (XEP-0484, 3.1)."""
        offer = super().read_offer(offered, features)
        inline = offered.child(_INLINE)
        fast = inline.child(FAST) if inline else None
        return replace(offer, tokens=tuple(child.text for child in fast.elements())) if fast else offer

    def begin(self, offered: Element, mechanism: ClientMechanism, initial: bytes | None) -> str:
        """`<authenticate/>`."""
        request = Element("authenticate", NS, {"mechanism": mechanism.name})
        if initial is not None:
            request.add("initial-response", text=encode(initial))
        if self._user_agent:
            request.add("user-agent", id=self._user_agent)
        inline = offered.child(_INLINE) or Element("inline", NS)
        for feature in self._inline:
            request.children.extend(feature.ask(inline))
        return request.to_xml()

    def respond(self, data: bytes) -> str:
        """`<response/>`."""
        return Element("response", NS, {}, [encode(data)]).to_xml()

    def succeed(self, stream: Stream, mechanism: ClientMechanism, success: Element) -> None:
        """The server has to prove itself; its features follow without a new stream."""
        data = success.child(f"{{{NS}}}additional-data")
        mechanism.finish(decode(data.text) if data else b"")
        stream.prove(None, mechanism.name)
        stream.go_on()
        for feature in self._inline:
            feature.answered(stream, success)


def _matches(authzid: str, sender: str) -> bool:
    try:
        return JID.parse(authzid) == JID.parse(sender).bare
    except JIDError:
        return False
