"""Peers that find each other on a link, and nobody who is not there (L15, M4, E5)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint

from tests.e2e.ends import JULIET, PORT, ROMEO, TIMEOUTS, End, EndsCase
from tests.testing.peers import Recorder, Remembering
from xmppfed.core.namespaces import NS_STREAM
from xmppfed.e2e.audience import Whereabouts
from xmppfed.e2e.linklocal.discovery import Place
from xmppfed.e2e.linklocal.memory import MemoryDiscovery, MemoryLink
from xmppfed.e2e.linklocal.names import InstanceName
from xmppfed.e2e.linklocal.neighborhood import Neighborhood
from xmppfed.e2e.linklocal.txt import LinkPresence
from xmppfed.e2e.trust import Policy

HEADER = f"<stream:stream xmlns='jabber:client' xmlns:stream='{NS_STREAM}' to='{ROMEO}' version='1.0'%s>"
HELLO = "<message><body>hello</body></message>"


class OnLink(EndsCase):
    """Juliet and Romeo, each on a host of their own."""

    def setUp(self) -> None:
        super().setUp()
        self.link = MemoryLink(self.network.reactor)
        self.discoveries: dict[str, MemoryDiscovery] = {}
        self.juliet = self.neighbor(JULIET, "192.0.2.1")
        self.romeo = self.neighbor(ROMEO, "192.0.2.2")
        self.network.pump()

    def neighbor(self, name: str, place: str) -> End:
        """Somebody who is announced, and knows of others by that alone."""
        discovery = self.link.discovery(place)
        self.discoveries[name] = discovery
        Deferred.fromCoroutine(discovery.start())
        Deferred.fromCoroutine(discovery.publish(InstanceName.parse(name), PORT, LinkPresence()))
        neighborhood: Whereabouts = Neighborhood(self.network.reactor, discovery, TIMEOUTS)
        return self.end(name, place, Policy.PLAIN, bare=True, whereabouts=neighborhood)

    def call(self, place: str, *pieces: str) -> str:
        """What Romeo answers to somebody there."""
        made = Remembering()
        TCP4ClientEndpoint(self.network.reactor, "192.0.2.2", PORT, bindAddress=(place, 0)).connect(made)
        self.network.pump()
        for piece in pieces:
            made.built[0].transport.write(piece.encode())
            self.network.pump()
        answer: bytes = made.built[0].received
        return answer.decode()

    def test_both_ways(self) -> None:
        """Each opens streams to the other, from an address that it advertises, and is believed."""
        self.juliet.say("hello", ROMEO)
        self.network.pump()
        self.romeo.say("and you", JULIET)
        self.network.pump()
        self.assertEqual(self.romeo.heard.bodies, [(JULIET, "hello")])
        self.assertEqual(self.juliet.heard.bodies, [(ROMEO, "and you")])

    def test_nameless(self) -> None:
        """E5: who does not say its name has the one that is announced at its address."""
        self.call("192.0.2.1", HEADER % "", HELLO)
        self.assertEqual(self.romeo.heard.bodies, [(JULIET, "hello")])

    def test_posing(self) -> None:
        """M4: neither somebody from an address that nobody advertises gets in, nor under a name that is announced elsewhere."""
        self.assertIn("not-authorized", self.call("192.0.2.9", HEADER % f" from='{JULIET}'", HELLO))
        self.assertIn("not-authorized", self.call("192.0.2.1", HEADER % " from='tybalt@street'", HELLO))
        self.assertEqual(self.romeo.heard.bodies, [])

    def test_refused_at_one_address(self) -> None:
        """M4: who drops our connection at one of its addresses is tried at another; that is forgotten after a while."""

        class Dropping(Recorder):
            def connectionMade(self) -> None:
                super().connectionMade()
                self.transport.abortConnection()

        dropped = Remembering(Dropping)
        listening = TCP4ServerEndpoint(self.network.reactor, PORT, interface="192.0.2.7").listen(dropped)
        self.ports.append(self.successResultOf(listening))
        nurse = self.neighbor("nurse@house", "192.0.2.3")
        self.discoveries["nurse@house"].addresses = ("192.0.2.7", "192.0.2.3")
        for _ in range(2):
            self.romeo.say("hello", "nurse@house")
            self.network.advance(60)
            [stream] = self.romeo.peers.streams()
            stream.close()
            self.network.pump()
        self.assertEqual((len(dropped.built), nurse.heard.bodies), (2, [(ROMEO, "hello")] * 2))

    def test_unknown(self) -> None:
        """Who is not there is looked for, and the stanza returns with the names of who is."""
        self.romeo.say("hello", "tybalt@street")
        self.network.advance(TIMEOUTS.link_search)
        ((body, text),) = self.romeo.heard.bounced
        self.assertEqual(body, "hello")
        self.assertIn(f"found '{JULIET}'", text)

    def test_many_callers(self) -> None:
        """X5: however many call, the link is asked for two addresses at once, and once for each."""
        self.neighbor("nurse@house", "192.0.2.3")
        self.network.pump()
        del self.link.published["nurse@house"]  # so that looking around takes its time
        asked: list[str] = []
        resolve = self.discoveries[ROMEO].resolve

        async def counted(instance: str, seconds: float) -> Place:
            asked.append(instance)
            return await resolve(instance, seconds)

        self.discoveries[ROMEO].resolve = counted  # type: ignore[method-assign]
        for place in ("192.0.2.1", "192.0.2.1", "192.0.2.5", "192.0.2.6"):
            self.call(place, HEADER % "")
        self.assertEqual(asked.count("nurse@house"), 2)
        self.network.advance(TIMEOUTS.link_arrival)
        self.assertEqual(asked.count("nurse@house"), 3)
        self.network.advance(TIMEOUTS.link_arrival)
        self.assertEqual(asked.count("nurse@house"), 3)

    def test_silent(self) -> None:
        """Who left without a goodbye holds up no caller for longer than a moment."""
        self.neighbor("nurse@house", "192.0.2.3")
        self.network.pump()
        del self.link.published["nurse@house"]
        self.assertEqual(self.call("192.0.2.1", HEADER % "", HELLO), "")
        self.network.advance(TIMEOUTS.link_arrival)
        self.assertEqual(self.romeo.heard.bodies, [(JULIET, "hello")])
