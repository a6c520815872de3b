"""Resource binding (RFC 6120, 7), and the answer that older clients want to their `<session/>` (RFC 3921, 3)."""

from __future__ import annotations

from xmppfed.core.element import Element
from xmppfed.core.events import BindFailed, BindRequested, Bound
from xmppfed.core.jid import JID
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.stanza import Stanza
from xmppfed.core.stream import State, Stream
from xmppfed.errors import NS_STANZA_ERRORS, JIDError, StanzaCondition, StanzaError, StreamCondition, StreamError

__all__ = ["NS", "NS_SESSION", "InitiatingBind", "LegacySession", "ReceivingBind"]

NS = "urn:ietf:params:xml:ns:xmpp-bind"
NS_SESSION = "urn:ietf:params:xml:ns:xmpp-session"
_BIND = f"{{{NS}}}bind"


class ReceivingBind(Feature):
    """Gives a client its resource."""

    tags = frozenset({_BIND})
    required = True

    def __init__(self) -> None:
        self._request: Stanza | None = None

    def offer(self, stream: Stream) -> str:
        """Offered once the client is authenticated, unless it was bound in the same breath (XEP-0386)."""
        return f"<bind xmlns='{NS}'/>" if stream.authenticated and self.required else ""

    def receive_stanza(self, stream: Stream, stanza: Stanza) -> bool:
        """The request; a second one, or one before authentication, is not ours to grant."""
        if stanza.kind != "iq" or stanza.type != "set" or not stream.authenticated or stream.state is not State.NEGOTIATING:
            return False
        asked = stanza.element.child(_BIND)
        wanted = asked.child(f"{{{NS}}}resource") if asked else None
        self._request = stanza
        stream.wait_for_owner()
        stream.emit(BindRequested(wanted.text if wanted else ""))
        return True

    def accept(self, stream: Stream, jid: JID) -> None:
        """Answer `BindRequested`: the client is `jid` from now on."""
        request, self._request = self._request, None
        if request is not None and stream.resume():
            stream.establish()
            bound = Element("bind", NS)
            bound.add("jid", text=str(jid))
            stream.send(request.with_attributes(to=None, sender=None).reply(bound))
            stream.emit(Bound(jid))

    def reject(self, stream: Stream, error: StanzaError) -> None:
        """Answer `BindRequested`: not this resource (RFC 6120, 7.7.2); the client may ask for another."""
        request, self._request = self._request, None
        if request is not None and stream.resume():
            stream.send(request.with_attributes(to=None, sender=None).error(error))


class LegacySession(Feature):
    """Offered as optional and always granted, for clients of RFC 3921."""

    tags = frozenset({f"{{{NS_SESSION}}}session"})

    def offer(self, stream: Stream) -> str:
        """Offered beside resource binding."""
        return f"<session xmlns='{NS_SESSION}'><optional/></session>" if stream.authenticated else ""

    def receive_stanza(self, stream: Stream, stanza: Stanza) -> bool:
        """A request on an established stream, made to this server."""
        to = stanza.attributes.get("to")
        if stanza.type != "set" or stream.state is not State.ESTABLISHED or to not in (None, stream.local):
            return False
        stream.send(stanza.with_attributes(sender=None).reply())
        return True


class InitiatingBind(Feature):
    """Asks for a resource once we are authenticated."""

    tags = frozenset({_BIND, f"{{{NS_CLIENT}}}error"})

    def __init__(self, resource: str = "") -> None:
        """An empty `resource` lets the server choose."""
        self._resource = resource
        self._asked = False

    def start(self, stream: Stream, features: Element) -> bool:
        """Ask; a server that offers none cannot make us the session we are for."""
        if not stream.authenticated or self._asked:
            return False
        if features.child(_BIND) is None:
            raise StreamError(StreamCondition.UNSUPPORTED_FEATURE, "The server offered no resource binding.")
        self._asked = True
        request = Element("iq", stream.framing.profile.content, {"type": "set", "id": "bind"})
        bind = request.add("bind", NS)
        if self._resource:
            bind.add("resource", text=self._resource)
        stream.send(Stanza.from_element(request))
        return True

    def receive_stanza(self, stream: Stream, stanza: Stanza) -> bool:
        """The result, with our full JID."""
        if stream.state is not State.NEGOTIATING or stanza.id != "bind":
            return False
        if stanza.type == "error":
            stream.emit(BindFailed(_read_error(stanza)))
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "The server gave us no resource.")
        bind = stanza.element.child(_BIND)
        jid = bind.child(f"{{{NS}}}jid") if bind else None
        try:
            bound = Bound(JID.parse(jid.text if jid else ""))
        except JIDError as error:
            raise StreamError(StreamCondition.BAD_FORMAT, f"The server bound no address: {error}") from None
        stream.establish()
        stream.emit(bound)
        return True


def _read_error(stanza: Stanza) -> StanzaError:
    names = {condition.value: condition for condition in StanzaCondition}
    error = stanza.element.child(f"{{{stanza.namespace}}}error")
    children = list(error.elements()) if error else []
    found = next((names[c.name] for c in children if c.namespace == NS_STANZA_ERRORS and c.name in names), None)
    return StanzaError(found or StanzaCondition.UNDEFINED_CONDITION)
