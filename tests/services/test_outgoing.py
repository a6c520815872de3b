"""Streams that we open to other servers: how they come to stand, what they carry, and how they end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from twisted.internet.defer import CancelledError

from tests.net.websockets import CLOSING, PING
from tests.services.s2s import (
    CLOSE,
    DB,
    DIALBACK,
    EXTERNAL,
    JULIET,
    OURS,
    ROMEO,
    SASL,
    THEIR_ADDRESS,
    THEIRS,
    THIRD,
    URL,
    DialbackScript,
    S2SCase,
    Script,
    attribute,
    features,
    message,
    opening,
    result,
    stream_error,
)
from xmppfed.core.events import KeyVerified, Pair
from xmppfed.core.framing import S2S, MessageFraming
from xmppfed.core.stream import Stream
from xmppfed.net.issuing import Authority
from xmppfed.services.management import Management
from xmppfed.services.outgoing import Outgoing, Purpose
from xmppfed.services.proof import Proof

ERROR = (
    "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>"
    "<{0} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
    "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{1}</text></stream:error>"
)


def scripted(base: type[Script] = Script, **changes: Any) -> type[Script]:
    """A server that differs from `base` in these."""
    return type("Scripted", (base,), changes)


class Authentication(S2SCase):
    """How we prove ourselves: EXTERNAL where it is offered, else dialback."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()

    def reached(self, kind: type[Script]) -> Any:
        """The server, after a message was sent to it."""
        listener = self.listen(kind)
        self.write(self.client)
        return listener.peer

    def test_external(self) -> None:
        """EXTERNAL with our certificate and our domain as authzid (XEP-0178, 3), then a new stream."""
        peer = self.reached(Script)
        self.assertEqual([text.partition(" ")[0] for text in peer.messages], ["<open", "<auth", "<open", "<message"])
        self.assertEqual(peer.bodies, ["Art thou not Romeo?"])
        names = peer.transport.getPeerCertificate().to_cryptography().subject.rfc4514_string()
        self.assertEqual(names, f"CN={OURS}")

    def test_dialback(self) -> None:
        """Dialback where no mechanism is for us, with a key for this pair and the other's stream id."""
        peer = self.reached(DialbackScript)
        self.assertEqual([text.partition(" ")[0] for text in peer.messages], ["<open", "<db:result", "<message"])
        self.assertIn(f"from='{OURS}' to='{THEIRS}'", peer.messages[1])

    def test_other_mechanisms(self) -> None:
        """Mechanisms that are not for servers are left alone."""
        other = f"<mechanisms {SASL}><mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms>{DIALBACK}"
        peer = self.reached(scripted(offer=other))
        self.assertEqual([text.partition(" ")[0] for text in peer.messages], ["<open", "<db:result", "<message"])

    def test_external_refused(self) -> None:
        """Where EXTERNAL is refused, dialback follows on the same stream."""

        class Picky(Script):
            offer = EXTERNAL + DIALBACK

            def text(self, text: str) -> None:
                if text.startswith("<auth "):
                    self.send(f"<failure {SASL}><not-authorized/></failure>")
                else:
                    super().text(text)

        peer = self.reached(Picky)
        self.assertEqual([text.partition(" ")[0] for text in peer.messages], ["<open", "<auth", "<db:result", "<message"])

    def test_nothing_for_us(self) -> None:
        """A server that offers nothing we can do: the message comes back, and the error says what it offered."""
        peer = self.reached(scripted(offer="<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"))
        condition, text = self.bounced(self.client)
        self.assertEqual(condition, "remote-server-not-found")
        self.assertIn("we ended the stream with unsupported-feature: The server offered", text)
        self.assertIn("starttls", text)
        self.assertEqual(peer.stanzas, [])

    def test_all_refused(self) -> None:
        """Both refusals stand in the error that the sender gets, with the words of the other server on one line each."""

        class Refuses(Script):
            offer = EXTERNAL + DIALBACK

            def text(self, text: str) -> None:
                if text.startswith("<auth "):
                    self.send(f"<failure {SASL}><not-authorized/><text>I do not\nknow you</text></failure>")
                else:
                    super().text(text)

            def result(self, text: str) -> None:
                addresses = f"from='{attribute('to', text)}' to='{attribute('from', text)}'"
                self.send(f"<db:result {DB} {addresses} type='invalid'/>")

        self.reached(Refuses)
        _, text = self.bounced(self.client)
        self.assertIn("EXTERNAL was refused: not-authorized: I do not\\x0aknow you", text)
        self.assertIn("dialback answered 'invalid'", text)

    def test_forged_verdicts(self) -> None:
        """Verdicts on other pairs are none on ours."""

        class Forges(DialbackScript):
            def result(self, text: str) -> None:
                self.send(
                    f"<db:result {DB} from='{THEIRS}' to='verona.example' type='valid'/>",
                    f"<db:result {DB} from='verona.example' to='{OURS}' type='valid'/>",
                    result(),
                )

        peer = self.reached(Forges)
        self.assertEqual(peer.stanzas, [])
        super(Forges, peer).result(peer.messages[1])
        self.network.pump()
        self.assertEqual(peer.bodies, ["Art thou not Romeo?"])

    def test_wrong_name_in_the_answer(self) -> None:
        """A server that answers as another domain gets nothing."""
        kind = scripted(opening=lambda self, text: self.send(opening(THIRD, OURS), features(EXTERNAL)))
        peer = self.reached(kind)
        self.assertEqual(stream_error(peer.messages)[0], "invalid-from")
        self.assertIn("Found a stream from 'verona.example'; wanted 'montague.example'", self.bounced(self.client)[1])


class WithoutCertificate(S2SCase):
    """A server of ours that shows no certificate."""

    options = {"certificates": {OURS: "none"}}

    def test_dropped(self) -> None:
        """A server that drops who shows no certificate gives no reason, as xmpp-proxy: the error names it all the same."""

        class Drops(Script):
            def opening(self, text: str) -> None:
                self.shown = self.transport.getPeerCertificate()
                self.abort()

        listener = self.listen(Drops)
        client = self.juliet()
        self.write(client)
        condition, text = self.bounced(client)
        self.assertEqual(condition, "remote-server-not-found")
        self.assertIn(f"{URL} at {THEIR_ADDRESS}: ", text)
        self.assertIsNone(listener.peer.shown)


class WithChain(S2SCase):
    """A server of ours whose certificate comes from an intermediate authority."""

    @property
    def configuration(self) -> Any:  # type: ignore[override]  # written when the authority is there
        """The certificate of capulet.example."""
        path = self.folder / "chain.pem"
        path.write_bytes(Authority(self.now, "between", issuer=self.authority).issue(OURS))
        return {OURS: {"domains": {OURS: {"certificate": str(path.absolute())}}}}

    def test_whole_chain(self) -> None:
        """The intermediate certificate is sent along, so that who knows the root alone can believe us."""
        listener = self.listen()
        self.write(self.juliet())
        chain = listener.peer.transport.getHandle().get_peer_cert_chain(as_cryptography=True)
        # OpenSSL leaves a client's own certificate out of the list of what it sent.
        self.assertEqual([one.subject.rfc4514_string() for one in chain], ["CN=between"])
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])

    def test_incoming(self) -> None:
        """As the server as well."""
        peer = self.dial()
        self.assertEqual(len(peer.transport.getHandle().get_peer_cert_chain()), 2)


class PolicyExternal(S2SCase):
    """Under the policy `external` we neither ask others to call back nor answer those who do."""

    trust = "external"

    def test_dialback_server(self) -> None:
        """A server with dialback alone is not reached, and the error says what it offered."""
        listener = self.listen(DialbackScript)
        client = self.juliet()
        self.write(client)
        self.assertEqual([text.partition(" ")[0] for text in listener.peer.messages][:1], ["<open"])
        self.assertNotIn("<db:result", "".join(listener.peer.messages))
        self.assertIn("dialback", self.bounced(client)[1])


class Order(S2SCase):
    """Stanzas arrive in the order in which they were sent (RFC 6120, 10.1)."""

    def test_while_connecting(self) -> None:
        """What was sent while the stream is made goes first, then what is sent later, and nothing twice."""
        self.network.delay(0.5)
        client_peer = self.listen()
        client = self.federation.client
        self.network.delay(0)
        juliet = client(JULIET)
        self.network.delay(0.2)
        for number in range(20):
            self.write(juliet, body=f"<body>{number}</body>")
            self.network.advance(0.15)
        self.network.advance(5)
        self.assertEqual(client_peer.peer.bodies, [str(number) for number in range(20)])
        self.assertEqual(len(client_peer.peers), 1)


class Ends(S2SCase):
    """How a stream of ours ends, and what comes after it."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()
        self.listener = self.listen()
        self.write(self.client, body="<body>1</body>")

    def again(self) -> None:
        """The next message makes another stream, and is alone on it."""
        self.write(self.client, body="<body>2</body>")
        self.client.expect_nothing()
        self.assertEqual([peer.bodies for peer in self.listener.peers], [["1"], ["2"]])

    def test_cut(self) -> None:
        """A connection that is cut."""
        self.network.cut(self.federation.between_servers)
        self.network.pump()
        self.again()

    def test_closed(self) -> None:
        """The server closes: we close as well, both in the stream and in the WebSocket, with 1000."""
        peer = self.listener.peer
        peer.send(CLOSE)
        self.network.pump()
        self.assertEqual((peer.messages[-1], peer.close_code), (CLOSE, 1000))
        self.again()

    def test_closed_but_not_gone(self) -> None:
        """What is sent while the closed connection lingers goes to another stream at once; nothing is lost in between."""
        peer = self.listener.peer
        peer.answers = False
        peer.send(CLOSE)
        self.network.pump()
        self.assertIsNone(peer.lost)
        self.again()
        self.network.advance(2)
        self.assertIsNotNone(peer.lost)
        self.write(self.client, body="<body>3</body>")
        self.assertEqual([peer.bodies for peer in self.listener.peers], [["1"], ["2", "3"]])

    def test_peers_error(self) -> None:
        """The server's stream error, with or without an end after it, is logged with its words."""
        lines = self.logged()
        self.listener.peer.send(ERROR.format("reset", "new\nkeys"))
        self.network.pump()
        self.assertIn(f"stream to {THEIRS} has ended: the server ended the stream with reset: new\\x0akeys", "\n".join(lines))
        self.assertEqual(self.listener.peer.messages[-1], CLOSE)
        self.again()

    def test_stanza_from_the_server(self) -> None:
        """A stanza on a stream of ours is refused: nobody agreed on bidirectional streams (XEP-0288)."""
        peer = self.listener.peer
        condition, text = stream_error(self.say(peer, message())[-2:])
        self.assertEqual(condition, "not-authorized")
        self.assertIn("XEP-0288", text)
        self.client.expect_nothing()
        self.again()

    def test_certificate_expires(self) -> None:
        """When the server's certificate expires the stream is closed in good order, and another one is made on demand."""
        self.listener.close()
        self.listener = self.listen(certificate=self.issue(not_after=self.now + timedelta(minutes=5)))
        self.write(self.client, body="<body>1</body>")
        lines = self.logged()
        self.network.advance(250)
        self.assertIsNone(self.listener.peer.lost)
        self.network.advance(60)
        self.assertEqual(self.listener.peer.messages[-1], CLOSE)
        self.assertIn(f"stream to {THEIRS} has ended: the server's certificate has expired", "\n".join(lines))
        self.write(self.client)
        self.assertIn("certificate has expired on", self.bounced(self.client)[1])

    def test_pings(self) -> None:
        """After 50 s of silence the server is pinged; after two pings without an answer the connection is cut."""
        peer = self.listener.peer
        self.network.advance(49)
        self.assertEqual(peer.count(PING), 0)
        self.network.advance(1)
        self.assertEqual(peer.count(PING), 1)
        peer.answers = False
        self.network.advance(101)
        self.assertIsNone(peer.lost)
        self.network.advance(50)
        self.assertIsNotNone(peer.lost)
        self.again()

    def test_shutdown(self) -> None:
        """A server that stops says `system-shutdown`, `<close/>`, and 1012."""
        self.federation.stop(OURS)
        peer = self.listener.peer
        self.assertEqual(stream_error(peer.messages[-2:])[0], "system-shutdown")
        self.assertEqual(peer.close_code, 1012)

    def test_no_answer_to_our_closing(self) -> None:
        """Our `<close/>` is waited for 5 s, our Close frame 1 s, then the connection is dropped."""
        peer = self.listener.peer
        peer.answers = False
        self.patch(type(peer), "closing", lambda _: None)
        self.policy_closes()
        self.network.advance(4)
        self.assertIsNone(peer.close_code)
        self.network.advance(1)
        self.assertEqual(peer.close_code, 1000)
        self.assertIsNone(peer.lost)
        self.network.advance(1)
        self.assertIsNotNone(peer.lost)

    def policy_closes(self) -> None:
        """As when a certificate expires."""
        (outgoing,) = self.policy.streams._owners
        outgoing._expired()
        self.network.pump()
        self.assertEqual(self.listener.peer.messages[-1], CLOSE)

    def test_answered_close_frame(self) -> None:
        """The server's Close frame without a stream's end is an end as well."""
        self.listener.peer.write(CLOSING, b"\x03\xe8")
        self.network.pump()
        self.again()

    def test_does_not_read(self) -> None:
        """A server that reads no more is cut when more than 1 MiB waits for it; memory is bounded."""
        self.listener.peer.transport.pauseProducing()
        for _ in range(16):
            self.write(self.client, body=f"<body>{'x' * 200_000}</body>")
        self.assertLess(len(self.listener.peers), 16)
        self.listener.peers[0].transport.resumeProducing()
        self.network.pump()
        self.assertIsNotNone(self.listener.peers[0].lost)


class GivenUp(S2SCase):
    """A stream that nobody waits for any more."""

    def test_wire_that_ends_at_once(self) -> None:
        """Who gave up is told that, not that the connection is gone: no other address is tried for nobody."""

        class Wireless:
            stream = Stream(MessageFraming(S2S, 10_000), receiving=False, new_id=str, limit=10_000)

            def cut(self, reason: str) -> None:
                outgoing.lost(reason)

        connection: Any = Wireless()
        purpose = Purpose([], Management(self.policy.resumption))
        outgoing = Outgoing(self.policy, Pair(OURS, THEIRS), connection, Proof(), purpose)
        outgoing.opened.cancel()
        self.failureResultOf(outgoing.opened, CancelledError)
        self.assertEqual(len(self.policy.streams), 0)

    def test_late_answer(self) -> None:
        """It is cut; what the server said meanwhile changes nothing."""
        listener = self.listen(scripted(verify=lambda self, text: None))
        peer = self.dial()
        self.say(peer, opening(), result())
        (outgoing,) = [owner for owner in self.policy.streams._owners if isinstance(owner, Outgoing)]
        peer.abort()
        self.network.pump()
        self.assertTrue(outgoing.ready.called)
        outgoing.handle(KeyVerified(Pair(THEIRS, OURS), "", True))
        self.assertIsNotNone(listener.peer.lost)
        self.assertEqual(len(self.policy.streams), 0)


class Addressed(S2SCase):
    """What is written on the way out."""

    def test_stamped(self) -> None:
        """The sender's full address and the servers' namespace, and the letter as it was."""
        listener = self.listen()
        client = self.juliet()
        client.send(f"<message to='{ROMEO}' id='7'><body>a &lt; b</body><x xmlns='urn:example'/></message>")
        self.assertEqual(
            listener.peer.messages[-1],
            f"<message xmlns='jabber:server' to='{ROMEO}' id='7' from='{JULIET}'>"
            "<body>a &lt; b</body><x xmlns='urn:example'/></message>",
        )

    def test_key_differs(self) -> None:
        """Each stream has a key of its own, because each has another id."""
        numbers = iter(range(10))
        kind = scripted(
            DialbackScript,
            opening=lambda self, text: self.send(opening(THEIRS, OURS, f" id='id-{next(numbers)}'"), features(DIALBACK)),
        )
        listener = self.listen(kind)
        client = self.juliet()
        self.write(client)
        self.network.cut(self.federation.between_servers)
        self.network.pump()
        self.write(client)
        first, second = (peer.messages[1] for peer in listener.peers)
        self.assertNotEqual(first, second)
