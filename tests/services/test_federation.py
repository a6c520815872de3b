"""Reaching other domains: candidates one after another, every reason told, nothing left waiting; and policies of trust."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from twisted.internet.defer import Deferred

from tests.services.peers import Listener, WebSocketPeer
from tests.services.s2s import (
    OURS,
    ROMEO,
    THEIR_ADDRESS,
    THEIRS,
    URL,
    DialbackScript,
    S2SCase,
    Script,
    external,
    message,
    offered,
    opening,
    result,
    stream_error,
)
from xmppfed.core.namespaces import NS_STREAM
from xmppfed.net.issuing import self_signed
from xmppfed.services.reaching import MAX_ATTEMPTS, Reaching

SECOND, LAST = "127.0.9.2", "127.0.9.3"


class Silent(Script):
    """Speaks WebSocket, and no XMPP."""

    def text(self, text: str) -> None:
        """Say nothing."""


class Mute(WebSocketPeer):
    """Takes the connection, and does not answer the handshake."""

    def _shake(self) -> bool:
        return False


class Slow(Script):
    """Answers our header when the test says so."""

    after = ""

    def opening(self, text: str) -> None:
        """Wait, if it is the first one."""
        self.header_of_ours = text
        if self.authenticated:
            super().opening(text)

    def answer(self) -> None:
        """The answer."""
        if self.lost is None:
            super().opening(self.header_of_ours)
        if self.after:
            self.send(self.after)


class Candidates(S2SCase):
    """Three addresses for one domain: what is wrong with one leads to the next."""

    routes = {THEIRS: (THEIR_ADDRESS, SECOND, LAST)}

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()

    def reasons(self) -> list[str]:
        """What the sender is told of each address."""
        condition, text = self.bounced(self.client)
        self.assertEqual(condition, "remote-server-not-found")
        return [line.partition(": ")[2] for line in text.splitlines() if line.startswith(f"{URL} at ")]

    def test_first(self) -> None:
        """The first address that works is used, and no other is tried."""
        first, second = self.listen(), self.listen(address=SECOND)
        self.write(self.client)
        self.assertEqual((len(first.peers), len(second.peers)), (1, 0))
        self.assertEqual(first.peer.bodies, ["Art thou not Romeo?"])

    def test_refused(self) -> None:
        """Nobody listens at the first address: the second works, and nobody hears of it."""
        second = self.listen(address=SECOND)
        self.write(self.client)
        self.assertEqual(second.peer.bodies, ["Art thou not Romeo?"])
        self.client.expect_nothing()

    def test_wrong_certificate(self) -> None:
        """A server with a certificate for another domain gets no stream header; the next address works."""
        first, second = self.listen(certificate=self.issue("other.example")), self.listen(address=SECOND)
        self.write(self.client)
        self.assertEqual([peer.messages for peer in first.peers], [[]])
        self.assertEqual(second.peer.bodies, ["Art thou not Romeo?"])

    def test_every_reason(self) -> None:
        """Where none works, the error has a line for each: what was tried, which names were found and wanted."""
        self.listen(certificate=self.issue("other.example"))
        self.listen(address=SECOND, certificate=self.loaded(self_signed(THEIRS, self.now)))
        self.write(self.client)
        wrong, own, refused = self.reasons()
        self.assertEqual(wrong, f"found a certificate for DNS other.example; wanted one for {THEIRS} (SNI {THEIRS})")
        self.assertIn("found a certificate for xmppAddr montague.example, DNS montague.example (self-signed certificate); ", own)
        self.assertIn(f"wanted a trusted one for {THEIRS}", own)
        self.assertIn("no connection: ", refused)

    def waited(self, seconds: float) -> Listener:
        """The second address is tried after so many seconds, not earlier, and used."""
        second = self.listen(address=SECOND)
        self.write(self.client)
        self.network.advance(seconds - 0.1)
        self.assertEqual(second.peers, [])
        self.network.advance(0.2)
        self.assertEqual(second.peer.bodies, ["Art thou not Romeo?"])
        return second

    def overtaken(self, first: Any) -> None:
        """The second address is tried beside the first after a quarter of a second; when it is faster the first is given
        up, and nothing is left of it."""
        self.waited(0.25)
        self.assertIsNotNone(first.peer.lost)
        self.assertEqual(len(self.policy.streams), 1)

    def test_no_connection_in_time(self) -> None:
        """An address that never answers costs a quarter of a second (RFC 8305, 5)."""
        self.network.blackhole(THEIR_ADDRESS)
        self.waited(0.25)

    def test_no_tls(self) -> None:
        """So does a server that takes the connection and never speaks TLS."""
        first = Listener(self.network, THEIR_ADDRESS, None)
        self.addCleanup(first.close)
        self.overtaken(first)

    def test_no_websocket(self) -> None:
        """So does one that never answers the handshake of WebSocket."""
        self.overtaken(self.listen(Mute))

    def test_no_header(self) -> None:
        """So does one that never sends `<open/>`."""
        self.overtaken(self.listen(Silent))

    def test_slow(self) -> None:
        """A slow server that is there in the end wins where the others have led nowhere."""
        self.network.blackhole(SECOND, LAST)
        first = self.listen(Slow)
        self.write(self.client)
        self.network.advance(8)
        first.peer.answer()
        self.network.pump()
        self.assertEqual(first.peer.bodies, ["Art thou not Romeo?"])
        self.network.advance(30)
        self.client.expect_nothing()

    def test_faster(self) -> None:
        """The first header wins, whoever was asked first; the others are cut, and get nothing."""
        first, second = self.listen(Slow), self.listen(Slow, SECOND)
        self.write(self.client)
        self.network.advance(0.5)
        second.peer.answer()
        self.network.pump()
        self.assertEqual((first.peer.bodies, second.peer.bodies), ([], ["Art thou not Romeo?"]))
        self.assertIsNotNone(first.peer.lost)

    def test_together(self) -> None:
        """Of two headers that come at the same time one wins, and the stream of the other is cut."""
        first, second = self.listen(Slow), self.listen(Slow, SECOND)
        self.write(self.client)
        self.network.advance(0.5)
        first.peer.answer()
        second.peer.answer()
        self.network.pump()
        self.assertEqual((first.peer.bodies, second.peer.bodies), (["Art thou not Romeo?"], []))
        self.assertIsNotNone(second.peer.lost)

    def test_no_features(self) -> None:
        """Who has sent a header has won; should it come to nothing the others are tried, here after 30 s."""
        kind = type("Featureless", (Script,), {"opening": lambda self, text: self.send(opening(THEIRS, OURS))})
        first = self.listen(kind)
        self.waited(30)
        self.network.advance(2)
        self.assertIsNotNone(first.peer.lost)

    def test_loses_after_the_header(self) -> None:
        """Where the winner ends the stream behind its header, also those are tried again that it was faster than."""
        kind = type("Refusing", (Slow,), {"after": f"<stream:error xmlns:stream='{NS_STREAM}'/>"})
        first, second = self.listen(Slow), self.listen(kind, SECOND)
        self.write(self.client)
        self.network.advance(0.3)
        second.peer.answer()
        self.network.pump()
        self.assertEqual([len(first.peers), len(second.peers)], [2, 1])
        first.peer.answer()
        self.network.pump()
        self.assertEqual(first.peer.bodies, ["Art thou not Romeo?"])

    def test_reasons_of_time(self) -> None:
        """Each of these is told in words that say how long was waited for what."""
        self.listen(Silent)
        self.listen(Mute, SECOND)
        self.network.blackhole(LAST)
        self.write(self.client)
        self.network.advance(31)
        header, upgrade, connection = self.reasons()
        self.assertIn("No stream header came within 10 s", header)
        self.assertEqual(upgrade, "no WebSocket within 10 s")
        self.assertIn("no connection: ", connection)

    def test_stop(self) -> None:
        """A server that stops tries no further address."""
        self.listen(Silent)
        second = self.listen(address=SECOND)
        self.write(self.client)
        self.federation.stop(OURS)
        self.assertEqual(second.peers, [])

    def test_redirect(self) -> None:
        """A WebSocket that answers with another place to go is not followed there."""

        class Redirects(Script):
            def http(self, path: str) -> bytes | None:
                return b"HTTP/1.1 302 Found\r\nLocation: wss://127.0.9.3/\r\nContent-Length: 0\r\n\r\n"

        self.listen(Redirects)
        third = self.listen(address=LAST)
        self.network.blackhole(SECOND)
        self.write(self.client)
        self.assertEqual(third.peers, [])
        self.network.advance(11)
        self.assertEqual(third.peer.bodies, ["Art thou not Romeo?"])

    def test_next_time(self) -> None:
        """A failure is no verdict for ever: the next message makes another attempt, with addresses looked up anew."""
        self.write(self.client)
        self.assertEqual(len(self.reasons()), 3)
        first = self.listen()
        self.write(self.client)
        self.assertEqual(first.peer.bodies, ["Art thou not Romeo?"])


class ManyAddresses(S2SCase):
    """A domain that names a great many addresses."""

    routes = {THEIRS: tuple(f"127.0.9.{number}" for number in range(1, 31))}

    def test_bounded(self) -> None:
        """No more than 16 are tried for one stream: nobody can make us knock at hundreds of doors."""
        last = self.listen(address="127.0.9.17")
        client = self.juliet()
        self.write(client)
        _, text = self.bounced(client)
        self.assertEqual(text.count("no connection: "), MAX_ATTEMPTS)
        self.assertIn("14 more addresses were not tried", text)
        self.assertEqual(last.peers, [])


class Queue(S2SCase):
    """What waits for a stream returns, whatever happens."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()

    def test_age(self) -> None:
        """What has waited for 60 s returns with `remote-server-timeout`, while the connecting goes on."""
        connecting: Deferred[Any] = Deferred()
        self.patch(self.policy, "_stream", lambda *_: _waits(connecting))
        self.write(self.client)
        self.network.advance(59)
        self.client.expect_nothing()
        self.network.advance(1)
        self.assertEqual(self.bounced(self.client), ("remote-server-timeout", f"No stream to {THEIRS} within 60 seconds."))

    def test_size(self) -> None:
        """More than 1 MiB for one domain does not wait: what is too much returns at once with `resource-constraint`."""
        listener = self.listen(Silent)
        for _ in range(6):
            self.write(self.client, body=f"<body>{'x' * 200_000}</body>")
        self.assertEqual(self.bounced(self.client)[0], "resource-constraint")
        self.client.expect_nothing()
        self.assertEqual(len(listener.peers), 1)

    def test_fault_while_connecting(self) -> None:
        """A fault of ours returns what waits at once, without a detail, and is logged; the next message tries again."""

        def fault(*_: object) -> None:
            raise ZeroDivisionError("a detail")

        places = [(self.policy, "_stream"), (self.policy, "_purpose"), (self.policy, "_dialback_secret"), (Reaching, "_open")]
        for place, method in places:
            with self.subTest(method):
                self.policy._secret = None
                patched = self.patch(place, method, fault)
                self.write(self.client)
                self.assertEqual(self.bounced(self.client), ("internal-server-error", ""))
                self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
                patched.restore()
        listener = self.listen()
        self.write(self.client)
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])

    def stopped(self) -> None:
        """A server that stops while it connects returns what waits at once, and leaves nothing behind."""
        self.write(self.client)
        lines = self.logged()
        self.federation.stop(OURS)
        self.assertIn(f"no stream from {OURS} to {THEIRS}: This server is shutting down.", "\n".join(lines))
        self.assertEqual(self.server.remotes.waiting(), [])
        self.assertEqual((len(self.policy.streams), self.policy._reaching), (0, set()))

    def test_stop_before_the_connection(self) -> None:
        """Where nothing answers yet."""
        self.network.blackhole(THEIR_ADDRESS)
        self.stopped()

    def test_stop_before_the_websocket(self) -> None:
        """Where the handshake is not answered yet."""
        listener = self.listen(Mute)
        self.stopped()
        self.assertIsNotNone(listener.peer.lost)

    def test_stop_before_the_header(self) -> None:
        """Where the stream is not answered yet: it ends like any other."""
        listener = self.listen(Silent)
        self.stopped()
        self.assertEqual(stream_error(listener.peer.messages)[0], "system-shutdown")

    def test_stop_before_the_answer_of_dns(self) -> None:
        """Where the domain is still looked up."""
        self.patch(self.policy.discovery, "candidates", lambda domain: Deferred())
        self.stopped()

    def test_stop_while_asking(self) -> None:
        """A question by dialback is given up as well."""
        listener = self.listen(Silent)
        peer = self.dial()
        self.say(peer, opening(), result())
        self.assertEqual(len(listener.peers), 1)
        self.federation.stop(OURS)
        self.assertIsNotNone(listener.peer.lost)
        self.assertEqual(self.policy._reaching, set())

    def test_after_the_stop(self) -> None:
        """What is sent after the stop returns with the reason, and nobody is connected to."""
        listener = self.listen()
        self.policy.stopping = True
        self.write(self.client)
        self.assertEqual(self.bounced(self.client), ("remote-server-not-found", "This server is shutting down."))
        self.assertEqual(listener.peers, [])


async def _waits(result: Deferred[Any]) -> Any:
    return await result


class WithoutVerifiedTLS(S2SCase):
    """The policy whose name says that anybody who controls DNS can pose as any domain."""

    trust = "dialback-without-verified-tls"

    def test_both_ways(self) -> None:
        """A server with a certificate that nobody vouches for is reached, and believed by dialback."""
        listener = self.listen(DialbackScript, certificate=self.loaded(self_signed("other.example", self.now)))
        client = self.juliet()
        self.write(client)
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])
        peer = self.dial()
        came = self.say(peer, opening(), result(), message())
        self.assertIn("type='valid'", came[-1])
        client.expect(f"<message from='{ROMEO}'/>")

    def test_certificate_that_has_expired(self) -> None:
        """A certificate that was not judged when the stream was made does not end it."""
        yesterday = self.now - timedelta(days=1)
        listener = self.listen(DialbackScript, certificate=self.issue(not_before=yesterday, not_after=self.now))
        self.network.advance(60)
        client = self.juliet()
        self.write(client)
        self.network.advance(1)
        self.write(client)
        self.assertEqual([len(peer.bodies) for peer in listener.peers], [2])

    def test_external_still_needs_proof(self) -> None:
        """EXTERNAL is for certificates that prove something, under every policy."""
        peer = self.dial(self.loaded(self_signed(THEIRS, self.now)))
        self.assertEqual(offered(self.say(peer, opening())), ["dialback"])
        self.assertNotIn("<success", "".join(self.say(peer, external())))
