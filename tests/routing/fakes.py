"""What the tests of routing share: a session that records, a server of one domain, and stanzas in short."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock

from xmppfed.core.element import Element
from xmppfed.core.events import Pair
from xmppfed.core.jid import JID
from xmppfed.core.namespaces import NS_CLIENT, NS_STANZA_ERRORS
from xmppfed.core.stanza import Kind, Stanza
from xmppfed.errors import StreamError
from xmppfed.routing.handlers import Handlers
from xmppfed.routing.remotes import Remotes
from xmppfed.routing.router import Router
from xmppfed.routing.sessions import Session, Sessions
from xmppfed.timeouts import Timeouts


class RecordingSession:
    """A session whose stream is a list."""

    def __init__(self, jid: str) -> None:
        self._jid = JID.parse(jid)
        self.delivered: list[Stanza] = []
        self.errors: list[StreamError] = []
        self.resting = False
        self.confirming: list[Callable[[], None]] = []

    @property
    def jid(self) -> JID:
        return self._jid

    def deliver(self, stanza: Stanza) -> None:
        self.delivered.append(stanza)

    def confirm(self, done: Callable[[], None]) -> None:
        self.confirming.append(done)

    def rest(self, resting: bool) -> None:
        self.resting = resting

    def end(self, error: StreamError) -> None:
        self.errors.append(error)

    def take(self) -> list[Stanza]:
        """What was delivered since the last call."""
        taken, self.delivered = self.delivered, []
        return taken


class Server:
    """`example.org` with its router and whatever sessions a test adds; no other domain is ever connected to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.connecting: list[Pair] = []
        self.handlers = Handlers()
        self.sessions = Sessions()
        self.remotes = Remotes(self.clock, self.connecting.append, Timeouts())
        self.router = Router(["example.org"], self.sessions, self.remotes, self.handlers)
        self.route = self.router.route

    def session(self, jid: str, priority: int | None = None) -> RecordingSession:
        """A session; available when it has a priority, and with nothing delivered yet."""
        session = RecordingSession(jid)
        added: Session = session
        self.sessions.add(added)
        if priority is not None:
            self.route(available(jid, priority))
            for other in self.sessions.of(session.jid.bare):
                assert isinstance(other, RecordingSession)
                other.take()
        return session


def available(sender: str, priority: int | str = 0, **attributes: str) -> Stanza:
    """Presence without `to`."""
    element = Element("presence", NS_CLIENT, {"from": sender, **attributes})
    element.add("priority", text=str(priority))
    return Stanza.from_element(element)


def stanza(kind: Kind, type: str | None, to: str | None, *children: str, sender: str = "romeo@example.net/orchard") -> Stanza:
    """A stanza with the id `1` and empty children named by tag, `{namespace}name`."""
    attributes = {"from": sender, "to": to, "type": type, "id": "1"}
    element = Element(kind, NS_CLIENT, {name: value for name, value in attributes.items() if value is not None})
    for tag in children:
        namespace, _, name = tag[1:].partition("}")
        element.add(name, namespace)
    return Stanza.from_element(element)


def condition(answer: Stanza) -> str:
    """The condition of a stanza error."""
    assert answer.type == "error", answer
    error = answer.element.child(f"{{{answer.namespace}}}error")
    assert error is not None
    return next(child.name for child in error.elements() if child.namespace == NS_STANZA_ERRORS)
