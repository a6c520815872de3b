"""Whom we know end to end, for the operator: commands of the control socket that show what is remembered, and change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from xmppfed.e2e.identity import address_of
from xmppfed.e2e.peers import Peers
from xmppfed.e2e.shown import abbreviated, key_of, key_part, printable
from xmppfed.e2e.trust import Acquaintance, Trust, TrustStore, name_key
from xmppfed.services.control import Command, CommandRefused, converted

__all__ = ["NotInstalled", "Pairing", "pair_commands", "trust_commands"]

_MOST_LISTED = 10  # in an error


class Pairing(Protocol):
    """Who pairs this server with its peers, by a code that is shown at one end and typed at the other."""

    def show(self) -> str:
        """A new code. Raises an XMPPFedError when there have been too many."""
        ...

    async def enter(self, peer: str, code: str) -> str:
        """Pair with `peer`, which shows `code`; the name by which it is known then. Raises an XMPPFedError that says why not."""
        ...

    def add(self, peers: Peers) -> Callable[[], None]:
        """Strangers may pair with these as well while a code is shown, until what is returned is called."""
        ...


class NotInstalled:
    """What pairing is without the package that it takes; see `Pairing`."""

    def add(self, peers: Peers) -> Callable[[], None]:
        """Nobody pairs."""
        return lambda: None

    def show(self) -> str:
        """Refused."""
        raise CommandRefused("pairing takes the package spake2, which is not installed: pip install 'xmppfed[e2e]'")

    async def enter(self, peer: str, code: str) -> str:
        """Refused."""
        return self.show()


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Who(msgspec.Struct, forbid_unknown_fields=True):
    who: str


class _Pin(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    key: str


class _Enter(msgspec.Struct, forbid_unknown_fields=True):
    peer: str
    code: str


def trust_commands(store: TrustStore, cut: Callable[[Acquaintance], None] | None = None) -> dict[str, Command]:
    """`e2e/trust/list`, `show`, `pin` and `revoke`. Where streams stand, `cut` ends those that the decision speaks against."""

    async def list_all(arguments: dict[str, Any]) -> object:
        converted(arguments, _Nothing)
        return {"peers": [_described(one) for one in store.all()]}

    async def show(arguments: dict[str, Any]) -> object:
        return {"peers": [_described(one) for one in _found(store, converted(arguments, _Who).who)]}

    async def pin(arguments: dict[str, Any]) -> object:
        wanted = converted(arguments, _Pin)
        key = _key(wanted.key)
        former, named = _to_pin(store, wanted.name, key), store.by_name(wanted.name)
        name = address_of(wanted.name) if named is None else named.name
        word = Trust.PAIRED if former.trust is Trust.PAIRED else Trust.PINNED
        pinned = replace(former, name=name, trust=word, spki_sha256=key, revoked=False)
        _keep(store, pinned)
        if cut is not None:
            cut(pinned)
        return {"pinned": _described(pinned), "formerly": "" if name_key(former.name) == name_key(name) else former.name}

    async def revoke(arguments: dict[str, Any]) -> object:
        revoked = replace(_revocable(store, converted(arguments, _Who).who), revoked=True)
        _keep(store, revoked)
        if cut is not None:
            cut(revoked)
        return {"revoked": _described(revoked)}

    return {"e2e/trust/list": list_all, "e2e/trust/show": show, "e2e/trust/pin": pin, "e2e/trust/revoke": revoke}


def pair_commands(pairing: Pairing | None) -> Mapping[str, Command]:
    """`e2e/pair/show` and `e2e/pair/enter`, which are refused where nobody pairs."""

    async def show(arguments: dict[str, Any]) -> object:
        converted(arguments, _Nothing)
        return {"code": _able(pairing).show()}

    async def enter(arguments: dict[str, Any]) -> object:
        wanted = converted(arguments, _Enter)
        return {"paired": await _able(pairing).enter(wanted.peer, wanted.code)}

    return {"e2e/pair/show": show, "e2e/pair/enter": enter}


def _able(pairing: Pairing | None) -> Pairing:
    if pairing is None:
        raise CommandRefused("this server has no end-to-end streams; wanted [services.e2e] in its configuration")
    return pairing


def _described(one: Acquaintance) -> dict[str, Any]:
    return {
        "name": one.name,
        "word": one.trust.value,
        "key": one.spki_sha256.hex() if one.spki_sha256 else "",
        "revoked": one.revoked,
        "first_seen": one.first_seen,
        "last_seen": one.last_seen,
    }


def _keep(store: TrustStore, one: Acquaintance) -> None:
    try:
        store.keep(one)
    except OSError as error:
        raise CommandRefused(f"{error}; nothing was changed") from error


def _key(text: str) -> bytes:
    key = key_of(text)
    if key is None:
        wanted = "the SHA-256 of a public key, 64 hexadecimal digits or 44 letters of base64"
        raise CommandRefused(f"found {printable(text)}; wanted {wanted}")
    return key


def _to_pin(store: TrustStore, name: str, key: bytes) -> Acquaintance:
    """Who gets the key: whose it is already, or who is known by no other. Nobody's key is changed but by revoking it."""
    named, keyed = store.by_name(name), store.by_key(key)
    if keyed is not None and keyed.revoked:
        who = printable(keyed.name)
        raise CommandRefused(f"the key {abbreviated(key)} was revoked as that of {who}, for good; wanted a new key of the peer")
    if named is not None and named.spki_sha256 is not None and named.spki_sha256 != key:
        raise CommandRefused(
            f"{_line(named)} has another key than {abbreviated(key)}. If the peer itself says that its key has changed, "
            f"revoke the old one first: xmppfedctl e2e trust revoke {abbreviated(named.spki_sha256)}"
        )
    return keyed or named or Acquaintance(name=address_of(name), trust=Trust.PINNED)


def _revocable(store: TrustStore, who: str) -> Acquaintance:
    found = _found(store, who)
    standing = [one for one in found if not one.revoked]
    if not standing:
        raise CommandRefused(f"{_listed(found)}: the key is revoked already")
    if len(standing) > 1:
        raise CommandRefused(f"{printable(who)} may be one of {len(standing)}: {_listed(standing)}; wanted more of the key")
    [one] = standing
    if one.spki_sha256 is None:
        raise CommandRefused(
            f"{_line(one)} is known by no key that could be revoked. To believe one key of this peer and no "
            "authority: xmppfedctl e2e trust pin NAME KEY"
        )
    return one


def _found(store: TrustStore, who: str) -> list[Acquaintance]:
    """Everybody of that name, as it is or as it is shown, or whose key begins so. Raises CommandRefused for nobody."""
    name, part = name_key(who), key_part(who)
    everybody = list(store.all())
    found = [one for one in everybody if name in _names(one) or (part and _hex(one).startswith(part))]
    if not found:
        raise CommandRefused(f"nobody is known as {printable(who)}; known are: {_listed(everybody) or 'nobody'}")
    return found


def _names(one: Acquaintance) -> tuple[str, str]:
    return name_key(one.name), name_key(printable(one.name))


def _hex(one: Acquaintance) -> str:
    return (one.spki_sha256 or b"").hex()


def _listed(some: Sequence[Acquaintance]) -> str:
    lines = [_line(one) for one in some[:_MOST_LISTED]]
    more = len(some) - len(lines)
    return ", ".join(lines) + (f", and {more} more (xmppfedctl e2e trust list)" if more else "")


def _line(one: Acquaintance) -> str:
    words = ["revoked"] if one.revoked else [one.trust.value]
    words += [abbreviated(one.spki_sha256)] if one.spki_sha256 else []
    return f"{printable(one.name)} ({', '.join(words)})"
