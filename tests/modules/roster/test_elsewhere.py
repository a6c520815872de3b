"""Presence across two domains of which one breaks: nobody stays on line who is gone, nobody is gone who is on line."""

from __future__ import annotations

from tests.modules.roster.people import CAPULET, JULIET, MONTAGUE, ROMEO, People, presence
from xmppfed.modules.roster import elsewhere
from xmppfed.testing.client import Client
from xmppfed.timeouts import Timeouts

DOUBT = Timeouts().presence_doubt
SETTLED = 2 * DOUBT + 1
"""Until a domain that answers is in doubt no more."""


class BreakingCase(People):
    """Juliet and Romeo see each other."""

    def setUp(self) -> None:
        """They are on line."""
        super().setUp()
        self.juliet, self.romeo = self.come(f"{JULIET}/balcony"), self.come(f"{ROMEO}/orchard")
        self.befriend(self.juliet, self.romeo)
        self.federation.advance(2)  # their servers have acknowledged what was said

    def seen(self, client: Client) -> dict[str, bool]:
        """What a client has heard since the last look: which resource is available, by the last word of each."""
        found = {each.attributes["from"]: each.type is None for each in client.received if each.kind == "presence"}
        client.received.clear()
        return {address: available for address, available in found.items() if "/" in address}


class RestartTests(BreakingCase):
    """One server restarts. The other one sees the truth within a minute."""

    def test_who_does_not_come_back_is_gone(self) -> None:
        """After a crash, in which nobody said good-bye."""
        self.federation.crash(MONTAGUE)
        self.assertEqual(self.seen(self.juliet), {})
        self.federation.start(MONTAGUE)
        self.federation.advance(SETTLED)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/orchard": False})

    def test_who_comes_back_stays(self) -> None:
        """With the same resource there is nothing but its new presence."""
        self.federation.crash(MONTAGUE)
        self.federation.start(MONTAGUE)
        self.come(f"{ROMEO}/orchard")
        self.federation.advance(SETTLED)
        self.assertEqual({each.type for each in self.juliet.received if each.kind == "presence"}, {None})
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/orchard": True})

    def test_who_comes_back_otherwise(self) -> None:
        """With another resource the old one is gone."""
        self.federation.crash(MONTAGUE)
        self.federation.start(MONTAGUE)
        self.come(f"{ROMEO}/hall")
        self.federation.advance(SETTLED)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/hall": True, f"{ROMEO}/orchard": False})

    def test_who_comes_back_sees(self) -> None:
        """And for the one who comes back the other is still there."""
        self.federation.crash(MONTAGUE)
        self.federation.start(MONTAGUE)
        romeo = self.federation.client(f"{ROMEO}/orchard")
        self.assertEqual(self.seen(romeo), {f"{JULIET}/balcony": True})
        self.federation.advance(SETTLED)
        self.assertEqual(self.seen(romeo).get(f"{JULIET}/balcony", True), True)

    def test_a_server_that_stops_says_so(self) -> None:
        """In good order nobody has to ask: users are unavailable before the server is gone; and it comes back like any."""
        self.federation.stop(MONTAGUE)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/orchard": False})
        self.federation.start(MONTAGUE)
        self.come(f"{ROMEO}/orchard")
        self.federation.advance(SETTLED)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/orchard": True})

    def test_a_server_that_does_not_come_back(self) -> None:
        """Its users are gone, when it could not be asked."""
        self.federation.crash(MONTAGUE)
        self.federation.advance(SETTLED)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/orchard": False})
        self.federation.advance(1000)
        self.federation.start(MONTAGUE)
        self.come(f"{ROMEO}/hall")
        self.federation.advance(SETTLED)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/hall": True})

    def test_both(self) -> None:
        """Both restart, and only one of the two comes back."""
        for domain in (CAPULET, MONTAGUE):
            self.federation.crash(domain)
        for domain in (CAPULET, MONTAGUE):
            self.federation.start(domain)
        romeo = self.come(f"{ROMEO}/orchard")
        self.federation.advance(SETTLED)
        self.assertEqual(self.seen(romeo).get(f"{JULIET}/balcony", False), False)
        juliet = self.federation.client(f"{JULIET}/balcony")
        self.assertEqual((self.seen(juliet), self.seen(romeo)), ({f"{ROMEO}/orchard": True}, {f"{JULIET}/balcony": True}))


class CutTests(BreakingCase):
    """The network between them is cut."""

    def cut(self) -> None:
        """Every connection between the servers is reset, and neither can connect to the other."""
        self.federation.network.separate("127.0.0.2", "127.0.0.3")
        self.federation.network.cut(self.federation.between_servers)
        self.federation.network.pump()

    def test_a_hiccup(self) -> None:
        """Streams that break and can be made again change nothing for anybody: nobody blinks."""
        self.federation.network.cut(self.federation.between_servers)
        self.federation.network.pump()
        self.federation.advance(SETTLED)
        for client, other in ((self.juliet, f"{ROMEO}/orchard"), (self.romeo, f"{JULIET}/balcony")):
            self.assertEqual({each.type for each in client.received if each.kind == "presence"}, {None})
            self.assertEqual(self.seen(client), {other: True})

    def test_long(self) -> None:
        """While they cannot reach each other neither sees the other; when they can they find each other by themselves."""
        self.cut()
        self.federation.advance(SETTLED)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/orchard": False})
        self.assertEqual(self.seen(self.romeo), {f"{JULIET}/balcony": False})
        self.federation.advance(3600)
        for client in (self.juliet, self.romeo):
            client.expect_nothing()
        self.federation.network.rejoin()
        self.federation.advance(Timeouts().presence_doubt_most + SETTLED)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/orchard": True})
        self.assertEqual(self.seen(self.romeo), {f"{JULIET}/balcony": True})

    def test_what_was_said_meanwhile(self) -> None:
        """Who left while the network was cut is gone afterwards, who came is there."""
        self.cut()
        self.romeo.close()
        hall = self.federation.client(f"{ROMEO}/hall")
        self.federation.advance(SETTLED)
        self.federation.network.rejoin()
        self.federation.advance(Timeouts().presence_doubt_most + SETTLED)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/orchard": False, f"{ROMEO}/hall": True})
        self.assertEqual(self.seen(hall)[f"{JULIET}/balcony"], True)

    def test_logging_in_while_it_is_cut(self) -> None:
        """Contacts that could not be asked at login are asked again later."""
        self.juliet.close()
        self.federation.advance(SETTLED)
        self.romeo.received.clear()
        self.cut()
        self.federation.advance(10 * SETTLED)
        juliet = self.federation.client(f"{JULIET}/balcony")
        self.federation.advance(300)
        self.assertEqual(self.seen(juliet), {})
        self.federation.network.rejoin()
        self.federation.advance(Timeouts().presence_doubt_most + SETTLED)
        self.assertEqual(self.seen(juliet), {f"{ROMEO}/orchard": True})

    def test_nobody_watches(self) -> None:
        """Where nobody is there to see, nobody is asked."""
        self.juliet.close()
        self.romeo.close()
        self.federation.advance(2)
        self.cut()
        self.federation.network.rejoin()
        streams = len(self.federation.network.links)
        self.federation.advance(300)
        self.assertEqual(len(self.federation.network.links), streams)


class SilenceTests(BreakingCase):
    """The cable between them is cut, and nobody is told."""

    wire = "websocket"

    def test_a_silent_cable(self) -> None:
        """Half-open streams are found by the silence, and raise the same doubts."""
        self.federation.network.freeze(self.federation.between_servers)
        self.romeo.close()
        self.federation.advance(4 * Timeouts().server_silence + SETTLED)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/orchard": False})


class ShownTests(BreakingCase):
    """What is remembered of people elsewhere."""

    def test_a_bare_address(self) -> None:
        """When a server says of an account that it is unavailable, as the answer to a probe, clients hear that each resource
        they know is."""
        self.come(f"{ROMEO}/hall")
        self.seen(self.juliet)
        router = self.federation.server(CAPULET).router
        router.route_received(presence("unavailable", JULIET).with_attributes(sender=ROMEO))
        self.federation.network.pump()
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/hall": False, f"{ROMEO}/orchard": False})
        router.route_received(presence("unavailable", JULIET).with_attributes(sender=ROMEO))
        self.federation.network.pump()
        self.juliet.expect(f"<presence from='{ROMEO}' type='unavailable'/>")
        self.juliet.expect_nothing()

    def test_who_is_no_contact_is_not_remembered(self) -> None:
        """Directed presence of strangers passes, and nothing is made of it later."""
        self.come(f"mercutio@{MONTAGUE}/square").send(presence(None, JULIET))
        self.assertEqual(self.seen(self.juliet), {f"mercutio@{MONTAGUE}/square": True})
        self.federation.crash(MONTAGUE)
        self.federation.advance(SETTLED)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/orchard": False})

    def test_bound(self) -> None:
        """No more resources of one contact are remembered than there is room for."""
        self.patch(elsewhere, "MOST_RESOURCES", 1)
        self.come(f"{ROMEO}/hall")
        self.federation.advance(2)
        self.federation.crash(MONTAGUE)
        self.seen(self.juliet)
        self.federation.advance(SETTLED)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/orchard": False})

    def test_who_left_is_told_nothing(self) -> None:
        """With its last session all that was shown to an account is forgotten."""
        self.juliet.close()
        self.federation.crash(MONTAGUE)
        chamber = self.come(f"{JULIET}/chamber")
        self.federation.advance(10 * SETTLED)
        self.assertEqual(self.seen(chamber), {})

    def test_no_more_than_the_roster(self) -> None:
        """Who is a contact no more and never said good-bye takes no room for long."""
        module = self.federation.server(CAPULET).getServiceNamed("modules.roster")
        shown = module._elsewhere._shown[JULIET]
        shown.update((f"{number}@{MONTAGUE}", {f"{number}@{MONTAGUE}/x"}) for number in range(5))
        self.romeo.send("<presence/>")
        self.assertEqual(module._elsewhere._shown[JULIET], {ROMEO: {f"{ROMEO}/orchard"}})

    def test_it_breaks_while_it_is_asked(self) -> None:
        """What was confirmed before a stream broke again is in doubt again."""
        network = self.federation.network
        network.cut(self.federation.between_servers)
        network.pump()
        self.federation.advance(DOUBT + 1)
        self.seen(self.juliet)
        self.federation.crash(MONTAGUE)
        self.federation.advance(SETTLED)
        self.assertEqual(self.seen(self.juliet), {f"{ROMEO}/orchard": False})

    def test_a_contact_that_was_removed_meanwhile(self) -> None:
        """Is told to nobody when it cannot be found."""
        self.federation.crash(MONTAGUE)
        self.juliet.send(presence("unsubscribe", ROMEO))
        self.juliet.received.clear()
        self.federation.advance(10 * SETTLED)
        self.assertEqual(self.seen(self.juliet), {})
