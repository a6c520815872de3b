"""Rosters as values (RFC 6121, 2)."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.core.roster import LONGEST_NAME, MOST_GROUPS, NS, Change, Contact, ItemSet, Roster, read_set
from xmppfed.core.subscription import State
from xmppfed.errors import StanzaCondition, StanzaError

JULIET = JID.parse("juliet@example.org")
ROMEO = "romeo@example.net"


def query(*items: Element) -> Element:
    """A roster set."""
    return Element("query", NS, {}, list(items))


def item(jid: str | None = ROMEO, *groups: str, **attributes: str) -> Element:
    """An item of one."""
    if jid is not None:
        attributes["jid"] = jid
    return Element("item", NS, attributes, [Element("group", NS, {}, [group] if group else []) for group in groups])


contacts = st.builds(
    Contact,
    st.just(ROMEO),
    st.sampled_from(State),
    st.text(max_size=20),
    st.lists(st.text(max_size=20), max_size=3).map(tuple),
    st.booleans(),
    st.booleans(),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
    st.integers(0, 2**50),
)


class ContactTests(SynchronousTestCase):
    """One contact."""

    @given(contacts)
    def test_storage_keeps_all_of_it(self, contact: Contact) -> None:
        """What is read is what was written."""
        self.assertEqual(Contact.from_values(ROMEO, json.loads(contact.to_record())), contact)

    def test_a_record_says_only_what_there_is(self) -> None:
        """A contact of whom there is nothing to say takes little room."""
        self.assertEqual(Contact(ROMEO, listed=True).to_record(), b'{"state": "none", "listed": true}')

    def test_what_clients_see(self) -> None:
        """Name, groups, both kinds of subscription, a request on its way and an approval; what is not there is not said."""
        everything = Contact(ROMEO, State.FROM_PENDING_OUT, "Ro & Meo", ("Friends", "Lovers"), True, True, b"<presence/>", 7)
        self.assertEqual(
            everything.item().to_xml(NS),
            "<item jid='romeo@example.net' subscription='from' name='Ro &amp; Meo' ask='subscribe' approved='true'>"
            "<group>Friends</group><group>Lovers</group></item>",
        )
        self.assertEqual(Contact(ROMEO).item().to_xml(NS), "<item jid='romeo@example.net' subscription='none'/>")

    def test_what_is_kept(self) -> None:
        """A contact is kept as long as clients see it or its request waits."""
        for contact, kept in (
            (Contact(ROMEO), False),
            (Contact(ROMEO, listed=True), True),
            (Contact(ROMEO, State.NONE_PENDING_IN), True),
        ):
            self.assertEqual(contact.is_kept, kept)


class RosterTests(SynchronousTestCase):
    """A roster and its versions."""

    def changed(self, roster: Roster, contact: Contact, now: float = 1.0) -> Change:
        """A change that was stored and made; what storage has gives the same roster again."""
        change = roster.change(contact, now)
        roster.apply(change)
        return change

    def test_a_change_is_made_when_it_is_applied(self) -> None:
        """Storage comes first: until then the roster is what it was."""
        roster = Roster()
        change = roster.change(Contact(ROMEO, listed=True), 1.0)
        self.assertEqual((roster.contacts, roster.version), ({}, 0))
        roster.apply(change)
        self.assertEqual((list(roster.contacts), roster.version), ([ROMEO], 1000))

    def test_versions_grow(self) -> None:
        """A version is the time in milliseconds, or one more than the last where that is not later."""
        roster = Roster()
        versions = [self.changed(roster, Contact(ROMEO, listed=True), now).version for now in (2.0, 2.0, 1.0, 3.0)]
        self.assertEqual(versions, [2000, 2001, 2002, 3000])
        self.assertEqual(roster.contacts[ROMEO].version, 3000)

    def test_what_clients_do_not_see_is_no_version(self) -> None:
        """A request that waits is kept, and is not pushed (RFC 6121, 2.6.1)."""
        roster = Roster()
        self.changed(roster, Contact(ROMEO, State.NONE_PENDING_IN, request=b"<presence/>"))
        self.assertEqual((roster.version, list(roster.listed())), (0, []))
        self.assertEqual([contact.jid for contact in roster.waiting()], [ROMEO])

    def test_pushes(self) -> None:
        """A push has the version and one item; one that is no longer seen is removed, whether its request waits or not."""
        roster = Roster()
        kept = self.changed(roster, Contact(ROMEO, State.TO, listed=True))
        self.assertEqual(
            kept.pushed().to_xml(), f"<query xmlns='{NS}' ver='1000'><item jid='{ROMEO}' subscription='to'/></query>"
        )
        hidden = self.changed(roster, Contact(ROMEO, State.NONE_PENDING_IN, request=b"<presence/>"))
        self.assertEqual(
            hidden.pushed().to_xml(), f"<query xmlns='{NS}' ver='1001'><item jid='{ROMEO}' subscription='remove'/></query>"
        )
        self.assertEqual(list(roster.contacts), [ROMEO])

    def test_who_is_gone_leaves_no_record(self) -> None:
        """A contact that is not kept is removed from storage and from memory."""
        roster = Roster()
        self.changed(roster, Contact(ROMEO, listed=True))
        change = self.changed(roster, Contact(ROMEO))
        self.assertEqual((change.records, roster.contacts), ({ROMEO: None, "": b"1001"}, {}))

    def test_a_client_that_knows_the_version_misses_nothing(self) -> None:
        """Also where there was never a change."""
        roster = Roster()
        self.assertEqual(roster.since("0"), [])
        self.changed(roster, Contact(ROMEO, listed=True))
        self.assertEqual(roster.since("1000"), [])

    def test_a_client_gets_what_it_missed(self) -> None:
        """Each contact that was changed since, once, the oldest change first (RFC 6121, 2.6.3)."""
        roster = Roster()
        for jid in ("a@a", "b@b", "c@c", "a@a"):
            self.changed(roster, Contact(jid, listed=True))
        missed = roster.since("1001")
        assert missed is not None
        self.assertEqual([(contact.jid, contact.version) for contact in missed], [("c@c", 1002), ("a@a", 1003)])

    def test_who_needs_the_whole_roster(self) -> None:
        """Versions that we do not know, those before the last removal, and those before the first change."""
        roster = Roster()
        self.changed(roster, Contact(ROMEO, listed=True))
        for version in ("", "0", "999", "1001", "-1", "x", "\N{SUPERSCRIPT TWO}", "1" * 19):
            self.assertIsNone(roster.since(version), version)
        self.changed(roster, Contact("a@a", listed=True))
        self.changed(roster, Contact(ROMEO))
        self.changed(roster, Contact("b@b", listed=True))
        self.assertIsNone(roster.since("1001"))
        self.assertEqual([contact.jid for contact in roster.since("1002") or ()], ["b@b"])

    def test_who_sees_whom(self) -> None:
        """Subscribers, and by domain those whom the user sees; a change is seen at once."""
        roster = Roster()
        for jid, state in (
            ("a@x", State.BOTH),
            ("b@x", State.FROM_PENDING_OUT),
            ("c@x", State.TO),
            ("d@x", State.NONE),
            ("y", State.TO),
        ):
            self.changed(roster, Contact(jid, state, listed=True))
        for _ in range(2):
            self.assertEqual((roster.seen_by(), roster.sees()), (("a@x", "b@x"), {"x": ("a@x", "c@x"), "y": ("y",)}))
        self.changed(roster, Contact("a@x", State.TO, listed=True))
        self.changed(roster, Contact("y", listed=True))
        self.assertEqual((roster.seen_by(), roster.sees()), (("b@x",), {"x": ("a@x", "c@x")}))

    @given(st.lists(st.tuples(st.sampled_from(("a@a", "b@b", "c@c")), st.sampled_from(State), st.booleans()), max_size=12))
    def test_a_client_that_catches_up_has_the_roster(self, steps: list[tuple[str, State, bool]]) -> None:
        """Whatever was changed since, pushes or the whole roster give a client what the others see; and storage, after each
        step, has the same roster."""
        roster, stored = Roster(), dict[str, bytes]()
        history = [("0", dict[str, Element]())]
        for jid, state, listed in steps:
            for key, value in self.changed(roster, Contact(jid, state, listed=listed)).records.items():
                stored.pop(key, None)
                if value is not None:
                    stored[key] = value
            self.assertEqual(Roster.from_records(stored), roster)
            history.append((str(roster.version), {contact.jid: contact.item() for contact in roster.listed()}))
        _, now = history[-1]
        for version, cached in history:
            missed = roster.since(version)
            told = roster.listed() if missed is None else missed
            known = {} if missed is None else dict(cached)
            known.update((contact.jid, contact.item()) for contact in told)
            self.assertEqual(known, now)


class ReadSetTests(SynchronousTestCase):
    """A client changes its roster (RFC 6121, 2.3.1)."""

    def refused(self, wanted: StanzaCondition, *items: Element) -> None:
        """The wish is refused with this condition, and says what was found."""
        error = self.assertRaises(StanzaError, read_set, query(*items), JULIET)
        self.assertEqual(error.condition, wanted)
        self.assertTrue(error.text)

    def test_name_and_groups(self) -> None:
        """The address is prepared; what the client says of subscriptions means nothing (2.1.2.5), nor do other children."""
        found = item("RoMeo@Example.NET", "Friends", "Lovers", name="Romeo", subscription="both", ask="subscribe")
        found.add("note", "urn:example")
        self.assertEqual(read_set(query(found), JULIET), ItemSet(ROMEO, "Romeo", ("Friends", "Lovers")))
        self.assertEqual(read_set(query(item("example.net")), JULIET), ItemSet("example.net"))

    def test_remove(self) -> None:
        """A removal needs an address and nothing else."""
        wish = read_set(query(item(ROMEO, "a", "a", subscription="remove", name="x" * 9999)), JULIET)
        self.assertEqual(wish, ItemSet(ROMEO, remove=True))

    def test_one_item(self) -> None:
        """None, two, or something else in its place is a bad request."""
        for items in ((), (item(), item()), (Element("item", "urn:example", {"jid": ROMEO}),)):
            self.refused(StanzaCondition.BAD_REQUEST, *items)

    def test_addresses(self) -> None:
        """An item without an address, with one that is none, or with a resource is a bad request; nobody lists himself."""
        for jid in (None, "", "@x", "romeo@example.net/orchard"):
            self.refused(StanzaCondition.BAD_REQUEST, item(jid))
        self.refused(StanzaCondition.NOT_ALLOWED, item("juliet@example.org"))

    def test_groups(self) -> None:
        """The same group twice is a bad request, a group without name or too many are not acceptable."""
        self.refused(StanzaCondition.BAD_REQUEST, item(ROMEO, "a", "a"))
        self.refused(StanzaCondition.NOT_ACCEPTABLE, item(ROMEO, ""))
        most = [str(number) for number in range(MOST_GROUPS + 1)]
        self.refused(StanzaCondition.NOT_ACCEPTABLE, item(ROMEO, *most))
        self.assertEqual(len(read_set(query(item(ROMEO, *most[1:])), JULIET).groups), MOST_GROUPS)

    def test_lengths(self) -> None:
        """Names and groups of at most LONGEST_NAME characters."""
        longest = "x" * LONGEST_NAME
        self.assertEqual(read_set(query(item(ROMEO, longest, name=longest)), JULIET), ItemSet(ROMEO, longest, (longest,)))
        self.refused(StanzaCondition.NOT_ACCEPTABLE, item(ROMEO, name=f"{longest}x"))
        self.refused(StanzaCondition.NOT_ACCEPTABLE, item(ROMEO, f"{longest}x"))
