"""Subscriptions, across two domains and on one (RFC 6121, 3)."""

from __future__ import annotations

from tests.modules.roster.people import CAPULET, JULIET, MONTAGUE, NURSE, ROMEO, People, presence, pushed
from tests.routing.fakes import condition
from xmppfed.core.jid import JID
from xmppfed.core.roster import NS
from xmppfed.modules.roster.subscriptions import LONGEST_REQUEST
from xmppfed.storage.interface import StorageError


class RequestTests(People):
    """Asking for a subscription, and the answer (RFC 6121, 3.1)."""

    def test_request(self) -> None:
        """The request reaches the contact from the bare address, as it was written; then the user's roster is pushed, and the
        contact's is not: the request alone makes nobody a contact."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        juliet.send(presence("subscribe", romeo, "<status>It is I</status>"))
        juliet.expect(pushed(ROMEO, "none", " ask='subscribe'"))
        found = romeo.expect(f"<presence from='{JULIET}' to='{ROMEO}' type='subscribe'><status>It is I</status></presence>")
        self.assertEqual(found.attributes["from"], JULIET)
        for client in (juliet, romeo):
            client.expect_nothing()
        self.assertEqual((self.roster(juliet), self.roster(romeo)), ({ROMEO: {"subscription": "none", "ask": "subscribe"}}, {}))

    def test_granted(self) -> None:
        """The user hears `subscribed`, then the push, then the presence of each available resource of the contact."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        hall = self.come(f"{ROMEO}/hall")
        self.come(f"{ROMEO}/silent", presence=False)
        romeo.received.clear()
        juliet.send(presence("subscribe", romeo))
        juliet.take("iq")
        romeo.received.clear(), hall.received.clear()
        romeo.send(presence("subscribed", juliet))
        juliet.expect(f"<presence from='{ROMEO}' to='{JULIET}' type='subscribed'/>")
        juliet.expect(pushed(ROMEO, "to"))
        self.assertEqual([each.attributes["from"] for each in juliet.received], [f"{ROMEO}/orchard", f"{ROMEO}/hall"])
        for client in (romeo, hall):
            client.expect(pushed(JULIET, "from"))
            client.expect_nothing()

    def test_refused(self) -> None:
        """The user hears `unsubscribed`, then the push; the contact's roster shows nothing and no presence is sent."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        juliet.send(presence("subscribe", romeo))
        juliet.take("iq")
        romeo.take("presence")
        romeo.send(presence("unsubscribed", juliet))
        juliet.expect(f"<presence from='{ROMEO}' type='unsubscribed'/>")
        juliet.expect(pushed(ROMEO, "none"))
        for client in (juliet, romeo):
            client.expect_nothing()
        self.assertEqual(self.roster(juliet), {ROMEO: {"subscription": "none"}})

    def test_on_one_domain(self) -> None:
        """Two accounts of one server are no different."""
        juliet, nurse = self.come(f"{JULIET}/balcony"), self.come(f"{NURSE}/hall")
        juliet.send(presence("subscribe", nurse))
        juliet.expect(pushed(NURSE, "none", " ask='subscribe'"))
        nurse.expect(f"<presence from='{JULIET}' type='subscribe'/>")
        nurse.send(presence("subscribed", juliet))
        nurse.expect(pushed(JULIET, "from"))
        juliet.expect(f"<presence from='{NURSE}' type='subscribed'/>")
        juliet.expect(pushed(NURSE, "to"))
        juliet.expect(f"<presence from='{NURSE}/hall' to='{JULIET}'/>")
        for client in (juliet, nurse):
            client.expect_nothing()

    def test_waits_for_the_contact(self) -> None:
        """A request to an account that is not there is delivered as it came at each login until it is answered, to a resource
        that becomes available, once, whether or not it has asked for the roster (3.1.3)."""
        juliet = self.come(f"{JULIET}/balcony")
        self.federation.account(ROMEO)
        juliet.send(presence("subscribe", ROMEO, "<x xmlns='urn:x'>&amp;</x>"))
        wanted = f"<presence from='{JULIET}' to='{ROMEO}' type='subscribe'><x xmlns='urn:x'>&amp;</x></presence>"
        for resource in ("orchard", "hall"):
            romeo = self.federation.client(f"{ROMEO}/{resource}")
            romeo.expect(wanted)
            romeo.send("<presence><show>away</show></presence>")
            romeo.expect(f"<presence from='{ROMEO}/{resource}'/>")
            romeo.expect_nothing()
            romeo.close()
        romeo = self.federation.client(f"{ROMEO}/street")
        romeo.send(presence("subscribed", juliet))
        romeo.close()
        self.federation.client(f"{ROMEO}/street").expect_nothing()

    def test_a_second_request_is_not_shown(self) -> None:
        """While the first one waits (A.3.1)."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        for _ in range(2):
            juliet.send(presence("subscribe", romeo))
        self.assertEqual((len(romeo.received), len(juliet.received)), (1, 1))

    def test_a_subscriber_that_asks_is_answered_by_the_server(self) -> None:
        """Its own server may have forgotten: it hears `subscribed` and the presence, the contact nothing (3.1.3)."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        self.befriend(juliet, romeo)
        account = JID.parse(JULIET)
        self.federation.result(self.records(JULIET).change(account, "roster", {ROMEO: None}))
        juliet.close()
        juliet = self.come(f"{JULIET}/balcony")
        romeo.received.clear()
        juliet.send(presence("subscribe", romeo))
        juliet.take(f"<presence from='{ROMEO}' type='subscribed'/>")
        juliet.take(f"<presence from='{ROMEO}/orchard'/>")
        romeo.expect_nothing()
        self.assertEqual(self.roster(juliet), {ROMEO: {"subscription": "to"}})

    def test_long_requests(self) -> None:
        """Of a request longer than LONGEST_REQUEST it is kept that it was made."""
        juliet = self.come(f"{JULIET}/balcony")
        self.federation.account(ROMEO)
        juliet.send(presence("subscribe", ROMEO, f"<status>{'x' * LONGEST_REQUEST}</status>"))
        romeo = self.federation.client(f"{ROMEO}/orchard")
        found = romeo.expect(f"<presence from='{JULIET}' type='subscribe'/>")
        self.assertEqual(found.letter, b"")

    def test_oneself(self) -> None:
        """Nobody subscribes to himself; every resource sees the others anyway."""
        juliet = self.come(f"{JULIET}/balcony")
        juliet.send(presence("subscribe", juliet))
        self.assertEqual(condition(juliet.expect("presence")), "not-allowed")
        self.assertEqual(self.roster(juliet), {})


class EndTests(People):
    """Ending a subscription (RFC 6121, 3.2 and 3.3)."""

    def test_cancel(self) -> None:
        """The contact takes its grant back: the user hears `unsubscribed`, the push, and that each resource is unavailable."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        self.befriend(juliet, romeo)
        self.come(f"{ROMEO}/silent", presence=False)
        romeo.received.clear()
        romeo.send(presence("unsubscribed", juliet))
        romeo.expect(pushed(JULIET, "to"))
        juliet.expect(f"<presence from='{ROMEO}' type='unsubscribed'/>")
        juliet.expect(pushed(ROMEO, "from"))
        juliet.expect(f"<presence from='{ROMEO}/orchard' type='unavailable'/>")
        for client in (juliet, romeo):
            client.expect_nothing()

    def test_unsubscribe(self) -> None:
        """The user wants to see no more: the contact hears `unsubscribe` and the push, the user that it is unavailable."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        self.befriend(juliet, romeo)
        juliet.send(presence("unsubscribe", romeo))
        juliet.expect(pushed(ROMEO, "from"))
        juliet.expect(f"<presence from='{ROMEO}/orchard' type='unavailable'/>")
        romeo.expect(f"<presence from='{JULIET}' to='{ROMEO}' type='unsubscribe'/>")
        romeo.expect(pushed(JULIET, "to"))
        for client in (juliet, romeo):
            client.expect_nothing()

    def test_only_the_interested_hear(self) -> None:
        """Who has not asked for the roster is not told how it changes: neither push nor `unsubscribed` (3.2.3)."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        self.befriend(juliet, romeo)
        deaf = self.come(f"{JULIET}/chamber", interested=False)
        romeo.send(presence("unsubscribed", juliet))
        deaf.expect(f"<presence from='{ROMEO}/orchard' type='unavailable'/>")
        deaf.expect_nothing()

    def test_remove(self) -> None:
        """Removing a contact ends both subscriptions, on both sides (2.5.2); then nobody sees anybody."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        self.befriend(juliet, romeo)
        remove = f"<iq type='set'><query xmlns='{NS}'><item jid='{ROMEO}' subscription='remove'/></query></iq>"
        self.assertEqual(juliet.request(remove).type, "result")
        juliet.expect(pushed(ROMEO, "remove"))
        juliet.expect(f"<presence from='{ROMEO}/orchard' type='unavailable'/>")
        romeo.expect(f"<presence from='{JULIET}' type='unsubscribe'/>")
        romeo.expect(pushed(JULIET, "to"))
        romeo.expect(f"<presence from='{JULIET}' type='unsubscribed'/>")
        romeo.expect(pushed(JULIET, "none"))
        romeo.expect(f"<presence from='{JULIET}/balcony' type='unavailable'/>")
        for client in (juliet, romeo):
            client.expect_nothing()
        self.assertEqual((self.roster(juliet), self.roster(romeo)), ({}, {JULIET: {"subscription": "none"}}))
        self.assertEqual(condition(juliet.request(remove)), "item-not-found")

    def test_remove_takes_a_request_back(self) -> None:
        """A request on its way is ended as well; the contact is not asked any more."""
        juliet = self.come(f"{JULIET}/balcony")
        self.federation.account(ROMEO)
        juliet.send(presence("subscribe", ROMEO))
        juliet.request(f"<iq type='set'><query xmlns='{NS}'><item jid='{ROMEO}' subscription='remove'/></query></iq>")
        self.federation.client(f"{ROMEO}/orchard").expect_nothing()

    def test_a_request_outlives_the_contact(self) -> None:
        """Removing a contact that has asked refuses nothing: the question comes again at the next login, until it is
        answered."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        romeo.send(presence("subscribe", juliet))
        for item in (f"<item jid='{ROMEO}'/>", f"<item jid='{ROMEO}' subscription='remove'/>"):
            juliet.request(f"<iq type='set'><query xmlns='{NS}'>{item}</query></iq>")
        juliet.close()
        romeo.expect(pushed(JULIET, "none", " ask='subscribe'"))
        romeo.expect_nothing()
        juliet = self.federation.client(f"{JULIET}/balcony")
        juliet.expect(f"<presence from='{ROMEO}' type='subscribe'/>")


class ApprovalTests(People):
    """Subscriptions approved in advance (RFC 6121, 3.4)."""

    def test_approved(self) -> None:
        """`subscribed` to who has not asked goes nowhere, and is pushed; when he asks he is answered at once and sees the
        user, who is not asked but hears by a push."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        juliet.send(presence("subscribed", romeo))
        juliet.expect(pushed(ROMEO, "none", " approved='true'"))
        romeo.expect_nothing()
        romeo.send(presence("subscribe", juliet))
        juliet.expect(pushed(ROMEO, "from", " approved='true'"))
        juliet.expect_nothing()
        romeo.expect(pushed(JULIET, "none", " ask='subscribe'"))
        romeo.expect(f"<presence from='{JULIET}' type='subscribed'/>")
        romeo.expect(pushed(JULIET, "to"))
        romeo.expect(f"<presence from='{JULIET}/balcony'/>")
        romeo.expect_nothing()

    def test_taken_back(self) -> None:
        """`unsubscribed` takes the approval back; it goes nowhere, and is pushed."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        juliet.send(presence("subscribed", romeo))
        juliet.take("iq")
        juliet.send(presence("unsubscribed", romeo))
        juliet.expect(pushed(ROMEO, "none"))
        romeo.send(presence("subscribe", juliet))
        juliet.expect(f"<presence from='{ROMEO}' type='subscribe'/>")
        romeo.take("iq")
        romeo.expect_nothing()


class NobodyTests(People):
    """Accounts that do not exist (RFC 6121, 8.5.1)."""

    def test_nobody_answers(self) -> None:
        """Subscription stanzas to no account are ignored, as by an account that has not answered; nothing is kept."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        for client in (juliet, romeo):
            for type in ("subscribe", "subscribed", "unsubscribe", "unsubscribed"):
                client.send(presence(type, f"nobody@{MONTAGUE}"))
        for client in (juliet, romeo):
            self.assertEqual([each.kind for each in client.received if each.kind == "presence"], [])
        nobody = JID.parse(f"nobody@{MONTAGUE}")
        self.assertEqual(self.federation.result(self.records(ROMEO).read(nobody, "roster")), {})


class GuestTests(People):
    """Who has logged in without an account (RFC 4505)."""

    configuration = {CAPULET: {"services": {"c2s_ws": {"anonymous": [CAPULET]}}}}

    def test_a_guest_has_no_roster(self) -> None:
        """It is empty, and what would change it is refused; presence works nevertheless."""
        guest = self.federation.client(CAPULET)
        self.assertEqual(self.roster(guest), {})
        guest.send(presence("subscribe", ROMEO))
        self.assertEqual(condition(guest.expect("presence")), "not-allowed")
        set = f"<iq type='set'><query xmlns='{NS}'><item jid='{ROMEO}'/></query></iq>"
        self.assertEqual(condition(guest.request(set)), "not-allowed")


class BoundTests(People):
    """What one account can be made to keep."""

    configuration = {CAPULET: {"modules": {"roster": {"max_contacts": 2, "max_requests": 1}}}}

    def test_contacts(self) -> None:
        """A full roster takes no more contacts, by a roster set or by a request; those that are in it can be changed."""
        juliet = self.come(f"{JULIET}/balcony")
        for name in ("a", "b", "a"):
            answer = juliet.request(f"<iq type='set'><query xmlns='{NS}'><item jid='{name}@x' name='{name}'/></query></iq>")
            self.assertEqual(answer.type, "result")
        answer = juliet.request(f"<iq type='set'><query xmlns='{NS}'><item jid='c@x'/></query></iq>")
        self.assertEqual(condition(answer), "resource-constraint")
        juliet.received.clear()
        juliet.send(presence("subscribe", ROMEO))
        self.assertEqual(condition(juliet.expect("presence")), "resource-constraint")
        self.assertEqual(set(self.roster(juliet)), {"a@x", "b@x"})

    def test_requests(self) -> None:
        """More requests than may wait are ignored, without a word; they can be made again."""
        juliet, romeo, nurse = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard"), self.come(f"{NURSE}/hall")
        for client in (romeo, nurse):
            client.send(presence("subscribe", juliet))
        juliet.expect(f"<presence from='{ROMEO}' type='subscribe'/>")
        juliet.expect_nothing()
        juliet.send(presence("unsubscribed", romeo))
        nurse.send(presence("subscribe", juliet))
        juliet.expect(f"<presence from='{NURSE}' type='subscribe'/>")


class StorageTests(People):
    """Storage comes first."""

    def test_failure(self) -> None:
        """What cannot be stored has not happened: nobody hears of it, the sender gets an error, and it works later."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        records = self.records(JULIET)

        async def fail(*arguments: object, **options: object) -> None:
            raise StorageError("the disk is full")

        patched = self.patch(records, "change", fail)
        juliet.send(presence("subscribe", romeo))
        self.assertEqual(condition(juliet.expect("presence")), "internal-server-error")
        patched.restore()
        self.assertEqual(len(self.flushLoggedErrors(StorageError)), 1)
        romeo.expect_nothing()
        self.assertEqual(self.roster(juliet), {})
        juliet.send(presence("subscribe", romeo))
        romeo.expect("presence")
