"""Tests for `xmppfed.core.sasl.scram`, and for both sides of SCRAM together."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from functools import cache

from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.sasl.exchange import exchange, refusal
from xmppfed.core.sasl.keys import ScramKeys, decoy_keys
from xmppfed.core.sasl.scram import HASHES, escape_name, hash_of, offer_hash, proof_fits, unescape_name, xor
from xmppfed.core.sasl.scram_client import ScramClient
from xmppfed.core.sasl.scram_server import ScramServer
from xmppfed.core.sasl.steps import Claim, Offer
from xmppfed.errors import SASLCondition, SASLError

BINDINGS = {"tls-exporter": b"e" * 32, "tls-server-end-point": b"p" * 32}
NAMES = st.sampled_from([name + plus for name in HASHES for plus in ("", "-PLUS")])
USERNAMES = st.text("abz.,=-_\u00fc\u4e00", min_size=1, max_size=12)
PASSWORDS = st.text("aZ ,=\u00fc\u265a", min_size=1, max_size=12)


@cache
def keys(hash_name: str, password: str) -> ScramKeys:
    """Keys with the fewest iterations a client takes."""
    return ScramKeys.derive(hash_name, password, b"0123456789abcdef", 4096)


def log_in(name: str, username: str, password: str, stored: ScramKeys) -> Claim:
    """A login over a stream with channel bindings if the mechanism needs them, and without if not."""
    bindings = BINDINGS if name.endswith("-PLUS") else {}
    client = ScramClient(name, username, password, "clientnonce", bindings)
    return exchange(client, ScramServer(name, "servernonce", bindings), lambda needed: stored)


class OfferTests(SynchronousTestCase):
    """Whoever changes what the server offers, on its way to the client, is found out (XEP-0474)."""

    offer = Offer(["SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1"], list(BINDINGS))

    def log_in(self, seen: Offer, on_the_way: Callable[[int, bytes], bytes] = lambda number, data: data) -> Claim:
        """A login by a client to whom `seen` came of the server's `offer`."""
        client = ScramClient("SCRAM-SHA-256", "juliet", "pw", "clientnonce", {}, offer=seen)
        server = ScramServer("SCRAM-SHA-256", "servernonce", BINDINGS, self.offer.mechanisms)
        return exchange(client, server, lambda needed: keys(needed.hash_name, "pw"), on_the_way)

    def test_known_answer(self) -> None:
        """The example of XEP-0474, 4.3: the order of the lists does not matter."""
        offer = Offer(["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"], ["tls-server-end-point", "tls-exporter"])
        self.assertEqual(offer_hash("sha1", offer), "G6k/rBLDqgOhRRaCuuatSDFkJ08=")

    def test_without_bindings(self) -> None:
        """Without announced bindings the list of mechanisms stands alone."""
        digest = hashlib.sha256(b"A\x1eB").digest()
        self.assertEqual(offer_hash("sha256", Offer(["B", "A"])), b64encode(digest).decode())

    def test_unchanged(self) -> None:
        """The offer as it was made, in any order."""
        self.assertEqual(self.log_in(self.offer).authcid, "juliet")
        self.assertEqual(self.log_in(Offer(sorted(self.offer.mechanisms), sorted(BINDINGS))).authcid, "juliet")

    def test_changed(self) -> None:
        """A mechanism or a binding is missing, or has been added: the client gives no proof."""
        names, bindings = self.offer.mechanisms, self.offer.bindings
        for seen in (
            Offer(["SCRAM-SHA-256"], bindings),
            Offer([*names, "PLAIN"], bindings),
            Offer(names, ["tls-exporter"]),
            Offer(names, [*bindings, "x"]),
            Offer(names),
        ):
            with self.assertRaisesRegex(SASLError, "not-authorized: the mechanisms and channel bindings that reached us"):
                self.log_in(seen)

    def test_hash_changed_as_well(self) -> None:
        """Who changes or removes the hash as well is found out by the server: the proof is for another challenge."""
        seen = Offer(["SCRAM-SHA-256"])
        forged = f",h={offer_hash('sha256', seen)}".encode()
        for put in (b"", forged):

            def forge(number: int, data: bytes, put: bytes = put) -> bytes:
                return data.partition(b",h=")[0] + put if number == 1 else data

            with self.assertRaisesRegex(SASLError, "not-authorized: wrong username or password"):
                self.log_in(seen, forge)

    def test_hash_twice(self) -> None:
        """Of two hashes both have to fit."""

        def double(number: int, data: bytes) -> bytes:
            return data + b",h=x" if number == 1 else data

        with self.assertRaisesRegex(SASLError, "that reached us are not those of the server"):
            self.log_in(self.offer, double)

    def test_server_that_knows_no_hash(self) -> None:
        """Where the server tells none, nothing is checked."""
        client = ScramClient("SCRAM-SHA-256", "juliet", "pw", "clientnonce", {}, offer=Offer(["X"]))
        claim = exchange(client, ScramServer("SCRAM-SHA-256", "servernonce", {}), lambda _: keys("sha256", "pw"))
        self.assertEqual(claim.authcid, "juliet")


class NameTests(SynchronousTestCase):
    """Names are escaped (RFC 5802, 5.1)."""

    def test_escape(self) -> None:
        """Commas and equals signs are escaped, and nothing else."""
        self.assertEqual(escape_name("a,b=c=2C"), "a=2Cb=3Dc=3D2C")

    def test_unescape(self) -> None:
        """The two escapes are undone once."""
        self.assertEqual(unescape_name("=2C=3D2C"), ",=2C")

    def test_other_equals_signs(self) -> None:
        """Any other use of = must fail (RFC 5802, 5.1)."""
        for name in ("=", "a=", "=2", "=2c", "=3d", "=41", "==2C"):
            self.assertIs(refusal(lambda name=name: unescape_name(name)), SASLCondition.MALFORMED_REQUEST, name)

    @given(st.text())
    def test_round_trip(self, name: str) -> None:
        """Every name comes back, and its escaped form holds no comma."""
        self.assertEqual(unescape_name(escape_name(name)), name)
        self.assertNotIn(",", escape_name(name))


class ComputationTests(SynchronousTestCase):
    """Small steps of RFC 5802, 3."""

    def test_hashes(self) -> None:
        """Both forms of a mechanism use its hash."""
        self.assertEqual((hash_of("SCRAM-SHA-1"), hash_of("SCRAM-SHA-256-PLUS")), ("sha1", "sha256"))

    def test_xor(self) -> None:
        """Exclusive or, byte by byte, of equal lengths only."""
        self.assertEqual(xor(b"\x0f\xff", b"\xff\xff"), b"\xf0\x00")
        with self.assertRaises(ValueError):
            xor(b"a", b"")

    def test_proof_of_other_length(self) -> None:
        """A proof that is too short or too long fits nothing."""
        for proof in (b"", b"p" * 19, b"p" * 21):
            self.assertFalse(proof_fits("sha1", b"k" * 20, "message", proof))


class AgreementTests(SynchronousTestCase):
    """The two sides of SCRAM speak with each other."""

    @given(NAMES, USERNAMES, PASSWORDS)
    def test_agree(self, name: str, username: str, password: str) -> None:
        """With the right password every mechanism ends in a claim for the user, whatever either is."""
        claim = log_in(name, username, password, keys(hash_of(name), password))
        self.assertEqual((claim.mechanism, claim.authcid, claim.authzid, claim.password), (name, username, "", None))

    @given(NAMES, PASSWORDS, PASSWORDS)
    def test_wrong_password(self, name: str, password: str, other: str) -> None:
        """With another password no mechanism ends in a claim."""
        assume(password != other)
        condition = refusal(lambda: log_in(name, "juliet", other, keys(hash_of(name), password)))
        self.assertIs(condition, SASLCondition.NOT_AUTHORIZED)

    @given(NAMES, PASSWORDS)
    def test_unknown_user(self, name: str, password: str) -> None:
        """Somebody who does not exist cannot log in, and is told what a wrong password is told."""
        decoy = decoy_keys(b"secret", "example.org", "tybalt", hash_of(name), 4096)
        self.assertIs(refusal(lambda: log_in(name, "tybalt", password, decoy)), SASLCondition.NOT_AUTHORIZED)

    def test_different_channels(self) -> None:
        """When the two ends see different channels, somebody sits between: no claim (RFC 5802, 6)."""
        client = ScramClient("SCRAM-SHA-1-PLUS", "juliet", "r0m30", "cn", {"tls-exporter": b"theirs"})
        server = ScramServer("SCRAM-SHA-1-PLUS", "sn", BINDINGS)
        condition = refusal(lambda: exchange(client, server, lambda needed: keys("sha1", "r0m30")))
        self.assertIs(condition, SASLCondition.NOT_AUTHORIZED)

    def test_second_binding(self) -> None:
        """The client may bind by any type the stream has."""
        bindings = {"tls-server-end-point": BINDINGS["tls-server-end-point"]}
        client = ScramClient("SCRAM-SHA-1-PLUS", "juliet", "r0m30", "cn", bindings)
        server = ScramServer("SCRAM-SHA-1-PLUS", "sn", BINDINGS)
        self.assertEqual(exchange(client, server, lambda needed: keys("sha1", "r0m30")).authcid, "juliet")

    def test_authzid(self) -> None:
        """An identity asked for is handed on as it was written, commas and all."""
        client = ScramClient("SCRAM-SHA-1", "juliet", "r0m30", "cn", {}, "a=,B@Example.org")
        claim = exchange(client, ScramServer("SCRAM-SHA-1", "sn", {}), lambda needed: keys("sha1", "r0m30"))
        self.assertEqual(claim.authzid, "a=,B@Example.org")


class TamperingTests(SynchronousTestCase):
    """Whoever sits between the two gets nowhere."""

    @given(st.sampled_from(["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"]), st.integers(0, 3), st.integers(min_value=0))
    def test_flipped_bit(self, name: str, message: int, position: int) -> None:
        """A bit flipped in one message ends the login: before the claim, or, in the last, in the eyes of the client."""

        def flip(number: int, data: bytes) -> bytes:
            if number != message:
                return data
            octet, bit = divmod(position % (len(data) * 8), 8)
            return data[:octet] + bytes([data[octet] ^ 1 << bit]) + data[octet + 1 :]

        bindings = BINDINGS if name.endswith("-PLUS") else {}
        client = ScramClient(name, "user", "pencil", "clientnonce", bindings, "user@example.org")
        server = ScramServer(name, "servernonce", bindings)
        with self.assertRaises(SASLError):
            exchange(client, server, lambda needed: keys("sha1", "pencil"), flip)
