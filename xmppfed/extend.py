"""The door for modules: write a class, mark its methods, name it as an entry point, and switch it on in the configuration.

A module is a Twisted service that also sees stanzas:

    class Hello(Module):
        options = HelloOptions
        features = ("urn:example:hello",)

        @iq("get", "{urn:example:hello}hello", target="server")
        def hello(self, stanza: Stanza) -> Element:
            return Element("hello", "urn:example:hello")

What a marked method returns is its `Reply`; it may be `async`, and is answered when it is done. To refuse, raise
StanzaError. Any other exception is logged, and answered with internal-server-error and no detail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import msgspec
from twisted.application.service import Service

from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.core.stanza import Stanza
from xmppfed.errors import ConfigError, StanzaCondition, StanzaError
from xmppfed.routing.handlers import POINTS, TARGETS, Handlers, Key
from xmppfed.storage.interface import Records
from xmppfed.tables import Options

__all__ = [
    "JID",
    "Element",
    "Host",
    "Module",
    "Options",
    "Reply",
    "Stanza",
    "StanzaCondition",
    "StanzaError",
    "installed_options",
    "iq",
    "load",
    "message",
    "owner_only",
    "presence",
    "register",
]

Target: TypeAlias = Literal["server", "account"]
"""`server`: the request is for one of our domains. `account`: for a bare address there, which the server answers for."""

MessagePoint: TypeAlias = Literal["routed", "server", "undeliverable"]
"""`routed`: look on at every message. `server`: take those for our domains. `undeliverable`: take those of type normal
or chat for an address where nobody is available."""

PresencePoint: TypeAlias = Literal["own", "subscription"]
"""`own`: look on when a local resource changes its presence. `subscription`: take requests and probes for accounts."""

Reply: TypeAlias = Element | Stanza | None
"""An iq is answered with a result around the Element, or an empty one for None. A Stanza, for any kind, is routed as it is.
Who looks on returns None."""

_GROUP = "xmppfed.modules"
_MARK = "_xmppfed_keys"
_TAG = re.compile(r"\{[^{}]+\}[^{}\s]+")
_Method = TypeVar("_Method", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Host:
    """What the server is to its modules."""

    domains: Collection[str]
    """The domains served here, prepared (RFC 7622)."""
    route: Callable[[Stanza], None]
    """Send a stanza on its way. It says who sends it."""
    features: Callable[[Target], tuple[str, ...]]
    """What the modules announce for the server or for its accounts (XEP-0030, 3)."""
    records: Records
    """What is kept for accounts, beyond a restart."""


class Module(Service):
    """The base of every module. It is made before the server starts, and started and stopped as a service."""

    options: ClassVar[type[msgspec.Struct]] = Options
    """The type of the module's table in the configuration; the class is made with a value of it."""
    features: ClassVar[tuple[str, ...]] = ()
    """Announced for the server (XEP-0030)."""
    account_features: ClassVar[tuple[str, ...]] = ()
    """Announced for each account."""

    def __init__(self, host: Host, options: msgspec.Struct) -> None:
        """A module with options of its own narrows the type of `options` and keeps what it needs."""
        self.host = host


def iq(type: Literal["get", "set"], tag: str, *, target: Target) -> Callable[[_Method], _Method]:
    """Answer requests of this type whose child is `tag`, `{namespace}name`. A method may have several such marks."""
    _check("iq", "type", type, ("get", "set"))
    _check("iq", "target", target, TARGETS)
    if not _TAG.fullmatch(tag):
        raise ValueError(f"@iq: the tag {tag!r} is not understood. Wanted: '{{namespace}}name'.")
    return _marked((type, tag, target))


def message(point: MessagePoint) -> Callable[[_Method], _Method]:
    """See messages at this point of their way."""
    _check("message", "point", point, POINTS["message"])
    return _marked(("message", point))


def presence(point: PresencePoint) -> Callable[[_Method], _Method]:
    """See presence at this point of its way."""
    _check("presence", "point", point, POINTS["presence"])
    return _marked(("presence", point))


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


def _installed() -> dict[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=_GROUP)}


def _check(kind: str, what: str, found: str, wanted: Collection[str]) -> None:
    if found not in wanted:
        raise ValueError(f"@{kind}: the {what} {found!r} is unknown. Wanted: {', '.join(wanted)}.")


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
