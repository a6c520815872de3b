"""Sessions of clients (RFC 6120, RFC 6121), whatever carries them: who may log in, and what a client may say."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xmppfed.core.events import (
    Authenticated,
    AuthFailed,
    AuthRequested,
    BindRequested,
    Event,
    KeysRequested,
    OpenRequested,
    StanzaReceived,
    StreamClosed,
    StreamFailed,
)
from xmppfed.core.identity import jid_matched
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.bind import LegacySession, ReceivingBind
from xmppfed.core.negotiation.sasl import ReceivingSASL
from xmppfed.core.sasl.keys import ScramKeys, decoy_keys, verify_password
from xmppfed.core.sasl.registry import create_server, offered
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
from xmppfed.routing.router import Router
from xmppfed.routing.sessions import Sessions
from xmppfed.storage.interface import Accounts, StorageError
from xmppfed.storage.threads import RunInThread

__all__ = ["ClientPolicy", "ClientSession", "Clients"]

_PLAIN_HASH = "sha256"


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """Who may log in how. A browser's Origin must be on the list for what needs no password (RFC 6455, 10.2)."""

    anonymous: frozenset[str] = frozenset()
    allowed_origins: frozenset[str] = frozenset()
    see_other_uri: str | None = None  # where every client is sent instead (RFC 7395, 3.6.1)

    def trusts_origin(self, arrival: Arrival) -> bool:
        """Whether a script of a stranger's page cannot be behind this connection."""
        return arrival.origin is None or arrival.origin in self.allowed_origins


class Clients:
    """What all sessions of clients share."""

    def __init__(
        self,
        domains: Collection[str],
        accounts: Accounts,
        sessions: Sessions,
        router: Router,
        run_in_thread: RunInThread,
        policy: ClientPolicy,
    ) -> None:
        self.domains = domains
        self.accounts = accounts
        self.sessions = sessions
        self.router = router
        self.run_in_thread = run_in_thread
        self.policy = policy
        self.streams: Gathering[ClientSession] = Gathering()

    def own(self, arrival: Arrival, connection: Connection[ClientSession]) -> ClientSession:
        """The session that judges what comes over `connection`."""
        session = ClientSession(self, arrival, connection)
        self.streams.add(session)
        return session


class ClientSession:
    """One client's stream: logs it in, binds it, and lets through what it may say. The router delivers to it."""

    log = Logger()

    def __init__(self, clients: Clients, arrival: Arrival, connection: Connection[ClientSession]) -> None:
        self._clients = clients
        self._arrival = arrival
        self._connection = connection
        self._stream = connection.stream
        self._sasl: ReceivingSASL | None = None
        self._bind = ReceivingBind()
        self.jid = JID("", "", "")
        self._full = self._bare = ""
        self._ended = False

    # What the router calls.

    def deliver(self, stanza: Stanza) -> None:
        """Send a stanza to the client."""
        self._connection.send(stanza)

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
                self._open(opening.to)
            case KeysRequested(_, username, hash_name):
                self._later(self._provide_keys(username, hash_name))
            case AuthRequested(claim):
                self._later(self._judge(claim))
            case BindRequested(resource):
                self._bind_resource(resource)
            case Authenticated(peer, mechanism):
                self.log.info("client {jid} logged in by {mechanism}", jid=str(peer), mechanism=mechanism)
            case AuthFailed(mechanism, error):
                self.log.info("login by {mechanism} failed: {reason}", mechanism=mechanism, reason=str(error))
            case StreamFailed(error, sent):
                self._leave()
                self.log.info("stream of {jid} failed: {reason}", jid=self._full, reason=str(error), sent=sent)
            case StreamClosed():
                self._leave()
            case _:
                pass  # Bound and Established are our own doing

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        self._leave()
        self._clients.streams.discard(self)
        self.log.debug("connection of {jid} is gone: {reason}", jid=self._full, reason=reason)

    # Login.

    def _open(self, to: str | None) -> None:
        try:
            domain = JID.parse(to or "").domain
        except JIDError:
            domain = ""
        if domain not in self._clients.domains:
            text = f"Found {ascii(to)[:64]} as the domain; it is not served here."
            self._stream.fail(StreamError(StreamCondition.HOST_UNKNOWN, text))
            return
        if self._clients.policy.see_other_uri is not None:
            self._stream.close(self._clients.policy.see_other_uri)
            return
        bindings = self._arrival.bindings(domain)
        self._sasl = ReceivingSASL(self._mechanisms(domain, bindings), list(bindings))
        self._stream.accept(domain, [self._sasl, self._bind, LegacySession()])

    def _mechanisms(self, domain: str, bindings: Mapping[str, bytes]) -> Mapping[str, Callable[[], Any]]:
        trusted = self._clients.policy.trusts_origin(self._arrival)
        names = offered(
            bindings=bindings,
            encrypted=self._arrival.secure,
            external=trusted and self._certified(domain) is not None,
            anonymous=trusted and domain in self._clients.policy.anonymous,
        )
        return {name: partial(create_server, name, secrets.token_urlsafe(18), bindings) for name in names}

    def _certified(self, domain: str) -> JID | None:
        """The one account of `domain` that a trusted certificate names (XEP-0178, 2)."""
        certificate = self._arrival.certificate
        if certificate is None or not certificate.trusted:
            return None
        named = []
        for text in certificate.names.xmpp_addresses:
            try:
                jid = JID.parse(text)
            except JIDError:
                continue
            if jid.domain == domain and jid_matched(certificate.names, jid):
                named.append(jid.bare)
        return named[0] if len(named) == 1 else None

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Answer an event when storage or a thread has: the connection goes on then."""
        answered = Deferred.fromCoroutine(work)
        answered.addErrback(self._storage_failed)
        answered.addCallback(lambda _: self._connection.answered())
        answered.addErrback(self._fault)

    def _storage_failed(self, failure: Any) -> None:
        failure.trap(StorageError)
        self.log.failure("storage failed during a login", failure)
        assert self._sasl is not None  # only a login asks storage
        self._sasl.reject(self._stream, SASLError(SASLCondition.TEMPORARY_AUTH_FAILURE))

    def _fault(self, failure: Any) -> None:
        self.log.failure("fault during a login", failure)
        self._connection.fail(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))

    async def _keys(self, username: str, hash_name: str) -> ScramKeys:
        """The keys of an account, or keys that no password has: a stranger must not learn who exists (RFC 5802, 9)."""
        accounts, domain = self._clients.accounts, self._stream.local
        keys = await accounts.keys(domain, username)
        if keys is not None and hash_name in keys:
            return keys[hash_name]
        return decoy_keys(await accounts.secret("decoy keys"), domain, username, hash_name)

    async def _provide_keys(self, username: str, hash_name: str) -> None:
        keys = await self._keys(username, hash_name)
        assert self._sasl is not None  # it asked
        self._sasl.provide_keys(self._stream, keys)

    async def _judge(self, claim: Claim) -> None:
        sasl = self._sasl
        assert sasl is not None  # it asked
        try:
            sasl.accept(self._stream, await self._accepted(claim), claim)
        except SASLError as error:
            sasl.reject(self._stream, error)

    async def _accepted(self, claim: Claim) -> JID:
        """Who the client is; raises `SASLError` when it is nobody."""
        jid = self._claimed(claim)
        if claim.password is not None:
            password = claim.password
            keys = await self._keys(claim.authcid, _PLAIN_HASH)
            if not await self._clients.run_in_thread(lambda: verify_password(keys, password)):
                raise SASLError(SASLCondition.NOT_AUTHORIZED)
        if claim.authzid and not _same(claim.authzid, jid):
            raise SASLError(SASLCondition.INVALID_AUTHZID, f"Found {ascii(claim.authzid)[:64]}; wanted {jid} or nothing.")
        return jid

    def _claimed(self, claim: Claim) -> JID:
        domain = self._stream.local
        if claim.mechanism == "EXTERNAL":
            certified = self._certified(domain)
            if certified is None:
                raise SASLError(SASLCondition.NOT_AUTHORIZED)
            return certified
        return JID(claim.authcid or secrets.token_hex(10), domain)

    def _bind_resource(self, resource: str) -> None:
        peer = self._stream.peer
        assert peer is not None  # binding comes after authentication
        try:
            self.jid = JID.of(peer.local, peer.domain, resource or secrets.token_urlsafe(12))
        except JIDError as error:
            self._bind.reject(self._stream, StanzaError(StanzaCondition.BAD_REQUEST, text=str(error)))
            return
        self._full, self._bare = str(self.jid), str(self.jid.bare)
        self._clients.sessions.add(self)
        self._bind.accept(self._stream, self.jid)

    def _leave(self) -> None:
        if self._full and not self._ended:
            self._ended = True
            self._clients.sessions.remove(self)

    # What the client says.

    def _route(self, stanza: Stanza) -> None:
        """Stamp a stanza with its true sender and hand it to the router (RFC 6120, 8.1.2.1)."""
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
        self._clients.router.route(stamped)

    def _is_own(self, claimed: str) -> bool:
        return _same(claimed, self.jid.bare) or _same(claimed, self.jid)

    def _refuse(self, stanza: Stanza, error: StanzaError) -> None:
        if stanza.type not in ("error", "result"):
            self.deliver(stanza.error(error).with_attributes(to=self._full))


def _same(text: str, jid: JID) -> bool:
    try:
        return JID.parse(text) == jid
    except JIDError:
        return False


def _iq_problem(stanza: Stanza) -> StanzaError | None:
    """What is wrong with an iq that the rules of RFC 6120, 8.2.3 refuse."""
    if stanza.type not in ("get", "set", "result", "error") or not stanza.id:
        return StanzaError(StanzaCondition.BAD_REQUEST, text="An iq needs an id, and get, set, result or error as its type.")
    if stanza.is_request and len(stanza.children) != 1:
        return StanzaError(StanzaCondition.BAD_REQUEST, text="An iq of type get or set needs exactly one child.")
    return None
