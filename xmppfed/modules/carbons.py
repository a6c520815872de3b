"""Message Carbons (XEP-0280): each client of an account that wants to gets a copy of what the others send and receive."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal, TypeAlias

from xmppfed.core.namespaces import NS_CLIENT, NS_FORWARD
from xmppfed.extend import (
    Element,
    Host,
    Module,
    Options,
    Resource,
    Stanza,
    StanzaCondition,
    StanzaError,
    delivered,
    hook,
    inline,
    iq,
    owner_only,
)

__all__ = ["NS", "Carbons", "CarbonsOptions"]

NS = "urn:xmpp:carbons:2"
Direction: TypeAlias = Literal["sent", "received"]

_COPIES = frozenset({f"{{{NS}}}sent", f"{{{NS}}}received"})
_UNWANTED = frozenset({f"{{{NS}}}private", "{urn:xmpp:hints}no-copy"})
_INSTANT_MESSAGING = ("{urn:xmpp:receipts}", "{http://jabber.org/protocol/chatstates}", "{urn:xmpp:chat-markers:0}")
_DIRECT_INVITATION = "{jabber:x:conference}x"
_NS_ROOM = "http://jabber.org/protocol/muc#user"
_ROOM = f"{{{_NS_ROOM}}}x"
_REMEMBERED = 4096  # messages whose errors belong to a conversation that was copied


class CarbonsOptions(Options, frozen=True):
    """Copies messages to the other clients of an account (XEP-0280). Stands behind `[modules.blocking]`, so that what is
    refused is not copied. The table may be empty: it switches the module on."""


class Carbons(Module):
    """Copies go to the sessions that asked for them, and come from their own account alone."""

    options = CarbonsOptions
    features = (NS,)
    account_features = (NS,)

    def __init__(self, host: Host, options: CarbonsOptions) -> None:
        super().__init__(host, options)
        self._copied: OrderedDict[tuple[str, str], None] = OrderedDict()

    # Who wants copies.

    @iq("set", f"{{{NS}}}enable", target="account")
    def enable(self, stanza: Stanza) -> None:
        """From now on; asking twice is no mistake (XEP-0280, 10.1)."""
        self._asking(stanza).wants.add(NS)

    @iq("set", f"{{{NS}}}disable", target="account")
    def disable(self, stanza: Stanza) -> None:
        """No more."""
        self._asking(stanza).wants.discard(NS)

    @inline(f"{{{NS}}}enable")
    def enable_while_bound(self, resource: Resource, element: Element) -> None:
        """From the first message on (XEP-0386, 4.2)."""
        resource.wants.add(NS)

    def _asking(self, stanza: Stanza) -> Resource:
        """Whose session it is."""
        owner_only(stanza)
        resource = self.host.resource(stanza.attributes["from"])
        if resource is None:  # it ended while this waited for its turn
            raise StanzaError(StanzaCondition.UNEXPECTED_REQUEST)
        return resource

    # Copies.

    @hook("received")
    def refuse_forged(self, stanza: Stanza) -> Stanza:
        """A copy that another server sends is a forgery: they are made by the recipient's own (XEP-0280, 11)."""
        if stanza.kind == "message" and not _COPIES.isdisjoint(stanza.children):
            text = "Found a carbon copy from outside; a server makes them for its own accounts."
            raise StanzaError(StanzaCondition.FORBIDDEN, text=text)
        return stanza

    @hook("sent")
    def copy_sent(self, stanza: Stanza) -> Stanza:
        """What one client sends, for the others (XEP-0280, 8); clients may not write copies either."""
        self.refuse_forged(stanza)
        if stanza.kind == "message":
            sender, to = stanza.attributes["from"], stanza.attributes.get("to")
            others = self.host.resources(sender.partition("/")[0])
            if len(others) > 1:
                got = (sender, to)
                self._copy(stanza, "sent", [each for each in others if NS in each.wants and str(each.session.jid) not in got])
        return stanza

    @delivered
    def copy_received(self, stanza: Stanza, others: Sequence[Resource]) -> None:
        """What one client got, for those that did not (XEP-0280, 7)."""
        self._copy(stanza, "received", [other for other in others if NS in other.wants])

    def _copy(self, message: Stanza, direction: Direction, wanting: Sequence[Resource]) -> None:
        if not wanting:
            return
        account = str(wanting[0].session.jid.bare)
        if self._is_eligible(message, direction, account):
            if message.id is not None:
                self._remember(account, message.id)
            copy = _wrapped(message, direction, account)
            for resource in wanting:
                resource.session.deliver(copy.with_attributes(to=str(resource.session.jid)))

    def _is_eligible(self, message: Stanza, direction: Direction, account: str) -> bool:
        """The rules of XEP-0280, 6.1."""
        if not _UNWANTED.isdisjoint(message.children) or message.type == "groupchat":
            return False
        if message.type == "error":
            return (account, message.id) in self._copied
        if _ROOM in message.children and direction == "received":
            return _is_invitation(message)  # all else of a room reaches each client that is in it
        return (
            message.type == "chat"
            or (message.type != "headline" and f"{{{message.namespace}}}body" in message.children)
            or any(child.startswith(_INSTANT_MESSAGING) or child == _DIRECT_INVITATION for child in message.children)
            or _is_invitation(message)
        )

    def _remember(self, account: str, id: str) -> None:
        """An error that answers this message is copied as well."""
        self._copied[account, id] = None
        if len(self._copied) > _REMEMBERED:
            self._copied.popitem(last=False)


def _is_invitation(message: Stanza) -> bool:
    """Whether it is a mediated invitation to a room (XEP-0045, 7.8.2)."""
    return _ROOM in message.children and any(
        child.tag == _ROOM and child.child(f"{{{_NS_ROOM}}}invite") is not None for child in message.element.elements()
    )


def _wrapped(message: Stanza, direction: Direction, account: str) -> Stanza:
    """The message as its account's server forwards it (XEP-0297); the letter is that of all copies."""
    attributes = {"from": account}
    if message.type is not None:
        attributes["type"] = message.type
    copy = message.to_bytes(NS_CLIENT)
    letter = b"<%b xmlns='%b'><forwarded xmlns='%b'>%b</forwarded></%b>"
    tag = direction.encode()
    written = letter % (tag, NS.encode(), NS_FORWARD.encode(), copy, tag)
    return Stanza("message", NS_CLIENT, attributes, written, (f"{{{NS}}}{direction}",), (0,), verbatim=False)
