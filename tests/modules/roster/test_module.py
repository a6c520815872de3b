"""The roster as clients get and set it (RFC 6121, 2)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import JULIET as HOSTED
from tests.modules.hosting import Hosting
from tests.modules.roster.people import CAPULET, GET, JULIET, NURSE, ROMEO, People, presence, pushed
from tests.routing.fakes import condition, stanza
from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.core.roster import NS
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.modules.roster.module import NS_APPROVAL, NS_VERSIONS, Roster
from xmppfed.testing.client import Client


def item(jid: str, *groups: str, **attributes: str) -> str:
    """A roster set with one item."""
    more = "".join(f" {name}='{value}'" for name, value in attributes.items())
    inside = "".join(f"<group>{group}</group>" for group in groups)
    return f"<iq type='set'><query xmlns='{NS}'><item jid='{jid}'{more}>{inside}</item></query></iq>"


def get(version: str) -> str:
    """A roster get of a client that has a version."""
    return f"<iq type='get'><query xmlns='{NS}' ver='{version}'/></iq>"


def version_of(stanza: Stanza) -> str:
    """The version in a result or a push."""
    query = stanza.element.child(f"{{{NS}}}query")
    assert query is not None
    return query.attributes["ver"]


class SetTests(People):
    """A client changes its roster."""

    def test_add_and_change(self) -> None:
        """Each change is pushed to every interested resource, the sender's too, and to no other; the result is empty."""
        juliet, chamber = self.come(f"{JULIET}/balcony"), self.come(f"{JULIET}/chamber")
        deaf = self.come(f"{JULIET}/deaf", interested=False)
        for client in (juliet, chamber):
            client.received.clear()
        for name, groups in (("Romeo", ("Friends",)), ("", ()), ("R", ("A", "B"))):
            answer = juliet.request(item(ROMEO, *groups, name=name))
            self.assertEqual((answer.type, answer.children), ("result", ()))
            for client in (juliet, chamber):
                query = client.expect("iq").element.child(f"{{{NS}}}query")
                assert query is not None
                [found] = query.elements()
                self.assertEqual((found.get("name", ""), tuple(group.text for group in found.elements())), (name, groups))
        deaf.expect_nothing()
        self.assertEqual(self.roster(chamber), {ROMEO: {"subscription": "none", "name": "R"}})

    def test_subscriptions_are_not_set(self) -> None:
        """A set changes name and groups and nothing else (2.3.2)."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        self.befriend(juliet, romeo)
        juliet.request(item(ROMEO, name="Romeo", subscription="none", ask="subscribe"))
        self.assertEqual(self.roster(juliet), {ROMEO: {"subscription": "both", "name": "Romeo"}})
        romeo.expect_nothing()

    def test_the_same_again(self) -> None:
        """A set that changes nothing is granted, and pushed to nobody."""
        juliet = self.come(f"{JULIET}/balcony")
        juliet.request(item(ROMEO, name="Romeo"))
        juliet.take("iq")
        self.assertEqual(juliet.request(item(ROMEO, name="Romeo")).type, "result")
        juliet.expect_nothing()

    def test_refused(self) -> None:
        """What is not acceptable (2.3.3) changes nothing; the roster of somebody else is none of the client's business."""
        juliet = self.come(f"{JULIET}/balcony")
        self.federation.account(NURSE)
        two = f"<iq type='set'><query xmlns='{NS}'><item jid='a@x'/><item jid='b@x'/></query></iq>"
        for written, wanted in (
            (two, "bad-request"),
            (item(ROMEO, "A", "A"), "bad-request"),
            (item(ROMEO, ""), "not-acceptable"),
            (item("x@y", subscription="remove"), "item-not-found"),
        ):
            self.assertEqual(condition(juliet.request(written)), wanted)
        for to in (NURSE, f"nobody@{CAPULET}"):
            for written in (item(ROMEO), GET):
                self.assertEqual(condition(juliet.request(written.replace("<iq", f"<iq to='{to}'"))), "service-unavailable")
        self.assertEqual(self.roster(juliet), {})

    def test_it_is_kept(self) -> None:
        """Storage has it before the answer comes: a client that logs in finds it, after everybody has left."""
        juliet = self.come(f"{JULIET}/balcony")
        juliet.request(item(ROMEO, name="Romeo"))
        self.assertIn(ROMEO, self.federation.result(self.records(JULIET).read(JID.parse(JULIET), "roster")))
        juliet.close()
        self.assertEqual(self.roster(self.come(f"{JULIET}/chamber")), {ROMEO: {"subscription": "none", "name": "Romeo"}})

    def test_an_account_made_anew_has_an_empty_roster(self) -> None:
        """Nothing of a deleted account is left in memory."""
        juliet = self.come(f"{JULIET}/balcony")
        juliet.request(item(ROMEO))
        server = self.federation.server(CAPULET)
        self.federation.result(server.storage.accounts.delete(CAPULET, "juliet"))
        juliet.close()
        self.assertEqual(self.roster(self.come(f"{JULIET}/balcony")), {})


class VersionTests(People):
    """Roster versioning (RFC 6121, 2.6)."""

    def setUp(self) -> None:
        """Juliet has two contacts, and notes the version with the first alone."""
        super().setUp()
        self.juliet = self.come(f"{JULIET}/balcony")
        self.juliet.request(item("a@x"))
        self.first = version_of(self.juliet.take("iq"))
        self.juliet.request(item("b@x"))
        self.second = version_of(self.juliet.take("iq"))

    def missed(self, version: str) -> tuple[list[str], Client]:
        """What comes to a new client that has a version: the type of the answer's child, then the contacts pushed."""
        client = self.come(f"{JULIET}/chamber", interested=False)
        client.send(get(version).replace("<iq", "<iq id='1'"))
        return [child for each in client.received for child in each.children], client

    def test_features(self) -> None:
        """Versions and approval in advance are announced to a client that has logged in."""
        offered = self.juliet.connection.stream.offered
        assert offered is not None
        self.assertIsNotNone(offered.child(f"{{{NS_VERSIONS}}}ver"))
        self.assertIsNotNone(offered.child(f"{{{NS_APPROVAL}}}sub"))

    def test_nothing_missed(self) -> None:
        """With the present version the result is empty, and nothing is pushed."""
        children, client = self.missed(self.second)
        self.assertEqual((children, [each.type for each in client.received]), ([], ["result"]))

    def test_something_missed(self) -> None:
        """With an older one the empty result comes first, then a push for each contact that changed, with its version."""
        _, client = self.missed(self.first)
        self.assertEqual(client.expect("<iq type='result' id='1'/>").children, ())
        self.assertEqual(version_of(client.expect(pushed("b@x", "none"))), self.second)
        client.expect_nothing()

    def test_everything_missed(self) -> None:
        """With a version that is not known the whole roster comes with its version, as it does without one."""
        for version in ("", "x"):
            _, client = self.missed(version)
            answer = client.expect("<iq type='result' id='1'/>")
            self.assertEqual((version_of(answer), answer.element.to_xml().count("<item")), (self.second, 2))
            client.close()
        self.assertEqual(version_of(self.juliet.request(GET)), self.second)

    def test_it_hears_what_comes_next(self) -> None:
        """A client that missed nothing is interested like any other."""
        _, client = self.missed(self.second)
        client.received.clear()
        self.juliet.request(item("c@x"))
        client.expect(pushed("c@x", "none"))


class GoneTests(SynchronousTestCase):
    """A session that ends while its request waits for its turn."""

    def test_roster_get(self) -> None:
        """It is refused like one to an account that is not there, and leaves nothing behind."""
        server = Hosting(Roster)
        server.sessions.remove(server.juliet)
        asked = stanza("iq", "get", "juliet@example.org", f"{{{NS}}}query", sender=HOSTED)
        error = self.assertRaises(StanzaError, server.handlers.takers["get", f"{{{NS}}}query", "account"], asked)
        self.assertEqual(error.condition, StanzaCondition.SERVICE_UNAVAILABLE)


class SeesTests(People):
    """Other modules ask who sees whom."""

    def test_subscribed(self) -> None:
        """Subscribers see the account, and it sees itself, connected or not; nobody else does."""
        juliet, romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        juliet.send(presence("subscribe", romeo))
        romeo.send(presence("subscribed", juliet))
        server = self.federation.server(CAPULET)
        for _ in range(2):
            for account, watcher, wanted in ((JULIET, JULIET, True), (JULIET, ROMEO, False), (JULIET, NURSE, False)):
                asked = server.router.handlers.subscribed(JID.parse(account), JID.parse(f"{watcher}/x"))
                self.assertEqual(self.federation.result(asked), wanted)
            asked = self.federation.server("montague.example").router.handlers.subscribed(JID.parse(ROMEO), JID.parse(JULIET))
            self.assertTrue(self.federation.result(asked))
            juliet.close(), romeo.close()


class BesideTests(SynchronousTestCase):
    """Contacts that nobody stores."""

    def test_whole_and_without_version(self) -> None:
        """Where a service has contacts for an account they stand in its roster, which is not kept by clients: it is whole,
        whatever version a client has. Other accounts have theirs as always."""
        server = Hosting(Roster)
        beside: dict[str, list[Element]] = {}
        server.handlers.add(("roster", "contacts"), beside.get, "somebody")
        self.successResultOf(Deferred.fromCoroutine(server.modules[0].prepare(JID.parse("juliet@example.org"))))
        query = next(server.ask("get", None, f"{{{NS}}}query", ver="0").element.elements(), None)
        self.assertIsNone(query)
        beside["juliet@example.org"] = [Element("item", NS, {"jid": "romeo@local"})]
        query = next(server.ask("get", None, f"{{{NS}}}query", ver="0").element.elements())
        self.assertEqual(([item.get("jid") for item in query.elements()], query.get("ver")), (["romeo@local"], None))
