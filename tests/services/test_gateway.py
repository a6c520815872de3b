"""xmppfed as the edge of another server: what comes in is verified here, what goes out takes our ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.trial.unittest import SynchronousTestCase

from tests.net.plain import FEATURES, Scripted, header
from tests.testing.peers import Remembering
from xmppfed.services.incoming import Incoming
from xmppfed.testing.client import Client
from xmppfed.testing.federation import Federation

EDGE, BACKEND, WORLD = "edge.example", "backend.example", "world.example"
ADDRESSES = {BACKEND: "127.0.0.2", WORLD: "127.0.0.3", EDGE: "127.0.0.4"}
JULIET, ROMEO, TYBALT = f"juliet@{BACKEND}/balcony", f"romeo@{WORLD}/orchard", f"tybalt@{EDGE}/street"
LISTENER = 5299
DB = "xmlns:db='jabber:server:dialback'"
DIALBACK = "<dialback xmlns='urn:xmpp:features:dialback'/>"
RESULT = "<db:result from='{}' to='{}'>key</db:result>"
MESSAGE = f"<message from='{{}}' to='{ROMEO}'><body>hi</body></message>"


def route(url: str, host: str) -> dict[str, Any]:
    """A static route to one of the servers."""
    return {"url": url, "addresses": [ADDRESSES[host]]}


class GatewayCase(SynchronousTestCase):
    """Three servers: the edge; a backend that knows no way but to the edge, and that nobody else can reach; the world."""

    gateway: Mapping[str, Any] = {}
    backend: Mapping[str, Any] = {}

    def setUp(self) -> None:
        to_edge = route(f"xmpp://gateway.{EDGE}:{LISTENER}", EDGE)
        self.federation = Federation(
            *ADDRESSES,
            wire="tcp",
            directory=False,
            configuration={
                EDGE: {
                    "services": {"gateway": {"endpoint": f"tcp:{LISTENER}:interface=127.0.0.4", **self.gateway}},
                    "gateways": {BACKEND: {"backend": "xmpp://127.0.0.2:5269", "certificate": "127.0.0.2.pem", **self.backend}},
                    "federation": {"static_routes": {WORLD: route(f"xmpp://{WORLD}", WORLD)}},
                },
                BACKEND: {
                    # Everybody else's certificate is that of the edge, which the backend is told not to mind.
                    "federation": {
                        "trust": "dialback-without-verified-tls",
                        "static_routes": {WORLD: to_edge, EDGE: to_edge, "mars.example": to_edge},
                    }
                },
                WORLD: {
                    "federation": {
                        "static_routes": {
                            BACKEND: route(f"xmpp://{BACKEND}", EDGE),
                            EDGE: route(f"xmpp://{EDGE}", EDGE),
                        }
                    }
                },
            },
        )
        self.addCleanup(self.federation.cleanup)
        self.juliet, self.romeo = self.federation.client(JULIET), self.federation.client(ROMEO)

    def say(self, sender: Client, to: Client, text: str) -> None:
        """A message that arrives."""
        sender.send(f"<message to='{to.jid}' type='chat'><body>{text}</body></message>")
        to.take(f"<message from='{sender.jid}'><body>{text}</body></message>")


class Through(GatewayCase):
    """Messages pass in both directions."""

    def test_both_ways(self) -> None:
        """From the world to a person of the backend, and back, by whoever speaks first."""
        self.say(self.romeo, self.juliet, "Art thou not Juliet?")
        self.say(self.juliet, self.romeo, "Neither, fair youth.")
        answer = self.juliet.request(f"<iq type='get' to='{WORLD}'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual(answer.type, "result")
        answer = self.romeo.request(f"<iq type='get' to='{BACKEND}'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual(answer.type, "result")

    def test_backend_first(self) -> None:
        """The backend can begin."""
        self.say(self.juliet, self.romeo, "Wherefore art thou Romeo?")

    def test_own_domain(self) -> None:
        """People of a domain that the edge serves itself are reached as well."""
        tybalt = self.federation.client(TYBALT)
        self.say(self.juliet, tybalt, "Tybalt?")
        self.say(tybalt, self.juliet, "What wouldst thou have with me?")

    def test_addresses(self) -> None:
        """The letter goes as it came, its sender is who it was."""
        self.romeo.send(f"<message to='{JULIET}'><x xmlns='urn:x' a='1'>&amp;</x></message>")
        self.juliet.take(f"<message from='{ROMEO}' to='{JULIET}'><x xmlns='urn:x' a='1'>&amp;</x></message>")

    def test_nobody_there(self) -> None:
        """A backend that cannot be reached is told to the sender, with the reason."""
        self.federation.stop(BACKEND)
        self.romeo.send(f"<message to='{JULIET}' type='chat' id='1'><body>hi</body></message>")
        self.federation.advance(30)
        error = self.romeo.take(f"<message type='error' from='{JULIET}' id='1'/>").element.to_xml()
        self.assertIn("remote-server-not-found", error)
        self.assertIn("xmpp-server:127.0.0.2:5269", error)

    def test_proof_to_the_world(self) -> None:
        """To the world the edge shows the backend's certificate."""
        self.assertEqual(self.mechanisms(WORLD, lambda: self.say(self.juliet, self.romeo, "hi")), {"EXTERNAL"})

    def test_proof_to_the_backend(self) -> None:
        """The backend asks us, who answer for everybody."""
        self.assertEqual(self.mechanisms(BACKEND, lambda: self.say(self.romeo, self.juliet, "hi")), {"dialback"})

    def mechanisms(self, domain: str, act: Callable[[], object]) -> set[str]:
        """By what servers authenticate to the server of a domain meanwhile."""
        streams = self.federation.server(domain).federation
        assert streams is not None
        before = set(streams.streams)
        act()
        incoming = [one for one in streams.streams if one not in before and isinstance(one, Incoming)]
        return {one._stream.mechanism for one in incoming}


class Hand(GatewayCase):
    """A backend, or somebody else, that is written by hand: the listener takes streams without TLS."""

    gateway: Mapping[str, Any] = {"tls": False, "peers": ["127.0.0.2/32"]}

    def connect(self, source: str = ADDRESSES[BACKEND], port: int = LISTENER) -> Any:
        """Somebody at the listener."""
        peers = Remembering()
        reactor = self.federation.network.reactor
        TCP4ClientEndpoint(reactor, ADDRESSES[EDGE], port, bindAddress=(source, 0)).connect(peers)
        self.federation.network.pump()
        (peer,) = peers.built
        self.addCleanup(self.leave, peer)
        return peer

    def leave(self, peer: Any) -> None:
        if peer.lost is None:
            peer.transport.abortConnection()
            self.federation.network.pump()

    def say(self, peer: Any, *said: str) -> str:  # type: ignore[override]  # to somebody else
        """What comes back."""
        before = len(peer.received)
        for one in said:
            peer.transport.write(one.encode())
            self.federation.network.pump()
        answer: str = peer.received[before:].decode()
        return answer

    def opened(self, sender: str = BACKEND, to: str = WORLD, source: str = ADDRESSES[BACKEND]) -> tuple[Any, str]:
        """Somebody with a stream, and what came on it."""
        peer = self.connect(source)
        return peer, self.say(peer, header(to, "jabber:server", f" {DB} from='{sender}'"))

    def authorized(self) -> Any:
        """A backend that may speak to the world."""
        peer, came = self.opened()
        self.assertIn("<dialback ", came)
        self.assertRegex(self.say(peer, RESULT.format(BACKEND, WORLD)), "<db:result [^>]*type='valid'")
        return peer


class Backend(Hand):
    """What a backend may do."""

    def test_believed(self) -> None:
        """It is known by its address: whatever its key is, its stanzas go their way."""
        self.say(self.authorized(), MESSAGE.format(f"juliet@{BACKEND}"))
        self.romeo.take(f"<message from='juliet@{BACKEND}'><body>hi</body></message>")

    def test_several(self) -> None:
        """Each pair of domains is asked for (XEP-0220, 2.1); one stream may carry several."""
        peer = self.authorized()
        self.assertRegex(self.say(peer, RESULT.format(BACKEND, EDGE)), "<db:result [^>]*type='valid'")
        self.assertIn("<invalid-from ", self.say(peer, MESSAGE.format(f"juliet@{BACKEND}").replace(WORLD, "verona.example")))

    def test_other_senders(self) -> None:
        """It speaks for its own domain: with any other `from` the stream ends, and nothing passes."""
        for sender in (WORLD, EDGE, f"x.{BACKEND}"):
            peer = self.authorized()
            self.assertRegex(self.say(peer, RESULT.format(sender, WORLD)), "<db:result [^>]*type='error'")
            self.assertIn("<invalid-from ", self.say(peer, MESSAGE.format(f"tybalt@{sender}")))
            peer, came = self.opened(sender)
            self.assertIn("<invalid-from ", came)
            self.assertIn(f"wanted {BACKEND}", came)
        self.romeo.expect_nothing()

    def test_key(self) -> None:
        """T: the keys of its dialback questions are those that we made, and no others."""
        peer, _ = self.opened()
        verify = f"<db:verify from='{BACKEND}' to='{WORLD}' id='x'>forged</db:verify>"
        self.assertRegex(self.say(peer, verify), "<db:verify [^>]*type='invalid'")

    def test_limits(self) -> None:
        """What it sends is within the limits of all servers."""
        came = self.say(self.authorized(), f"<message from='juliet@{BACKEND}' to='{WORLD}'>{'x' * 600_000}</message>")
        self.assertIn("<policy-violation ", came)


class Strangers(Hand):
    """What nobody else may do."""

    def test_address(self) -> None:
        """Who is not listed is refused at the header, and told why."""
        peer, came = self.opened(source="127.0.0.77")
        self.assertIn("<not-authorized ", came)
        self.assertIn("Found a connection from 127.0.0.77; wanted one of services.gateway.peers.", came)
        self.assertIsNotNone(peer.lost)

    def test_no_relay(self) -> None:
        """On the port for the world nobody reaches a third domain through us, nor passes for the backend."""
        server = self.federation.server(EDGE).federation
        assert server is not None
        self.assertFalse(server.speaks_for("mars.example"))
        self.assertTrue(server.speaks_for(BACKEND))
        self.assertEqual(server.refuses_sender(BACKEND), "is served here")

    def test_stopped(self) -> None:
        """With the edge its streams end, and the listener."""
        peer = self.authorized()
        self.federation.stop(EDGE)
        self.assertIn(b"<system-shutdown ", peer.received)


class WithoutTLS(Hand):
    """A backend on this machine that takes streams without TLS, written by hand."""

    backend: Mapping[str, Any] = {"backend": "tcp:127.0.0.2:5298"}

    def test_reached(self) -> None:
        """It is reached at its endpoint, in the name of the sender, and asked to verify that."""

        class Answering(Scripted):
            script: ClassVar = {
                b"<stream:stream ": (header(WORLD, "jabber:server", f" {DB} id='x'") + FEATURES % DIALBACK).encode(),
                b"<db:result ": RESULT.format(BACKEND, WORLD).replace(">key<", " type='valid'><").encode(),
            }

        peers = Remembering(Answering)
        endpoint = TCP4ServerEndpoint(self.federation.network.reactor, 5298, interface=ADDRESSES[BACKEND])
        port = self.successResultOf(endpoint.listen(peers))
        self.romeo.send(f"<message to='juliet@{BACKEND}'><body>hi</body></message>")
        (peer,) = peers.built
        received = peer.received.decode()
        self.assertRegex(received, f"<stream:stream xmlns='jabber:server' [^>]* from='{WORLD}' to='{BACKEND}'")
        self.assertRegex(received, f"<db:result [^>]*from='{WORLD}' to='{BACKEND}'>")
        self.assertIn("<body>hi</body>", received)
        port.stopListening()
        self.leave(peer)

    def test_nobody_there(self) -> None:
        """The sender hears which endpoint was tried."""
        self.romeo.send(f"<message to='juliet@{BACKEND}' id='1'><body>hi</body></message>")
        error = self.romeo.take("<message type='error' id='1'/>").element.to_xml()
        self.assertIn("tcp:127.0.0.2:5298", error)
        self.assertIn("no connection", error)
