"""The way of a client from the header of its stream to a resource of its own (RFC 6120, 6 and 7; XEP-0386)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from xmppfed.core.element import Element
from xmppfed.core.events import (
    AuthRequested,
    BindRequested,
    Event,
    KeysRequested,
    OpenRequested,
    StrangerAsked,
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
from xmppfed.net.websocketwire import printable
from xmppfed.routing.handlers import Stranger
from xmppfed.services.login import ClientPolicy, Login, parsed
from xmppfed.storage.interface import StorageError

if TYPE_CHECKING:
    from xmppfed.services.clients import Clients, ClientSession

__all__ = ["Entering", "iq_problem"]


class Entering:
    """Judges what a client does before it has a resource; who has logged in and is bound has become a session."""

    log = Logger()
    __slots__ = ("_arrival", "_attempts", "_begin", "_bind", "_clients", "_connection", "_login", "_offers", "_policy", "_stream")

    def __init__(
        self,
        clients: Clients,
        policy: ClientPolicy,
        arrival: Arrival,
        connection: Connection[ClientSession],
        begin: Callable[[JID], bool],
    ) -> None:
        """`begin` makes a session with this address, and says whether there is one: the stream may have ended meanwhile. It
        raises StanzaError when there can be none."""
        self._clients = clients
        self._policy = policy
        self._arrival = arrival
        self._connection = connection
        self._begin = begin
        self._stream = connection.stream
        self._login: Login | None = None
        self._attempts = Attempts()
        self._bind = ReceivingBind()
        self._offers = Offers()

    def handle(self, event: Event) -> None:
        """Judge what needs an answer of ours before the stream goes on; other events need none."""
        match event:
            case OpenRequested(opening):
                self._open(opening)
            case KeysRequested(_, username, hash_name):
                self._later(self._provide_keys(username, hash_name))
            case AuthRequested(claim, request):
                self._later(self._judge(claim, request))
            case StrangerAsked(stanza):
                self._later(self._answer_stranger(stanza))
            case BindRequested(resource):
                self._later(self._bind_resource(resource))
            case _:
                pass  # Bound and Established are our own doing

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
        if wanted is not None and (bound := await self._join_inline(jid, wanted.tag, user_agent_id(request))):
            jid, answers = bound, [self._bound(bound, wanted)]
        answers += [] if accepted.token is None else [accepted.token]
        self._asking.accept(self._stream, jid, accepted.claim, answers)

    async def _join_inline(self, account: JID, tag: str, device: str) -> JID | None:
        """Become a session while logging in (XEP-0386, 3.2). Who cannot, is logged in and may ask as RFC 6120, 7 has it: that
        has words for the reason."""
        jid = await self._clients.resources.make(account, tag, device)
        try:
            return jid if await self._join(jid) else None
        except StanzaError as error:
            who = {"address": self._arrival.address, "stream": self._stream.id}
            self.log.info("{jid} from {address} was not bound: {reason}", jid=str(jid), reason=printable(str(error)), **who)
            return None

    def _bound(self, jid: JID, wanted: Bind2Request) -> Element:
        """What the session begins with; what nobody knows has no answer."""
        resource, known = self._clients.sessions.resources[str(jid)], self._clients.router.handlers.named("inline")
        asked = [(known[element.tag], element) for element in wanted.features if element.tag in known]
        answers = [enable(resource, element) for enable, element in asked]
        return bind2.bound([answer for answer in answers if answer is not None])

    async def _bind_resource(self, resource: str) -> None:
        peer = self._stream.peer
        assert peer is not None  # binding comes after authentication
        try:
            jid = JID.of(peer.local, peer.domain, resource or secrets.token_urlsafe(12))
            await self._join(jid)
        except JIDError as error:
            self._bind.reject(self._stream, StanzaError(StanzaCondition.BAD_REQUEST, text=str(error)))
        except StanzaError as error:
            self._bind.reject(self._stream, error)
        else:
            self._bind.accept(self._stream, jid)

    async def _join(self, jid: JID) -> bool:
        """Become a session when modules have read what they need of the account. Raises StanzaError."""
        account = jid.bare
        with self._clients.sessions.expecting(account):
            try:
                for prepare in self._clients.router.handlers.binders:
                    await prepare(account)
            except StorageError:
                self.log.failure("storage failed while a session was bound")
                raise StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR, "wait") from None
            return self._begin(jid)

    async def _answer_stranger(self, stanza: Stanza) -> None:
        """Have a module answer who has not logged in (XEP-0077, 3.1.1)."""
        stanza = stanza.with_attributes(to=None, sender=None)
        try:
            answer = await self._asked_by_stranger(stanza)
        except StanzaError as error:
            answer = stanza.error(error)
        self._offers.answer(self._stream, answer)

    async def _asked_by_stranger(self, stanza: Stanza) -> Stanza:
        if problem := iq_problem(stanza):
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


def iq_problem(stanza: Stanza) -> StanzaError | None:
    """What is wrong with an iq that the rules of RFC 6120, 8.2.3 refuse."""
    if stanza.type not in ("get", "set", "result", "error") or not stanza.id:
        return StanzaError(StanzaCondition.BAD_REQUEST, text="An iq needs an id, and get, set, result or error as its type.")
    if stanza.is_request and len(stanza.children) != 1:
        return StanzaError(StanzaCondition.BAD_REQUEST, text="An iq of type get or set needs exactly one child.")
    return None
