"""Where a stanza goes: to a session, to a module, or to another domain (RFC 6120, 10; RFC 6121, 8).

The tables at the end are the rules. Nothing here asks storage whether an account exists: an account that does not exist
and one with nobody on line are answered alike, so that nobody can find out which addresses there are.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppfed.core.element import Element
from xmppfed.core.events import Pair
from xmppfed.core.jid import JID, parse_cached
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.routing.handlers import Handlers, Hook
from xmppfed.routing.lanes import Between, Held, Lanes
from xmppfed.routing.remotes import Remotes
from xmppfed.routing.sessions import Account, Resource, Session, Sessions

__all__ = ["Router"]

_PRIORITY = re.compile("[+-]?[0-9]{1,3}")
_NOBODY = Account()
_Work: TypeAlias = Stanza | Callable[[], None]


class Router:
    """Routes the stanzas of this server, one after another."""

    log = Logger()

    def __init__(self, domains: Collection[str], sessions: Sessions, remotes: Remotes, handlers: Handlers) -> None:
        """`domains` are the prepared names served here. Sessions and remotes emit through this router from now on."""
        self._domains = frozenset(domains)
        self._resources = sessions.resources
        self._accounts = sessions.accounts
        self._remotes = remotes
        self.direct: dict[str, Callable[[Stanza], bool]] = {}
        """By the domain that says something itself to somebody elsewhere: a way of its own, which may decline."""
        self.beside: dict[str, Callable[[Stanza], None]] = {}
        """By domains that exist here alone, and are never another server's: who takes what is for them, or raises StanzaError."""
        self.handlers = handlers
        self._takers = handlers.takers
        self._sent, self._received, self._routed = map(handlers.hooks, ("sent", "received", "routed"))
        self._copiers = handlers.copiers
        self._lanes = Lanes(self._domains, remotes.most_bytes)
        self._turn: deque[_Work] = deque()
        self._routing = False
        sessions.ended = self._ended
        sessions.left = self._left
        remotes.bounce = self.bounce

    def route(self, stanza: Stanza) -> None:
        """Send `stanza` where its `to` says; without `to` it is for the sender's own account (RFC 6120, 10.3).

        Its `from` is the true one, and its `to` is an address: the service that let it in saw to that. This does not
        recurse: what is emitted on the way joins the queue of the turn, which the outermost call drains. It never raises.
        """
        self._do(stanza)

    def route_sent(self, stanza: Stanza) -> None:
        """Route what a client of ours sends."""
        self._enter(self._sent, stanza)

    def route_received(self, stanza: Stanza) -> None:
        """Route what another server sends."""
        self._enter(self._received, stanza)

    def hold(self, stanza: Stanza, work: Coroutine[Any, Any, None]) -> None:
        """Let what comes later between the accounts of `stanza` wait until `work`, which stands for it, is done. What `work`
        raises is answered to the sender."""
        self._settle(Deferred.fromCoroutine(work), stanza, in_order=True)

    def broken(self, pairs: Iterable[Pair]) -> None:
        """A stream that came from another server ended, and not in good order: something may be lost."""
        for pair in pairs:
            self._tell(self.handlers.breaks, pair)

    def _do(self, work: _Work) -> None:
        turn = self._turn
        turn.append(work)
        if self._routing:
            return
        self._routing = True
        while turn:
            work = turn.popleft()
            try:
                self._send(work) if isinstance(work, Stanza) else work()
            except Exception as fault:  # noqa: BLE001  # One stanza's fault must not take the others of the turn with it.
                self._failed(Failure(fault), work) if isinstance(work, Stanza) else self._log_fault(Failure(fault))
        self._routing = False

    def _enter(self, hooks: list[Hook], stanza: Stanza) -> None:
        """A stanza from outside: behind those of its accounts that wait, else at once."""
        if not self._lanes:
            self._pass(hooks, stanza)
            return
        try:
            waits = self._lanes.wait(stanza, hooks)
        except StanzaError as error:
            self.bounce(stanza, error)
            return
        if not waits:
            self._pass(hooks, stanza)

    def _pass(self, hooks: list[Hook], stanza: Stanza) -> None:
        try:
            passed = _through(hooks, stanza)
        except Exception as fault:  # noqa: BLE001  # The sender is answered; nothing unjudged gets in.
            self._failed(Failure(fault), stanza)
            return
        if passed is not None:
            self.route(passed)

    def bounce(self, stanza: Stanza, error: StanzaError) -> None:
        """Answer `stanza` with `error`; an error, or the answer to a request, gets none (RFC 6120, 8.3.1)."""
        is_answer = stanza.type == "error" or (stanza.kind == "iq" and stanza.type == "result")
        if not is_answer and "from" in stanza.attributes:
            self.route(stanza.error(error))

    def _send(self, stanza: Stanza) -> None:
        if self._routed:
            passed = _through(self._routed, stanza)
            if passed is None:
                return
            stanza = passed
        to = stanza.attributes.get("to")
        if to is None:
            self._send_home(stanza)
        elif (resource := self._resources.get(to)) is not None:
            _TO_SESSION[stanza.kind][stanza.attributes.get("type")](self, stanza, resource)
        elif (account := self._accounts.get(to)) is not None:
            _TO_ACCOUNT[stanza.kind][stanza.attributes.get("type")](self, stanza, account)
        else:
            self._find(parse_cached(to), stanza)

    def _find(self, to: JID, stanza: Stanza) -> None:
        """No session has just this text as its address: it is elsewhere, ours, absent, or written in another way."""
        if (beside := self.beside.get(to.domain)) is not None:
            beside(stanza)
        elif to.domain not in self._domains:
            if not self._sent_directly(stanza):
                self._remotes.send(stanza)
        elif not to.local:
            _TO_SERVER[stanza.kind][stanza.type](self, stanza, None)
        elif (resource := self._resources.get(str(to))) is not None:
            _TO_SESSION[stanza.kind][stanza.type](self, stanza, resource)
        else:
            rules = _TO_ACCOUNT if to.is_bare else _TO_ABSENT
            rules[stanza.kind][stanza.type](self, stanza, self._accounts.get(str(to.bare), _NOBODY))

    def _sent_directly(self, stanza: Stanza) -> bool:
        """Whether a domain of ours has a way of its own for it, by whichever of its resources it was asked."""
        sender = stanza.sender if self.direct else None
        direct = None if sender is None or sender.local else self.direct.get(sender.domain)
        return direct is not None and direct(stanza)

    def _send_home(self, stanza: Stanza) -> None:
        """A stanza without `to` (RFC 6120, 10.3)."""
        sender = stanza.sender
        if sender is None:
            raise ValueError("A stanza has neither to nor from: who emits one says who gets it, or who sends it.")
        rules = _OWN_PRESENCE if stanza.kind == "presence" else _TO_ACCOUNT[stanza.kind]
        rules[stanza.type](self, stanza, self._accounts.get(str(sender.bare), _NOBODY))

    # What the rules do.

    def _deliver(self, stanza: Stanza, resource: Resource) -> None:
        resource.session.deliver(stanza)

    def _deliver_message(self, stanza: Stanza, resource: Resource) -> None:
        resource.session.deliver(stanza)
        if self._copiers:
            self._copy(stanza, resource.account, (resource.session,))

    def _deliver_to_first(self, stanza: Stanza, account: Account) -> None:
        first = account.first
        for session in first:
            session.deliver(stanza)
        if self._copiers:
            self._copy(stanza, account, first)
        if not first:
            self._give(stanza, "message", "undeliverable")

    def _copy(self, stanza: Stanza, account: Account, served: tuple[Session, ...]) -> None:
        """Show a message to an account that has more resources than got it. The message is on its way already: a fault
        concerns nobody but us."""
        if len(account.resources) > len(served):
            others = [resource for resource in account.resources if resource.session not in served]
            try:
                for copy in self._copiers:
                    copy(stanza, others)
            except Exception as fault:  # noqa: BLE001
                self._log_failure(Failure(fault), stanza)

    def _deliver_to_listening(self, stanza: Stanza, account: Account) -> None:
        for session in account.listening:
            session.deliver(stanza)

    def _deliver_to_available(self, stanza: Stanza, account: Account) -> None:
        for session in account.available:
            session.deliver(stanza)

    def _drop(self, stanza: Stanza, whom: object) -> None:
        """Silence is the rule."""

    def _refuse(self, stanza: Stanza, whom: object) -> None:
        self.bounce(stanza, StanzaError(StanzaCondition.SERVICE_UNAVAILABLE))

    def _refuse_type(self, stanza: Stanza, whom: object) -> None:
        text = f"The type of this {stanza.kind} is missing or unknown, or wants an address to go to."
        self.bounce(stanza, StanzaError(StanzaCondition.BAD_REQUEST, text=text))

    def _ask_account(self, stanza: Stanza, whom: object) -> None:
        self._request(stanza, "account")

    def _ask_server(self, stanza: Stanza, whom: object) -> None:
        self._request(stanza, "server")

    def _message_server(self, stanza: Stanza, whom: object) -> None:
        self._give(stanza, "message", "server")

    def _subscription(self, stanza: Stanza, whom: object) -> None:
        self._give_presence(stanza, "subscription")

    def _failed_presence(self, stanza: Stanza, whom: object) -> None:
        self._give_presence(stanza, "failed")

    def _give_presence(self, stanza: Stanza, point: str) -> None:
        """To the module that takes it; without one it is ignored."""
        if ("presence", point) in self._takers:
            self._give(stanza, "presence", point)

    def _show(self, stanza: Stanza, account: Account) -> None:
        """A resource becomes available, or changes (RFC 6121, 4.2.2 and 4.4.2)."""
        resource = self._resources.get(stanza.attributes["from"])
        if resource is None:  # Its session ended while this waited for its turn.
            return
        priority = _priority(stanza)
        if priority is None:
            text = "A priority is a whole number from -128 to 127 (RFC 6121, 4.7.2.3)."
            self.bounce(stanza, StanzaError(StanzaCondition.BAD_REQUEST, text=text))
            return
        resource.show(stanza.with_attributes(to=str(resource.session.jid.bare)), priority)
        self._tell(self.handlers.observers, stanza, resource)

    def _hide(self, stanza: Stanza, account: Account) -> None:
        """A resource is no longer available (RFC 6121, 4.5.2)."""
        resource = self._resources.get(stanza.attributes["from"])
        if resource is not None:
            self._unavailable(stanza, resource, account.available)

    def _unavailable(self, stanza: Stanza, resource: Resource, informed: tuple[Session, ...]) -> None:
        resource.hide()
        shown = stanza.with_attributes(to=str(resource.session.jid.bare))
        for session in informed:
            session.deliver(shown)
        self._tell(self.handlers.observers, stanza, resource)

    def _ended(self, resource: Resource) -> None:
        """A session is gone; what it said before goes before."""
        self._do(partial(self._end, resource))

    def _end(self, resource: Resource) -> None:
        """If it did not say so itself, a resource that is gone is unavailable (RFC 6121, 4.5.2)."""
        if resource.presence is not None:
            gone = Stanza("presence", NS_CLIENT, {"from": resource.full, "type": "unavailable"})
            self._unavailable(gone, resource, resource.account.available)
        self._tell(self.handlers.endings, resource)

    def _left(self, account: JID) -> None:
        """An account has no session any more; what the last one said goes before."""
        self._do(partial(self._tell, self.handlers.leavings, account))

    # Modules, and answers.

    def _request(self, stanza: Stanza, target: str) -> None:
        """An iq has one child, whose name says which module answers (RFC 6120, 8.2.3)."""
        if len(stanza.children) == 1:
            self._give(stanza, stanza.attributes["type"], stanza.children[0], target)
        else:
            text = f"A request has one child element (RFC 6120, 8.2.3); this one has {len(stanza.children)}."
            self.bounce(stanza, StanzaError(StanzaCondition.BAD_REQUEST, text=text))

    def _give(self, stanza: Stanza, *key: str) -> None:
        """To the module that takes such stanzas; it may answer later."""
        handler = self._takers.get(key)
        if handler is None:
            self._refuse(stanza, None)
            return
        answered = maybeDeferred(handler, stanza)
        self._settle(
            answered.addCallback(self._answer, stanza), stanza, in_order=stanza.kind != "iq"
        )  # Answers to requests may come in any order.

    def _settle(self, answered: Deferred[None], stanza: Stanza, *, in_order: bool) -> None:
        """See to what a handler of `stanza` raises, and to what waits behind it."""
        answered.addErrback(self._failed, stanza)
        if not answered.called:
            held = self._lanes.hold(stanza, in_order=in_order)
            answered.addCallback(lambda _: self._release(held))

    def _release(self, held: Held) -> None:
        self._lanes.release(held)
        if held.between is not None:
            self._do(partial(self._advance, held.between))

    def _advance(self, between: Between) -> None:
        """Let the next one of a lane enter; those behind it follow when its turn is over, unless it has to wait as well."""
        entry = self._lanes.take(between)
        if entry is not None:
            self._pass(entry.hooks, entry.stanza)
            self._do(partial(self._advance, between))

    def _tell(self, modules: Iterable[Callable[..., object]], *what: object) -> None:
        """Let modules know of something that has happened: a fault of one concerns nobody else."""
        for see in modules:
            maybeDeferred(see, *what).addErrback(self._log_fault)

    def _answer(self, reply: object, stanza: Stanza) -> None:
        match reply:
            case Stanza():
                self.route(reply)
            case Element() if stanza.is_request:
                self.route(stanza.reply(reply))
            case None if stanza.is_request:
                self.route(stanza.reply())
            case None:
                pass
            case _:
                raise TypeError(f"A handler answered a {stanza.kind} with {type(reply).__name__}.")

    def _failed(self, failure: Failure, stanza: Stanza) -> None:
        """Our own fault is logged, and no detail of it leaves the house."""
        if isinstance(failure.value, StanzaError):
            self.bounce(stanza, failure.value)
            return
        self._log_failure(failure, stanza)
        self.bounce(stanza, StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR))

    def _log_fault(self, failure: Failure) -> None:
        self.log.failure("A module failed at something that had happened.", failure)

    def _log_failure(self, failure: Failure, stanza: Stanza) -> None:
        self.log.failure(
            "A {kind} with the children {children} could not be handled.", failure, kind=stanza.kind, children=stanza.children
        )


def _through(hooks: list[Hook], stanza: Stanza) -> Stanza | None:
    """What the hooks, one after another, make of a stanza; None when one of them keeps it."""
    for hook in hooks:
        passed = hook(stanza)
        if passed is None:
            return None
        stanza = passed
    return stanza


def _priority(presence: Stanza) -> int | None:
    """The priority (RFC 6121, 4.7.2.3), 0 where there is none; None when it is no number from -128 to 127."""
    tag = f"{{{presence.namespace}}}priority"
    child = presence.element.child(tag) if tag in presence.children else None
    if child is None:
        return 0
    text = child.text.strip(" \t\r\n")
    if not _PRIORITY.fullmatch(text):
        return None
    return int(text) if -128 <= int(text) <= 127 else None


_Whom = TypeVar("_Whom")
_OTHER = "other"


class _Rules(dict[str | None, Callable[[Router, Stanza, _Whom], None]]):
    """What to do by the type of the stanza; None is a stanza without one."""

    def __missing__(self, type: str | None) -> Callable[[Router, Stanza, _Whom], None]:
        return self[_OTHER]


_SUBSCRIPTIONS: dict[str | None, Callable[[Router, Stanza, object], None]] = dict.fromkeys(
    ("subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"), Router._subscription
)

_ANSWERS_OF_IQ: dict[str | None, Callable[[Router, Stanza, object], None]] = {
    "result": Router._drop,
    "error": Router._drop,
    _OTHER: Router._refuse_type,
}

# To a full address with a session (RFC 6121, 8.5.3.1).
_TO_SESSION: Mapping[str, _Rules[Resource]] = {
    "message": _Rules({_OTHER: Router._deliver_message}),
    "presence": _Rules(
        {
            None: Router._deliver,
            "unavailable": Router._deliver,
            "error": Router._deliver,
            **_SUBSCRIPTIONS,
            _OTHER: Router._drop,  # An error would tell that the session exists.
        }
    ),
    "iq": _Rules(
        {
            "get": Router._deliver,
            "set": Router._deliver,
            "result": Router._deliver,
            "error": Router._deliver,
            _OTHER: Router._refuse_type,
        }
    ),
}

# To a full address without a session (RFC 6121, 8.5.3.2).
_TO_ABSENT: Mapping[str, _Rules[Account]] = {
    "message": _Rules(
        {
            "chat": Router._deliver_to_first,
            "headline": Router._drop,
            "error": Router._drop,
            _OTHER: Router._refuse,
        }
    ),
    "presence": _Rules({**_SUBSCRIPTIONS, _OTHER: Router._drop}),
    "iq": _Rules({"get": Router._refuse, "set": Router._refuse, **_ANSWERS_OF_IQ}),
}

# To a bare address (RFC 6121, 8.5.1 and 8.5.2).
_TO_ACCOUNT: Mapping[str, _Rules[Account]] = {
    "message": _Rules(
        {
            "headline": Router._deliver_to_listening,
            "groupchat": Router._refuse,
            "error": Router._drop,
            _OTHER: Router._deliver_to_first,
        }
    ),
    "presence": _Rules(
        {
            None: Router._deliver_to_available,
            "unavailable": Router._deliver_to_available,
            "error": Router._failed_presence,
            **_SUBSCRIPTIONS,
            _OTHER: Router._drop,
        }
    ),
    "iq": _Rules({"get": Router._ask_account, "set": Router._ask_account, **_ANSWERS_OF_IQ}),
}

# To a domain of ours, with or without a resource (RFC 6120, 10.5.1 and 10.5.2).
_TO_SERVER: Mapping[str, _Rules[None]] = {
    "message": _Rules({"error": Router._drop, _OTHER: Router._message_server}),
    "presence": _Rules({_OTHER: Router._drop}),
    "iq": _Rules({"get": Router._ask_server, "set": Router._ask_server, **_ANSWERS_OF_IQ}),
}

# Presence without an address to go to (RFC 6121, 4.2 to 4.5).
_OWN_PRESENCE: _Rules[Account] = _Rules(
    {None: Router._show, "unavailable": Router._hide, "error": Router._drop, _OTHER: Router._refuse_type}
)
