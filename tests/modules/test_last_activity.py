"""Last Activity (XEP-0012)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.fakes import condition
from xmppfed.modules.last_activity import NS
from xmppfed.testing.client import Client
from xmppfed.testing.federation import Federation

JULIET, ROMEO, NURSE = "juliet@capulet.example", "romeo@montague.example", "nurse@capulet.example"
ASK = f"<iq type='get'{{}}><query xmlns='{NS}'/></iq>"


class LastActivityCase(SynchronousTestCase):
    """juliet, with romeo elsewhere and the nurse here."""

    def setUp(self) -> None:
        self.federation = Federation("capulet.example", "montague.example")
        self.addCleanup(self.federation.cleanup)
        self.juliet = self.federation.client(f"{JULIET}/balcony")
        self.nurse = self.federation.client(f"{NURSE}/hall")
        self.romeo = self.federation.client(f"{ROMEO}/orchard")

    def ask(self, client: Client, to: str = "") -> tuple[str, str] | str:
        """Seconds and status, or the condition of the error."""
        answer = client.request(ASK.format(f" to='{to}'" if to else ""))
        if answer.type == "error":
            return condition(answer)
        [query] = answer.element.elements()
        return query.get("seconds") or "", query.text

    def subscribe(self, *others: Client) -> None:
        """Let others see juliet's presence."""
        for other in others:
            other.send(f"<presence to='{JULIET}' type='subscribe'/>")
            self.juliet.send(f"<presence to='{other.jid.bare}' type='subscribed'/>")
            other.received.clear()
        self.juliet.received.clear()


class ServerTests(LastActivityCase):
    """The server."""

    def test_uptime(self) -> None:
        """Seconds since it was started, whoever asks (XEP-0012, 5)."""
        self.federation.advance(20)
        for client in (self.juliet, self.romeo):
            self.assertEqual(self.ask(client, "capulet.example"), ("20", ""))


class AccountTests(LastActivityCase):
    """An account, by its bare address (XEP-0012, 3)."""

    def test_available(self) -> None:
        """0 as long as a resource is available, to its owner and to subscribers."""
        self.subscribe(self.romeo, self.nurse)
        self.federation.advance(5)
        for client, to in ((self.juliet, ""), (self.juliet, JULIET), (self.romeo, JULIET), (self.nurse, JULIET)):
            self.assertEqual(self.ask(client, to), ("0", ""))

    def test_gone(self) -> None:
        """Seconds since the last resource went, with what it said then; a resource that is connected without having said
        that it is there does not count."""
        self.subscribe(self.romeo, self.nurse)
        tablet = self.federation.client(f"{JULIET}/tablet")
        tablet.send("<presence type='unavailable'><status>first</status></presence>")
        self.federation.advance(3)
        self.assertEqual(self.ask(self.romeo, JULIET), ("0", ""))
        self.juliet.send("<presence type='unavailable'><status>Heading &lt;Home&gt;</status></presence>")
        self.federation.advance(7)
        for client, to in ((self.romeo, JULIET), (self.nurse, JULIET.upper()), (tablet, "")):
            self.assertEqual(self.ask(client, to), ("7", "Heading <Home>"))
        self.juliet.send("<presence/>")
        self.assertEqual(self.ask(self.romeo, JULIET), ("0", ""))
        self.juliet.cut()
        self.federation.advance(2)
        self.assertEqual(self.ask(self.romeo, JULIET), ("2", ""))

    def test_never_there(self) -> None:
        """There is nothing to tell of an account that was never available."""
        client = self.federation.client("tybalt@capulet.example/x", presence=False)
        self.assertEqual(self.ask(client), "item-not-found")

    def test_long_status(self) -> None:
        """What is kept of it is bounded."""
        self.juliet.send(f"<presence type='unavailable'><status>{'x' * 5000}</status></presence>")
        self.assertEqual(self.ask(self.juliet), ("0", "x" * 1024))

    def test_not_for_strangers(self) -> None:
        """Who may not see the presence is forbidden to ask, and cannot tell whether there is such an account."""
        self.juliet.send(f"<presence to='{ROMEO}' type='subscribe'/>")
        for client in (self.romeo, self.nurse):
            for account in (JULIET, "nobody@capulet.example"):
                self.assertEqual(self.ask(client, account), "forbidden")

    def test_guests(self) -> None:
        """Nothing is kept of who has no account."""
        federation = Federation("guests.example", configuration={"*": "[services.c2s_ws]\nanonymous = ['guests.example']"})
        self.addCleanup(federation.cleanup)
        guest = federation.client("guests.example")
        guest.send("<presence type='unavailable'/>")
        self.assertEqual(self.ask(guest), "item-not-found")


class ResourceTests(LastActivityCase):
    """A resource, by its full address (XEP-0012, 4)."""

    def test_its_client_is_asked(self) -> None:
        """By who may see the presence; the answer is the client's."""
        self.subscribe(self.romeo, self.nurse)
        for client in (self.romeo, self.nurse):
            client.send(ASK.format(f" to='{JULIET}/balcony' id='1'"))
            asked = self.juliet.expect(f"<iq type='get'><query xmlns='{NS}'/></iq>")
            self.juliet.send(asked.reply().with_attributes(sender=None))
            client.expect("<iq type='result' id='1'/>")

    def test_by_the_own_account(self) -> None:
        """Resources of one account may always ask each other."""
        tablet = self.federation.client(f"{JULIET}/tablet")
        self.juliet.received.clear()
        tablet.send(ASK.format(f" to='{JULIET}/balcony' id='1'"))
        self.juliet.expect("iq")

    def test_not_by_strangers(self) -> None:
        """The client hears nothing of others, who cannot tell whether it is there."""
        for client in (self.romeo, self.nurse):
            for to in (f"{JULIET}/balcony", f"{JULIET}/gone", "nobody@capulet.example/x"):
                self.assertEqual(self.ask(client, to), "forbidden")
        self.juliet.expect_nothing()

    def test_of_others(self) -> None:
        """What is asked of other servers, of rooms, or in another way, is not ours to judge."""
        self.juliet.send(ASK.format(f" to='{ROMEO}/orchard' id='1'"))
        self.assertEqual(condition(self.juliet.expect("iq")), "forbidden")  # their server judges the same
        self.juliet.send(f"<iq type='set' id='2' to='{NURSE}/hall'><query xmlns='{NS}'/></iq>")
        self.nurse.expect("<iq type='set'/>")
