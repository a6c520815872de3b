"""Sessions of clients (RFC 6120, RFC 6121), whatever carries them: who may log in, and what a client may say."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from xmppfed.core.element import Element
from xmppfed.core.events import (
    Authenticated,
    AuthFailed,
    AuthRequested,
    BindRequested,
    Event,
    KeysRequested,
    NonzaReceived,
    OpenRequested,
    StanzaReceived,
    StrangerAsked,
    StreamClosed,
    StreamFailed,
)
from xmppfed.core.framing import Opening
from xmppfed.core.jid import JID, domain_or_nothing
from xmppfed.core.negotiation import bind2, fast
from xmppfed.core.negotiation.bind import LegacySession, ReceivingBind
from xmppfed.core.negotiation.bind2 import Bind2Request
from xmppfed.core.negotiation.channel_binding import ChannelBindings
from xmppfed.core.negotiation.exchange import Attempts, ReceivingExchange
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.negotiation.limits import ReceivingLimits
from xmppfed.core.negotiation.offers import Offers
from xmppfed.core.negotiation.sasl import ReceivingSASL
from xmppfed.core.negotiation.sasl2 import ReceivingSASL2, user_agent_id
from xmppfed.core.rest import Rest
from xmppfed.core.sasl.steps import Claim
from xmppfed.core.stanza import Stanza
from xmppfed.errors import (
    JIDError,
    SASLCondition,
    SASLError,
    StanzaCondition,
    StanzaError,
    StreamCondition,
    StreamError,
)
from xmppfed.net.arrival import Arrival
from xmppfed.net.connection import Connection
from xmppfed.net.gathering import Gathering
from xmppfed.net.websocketwire import printable
from xmppfed.routing.handlers import Stranger
from xmppfed.routing.router import Router
from xmppfed.routing.sessions import Sessions
from xmppfed.services.login import ClientPolicy, Login, Passwords, parsed
from xmppfed.services.receipts import Receipts
from xmppfed.services.resources import Resources
from xmppfed.services.tokens import Tokens
from xmppfed.storage.interface import Accounts, StorageError
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
        self._policy = policy
        self._arrival = arrival
        self._connection = connection
        self._stream = connection.stream
        self._login: Login | None = None
        self._attempts = Attempts()
        self._bind = ReceivingBind()
        self._offers = Offers()
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
            case OpenRequested(opening):
                self._open(opening)
            case KeysRequested(_, username, hash_name):
                self._later(self._provide_keys(username, hash_name))
            case AuthRequested(claim, request):
                self._later(self._judge(claim, request))
            case NonzaReceived(element):
                self._take_nonza(element)
            case StrangerAsked(stanza):
                self._later(self._answer_stranger(stanza))
            case BindRequested(resource):
                self._later(self._bind_resource(resource))
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
                pass  # Bound and Established are our own doing

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

    # Login.

    def _open(self, opening: Opening) -> None:
        to, sender = opening.to, parsed(opening.sender or "")
        domain = domain_or_nothing(to)
        if domain not in self._clients.domains:
            text = f"Found {ascii(to)[:64]} as the domain of the stream; wanted one that is served here."
            self._stream.fail(StreamError(StreamCondition.HOST_UNKNOWN, text))
            return
        if opening.sender and (sender is None or sender.domain != domain):
            text = f"Found {ascii(opening.sender)[:64]} as the sender of the stream; wanted an account at {domain}, or none."
            self._stream.fail(StreamError(StreamCondition.INVALID_FROM, text))  # XEP-0388, 2.1
            return
        if self._policy.see_other_uri is not None:
            self._stream.close(self._policy.see_other_uri)
            return
        self._login = Login(self._clients.passwords, self._clients.tokens, self._policy, self._arrival, domain)
        self._offers = self._clients.offers()
        self._stream.accept(domain, self._features(self._login))

    def _features(self, login: Login) -> list[Feature]:
        """What a client can negotiate: SASL in both profiles, and a resource with the one or behind the other."""
        names, tokens = login.mechanisms, login.token_mechanisms
        begins = sorted({tag[1:].partition("}")[0] for tag in self._clients.router.handlers.named("inline")})
        inline = bind2.offer(begins) + fast.offer(tokens)
        return [
            ReceivingLimits(int(self._connection.timeouts.client_silence)),
            ReceivingSASL(names, login.create, self._attempts),
            ReceivingSASL2(names, login.create, self._attempts, self._bind, tokens, inline),
            ChannelBindings(login.bindings),
            self._bind,
            LegacySession(),
            self._offers,
        ]

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Answer an event when storage or a thread has: the connection goes on then."""
        answered = Deferred.fromCoroutine(work)
        answered.addErrback(self._storage_failed)
        answered.addCallback(lambda _: self._connection.answered())
        answered.addErrback(self._fault)

    def _storage_failed(self, failure: Any) -> None:
        failure.trap(StorageError)
        self.log.failure("storage failed during a login", failure)
        self._asking.reject(self._stream, SASLError(SASLCondition.TEMPORARY_AUTH_FAILURE))

    def _fault(self, failure: Any) -> None:
        self.log.failure("fault during a login", failure)
        self._connection.fail(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))

    @property
    def _asking(self) -> ReceivingExchange:
        """The login that waits for our answer."""
        asking = self._attempts.current
        assert asking is not None  # nobody else asks storage
        return asking

    async def _provide_keys(self, username: str, hash_name: str) -> None:
        assert self._login is not None  # it asked
        self._asking.provide_keys(self._stream, await self._login.keys(username, hash_name))

    async def _judge(self, claim: Claim, request: Element | None) -> None:
        assert self._login is not None  # it asked
        try:
            accepted = await self._login.accepted(claim, request)
        except SASLError as error:
            self._asking.reject(self._stream, error)
            return
        jid, answers, wanted = accepted.jid, [], bind2.read(request)
        if wanted is not None and await self._join_inline(jid, wanted.tag, user_agent_id(request)):
            jid, answers = self.jid, [self._bound(wanted)]
        answers += [] if accepted.token is None else [accepted.token]
        self._asking.accept(self._stream, jid, accepted.claim, answers)

    async def _join_inline(self, account: JID, tag: str, device: str) -> bool:
        """Become a session while logging in (XEP-0386, 3.2). Who cannot, is logged in and may ask as RFC 6120, 7 has it: that
        has words for the reason."""
        self.jid = await self._clients.resources.make(account, tag, device)
        try:
            await self._join()
        except StanzaError as error:
            self._log_failure("{jid} from {address} was not bound: {reason}", error, jid=str(self.jid))
        return bool(self._full)

    def _bound(self, wanted: Bind2Request) -> Element:
        """What the session begins with; what nobody knows has no answer."""
        resource, known = self._clients.sessions.resources[self._full], self._clients.router.handlers.named("inline")
        asked = [(known[element.tag], element) for element in wanted.features if element.tag in known]
        answers = [enable(resource, element) for enable, element in asked]
        return bind2.bound([answer for answer in answers if answer is not None])

    async def _bind_resource(self, resource: str) -> None:
        peer = self._stream.peer
        assert peer is not None  # binding comes after authentication
        try:
            self.jid = JID.of(peer.local, peer.domain, resource or secrets.token_urlsafe(12))
            await self._join()
        except JIDError as error:
            self._bind.reject(self._stream, StanzaError(StanzaCondition.BAD_REQUEST, text=str(error)))
        except StanzaError as error:
            self._bind.reject(self._stream, error)
        else:
            self._bind.accept(self._stream, self.jid)

    async def _join(self) -> None:
        """Become a session when modules have read what they need of the account. Raises StanzaError."""
        sessions, account = self._clients.sessions, self.jid.bare
        with sessions.expecting(account):
            try:
                for prepare in self._clients.router.handlers.binders:
                    await prepare(account)
            except StorageError:
                self.log.failure("storage failed while a session was bound")
                raise StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR, "wait") from None
            if not self._ended:
                sessions.add(self)
                self._full, self._bare = str(self.jid), str(account)

    def _leave(self) -> None:
        if not self._ended:
            self._ended = True
            self._receipts.forget()
            self._clients.sessions.remove(self)

    # What modules answer.

    def _take_nonza(self, element: Element) -> None:
        resource = self._clients.sessions.resources.get(self._full)
        if resource is not None and resource.session is self:
            self._clients.router.handlers.named("nonza")[element.tag](resource, element)

    async def _answer_stranger(self, stanza: Stanza) -> None:
        """Have a module answer who has not logged in (XEP-0077, 3.1.1)."""
        stanza = stanza.with_attributes(to=None, sender=None)
        try:
            answer = await self._asked_by_stranger(stanza)
        except StanzaError as error:
            answer = stanza.error(error)
        self._offers.answer(self._stream, answer)

    async def _asked_by_stranger(self, stanza: Stanza) -> Stanza:
        if problem := _iq_problem(stanza):
            raise problem
        handler = self._clients.router.handlers.takers.get((stanza.attributes["type"], stanza.children[0], "stranger"))
        if handler is None:
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        try:
            found = await maybeDeferred(handler, stanza, Stranger(self._stream.local, self._arrival.address))
        except StorageError:
            self.log.failure("storage failed while a stranger was answered")
            raise StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR, "wait") from None
        if found is not None and not isinstance(found, Element):
            raise TypeError(f"A handler answered a stranger with {type(found).__name__}.")
        return stanza.reply() if found is None else stanza.reply(found)

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
        if stamped.kind == "iq" and (problem := _iq_problem(stamped)):
            self._refuse(stamped.with_attributes(to=str(to or self._bare)), problem)
            return
        self._clients.router.route_sent(stamped)

    def _is_own(self, claimed: str) -> bool:
        return parsed(claimed) in (self.jid, self.jid.bare)

    def _refuse(self, stanza: Stanza, error: StanzaError) -> None:
        if stanza.type not in ("error", "result"):
            self.deliver(stanza.error(error).with_attributes(to=self._full))


def _iq_problem(stanza: Stanza) -> StanzaError | None:
    """What is wrong with an iq that the rules of RFC 6120, 8.2.3 refuse."""
    if stanza.type not in ("get", "set", "result", "error") or not stanza.id:
        return StanzaError(StanzaCondition.BAD_REQUEST, text="An iq needs an id, and get, set, result or error as its type.")
    if stanza.is_request and len(stanza.children) != 1:
        return StanzaError(StanzaCondition.BAD_REQUEST, text="An iq of type get or set needs exactly one child.")
    return None
