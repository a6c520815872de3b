"""The tokens by which clients log in again (XEP-0484): given, used, replaced in time, and taken back.

Each installation of a client has two: the one it used last, and a newer one it has not used yet, for the answer that
carried that may have been lost. A token stands on the password it was given for: with another password it is void.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime

from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.core.negotiation import fast
from xmppfed.core.negotiation.fast import FastRequest
from xmppfed.core.sasl.steps import Claim
from xmppfed.errors import SASLCondition, SASLError
from xmppfed.storage.interface import NoSuchAccount, Records
from xmppfed.timeouts import Timeouts

__all__ = ["COLLECTION", "MOST", "Holder", "Tokens"]

COLLECTION = "fast"
MOST = 20
"""Installations of one account that have tokens; the one whose tokens expire first makes room for another."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has tokens: an installation of a client, by the id of its `<user-agent/>`, and what the password is now."""

    account: JID
    device: str
    password: bytes = field(repr=False)


class _Token(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    mechanism: str
    password: bytes
    expires: float
    count: int = 0


class _Device(msgspec.Struct, frozen=True):
    """What one installation has (XEP-0484, 6)."""

    current: _Token | None = None
    new: _Token | None = None

    @property
    def tokens(self) -> list[_Token]:
        """The newer one first."""
        return [token for token in (self.new, self.current) if token is not None]

    def proved(self, claim: Claim) -> _Token:
        """The token that was given for the claim's mechanism and fits its proof; raises `SASLError`."""
        assert claim.proof is not None  # no other claim comes here
        for token in self.tokens:
            if token.mechanism == claim.mechanism and claim.proof.fits(token.text):
                return token
        raise SASLError(SASLCondition.NOT_AUTHORIZED)

    def used(self, token: _Token, asked: FastRequest) -> _Device:
        """What there is behind a use of `token`: nothing older (XEP-0484, 3.4), and nothing at all where it was the last."""
        if asked.invalidate:
            return _Device()
        counted = token if asked.count is None else msgspec.structs.replace(token, count=asked.count)
        return _Device(counted, None if token is self.new else self.new)


class Tokens:
    """Gives tokens to clients that have logged in, and lets them log in by these."""

    def __init__(self, records: Records, clock: IReactorTime, timeouts: Timeouts) -> None:
        self._records = records
        self._clock = clock
        self._timeouts = timeouts
        self._turns: WeakValueDictionary[JID, DeferredLock] = WeakValueDictionary()

    async def issue(self, holder: Holder, mechanism: str) -> Element:
        """Give a token for `mechanism`; it takes the place of one that was not used. Raises `SASLError`, StorageError."""
        return await self._in_turn(holder.account, partial(self._issue, holder, mechanism))

    async def redeem(self, holder: Holder, claim: Claim, asked: FastRequest) -> tuple[Claim, Element | None]:
        """The claim with our proof in return, and the next token where one is due or `asked` for.

        Raises `SASLError`, StorageError. That a token has expired is told only to who has it.
        """
        return await self._in_turn(holder.account, partial(self._redeem, holder, claim, asked))

    async def _issue(self, holder: Holder, mechanism: str) -> Element:
        kept = await self._kept(holder.account)
        token = self._made(holder, mechanism)
        await self._keep(holder, kept, _Device(kept.get(holder.device, _Device()).current, token))
        return _told(token)

    async def _redeem(self, holder: Holder, claim: Claim, asked: FastRequest) -> tuple[Claim, Element | None]:
        kept = await self._kept(holder.account)
        before = kept.get(holder.device, _Device())
        token = before.proved(claim)
        self._check(token, holder, asked)
        after, wanted = before.used(token, asked), self._wanted(token, asked)
        new = self._made(holder, wanted) if wanted else None
        if new is not None:
            after = _Device(after.current, new)
        if after != before:
            await self._keep(holder, kept, after)
        assert claim.proof is not None  # it fits
        return replace(claim, final=claim.proof.answer(token.text)), None if new is None else _told(new)

    def _check(self, token: _Token, holder: Holder, asked: FastRequest) -> None:
        if token.expires <= self._clock.seconds() or not hmac.compare_digest(token.password, holder.password):
            raise SASLError(SASLCondition.CREDENTIALS_EXPIRED)
        if asked.count is not None and asked.count <= token.count:
            raise SASLError(SASLCondition.NOT_AUTHORIZED, f"Found the count {asked.count}; wanted more than {token.count}.")

    def _wanted(self, token: _Token, asked: FastRequest) -> str:
        """The mechanism of the next token; nothing while this one is young, or behind its last use (XEP-0484, 3.5)."""
        age = self._clock.seconds() - (token.expires - self._timeouts.token)
        due = age > self._timeouts.token_rotation and not asked.invalidate
        return asked.mechanism or (token.mechanism if due else "")

    def _made(self, holder: Holder, mechanism: str) -> _Token:
        expires = self._clock.seconds() + self._timeouts.token
        return _Token(text=secrets.token_urlsafe(32), mechanism=mechanism, password=holder.password, expires=expires)

    async def _in_turn(self, account: JID, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """One login of an account after another: each has to see what the one before has written."""
        turn = self._turns.setdefault(account, DeferredLock())
        result: _T = await turn.run(lambda: Deferred.fromCoroutine(work()))
        return result

    async def _kept(self, account: JID) -> dict[str, _Device]:
        found = await self._records.read(account, COLLECTION)
        return {device: msgspec.json.decode(value, type=_Device) for device, value in found.items()}

    async def _keep(self, holder: Holder, kept: Mapping[str, _Device], device: _Device) -> None:
        changes: dict[str, bytes | None] = {holder.device: msgspec.json.encode(device) if device.tokens else None}
        if holder.device not in kept and len(kept) >= MOST:
            changes[min(kept, key=lambda name: max(token.expires for token in kept[name].tokens))] = None
        try:
            await self._records.change(holder.account, COLLECTION, changes, most=MOST)
        except NoSuchAccount:
            raise SASLError(SASLCondition.NOT_AUTHORIZED) from None


def _told(token: _Token) -> Element:
    return fast.token(token.text, datetime.fromtimestamp(token.expires, UTC))
