"""The gateway as clients see it (L6, L8, L14, L15, L20, L21)."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred

from tests.services.lan_gateway.lan import CAPULET, HERE, JULIET, ROMEO, LanCase
from xmppfed.core.element import Element
from xmppfed.core.stanza import Stanza
from xmppfed.e2e import endpoints
from xmppfed.e2e.identity import identity_path, load_identity
from xmppfed.e2e.linklocal.discovery import Peer, PeerGone
from xmppfed.e2e.linklocal.memory import MemoryDiscovery
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.txt import LinkPresence
from xmppfed.errors import DiscoveryError
from xmppfed.services.lan_gateway.neighbors import Neighbors
from xmppfed.testing.client import Client

ROMEOS = r"romeo\40forza@local"
MONTAGUE = "montague.example"
NURSE = f"nurse@{CAPULET}"


def pushed(name: str) -> str:
    """A roster push that shows Romeo so."""
    item = f"<item jid='{ROMEOS}' name='{name}' subscription='both'><group>Local network</group></item>"
    return f"<iq type='set' from='{JULIET}'><query xmlns='jabber:iq:roster'>{item}</query></iq>"


REMOVED = f"<iq type='set'><query xmlns='jabber:iq:roster'><item jid='{ROMEOS}' subscription='remove'/></query></iq>"
GONE = f"<presence from='{ROMEOS}/link' type='unavailable'/>"


class Contacts(LanCase):
    """People on the link are contacts of who is let in."""

    def test_comes_and_goes(self) -> None:
        """Who comes is a contact, and then there; L8: a change of the record is one of presence; L14: a goodbye ends it."""
        self.serve()
        juliet, romeo = self.juliet(), self.neighbor()
        self.assertEqual(self.items, [])
        romeo.appear(LinkPresence(nick="Romeo"))
        juliet.expect(pushed("Romeo (not met)"))
        juliet.expect(f"<presence from='{ROMEOS}/link' to='{juliet.jid}'/>")
        romeo.change(LinkPresence(nick="Romeo", status="dnd", message="busy"))
        juliet.expect(f"<presence from='{ROMEOS}/link'><show>dnd</show><status>busy</status></presence>")
        romeo.change(LinkPresence(nick="Montague", status="dnd", message="busy"))
        juliet.expect(pushed("Montague (not met)"))
        romeo.vanish()
        juliet.expect(GONE)
        juliet.expect(REMOVED)
        juliet.expect_nothing()

    def test_there_before(self) -> None:
        """Who is there already is in the roster, and there for a client that becomes available; its later presence is another
        matter."""
        self.serve()
        self.neighbor().appear()
        juliet = self.juliet()
        self.assertEqual(self.items, [(ROMEOS, "romeo@forza (not met)", "Local network")])
        juliet.expect(f"<presence from='{ROMEOS}/link'/>")
        juliet.send("<presence><show>away</show></presence>")
        juliet.take(f"<presence from='{juliet.jid}'/>")
        juliet.expect_nothing()
        juliet.send("<presence type='unavailable'/>")
        juliet.received.clear()
        juliet.send("<presence/>")
        juliet.take(f"<presence from='{ROMEOS}/link'/>")

    def test_uninterested(self) -> None:
        """A client that has not asked for its roster gets no pushes, and one that is not available no presence."""
        self.serve()
        juliet = self.juliet(roster=False)
        quiet = self.federation.client(f"{JULIET}/garden", presence=False)
        self.roster(quiet)
        romeo = self.neighbor()
        romeo.appear()
        juliet.expect(f"<presence from='{ROMEOS}/link'/>")
        quiet.expect(pushed("romeo@forza (not met)"))
        romeo.vanish()
        juliet.expect(GONE)
        quiet.expect(REMOVED)
        for client in (juliet, quiet):
            client.expect_nothing()

    def test_not_let_in(self) -> None:
        """Nobody sees the link, or is seen there, who is not listed; that is the default."""
        self.serve(users=())
        romeo = self.neighbor()
        romeo.appear()
        juliet = self.juliet()
        self.assertEqual(self.items, [])
        juliet.expect_nothing()
        self.assertEqual(romeo.discovery.peers, ())

    def test_roster(self) -> None:
        """Stored contacts stand beside them; the roster is whole and has no version, whatever version a client knows."""
        self.serve()
        self.neighbor().appear()
        juliet = self.juliet()
        query = f"<query xmlns='jabber:iq:roster'><item jid='nurse@{MONTAGUE}' name='Nurse'/></query>"
        juliet.request(f"<iq type='set'>{query}</iq>")
        for attributes in ({}, {"ver": "1"}):
            items = self.roster(juliet, **attributes)
            self.assertEqual([item[0] for item in items], [f"nurse@{MONTAGUE}", ROMEOS])
        answer = juliet.request("<iq type='get'><query xmlns='jabber:iq:roster' ver=''/></iq>")
        self.assertIsNone(next(answer.element.elements()).get("ver"))

    def test_cannot_be_changed(self) -> None:
        """They cannot be renamed, removed or added: nothing of them is stored."""
        self.serve()
        self.neighbor().appear()
        juliet = self.juliet()
        for item in (f"jid='{ROMEOS}' name='x'", f"jid='{ROMEOS}' subscription='remove'", "jid='x@LOCAL'", "jid='local/x'"):
            answer = juliet.request(f"<iq type='set'><query xmlns='jabber:iq:roster'><item {item}/></query></iq>")
            self.assertIn("<not-allowed", answer.letter.decode())
        self.assertEqual(self.roster(juliet), self.items)
        query = "<query xmlns='jabber:iq:roster'><item/></query>"
        self.assertIn("<bad-request", juliet.request(f"<iq type='set'>{query}</iq>").letter.decode())

    def test_same_person(self) -> None:
        """L15, L10: however often somebody is heard of, in whatever spelling, it is one contact."""
        self.serve()
        juliet, romeo = self.juliet(), self.neighbor()
        romeo.appear()
        juliet.received.clear()
        romeo.discovery.addresses = ("127.0.0.50", "127.0.0.51")
        romeo.change(LinkPresence())
        juliet.expect_nothing()

    def test_subscriptions(self) -> None:
        """Who asks for what is there is shown it; what would end it does nothing; who is not there cannot be asked."""
        self.serve()
        self.neighbor().appear()
        juliet = self.juliet()
        juliet.received.clear()
        juliet.send(f"<presence to='{ROMEOS}' type='subscribe'/>")
        juliet.expect(f"<presence from='{ROMEOS}' to='{JULIET}' type='subscribed'/>")
        juliet.expect(pushed("romeo@forza (not met)"))
        juliet.expect(f"<presence from='{ROMEOS}/link'/>")
        juliet.send(f"<presence to='{ROMEOS}/link' type='probe'/>")
        juliet.expect(pushed("romeo@forza (not met)"))
        juliet.expect(f"<presence from='{ROMEOS}/link'/>")
        for type in ("subscribed", "unsubscribe", "unsubscribed"):
            juliet.send(f"<presence to='{ROMEOS}' type='{type}'/>")
        juliet.expect_nothing()
        juliet.send(r"<presence to='tybalt\40street@local' type='subscribe'/>")
        self.assertIn("<item-not-found", juliet.take("<presence type='error'/>").letter.decode())
        self.assertEqual([item[0] for item in self.roster(juliet)], [ROMEOS])

    def test_limit(self) -> None:
        """So many people and no more are shown; when one of them leaves, another is."""
        self.serve(max_contacts=1)
        self.juliet()
        romeo, tybalt = self.neighbor(), self.neighbor("tybalt@street", "127.0.0.51")
        romeo.appear()
        tybalt.appear()
        tybalt.change(LinkPresence(status="away"))
        nurse = self.juliet(f"{JULIET}/garden")
        self.assertEqual([item[0] for item in self.items], [ROMEOS])
        romeo.vanish()
        self.assertEqual([item[0] for item in self.roster(nurse)], [r"tybalt\40street@local"])

    def test_many_goodbyes(self) -> None:
        """However many leave at once, everybody else is looked at once."""
        self.serve()
        self.juliet()
        looked: list[int] = []
        fill = Neighbors._fill

        def look(watching: Neighbors) -> None:
            looked.append(len(watching._neighbors))
            fill(watching)

        self.patch(Neighbors, "_fill", look)
        came = [self.neighbor(f"n{number}@forza", f"127.0.0.{60 + number}") for number in range(3)]
        for one in came:
            one.appear()
        for one in came:
            self.gateway._neighbors._heard(PeerGone(Peer(one.name, LinkPresence())))
        self.federation.advance(2)
        self.assertEqual(looked, [0])

    def test_names_of_ours(self) -> None:
        """Nobody on the link has the name of one of ours, nor a nick that is one; and that is told loudly."""
        self.serve()
        self.juliet()
        told = self.loud()
        refused = [f"JULIET@{CAPULET}", f"nurse@{CAPULET}.", CAPULET, f"juliet@{CAPULET}/x@y"]
        for number, name in enumerate(refused, 50):
            self.neighbor(ROMEO, f"127.0.0.{number}").appear(name=name)
        for number, nick in enumerate(("Juliet", "ju\u200bliet", JULIET, "juliet@pronto"), 60):
            self.neighbor(f"x{number}@y", f"127.0.0.{number}").appear(LinkPresence(nick=nick))
        names = [name for _, name, _ in self.roster(self.juliet(f"{JULIET}/garden"))]
        self.assertEqual(names, [f"x{number}@y (not met)" for number in range(60, 64)])
        self.assertEqual([event["peer"] for event in told], refused)

    def test_same_name_to_us(self) -> None:
        """Names that differ on the link but would be one peer to us are one contact: the first."""
        self.serve()
        self.juliet()
        first, second = self.neighbor("\u00e4@x", "127.0.0.51"), self.neighbor("\u00c4@x", "127.0.0.52")
        first.appear()
        second.appear()
        client = self.juliet(f"{JULIET}/garden")
        self.assertEqual([item[0] for item in self.items], ["\u00e4\\40x@local"])
        second.vanish()
        second.appear()
        first.vanish()
        self.assertEqual([item[0] for item in self.roster(client)], ["%c3%84\\40x@local"])

    def test_too_long(self) -> None:
        """A name that no address can stand for is no contact."""
        self.serve()
        self.juliet()
        self.neighbor().appear(name="\u00e4" * 600)
        self.assertEqual(self.roster(self.juliet(f"{JULIET}/garden")), [])

    def test_fast(self) -> None:
        """Somebody who changes all the time is shown once a second, as they are then."""
        self.serve()
        juliet, romeo = self.juliet(), self.neighbor()
        romeo.appear()
        juliet.received.clear()
        for number in range(100):
            Deferred.fromCoroutine(romeo.discovery.update(romeo.own, LinkPresence(message=str(number))))
            self.federation.network.pump()
        self.federation.advance(1)
        juliet.expect(f"<presence from='{ROMEOS}/link'><status>0</status></presence>")
        juliet.expect(f"<presence from='{ROMEOS}/link'><status>99</status></presence>")
        juliet.expect_nothing()

    def test_comes_and_goes_unseen(self) -> None:
        """Who is gone again before anybody was told was never there."""
        self.serve()
        juliet, romeo = self.juliet(), self.neighbor()
        romeo.appear()
        romeo.vanish()
        self.federation.advance(2)
        juliet.received.clear()
        Deferred.fromCoroutine(romeo.discovery.publish(romeo.own, 1, LinkPresence()))
        Deferred.fromCoroutine(romeo.discovery.withdraw(romeo.own))
        self.federation.advance(2)
        juliet.expect_nothing()


class Published(LanCase):
    """Accounts are on the link while they are available."""

    def records(self) -> dict[str, LinkPresence]:
        """What can be seen on the link."""
        return {name: said.presence for name, said in self.federation.link.published.items()}

    def test_available(self) -> None:
        """L8: status follows the presence of the client; L14: who is available no more says goodbye; a port is published."""
        self.serve()
        self.assertEqual(self.records(), {})
        juliet = self.juliet()
        self.assertEqual(self.records(), {"juliet@pronto": LinkPresence()})
        self.assertEqual(self.federation.link.published["juliet@pronto"].port, 5298)
        for show, status in (("away", "away"), ("xa", "away"), ("dnd", "dnd"), ("chat", "avail"), ("evil", "avail")):
            juliet.send(f"<presence><show>{show}</show><status>at the ball</status></presence>")
            self.assertEqual(self.records(), {"juliet@pronto": LinkPresence(status=status)})
        juliet.send("<presence type='unavailable'/>")
        self.assertEqual(self.records(), {})
        juliet.send("<presence/>")
        self.assertIn("juliet@pronto", self.records())
        juliet.cut()
        self.assertEqual(self.records(), {})

    def test_personal(self) -> None:
        """L21: a nick and the words of a status are published only where that was asked for, and nothing else ever is."""
        self.serve(nicks={JULIET: "Jules"}, publish_status_text=True)
        self.juliet().send("<presence><status xml:lang='it'>al ballo</status><status>dance</status></presence>")
        self.assertEqual(self.records(), {"juliet@pronto": LinkPresence(nick="Jules", message="al ballo")})

    def test_several_clients(self) -> None:
        """The client that stands first speaks for the account, and the last one to go says goodbye."""
        self.serve()
        one, other = self.juliet(), self.juliet(f"{JULIET}/garden")
        other.send("<presence><show>dnd</show><priority>5</priority></presence>")
        self.assertEqual(self.records()["juliet@pronto"].status, "dnd")
        other.close()
        self.assertEqual(self.records()["juliet@pronto"].status, "avail")
        one.close()
        self.assertEqual(self.records(), {})

    def test_taken(self) -> None:
        """L4: a name that somebody else has is left to them, and to them alone: they are no contact."""
        self.serve()
        self.neighbor("juliet@pronto").appear()
        self.juliet()
        self.assertEqual(list(self.records()), ["juliet@pronto", "juliet-1@pronto"])
        self.assertEqual(self.items, [])
        romeo = self.neighbor(ROMEO, "127.0.0.51")
        romeo.appear()
        romeo.say("hello", "juliet-1@pronto")
        self.assertEqual(romeo.heard.bounced, [])

    def test_ourselves(self) -> None:
        """L6: nobody of ours is a contact of ours."""
        self.serve(users=(JULIET, NURSE))
        self.juliet()
        nurse = self.juliet(f"{NURSE}/hall")
        self.assertEqual((self.items, sorted(self.records())), ([], ["juliet@pronto", "nurse@pronto"]))
        nurse.expect_nothing()

    def test_identity(self) -> None:
        """The key is made when the gateway starts first, and kept."""
        federation = self.serve()
        path = identity_path(federation.server(CAPULET).config.data_dir, "juliet@pronto")
        self.assertEqual(load_identity(path).addresses, ("juliet@pronto",))
        before = path.read_bytes()
        federation.stop(CAPULET)
        federation.start(CAPULET)
        self.assertEqual(path.read_bytes(), before)

    def test_stop(self) -> None:
        """L14: when the server stops, everybody says goodbye."""
        federation = self.serve()
        romeo = self.neighbor()
        romeo.appear()
        self.juliet()
        romeo.say("hello")
        federation.stop(CAPULET)
        self.assertEqual(list(self.records()), [ROMEO])
        self.assertEqual(romeo.heard.people[-1], "-juliet@pronto")

    def test_busy(self) -> None:
        """What happens while something is being published is published next, and what is undone meanwhile is not."""
        self.serve()
        self.federation.link.delay = 1
        juliet = self.juliet()
        juliet.send("<presence><show>away</show></presence>")
        juliet.send("<presence><show>dnd</show></presence>")
        self.assertEqual(self.records(), {"juliet@pronto": LinkPresence()})
        self.federation.advance(3)
        self.assertEqual(self.records(), {"juliet@pronto": LinkPresence(status="dnd")})
        juliet.send("<presence type='unavailable'/>")
        self.federation.link.delay = 0

    def test_stop_at_once(self) -> None:
        """What was about to be told when the server stops is told to nobody."""
        federation = self.serve()
        Deferred.fromCoroutine(self.neighbor().discovery.publish(InstanceName.parse(ROMEO), 1, LinkPresence()))
        federation.network.pump()
        federation.stop(CAPULET)
        self.assertEqual(federation.network.reactor.getDelayedCalls(), [])

    def test_offered(self) -> None:
        """The discovery is that of endpoints from strings, too, while the gateway is on the link."""
        federation = self.serve()
        self.assertIs(endpoints._offered[self.gateway._local.reactor], self.gateway._discovery)
        reactor = self.gateway._local.reactor
        federation.stop(CAPULET)
        self.assertNotIn(reactor, endpoints._offered)

    def test_no_link(self) -> None:
        """Where nobody can be found the server runs, and says so; nobody is published."""
        with patch.object(MemoryDiscovery, "start", self.refuse), patch.object(MemoryDiscovery, "stop", self.do_nothing):
            self.serve()
            juliet = self.juliet()
            self.assertEqual((self.items, self.records()), ([], {}))
            answer = juliet.request(f"<iq type='get' to='{ROMEOS}'><ping xmlns='urn:xmpp:ping'/></iq>")
            self.assertIn("<item-not-found", answer.letter.decode())
            self.federation.stop(CAPULET)

    def test_not_published(self) -> None:
        """What cannot be published is tried again when the presence changes."""
        self.serve()
        with patch.object(MemoryDiscovery, "publish", self.refuse):
            juliet = self.juliet()
        self.assertEqual(self.records(), {})
        juliet.send("<presence><show>away</show></presence>")
        self.assertEqual(self.records(), {"juliet@pronto": LinkPresence(status="away")})
        with patch.object(MemoryDiscovery, "update", self.refuse):
            juliet.send("<presence/>")
        juliet.send("<presence><show>dnd</show></presence>")
        self.assertEqual(self.records(), {"juliet@pronto": LinkPresence(status="dnd")})
        with patch.object(MemoryDiscovery, "withdraw", self.refuse):
            juliet.send("<presence type='unavailable'/>")
        juliet.send(f"<message to='{ROMEOS}'><body>hello</body></message>")

    async def refuse(self, *what: Any) -> None:
        raise DiscoveryError("no network")

    async def do_nothing(self, *what: Any) -> None:
        pass

    def test_stopped_meanwhile(self) -> None:
        """Who stops while the link is being opened watches nobody."""
        opening: Deferred[None] = Deferred()

        async def start(discovery: MemoryDiscovery) -> None:
            await opening

        with patch.object(MemoryDiscovery, "start", start), patch.object(MemoryDiscovery, "stop", self.do_nothing):
            self.serve()
            self.federation.stop(CAPULET)
            opening.callback(None)

    def test_fault(self) -> None:
        """A fault of ours is logged, and the server goes on."""

        async def fail(*what: Any) -> None:
            raise ZeroDivisionError

        with patch.object(MemoryDiscovery, "publish", fail):
            self.serve()
            self.juliet()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        with patch.object(MemoryDiscovery, "start", fail), patch.object(MemoryDiscovery, "stop", self.do_nothing):
            self.federation.stop(CAPULET)
            self.federation.start(CAPULET)
            self.federation.stop(CAPULET)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Apart(LanCase):
    """L20: nothing from the link reaches a server, and nothing for it leaves."""

    def answer(self, client: Client, stanza: str) -> str:
        """The error that comes back."""
        client.received.clear()
        client.send(stanza)
        return client.take(f"<{stanza[1:].partition(' ')[0]} type='error'/>").letter.decode()

    def test_domain_is_nobody_elses(self) -> None:
        """What is for the domain goes to no other server: neither from who is let in, nor from others."""
        federation = self.serve(CAPULET, "local")
        juliet, nurse = self.juliet(), federation.client(f"{NURSE}/hall")
        body = "<body>x</body>"
        nobody = r"tybalt\40street@local"
        self.assertIn("Nobody of that name", self.answer(juliet, f"<message to='{nobody}'>{body}</message>"))
        self.assertIn("is not let into", self.answer(nurse, f"<message to='{nobody}'>{body}</message>"))
        self.assertIn("is not let into", self.answer(nurse, f"<presence to='{nobody}' type='subscribe'/>"))
        self.assertIn("<service-unavailable", self.answer(juliet, f"<message to='local'>{body}</message>"))
        nurse.send(f"<presence to='{nobody}'/>")
        nurse.send(f"<presence to='{nobody}' type='unavailable'/>")
        nurse.send(f"<message to='{nobody}' type='error'>{body}</message>")
        router = federation.server(CAPULET).router
        router.route(Stanza("message", "jabber:client", {"from": CAPULET, "to": nobody}))
        federation.network.pump()
        server = federation.server(CAPULET)
        assert server.federation is not None
        self.assertEqual((server.remotes.waiting(), len(server.federation.streams)), ([], 0))

    def test_nobody_else_speaks_for_it(self) -> None:
        """A server that calls itself by the domain is not heard."""
        federation = self.serve(CAPULET, "local")
        juliet = self.juliet()
        mallory = federation.client(r"romeo\40forza@local/link")
        mallory.send(f"<message to='{JULIET}'><body>it is I</body></message>")
        mallory.send(f"<presence to='{JULIET}' type='subscribe'/>")
        juliet.expect_nothing()

    def test_others_are_heard(self) -> None:
        """Other servers are not concerned, nor is what clients write elsewhere."""
        federation = self.serve(CAPULET, MONTAGUE)
        juliet, nurse = self.juliet(), federation.client(f"nurse@{MONTAGUE}/hall")
        nurse.send(f"<message to='{JULIET}'><body>hello</body></message>")
        juliet.expect("<message><body>hello</body></message>")
        juliet.send(f"<presence to='nurse@{MONTAGUE}' type='subscribe'/>")
        nurse.take(f"<presence from='{JULIET}' type='subscribe'/>")
        juliet.send("<presence type='probe'/>")

    def test_requests(self) -> None:
        """Requests to people on the link are answered at once, for old peers never do; the domain says how names are written."""
        self.serve()
        self.neighbor().appear()
        juliet = self.juliet()
        for child in ("<query xmlns='http://jabber.org/protocol/disco#info'/>", "<vCard xmlns='vcard-temp'/>"):
            for to in (ROMEOS, f"{ROMEOS}/link"):
                answer = juliet.request(f"<iq type='get' to='{to}'>{child}</iq>")
                self.assertIn("<service-unavailable", answer.letter.decode())
            answer = juliet.request(rf"<iq type='get' to='tybalt\40street@local'>{child}</iq>")
            self.assertIn("<item-not-found", answer.letter.decode())
        query = Element("query", "http://jabber.org/protocol/disco#info")
        answer = juliet.request(Element("iq", "jabber:client", {"type": "get", "to": "local"}, [query]))
        self.assertIn(r"<feature var='jid\20escaping'/>", answer.letter.decode())
        for asked in ("<ping xmlns='urn:xmpp:ping'/>", "<query xmlns='jabber:iq:version'/>"):
            answer = juliet.request(f"<iq type='get' to='local'>{asked}</iq>")
            self.assertIn("<service-unavailable", answer.letter.decode())

    def test_where_it_listens(self) -> None:
        """Who is not available is not there either: a stream to them is for nobody."""
        self.serve()
        romeo = self.neighbor()
        romeo.appear()
        with patch.object(type(romeo), "endpoint", lambda neighbor, name: self.way(HERE)):
            romeo.say("hello")
            self.federation.advance(10)
        self.assertIn("host-unknown", romeo.heard.bounced[0][1])

    def way(self, place: str) -> Any:
        from twisted.internet.endpoints import TCP4ClientEndpoint

        return TCP4ClientEndpoint(self.federation.network.reactor, place, 5298, bindAddress=("127.0.0.50", 0))
