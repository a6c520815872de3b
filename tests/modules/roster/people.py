"""What the tests of rosters share: two domains, and people on them whose clients have asked for their rosters."""

from __future__ import annotations

from typing import Any, Literal

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.roster import NS
from xmppfed.core.stanza import Stanza
from xmppfed.testing.client import Client
from xmppfed.testing.configuring import Settings
from xmppfed.testing.federation import Federation
from xmppfed.testing.patterns import stanza

CAPULET, MONTAGUE = "capulet.example", "montague.example"
JULIET, ROMEO, NURSE = f"juliet@{CAPULET}", f"romeo@{MONTAGUE}", f"nurse@{CAPULET}"
GET = f"<iq type='get'><query xmlns='{NS}'/></iq>"


class People(SynchronousTestCase):
    """A federation of two domains."""

    configuration: dict[str, Settings] = {}
    wire: Literal["memory", "websocket"] = "memory"

    def setUp(self) -> None:
        """Start the servers."""
        self.federation = Federation(CAPULET, MONTAGUE, wire=self.wire, configuration=self.configuration)
        self.addCleanup(self.federation.cleanup)

    def come(self, address: str, *, presence: bool = True, interested: bool = True) -> Client:
        """A client that has asked for its roster, and then has become available; what came of that is taken."""
        client = self.federation.client(address, presence=False)
        if interested:
            client.request(GET)
        if presence:
            client.send("<presence/>")
        client.received.clear()
        return client

    def befriend(self, one: Client, other: Client) -> None:
        """Both are subscribed to each other, and have heard all of it."""
        for user, contact in ((one, other), (other, one)):
            user.send(presence("subscribe", contact))
            contact.send(presence("subscribed", user))
        one.received.clear()
        other.received.clear()

    def roster(self, client: Client) -> dict[str, dict[str, str]]:
        """The contacts of a client: the attributes of each item but its address."""
        query = client.request(GET).element.child(f"{{{NS}}}query")
        assert query is not None
        return {item.attributes.pop("jid"): item.attributes for item in query.elements()}

    def records(self, address: str) -> Any:
        """The storage of the server of an address."""
        return self.federation.server(address.rpartition("@")[2]).storage.records


def presence(type: str | None, to: Client | str, more: str = "") -> Stanza:
    """Presence for the bare address of somebody."""
    bare = to if isinstance(to, str) else str(to.jid.bare)
    typed = "" if type is None else f" type='{type}'"
    return stanza(f"<presence to='{bare}'{typed}>{more}</presence>")


def pushed(jid: str, subscription: str, more: str = "") -> str:
    """The pattern of a push."""
    return f"<iq type='set'><query xmlns='{NS}'><item jid='{jid}' subscription='{subscription}'{more}/></query></iq>"
