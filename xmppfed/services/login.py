"""Who a client is: which mechanisms it may use here, and what its claims are checked against (RFC 6120, 6)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from functools import partial

from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.core.negotiation import fast
from xmppfed.core.negotiation.sasl2 import user_agent_id
from xmppfed.core.sasl.hashed_token import token_mechanisms
from xmppfed.core.sasl.keys import ScramKeys, decoy_keys, fingerprint, verify_password
from xmppfed.core.sasl.registry import create_server, offered
from xmppfed.core.sasl.steps import Claim, ServerMechanism
from xmppfed.errors import JIDError, SASLCondition, SASLError
from xmppfed.net.arrival import Arrival
from xmppfed.services.tokens import Holder, Tokens
from xmppfed.storage.interface import Accounts
from xmppfed.storage.threads import RunInThread

__all__ = ["Accepted", "ClientPolicy", "Login", "Passwords", "parsed"]

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


class Passwords:
    """What passwords are checked against, for accounts that exist and, so that nobody can tell, for those that do not."""

    def __init__(self, accounts: Accounts, run_in_thread: RunInThread) -> None:
        self.accounts = accounts
        self._run_in_thread = run_in_thread
        self._secret: bytes | None = None

    async def keys(self, domain: str, username: str, hash_name: str) -> ScramKeys:
        """The keys of an account, or keys that no password has (RFC 5802, 9). Raises StorageError."""
        keys = await self.accounts.keys(domain, username)
        if keys is not None and hash_name in keys:
            return keys[hash_name]
        if self._secret is None:  # asked for once: the answer for nobody may take no longer than that for somebody
            self._secret = await self.accounts.secret("decoy keys")
        return decoy_keys(self._secret, domain, username, hash_name)

    async def fits(self, keys: ScramKeys, password: str) -> bool:
        """Whether the keys were derived from the password; costs milliseconds, of another thread."""
        return await self._run_in_thread(partial(verify_password, keys, password))


@dataclass(frozen=True, slots=True)
class Accepted:
    """Who the client is, by a claim that may have our proof in it now, and the token that it is given."""

    jid: JID
    claim: Claim
    token: Element | None = None


class Login:
    """The logins that one stream tries, to one domain."""

    def __init__(self, passwords: Passwords, tokens: Tokens, policy: ClientPolicy, arrival: Arrival, domain: str) -> None:
        self._passwords = passwords
        self._tokens = tokens
        self._arrival = arrival
        self._domain = domain
        self._trusted = policy.trusts_origin(arrival)
        self._keys: ScramKeys | None = None  # what the login under way is checked against
        self._password = b""  # the fingerprint of that which was proved, if it was one
        self.bindings = arrival.bindings(domain)
        """The data of each channel binding of this stream, by its name."""
        self.mechanisms = offered(
            bindings=self.bindings,
            encrypted=arrival.secure,
            external=bool(self._certified()),
            anonymous=self._trusted and domain in policy.anonymous,
        )
        """What may be tried here, the strongest first."""
        self.token_mechanisms = token_mechanisms(self.bindings) if arrival.secure else []
        """What may be tried by who has a token: nothing without TLS (XEP-0484, 7)."""

    def create(self, name: str) -> ServerMechanism:
        """One of these mechanisms, for one login."""
        return create_server(name, secrets.token_urlsafe(18), self.bindings, self.mechanisms)

    async def keys(self, username: str, hash_name: str) -> ScramKeys:
        """What SCRAM is checked against. Raises StorageError."""
        self._keys = await self._passwords.keys(self._domain, username, hash_name)
        return self._keys

    async def accepted(self, claim: Claim, request: Element | None = None) -> Accepted:
        """Who the client is, and what it gets of a `request` for a token. Raises `SASLError` when it is nobody, StorageError
        when that cannot be told."""
        asked, device = fast.read(request), user_agent_id(request)
        if asked.mechanism not in self.token_mechanisms:
            asked = replace(asked, mechanism="")
        if claim.proof is not None:
            return await self._by_token(claim, asked, device)
        self._password = b""
        jid = await self._proved(claim)
        if not (asked.mechanism and device and self._password):
            return Accepted(jid, claim)
        return Accepted(jid, claim, await self._tokens.issue(Holder(jid, device, self._password), asked.mechanism))

    async def _by_token(self, claim: Claim, asked: fast.FastRequest, device: str) -> Accepted:
        jid = JID(claim.authcid, self._domain)
        password = fingerprint(await self._passwords.accounts.keys(jid.domain, jid.local) or {})
        return Accepted(jid, *await self._tokens.redeem(Holder(jid, device, password), claim, asked))

    async def _proved(self, claim: Claim) -> JID:
        if claim.mechanism == "ANONYMOUS":
            return JID(secrets.token_hex(10), self._domain)
        if claim.mechanism == "EXTERNAL":
            return await self._named(claim.authzid)
        if claim.password is not None and not await self._is_password(claim.authcid, claim.password):
            raise SASLError(SASLCondition.NOT_AUTHORIZED)
        jid = JID(claim.authcid, self._domain)
        if not await self._is_unchanged(jid):
            raise SASLError(SASLCondition.NOT_AUTHORIZED)
        if claim.authzid and parsed(claim.authzid) != jid:
            raise _foreign(claim.authzid, str(jid))
        return jid

    async def _is_password(self, username: str, password: str) -> bool:
        return await self._passwords.fits(await self.keys(username, _PLAIN_HASH), password)

    async def _is_unchanged(self, jid: JID) -> bool:
        """A password that was changed while its owner logged in opens nothing any more, nor does a deleted account."""
        keys = await self._passwords.accounts.keys(jid.domain, jid.local) or {}
        self._password = fingerprint(keys)
        return self._keys in keys.values()

    async def _named(self, authzid: str) -> JID:
        """Of the accounts that the certificate names the one that is asked for, or the only one (XEP-0178, 2)."""
        certified = self._certified()
        if authzid:
            certified &= {parsed(authzid)}
            if not certified:
                raise _foreign(authzid, "an account that the certificate names")
        if len(certified) != 1:
            raise SASLError(SASLCondition.INVALID_AUTHZID, "The certificate names several accounts; say which.")
        (jid,) = certified
        if await self._passwords.accounts.keys(jid.domain, jid.local) is None:
            raise SASLError(SASLCondition.NOT_AUTHORIZED)
        return jid

    def _certified(self) -> frozenset[JID]:
        """The accounts that a trusted certificate names, unless a stranger's page may have had the browser show it."""
        certificate = self._arrival.certificate
        if certificate is None or not certificate.trusted or not self._trusted:
            return frozenset()
        named = map(parsed, certificate.names.xmpp_addresses)
        return frozenset(jid for jid in named if jid is not None and jid.local and jid.domain == self._domain and jid.is_bare)


def parsed(text: str) -> JID | None:
    """The address that `text` writes, or None."""
    try:
        return JID.parse(text)
    except JIDError:
        return None


def _foreign(authzid: str, wanted: str) -> SASLError:
    return SASLError(SASLCondition.INVALID_AUTHZID, f"Found {ascii(authzid)[:64]}; wanted {wanted} or nothing.")
