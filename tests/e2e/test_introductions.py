"""Tests for `xmppfed.e2e.introductions`: pairing over a stream (T6), and what strangers can do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from tests.e2e.ends import JULIET, ROMEO, TIMEOUTS, End, EndsCase, message
from xmppfed.core.element import Element
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.introductions import Introductions
from xmppfed.e2e.pairing import CODE_SECONDS, CODES_AN_HOUR, Channel, Codes, Entering, PairingFailed
from xmppfed.e2e.pairing_steps import NS, write
from xmppfed.e2e.store import MemoryTrustStore
from xmppfed.e2e.stream import PeerStream
from xmppfed.e2e.trust import Acquaintance, Policy, Trust
from xmppfed.errors import StanzaError
from xmppfed.net.certificates import spki_sha256


class Person:
    """One end, with who pairs it."""

    def __init__(self, end: End) -> None:
        self.end = end
        self.pairing = Introductions(end.local, end.peers, end.store)

    @property
    def key(self) -> bytes:
        assert self.end.peers.certificate is not None
        return spki_sha256(self.end.peers.certificate.leaf)


class PairingCase(EndsCase):
    """Juliet, who shows codes, and Romeo, who types them; each lets in only whom it has paired with."""

    policy = Policy.PAIRED

    def setUp(self) -> None:
        super().setUp()
        self.juliet, self.romeo = map(Person, self.pair(self.policy))

    def enter(self, code: str, who: Person | None = None, whom: str = JULIET) -> Deferred[str]:
        """Romeo types a code."""
        entering = Deferred.fromCoroutine((who or self.romeo).pairing.enter(whom, code))
        self.network.pump()
        return entering

    def outcome(self) -> Deferred[str]:
        """What Juliet will hear."""
        return Deferred.fromCoroutine(self.juliet.pairing.outcome())

    def failed(self, result: Deferred[str], *words: str) -> None:
        """It has, for this reason."""
        reason = str(self.failureResultOf(result, PairingFailed).value)
        for word in words:
            self.assertIn(word, reason)

    def nothing_trusted(self) -> None:
        """Nobody is kept, nobody is met, and no stream is left."""
        self.network.advance(TIMEOUTS.stream_close + 1)
        for person in (self.juliet, self.romeo):
            self.assertEqual([one for one in person.end.store.all() if one.trust is Trust.PAIRED], [])
            self.assertEqual(person.end.heard.people, [])
            self.assertEqual((person.pairing._strangers, person.pairing._guesses), ({}, {}))
        self.assertEqual(self.network.links, [])

    def stranger(self, **more: Any) -> PeerStream:
        """The stream on which Romeo would pair, before a word was said."""
        more = more or {"who": self.romeo}
        calling = Deferred.fromCoroutine(more["who"].pairing._call(JULIET))
        self.network.pump()
        return self.successResultOf(calling)

    def send(self, stream: PeerStream, *children: Element, kind: str = "iq", type: str = "set") -> None:
        """Say something by hand."""
        stanza = Stanza.from_element(Element(kind, "jabber:client", {"type": type, "id": "by-hand"}, list(children)))
        stream.send(stanza)
        self.network.pump()

    def start(self, stream: PeerStream, code: str, who: Person | None = None) -> Entering:
        """The first step, by hand."""
        entering = Entering(code, (who or self.romeo).pairing._channel(stream, showing=False))
        self.send(stream, write("start", entering.start()))
        return entering


class Pairing(PairingCase):
    """T6: two strangers become peers by one short code."""

    def test_paired(self) -> None:
        """Both ends keep the other's key as `paired`, and the stream goes on as one of peers, both ways."""
        outcome = self.outcome_of_show()
        self.assertEqual(self.successResultOf(self.enter(self.code)), JULIET)
        self.assertEqual((self.successResultOf(outcome), self.successResultOf(self.outcome())), (ROMEO, ROMEO))
        for one, other in ((self.juliet, self.romeo), (self.romeo, self.juliet)):
            [kept] = one.end.store.all()
            self.assertEqual((kept.name, kept.trust, kept.spki_sha256), (other.end.name, Trust.PAIRED, other.key))
            [stream] = one.end.peers.streams()
            self.assertEqual((stream.trust, one.end.heard.people), (Trust.PAIRED, [f"+{other.end.name} paired"]))
        self.romeo.end.say("she speaks", JULIET)
        self.juliet.end.say("ay me", ROMEO)
        self.network.pump()
        self.assertEqual(self.juliet.end.heard.bodies, [(ROMEO, "she speaks")])
        self.assertEqual(self.romeo.end.heard.bodies, [(JULIET, "ay me")])

    def outcome_of_show(self) -> Deferred[str]:
        """Juliet shows a code and waits."""
        self.code = self.juliet.pairing.show()
        return self.outcome()

    def test_for_good(self) -> None:
        """Who has paired comes again without a code, on new streams from either side."""
        self.outcome_of_show()
        self.successResultOf(self.enter(self.code))
        for stream in self.romeo.end.peers.streams():
            stream.close()
        self.network.pump()
        self.juliet.end.say("come again", ROMEO)
        self.network.pump()
        self.assertEqual(self.romeo.end.heard.bodies, [(JULIET, "come again")])
        self.failed(self.enter(self.code), "no code is shown")

    def test_session(self) -> None:
        """The stream on which they have paired is managed (XEP-0198): what it loses when it breaks comes with the next one."""
        self.outcome_of_show()
        self.successResultOf(self.enter(self.code))
        self.network.freeze()
        self.romeo.end.say("not lost", JULIET)
        self.network.pump()
        self.network.cut()
        self.network.advance(5)
        self.assertEqual(self.juliet.end.heard.bodies, [(ROMEO, "not lost")])

    def test_what_waited(self) -> None:
        """What waits for a peer goes out when it has paired."""
        self.romeo.end.map.places.pop(JULIET)
        self.romeo.end.peers._peer(JULIET).lane.queue.put(message("at last"))
        self.romeo.end.map.places[JULIET] = self.juliet.end.place
        self.outcome_of_show()
        self.successResultOf(self.enter(self.code))
        self.network.pump()
        self.assertEqual(self.juliet.end.heard.bodies, [(ROMEO, "at last")])

    def test_any_cut(self) -> None:
        """However the network cuts what is sent."""
        self.network.split(7)
        self.outcome_of_show()
        self.assertEqual(self.successResultOf(self.enter(self.code)), JULIET)

    def test_expired_certificate(self) -> None:
        """T3: the dates of a certificate are no reason not to pair: what counts is the key."""
        self.network.advance(400 * 86_400)
        self.outcome_of_show()
        self.assertEqual(self.successResultOf(self.enter(self.code)), JULIET)

    def test_one_code_for_several(self) -> None:
        """Who is here under several addresses shows one code for all of them."""
        codes = Codes()
        nurse = self.end("nurse@pronto", "192.0.2.3", Policy.PAIRED)
        Introductions(nurse.local, nurse.peers, nurse.store, codes)
        mine = Introductions(self.juliet.end.local, self.juliet.end.peers, self.juliet.end.store, codes)
        code = mine.show()
        self.assertEqual(self.successResultOf(self.enter(code, whom="nurse@pronto")), "nurse@pronto")
        self.failed(self.enter(code), "Pair with it first")

    def test_store_of_acquaintances(self) -> None:
        """Who was pinned before keeps the day of the first meeting."""
        self.juliet.end.store.keep(
            Acquaintance(name=ROMEO, trust=Trust.PINNED, spki_sha256=self.romeo.key, first_seen=5.0, last_seen=6.0)
        )
        self.outcome_of_show()
        self.successResultOf(self.enter(self.code))
        [kept] = self.juliet.end.store.all()
        self.assertEqual((kept.trust, kept.first_seen, kept.last_seen), (Trust.PAIRED, 5.0, self.network.reactor.seconds()))


class Acquainted(PairingCase):
    """Peers who talk already, by first use, pair on the stream that they have."""

    policy = Policy.FIRST_USE

    def talk(self) -> None:
        """Juliet calls Romeo."""
        self.juliet.end.say("hello", ROMEO)
        self.network.pump()

    def test_on_the_stream(self) -> None:
        """Whoever has opened it: the words change, the stream stays, and its stanzas are let through meanwhile."""
        self.talk()
        code = self.juliet.pairing.show()
        self.assertEqual(self.successResultOf(self.enter(code)), JULIET)
        self.assertEqual(len(self.network.links), 1)
        for person in (self.juliet, self.romeo):
            self.assertEqual([stream.trust for stream in person.end.peers.streams()], [Trust.PAIRED])
            self.assertEqual([one.trust for one in person.end.store.all()], [Trust.PAIRED])
        self.assertEqual(len(self.romeo.end.heard.stanzas), 1)  # none of the pairing

    def test_wrong_code(self) -> None:
        """They stay what they were, the stream goes on, and both hear of it."""
        self.talk()
        code = self.juliet.pairing.show()
        outcome = self.outcome()
        self.failed(self.enter(other(code)), "the codes differ")
        self.failed(outcome, "the codes differ")
        self.assertEqual([stream.trust for stream in self.romeo.end.peers.streams()], [Trust.FIRST_USE])
        self.assertEqual([one.trust for one in self.juliet.end.store.all()], [Trust.FIRST_USE])
        self.assertEqual(self.romeo.end.heard.stanzas[1:], [])
        self.talk()
        self.assertEqual(len(self.romeo.end.heard.stanzas), 2)

    def test_first_meeting(self) -> None:
        """Who is met for the first time by typing a code is not kept when that fails, though the policy would have it."""
        code = self.juliet.pairing.show()
        self.failed(self.enter(other(code)), "the codes differ")
        self.assertEqual(list(self.romeo.end.store.all()), [])

    def test_first_meeting_succeeds(self) -> None:
        """A stranger to one end, who is none to the other."""
        code = self.juliet.pairing.show()
        self.assertEqual(self.successResultOf(self.enter(code)), JULIET)
        self.assertEqual(self.romeo.end.heard.people, [f"+{JULIET} paired"])

    def test_known_but_away(self) -> None:
        """Who is known already is called as a peer."""
        self.talk()
        for stream in self.juliet.end.peers.streams():
            stream.close()
        self.network.pump()
        code = self.juliet.pairing.show()
        self.assertEqual(self.successResultOf(self.enter(code)), JULIET)
        self.assertEqual(self.romeo.end.heard.people[-1], f"+{JULIET} first-use")

    def test_begun_again(self) -> None:
        """Who did not finish with one code has as long for the next as everybody."""
        self.talk()
        [stream] = self.romeo.end.peers.streams()
        self.start(stream, self.juliet.pairing.show())
        self.network.advance(20)
        self.start(stream, self.juliet.pairing.show())
        self.network.advance(20)
        self.assertEqual(len(self.juliet.pairing._guesses), 1)
        self.network.advance(20)

    def test_unfinished(self) -> None:
        """Who begins and does not go on has used up the code; the end that shows it hears so, and the stream stays."""
        self.talk()
        code = self.juliet.pairing.show()
        outcome = self.outcome()
        [stream] = self.romeo.end.peers.streams()
        self.start(stream, code)
        self.network.advance(TIMEOUTS.authentication)
        self.failed(outcome, "did not finish within 30 seconds")
        self.assertEqual(self.juliet.pairing._guesses, {})
        self.assertEqual(len(self.juliet.end.peers.streams()), 1)

    def test_broken(self) -> None:
        """A stream that breaks meanwhile ends the pairing, at both ends and at once."""
        self.talk()
        code = self.juliet.pairing.show()
        outcome = self.outcome()
        self.network.delay(0.1)
        entering = self.enter(code)
        self.network.advance(0.15)
        self.network.cut()
        self.network.pump()
        self.failed(entering, "is not paired")
        self.failed(outcome, "the stream has ended")


def other(code: str) -> str:
    """Another code."""
    return f"{code[:-1]}{(int(code[-1]) + 1) % 10}"


class Guessing(PairingCase):
    """Attacks on the code."""

    def test_wrong_code(self) -> None:
        """A wrong code burns the right one: nothing is trusted, and both ends hear so, loudly."""
        self.failed(self.outcome(), "no code was made yet")
        code = self.juliet.pairing.show()
        outcome = self.outcome()
        with capturedLogs() as events:
            self.failed(self.enter(other(code)), "the codes differ", "nothing was trusted")
        self.failed(outcome, "the codes differ")
        self.failed(self.outcome(), "the codes differ")
        self.assertEqual([event["log_level"].name for event in events].count("critical"), 2)
        self.failed(self.enter(code), "Pair with it first")
        self.nothing_trusted()

    def test_second_guess(self) -> None:
        """On one stream or on two, there is one guess: who has begun twice, or comes second, is sent away."""
        code = self.juliet.pairing.show()
        one, two = self.stranger(), self.stranger()
        self.start(one, code)
        outcome = self.outcome()
        self.start(two, code)
        self.assertNotIn(two, self.juliet.end.local.streams)
        self.assertNoResult(outcome)  # the first guess is not decided by the second
        self.start(one, code)
        self.failed(outcome, "no code is shown")
        self.nothing_trusted()

    def test_replay(self) -> None:
        """What was recorded of one pairing opens nothing on another stream, not even with the same code."""
        code = self.juliet.pairing.show()
        stream = self.stranger()
        entering = self.start(stream, code)
        recorded = write("start", entering._message)
        stream.close()
        self.network.pump()
        self.juliet.pairing.show()
        self.juliet.pairing._codes._code = code
        outcome = self.outcome()
        again = self.stranger()
        self.send(again, recorded)
        self.assertEqual(len(self.juliet.pairing._guesses), 1)
        self.send(again, write("confirm", b"recorded as well" * 2))
        self.failed(outcome, "the codes differ")
        self.nothing_trusted()

    def test_no_code(self) -> None:
        """Where no code is shown, or not any more, a stranger does not even get a stream."""
        self.failed(self.enter("123-456"), "no stream with juliet@pronto", "Pair with it first", "See that it shows a code")
        code = self.juliet.pairing.show()
        self.network.advance(CODE_SECONDS + 1)
        self.failed(self.enter(code), "Pair with it first")
        self.nothing_trusted()

    def test_three_an_hour(self) -> None:
        """Codes are shown three times an hour; a newer one makes the one before void, and who waits for that hears so."""
        first = self.juliet.pairing.show()
        outcome = self.outcome()
        for _ in range(CODES_AN_HOUR - 1):
            self.juliet.pairing.show()
        self.failed(outcome, "void")
        self.assertIn("wait 60 minutes", str(self.assertRaises(PairingFailed, self.juliet.pairing.show)))
        self.failed(self.enter(first), "the codes differ")

    def test_nobody_typed_it(self) -> None:
        """Who waits hears when the code is too old."""
        self.juliet.pairing.show()
        outcome = self.outcome()
        self.network.advance(CODE_SECONDS)
        self.failed(outcome, "nobody typed the code within 5 minutes")
        self.assertEqual(self.juliet.pairing._waiting, [])

    def test_out_of_turn(self) -> None:
        """A proof before the exchange proves nothing, and burns nothing."""
        code = self.juliet.pairing.show()
        stream = self.stranger()
        self.send(stream, write("confirm", b"p" * 32))
        self.assertEqual(self.successResultOf(self.enter(code)), JULIET)

    def test_nonsense(self) -> None:
        """What is no base64, or no message of SPAKE2, is a wrong guess like another."""
        for element in (Element("start", NS, {}, ["%"]), Element("start", NS), Element("start", NS, {}, ["AAAA"])):
            self.juliet.pairing.show()
            outcome = self.outcome()
            self.send(self.stranger(), element)
            self.failed(outcome, "what is no")
        self.nothing_trusted()


class Between(PairingCase):
    """T6: Tybalt sits between the two, who know each other by name alone. He has a certificate in the name of each, ends TLS on
    both sides and passes on what he likes."""

    def relay(self) -> None:
        """Romeo reaches Tybalt instead of Juliet, who hears of Romeo from Tybalt."""
        self.false_juliet = Person(self.end(JULIET, "192.0.2.8", Policy.PLAIN))
        self.false_romeo = Person(self.end(ROMEO, "192.0.2.9", Policy.PLAIN))
        self.romeo.end.map.places[JULIET] = "192.0.2.8"
        self.false_romeo.end.map.places[JULIET] = self.juliet.end.place
        for person in (self.false_juliet, self.false_romeo):
            person.pairing.host = lambda beneath, one=person.pairing: one  # type: ignore[method-assign]
            person.pairing.took = self.pass_on  # type: ignore[method-assign]
        calling = Deferred.fromCoroutine(self.false_romeo.pairing._call(JULIET))
        self.network.pump()
        self.to_juliet = self.successResultOf(calling)
        self.passed: list[Stanza] = []

    def pass_on(self, stream: PeerStream, stanza: Stanza) -> bool:
        """What comes from one side goes to the other, with the addresses of that side's stream."""
        self.passed.append(stanza)
        if stream is self.to_juliet:
            [out] = self.false_juliet.end.local.streams
        else:
            out = self.to_juliet
        out.send(stanza)
        return True

    def test_relayed(self) -> None:
        """Both keys and the TLS connection are other ones at each end: the right code proves nothing, and both ends hear so."""
        code = self.juliet.pairing.show()
        outcome = self.outcome()
        self.relay()
        entering = self.enter(code)
        self.failed(entering, "somebody sits between")
        self.failed(outcome, "somebody sits between")
        self.assertEqual(len(self.passed), 4)  # nothing was refused before the proof
        self.assertEqual((list(self.juliet.end.store.all()), list(self.romeo.end.store.all())), ([], []))
        self.assertEqual((self.juliet.end.heard.people, self.romeo.end.heard.people), ([], []))

    def test_same_keys(self) -> None:
        """Not even who has both keys, but another TLS connection."""
        code = self.juliet.pairing.show()
        outcome = self.outcome()
        wrong = Channel(self.juliet.key, self.romeo.key, b"x" * 32)
        self.juliet.pairing._channel = lambda stream, showing: wrong  # type: ignore[method-assign]
        self.failed(self.enter(code), "somebody sits between")
        self.failed(outcome, "somebody sits between")
        self.nothing_trusted()


class Strangers(PairingCase):
    """What a stranger can do: pair, and nothing else."""

    def setUp(self) -> None:
        super().setUp()
        self.code = self.juliet.pairing.show()

    def test_refused(self) -> None:
        """Whatever it says is answered with not-authorized, and not delivered; answers and presence are not answered."""
        stream = self.stranger()
        heard: list[Stanza] = []

        def took(stream: PeerStream, stanza: Stanza) -> bool:
            heard.append(stanza)
            return True

        self.romeo.pairing.took = took  # type: ignore[method-assign]
        self.send(stream, Element("body", "jabber:client", {}, ["let me in"]), kind="message", type="chat")
        self.send(stream, Element("query", "jabber:iq:roster"), type="get")
        self.send(stream, Element("query", "jabber:iq:roster"), type="result")
        self.send(stream, Element("start", "urn:other"))
        self.send(stream, kind="presence", type="available")
        self.assertEqual([stanza.type for stanza in heard], ["error"] * 3)
        self.assertIn(b"not-authorized", heard[0].letter)
        self.assertIn(b"for pairing until that is done", heard[0].letter)
        self.assertEqual((self.juliet.end.heard.stanzas, self.juliet.end.peers.streams()), ([], []))

    def test_refused_by_who_calls(self) -> None:
        """Whom one has called to pair can say nothing either."""
        stream = self.stranger()
        [theirs] = self.juliet.end.local.streams
        self.send(theirs, kind="message")
        self.assertEqual((self.romeo.end.heard.stanzas, stream.trust), ([], Trust.STRANGER))

    def test_in_time(self) -> None:
        """Who does not pair has to go."""
        self.stranger()
        self.network.advance(TIMEOUTS.authentication + TIMEOUTS.stream_close + 1)
        self.nothing_trusted()

    def test_not_many(self) -> None:
        """There are ten at once."""
        streams = [self.stranger() for _ in range(10)]
        self.failed(self.enter(self.code), "too many strangers")
        self.assertEqual(len(self.juliet.pairing._strangers), 10)
        streams[0].close()
        self.network.pump()
        self.assertEqual(self.successResultOf(self.enter(self.code)), JULIET)

    def test_not_who_is_refused_loudly(self) -> None:
        """T4: a code opens nothing to another key under a name that we know, nor to one that was revoked."""
        for known in (
            Acquaintance(name=ROMEO, trust=Trust.FIRST_USE, spki_sha256=b"k" * 32),
            Acquaintance(name="tybalt@verona", trust=Trust.PAIRED, spki_sha256=self.romeo.key, revoked=True),
        ):
            self.juliet.end.store.keep(known)
            self.failed(self.enter(self.code), "not-authorized")
            self.assertTrue(self.juliet.pairing._codes.shown(self.network.reactor.seconds()))

    def test_not_who_is_not_allowed(self) -> None:
        """V4: nor to somebody who may not come at all."""
        self.juliet.end.peers.acquaintances._refuses = lambda name: f"{name} is not wanted"
        self.failed(self.enter(self.code), "romeo@forza is not wanted")

    def test_decided_meanwhile(self) -> None:
        """T4: a name that another key got while the exchange was under way keeps that."""
        stream = self.stranger()
        self.romeo.end.peers.stream = lambda name: stream  # type: ignore[method-assign]
        outcome = self.outcome()
        self.juliet.end.store.keep(Acquaintance(name=ROMEO, trust=Trust.PINNED, spki_sha256=b"k" * 32))
        self.failed(self.enter(self.code), "shows the key")
        self.failed(outcome, "shows the key")
        self.assertEqual([one.trust for one in self.juliet.end.store.all()], [Trust.PINNED])

    def test_host(self) -> None:
        """The host of strangers knows who is where from who is here."""
        pairing, stream = self.romeo.pairing, self.stranger()
        self.assertEqual(pairing.admit(JULIET, stream.beneath), (pairing, Trust.STRANGER))
        self.assertIsNone(pairing.former(JULIET))
        self.assertRaises(StanzaError, pairing.find, JULIET, "id")  # whoever's session it is
        self.romeo.end.map.announced = {"192.0.2.1": [JULIET]}
        names = self.successResultOf(Deferred.fromCoroutine(pairing.names_at("192.0.2.1")))
        self.assertEqual(names, [JULIET])

    def test_ended_before(self) -> None:
        """A stream that has ended already is not waited for."""
        stream = self.stranger()
        self.network.cut()
        self.network.pump()
        self.romeo.end.peers.stream = lambda name: stream  # type: ignore[method-assign]
        self.failed(self.enter(self.code), "is not paired: Connection")

    def test_called_while_a_code_is_shown(self) -> None:
        """Who shows a code makes no stranger of whom it calls with something to say."""
        self.juliet.end.say("hello", ROMEO)
        self.network.pump()
        self.assertIn("Pair with it first", self.juliet.end.heard.bounced[0][1])

    def test_written_down(self) -> None:
        """What cannot be written down was not paired: neither end says it was."""

        class Full(MemoryTrustStore):
            def keep(self, acquaintance: Acquaintance) -> None:
                raise OSError("no space left")

        self.juliet.pairing._store = Full()
        outcome = self.outcome()
        self.failed(self.enter(self.code), "could not be written down")
        self.failed(outcome, "could not be written down")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.nothing_trusted()


class Unfit(PairingCase):
    """Streams that cannot be told from any other are not paired on."""

    policy = Policy.PLAIN

    def plain(self, **more: Any) -> tuple[Person, Person]:
        """Two who talk without TLS."""
        one, two = (Person(self.end(name, place, bare=True)) for name, place in (("a@a", "192.0.2.11"), ("b@b", "192.0.2.12")))
        for person in (one, two):
            person.end.peers.acquaintances.policy = Policy.PLAIN
        return one, two

    def test_plain(self) -> None:
        """A stream without TLS: neither end begins, and no code is burnt by who tries."""
        one, two = self.plain()
        code = one.pairing.show()
        self.failed(self.enter(code, two, "a@a"), "has no TLS 1.3")
        [stream] = two.end.peers.streams()
        with capturedLogs() as events:
            self.send(stream, write("start", b"A" * 33))
        self.assertNotIn("critical", [event["log_level"].name for event in events])  # or anybody could cry wolf
        self.assertTrue(one.pairing._codes.shown(self.network.reactor.seconds()))
        self.assertEqual([stanza.type for stanza in two.end.heard.stanzas], ["error"])
        self.assertIn(b"has no TLS 1.3", two.end.heard.stanzas[0].letter)

    def test_without_exporter(self) -> None:
        """TLS 1.2, or TLS that ends in a proxy, has nothing to bind to."""
        code = self.juliet.pairing.show()
        stream = self.stranger()
        stream.beneath = replace(stream.beneath, exporter=b"")
        self.romeo.end.peers.stream = lambda name: stream  # type: ignore[method-assign]
        self.failed(self.enter(code), "has no TLS 1.3")
        self.assertIsNone(self.juliet.pairing.host(stream.beneath))
        self.assertTrue(self.juliet.pairing._codes.shown(self.network.reactor.seconds()))

    def test_nobody_there(self) -> None:
        """Who is nowhere, and who does not answer, is not paired with."""
        self.failed(self.enter("123-456", whom="nobody@nowhere"), "nobody knows where")
        self.network.blackhole(self.juliet.end.place)
        entering = self.enter("123-456")
        self.network.advance(60)
        self.failed(entering, "no stream with")


class Impostor(PairingCase):
    """Who is called to pair, and shows no code."""

    def answer(self, *children: Element, type: str = "result") -> Deferred[str]:
        """Romeo types a code at somebody who answers each step so."""

        def took(stream: PeerStream, stanza: Stanza) -> bool:
            stream.send(stanza.reply(*children, type=type))
            return True

        self.juliet.pairing.show()
        self.juliet.pairing.took = took  # type: ignore[method-assign]
        return self.enter("123-456")

    def test_answers(self) -> None:
        """Whatever it answers, nothing is trusted."""
        for children in (
            (),
            (Element("response", NS),),
            (Element("response", NS, {"proof": "AAAA"}, ["%"]),),
            (Element("response", NS, {"proof": "AAAA"}, ["QkJC"]),),
        ):
            self.juliet.pairing._codes = Codes()
            self.failed(self.answer(*children))
        self.juliet.pairing._codes = Codes()
        self.failed(self.answer(type="error"), "undefined-condition")
        self.nothing_trusted()

    def test_silent(self) -> None:
        """Nobody is waited for longer than half a minute."""
        self.juliet.pairing.show()
        self.juliet.pairing.took = lambda stream, stanza: True  # type: ignore[method-assign]
        entering = self.enter("123-456")
        self.network.advance(31)
        self.failed(entering, "is not paired")
        self.nothing_trusted()
