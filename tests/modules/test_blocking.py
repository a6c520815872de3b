"""Blocking Command (XEP-0191)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import Hosting
from tests.routing.fakes import condition, stanza
from xmppfed.core.blocklist import BLOCKED, NS
from xmppfed.core.jid import JID
from xmppfed.core.stanza import Stanza
from xmppfed.modules import blocking
from xmppfed.modules.blocking import Blocking
from xmppfed.storage.memory import MemoryRecords
from xmppfed.testing.client import Client
from xmppfed.testing.federation import Federation

JULIET, ROMEO, NURSE = "juliet@capulet.example", "romeo@montague.example", "nurse@capulet.example"
BODY = "<body>hi</body>"
VCARD = "<vCard xmlns='vcard-temp'/>"


class BlockingCase(SynchronousTestCase):
    """juliet at her balcony; romeo elsewhere and the nurse here."""

    settings = ""

    def setUp(self) -> None:
        self.federation = Federation("capulet.example", "montague.example", configuration={"*": self.settings})
        self.addCleanup(self.federation.cleanup)
        self.juliet = self.federation.client(f"{JULIET}/balcony")
        self.nurse = self.federation.client(f"{NURSE}/hall")
        self.romeo = self.federation.client(f"{ROMEO}/orchard")

    @property
    def others(self) -> tuple[Client, Client]:
        """Who may be blocked."""
        return self.romeo, self.nurse

    def command(self, name: str, *jids: str, client: Client | None = None, to: str = "") -> Stanza:
        """The answer to a command."""
        listed = "".join(f"<item jid='{jid}'/>" for jid in jids)
        return (client or self.juliet).request(f"<iq type='set'{to}><{name} xmlns='{NS}'>{listed}</{name}></iq>")

    def blocked(self, client: Client | None = None) -> list[str | None]:
        """What the account has blocked."""
        answer = (client or self.juliet).request(f"<iq type='get'><blocklist xmlns='{NS}'/></iq>")
        [listed] = answer.element.elements()
        self.assertEqual(listed.tag, f"{{{NS}}}blocklist")
        return [item.get("jid") for item in listed.elements()]

    def befriend(self, *others: Client) -> None:
        """Let others see juliet's presence, and juliet theirs."""
        for other in others:
            bare = other.jid.bare
            self.juliet.send(f"<presence to='{bare}' type='subscribe'/>")
            other.send(f"<presence to='{JULIET}' type='subscribed'/><!---->".replace("<!---->", ""))
            other.send(f"<presence to='{JULIET}' type='subscribe'/>")
            self.juliet.send(f"<presence to='{bare}' type='subscribed'/>")
        self.forget()

    def forget(self) -> None:
        """Whatever has come."""
        for client in (self.juliet, *self.others):
            client.received.clear()


class ListTests(BlockingCase):
    """The list of an account (XEP-0191, 3.2 to 3.5)."""

    def test_changes(self) -> None:
        """Entries are added, removed, and removed altogether; each once, prepared; an own address means the same as none."""
        self.assertEqual(self.blocked(), [])
        self.assertEqual(self.command("block", ROMEO, "tybalt@capulet.example/x").children, ())
        self.command("block", ROMEO.upper(), "verona.example", to=f" to='{JULIET}'")
        self.assertEqual(self.blocked(), [ROMEO, "tybalt@capulet.example/x", "verona.example"])
        self.assertEqual(self.command("unblock", ROMEO, "nobody@x.example").type, "result")
        self.assertEqual(self.blocked(), ["tybalt@capulet.example/x", "verona.example"])
        self.assertEqual(self.command("unblock").type, "result")
        self.assertEqual(self.blocked(), [])
        self.assertEqual(self.command("unblock").type, "result")

    def test_kept(self) -> None:
        """It is there for the next session, and gone with the account."""
        self.command("block", ROMEO)
        self.juliet.close()
        again = self.federation.client(f"{JULIET}/tablet")
        self.assertEqual(self.blocked(again), [ROMEO])
        again.close()
        accounts = self.federation.server("capulet.example").storage.accounts
        self.federation.result(accounts.delete("capulet.example", "juliet"))
        self.assertEqual(self.blocked(self.federation.client(f"{JULIET}/tablet")), [])

    def test_pushed(self) -> None:
        """Resources that have asked for the list hear of each change; others do not (XEP-0191, 3.3)."""
        tablet, phone = (self.federation.client(f"{JULIET}/{name}", presence=False) for name in ("tablet", "phone"))
        self.juliet.received.clear()
        self.blocked(tablet), self.blocked()
        commands = (
            (
                "block",
                [ROMEO, "verona.example"],
                f"<block xmlns='{NS}'><item jid='{ROMEO}'/><item jid='verona.example'/></block>",
            ),
            ("unblock", [ROMEO], f"<unblock xmlns='{NS}'><item jid='{ROMEO}'/></unblock>"),
            ("unblock", [], f"<unblock xmlns='{NS}'/>"),
        )
        ids = set()
        for name, jids, pushed in commands:
            self.command(name, *jids)
            for client in (self.juliet, tablet):
                push = client.expect("iq")
                self.assertEqual((push.type, push.attributes["to"]), ("set", str(client.jid)))
                self.assertEqual([child.to_xml() for child in push.element.elements()], [pushed])
                ids.add(push.id)
        self.assertEqual(len(ids), 6)
        for client in (self.juliet, tablet, phone):
            client.expect_nothing()

    def test_malformed(self) -> None:
        """Nothing to block is a bad request, and so is an item without an address; what is no address is jid-malformed; then
        nothing of the command is done."""
        for name, listed, wanted in (
            ("block", "", "bad-request"),
            ("block", "<x/>", "bad-request"),
            ("block", f"<item jid='{ROMEO}'/><item/>", "bad-request"),
            ("block", f"<item jid='{ROMEO}'/><item jid='a@@b'/>", "jid-malformed"),
            ("unblock", "<item jid=''/>", "jid-malformed"),
        ):
            answer = self.juliet.request(f"<iq type='set'><{name} xmlns='{NS}'>{listed}</{name}></iq>")
            self.assertEqual(condition(answer), wanted)
        self.assertEqual(self.blocked(), [])

    def test_of_others(self) -> None:
        """Nobody reads or changes the list of another account, or learns whether there is such an account."""
        for other in self.others:
            for account in (JULIET, "nobody@capulet.example"):
                for asked in (
                    f"<iq type='get' to='{account}'><blocklist xmlns='{NS}'/></iq>",
                    f"<iq type='set' to='{account}'><block xmlns='{NS}'><item jid='a@b'/></block></iq>",
                    f"<iq type='set' to='{account}'><unblock xmlns='{NS}'/></iq>",
                ):
                    self.assertEqual(condition(other.request(asked)), "service-unavailable")
        self.assertEqual(self.blocked(), [])

    def test_announced(self) -> None:
        """Server and accounts announce it."""
        handlers = Hosting(Blocking).handlers
        self.assertEqual((handlers.features("server"), handlers.features("account")), ((NS,), (NS,)))


class BoundedTests(BlockingCase):
    """A list is bounded."""

    settings = "[modules.blocking]\nmax_items = 2"

    def test_limit(self) -> None:
        """One more is refused, and nothing of that command is kept."""
        self.command("block", "a@b", "c@d")
        answer = self.command("block", "a@b", ROMEO)
        self.assertEqual(condition(answer), "resource-constraint")
        self.assertIn(b"more than 2 entries", answer.letter)
        self.assertEqual(self.blocked(), ["a@b", "c@d"])
        self.romeo.send(f"<message to='{JULIET}'>{BODY}</message>")
        self.juliet.expect("<message><body>hi</body></message>")


class IncomingTests(BlockingCase):
    """What comes from who is blocked (XEP-0191, 3.3)."""

    def answers(self, sender: Client, to: str) -> list[str]:
        """What the sender gets for a message, a request and presence of each kind; nothing of it reaches juliet."""
        found = []
        for written in (
            *(f"<message to='{to}'{type}>{BODY}</message>" for type in ("", " type='chat'", " type='headline'", " type='error'")),
            *(f"<iq to='{to}' type='{type}' id='i'>{VCARD}</iq>" for type in ("get", "set", "result", "error")),
            *(f"<presence to='{to}'{type}/>" for type in ("", " type='unavailable'", " type='subscribe'", " type='probe'")),
        ):
            sender.send(written)
            found.append(",".join(condition(answer) for answer in sender.received))
            sender.received.clear()
        self.juliet.expect_nothing()
        return found

    def test_as_if_nobody_were_there(self) -> None:
        """Messages and requests are answered with service-unavailable, answers and presence with nothing; to whichever address,
        whether the account is on line or not. Who is not blocked gets through."""
        self.command("block", ROMEO, NURSE)
        refused = "service-unavailable"
        wanted = [refused, refused, "", "", refused, refused, "", "", "", "", "", ""]
        for sender in self.others:
            for to in (f"{JULIET}/balcony", JULIET, JULIET.upper(), f"{JULIET}/gone"):
                self.assertEqual(self.answers(sender, to), wanted, to)
        self.juliet.close()
        for sender in self.others:
            for to in (JULIET, f"{JULIET}/balcony"):
                self.assertEqual(self.answers(sender, to), wanted, to)
        self.federation.client(f"{JULIET}/balcony").expect_nothing()

    def test_by_entry(self) -> None:
        """A resource, an account or a domain may be blocked (XEP-0191, 5)."""
        for entry, refused in (
            (f"{ROMEO}/orchard", True),
            (f"{ROMEO}/street", False),
            ("montague.example", True),
            ("montague.example/orchard", True),
            ("capulet.example", False),
            ("mercutio@montague.example", False),
        ):
            self.command("block", entry)
            self.romeo.send(f"<message to='{JULIET}' type='chat'>{BODY}</message>")
            came = self.romeo.received if refused else self.juliet.received
            self.assertEqual(len(came), 1, entry)
            self.forget()
            self.command("unblock", entry)

    def test_unblocked(self) -> None:
        """What comes afterwards is delivered (XEP-0191, 3.4)."""
        self.command("block", ROMEO, NURSE)
        self.command("unblock", ROMEO)
        for sender, got in ((self.romeo, 1), (self.nurse, 0)):
            sender.send(f"<message to='{JULIET}' type='chat'>{BODY}</message>")
            self.assertEqual(len(self.juliet.received), got)
            self.juliet.received.clear()
        self.command("unblock")
        self.nurse.send(f"<message to='{JULIET}' type='chat'>{BODY}</message>")
        self.juliet.expect("message")

    def test_a_request_to_subscribe_from_before(self) -> None:
        """Who has asked to see the presence and was blocked then is not shown again at each login."""
        self.romeo.send(f"<presence to='{JULIET}' type='subscribe'/>")
        self.juliet.expect("<presence type='subscribe'/>")
        self.command("block", ROMEO)
        self.juliet.close()
        self.federation.client(f"{JULIET}/balcony").expect_nothing()

    def test_the_own_side_is_never_blocked(self) -> None:
        """An account that blocks itself, or its own domain, still hears its resources and its server; others there are
        blocked (XEP-0191, 4)."""
        tablet = self.federation.client(f"{JULIET}/tablet")
        self.juliet.received.clear(), tablet.received.clear()
        self.command("block", JULIET, "capulet.example", f"{JULIET}/tablet")
        tablet.send(f"<message to='{JULIET}/balcony'>{BODY}</message>")
        self.juliet.expect("message")
        self.juliet.send(f"<message to='{JULIET}/tablet'>{BODY}</message>")
        tablet.expect("message")
        self.assertEqual(
            self.juliet.request("<iq to='capulet.example' type='get'><ping xmlns='urn:xmpp:ping'/></iq>").type, "result"
        )
        tablet.send("<presence><status>here</status></presence>")
        self.juliet.expect("<presence><status>here</status></presence>")
        self.nurse.send(f"<message to='{JULIET}/balcony' type='chat'>{BODY}</message>")
        self.assertEqual(condition(self.nurse.expect("message")), "service-unavailable")
        self.assertEqual(self.blocked(tablet), ["capulet.example", JULIET, f"{JULIET}/tablet"])


class OutgoingTests(BlockingCase):
    """What goes to who is blocked (XEP-0191, 3.3)."""

    def test_refused(self) -> None:
        """Messages, requests and directed presence come back as not-acceptable with a condition of their own; answers are
        dropped; nothing gets there."""
        self.command("block", ROMEO, NURSE)
        for other in self.others:
            for to in (
                other.jid,
                other.jid.bare,
                str(other.jid).upper().replace("/HALL", "/hall").replace("/ORCHARD", "/orchard"),
            ):
                for written in (
                    f"<message to='{to}' type='chat'>{BODY}</message>",
                    f"<iq to='{to}' type='get' id='i'>{VCARD}</iq>",
                    f"<presence to='{to}'/>",
                    f"<presence to='{to}' type='subscribe'/>",
                ):
                    self.juliet.send(written)
                    answer = self.juliet.expect(f"<{written[1:].split()[0]} type='error'/>")
                    error = next(child for child in answer.element.elements() if child.name == "error")
                    self.assertEqual(
                        [child.tag for child in error.elements() if child.name != "text"],
                        ["{urn:ietf:params:xml:ns:xmpp-stanzas}not-acceptable", BLOCKED],
                    )
                for written in (f"<iq to='{to}' type='result' id='i'/>", f"<message to='{to}' type='error'/>"):
                    self.juliet.send(written)
            other.expect_nothing()
        self.juliet.expect_nothing()

    def test_a_refused_message_is_not_copied(self) -> None:
        """Other resources do not get what was not sent."""
        tablet = self.federation.client(f"{JULIET}/tablet", presence=False)
        tablet.request("<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
        self.command("block", ROMEO)
        self.juliet.send(f"<message to='{ROMEO}' type='chat'>{BODY}</message>")
        self.romeo.send(f"<message to='{JULIET}/balcony' type='chat'>{BODY}</message>")
        tablet.expect_nothing()


class PresenceTests(BlockingCase):
    """Who is blocked cannot learn whether the account is there."""

    def test_gone_when_blocked(self) -> None:
        """Subscribers see each resource go when they are blocked, and come back when they are unblocked, as they are then; who
        is no subscriber learns nothing."""
        self.befriend(self.romeo)
        tablet = self.federation.client(f"{JULIET}/tablet")
        self.federation.client(f"{JULIET}/phone", presence=False)
        self.forget()
        self.command("block", ROMEO, NURSE)
        gone = {self.romeo.take("<presence type='unavailable'/>").attributes["from"] for _ in range(2)}
        self.assertEqual(gone, {f"{JULIET}/balcony", f"{JULIET}/tablet"})
        self.command("block", ROMEO, "montague.example")
        tablet.send("<presence><status>away</status></presence>")
        for other in self.others:
            other.expect_nothing()
        self.command("unblock", ROMEO, NURSE)
        self.romeo.expect_nothing()
        self.command("unblock")
        came = {self.romeo.take("presence").attributes["from"]: self.romeo.received for _ in range(2)}
        self.assertEqual(set(came), gone)
        for other in self.others:
            other.expect_nothing()

    def test_of_a_domain(self) -> None:
        """Every subscriber that an entry covers is told."""
        self.befriend(self.romeo)
        self.command("block", "montague.example")
        self.romeo.expect("<presence type='unavailable'/>")
        self.command("unblock", "montague.example")
        self.assertIsNone(self.romeo.expect("presence").type)

    def test_told_by_directed_presence(self) -> None:
        """Who was told by directed presence hears that the resource is gone, once."""
        for other in self.others:
            self.juliet.send(f"<presence to='{other.jid}'/>")
        self.juliet.send(f"<presence to='{self.nurse.jid}' type='unavailable'/>")
        self.forget()
        self.command("block", ROMEO, NURSE)
        self.romeo.expect("<presence type='unavailable'/>")
        self.nurse.expect_nothing()

    def test_comings_and_goings(self) -> None:
        """Neither login, nor changes, nor logout, nor a lost connection shows; probes are not answered, at any time."""
        self.befriend(*self.others)
        self.command("block", ROMEO, NURSE)
        self.forget()
        self.juliet.send("<presence><show>away</show></presence>")
        self.juliet.send("<presence type='unavailable'/>")
        self.juliet.send("<presence/>")
        self.juliet.close()
        phone = self.federation.client(f"{JULIET}/phone")
        for other in self.others:
            other.send(f"<presence to='{JULIET}' type='probe'/>")
            other.send("<presence/>")
        phone.cut()
        for other in self.others:
            other.send(f"<presence to='{JULIET}' type='probe'/>")
            self.assertEqual([one for one in other.received if one.attributes["from"].startswith("juliet")], [])

    def test_of_the_blocked(self) -> None:
        """Nor does the account hear of theirs."""
        self.befriend(*self.others)
        self.command("block", ROMEO, NURSE)
        self.forget()
        for other in self.others:
            other.send("<presence><show>away</show></presence>")
            other.send("<presence type='unavailable'/>")
        self.juliet.expect_nothing()
        self.juliet.send("<presence type='unavailable'/>")
        self.juliet.send("<presence/>")
        self.assertEqual({one.attributes["from"] for one in self.juliet.received}, {str(self.juliet.jid)})

    def test_last_activity_and_others(self) -> None:
        """Requests about the account are answered as if it did not exist, also when it has no session."""
        self.befriend(*self.others)
        self.juliet.request("<iq type='set'><vCard xmlns='vcard-temp'><FN>J</FN></vCard></iq>")
        self.command("block", ROMEO, NURSE)
        for _ in range(2):
            for other in self.others:
                answers = [
                    other.request(f"<iq type='get' to='{name}@capulet.example'>{VCARD}</iq>") for name in ("juliet", "nobody")
                ]
                self.assertEqual([answer.letter for answer in answers], [answers[1].letter] * 2)
            if self.juliet.closed is None:
                self.juliet.close()


class AbsentTests(SynchronousTestCase):
    """Lists of accounts that are not connected are read when a stanza comes for them."""

    def setUp(self) -> None:
        self.server = Hosting(Blocking)
        self.server.sessions.remove(self.server.juliet)
        self.romeo = self.server.session("romeo@example.org/orchard")
        [module] = self.server.modules
        assert isinstance(module, Blocking)
        self.module = module
        self.reading: list[tuple[str, Deferred[dict[str, bytes]]]] = []
        self.patch(self.server.storage.records, "read", self.read)

    async def read(self, account: JID, collection: str) -> dict[str, bytes]:
        assert collection == "blocked"
        waiting: Deferred[dict[str, bytes]] = Deferred()
        self.reading.append((str(account), waiting))
        return await waiting

    def send(self, kind: str = "message", type: str | None = "chat", to: str = "juliet@example.org", id: str = "1") -> None:
        written = stanza(kind, type, to, "{urn:x}x", sender="romeo@example.org/orchard")  # type: ignore[arg-type]
        self.server.router.route_sent(written.with_attributes(id=id))

    def taken(self) -> list[str]:
        """The ids of what could not be delivered."""
        return [f"{each.id} {condition(each)}" for each in self.romeo.take()]

    def test_waits_in_order(self) -> None:
        """What comes from the same account waits behind it, and goes on in order; to others there is no wait."""
        taken: list[str | None] = []
        self.server.handlers.add(("message", "undeliverable"), lambda each: taken.append(each.id), "offline")
        for id in "123":
            self.send(id=id)
        self.send("iq", "get", to="example.org", id="other")
        self.assertEqual(
            (taken, self.taken(), [account for account, _ in self.reading]),
            ([], ["other service-unavailable"], ["juliet@example.org"]),
        )
        self.reading[0][1].callback({})
        self.assertEqual((taken, self.taken()), (["1", "2", "3"], []))
        self.send(id="4")
        self.assertEqual((taken, len(self.reading)), (["1", "2", "3", "4"], 1))

    def test_blocked(self) -> None:
        """Who is blocked is refused when that is known, in any spelling of the address."""
        for id, to in (("1", "juliet@example.org"), ("2", "JULIET@example.org/gone")):
            self.send(to=to, id=id)
        self.reading[0][1].callback({"romeo@example.org": b""})
        self.assertEqual(self.taken(), ["1 service-unavailable", "2 service-unavailable"])

    def test_storage_that_fails(self) -> None:
        """Lets nothing pass."""
        self.send()
        self.reading[0][1].errback(RuntimeError("secret detail"))
        [answer] = self.romeo.take()
        self.assertEqual((condition(answer), b"secret" in answer.letter), ("internal-server-error", False))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_not_read_in_vain(self) -> None:
        """What reaches nobody where nobody is connected needs no list: presence of a thousand contacts, for instance."""
        for kind, type in (("presence", None), ("presence", "unavailable"), ("message", "headline"), ("iq", "result")):
            self.send(kind, type)
        self.send(to="juliet@example.net")
        self.send(to="example.org")
        self.assertEqual(self.reading, [])

    def test_bounded(self) -> None:
        """Only some lists are remembered; the one that was read first is forgotten first."""
        self.patch(blocking, "_RECENT", 2)
        for name in "abc":
            self.send(to=f"{name}@example.org")
            self.reading[-1][1].callback({})
        for name, reads in (("c", 3), ("b", 3), ("a", 4)):
            self.send(to=f"{name}@example.org")
            self.assertEqual(len(self.reading), reads)

    def test_connected_before_it_is_read(self) -> None:
        """A list that was changed meanwhile is not replaced by what was read before."""
        binding = Deferred.fromCoroutine(self.module.prepare(JID.parse("juliet@example.org")))
        again = Deferred.fromCoroutine(self.module.prepare(JID.parse("juliet@example.org")))
        self.reading[0][1].callback({"a@b": b""})
        self.successResultOf(binding)
        self.reading[1][1].callback({})
        self.successResultOf(again)
        self.assertTrue(self.module.is_blocked("juliet@example.org", JID.parse("a@b/c")))
        self.successResultOf(Deferred.fromCoroutine(self.module.prepare(JID.parse("juliet@example.org"))))
        self.assertEqual(len(self.reading), 2)

    def test_forgotten(self) -> None:
        """The list of an account that has left is kept for what is under way; that of one that is gone is not."""
        juliet = JID.parse("juliet@example.org")
        binding = Deferred.fromCoroutine(self.module.prepare(juliet))
        self.reading[0][1].callback({"romeo@example.org": b""})
        self.successResultOf(binding)
        self.module.left(juliet)
        self.send()
        self.assertEqual((self.taken(), len(self.reading)), (["1 service-unavailable"], 1))
        self.module.left(juliet)
        self.send()
        self.assertEqual(len(self.reading), 2)
        self.reading[1][1].callback({})

    def test_a_command_whose_session_has_ended(self) -> None:
        """It is kept, for the next session; who asks for the list is refused."""
        accounts, records = self.server.storage.accounts, self.server.storage.records
        self.successResultOf(Deferred.fromCoroutine(accounts.create("example.org", "juliet", {})))
        for type, tag in (("get", "blocklist"), ("set", "block")):
            element = stanza("iq", type, None, f"{{{NS}}}{tag}", sender="juliet@example.org/gone").element
            next(element.elements()).add("item", jid="romeo@example.org")
            self.server.route(Stanza.from_element(element))
        juliet, romeo = JID.parse("juliet@example.org"), JID.parse("romeo@example.org")
        self.assertFalse(self.module.is_blocked(str(juliet), romeo))
        kept = Deferred.fromCoroutine(MemoryRecords.read(records, juliet, "blocked"))
        self.assertEqual(self.successResultOf(kept), {str(romeo): b""})
