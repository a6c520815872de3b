"""Sessions of clients (RFC 6120, RFC 6121), whatever carries them: who may log in, and what a client may say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xmppfed.core.element import Element
from xmppfed.core.events import (
    Authenticated,
    AuthFailed,
    Event,
    NonzaReceived,
    StanzaReceived,
    StreamClosed,
    StreamFailed,
)
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.offers import Offers
from xmppfed.core.rest import Rest
from xmppfed.core.stanza import Stanza
from xmppfed.errors import (
    JIDError,
    StanzaCondition,
    StanzaError,
    StreamCondition,
    StreamError,
)
from xmppfed.net.arrival import Arrival
from xmppfed.net.connection import Connection
from xmppfed.net.gathering import Gathering
from xmppfed.net.websocketwire import printable
from xmppfed.routing.router import Router
from xmppfed.routing.sessions import Sessions
from xmppfed.services.entering import Entering, iq_problem
from xmppfed.services.login import ClientPolicy, Passwords, parsed
from xmppfed.services.receipts import Receipts
from xmppfed.services.resources import Resources
from xmppfed.services.tokens import Tokens
from xmppfed.storage.interface import Accounts
from xmppfed.storage.threads import RunInThread

__all__ = ["ClientSession", "Clients"]


class Clients(Service):
    """What all sessions of clients share, whatever carries them; they end when it stops."""

    name = "clients"

    def __init__(
        self,
        domains: Collection[str],
        accounts: Accounts,
        sessions: Sessions,
        router: Router,
        run_in_thread: RunInThread,
        tokens: Tokens,
    ) -> None:
        self.domains = domains
        self.sessions = sessions
        self.router = router
        self.passwords = Passwords(accounts, run_in_thread)
        self.tokens = tokens
        self.resources = Resources(accounts)
        self.streams: Gathering[ClientSession] = Gathering()

    def offers(self) -> Offers:
        """What modules offer on the stream of a client."""
        handlers = self.router.handlers
        before, after = handlers.offers("stranger"), handlers.offers("client")
        return Offers(before, after, nonzas=handlers.named("nonza"), requests=handlers.strangers())

    def own(self, policy: ClientPolicy, arrival: Arrival, connection: Connection[ClientSession]) -> ClientSession:
        """The session that judges what comes over `connection`; `policy` is that of the service which took it."""
        session = ClientSession(self, policy, arrival, connection)
        self.streams.add(session)
        return session

    def stopService(self) -> Deferred[None]:
        """End every session, and wait until the last connection is gone."""
        super().stopService()
        return self.streams.end_all(StreamError(StreamCondition.SYSTEM_SHUTDOWN))

    def end_account(self, account: JID, error: StreamError) -> None:
        """End every stream that is authenticated as `account`, bound or not."""
        for session in self.streams:
            if session.account == account:
                session.end(error)


class ClientSession:
    """One client's stream: logs it in, binds it, and lets through what it may say. The router delivers to it."""

    log = Logger()

    def __init__(self, clients: Clients, policy: ClientPolicy, arrival: Arrival, connection: Connection[ClientSession]) -> None:
        self._clients = clients
        self._arrival = arrival
        self._connection = connection
        self._stream = connection.stream
        self._entering = Entering(clients, policy, arrival, connection, self._begin)
        self.jid = JID("", "", "")
        self._full = self._bare = ""
        self._receipts = Receipts(connection.timeouts.confirmation)
        self._rest: Rest | None = None
        self._ended = False

    @property
    def account(self) -> JID | None:
        """Whose stream this is, once it is authenticated."""
        return self._stream.peer

    # What the router calls.

    def deliver(self, stanza: Stanza) -> None:
        """Send a stanza to the client."""
        if self._rest is None:
            self._connection.send(stanza)
        else:
            self._send_all(self._rest.take(stanza))

    def rest(self, resting: bool) -> None:
        """Keep back what can wait (XEP-0352), or send it."""
        kept, self._rest = self._rest, Rest() if resting else None
        if kept is not None:
            self._send_all(kept.flush())

    def _send_all(self, stanzas: Iterable[Stanza]) -> None:
        for stanza in stanzas:
            self._connection.send(stanza)

    def confirm(self, done: Callable[[], None]) -> None:
        """Ask the client for a sign that it has got everything so far."""
        self._connection.send(self._receipts.ask(self._stream.local, self._full, done, self._connection.now()))

    def end(self, error: StreamError) -> None:
        """End the session with a stream error."""
        self._leave()
        self._connection.fail(error)

    # What the connection calls.

    def handle(self, event: Event) -> None:
        """Judge what the client did."""
        match event:
            case StanzaReceived(stanza):
                self._route(stanza)
            case NonzaReceived(element):
                self._take_nonza(element)
            case Authenticated(peer, mechanism):
                self.log.info("{jid} logged in from {address} by {mechanism}", jid=str(peer), mechanism=mechanism, **self._who)
            case AuthFailed(mechanism, error):
                self._log_failure("login from {address} by {mechanism} failed: {reason}", error, mechanism=mechanism)
            case StreamFailed(error, sent):
                self._leave()
                self._log_failure("stream of {jid} from {address} failed: {reason}", error, jid=self._name, sent=sent)
            case StreamClosed():
                self._leave()
            case _:
                self._entering.handle(event)

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        self._leave()
        self._clients.streams.discard(self)
        self.log.debug("connection of {jid} from {address} is gone: {reason}", jid=self._name, reason=reason, **self._who)

    def _log_failure(self, text: str, error: Exception, **fields: object) -> None:
        """A peer may have written the reason: nothing of it may pass for a line of ours."""
        self.log.info(text, reason=printable(str(error)), **self._who, **fields)

    @property
    def _who(self) -> dict[str, str]:
        return {"address": self._arrival.address, "stream": self._stream.id}

    @property
    def _name(self) -> str:
        return self._full or str(self.account or "nobody yet")

    # What it is.

    def _begin(self, jid: JID) -> bool:
        """Become the session of `jid`, unless the stream has ended. Raises StanzaError."""
        if not self._ended:
            self.jid = jid
            self._clients.sessions.add(self)
            self._full, self._bare = str(jid), str(jid.bare)
        return not self._ended

    def _leave(self) -> None:
        if not self._ended:
            self._ended = True
            self._receipts.forget()
            self._clients.sessions.remove(self)

    def _take_nonza(self, element: Element) -> None:
        resource = self._clients.sessions.resources.get(self._full)
        if resource is not None and resource.session is self:
            self._clients.router.handlers.named("nonza")[element.tag](resource, element)

    # What the client says.

    def _route(self, stanza: Stanza) -> None:
        """Stamp a stanza with its true sender and hand it to the router (RFC 6120, 8.1.2.1)."""
        if self._receipts and self._receipts.take(stanza, self._connection.now()):
            return
        claimed = stanza.attributes.get("from")
        if claimed is not None and claimed != self._full and claimed != self._bare and not self._is_own(claimed):
            text = f"Found a stanza from {ascii(claimed)[:64]}; wanted {self._full} or no 'from'."
            self._stream.fail(StreamError(StreamCondition.INVALID_FROM, text))
            return
        stamped = stanza.stamped(self._full, self._stream.lang)
        try:
            to = stamped.to
        except JIDError as error:
            self._refuse(stamped, StanzaError(StanzaCondition.JID_MALFORMED, text=str(error)))
            return
        if stamped.kind == "iq" and (problem := iq_problem(stamped)):
            self._refuse(stamped.with_attributes(to=str(to or self._bare)), problem)
            return
        self._clients.router.route_sent(stamped)

    def _is_own(self, claimed: str) -> bool:
        return parsed(claimed) in (self.jid, self.jid.bare)

    def _refuse(self, stanza: Stanza, error: StanzaError) -> None:
        if stanza.type not in ("error", "result"):
            self.deliver(stanza.error(error).with_attributes(to=self._full))
