"""Tests for `xmppfed.e2e.library`: two programs that talk without a server."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.e2e.ends import PORT, TIMEOUTS
from xmppfed.core.element import Element
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.connecting import Place, WebSocketPlace, place_of
from xmppfed.e2e.host import StreamEnded
from xmppfed.e2e.identity import Identity
from xmppfed.e2e.library import E2E, Peer, body_of, iq, message
from xmppfed.e2e.pairing import PairingFailed
from xmppfed.e2e.store import MemoryTrustStore
from xmppfed.e2e.trust import Policy, Trust
from xmppfed.errors import ConfigError, StanzaCondition, StanzaError
from xmppfed.net.certificates import LoadedCertificate, load_certificate, moment
from xmppfed.net.issuing import Authority
from xmppfed.net.tls import TrustRoots
from xmppfed.testing.network import Network

SENSOR, DISPLAY = "sensor@rig", "display@desk"
HERE, THERE = "192.0.2.1", "192.0.2.2"
PLACE = f"tcp:{THERE}:{PORT}"


class Programs(SynchronousTestCase):
    """A sensor here and a display there, which listens."""

    policy = Policy.FIRST_USE

    def setUp(self) -> None:
        self.network = Network()
        self.network.reactor.advance(1.8e9)
        self.unsent: list[tuple[str, str]] = []
        self.nodes: list[E2E] = []
        self.display = self.node(DISPLAY, THERE)
        self.sensor = self.node(SENSOR, HERE)
        self.done(self.display.listen(TCP4ServerEndpoint(self.network.reactor, PORT, interface=THERE)))
        self.addCleanup(self.clean)

    def clean(self) -> None:
        """Everything ends."""
        for node in self.nodes:
            self.done(node.close())
        self.network.check_clean()

    def certificate(self, *names: str) -> LoadedCertificate:
        """Of an authority that nobody knows."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(Authority(moment(self.network.reactor)).issue("nobody", dns=(), xmpp_addresses=names))
        return load_certificate(path)

    def node(self, name: str, place: str, **more: Any) -> E2E:
        """Somebody at an address."""
        options = {"trust": MemoryTrustStore(), "policy": self.policy, "unsent": self.not_sent, **more}
        made = E2E(
            self.network.host(place),
            identity=Identity((name,), self.certificate(name)),
            roots=TrustRoots(system=False),
            **options,
        )
        self.nodes.append(made)
        return made

    def not_sent(self, stanza: Stanza, error: StanzaError) -> None:
        self.unsent.append((body_of(stanza), str(error)))

    def start(self, work: Awaitable[Any]) -> Deferred[Any]:
        """Begin something."""

        async def run() -> Any:
            return await work

        begun = Deferred.fromCoroutine(run())
        self.network.pump()
        return begun

    def done(self, work: Awaitable[Any]) -> Any:
        """Its result, which comes at once."""
        return self.successResultOf(self.start(work))

    def opened(self) -> Peer:
        """The display, as the sensor has it."""
        peer = self.done(self.sensor.open(DISPLAY, PLACE))
        assert isinstance(peer, Peer)
        return peer

    def taken(self, source: Any) -> list[Any]:
        """What has come and was not taken yet."""
        found: list[Any] = []

        async def take() -> None:
            async for one in source:
                found.append(one)

        taking = Deferred.fromCoroutine(take())
        taking.addErrback(lambda failure: failure.trap(CancelledError))
        taking.cancel()
        return found

    def heard(self, node: E2E) -> list[tuple[str, str]]:
        """Who has said what to a node."""
        return [(peer.name, body_of(stanza)) for peer, stanza in self.taken(node)]


class Talking(Programs):
    """Both ways, whoever has opened the stream."""

    def test_both_ways(self) -> None:
        """E1, E20: what one opens, the other hears among all who call, and can answer."""
        peer = self.opened()
        self.assertEqual((peer.name, peer.trust, self.sensor.address), (DISPLAY, Trust.FIRST_USE, SENSOR))
        peer.send(message("21.5"))
        self.network.pump()
        [(caller, stanza)] = self.taken(self.display)
        self.assertEqual((caller.name, body_of(stanza), stanza.type), (SENSOR, "21.5", "chat"))
        self.assertEqual((stanza.attributes["from"], stanza.attributes["to"]), (SENSOR, DISPLAY))
        caller.send(message("thanks"))
        self.network.pump()
        self.assertEqual([body_of(one) for one in self.taken(peer)], ["thanks"])
        self.assertEqual(self.heard(self.sensor), [])

    def test_element(self) -> None:
        """A stanza may be an element, and say whom it is for."""
        peer = self.opened()
        presence = Element("presence", "jabber:client", {"to": f"{DISPLAY}/left"})
        peer.send(presence)
        self.network.pump()
        [(_, stanza)] = self.taken(self.display)
        self.assertEqual((stanza.kind, stanza.attributes["to"], body_of(stanza)), ("presence", f"{DISPLAY}/left", ""))

    def test_opened_again(self) -> None:
        """Who has a stream already, or was opened before, is opened without a place; one stream is enough."""
        self.opened()
        again = self.done(self.sensor.open(f"{DISPLAY}/left"))
        self.assertEqual((again.name, len(self.network.links)), (DISPLAY, 1))
        back = self.done(self.display.open(SENSOR))
        again.send(message("one"))
        self.network.pump()
        self.assertEqual([body_of(one) for one in self.taken(back)], ["one"])

    def test_caller_on_its_own(self) -> None:
        """A program may hear one caller apart from the others, from the moment it begins to iterate."""
        peer = self.opened()
        peer.send(message("to all"))
        self.network.pump()
        [(caller, _)] = self.taken(self.display)
        self.assertEqual(self.taken(caller), [])
        peer.send(message("to one"))
        self.network.pump()
        self.assertEqual((self.heard(self.display), [body_of(one) for one in self.taken(caller)]), ([], ["to one"]))

    def test_stream_breaks(self) -> None:
        """X4: iteration goes on when a stream breaks, and what is said makes the next one."""
        peer = self.opened()
        self.network.cut()
        self.network.pump()
        self.assertIsNone(peer.trust)
        peer.send(message("again"))
        self.network.advance(3)
        self.assertEqual(self.heard(self.display), [(SENSOR, "again")])

    def test_closed_peer(self) -> None:
        """E21: closing a peer ends its stream and its iteration; what it says later is for the node."""
        peer = self.opened()
        iterating = self.start(peer.__aiter__().__anext__())
        peer.close()
        self.network.pump()
        self.failureResultOf(iterating, StopAsyncIteration)
        self.assertEqual(self.network.links, [])
        peer.close()  # once more does no harm
        self.done(self.sensor.listen(f"tcp:{PORT}:interface={HERE}"))
        self.done(self.display.open(SENSOR, f"tcp:{HERE}:{PORT}")).send(message("later"))
        self.network.pump()
        self.assertEqual(self.heard(self.sensor), [(DISPLAY, "later")])

    def test_strings(self) -> None:
        """Endpoints may be described, as Twisted does it."""
        port = self.done(self.sensor.listen(f"tcp:{PORT}:interface={HERE}"))
        self.assertEqual(port.getHost().port, PORT)
        self.done(self.display.open(SENSOR, TCP4ClientEndpoint(self.network.reactor, HERE, PORT)))
        self.failureResultOf(self.start(self.sensor.listen(f"tcp:{PORT}:interface={HERE}")), CannotListenError)

    def test_several_addresses(self) -> None:
        """XEP-0178, 2: where a certificate has several addresses, the one that is meant is said."""
        identity = Identity(("a@rig", "b@rig"), self.certificate("a@rig", "b@rig"))
        more: dict[str, Any] = {"identity": identity, "trust": MemoryTrustStore()}
        self.assertIn("a@rig, b@rig", str(self.assertRaises(ConfigError, E2E, self.network.reactor, **more)))
        wrong = self.assertRaises(ConfigError, E2E, self.network.reactor, address="c@rig", **more)
        self.assertIn("wanted one for c@rig", str(wrong))
        self.assertEqual(E2E(self.network.reactor, address="b@rig", **more).address, "b@rig")

    def test_not_opened(self) -> None:
        """Who cannot be reached is not opened, and what it says later is the node's; the error says what is missing."""
        for name, place, words in (
            ("nobody@nowhere", "", "nobody has said where nobody@nowhere is"),
            (DISPLAY, "tcp:192.0.2.77:1", "refused"),
            ("somebody@else", PLACE, "host-unknown"),
        ):
            ended = self.failureResultOf(self.start(self.sensor.open(name, place)), StreamEnded)
            self.assertIn(words, str(ended.value))
        self.assertEqual(self.sensor._inboxes, {})
        self.opened()
        self.network.cut()
        self.network.pump()
        self.sensor._places.clear()
        self.failureResultOf(self.start(self.sensor.open(DISPLAY)), StreamEnded)
        self.assertEqual(list(self.sensor._inboxes), [DISPLAY])

    def test_places(self) -> None:
        """A place is an endpoint, or the URL of a WebSocket with or without a port."""
        reactor = self.network.reactor

        def port(place: Place) -> Any:
            return place.endpoint._port if isinstance(place, WebSocketPlace) else None

        self.assertEqual(port(place_of(reactor, "wss://example.org/e2e")), 443)
        self.assertEqual(port(place_of(reactor, "wss://[2001:db8::1]:8443/e2e")), 8443)
        self.assertIsNone(port(place_of(reactor, PLACE)))
        self.assertRaises(ValueError, place_of, reactor, "nonsense:1")


class Requesting(Programs):
    """RFC 6120, 8.2.3: requests and their answers."""

    query = Element("query", "urn:example:temperature")

    def asked(self) -> tuple[Deferred[Any], Peer, Stanza]:
        """The sensor asks, and the display has heard it."""
        answer = self.start(self.opened().request(iq("get", self.query)))
        [(caller, asked)] = self.taken(self.display)
        return answer, caller, asked

    def test_result(self) -> None:
        """The result comes back to who has asked, and into no inbox."""
        answer, caller, asked = self.asked()
        caller.send(asked.reply(Element("query", "urn:example:temperature", {"degrees": "21.5"})))
        self.network.pump()
        result = self.successResultOf(answer)
        self.assertEqual((result.type, next(result.element.elements()).get("degrees")), ("result", "21.5"))
        self.assertEqual((self.taken(self.sensor.inbox(DISPLAY)), self.heard(self.sensor)), ([], []))

    def test_error(self) -> None:
        """The peer's error is raised."""
        answer, caller, asked = self.asked()
        caller.send(asked.error(StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED, text="It has no thermometer.")))
        self.network.pump()
        error = self.failureResultOf(answer, StanzaError).value
        self.assertEqual(str(error), "feature-not-implemented: It has no thermometer.")

    def test_silence(self) -> None:
        """Nobody is waited for beyond the time that was given."""
        answer, _, _ = self.asked()
        self.network.advance(30)
        self.assertIn("No answer within 30 seconds", str(self.failureResultOf(answer, StanzaError).value))

    def test_unsent(self) -> None:
        """A request that could not be sent fails at once, with the reason."""
        peer = self.opened()
        self.network.cut()
        self.network.pump()
        self.sensor._places.clear()
        self.network.advance(TIMEOUTS.hibernation)  # until then the peer may come back by itself
        answer = self.start(peer.request(self.iq_element()))
        self.assertIn("nobody has said where", str(self.failureResultOf(answer, StanzaError).value))
        self.assertEqual(self.unsent, [])

    def iq_element(self) -> Element:
        """A request, as an element."""
        return Element("iq", "jabber:client", {"type": "set"}, [self.query])

    def test_no_request(self) -> None:
        """What has no answer is not asked."""
        peer = self.opened()
        for wrong in (message("hello"), iq("result", self.query)):
            self.assertIn("wanted an iq", str(self.failureResultOf(self.start(peer.request(wrong)), ValueError).value))


class Bounded(Programs):
    """What is not taken does not grow without end."""

    def fill(self, peer: Peer) -> None:
        """Say more than a node keeps for whoever does not take it."""
        body = "x" * 100_000
        for _ in range(12):
            peer.send(message(body))
        self.network.advance(2)

    def test_full(self) -> None:
        """One too many is answered with resource-constraint; what is there stays, and there is room again when it was taken."""
        peer = self.opened()
        self.fill(peer)
        errors = self.taken(peer)
        self.assertEqual({one.type for one in errors}, {"error"})
        self.assertIn(b"resource-constraint", errors[0].letter)
        self.assertEqual(len(self.taken(self.display)) + len(errors), 12)
        peer.send(message("short"))
        self.network.pump()
        self.assertEqual(self.heard(self.display), [(SENSOR, "short")])

    def test_answers_come_through(self) -> None:
        """Who waits for an answer gets it, however full the inbox is; errors and presence are not answered."""
        peer = self.opened()
        self.done(self.display.open(SENSOR))
        self.fill(peer)
        self.taken(peer)
        peer.send(Element("presence", "jabber:client"))
        peer.send(Element("message", "jabber:client", {"type": "error"}, [Element("body", "jabber:client", {}, ["x" * 100_000])]))
        answer = self.start(Peer(self.display, SENSOR).request(iq("get", Requesting.query)))
        [asked] = self.taken(peer)
        peer.send(asked.reply())
        self.network.pump()
        self.assertEqual(self.successResultOf(answer).type, "result")
        self.assertEqual(self.taken(peer), [])

    def test_unsent(self) -> None:
        """X4: what could not be sent is told, with the reason; unless somebody wants it, to the log."""
        peer = self.opened()
        self.network.cut()
        self.network.blackhole(THERE)
        self.network.pump()
        peer.send(message("lost"))
        self.network.advance(61)
        [(body, reason)] = self.unsent
        self.assertEqual(body, "lost")
        self.assertIn("display@desk", reason)
        self.sensor._unsent = self.sensor._log_unsent
        with capturedLogs() as events:
            self.sensor.send(message("lost"), "nobody@nowhere")
            self.network.pump()
        self.assertIn("nobody has said where", str(events[-1]["reason"]))

    def test_closed(self) -> None:
        """A node that is closed says nothing more, and everybody who waits for it hears so."""
        peer = self.opened()
        waiting = [self.start(source.__aiter__().__anext__()) for source in (peer, self.sensor)]
        self.done(self.sensor.close())
        for one in waiting:
            self.failureResultOf(one, StopAsyncIteration)
        peer.send(message("late"))
        self.assertEqual(self.unsent, [("late", f"recipient-unavailable: {SENSOR} is leaving.")])
        self.failureResultOf(self.start(Peer(self.sensor, "x@y").__aiter__().__anext__()), StopAsyncIteration)

    def test_context(self) -> None:
        """A node that is entered is closed at the end, whatever happens."""

        async def work() -> None:
            async with self.node("third@rig", "192.0.2.3") as node:
                await node.open(DISPLAY, PLACE)
                raise ValueError("a bug")

        self.failureResultOf(self.start(work()), ValueError)
        self.assertEqual(self.network.links, [])


class Pairing(Programs):
    """T6: by a code, where nobody else is let in."""

    policy = Policy.PAIRED

    def test_paired(self) -> None:
        """The code is shown at one end and typed at the other; then both talk."""
        ended = self.failureResultOf(self.start(self.sensor.open(DISPLAY, PLACE)), StreamEnded)
        self.assertIn("Pair with it first", str(ended.value))
        code = self.display.show_code()
        shown = self.start(self.display.paired())
        self.assertEqual(self.done(self.sensor.pair(DISPLAY, code)), DISPLAY)
        self.assertEqual(self.successResultOf(shown), SENSOR)
        peer = self.opened()
        self.assertEqual((peer.trust, len(self.network.links)), (Trust.PAIRED, 1))
        peer.send(message("21.5"))
        self.network.pump()
        self.assertEqual(self.heard(self.display), [(SENSOR, "21.5")])

    def test_wrong_code(self) -> None:
        """A wrong one pairs nobody, and says so at both ends."""
        self.display.show_code()
        shown = self.start(self.display.paired())
        self.display._pairing._codes._code = "123-456"
        self.failureResultOf(self.start(self.sensor.pair(DISPLAY, "123-457", PLACE)), PairingFailed)
        self.failureResultOf(shown, PairingFailed)
