"""Presence: who hears of whom (RFC 6121, 4)."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import Hosting
from tests.modules.roster.people import CAPULET, JULIET, MONTAGUE, NURSE, ROMEO, People, presence
from tests.routing.fakes import RecordingSession, available, condition
from xmppfed.core import roster as core
from xmppfed.core.jid import JID
from xmppfed.core.stanza import Stanza
from xmppfed.core.subscription import State
from xmppfed.modules.roster.module import Roster
from xmppfed.modules.roster.presences import MOST_DIRECTED
from xmppfed.testing.client import Client

TYBALT = f"tybalt@{CAPULET}"


def came(client: Client) -> list[tuple[str, str | None]]:
    """From whom presence came, and of which type."""
    found = [(each.attributes["from"], each.type) for each in client.received if each.kind == "presence"]
    client.received.clear()
    return found


class FriendsCase(People):
    """Juliet, and friends of hers on both domains; a stranger on each."""

    def setUp(self) -> None:
        """They have become friends, and are on line, except for Juliet."""
        super().setUp()
        juliet = self.come(f"{JULIET}/balcony")
        self.romeo, self.nurse = self.come(f"{ROMEO}/orchard"), self.come(f"{NURSE}/hall")
        self.strangers = self.come(f"mercutio@{MONTAGUE}/square"), self.come(f"{TYBALT}/square")
        self.befriend(juliet, self.romeo)
        self.befriend(juliet, self.nurse)
        juliet.close()
        self.forget()

    def forget(self) -> None:
        """What came so far does not matter."""
        for client in self.federation.clients:
            client.received.clear()


class BroadcastTests(FriendsCase):
    """A resource comes, changes and goes."""

    def test_it_comes(self) -> None:
        """Each subscriber hears of it, here and elsewhere, and no stranger; the presence is passed on as it was written."""
        juliet = self.federation.client(f"{JULIET}/balcony", presence=False)
        for client in (self.romeo, self.nurse):
            client.expect_nothing()
        juliet.send("<presence><show>chat</show><priority>3</priority><x xmlns='urn:x'/></presence>")
        for client, to in ((self.romeo, ROMEO), (self.nurse, NURSE)):
            said = "<show>chat</show><priority>3</priority><x xmlns='urn:x'/>"
            client.expect(f"<presence from='{JULIET}/balcony' to='{to}'>{said}</presence>")
            client.expect_nothing()
        for stranger in self.strangers:
            stranger.expect_nothing()

    def test_it_hears_of_its_contacts(self) -> None:
        """With its first presence it gets that of each contact, on both domains; with the next it does not."""
        self.come(f"{ROMEO}/hall"), self.come(f"{NURSE}/kitchen", presence=False)
        juliet = self.federation.client(f"{JULIET}/balcony")
        wanted = [(f"{NURSE}/hall", None), (f"{ROMEO}/hall", None), (f"{ROMEO}/orchard", None)]
        self.assertEqual(sorted(came(juliet), key=str), wanted)
        juliet.send("<presence><show>away</show></presence>")
        self.assertEqual(came(juliet), [(f"{JULIET}/balcony", None)])

    def test_each_resource_hears(self) -> None:
        """A second resource gets the same; the first hears of local contacts no second time."""
        balcony = self.federation.client(f"{JULIET}/balcony")
        self.forget()
        chamber = self.federation.client(f"{JULIET}/chamber")
        self.assertIn((f"{NURSE}/hall", None), came(chamber))
        self.assertNotIn((f"{NURSE}/hall", None), came(balcony))

    def test_it_changes(self) -> None:
        """Each change is broadcast."""
        juliet = self.federation.client(f"{JULIET}/balcony")
        self.forget()
        juliet.send("<presence><show>away</show></presence>")
        for client in (self.romeo, self.nurse):
            client.expect(f"<presence from='{JULIET}/balcony'><show>away</show></presence>")
            client.expect_nothing()

    def test_it_goes(self) -> None:
        """By saying so, with its own words; by closing its stream; or by being cut off. Subscribers hear it once."""
        for leave in ("say", "close", "cut"):
            juliet = self.federation.client(f"{JULIET}/{leave}")
            self.forget()
            if leave == "say":
                juliet.send("<presence type='unavailable'><status>bye</status></presence>")
                self.assertIn(b"bye", self.romeo.received[0].letter)
                juliet.close()
            elif leave == "close":
                juliet.close()
            else:
                juliet.cut()
            for client in (self.romeo, self.nurse):
                self.assertEqual(came(client), [(f"{JULIET}/{leave}", "unavailable")])

    def test_who_was_not_there_does_not_go(self) -> None:
        """A session without presence comes and goes unnoticed; unavailable presence before any other is not passed on."""
        juliet = self.federation.client(f"{JULIET}/balcony", presence=False)
        juliet.send("<presence type='unavailable'/>")
        juliet.close()
        for client in (self.romeo, self.nurse):
            client.expect_nothing()

    def test_unavailable_and_back(self) -> None:
        """Whoever was unavailable and comes back is new: contacts are asked again."""
        juliet = self.federation.client(f"{JULIET}/balcony")
        juliet.send("<presence type='unavailable'/>")
        juliet.received.clear()
        juliet.send("<presence/>")
        self.assertIn((f"{ROMEO}/orchard", None), came(juliet))

    def test_one_way(self) -> None:
        """Who is seen and does not see, and who sees and is not seen."""
        tybalt, juliet = self.strangers[1], self.federation.client(f"{JULIET}/balcony")
        tybalt.send(presence("subscribe", juliet))
        juliet.send(presence("subscribed", tybalt))
        self.forget()
        juliet.send("<presence/>"), tybalt.send("<presence/>")
        self.assertEqual(came(tybalt), [(f"{JULIET}/balcony", None), (f"{TYBALT}/square", None)])
        self.assertEqual(came(juliet), [(f"{JULIET}/balcony", None)])

    def test_a_desynchronized_contact_is_not_shown(self) -> None:
        """What counts is the contact's own roster: who is not subscribed by it sees nothing at login."""
        self.nurse.close()
        self.federation.result(self.records(NURSE).change(JID.parse(NURSE), "roster", {JULIET: None}))
        self.come(f"{NURSE}/hall")
        self.assertNotIn((f"{NURSE}/hall", None), came(self.federation.client(f"{JULIET}/balcony")))


class ProbeTests(FriendsCase):
    """Probes (RFC 6121, 4.3)."""

    def probe(self, client: Client, to: str) -> list[tuple[str, str | None]]:
        """What comes back to a probe."""
        self.forget()
        client.send(f"<presence to='{to}' type='probe'/>")
        return came(client)

    def test_a_subscriber_is_answered(self) -> None:
        """With the last presence of each available resource, or of the one it asked for."""
        self.come(f"{JULIET}/balcony"), self.come(f"{JULIET}/chamber"), self.come(f"{JULIET}/silent", presence=False)
        for client in (self.romeo, self.nurse):
            self.assertEqual(self.probe(client, JULIET), [(f"{JULIET}/balcony", None), (f"{JULIET}/chamber", None)])
            self.assertEqual(self.probe(client, f"{JULIET}/chamber"), [(f"{JULIET}/chamber", None)])

    def test_nobody_is_there(self) -> None:
        """A subscriber is told that what it asks for, the account or one resource, is unavailable, connected or not."""
        for _ in range(2):
            for client in (self.romeo, self.nurse):
                for to in (JULIET, f"{JULIET}/balcony"):
                    self.assertEqual(self.probe(client, to), [(to, "unavailable")])
            self.come(f"{JULIET}/silent", presence=False)

    def test_one_resource_is_not_there(self) -> None:
        """That says nothing of the others."""
        self.come(f"{JULIET}/balcony")
        for client in (self.romeo, self.nurse):
            self.assertEqual(self.probe(client, f"{JULIET}/gone"), [(f"{JULIET}/gone", "unavailable")])

    def test_a_stranger_learns_nothing(self) -> None:
        """Its server is told that it is not subscribed, by the bare address, whether somebody is there, nobody is, or there is
        no such account (4.3.2 and 13.3); it is not told itself, for to it that is no news (A.3.4)."""
        self.come(f"{JULIET}/balcony")
        seen: list[tuple[str, str | None]] = []

        def look(stanza: Stanza) -> Stanza:
            seen.append((stanza.attributes["from"], stanza.type))
            return stanza

        self.federation.server(CAPULET).router.handlers.add(("hook", "routed"), look, "m")
        for stranger in self.strangers:
            for to in (JULIET, f"{JULIET}/balcony", f"{JULIET}/gone", f"nobody@{CAPULET}", f"nobody@{CAPULET}/x"):
                seen.clear()
                self.assertEqual(self.probe(stranger, to), [])
                asked = (str(stranger.jid.bare), "probe")
                self.assertEqual(seen, [asked, (to.partition("/")[0], "unsubscribed")])

    def test_oneself(self) -> None:
        """Every resource may ask for its own account."""
        juliet = self.come(f"{JULIET}/balcony")
        self.assertEqual(self.probe(juliet, JULIET), [(f"{JULIET}/balcony", None)])

    def test_a_probe_shows_no_resource(self) -> None:
        """A client's probe goes out from its bare address (4.3.1), so that the asked one does not learn that it is there."""
        seen: list[str] = []

        def look(stanza: Stanza) -> Stanza:
            seen.append(stanza.attributes["from"])
            return stanza

        self.federation.server(CAPULET).router.handlers.add(("hook", "received"), look, "m")
        self.probe(self.romeo, JULIET)
        self.assertEqual(seen, [ROMEO])

    def test_a_stranger_that_is_told_it_is_not_subscribed_ends_its_side(self) -> None:
        """When the two rosters differ, a probe at login puts them right."""
        self.federation.result(self.records(JULIET).change(JID.parse(JULIET), "roster", {ROMEO: None}))
        self.romeo.close()
        self.federation.advance(1)
        romeo = self.come(f"{ROMEO}/orchard")
        self.assertEqual(self.roster(romeo)[JULIET]["subscription"], "from")


class DirectedTests(FriendsCase):
    """Presence to one address (RFC 6121, 4.6)."""

    def test_clean_up(self) -> None:
        """Whoever was told that a resource is available is told when it is no more, in whatever way that comes about; once,
        and also if the resource had no presence of its own."""
        mercutio, tybalt = self.strangers
        for leave in ("say", "close", "cut", "silent"):
            juliet = self.federation.client(f"{JULIET}/{leave}", presence=leave != "silent")
            juliet.send(presence(None, mercutio, "<show>dnd</show>"))
            juliet.send(presence(None, f"{TYBALT}/square"))
            for client in (mercutio, tybalt):
                self.assertEqual(came(client), [(f"{JULIET}/{leave}", None)])
            if leave == "say":
                juliet.send("<presence type='unavailable'/>")
            juliet.cut() if leave == "cut" else juliet.close()
            for client in (mercutio, tybalt):
                self.assertEqual(came(client), [(f"{JULIET}/{leave}", "unavailable")], leave)

    def test_changes_are_not_sent(self) -> None:
        """What a resource broadcasts reaches its subscribers alone."""
        juliet = self.federation.client(f"{JULIET}/balcony")
        juliet.send(presence(None, self.strangers[0]))
        self.forget()
        juliet.send("<presence><show>away</show></presence>")
        self.strangers[0].expect_nothing()

    def test_taken_back(self) -> None:
        """Who was told that the resource is unavailable is not told again."""
        juliet = self.federation.client(f"{JULIET}/balcony")
        for type in (None, "unavailable"):
            juliet.send(presence(type, self.strangers[0]))
        self.forget()
        juliet.close()
        self.strangers[0].expect_nothing()

    def test_a_subscriber_hears_once(self) -> None:
        """Directed presence to a subscriber, whichever resource of his, changes nothing about what he hears at the end."""
        juliet = self.federation.client(f"{JULIET}/balcony")
        juliet.send(presence(None, f"{ROMEO}/orchard"))
        self.forget()
        juliet.close()
        self.assertEqual(came(self.romeo), [(f"{JULIET}/balcony", "unavailable")])

    def test_hiding_from_a_subscriber(self) -> None:
        """A subscriber that was told directly that a resource is unavailable is not told again, and a probe of his does not
        find it; until it broadcasts."""
        juliet = self.federation.client(f"{JULIET}/balcony")
        self.forget()
        juliet.send(presence("unavailable", self.romeo))
        self.assertEqual(came(self.romeo), [(f"{JULIET}/balcony", "unavailable")])
        self.romeo.send(presence("probe", JULIET))
        self.assertEqual(came(self.romeo), [])
        juliet.send("<presence/>")
        self.assertEqual(came(self.romeo), [(f"{JULIET}/balcony", None)])
        juliet.send(presence("unavailable", self.romeo))
        self.romeo.received.clear()
        juliet.close()
        self.romeo.expect_nothing()

    def test_errors_are_no_presence(self) -> None:
        """An error tells nobody that the resource is there."""
        juliet = self.federation.client(f"{JULIET}/balcony")
        juliet.send(presence("error", f"{TYBALT}/square"))
        self.forget()
        juliet.close()
        self.strangers[1].expect_nothing()

    def test_bound(self) -> None:
        """One resource can tell so many; more is refused. Those it has told already it may tell again."""
        juliet = self.federation.client(f"{JULIET}/balcony", presence=False)
        told = self.federation.server(CAPULET).sessions.resources[f"{JULIET}/balcony"].directed
        told.update((f"{number}@{CAPULET}", True) for number in range(MOST_DIRECTED - 1))
        juliet.send(presence(None, f"last@{CAPULET}"))
        juliet.send(presence(None, f"last@{CAPULET}"))
        juliet.expect_nothing()
        juliet.send(presence(None, f"more@{CAPULET}"))
        self.assertEqual(condition(juliet.expect("presence")), "resource-constraint")


class ManyContactsTests(SynchronousTestCase):
    """A contact list of a thousand, of whom a hundred are on line."""

    def login(self, contacts: int, present: int) -> tuple[int, list[Stanza], list[RecordingSession]]:
        """Juliet becomes available: how many Deferreds that takes, what she gets, and her contacts on line."""
        server = Hosting(Roster)
        names = [f"c{number}@example.org" for number in range(contacts)]
        self.fill(server, "juliet@example.org", *names)
        friends = []
        for name in names[:present]:
            self.fill(server, name, "juliet@example.org")
            friends.append(server.session(f"{name}/x", 0))
        made: list[object] = []
        real = Deferred.__init__

        def count(deferred: Deferred[object], *arguments: Any, **options: Any) -> None:
            made.append(deferred)
            real(deferred, *arguments, **options)

        patched = self.patch(Deferred, "__init__", count)
        server.router.route_sent(available(str(server.juliet.jid), 5))
        patched.restore()
        return len(made), server.juliet.take(), friends

    def fill(self, server: Hosting, account: str, *contacts: str) -> None:
        """An account with contacts that it sees and that see it, in memory."""
        jid, roster = JID.parse(account), core.Roster()
        records = {}
        for contact in contacts:
            change = roster.change(core.Contact(contact, State.BOTH, listed=True), 1.0)
            roster.apply(change)
            records.update(change.records)
        work = (
            server.storage.accounts.create(jid.domain, jid.local, {}),
            server.storage.records.change(jid, "roster", records),
            server.handlers.binders[0](jid),
        )
        for each in work:
            self.successResultOf(Deferred.fromCoroutine(cast(Any, each)))

    def test_no_deferred_per_contact(self) -> None:
        """A login takes as many Deferreds with a thousand contacts as with one, in one turn; everybody who is there is seen."""
        few, many = self.login(1, 1), self.login(1000, 100)
        self.assertEqual(many[0], few[0])
        self.assertEqual([len(many[1]), [len(friend.take()) for friend in many[2]]], [101, [1] * 100])

    def test_the_letter_is_shared(self) -> None:
        """What all subscribers get is the same bytes in envelopes of their own."""
        _, mine, friends = self.login(10, 10)
        letters = [stanza.letter for friend in friends for stanza in friend.take()]
        self.assertEqual({id(letter) for letter in letters}, {id(mine[0].letter)})


class PriorityTests(FriendsCase):
    """Several clients of one account."""

    def test_negative(self) -> None:
        """A resource of negative priority is seen like any other, and gets presence; messages to the account it does not."""
        juliet = self.come(f"{JULIET}/balcony", presence=False)
        juliet.send("<presence><priority>-1</priority></presence>")
        self.assertIn((f"{ROMEO}/orchard", None), came(juliet))
        self.assertEqual(came(self.romeo), [(f"{JULIET}/balcony", None)])
