"""Pairing by a short code (T6)."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.pairing import CODE_SECONDS, CODES_AN_HOUR, Channel, Codes, Entering, PairingFailed, Showing

CHANNEL = Channel(b"s" * 32, b"e" * 32, b"x" * 32)


class Exchange(SynchronousTestCase):
    """Both ends learn the same, or nothing."""

    def pair(self, typed: str, shown: str = "123-456", entering: Channel = CHANNEL, showing: Channel = CHANNEL) -> None:
        """The whole exchange."""
        one, other = Entering(typed, entering), Showing(shown, showing)
        other.verify(one.verify(*other.respond(one.start())))

    def refused(self, *arguments: str, **channels: Channel) -> str:
        """Why the exchange failed."""
        return str(self.assertRaises(PairingFailed, self.pair, *arguments, **channels))

    def test_paired(self) -> None:
        """The code may be typed with or without what stands between its digits."""
        for typed in ("123-456", "123456", " 123 456 "):
            self.pair(typed)

    def test_wrong_code(self) -> None:
        """A wrong code is told from a right one by nobody but the two ends."""
        for typed in ("123-457", "", "abc"):
            self.assertIn("the codes differ", self.refused(typed))

    def test_somebody_between(self) -> None:
        """T6: who sits between has another key towards each end, and another TLS connection: each is noticed."""
        for changed in (
            replace(CHANNEL, showing=b"m" * 32),
            replace(CHANNEL, entering=b"m" * 32),
            replace(CHANNEL, exporter=b""),
        ):
            self.assertIn("somebody sits between", self.refused("123-456", entering=changed))

    def test_mirror(self) -> None:
        """Who sends back what it got has not shown that it knows the code."""
        one = Entering("123-456", CHANNEL)
        self.assertRaises(PairingFailed, one.verify, one.start(), b"")
        one, other = Entering("123-456", CHANNEL), Showing("123-456", CHANNEL)
        message, proof = other.respond(one.start())
        one.verify(message, proof)
        self.assertRaises(PairingFailed, other.verify, proof)

    def test_out_of_turn(self) -> None:
        """Nothing is proved before the exchange, and nothing twice."""
        self.assertRaises(PairingFailed, Showing("123-456", CHANNEL).verify, b"")
        one, other = Entering("123-456", CHANNEL), Showing("123-456", CHANNEL)
        other.respond(one.start())
        self.assertRaises(PairingFailed, other.respond, one.start())

    @given(st.binary(max_size=40), st.binary(max_size=40))
    @example(b"A" + b"\0" * 32, b"")
    @example(b"A" + b"\x01" + b"\0" * 31, b"")
    @example(b"B" + b"\xff" * 32, b"")
    def test_any_message(self, message: bytes, proof: bytes) -> None:
        """Whatever the peer sends, the pairing fails and nothing else happens."""
        self.assertRaises(PairingFailed, Entering("123-456", CHANNEL).verify, message, proof)
        self.assertRaises(PairingFailed, self._answered, message, proof)

    def _answered(self, message: bytes, proof: bytes) -> None:
        showing = Showing("123-456", CHANNEL)
        showing.respond(message)
        showing.verify(proof)


class Guesses(SynchronousTestCase):
    """Who guesses does not get far."""

    def setUp(self) -> None:
        self.codes = Codes()

    def test_once(self) -> None:
        """A code is good for one guess."""
        code = self.codes.make(0)
        self.assertRegex(code, "^[0-9]{3}-[0-9]{3}$")
        self.assertEqual(self.codes.take(1), code)
        self.assertRaises(PairingFailed, self.codes.take, 2)

    def test_none(self) -> None:
        """Nobody can be guessed who shows no code."""
        self.assertIn("no code is shown", str(self.assertRaises(PairingFailed, self.codes.take, 0)))

    def test_old(self) -> None:
        """A code does not hold for long."""
        self.codes.make(0)
        self.assertTrue(self.codes.take(CODE_SECONDS))
        self.codes.make(1000)
        self.assertRaises(PairingFailed, self.codes.take, 1000 + CODE_SECONDS + 1)

    def test_new(self) -> None:
        """A new code makes the one before void."""
        self.codes.make(0)
        newest = self.codes.make(1)
        self.assertEqual(self.codes.take(2), newest)
        self.assertRaises(PairingFailed, self.codes.take, 2)

    def test_three_an_hour(self) -> None:
        """The fourth within an hour is not made, and the error says how long to wait."""
        for now in range(CODES_AN_HOUR):
            self.codes.make(now * 60)
        self.assertIn("wait 57 minutes", str(self.assertRaises(PairingFailed, self.codes.make, 180)))
        self.codes.make(3600)
        self.assertRaises(PairingFailed, self.codes.make, 3601)

    def test_differ(self) -> None:
        """Codes are not to be foreseen."""
        self.assertGreater(len({Codes().make(0) for _ in range(20)}), 15)
