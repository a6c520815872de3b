"""Tests for `xmppfed.e2e.peers`: two ends, their streams and queues."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from tests.e2e.ends import JULIET, PORT, ROMEO, TIMEOUTS, End, EndsCase
from xmppfed.core.framing import E2E
from xmppfed.e2e import acquaintances, peers
from xmppfed.e2e.host import StreamEnded
from xmppfed.e2e.session import new_ledger
from xmppfed.e2e.store import MemoryTrustStore
from xmppfed.e2e.trust import Acquaintance, Policy, Trust
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.net.certificates import moment, spki_sha256
from xmppfed.net.issuing import Authority
from xmppfed.net.tls import TrustRoots


def bodies(end: End) -> list[str]:
    """What has arrived."""
    return [body for _, body in end.heard.bodies]


class Talking(EndsCase):
    """Two ends that have never met."""

    def test_first_use(self) -> None:
        """E13, E14, E21, T2, T5: a stanza makes a stream with TLS and EXTERNAL; it arrives, and the answer goes back on it."""
        juliet, romeo = self.pair()
        juliet.say("wherefore art thou", ROMEO)
        self.network.pump()
        self.assertEqual(romeo.heard.bodies, [(JULIET, "wherefore art thou")])
        romeo.say("here", JULIET)
        self.network.pump()
        self.assertEqual(juliet.heard.bodies, [(ROMEO, "here")])
        self.assertEqual((juliet.heard.people, romeo.heard.people), ([f"+{ROMEO} first-use"], [f"+{JULIET} first-use"]))
        self.assertEqual(len(self.network.links), 1)
        [stream] = romeo.peers.streams()
        self.assertEqual((stream.connection.stream.mechanism, E2E.content), ("EXTERNAL", "jabber:client"))
        self.assertEqual(len(stream.beneath.exporter), 32)  # so it is TLS 1.3

    def test_verified(self) -> None:
        """E16, E17, T3, T4: who has an authority's word needs no introduction, and its key is not kept, for it may rotate."""
        certificates = [self.certificate(name, self.authority) for name in (JULIET, ROMEO)]
        juliet = self.end(JULIET, "192.0.2.1", Policy.VERIFIED, certificate=certificates[0])
        romeo = self.end(ROMEO, "192.0.2.2", Policy.VERIFIED, certificate=certificates[1])
        juliet.say("hello", ROMEO)
        self.network.pump()
        self.assertEqual(romeo.heard.people, [f"+{JULIET} verified"])
        [kept] = romeo.store.all()
        self.assertEqual((kept.name, kept.trust, kept.spki_sha256), (JULIET, Trust.VERIFIED, None))

    def test_plain(self) -> None:
        """Without certificates, and where the policy allows it, there is no TLS."""
        juliet, romeo = self.pair(Policy.PLAIN, bare=True)
        juliet.say("hello", ROMEO)
        self.network.pump()
        self.assertEqual((romeo.heard.bodies, romeo.heard.people), ([(JULIET, "hello")], [f"+{JULIET} plain"]))
        self.assertEqual(list(romeo.store.all()), [])

    def test_encrypted_where_it_can_be(self) -> None:
        """E22: a policy that allows plain streams is no reason to have one."""
        juliet, romeo = self.pair(Policy.PLAIN)
        juliet.say("hello", ROMEO)
        self.network.pump()
        self.assertEqual(romeo.heard.people, [f"+{JULIET} first-use"])

    def test_addresses_are_filled_in(self) -> None:
        """E20, L12: stanzas without addresses get those of the stream; resources stay as they are."""
        juliet, romeo = self.pair()
        juliet.say("nameless", ROMEO)
        juliet.say("named", ROMEO, **{"from": f"{JULIET}/balcony", "to": f"{ROMEO}/garden"})
        self.network.pump()
        addresses = [(stanza.attributes["from"], stanza.attributes["to"]) for stanza in romeo.heard.stanzas]
        self.assertEqual(addresses, [(JULIET, ROMEO), (f"{JULIET}/balcony", f"{ROMEO}/garden")])

    def test_any_cut(self) -> None:
        """However the network cuts what is sent, it arrives."""
        for size in (1, 7, 100):
            with self.subTest(size=size):
                self.network.split(size)
                juliet = self.end(f"j{size}@pronto", f"192.0.2.{size + 1}")
                romeo = self.end(f"r{size}@forza", f"192.0.2.{size + 101}")
                juliet.say("hello", romeo.name)
                self.network.pump(100_000)
                self.assertEqual(bodies(romeo), ["hello"])

    def test_capitals(self) -> None:
        """L10: on a link, capitals make no other peer."""
        juliet, romeo = self.pair()
        juliet.say("one", ROMEO)
        self.network.pump()
        juliet.say("two", ROMEO.upper())
        self.network.pump()
        self.assertEqual((bodies(romeo), len(self.network.links)), (["one", "two"], 1))


class Judging(EndsCase):
    """T4, T7: who is refused, and what both sides hear of it."""

    def acquainted(self, end: End, name: str, trust: Trust, key: bytes) -> None:
        """Somebody knows somebody."""
        end.store.keep(Acquaintance(name=name, trust=trust, spki_sha256=key, first_seen=1.0))

    def bounced(self, end: End, *words: str) -> None:
        """The one thing that was said came back, with a reason."""
        [(_, reason)] = end.heard.bounced
        for word in words:
            self.assertIn(word, reason)

    def test_stranger_where_pairing_is_wanted(self) -> None:
        """A policy of pairing takes no stranger, and says so to who calls."""
        juliet = self.end(JULIET, "192.0.2.1")
        self.end(ROMEO, "192.0.2.2", Policy.PAIRED)
        juliet.say("hello", ROMEO)
        self.network.advance(10)
        self.bounced(juliet, "not-authorized", "Pair with it first")

    def test_pinned(self) -> None:
        """T4 (1): a pin alone decides, whatever the policy, and whoever signed."""
        juliet = self.end(JULIET, "192.0.2.1", Policy.PAIRED)
        romeo = self.end(ROMEO, "192.0.2.2", Policy.PAIRED)
        for one, other in ((juliet, romeo), (romeo, juliet)):
            assert other.peers.certificate is not None
            self.acquainted(one, other.name, Trust.PINNED, spki_sha256(other.peers.certificate.leaf))
        juliet.say("hello", ROMEO)
        self.network.pump()
        self.assertEqual(romeo.heard.people, [f"+{JULIET} pinned"])

    def test_changed_key_of_who_is_called(self) -> None:
        """T4: another key under a known name is refused before a word is said, at once, and loudly."""
        juliet, romeo = self.pair()
        self.acquainted(juliet, ROMEO, Trust.FIRST_USE, b"k" * 32)
        with capturedLogs() as events:
            juliet.say("secret", ROMEO)
            self.network.pump()
        self.bounced(juliet, "shows the key", "somebody poses as it")
        self.assertIn("critical", [event["log_level"].name for event in events])
        self.assertEqual((bodies(romeo), self.network.links), ([], []))

    def test_changed_key_of_who_calls(self) -> None:
        """T4: nor is it let in, and it hears why; the log of who was called cries out."""
        juliet, romeo = self.pair()
        self.acquainted(romeo, JULIET, Trust.PAIRED, b"k" * 32)
        with capturedLogs() as events:
            juliet.say("secret", ROMEO)
            self.network.pump()
        self.assertIn("critical", [event["log_level"].name for event in events])
        self.assertEqual(bodies(romeo), [])
        self.network.advance(10)
        self.bounced(juliet, "not-authorized", "shows the key")

    def test_expired(self) -> None:
        """T3: an expired certificate is nobody's word, and no first use either."""
        old = moment(self.network.reactor) - timedelta(days=1)
        for authority, policy in ((self.authority, Policy.VERIFIED), (None, Policy.FIRST_USE)):
            with self.subTest(policy=policy):
                expired = self.certificate(ROMEO, authority, not_before=old - timedelta(days=9), not_after=old)
                romeo = self.end(ROMEO, f"192.0.2.{len(self.ends) + 1}", certificate=expired)
                juliet = self.end(JULIET, f"192.0.2.{len(self.ends) + 1}", policy)
                juliet.map.places[ROMEO] = romeo.place
                juliet.say("hello", ROMEO)
                self.network.pump()
                self.bounced(juliet, "has expired on")

    def test_expires_during_the_stream(self) -> None:
        """T3: what an authority vouched for holds as long as its word: then the stream ends."""
        end = moment(self.network.reactor) + timedelta(hours=1)
        juliet = self.end(JULIET, "192.0.2.1", Policy.VERIFIED, certificate=self.certificate(JULIET, self.authority))
        soon = self.certificate(ROMEO, self.authority, not_after=end)
        self.end(ROMEO, "192.0.2.2", Policy.VERIFIED, certificate=soon)
        juliet.say("hello", ROMEO)
        self.network.advance(3599)
        self.assertEqual(len(juliet.peers.streams()), 1)
        self.network.advance(10)
        self.assertEqual(len(juliet.peers.streams()), 0)

    def test_plain_after_encrypted(self) -> None:
        """T7: who was ever encrypted is not plain again, whoever calls; and nothing was said in the clear."""
        juliet = self.end(JULIET, "192.0.2.1", Policy.PLAIN)
        romeo = self.end(ROMEO, "192.0.2.2", Policy.PLAIN, bare=True)
        self.acquainted(juliet, ROMEO, Trust.FIRST_USE, b"k" * 32)
        juliet.say("secret", ROMEO)
        self.network.advance(10)
        self.bounced(juliet, "wanted STARTTLS")
        romeo.say("trust me", JULIET)
        self.network.advance(10)
        self.assertEqual((bodies(romeo), bodies(juliet)), ([], []))

    def test_spoofed_name(self) -> None:
        """M4: without TLS a peer is at least where its name is announced; elsewhere somebody poses as it."""
        juliet, romeo = self.pair(Policy.PLAIN, bare=True)
        juliet.map.announced = {"192.0.2.2": ["tybalt@verona"], "192.0.2.77": [ROMEO]}
        romeo.say("it is me", JULIET)
        self.network.advance(10)
        self.assertEqual(bodies(juliet), [])
        self.bounced(romeo, "announced there is tybalt@verona")
        juliet.map.announced = {}
        romeo.heard.bounced.clear()
        romeo.say("it is me", JULIET)
        self.network.advance(10)
        self.bounced(romeo, "announced there is nobody")
        juliet.map.announced = {"192.0.2.2": [ROMEO.upper(), "tybalt@verona"]}
        romeo.say("it is me", JULIET)
        self.network.pump()
        self.assertEqual(bodies(juliet), ["it is me"])

    def test_other_spelling(self) -> None:
        """T4, T7: who is known is known however the address is written; another key is refused, and so is none."""
        for name in ("juliet@verona.example.", "ｊuliet@verona.example", "juliet@Verona。example"):
            for bare in (False, True):
                with self.subTest(name=name, bare=bare):
                    self.ends.clear()
                    self.setUp()
                    romeo = self.end(ROMEO, "192.0.2.2", Policy.PLAIN)
                    self.acquainted(romeo, "juliet@verona.example", Trust.PINNED, b"k" * 32)
                    own = self.certificate("juliet@verona.example")
                    tybalt = self.end(name, "192.0.2.3", Policy.PLAIN, bare=bare, certificate=own)
                    tybalt.say("it is me", ROMEO)
                    self.network.advance(10)
                    self.assertEqual((bodies(romeo), romeo.heard.people), ([], []))

    def test_same_key_other_name(self) -> None:
        """T4: the same key under another name is the same person; the name it was last met under is shown."""
        own = self.certificate(JULIET)
        juliet, romeo = self.end(JULIET, "192.0.2.1", certificate=own), self.end(ROMEO, "192.0.2.2")
        juliet.say("hello", ROMEO)
        self.network.pump()
        renamed = self.end("juliet-1@pronto", "192.0.2.3", certificate=own)
        renamed.say("me, and soon", ROMEO)
        self.network.advance(60)
        self.assertEqual([one.name for one in romeo.store.all()], [JULIET])  # X5: not every name is worth a write
        [stream] = renamed.peers.streams()
        stream.close()
        self.network.advance(5)
        renamed.say("still me", ROMEO)
        self.network.pump()
        self.assertEqual(
            romeo.heard.bodies,
            [
                (JULIET, "hello"),
                ("juliet-1@pronto", "me, and soon"),
                ("juliet-1@pronto", "still me"),
            ],
        )
        [kept] = romeo.store.all()
        self.assertEqual((kept.name, kept.first_seen), ("juliet-1@pronto", 1.8e9))

    def test_seen_again(self) -> None:
        """When a peer was last seen is noted once a day, and not at every stream."""
        juliet, romeo = self.pair()
        for day, seen in ((0, 1.8e9), (0.5, 1.8e9), (1.6, 1.8e9 + 1.6 * 86400)):
            self.network.advance(1.8e9 + day * 86400 - self.network.reactor.seconds())
            juliet.say("hello", ROMEO)
            self.network.pump()
            [kept] = romeo.store.all()
            self.assertAlmostEqual(kept.last_seen, seen, delta=60)
            self.network.advance(2)
            self.network.cut()
            self.network.pump()

    def test_cannot_be_remembered(self) -> None:
        """Who cannot be remembered as the first of a name is not let in as such; who is known, or vouched for, is let in."""

        class Full(MemoryTrustStore):
            def keep(self, acquaintance: Acquaintance) -> None:
                raise OSError("no space left on device")

        own = self.certificate(JULIET)
        known = Acquaintance(name=JULIET, trust=Trust.PINNED, spki_sha256=spki_sha256(own.leaf), last_seen=1.0)
        vouched = self.certificate(JULIET, self.authority)
        for store, certificate, came in ((Full(), own, []), (Full([known]), own, ["hello"]), (Full(), vouched, ["hello"])):
            with self.subTest(came=came):
                self.ends.clear()
                juliet = self.end(JULIET, "192.0.2.1", certificate=certificate)
                romeo = self.end(ROMEO, "192.0.2.2", store=store)
                juliet.say("hello", ROMEO)
                self.network.advance(10)
                self.assertEqual(bodies(romeo), came)
                self.assertTrue(self.flushLoggedErrors(OSError))
                self.clean()
                self.ports.clear()

    def test_too_many_strangers(self) -> None:
        """X5: strangers cannot fill the store: then nobody new is met, and who is known is let in as before."""
        self.patch(acquaintances, "MOST_REMEMBERED", 2)
        romeo = self.end(ROMEO, "192.0.2.2")
        known = [self.end(f"p{number}@verona", f"192.0.2.{number + 10}") for number in range(2)]
        for one in known:
            one.say("hello", ROMEO)
        self.network.pump()
        late = self.end("late@verona", "192.0.2.30")
        late.say("hello", ROMEO)
        vouched = self.end("v@verona.example", "192.0.2.31", certificate=self.certificate("v@verona.example", self.authority))
        vouched.say("hello", ROMEO)
        self.network.advance(10)
        self.bounced(late, "more than 2 peers are remembered already")
        known[0].say("again", ROMEO)
        self.network.pump()
        self.assertEqual(bodies(romeo), ["hello", "hello", "hello", "again"])
        self.assertEqual(len(list(romeo.store.all())), 2)

    def test_nobody(self) -> None:
        """Who cannot be found, or does not listen, is not waited for."""
        juliet = self.end(JULIET, "192.0.2.1")
        juliet.say("hello", "tybalt@verona")
        self.network.pump()
        self.bounced(juliet, "nobody knows where tybalt@verona is")
        juliet.heard.bounced.clear()
        juliet.map.places["tybalt@verona"] = "192.0.2.66"
        juliet.say("hello", "tybalt@verona")
        self.network.pump()
        self.bounced(juliet, "no connection")

    def test_authority_nobody_believes(self) -> None:
        """X.509 is judged by our anchors alone."""
        juliet = self.end(JULIET, "192.0.2.1", Policy.VERIFIED)
        juliet.local.trust = TrustRoots([Authority(moment(self.network.reactor)).certificate], system=False)
        self.end(ROMEO, "192.0.2.2", certificate=self.certificate(ROMEO, self.authority))
        juliet.say("hello", ROMEO)
        self.network.pump()
        self.bounced(juliet, "unknown authority")


class Crossing(EndsCase):
    """X3, X4: streams that cross, break and are replaced; one queue per peer."""

    def test_crossing(self) -> None:
        """X3, X4: two ends that call at once keep the stream of the lower address; everything arrives once, in its order."""
        self.network.delay(0.05)
        juliet, romeo = self.pair()
        for number in range(3):
            juliet.say(f"j{number}", ROMEO)
            romeo.say(f"r{number}", JULIET)
        self.network.advance(0.5)
        juliet.say("j3", ROMEO)
        romeo.say("r3", JULIET)
        self.network.advance(2)
        self.assertEqual((bodies(romeo), bodies(juliet)), ([f"j{n}" for n in range(4)], [f"r{n}" for n in range(4)]))
        [one], [other] = juliet.peers.streams(), romeo.peers.streams()
        self.assertEqual((one.opener, other.opener), (JULIET, JULIET))
        self.assertEqual(len(self.network.links), 1)

    @given(
        st.lists(st.tuples(st.sampled_from("jr"), st.floats(0, 0.3)), min_size=1, max_size=12), st.sampled_from([0.0, 0.01, 0.05])
    )
    def test_any_times(self, said: list[tuple[str, float]], delay: float) -> None:
        """Whoever says what when: nothing is lost, nothing comes twice, and the order is kept."""
        self.setUp()
        self.network.delay(delay)
        juliet, romeo = self.pair()
        wanted: dict[str, list[str]] = {"j": [], "r": []}
        for number, (who, pause) in enumerate(said):
            wanted[who].append(str(number))
            juliet.say(str(number), ROMEO) if who == "j" else romeo.say(str(number), JULIET)
            self.network.advance(pause)
        self.network.advance(10)
        self.assertEqual((bodies(romeo), bodies(juliet)), (wanted["j"], wanted["r"]))
        self.assertEqual((len(juliet.peers.streams()), len(romeo.peers.streams())), (1, 1))
        self.clean()
        self.ports, self.ends = [], []

    def test_called_again(self) -> None:
        """A second stream of the same end takes the place of the first, which may be half dead."""
        juliet, romeo = self.pair()
        juliet.say("one", ROMEO)
        self.network.pump()
        self.network.freeze()
        [stream] = juliet.peers.streams()
        stream.connection.cut("the cable broke")
        self.network.pump()
        juliet.say("two", ROMEO)
        self.network.advance(20)
        self.assertEqual(bodies(romeo)[-1], "two")
        romeo.say("and back", JULIET)
        self.network.advance(1)
        self.assertEqual(bodies(juliet), ["and back"])

    def test_queue_is_bounded(self) -> None:
        """X4: what waits is bounded in bytes and in time, and returns with the reason."""
        juliet, romeo = self.pair()
        self.network.blackhole(romeo.place)
        juliet.say("x" * TIMEOUTS.queue_bytes, ROMEO)
        self.assertIn("Too much waits", juliet.heard.bounced[0][1])
        juliet.heard.bounced.clear()
        juliet.say("late", ROMEO)
        self.network.advance(61)
        self.assertEqual([body for body, _ in juliet.heard.bounced], ["late"])

    def test_queue_ages(self) -> None:
        """X4: a peer that is tried in vain is not waited for longer than the queue allows."""
        juliet, _romeo = self.pair()
        juliet.map.endpoint = _Never().endpoint  # type: ignore[method-assign]
        juliet.say("early", ROMEO)
        self.network.advance(30)
        juliet.say("late", ROMEO)
        self.network.advance(31)
        self.assertEqual([body for body, _ in juliet.heard.bounced], ["early"])
        self.network.advance(30)
        self.assertEqual([body for body, _ in juliet.heard.bounced], ["early", "late"])
        self.assertIn("within 60 seconds", juliet.heard.bounced[0][1])

    def test_too_long(self) -> None:
        """A stanza that the peer does not take returns, and the next goes on."""
        juliet, romeo = self.pair()
        juliet.say("hello", ROMEO)
        self.network.pump()
        [stream] = juliet.peers.streams()
        stream.connection.stream.peer_limit = 200
        juliet.say("x" * 300, ROMEO)
        juliet.say("short", ROMEO)
        self.network.pump()
        self.assertEqual(([len(body) for body, _ in juliet.heard.bounced], bodies(romeo)), ([300], ["hello", "short"]))

    def test_too_long_for_the_peer(self) -> None:
        """A stanza at which the peer ends the stream is tried three times, and returns with what waits behind it: nothing of
        that is lost without a word. What is said later goes on."""
        juliet, romeo = self.pair()
        romeo.local.limit = 20_000
        juliet.say("x" * 30_000, ROMEO)
        juliet.say("behind it", ROMEO)
        self.network.advance(10)
        self.assertEqual([len(body) for body, _ in juliet.heard.bounced], [30_000, len("behind it")])
        self.assertIn("policy-violation", juliet.heard.bounced[0][1])
        juliet.say("later", ROMEO)
        self.network.advance(2)
        self.assertEqual(bodies(romeo), ["later"])

    def test_error_of_theirs(self) -> None:
        """X4: what the peer had not read when it ended the stream with an error is said again."""
        juliet, romeo = self.pair()
        juliet.say("0", ROMEO)
        self.network.advance(2)
        self.network.delay(0.05)
        juliet.say("1", ROMEO)
        [stream] = romeo.peers.streams()
        stream.end(StreamError(StreamCondition.RESOURCE_CONSTRAINT))
        self.network.advance(10)
        self.assertEqual((bodies(romeo), juliet.heard.bounced), (["0", "1"], []))

    def test_fault_of_ours(self) -> None:
        """A fault while calling is logged, and what waits does not wait for nothing."""
        juliet, _ = self.pair()

        def broken(name: str) -> Any:
            raise ValueError("a bug")

        juliet.map.endpoint = broken  # type: ignore[method-assign]
        juliet.say("hello", ROMEO)
        self.assertEqual(len(juliet.heard.bounced), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class Breaking(EndsCase):
    """X4: stream management between two of ours: a connection that breaks loses nothing, and nothing comes twice."""

    def talking(self, delay: float = 0.05) -> tuple[End, End]:
        """Two ends with a stream between them."""
        self.network.delay(delay)
        juliet, romeo = self.pair()
        juliet.say("0", ROMEO)
        self.network.advance(2)
        return juliet, romeo

    def test_cut(self) -> None:
        """What was under way both ways when the connection broke arrives on the next one, once and in order."""
        juliet, romeo = self.talking()
        for number in range(1, 6):
            juliet.say(str(number), ROMEO)
            romeo.say(str(number), JULIET)
            self.network.advance(0.04)
        self.network.cut()
        juliet.say("6", ROMEO)
        romeo.say("6", JULIET)
        self.network.advance(10)
        self.assertEqual((bodies(romeo), bodies(juliet)), ([*"0123456"], [*"123456"]))
        self.assertEqual((juliet.heard.bounced, romeo.heard.bounced), ([], []))

    @given(
        st.lists(st.tuples(st.sampled_from("jrce"), st.floats(0, 0.4)), min_size=1, max_size=14),
        st.sampled_from([0.0, 0.03, 0.2]),
    )
    def test_any_history(self, steps: list[tuple[str, float]], delay: float) -> None:
        """Whoever says what, and whenever the connection breaks (c) or an error ends the stream (e): nothing is lost without a
        word, and the order is kept."""
        self.setUp()
        self.network.delay(delay)
        juliet, romeo = self.pair()
        wanted: dict[str, list[str]] = {"j": [], "r": []}
        for number, (step, pause) in enumerate(steps):
            if step == "c":
                self.network.cut()
            elif step == "e":
                for stream in romeo.peers.streams():
                    stream.end(StreamError(StreamCondition.RESET))
            else:
                wanted[step].append(str(number))
                juliet.say(str(number), ROMEO) if step == "j" else romeo.say(str(number), JULIET)
            self.network.advance(pause)
        self.network.advance(30)
        for end, other, who in ((romeo, juliet, "j"), (juliet, romeo, "r")):
            came = list(dict.fromkeys(bodies(end)))  # where two streams break at once, something may come twice
            self.assertEqual(sorted({*came, *(body for body, _ in other.heard.bounced)}, key=int), wanted[who])
            self.assertEqual(came, sorted(came, key=int))
        self.network.advance(700)
        self.clean()
        self.ports, self.ends = [], []

    def test_cut_before_it_was_counted(self) -> None:
        """What was said to a peer so far away that it had not begun to count yet is said again when the connection breaks, and
        before what was said after it; once it is known to have arrived, it is not."""
        for said, pause in ((["1"], 2.0), (["1"], 20.0), (["1", "2"], 1.0)):
            with self.subTest(said=said, pause=pause):
                self.ends.clear()
                self.setUp()
                self.network.delay(0.6)
                juliet, romeo = self.pair()
                juliet.say("0", ROMEO)
                self.network.advance(6.5)
                for body in said:
                    romeo.say(body, JULIET)
                    self.network.advance(pause)
                self.network.cut()
                self.network.advance(40)
                self.assertEqual((bodies(juliet), romeo.heard.bounced), (said, []))

    def test_cut_while_closing(self) -> None:
        """Who answers a closing cannot know that what it said just before has arrived; when the connection breaks then, it says
        it again."""
        juliet, romeo = self.talking()
        [stream] = romeo.peers.streams()
        stream.close()
        self.network.advance(0.02)
        juliet.say("crossed the closing", ROMEO)
        self.network.advance(0.04)
        self.network.cut()
        self.network.advance(10)
        self.assertEqual(bodies(romeo), ["0", "crossed the closing"])

    def test_closed_behind_stanzas(self) -> None:
        """When the connection ends in good order after that, it has arrived, and is not said again."""
        juliet, romeo = self.talking()
        [stream] = romeo.peers.streams()
        stream.close()
        self.network.advance(0.02)
        juliet.say("crossed the closing", ROMEO)
        self.network.advance(10)
        self.assertEqual(bodies(romeo), ["0", "crossed the closing"])

    def test_half_open(self) -> None:
        """One end knows that the connection broke, the other does not: the session goes on all the same."""
        juliet, romeo = self.talking()
        [link] = self.network.links
        link.frozen = True
        romeo.say("lost on the way", JULIET)
        juliet.say("too", ROMEO)
        [stream] = juliet.peers.streams()
        stream.connection.cut("the cable broke")
        self.network.advance(10)
        self.assertEqual((bodies(romeo), bodies(juliet)), (["0", "too"], ["lost on the way"]))
        self.assertEqual((len(juliet.peers.streams()), len(romeo.peers.streams())), (1, 1))

    def test_deaf(self) -> None:
        """A peer that says everything but what it has got is asked three times; then another stream tells."""
        juliet, romeo = self.talking()
        [stream] = romeo.peers.streams()
        assert stream.ledger is not None
        answers = [feature for feature in stream.connection.stream._features if "{urn:xmpp:sm:3}r" in feature.tags]
        for feature in answers:
            self.patch(feature, "receive", lambda stream, element: None)
        juliet.say("1", ROMEO)
        for second in range(94):
            romeo.say(f"{second}", JULIET) if second % 10 == 5 else None
            self.network.advance(1)
        self.assertNotIn(stream, romeo.peers.streams())
        self.assertEqual((bodies(romeo), juliet.heard.bounced), (["0", "1"], []))
        [other] = juliet.peers.streams()
        assert other.ledger is not None
        self.assertEqual(len(other.ledger.unacknowledged), 0)

    def test_busy(self) -> None:
        """A peer that had not handled everything when it was asked is asked once more, though nothing else is said."""
        juliet, romeo = self.talking()
        [ours], [theirs] = juliet.peers.streams(), romeo.peers.streams()
        assert ours.ledger is not None
        assert theirs.ledger is not None
        handled = [theirs.ledger.handled]

        def late(stream: Any, element: object) -> None:
            stream.write(f"<a xmlns='urn:xmpp:sm:3' h='{handled[-1]}'/>")
            handled.append(theirs.ledger.handled)

        for feature in theirs.connection.stream._features:
            if "{urn:xmpp:sm:3}r" in feature.tags:
                self.patch(feature, "receive", late)
        juliet.say("1", ROMEO)
        self.network.advance(1.5)
        self.assertEqual(len(ours.ledger.unacknowledged), 1)
        self.network.advance(1.5)
        self.assertEqual(len(ours.ledger.unacknowledged), 0)

    def test_silent(self) -> None:
        """A wire that was cut without a word is noticed by what is not acknowledged."""
        juliet, romeo = self.talking()
        [link] = self.network.links
        link.frozen = True
        juliet.say("lost on the way", ROMEO)
        self.network.advance(40)
        self.assertEqual(bodies(romeo), ["0", "lost on the way"])

    def test_never_again(self) -> None:
        """What nobody acknowledged returns when no stream comes in time, and says that it may have arrived."""
        juliet, romeo = self.talking()
        romeo.say("perhaps", JULIET)
        self.network.cut()
        self.network.blackhole(juliet.place, romeo.place)
        self.network.advance(70)
        self.assertEqual([body for body, _ in romeo.heard.bounced], ["perhaps"])
        self.assertEqual(juliet.heard.bounced, [])

    def test_session_is_forgotten(self) -> None:
        """X5: a session with nothing to say is kept for ten minutes, and then there is a new one."""
        juliet, romeo = self.talking()
        [stream] = juliet.peers.streams()
        ledger = stream.ledger
        assert ledger is not None
        for seconds, same in ((500, True), (700, False)):
            self.network.cut()
            self.network.advance(seconds)
            juliet.say("again", ROMEO)
            self.network.advance(2)
            [stream] = juliet.peers.streams()
            self.assertEqual(stream.ledger is ledger, same)
        self.assertEqual(bodies(romeo), ["0", "again", "again"])

    def test_too_many_sessions(self) -> None:
        """X5: beyond a bound no session is kept; what was not acknowledged is sent again on the next stream."""
        self.patch(peers, "MOST_SESSIONS", 0)
        juliet, romeo = self.talking()
        juliet.say("under way", ROMEO)
        self.network.cut()
        self.network.advance(10)
        self.assertEqual(bodies(romeo), ["0", "under way"])

    def test_somebody_elses(self) -> None:
        """Nobody resumes the session of somebody else, whatever id it says."""
        juliet, romeo = self.talking()
        tybalt = self.end("tybalt@verona", "192.0.2.3")
        [stream] = juliet.peers.streams()
        assert stream.ledger is not None
        stolen = new_ledger(stream.ledger.id, TIMEOUTS)
        romeo.say("for juliet", JULIET)
        self.network.cut()
        tybalt.peers._peer(ROMEO).lane.session.keep(stolen)
        tybalt.say("mine", ROMEO)
        self.network.advance(10)
        self.assertEqual((bodies(tybalt), bodies(juliet)), ([], ["for juliet"]))
        self.assertIsNot(tybalt.peers.streams()[0].ledger, stolen)

    def test_full(self) -> None:
        """X5: of a peer that acknowledges nothing, no more than so much is kept; the rest waits its turn in the queue."""
        juliet, romeo = self.talking()
        [stream] = juliet.peers.streams()
        assert stream.ledger is not None
        stream.ledger.most_stanzas = 10
        for number in range(1, 31):
            juliet.say(str(number), ROMEO)
        self.assertEqual(len(stream.ledger.unacknowledged), 10)
        self.network.advance(5)
        self.assertEqual(bodies(romeo), [str(number) for number in range(31)])

    def test_asked_at_once(self) -> None:
        """After fifty stanzas we ask at once, and not after a second."""
        juliet, _ = self.talking(0.0)
        [stream] = juliet.peers.streams()
        assert stream.ledger is not None
        for number in range(50):
            juliet.say(str(number), ROMEO)
        self.network.pump()
        self.assertEqual(len(stream.ledger.unacknowledged), 0)

    def test_much_at_once(self) -> None:
        """What a program says at once is more than may wait for the network: the stream bears it, and another that goes on with
        the session does, too. What is full asks at once, and not after a second."""
        juliet, romeo = self.talking(0.0)
        self.network.freeze()
        for number in range(14):
            juliet.say(chr(97 + number) + "x" * 100_000, ROMEO)
        self.network.cut()
        self.network.advance(3)
        self.assertEqual([body[0] for body in bodies(romeo)[-14:]], list("abcdefghijklmn"))
        self.assertEqual(len(self.network.links), 1)

    def test_lies(self) -> None:
        """A peer that acknowledges more than was sent gets undefined-condition (XEP-0198, 6)."""
        juliet, romeo = self.talking()
        [stream] = romeo.peers.streams()
        with capturedLogs() as events:
            stream.connection.stream.write("<a xmlns='urn:xmpp:sm:3' h='999'/>")
            stream.connection.flush()
            self.network.advance(1)
        self.assertTrue(any("undefined-condition" in str(event.get("reason")) for event in events))
        self.assertEqual(juliet.peers.streams(), [])


class _Never:
    """Endpoints that never connect, and never give up."""

    def endpoint(self, name: str) -> Any:
        from twisted.internet.defer import Deferred

        class Endpoint:
            def connect(self, factory: Any) -> Any:
                return Deferred()

        return Endpoint()


class Leaving(EndsCase):
    """E21, X2: how streams end."""

    def talking(self) -> tuple[End, End]:
        """Two ends with a stream between them."""
        juliet, romeo = self.pair()
        juliet.say("hello", ROMEO)
        self.network.pump()
        return juliet, romeo

    def test_closed(self) -> None:
        """E21, L13: who closes still hears what was under way; then both are done, and the next stanza makes a new stream."""
        self.network.delay(0.05)
        juliet, romeo = self.pair()
        juliet.say("hello", ROMEO)
        self.network.advance(2)
        [stream] = juliet.peers.streams()
        romeo.say("under way", JULIET)
        stream.close()
        self.network.advance(2)
        self.assertEqual(bodies(juliet), ["under way"])
        self.assertEqual((self.network.links, juliet.heard.people[-1], romeo.heard.people[-1]), ([], f"-{ROMEO}", f"-{JULIET}"))
        romeo.say("again", JULIET)
        self.network.advance(2)
        self.assertEqual(bodies(juliet), ["under way", "again"])

    def test_closing_unanswered(self) -> None:
        """X2: a peer that does not answer our closing is waited for five seconds."""
        juliet, _ = self.talking()
        self.network.freeze()
        [stream] = juliet.peers.streams()
        stream.close()
        self.network.advance(5.5)
        self.assertEqual(len(juliet.local.streams), 1)
        self.network.advance(1)
        self.assertEqual(len(juliet.local.streams), 0)

    def test_shutdown(self) -> None:
        """Who stops says so, returns what waits, and takes nothing more."""
        juliet, romeo = self.talking()
        self.network.blackhole("192.0.2.9")
        juliet.map.places["tybalt@verona"] = "192.0.2.9"
        juliet.say("waiting", "tybalt@verona")
        self.network.pump()
        juliet.peers.stop()
        stopped = juliet.local.stop()
        self.network.pump()
        self.successResultOf(stopped)
        self.assertEqual([body for body, _ in juliet.heard.bounced], ["waiting"])
        self.assertEqual(romeo.heard.people[-1], f"-{JULIET}")
        juliet.say("late", "tybalt@verona")
        self.assertEqual(juliet.heard.bounced[-1], ("late", f"{JULIET} is leaving."))

    def test_error(self) -> None:
        """X1: a stream error ends the stream with the RFC's word, which the other end hears."""
        _juliet, romeo = self.talking()
        [stream] = romeo.peers.streams()
        with capturedLogs() as events:
            stream.end(StreamError(StreamCondition.CONFLICT))
            self.network.pump()
        self.assertTrue(any("conflict" in str(event.get("reason")) for event in events))

    def test_idle(self) -> None:
        """X6: an idle stream stays, for hours."""
        juliet, romeo = self.talking()
        self.network.advance(7200)
        self.assertEqual((len(juliet.peers.streams()), len(romeo.peers.streams())), (1, 1))


class Settings(EndsCase):
    """What one end says of itself."""

    def test_nobody_knows_the_way(self) -> None:
        """Who only is called can be talked to, and calls nobody."""
        from xmppfed.e2e.peers import Nowhere

        nowhere = Nowhere()
        self.assertRaises(StreamEnded, nowhere.endpoint, ROMEO)
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(nowhere.names_at("192.0.2.1"))))

    def test_store_of_both(self) -> None:
        """Two ends can share a store, as the services of one process do."""
        store = MemoryTrustStore()
        juliet, _romeo = self.pair(store=store)
        juliet.say("hello", ROMEO)
        self.network.pump()
        self.assertEqual([one.name for one in store.all()], [JULIET, ROMEO])
        self.assertIs(juliet.peers.stream(ROMEO), juliet.peers.streams()[0])
        self.assertIsNone(juliet.peers.stream("tybalt@verona"))
        self.assertEqual(PORT, 5298)
