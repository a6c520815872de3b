"""Stream management between servers (XEP-0198): nothing is lost when a stream breaks, nothing comes twice where both of us can
resume, and order is kept."""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.services.peers import Listener
from tests.services.s2s import (
    CLOSE,
    EXTERNAL,
    JULIET,
    OURS,
    ROMEO,
    SASL,
    THEIRS,
    THIRD,
    DialbackScript,
    S2SCase,
    Script,
    external,
    features,
    message,
    opening,
    result,
    stream_error,
)
from xmppfed.core.events import Pair
from xmppfed.core.ledger import NS, REQUEST
from xmppfed.core.stanza import Stanza
from xmppfed.core.tree import parse_tree
from xmppfed.errors import DiscoveryError
from xmppfed.explained import stream_lines
from xmppfed.services.explaining import explaining_commands
from xmppfed.services.management import Management
from xmppfed.services.resumption import Resumption
from xmppfed.testing.client import Client
from xmppfed.testing.federation import Federation
from xmppfed.testing.ways import WAYS
from xmppfed.timeouts import Timeouts

SM = f"<sm xmlns='{NS}'/>"
ENABLE = f"<enable xmlns='{NS}' resume='true'/>"
BIDI = "<bidi xmlns='urn:xmpp:bidi'/>"
ITEM_NOT_FOUND = f"<failed xmlns='{NS}'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"


def a(h: int) -> str:
    """`<a/>`."""
    return f"<a xmlns='{NS}' h='{h}'/>"


def ids(client: Client) -> list[str | None]:
    """The messages that a client got since the last look, without errors."""
    found = [one.id for one in client.received if one.kind == "message" and one.type != "error"]
    client.received.clear()
    return found


class BothOfOurs(SynchronousTestCase):
    """Two of our servers, and a conversation across them."""

    def begin(self, wire: str = "websocket", **options: Any) -> tuple[Client, Client]:
        """It has begun: juliet's server has opened a stream, which goes both ways."""
        self.federation = Federation(OURS, THEIRS, wire=wire, **options)  # type: ignore[arg-type]  # these are its wires
        self.addCleanup(self.federation.cleanup)
        self.network = self.federation.network
        juliet, romeo = self.federation.client(JULIET), self.federation.client(ROMEO)
        self.write(juliet, ROMEO, "hello")
        self.network.pump()
        self.write(romeo, JULIET, "hello")
        self.federation.advance(2)
        self.assertEqual((ids(juliet), ids(romeo)), (["hello"], ["hello"]))
        return juliet, romeo

    def write(self, client: Client, to: str, id: object) -> None:
        """A message, on its way."""
        text = f"<message xmlns='jabber:client' to='{to}' id='{id}'/>"
        client.connection.send(Stanza.from_element(parse_tree(text.encode())))

    def cut(self) -> None:
        """Both servers lose their connections."""
        self.network.cut(self.federation.between_servers)

    def links(self) -> int:
        """Connections between the two."""
        return sum(map(self.federation.between_servers, self.network.links))

    def resumption(self, domain: str = OURS) -> Resumption:
        """What a server keeps."""
        federation = self.federation.server(domain).federation
        assert federation is not None
        return federation.resumption

    def broken(self, domain: str = OURS) -> list[dict[str, Any]]:
        """The sessions that wait."""
        return self.resumption(domain).describe()


class Cut(BothOfOurs):
    """The connection is cut."""

    def test_under_way(self) -> None:
        """What is under way in both directions arrives once, in order, over every wire."""
        for wire in WAYS:
            with self.subTest(wire):
                juliet, romeo = self.begin(wire)
                self.network.delay(0.05)
                for number in range(60):
                    self.write(juliet, ROMEO, number)
                    self.write(romeo, JULIET, number)
                    self.federation.advance(0.03)
                    if number in (20, 40):
                        self.cut()
                self.federation.advance(30)
                wanted = [str(number) for number in range(60)]
                self.assertEqual((ids(juliet), ids(romeo)), (wanted, wanted))

    def test_every_kind(self) -> None:
        """Requests and presence arrive as messages do."""
        juliet, romeo = self.begin()
        self.network.delay(0.05)
        for text in (f"<iq xmlns='jabber:client' type='get' id='q' to='{ROMEO}'><ping xmlns='urn:xmpp:ping'/></iq>",
                     f"<presence xmlns='jabber:client' to='{ROMEO}' id='p'/>"):  # fmt: skip
            juliet.connection.send(Stanza.from_element(parse_tree(text.encode())))
        self.federation.advance(0.07)
        self.cut()
        self.federation.advance(5)
        self.assertEqual([one.id for one in romeo.received], ["q", "p"])
        romeo.received.clear()

    def test_silently(self) -> None:
        """A wire that was cut without a word is noticed by what is not acknowledged, and one side at once."""
        juliet, romeo = self.begin("tcp")
        self.network.freeze(self.federation.between_servers)
        self.write(juliet, ROMEO, "m")
        self.federation.advance(Timeouts().acknowledgement_silence)
        self.assertEqual(ids(romeo), [])
        self.federation.advance(5)
        self.assertEqual(ids(romeo), ["m"])
        self.write(romeo, JULIET, "n")
        self.federation.advance(1)
        self.assertEqual(ids(juliet), ["n"])

    def test_slow(self) -> None:
        """Who says something else meanwhile is only slow, and not taken for dead."""
        juliet, romeo = self.begin()
        self.network.delay(16)
        self.write(juliet, ROMEO, "m")
        self.federation.advance(5)
        self.write(romeo, JULIET, "n")
        self.federation.advance(60)
        self.assertEqual((ids(juliet), ids(romeo), self.links()), (["n"], ["m"], 1))
        self.network.delay(0)

    def test_idle(self) -> None:
        """A stream that was in use is opened again by who opened it: the other may be unable to, and have something to say.
        One that was not is left."""
        juliet, romeo = self.begin()
        self.network.blackhole("127.0.0.2")
        self.cut()
        self.federation.advance(1)
        self.assertEqual(self.links(), 1)
        self.write(romeo, JULIET, "m")
        self.federation.advance(1)
        self.assertEqual(ids(juliet), ["m"])
        self.cut()
        self.federation.advance(1)
        self.cut()
        self.federation.advance(1)
        self.assertEqual(self.links(), 0)
        self.network.rejoin()

    def test_one_of_us_cannot_connect(self) -> None:
        """What the server that cannot reach us has sent arrives when we come back, although we do not know of it."""
        juliet, romeo = self.begin()
        self.network.blackhole("127.0.0.2")
        self.network.delay(0.05)
        self.write(romeo, JULIET, "m")
        self.federation.advance(0.07)
        self.cut()
        self.federation.advance(5)
        self.assertEqual(ids(juliet), ["m"])
        self.network.rejoin()

    def test_one_of_us_has_no_way(self) -> None:
        """A server that finds no way to us, and says something while our connection is cut, does not hear so at once: we may
        come back. If we do not, it hears why after a minute."""
        juliet, romeo = self.begin()
        theirs = self.federation.server(THEIRS).federation
        assert theirs is not None
        theirs.discovery.candidates = self.no_way  # type: ignore[assignment, method-assign]
        self.network.delay(0.05)
        self.cut()
        self.write(romeo, JULIET, "m")
        self.federation.advance(5)
        self.assertEqual((ids(juliet), ids(romeo)), (["m"], []))
        self.network.blackhole("127.0.0.3")
        self.cut()
        self.write(romeo, JULIET, "n")
        self.federation.advance(55)
        self.assertEqual(ids(romeo), [])
        self.federation.advance(10)
        [returned] = [one for one in romeo.received if one.id == "n"]
        self.assertIn("there is no way", returned.element.to_xml(""))
        romeo.received.clear()
        self.network.rejoin()

    async def no_way(self, *arguments: object) -> list[Any]:
        """What a domain without records gives."""
        raise DiscoveryError("there is no way")

    def test_restarted(self) -> None:
        """A server that was started anew knows no session: what it was sent comes once more, and perhaps twice."""
        juliet, _ = self.begin()
        self.network.delay(0.05)
        self.write(juliet, ROMEO, "m")
        self.federation.advance(0.07)
        self.federation.crash(THEIRS)
        self.network.delay(0)
        self.federation.start(THEIRS)
        romeo = self.federation.client(ROMEO)
        self.federation.advance(10)
        self.assertEqual(ids(romeo), ["m"])
        self.assertEqual(self.broken(), [])

    def test_restarted_and_speaks(self) -> None:
        """It is asked as soon as it comes with something new, so that the answer need not wait."""
        juliet, _ = self.begin()
        self.network.delay(0.05)
        self.write(juliet, ROMEO, "m")
        self.federation.advance(0.12)
        self.network.delay(0)
        self.federation.crash(THEIRS)
        self.federation.start(THEIRS)
        romeo = self.federation.client(ROMEO)
        self.write(romeo, JULIET, "n")
        self.network.pump()
        self.assertEqual((ids(juliet), ids(romeo)), (["n"], ["m"]))

    def test_gone(self) -> None:
        """A server that does not come back is waited for as long as was promised; then the senders hear, who also hear then of
        what they sent meanwhile."""
        juliet, _ = self.begin()
        self.network.delay(0.05)
        self.write(juliet, ROMEO, "m")
        self.federation.advance(0.12)
        self.federation.crash(THEIRS)
        self.federation.advance(590)
        self.assertEqual([one["stanzas"] for one in self.broken()], [1])
        self.assertEqual(list(juliet.received), [])
        self.write(juliet, ROMEO, "n")
        self.federation.advance(11)
        returned = {one.id: str(one.element) for one in juliet.received}
        self.assertEqual(list(returned), ["m", "n"])
        self.assertIn("did not come back within 600 seconds", juliet.received[0].element.to_xml())
        self.assertEqual([one.type for one in juliet.received], ["error", "error"])
        juliet.received.clear()
        self.assertEqual(self.broken(), [])

    def test_shown(self) -> None:
        """An operator sees what waits."""
        juliet, _ = self.begin()
        self.network.delay(0.05)
        self.write(juliet, ROMEO, "m")
        self.federation.advance(0.12)
        self.network.delay(0)
        self.federation.crash(THEIRS)
        self.federation.advance(1)
        commands = explaining_commands(self.federation.server(OURS).federation, [OURS], deque())
        answer: Any = self.federation.result(commands["s2s"]({}))
        self.assertEqual(
            list(stream_lines(answer["streams"], answer["broken"])),
            [f"broken: {OURS} to {THEIRS} (can be resumed for 599 s; 1 stanzas are kept)"],
        )
        self.federation.start(THEIRS)
        self.federation.advance(30)

    def test_bounded(self) -> None:
        """What lacks its acknowledgement is bounded, and what waits behind it: more returns to who sends it."""
        timeouts = Timeouts(hibernation_stanzas=5, queue_bytes=20_000)
        juliet, romeo = self.begin(timeouts=timeouts)
        self.network.freeze(self.federation.between_servers)
        for number in range(50):
            self.write(juliet, ROMEO, number)
        self.network.pump()
        returned = [one.id for one in juliet.received]
        self.assertIn("resource-constraint", juliet.received[0].element.to_xml())
        kept = 50 - len(returned)
        self.assertEqual(returned, [str(number) for number in range(kept, 50)])
        self.assertLess(kept, 5 + 20)
        juliet.received.clear()
        self.federation.advance(40)
        self.assertEqual(ids(romeo), [str(number) for number in range(kept)])

    @settings(max_examples=12)
    @given(
        st.sampled_from(sorted(WAYS)),
        st.sampled_from((0.0, 0.01, 0.3)),
        st.lists(st.tuples(st.sampled_from("jr "), st.sampled_from((0.0, 0.05, 1.0)), st.sampled_from("  cf")), max_size=30),
    )
    def test_whenever(self, wire: str, delay: float, happenings: list[tuple[str, str, str]]) -> None:
        """Whatever is cut when, loudly or silently: every message arrives once and in order, or returns to its sender."""
        juliet, romeo = self.begin(wire)
        self.network.delay(delay)
        sent: dict[str, list[str]] = {"j": [], "r": []}
        for number, (who, pause, cut) in enumerate(happenings):
            if who != " ":
                sent[who].append(str(number))
                self.write(juliet if who == "j" else romeo, ROMEO if who == "j" else JULIET, number)
            self.federation.advance(float(pause))
            if cut == "c":
                self.cut()
            elif cut == "f":
                self.network.freeze(self.federation.between_servers)
        self.federation.advance(300)
        for sender, taker, who in ((juliet, romeo, "j"), (romeo, juliet, "r")):
            returned = [one.id for one in sender.received if one.type == "error"]
            arrived = [one.id for one in taker.received if one.type != "error"]
            self.assertEqual(sorted(map(str, arrived + returned)), sorted(sent[who]))
            self.assertEqual(arrived, [number for number in sent[who] if number in arrived])
        juliet.received.clear()
        romeo.received.clear()
        self.federation.cleanup()


class Managed(Script):
    """A server that acknowledges, and does not resume, as Prosody."""

    offer = EXTERNAL
    acknowledges = True

    def text(self, text: str) -> None:
        """Counts and answers."""
        if text.startswith("<open ") and self.authenticated:
            self.send(opening(THEIRS, OURS, " id='their-stream'"))
            self.send(features(SM))
        elif text.startswith("<enable "):
            self.send(f"<enabled xmlns='{NS}'/>")
        elif text == REQUEST and self.acknowledges:
            self.send(a(len(self.stanzas)))
        else:
            super().text(text)


class Deaf(Managed):
    """It acknowledges nothing."""

    acknowledges = False


class Resumable(Managed):
    """It acknowledges nothing, and gives an id; its streams go both ways."""

    offer = "<bidi xmlns='urn:xmpp:features:bidi'/>" + EXTERNAL
    acknowledges = False

    def text(self, text: str) -> None:
        """Agrees to everything."""
        if text.startswith("<enable "):
            self.send(f"<enabled xmlns='{NS}' id='their-session' resume='true'/>")
        else:
            super().text(text)

    def closing(self) -> None:
        """Takes its time."""


class Outgoing(S2SCase):
    """Servers of others that we reach."""

    routes = {THEIRS: ("127.0.9.1",), THIRD: ("127.0.9.3",)}

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()

    def asked(self, peer: Any) -> int:
        """How often we have asked it what it has."""
        return sum(text == REQUEST for text in peer.messages)

    def reached(self, kind: type[Script] = Managed) -> Listener:
        """A server, after a message was sent to it."""
        listener = self.listen(kind)
        self.write(self.client)
        return listener

    def test_asked(self) -> None:
        """It is asked a second after a message, once, and not when there is nothing new."""
        peer = self.reached().peer
        self.assertEqual((peer.bodies, self.asked(peer)), (["Art thou not Romeo?"], 0))
        self.federation.advance(0.9)
        self.write(self.client)
        self.assertEqual(self.asked(peer), 0)
        self.federation.advance(0.1)
        self.assertEqual(self.asked(peer), 1)
        self.federation.advance(30)
        self.assertEqual(self.asked(peer), 1)

    def test_asked_after_some(self) -> None:
        """After so many stanzas it is asked at once."""
        peer = self.reached().peer
        for _ in range(Timeouts().acknowledgement_stanzas - 1):
            self.write(self.client)
        self.assertEqual(self.asked(peer), 1)
        self.federation.advance(5)
        self.assertEqual(self.asked(peer), 1)

    def test_without(self) -> None:
        """A server that knows nothing of it is asked for nothing; what was under way when the stream breaks is lost, as
        before."""
        listener = self.reached(Script)
        self.federation.advance(5)
        self.assertNotIn(NS, "".join(listener.peer.messages))
        listener.peer.abort()
        self.federation.advance(5)
        self.assertEqual(len(listener.peers), 1)

    def test_acknowledged(self) -> None:
        """What it has is not sent again, however the stream ends."""
        listener = self.reached()
        self.federation.advance(2)
        for end in (lambda: listener.peer.send(CLOSE), lambda: listener.peer.abort()):
            end()
            self.federation.advance(5)
            self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])
            self.write(self.client)
            self.federation.advance(2)
        self.assertEqual(len(listener.peers), 3)

    def test_sent_again(self) -> None:
        """What it has not acknowledged is sent on the next stream, before what came later, and no third time."""
        listener = self.reached(Deaf)
        listener.peer.abort()
        self.network.pump()
        self.write(self.client, body="<body>later</body>")
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?", "later"])
        self.assertEqual(len(listener.peers), 2)
        listener.peer.abort()
        self.network.pump()
        self.assertEqual(listener.peer.bodies, ["later"])
        self.assertEqual(self.bounced(self.client)[0], "remote-server-timeout")
        listener.peer.abort()
        self.network.pump()
        self.assertIn("2 times", self.bounced(self.client)[1])
        self.assertEqual(len(listener.peers), 3)

    def test_closed_in_good_order(self) -> None:
        """What it acknowledges right before it closes is not sent again; what it does not, is."""
        listener = self.reached(Deaf)
        listener.peer.send(a(1))
        listener.peer.send(CLOSE)
        self.federation.advance(5)
        self.assertEqual(len(listener.peers), 1)
        self.write(self.client, body="<body>second</body>")
        listener.peer.send(CLOSE)
        self.federation.advance(5)
        self.assertEqual([peer.bodies for peer in listener.peers[1:]], [["second"], ["second"]])

    def test_closed_by_us(self) -> None:
        """When we end the stream what it acknowledges then still counts."""

        class Last(Deaf):
            def text(self, text: str) -> None:
                if text.startswith("<close "):
                    self.send(a(len(self.stanzas)))
                super().text(text)

        listener = self.reached(Last)
        listener.peer.send("<x xmlns='urn:x'/>")
        self.network.pump()
        self.assertIn(REQUEST, listener.peer.messages)
        self.federation.advance(5)
        self.assertEqual(len(listener.peers), 1)

    def test_lies(self) -> None:
        """Who acknowledges more than it was sent is told so, and the stream ends; what it had not acknowledged before is sent
        again."""
        listener = self.reached(Deaf)
        condition, _ = stream_error(self.say(listener.peer, a(2))[-2:])
        self.assertEqual(condition, "undefined-condition")
        self.assertIn("handled-count-too-high", "".join(listener.peers[0].messages))
        self.federation.advance(5)
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])

    def test_full(self) -> None:
        """A server that acknowledges nothing is sent no more than so many; the others wait until it does."""
        self.policy.resumption.timeouts = Timeouts(hibernation_stanzas=3)
        listener = self.reached(Deaf)
        for _ in range(4):
            self.write(self.client)
        self.assertEqual((len(listener.peer.bodies), self.asked(listener.peer)), (3, 1))
        listener.peer.send(a(2))
        self.network.pump()
        self.assertEqual(len(listener.peer.bodies), 5)
        self.assertEqual(len(listener.peers), 1)

    def test_we_stop(self) -> None:
        """What lacks its acknowledgement when we stop returns to its sender, also where the session could be resumed."""
        self.reached(Resumable)
        self.policy.stopService()
        self.federation.advance(5)
        self.assertIn("shutting down", self.bounced(self.client)[1])

    def test_asked_once_more(self) -> None:
        """A server that is still busy with what it was sent is asked again after a while, though nothing new is sent."""

        class Busy(Managed):
            handled = 0

            def text(self, text: str) -> None:
                if text == REQUEST:
                    self.send(a(self.handled))
                    self.handled = len(self.stanzas)
                else:
                    super().text(text)

        self.policy.resumption.timeouts = Timeouts(hibernation_stanzas=3)
        listener = self.reached(Busy)
        for _ in range(4):
            self.write(self.client)
        self.assertEqual((len(listener.peer.bodies), self.asked(listener.peer)), (3, 1))
        self.federation.advance(10)
        self.assertEqual((len(listener.peer.bodies), self.asked(listener.peer)), (5, 4))

    def test_speaks_while_we_close(self) -> None:
        """What a server says until it closes as well counts: it is told so when the session goes on, and need not say it
        again."""
        listener = self.reached(Resumable)
        former = listener.peer
        self.say(former, a(1))
        (outgoing,) = self.policy.streams
        outgoing._expired()
        self.network.pump()
        self.say(former, message())
        self.client.take("message")
        self.say(former, CLOSE)
        self.assertIn(f"<resume xmlns='{NS}' h='1' previd='their-session'/>", listener.peer.messages)

    def test_another_pair_before_the_answer(self) -> None:
        """What goes to a domain that the server proves meanwhile waits for the answer as well: it is counted."""

        class Claims(Resumable):
            def text(self, text: str) -> None:
                if text.startswith("<enable "):
                    self.send(f"<db:result xmlns:db='jabber:server:dialback' from='{THIRD}' to='{OURS}'>key</db:result>")
                else:
                    super().text(text)

        self.listen(DialbackScript, "127.0.9.3", self.issue(THIRD))
        listener = self.listen(Claims)
        self.write(self.client)
        self.write(self.client, f"prince@{THIRD}")
        self.assertEqual(listener.peer.bodies, [])
        listener.peer.send(f"<enabled xmlns='{NS}'/>")
        self.network.pump()
        self.write(self.client, f"prince@{THIRD}")
        self.say(listener.peer, a(len(listener.peer.bodies)))
        self.assertEqual(len(listener.peers), 1)
        self.assertNotIn("<stream:error", "".join(listener.peer.messages))

    def test_acknowledged_for_nothing(self) -> None:
        """Who acknowledges the same again and again costs little: no pair is looked at as long as nothing can wait for room."""
        self.policy.resumption.timeouts = Timeouts(hibernation_stanzas=2)
        listener = self.reached(Deaf)
        freed: list[Pair] = []
        self.patch(self.policy.remotes, "freed", freed.append)
        self.say(listener.peer, a(0), a(0))
        self.write(self.client)
        self.write(self.client)
        self.say(listener.peer, a(0), a(0))
        self.assertEqual(freed, [])
        self.say(listener.peer, a(1), a(1))
        self.assertEqual(freed, [Pair(OURS, THEIRS)])

    def test_lies_about_a_session(self) -> None:
        """A session with whose figures nothing can be done is asked for once, and not until it expires: the next stream has a new
        one."""

        class Lies(Resumable):
            def text(self, text: str) -> None:
                if text.startswith("<resume "):
                    self.send(f"<resumed xmlns='{NS}' h='99' previd='their-session'/>")
                else:
                    super().text(text)

        listener = self.reached(Lies)
        listener.peer.abort()
        self.federation.advance(5)
        self.assertIn("You acknowledged 99 stanzas", self.bounced(self.client)[1])
        self.write(self.client, body="<body>second</body>")
        self.assertEqual((len(listener.peers), listener.peer.bodies), (3, ["second"]))
        self.say(listener.peer, a(1))

    def test_deaf(self) -> None:
        """A server that answers everything but this is asked again, and left after the third time: what it may have got is sent
        once more on the next stream."""
        listener = self.reached(Deaf)
        for seconds in range(95):
            self.assertEqual(len(listener.peers), 1 if seconds < 91 else 2)
            listener.peer.send("<r xmlns='urn:xmpp:sm:3'/>")
            self.federation.advance(1)
        self.assertEqual([self.asked(peer) for peer in listener.peers], [3, 1])
        self.assertEqual([peer.bodies for peer in listener.peers], [["Art thou not Romeo?"]] * 2)

    def test_behind_dialback(self) -> None:
        """Where it was offered before dialback it is asked for behind that."""

        class Both(Managed, DialbackScript):
            offer = DialbackScript.offer + SM

        peer = self.reached(Both).peer
        self.assertEqual([text.partition(" ")[0] for text in peer.messages], ["<open", "<db:result", "<enable", "<message"])
        self.federation.advance(1)
        self.assertEqual(self.asked(peer), 1)

    def test_never_answered(self) -> None:
        """A server that offers it and does not answer is as one that does not answer a login."""

        class Mute(Managed):
            def text(self, text: str) -> None:
                if not text.startswith("<enable "):
                    super().text(text)

        self.reached(Mute)
        self.federation.advance(31)
        self.assertIn("did not authenticate in time", self.bounced(self.client)[1])


class Incoming(S2SCase):
    """Servers of others that reach us."""

    routes = {THEIRS: ("127.0.9.1",), THIRD: ("127.0.9.3",)}

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()

    def managed(self, domain: str = THEIRS, *more: str) -> tuple[Any, str]:
        """One that has enabled it, and the id of its session."""
        peer = self.dial(self.issue(domain))
        came = self.say(peer, opening(domain), *more, external(domain), opening(domain))
        self.assertIn(f"<success {SASL}/>", came)
        self.assertIn(SM, came[-1])
        (enabled,) = self.say(peer, ENABLE)
        return peer, parse_tree(enabled.encode()).attributes["id"]

    def resume(self, id: str, h: int = 0, domain: str = THEIRS) -> tuple[Any, list[str]]:
        """Another stream of a server, and what it hears when it asks for a session on it."""
        peer = self.authenticated(domain=domain)
        return peer, self.say(peer, f"<resume xmlns='{NS}' previd='{id}' h='{h}'/>")

    def test_answered(self) -> None:
        """Its stanzas are counted, and it is told when it asks."""
        peer, _ = self.managed()
        self.assertEqual(self.say(peer, message(), message(), REQUEST), [a(2)])
        for _ in range(2):
            self.client.take("message")

    def test_resumed(self) -> None:
        """It learns what we have, and we go on counting."""
        peer, id = self.managed()
        self.say(peer, message())
        peer.abort()
        self.network.pump()
        peer, came = self.resume(id)
        self.assertEqual(came, [f"<resumed xmlns='{NS}' previd='{id}' h='1'/>"])
        self.assertEqual(self.say(peer, message(), REQUEST), [a(2)])
        for _ in range(2):
            self.client.take("message")

    def test_stands(self) -> None:
        """The former stream may still stand for us: it ends, and what was not acknowledged there goes on the new one."""
        former, id = self.managed(THEIRS, BIDI)
        self.say(former, message())
        self.client.take("message")
        self.write(self.client)
        self.assertEqual(len(former.take()), 1)
        _, came = self.resume(id)
        self.assertEqual(stream_error(former.take()[-2:])[0], "conflict")
        self.assertEqual(came, [f"<resumed xmlns='{NS}' previd='{id}' h='1'/>"])
        self.assertEqual(self.policy.remotes.waiting(), [])  # it is being connected to: the new stream goes one way

    def test_stands_full(self) -> None:
        """What found no room on the former stream goes on the new one, also when all before it had arrived."""
        self.policy.resumption.timeouts = Timeouts(hibernation_stanzas=3)
        former, id = self.managed(THEIRS, BIDI)
        self.say(former, message())
        self.client.take("message")
        for _ in range(4):
            self.write(self.client)
        self.assertEqual(sum(text.startswith("<message") for text in former.take()), 3)
        peer = self.dial(self.issue())
        self.say(peer, opening(), BIDI, external(), opening())
        came = self.say(peer, f"<resume xmlns='{NS}' previd='{id}' h='3'/>")
        self.assertEqual([text.partition(" ")[0] for text in former.take()], ["<stream:error", "<close"])
        self.assertEqual([text.partition(" ")[0] for text in came], ["<resumed", "<message"])
        self.say(peer, a(4))

    def test_forged(self) -> None:
        """An id that nobody has, and that of another domain's session, are not found; the session is not touched."""
        peer, id = self.managed()
        self.say(peer, message())
        self.client.take("message")
        peer.abort()
        self.network.pump()
        self.assertEqual(self.resume(id, domain=THIRD)[1], [ITEM_NOT_FOUND])
        self.assertEqual(self.resume(id[:-1])[1], [ITEM_NOT_FOUND])
        self.assertEqual(self.resume("")[1], [ITEM_NOT_FOUND])
        self.assertEqual(self.resume(id)[1], [f"<resumed xmlns='{NS}' previd='{id}' h='1'/>"])

    def test_before_authentication(self) -> None:
        """Nobody resumes anything before it has proved who it is."""
        _, id = self.managed()
        peer = self.dial()
        came = self.say(peer, opening(), f"<resume xmlns='{NS}' previd='{id}' h='0'/>")
        self.assertIn("unexpected-request", came[-1])

    def test_expired(self) -> None:
        """A session is kept for so long, and not longer."""
        peer, id = self.managed()
        peer.abort()
        self.federation.advance(Timeouts().hibernation + 1)
        self.assertEqual(self.policy.resumption.describe(), [])
        self.assertEqual(self.resume(id)[1], [ITEM_NOT_FOUND])

    def test_closed_in_good_order(self) -> None:
        """What it has is said before our closing: it need not send that again."""
        peer, _ = self.managed()
        self.say(peer, message())
        self.assertEqual(self.say(peer, CLOSE), [a(1), CLOSE])
        self.client.take("message")

    def test_by_dialback(self) -> None:
        """It is offered where dialback may follow, and enabled behind that."""
        self.listen(DialbackScript)
        peer = self.dial()
        came = self.say(peer, opening())
        self.assertIn(SM, came[-1])
        self.assertIn("unexpected-request", self.say(peer, ENABLE)[-1])
        self.say(peer, result())
        self.assertIn("resume='true'", self.say(peer, ENABLE)[-1])

    def test_not_asked_for(self) -> None:
        """Who enables it without resumption gets an id neither."""
        peer = self.authenticated()
        self.assertEqual(self.say(peer, f"<enable xmlns='{NS}'/>"), [f"<enabled xmlns='{NS}'/>"])
        peer.abort()
        self.network.pump()
        self.assertEqual(self.policy.resumption.describe(), [])

    def test_clients(self) -> None:
        """Clients are offered nothing of the kind yet."""
        peer = self.dial()
        came = self.say(peer, f"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{OURS}' version='1.0'/>")
        self.assertNotIn(NS, "".join(came))


class Unserved(SynchronousTestCase):
    """A stream on which nothing was agreed on, or which has ended."""

    def test_nothing_to_see_to(self) -> None:
        """It holds nothing, and asks for nothing."""
        federation = Federation(OURS)
        self.addCleanup(federation.cleanup)
        policy = federation.server(OURS).federation
        assert policy is not None
        management = Management(policy.resumption)
        management.sent(0)
        self.assertTrue(management.ended(gone=True))
