"""The door for modules: write a class, mark its methods, name it as an entry point, and switch it on in the configuration.

A module is a Twisted service that also sees stanzas:

    class Hello(Module):
        options = HelloOptions
        features = ("urn:example:hello",)

        @iq("get", "{urn:example:hello}hello", target="server")
        def hello(self, stanza: Stanza) -> Element:
            return Element("hello", "urn:example:hello")

What a method marked by @iq, @message or @presence returns is its `Reply`; it may be `async`, and is answered when it is
done. To refuse, raise StanzaError. Any other exception is logged, and answered with internal-server-error and no detail.

@hook and @delivered see what goes on between others. They stand on the way of every stanza: they answer at once, cost next
to nothing where they are not concerned, and see it in the order of the configuration. The list of marks is closed; its
reasons are in docs/design/0005-modules-and-hooks.md.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypeVar

import msgspec
from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime

from xmppfed.core.element import Element
from xmppfed.core.events import Pair
from xmppfed.core.jid import JID
from xmppfed.core.stanza import Stanza
from xmppfed.errors import ConfigError, JIDError, StanzaCondition, StanzaError
from xmppfed.routing.handlers import OFFERED, POINTS, TARGETS, Handlers, Key, Stranger
from xmppfed.routing.sessions import Resource
from xmppfed.storage.accounts import AccountRefused
from xmppfed.storage.interface import AccountExists, CollectionFull, NoSuchAccount, Records, StorageError
from xmppfed.tables import Options
from xmppfed.timeouts import Timeouts

__all__ = [
    "JID",
    "AccountExists",
    "AccountRefused",
    "Accounts",
    "CollectionFull",
    "ConfigError",
    "Element",
    "Host",
    "JIDError",
    "Module",
    "NoSuchAccount",
    "Options",
    "Pair",
    "Reply",
    "Resource",
    "Stanza",
    "StanzaCondition",
    "StanzaError",
    "StorageError",
    "Stranger",
    "blocks",
    "broken",
    "delivered",
    "hook",
    "inline",
    "installed_options",
    "iq",
    "load",
    "message",
    "nonza",
    "offer",
    "owner_only",
    "presence",
    "register",
    "session",
    "subscribed",
    "watchers",
]

Target: TypeAlias = Literal["server", "account", "stranger"]
"""`server`: the request is for one of our domains. `account`: for a bare address there, which the server answers for.
`stranger`: it comes before any login; the method gets a `Stranger` as its second argument."""

MessagePoint: TypeAlias = Literal["server", "undeliverable"]
"""`server`: take messages for our domains. `undeliverable`: take those of type normal or chat for an address where nobody
is available."""

PresencePoint: TypeAlias = Literal["own", "subscription", "failed"]
"""`own`: look on when a local resource changes its presence; the method gets the `Resource` as its second argument.
`subscription`: take requests and probes for accounts. `failed`: take presence that came back to an account as an error."""

SessionPoint: TypeAlias = Literal["binding", "ended", "left", "removing"]
"""`binding`: read what is needed of an account (a JID) before a resource of it is bound. `ended`: a `Resource` is gone.
`left`: an account has no session any more, or is itself no more. `removing`: an account is about to be removed."""

HookPoint: TypeAlias = Literal["sent", "received", "routed"]
"""`sent`: what a client of ours sends; `received`: what another server sends, its sender verified. `routed`: all that goes
its way here, of whatever origin, ours included."""

Offered: TypeAlias = Literal["stranger", "client", "server"]
"""Whose stream it is: of a client that has not logged in, of one that has, of another server that has proved itself."""

Reply: TypeAlias = Element | Stanza | None
"""An iq is answered with a result around the Element, or an empty one for None. A Stanza, for any kind, is routed as it is.
Who looks on returns None."""

_GROUP = "xmppfed.modules"
_MARK = "_xmppfed_keys"
_TAG = re.compile(r"\{[^{}]+\}[^{}\s]+")
_Method = TypeVar("_Method", bound=Callable[..., Any])
_Hook = TypeVar("_Hook", bound=Callable[[Any, Stanza], Stanza | None])
_Copier = TypeVar("_Copier", bound=Callable[[Any, Stanza, Sequence[Resource]], None])
_Enabler = TypeVar("_Enabler", bound=Callable[[Any, Resource, Element], Element | None])
_Offer = TypeVar("_Offer", bound=Callable[[Any], Element])
_Breaker = TypeVar("_Breaker", bound=Callable[[Any, Pair], None])
_Watchers = TypeVar("_Watchers", bound=Callable[[Any, str], Collection[str]])
_Blocker = TypeVar("_Blocker", bound=Callable[[Any, str, JID], bool])
_Knower = TypeVar("_Knower", bound=Callable[[Any, JID, JID], Awaitable[bool]])


class Accounts(Protocol):
    """The accounts of this server, all of them bare addresses at its domains. Every method may raise StorageError."""

    async def create(self, account: JID, password: str) -> None:
        """Make an account. Raises AccountExists, or AccountRefused for the password."""
        ...

    async def change_password(self, account: JID, password: str) -> None:
        """Give an account another password. Raises NoSuchAccount, or AccountRefused for the password."""
        ...

    async def remove(self, account: JID) -> None:
        """Remove an account with all that is kept for it. Raises NoSuchAccount. Its streams go on until `end`."""
        ...

    def end(self, account: JID) -> None:
        """End all streams of an account that was removed, at once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the server is to its modules."""

    domains: Collection[str]
    """The domains served here, prepared (RFC 7622)."""
    route: Callable[[Stanza], None]
    """Send a stanza on its way. It says who sends it."""
    features: Callable[[Literal["server", "account"]], tuple[str, ...]]
    """What the modules announce for the server or for its accounts (XEP-0030, 3)."""
    forms: Collection[Element]
    """What they tell of the server besides (XEP-0128)."""
    resources: Callable[[str], Sequence[Resource]]
    """The sessions of an account by its bare address as text, the oldest first."""
    resource: Callable[[str], Resource | None]
    """The session with this full address as text."""
    is_connected: Callable[[str], bool]
    """Whether an account, by its bare address, has sessions, or is just getting its first."""
    hold: Callable[[Stanza, Coroutine[Any, Any, None]], None]
    """Do what takes time in the place of a stanza. What comes later between the same two accounts waits until it is done
    (RFC 6120, 10.1), and nobody else; what it raises is answered as if the stanza were refused."""
    subscribed: Callable[[JID, JID], Awaitable[bool]]
    """Whether an account, the first, lets the second see its presence."""
    watchers: Callable[[str], Collection[str]]
    """Who may see the presence of a connected account, by its bare address as text; bare addresses as well."""
    contacts: Callable[[str], Collection[Element] | None]
    """The roster items that a service has for a connected account, by its bare address as text, and that nobody stores: people
    on the local network. None where it can have none."""
    blocks: Callable[[str, JID], bool]
    """Whether a connected account, by its bare address as text, wants to hear nothing of an address."""
    accounts: Accounts
    """Who has an account here."""
    records: Records
    """What is kept for accounts, beyond a restart."""
    clock: IReactorTime
    """The time, in seconds since 1970, and whatever has to happen later."""
    timeouts: Timeouts
    """How long things may take."""


class Module(Service):
    """The base of every module. It is made before the server starts, and started and stopped as a service."""

    options: ClassVar[type[msgspec.Struct]] = Options
    """The type of the module's table in the configuration; the class is made with a value of it."""
    features: ClassVar[tuple[str, ...]] = ()
    """Announced for the server (XEP-0030)."""
    account_features: ClassVar[tuple[str, ...]] = ()
    """Announced for each account."""
    forms: tuple[Element, ...] = ()
    """Told of the server beside its features (XEP-0128)."""

    def __init__(self, host: Host, options: msgspec.Struct) -> None:
        """A module with options of its own narrows the type of `options` and keeps what it needs."""
        self.host = host

    async def keep(self, account: JID, collection: str, changes: Mapping[str, bytes | None], *, most: int | None = None) -> None:
        """Change what is kept of an account (`Records.change`); what cannot be kept is a StanzaError that says why."""
        try:
            await self.host.records.change(account, collection, changes, most=most)
        except NoSuchAccount:
            text = "Nothing is kept for who has no account here."
            raise StanzaError(StanzaCondition.NOT_ALLOWED, text=text) from None
        except CollectionFull as error:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=str(error)) from None


def iq(type: Literal["get", "set"], tag: str, *, target: Target) -> Callable[[_Method], _Method]:
    """Answer requests of this type whose child is `tag`, `{namespace}name`. A method may have several such marks."""
    _check("iq", "type", type, ("get", "set"))
    _check("iq", "target", target, TARGETS)
    _check_tag("iq", tag)
    return _marked((type, tag, target))


def message(point: MessagePoint) -> Callable[[_Method], _Method]:
    """See messages at this point of their way."""
    _check("message", "point", point, ("server", "undeliverable"))
    return _marked(("message", point))


def presence(point: PresencePoint) -> Callable[[_Method], _Method]:
    """See presence at this point of its way."""
    _check("presence", "point", point, POINTS["presence"])
    return _marked(("presence", point))


def hook(point: HookPoint) -> Callable[[_Hook], _Hook]:
    """See every stanza at this point of its way. The method returns the stanza that goes on, the same or another; None keeps
    it from going any further, and StanzaError refuses it."""
    _check("hook", "point", point, POINTS["hook"])
    return _marked(("hook", point))


def delivered(method: _Copier) -> _Copier:
    """See each message to one of our accounts when it was delivered, or found nobody to be delivered to, with the resources
    of the account that did not get it; only when there are any."""
    return _marked(("message", "delivered"))(method)


def session(point: SessionPoint) -> Callable[[_Method], _Method]:
    """See sessions come and go. What reads for `binding` may be `async`: the client waits, and StanzaError refuses it."""
    _check("session", "point", point, POINTS["session"])
    return _marked(("session", point))


def broken(method: _Breaker) -> _Breaker:
    """Hear that a stream from another domain (`pair.sender`) to one of ours broke, so that something may be lost."""
    return _marked(("stream", "broken"))(method)


def subscribed(method: _Knower) -> _Knower:
    """Say whether an account, the first, lets the second see its presence; there is one who knows."""
    return _marked(("roster", "subscribed"))(method)


def watchers(method: _Watchers) -> _Watchers:
    """Say who may see the presence of a connected account; there is one who knows."""
    return _marked(("roster", "watchers"))(method)


def blocks(method: _Blocker) -> _Blocker:
    """Say whether a connected account wants to hear nothing of an address; there is one who knows."""
    return _marked(("blocklist", "blocks"))(method)


def offer(whom: Offered) -> Callable[[_Offer], _Offer]:
    """Offer a stream feature (RFC 6120, 4.3.2), always optional. The method returns the element, the same every time."""
    _check("offer", "stream", whom, OFFERED)
    return _marked(("offer", whom))


def nonza(tag: str) -> Callable[[_Enabler], _Enabler]:
    """Take what a client that has a session sends beside its stanzas. Nothing is answered."""
    _check_tag("nonza", tag)
    return _marked(("nonza", tag))


def inline(tag: str) -> Callable[[_Enabler], _Enabler]:
    """Enable something for a session while it is bound (XEP-0386); the method returns the answer, if there is one. The
    namespace of `tag` is announced."""
    _check_tag("inline", tag)
    return _marked(("inline", tag))


def owner_only(stanza: Stanza) -> None:
    """Refuse a request to an account that is not the sender's own, as if the account did not exist (RFC 6121, 8.5.1)."""
    if stanza.to is not None and (stanza.sender is None or stanza.sender.bare != stanza.to.bare):
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)


def register(module: Module, handlers: Handlers) -> None:
    """Let `module` see what its methods are marked for, and announce its features.

    Raises ConfigError, which names both modules, when another module answers the same thing.
    """
    owner = type(module).__qualname__ if module.name is None else str(module.name)
    for key, method in _marks(module):
        handlers.add(key, method, owner)
    handlers.announce("server", module.features)
    handlers.announce("account", module.account_features)
    handlers.forms.extend(module.forms)


def load(name: str) -> type[Module]:
    """The module that an installed package registers as `name` under the entry points `xmppfed.modules`.

    Raises ConfigError when there is none, or it cannot be used.
    """
    found = _installed().get(name)
    if found is None:
        known = ", ".join(sorted(_installed())) or "none at all"
        raise ConfigError(
            f"modules.{name}: no installed package has this module. Known: {known}. Install it, or correct the name."
        )
    try:
        module = found.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"modules.{name}: {found.value} cannot be imported: {error}. Repair or reinstall its package."
        ) from error
    if not (isinstance(module, type) and issubclass(module, Module)):
        raise ConfigError(f"modules.{name}: {found.value} is no xmppfed.extend.Module. Its author has to derive it from that.")
    return module


def installed_options() -> Mapping[str, type[msgspec.Struct]]:
    """The options of each installed module by its name; a module is imported when its options are looked at."""
    return _InstalledOptions()


class _InstalledOptions(Mapping[str, type[msgspec.Struct]]):
    def __getitem__(self, name: str) -> type[msgspec.Struct]:
        if name not in _installed():
            raise KeyError(name)
        return load(name).options

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(_installed()))

    def __len__(self) -> int:
        return len(_installed())


@cache
def _installed() -> dict[str, EntryPoint]:
    """Read once: looking takes 10 ms, and what is installed later would be imported in part from another release."""
    return {found.name: found for found in entry_points(group=_GROUP)}


def _check(kind: str, what: str, found: str, wanted: Collection[str]) -> None:
    if found not in wanted:
        raise ValueError(f"@{kind}: the {what} {found!r} is unknown. Wanted: {', '.join(wanted)}.")


def _check_tag(kind: str, tag: str) -> None:
    if not _TAG.fullmatch(tag):
        raise ValueError(f"@{kind}: the tag {tag!r} is not understood. Wanted: '{{namespace}}name'.")


def _marked(key: Key) -> Callable[[_Method], _Method]:
    def mark(method: _Method) -> _Method:
        setattr(method, _MARK, (*getattr(method, _MARK, ()), key))
        return method

    return mark


def _marks(module: Module) -> Iterator[tuple[Key, Callable[[Stanza], object]]]:
    """Each key with the bound method it marks; a subclass that overrides a method marks it anew."""
    for name in dir(type(module)):
        for key in getattr(getattr(type(module), name, None), _MARK, ()):
            yield key, getattr(module, name)
