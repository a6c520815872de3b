"""Dialback on streams that came in: claims of others that we verify, and keys of ours that others ask about."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, fail

from tests.services.peers import Listener
from tests.services.s2s import (
    DB,
    OURS,
    ROMEO,
    THEIR_ADDRESS,
    THEIRS,
    THIRD,
    DialbackScript,
    S2SCase,
    Script,
    attribute,
    message,
    opening,
    result,
    stream_error,
)
from xmppfed.core.events import Pair
from xmppfed.core.negotiation.dialback import dialback_key
from xmppfed.services import federation
from xmppfed.services.incoming import Incoming
from xmppfed.services.pairs import MAX_PAIRS


class Dialback(S2SCase):
    """XEP-0220 as the receiving server."""

    routes = {THEIRS: (THEIR_ADDRESS,), THIRD: ("127.0.9.2",), f"x{THEIRS}": ("127.0.9.3",)}

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()

    def claimed(self, *claims: str, peer: Any = None) -> list[str]:
        """What comes of claims on a stream."""
        if peer is None:
            peer = self.dial()
            self.say(peer, opening())
        self.peer = peer
        return self.say(peer, *claims)

    def error(self, *claims: str) -> tuple[str, str]:
        """Condition and text of the error in the one answer; the stream lives."""
        (answer,) = self.claimed(*claims)
        self.assertIn("type='error'", answer)
        self.assertIsNone(self.peer.lost)
        inner = answer.partition("<error")[2].partition(">")[2]
        return inner[1:].partition(" ")[0], answer.partition("<text")[2].partition(">")[2].partition("<")[0]

    def test_valid(self) -> None:
        """The authoritative server is asked for the key, the pair and the stream id that were used; then stanzas pass."""
        listener = self.listen(DialbackScript)
        (answer,) = self.claimed(result())
        self.assertIn(f"from='{OURS}' to='{THEIRS}' type='valid'", answer)
        stream_id = attribute("id", self.peer.messages[0])
        asked = listener.peer.messages[1]
        self.assertEqual((attribute("from", asked), attribute("to", asked), attribute("id", asked)), (OURS, THEIRS, stream_id))
        self.assertIn(">key</db:verify>", asked)
        self.say(self.peer, message())
        self.client.expect(f"<message from='{ROMEO}'/>")
        self.assertEqual([owner._proved._work for owner in self.policy.streams._owners if isinstance(owner, Incoming)], [set()])

    def test_question_stream(self) -> None:
        """The stream for a question asks it and closes: nobody authenticates on it, and no stanza uses it."""
        listener = self.listen()  # which offers EXTERNAL
        self.claimed(result())
        self.assertEqual([text.partition(" ")[0] for text in listener.peer.messages], ["<open", "<db:verify", "<close"])
        self.network.advance(2)
        self.assertIsNotNone(listener.peer.lost)

    def test_invalid(self) -> None:
        """s2s-db-forged-result: the authoritative server did not make the key. The claim is invalid, the stream lives, and
        nothing may be sent on it."""
        self.listen(type("Denies", (Script,), {"verify": lambda self, text: Script.verify(self, text, "invalid")}))
        lines = self.logged()
        (answer,) = self.claimed(result())
        self.assertIn("type='invalid'", answer)
        self.assertIn(f"dialback of {THEIRS} to {OURS} failed: dialback answered 'invalid'", "\n".join(lines))
        self.assertEqual(stream_error(self.say(self.peer, message()))[0], "not-authorized")
        self.client.expect_nothing()

    def test_forged_verdicts(self) -> None:
        """s2s-db-forged-result: verdicts that nobody asked for prove nothing, whatever they say."""
        for forged in (
            f"<db:result {DB} from='{THEIRS}' to='{OURS}' type='valid'/>",
            f"<db:result {DB} from='{OURS}' to='{THEIRS}' type='valid'/>",
            f"<db:verify {DB} from='{THEIRS}' to='{OURS}' id='x' type='valid'/>",
        ):
            with self.subTest(forged):
                self.assertEqual(self.claimed(forged), [])
                self.assertEqual(stream_error(self.say(self.peer, message()))[0], "not-authorized")
        self.client.expect_nothing()

    def test_answers_to_other_questions(self) -> None:
        """An authoritative server that answers for another pair or stream has not answered."""

        class Confused(Script):
            def verify(self, text: str, kind: str = "valid") -> None:
                for sender, to, stream_id in (
                    (THIRD, OURS, attribute("id", text)),
                    (THEIRS, THIRD, attribute("id", text)),
                    (THEIRS, OURS, "another"),
                    (OURS, THEIRS, attribute("id", text)),
                ):
                    self.send(f"<db:verify {DB} from='{sender}' to='{to}' id='{stream_id}' type='valid'/>")

        listener = self.listen(Confused)
        self.assertEqual(self.claimed(result()), [])
        Script.verify(listener.peer, listener.peer.messages[1], "invalid")
        self.network.pump()
        self.assertIn("type='invalid'", self.peer.take()[0])

    def test_name_that_ends_alike(self) -> None:
        """A key for montague.example is none for xmontague.example: each claim is verified at its own server."""
        theirs = self.listen()
        other = self.listen(
            type("Denies", (Script,), {"verify": lambda self, text: Script.verify(self, text, "invalid")}),
            "127.0.9.3",
            self.issue(f"x{THEIRS}"),
        )
        first, second = self.claimed(result(), result(f"x{THEIRS}"))
        self.assertIn("type='valid'", first)
        self.assertIn("type='invalid'", second)
        self.assertEqual((len(theirs.peers), len(other.peers)), (1, 1))
        self.assertEqual(stream_error(self.say(self.peer, message(f"romeo@x{THEIRS}")))[0], "invalid-from")

    def test_second_pair(self) -> None:
        """A stream may carry more domains of the same server, each verified for itself, also after EXTERNAL."""
        self.listen(DialbackScript, "127.0.9.2", self.issue(THIRD))
        (answer,) = self.claimed(result(THIRD), peer=self.authenticated())
        self.assertIn("type='valid'", answer)
        self.say(self.peer, message(f"nurse@{THIRD}"), message())
        self.client.expect(f"<message from='nurse@{THIRD}'/>")
        self.client.expect(f"<message from='{ROMEO}'/>")

    def test_unknown_domain(self) -> None:
        """A claim for a domain that is not ours is answered with `item-not-found`, and the stream lives (XEP-0220, 2.4)."""
        self.assertEqual(self.error(result(to=THIRD)), ("item-not-found", f"{THIRD} is not served here."))
        self.listen()
        self.assertIn("type='valid'", self.say(self.peer, result())[0])

    def test_own_domain(self) -> None:
        """A claim to be one of our own domains is refused, and nobody is asked."""
        self.assertEqual(self.error(result(OURS)), ("not-allowed", f"{OURS} is served here."))

    def test_unreachable(self) -> None:
        """Where nobody listens at the authoritative server's address, the answer is an error that says so."""
        condition, text = self.error(result())
        self.assertEqual(condition, "remote-server-not-found")
        self.assertIn(f"wss://{THEIRS}/xmpp-websocket at {THEIR_ADDRESS}: no connection", text)

    def test_wrong_certificate(self) -> None:
        """The authoritative server's TLS must verify: otherwise who controls DNS could answer in its place."""
        listener = self.listen(certificate=self.issue(THIRD))
        condition, text = self.error(result())
        self.assertEqual(condition, "remote-server-not-found")
        self.assertIn(f"found a certificate for DNS {THIRD}; wanted one for {THEIRS}", text)
        self.assertEqual(listener.peer.messages, [])

    def test_silent_server(self) -> None:
        """An authoritative server that never answers: the stream ends after 30 s, and the question is given up with it."""
        listener = self.listen(type("Silent", (Script,), {"verify": lambda self, text: None}))
        self.assertEqual(self.claimed(result()), [])
        self.network.advance(29)
        self.assertEqual(self.peer.take(), [])
        self.network.advance(1)
        self.assertEqual(
            stream_error(self.peer.take()), ("connection-timeout", "The peer did not authenticate in time within 30 s.")
        )
        self.network.advance(2)
        self.assertIsNotNone(listener.peer.lost)

    def test_peer_that_left(self) -> None:
        """A question whose asker has gone is given up: nobody makes us talk to others for nothing."""
        listener = self.listen(type("Silent", (Script,), {"verify": lambda self, text: None}))
        self.claimed(result())
        self.peer.abort()
        self.network.pump()
        self.assertIsNotNone(listener.peer.lost)
        self.assertEqual(len(self.policy.streams), 0)

    def left(self) -> None:
        """The asker leaves while we reach for the authoritative server: no trace, no fault in the log."""
        self.assertEqual(self.claimed(result()), [])
        self.peer.abort()
        self.network.pump()
        self.assertEqual((self.flushLoggedErrors(), self.policy._reaching, len(self.policy.streams)), ([], set(), 0))

    def test_peer_that_left_before_the_connection(self) -> None:
        """Where nothing answers yet."""
        self.network.blackhole(THEIR_ADDRESS)
        self.left()

    def test_peer_that_left_before_tls(self) -> None:
        """Where TLS is not answered yet."""
        listener = Listener(self.network, THEIR_ADDRESS, None)
        self.addCleanup(listener.close)
        self.left()
        self.assertIsNotNone(listener.peer.lost)

    def test_peer_that_left_before_the_header(self) -> None:
        """Where the stream is not answered yet, with more addresses to try: they are left alone."""
        listener = self.listen(type("Silent", (Script,), {"opening": lambda self, text: None}))
        self.left()
        self.assertIsNotNone(listener.peer.lost)

    def test_peer_that_left_before_its_turn(self) -> None:
        """Where others are asked first."""
        self.patch(self.policy, "_questions", DeferredSemaphore(1))
        self.listen(type("Silent", (Script,), {"verify": lambda self, text: None}))
        first = self.dial()
        self.say(first, opening(), result())
        self.assertEqual(self.claimed(result()), [])
        self.peer.abort()
        self.network.pump()
        self.assertEqual(self.policy._questions.waiting, [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_fault(self) -> None:
        """A fault of ours ends the stream with `internal-server-error`, without a detail, and is logged."""
        self.patch(self.policy, "ask", lambda *_: fail(ZeroDivisionError("secret detail")))
        self.assertEqual(stream_error(self.claimed(result())), ("internal-server-error", ""))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_many_pairs(self) -> None:
        """No stream carries more than 1 000 pairs: the next claim gets `resource-constraint`, and nobody is asked."""
        asked: list[Pair] = []

        async def ask(pair: Pair, stream_id: str, key: str) -> None:
            asked.append(pair)

        self.patch(self.policy, "ask", ask)
        self.claimed(*(result(f"{number}.example") for number in range(MAX_PAIRS)))
        (answer,) = self.say(self.peer, result("more.example"))
        self.assertIn("resource-constraint", answer)
        self.assertEqual(len(asked), MAX_PAIRS)
        self.assertIsNone(self.peer.lost)

    def test_many_questions(self) -> None:
        """Strangers have us ask at most 50 servers at once; what waits is bounded, and an end of the stream ends it."""
        begun: list[Pair] = []

        def reach(pair: Pair, *_: object) -> Deferred[Any]:
            begun.append(pair)
            return Deferred()

        self.patch(self.policy, "_reach", reach)
        self.patch(federation, "MAX_WAITING_QUESTIONS", 30)
        came = self.claimed(*(result(f"{number}.example") for number in range(90)))
        self.assertEqual(len(begun), federation.MAX_QUESTIONS)
        self.assertEqual(len(came), 10)
        self.assertTrue(all("resource-constraint" in text for text in came), came)
        self.peer.abort()
        self.network.pump()
        other = self.dial()
        self.say(other, opening(), result("another.example"))
        self.assertEqual(begun[-1], Pair(OURS, "another.example"))

    def test_more_requests_than_may_wait(self) -> None:
        """More than 100 claims that wait on one stream end it with `policy-violation`."""
        self.patch(self.policy, "_reach", lambda *_: Deferred())
        came = self.claimed(*(result(f"{number}.example") for number in range(101)))
        self.assertEqual(stream_error(came)[0], "policy-violation")


class Authoritative(S2SCase):
    """XEP-0220 as the authoritative server: others ask whether a key is ours."""

    def setUp(self) -> None:
        super().setUp()
        self.secret = self.successResultOf(Deferred.fromCoroutine(self.server.storage.accounts.secret("dialback")))
        self.peer = self.dial()
        self.say(self.peer, opening())

    def asked(self, key: str, sender: str = OURS, to: str = THEIRS, stream_id: str = "D60000229F") -> str:
        """The answer to a question about a key for the pair (sender, to)."""
        (answer,) = self.say(self.peer, f"<db:verify {DB} from='{to}' to='{sender}' id='{stream_id}'>{key}</db:verify>")
        self.assertEqual((attribute("from", answer), attribute("to", answer), attribute("id", answer)), (sender, to, stream_id))
        return attribute("type", answer)

    def test_our_key(self) -> None:
        """Our own key for just this pair and stream is valid; the stream needs no authentication."""
        key = dialback_key(self.secret, Pair(OURS, THEIRS), "D60000229F")
        self.assertEqual(self.asked(key), "valid")
        self.assertEqual(self.asked(key, stream_id="other"), "invalid")
        self.assertEqual(self.asked(key, to=f"x{THEIRS}"), "invalid")
        self.assertEqual(self.asked(key[:-1]), "invalid")
        self.assertEqual(self.asked(""), "invalid")

    def test_domain_that_is_not_ours(self) -> None:
        """We answer for our own domains alone."""
        self.assertEqual(self.asked("key", sender=THIRD), "error")
        self.assertIn("item-not-found", self.peer.messages[-1])

    def test_secret_is_read_once(self) -> None:
        """Questions of strangers do not reach the storage each time."""
        self.asked("one")
        self.patch(self.server.storage.accounts, "secret", lambda name: fail(AssertionError(name)))
        self.assertEqual(self.asked("two"), "invalid")

    def test_peer_that_left(self) -> None:
        """What is decided after the peer has left is written nowhere."""
        waiting: Deferred[bool] = Deferred()
        self.patch(self.policy, "is_ours", lambda *_: waiting)
        self.say(self.peer, f"<db:verify {DB} from='{THEIRS}' to='{OURS}' id='x'>key</db:verify>")
        self.peer.abort()
        self.network.pump()
        self.assertTrue(waiting.called, "it was not canceled")
        self.assertEqual(self.flushLoggedErrors(), [])
