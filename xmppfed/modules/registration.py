"""In-Band Registration (XEP-0077): strangers make accounts for themselves; owners change their passwords, or leave."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from twisted.logger import Logger

from xmppfed.core.limiter import Limiter
from xmppfed.core.origins import origin
from xmppfed.extend import (
    JID,
    AccountExists,
    AccountRefused,
    Element,
    Host,
    JIDError,
    Module,
    NoSuchAccount,
    Options,
    Stanza,
    StanzaCondition,
    StanzaError,
    Stranger,
    iq,
    offer,
    owner_only,
)

__all__ = ["NS", "NS_FEATURE", "Registration", "RegistrationOptions"]

NS = "jabber:iq:register"
NS_FEATURE = "http://jabber.org/features/iq-register"
_QUERY = f"{{{NS}}}query"
_REMOVE = f"{{{NS}}}remove"
_HOUR, _DAY = 3600, 86_400
_INSTRUCTIONS = "Choose a username and a password."


class RegistrationOptions(Options, frozen=True):
    """Lets anybody make an account, from a client (XEP-0077), and owners change their passwords and remove their accounts so.
    Open registration attracts spammers: leave this table out unless you look after who comes."""

    attempts_per_hour: Annotated[
        int,
        Meta(
            ge=1,
            description="How often one IP address, or with IPv6 one network of 64 bits, may try to register, and one account may "
            "try to change its password. Behind a proxy that is not among `trusted_proxies` all strangers share one address.",
            examples=[2],
        ),
    ] = 5
    accounts_per_day: Annotated[
        int, Meta(ge=1, description="How many accounts may be made in 24 hours, by whomever.", examples=[10])
    ] = 100


class Registration(Module):
    """Off unless its table is there. Passwords come in the clear, so only TLS carries them: no stream of ours is without."""

    options = RegistrationOptions
    features = (NS,)
    log = Logger()

    def __init__(self, host: Host, options: RegistrationOptions) -> None:
        super().__init__(host, options)
        self._attempts = Limiter(options.attempts_per_hour, _HOUR)
        self._accounts = Limiter(options.accounts_per_day, _DAY)

    # Strangers.

    @offer("stranger")
    def register(self) -> Element:
        """The feature (XEP-0077, 7)."""
        return Element("register", NS_FEATURE)

    @iq("get", _QUERY, target="stranger")
    def fields(self, stanza: Stanza, stranger: Stranger) -> Element:
        """What it takes (XEP-0077, 3.1)."""
        query = Element("query", NS)
        query.add("instructions", text=_INSTRUCTIONS)
        query.add("username")
        query.add("password")
        return query

    @iq("set", _QUERY, target="stranger")
    async def enter(self, stanza: Stanza, stranger: Stranger) -> None:
        """A new account; its owner logs in with it then (XEP-0077, 3.1)."""
        query = _query(stanza)
        if query.child(_REMOVE) is not None:
            raise StanzaError(StanzaCondition.UNEXPECTED_REQUEST)
        self._count(origin(stranger.address))
        username, password = _login(query, StanzaCondition.NOT_ACCEPTABLE)
        account = _account(username, stranger.domain)
        if not self._accounts.has_room("", self.host.clock.seconds()):
            raise _too_often("No more accounts are made today.")
        try:
            await self.host.accounts.create(account, password)
        except AccountExists:
            raise StanzaError(StanzaCondition.CONFLICT) from None
        except AccountRefused as error:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, text=str(error)) from None
        self._accounts.count("", self.host.clock.seconds())
        self.log.info("{account} was registered from {address}", account=str(account), address=stranger.address)

    # Owners, who ask their account or their server.

    @iq("get", _QUERY, target="server")
    @iq("get", _QUERY, target="account")
    def registered(self, stanza: Stanza) -> Element:
        """What is known of an account, but for its password (XEP-0077, 3.1)."""
        query = Element("query", NS)
        query.add("registered")
        query.add("username", text=self._owner(stanza).local)
        query.add("password")
        return query

    @iq("set", _QUERY, target="server")
    @iq("set", _QUERY, target="account")
    async def change(self, stanza: Stanza) -> None:
        """Another password, or no account any more (XEP-0077, 3.2 and 3.3)."""
        account, query = self._owner(stanza), _query(stanza)
        if query.child(_REMOVE) is None:
            await self._change_password(account, query)
        elif len(list(query.elements())) != 1:
            raise StanzaError(StanzaCondition.BAD_REQUEST, text="Found something beside <remove/>; wanted that alone.")
        else:
            await self._remove(account, stanza)

    async def _change_password(self, account: JID, query: Element) -> None:
        username, password = _login(query, StanzaCondition.BAD_REQUEST)
        if _account(username, account.domain) != account:
            text = f"Found the username {username!a}; wanted {account.local!a}, your own."
            raise StanzaError(StanzaCondition.NOT_ALLOWED, text=text)
        self._count(str(account))
        try:
            await self.host.accounts.change_password(account, password)
        except AccountRefused as error:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, text=str(error)) from None
        except NoSuchAccount:
            raise StanzaError(StanzaCondition.REGISTRATION_REQUIRED) from None
        self.log.info("{account} changed its password", account=str(account))

    async def _remove(self, account: JID, stanza: Stanza) -> None:
        try:
            await self.host.accounts.remove(account)
        except NoSuchAccount:
            raise StanzaError(StanzaCondition.REGISTRATION_REQUIRED) from None
        self.log.info("{account} was removed by its owner", account=str(account))
        resource = self.host.resource(str(stanza.sender))
        if resource is not None:  # the answer to who asked, before his stream ends as well
            resource.session.deliver(stanza.reply())
        self.host.accounts.end(account)

    def _owner(self, stanza: Stanza) -> JID:
        """The account that asks. Other servers' accounts have nothing to do with us."""
        owner = stanza.sender
        assert owner is not None  # a request comes from somebody
        if stanza.to is not None and stanza.to.local:
            owner_only(stanza)
        elif not owner.local or owner.domain != (stanza.to or owner).domain:
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        return owner.bare

    def _count(self, who: str) -> None:
        if not self._attempts.allow(who, self.host.clock.seconds()):
            raise _too_often("That was tried too often; try again in an hour.")


def _query(stanza: Stanza) -> Element:
    return next(stanza.element.elements())


def _login(query: Element, refusal: StanzaCondition) -> tuple[str, str]:
    """Username and password; an empty one is none (XEP-0077, 3.1 and 3.3)."""
    found = [query.child(f"{{{NS}}}{name}") for name in ("username", "password")]
    username, password = (child.text if child is not None else "" for child in found)
    if not username or not password:
        raise StanzaError(refusal, text="Wanted a username and a password, neither of them empty.")
    return username, password


def _account(username: str, domain: str) -> JID:
    try:
        return JID.of(username, domain)
    except JIDError as error:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, text=str(error)) from None


def _too_often(text: str) -> StanzaError:
    return StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text=text)
