"""Last Activity (XEP-0012): how long the server has been running, and since when somebody has been gone."""

from __future__ import annotations

from xmppfed.extend import (
    JID,
    Element,
    Host,
    Module,
    NoSuchAccount,
    Options,
    Resource,
    Stanza,
    StanzaCondition,
    StanzaError,
    hook,
    iq,
    presence,
)

__all__ = ["NS", "LastActivity", "LastActivityOptions"]

NS = "jabber:iq:last"
_QUERY = f"{{{NS}}}query"
_COLLECTION, _WHEN, _STATUS = "last activity", "when", "status"
_LONGEST_STATUS = 1024  # characters


class LastActivityOptions(Options, frozen=True):
    """Tells the uptime of the server and, to who may see an account's presence, since when it has been gone (XEP-0012). The
    table may be empty: it switches the module on."""


class LastActivity(Module):
    """Notes when the last resource of an account goes."""

    options = LastActivityOptions
    features = (NS,)
    account_features = (NS,)

    def __init__(self, host: Host, options: LastActivityOptions) -> None:
        super().__init__(host, options)
        self._started = host.clock.seconds()

    @iq("get", _QUERY, target="server")
    def uptime(self, stanza: Stanza) -> Element:
        """Seconds since the start (XEP-0012, 5)."""
        return self._since(self._started)

    @iq("get", _QUERY, target="account")
    async def absence(self, stanza: Stanza) -> Element:
        """Seconds since the last resource has gone, and what it said then; 0 while one is available (XEP-0012, 3)."""
        assert stanza.sender is not None  # a request comes from somebody
        account = (stanza.to or stanza.sender).bare
        await self._check(account, stanza.sender)
        if self._is_available(account):
            return self._since(self.host.clock.seconds())
        kept = await self.host.records.read(account, _COLLECTION)
        if _WHEN not in kept:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        return self._since(float(kept[_WHEN]), kept.get(_STATUS, b"").decode())

    @hook("sent")
    @hook("received")
    def guard(self, stanza: Stanza) -> Stanza | None:
        """How long somebody has been idle is asked of his client, by who may see his presence (XEP-0012, 4)."""
        if stanza.kind == "iq" and stanza.type == "get" and stanza.children == (_QUERY,):
            to = stanza.to
            if to is not None and to.local and to.resource and to.domain in self.host.domains:
                self.host.hold(stanza, self._pass(stanza))
                return None
        return stanza

    @presence("own")
    async def note(self, stanza: Stanza, resource: Resource) -> None:
        """The last available resource goes."""
        account = resource.session.jid.bare
        if stanza.type != "unavailable" or self._is_available(account):
            return
        status = stanza.element.child(f"{{{stanza.namespace}}}status")
        said = status.text[:_LONGEST_STATUS].encode() if status is not None else None
        now = str(self.host.clock.seconds()).encode()
        try:
            await self.host.records.change(account, _COLLECTION, {_WHEN: now, _STATUS: said})
        except NoSuchAccount:
            pass  # an anonymous guest, or one whose account was deleted

    async def _check(self, account: JID, asking: JID) -> None:
        """Whether there is such an account does not show."""
        if asking.bare != account and not await self.host.subscribed(account, asking.bare):
            raise StanzaError(StanzaCondition.FORBIDDEN)

    async def _pass(self, stanza: Stanza) -> None:
        assert stanza.to is not None and stanza.sender is not None  # it was looked at, and stamped or verified
        await self._check(stanza.to.bare, stanza.sender)
        self.host.route(stanza)

    def _is_available(self, account: JID) -> bool:
        return any(resource.presence is not None for resource in self.host.resources(str(account)))

    def _since(self, moment: float, text: str = "") -> Element:
        seconds = max(0, int(self.host.clock.seconds() - moment))
        return Element("query", NS, {"seconds": str(seconds)}, [text] if text else [])
