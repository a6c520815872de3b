"""What domains say of their own certificates: who is asked, for how long it holds, and how often strangers may have it asked."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.discovery.support import PUBLIC, Servers, Table, plain
from xmppfed.discovery.fetch import DocumentClient
from xmppfed.discovery.vouching import (
    MAX_ENTRIES,
    MAX_LOOKUPS,
    MAX_PER_MINUTE,
    MAX_TTL,
    MIN_TTL,
    NEGATIVE_TTL,
    Vouched,
    Vouching,
)
from xmppfed.errors import DiscoveryError
from xmppfed.timeouts import Timeouts

DER = b"a certificate"
KEY = hashlib.sha256(b"its key").digest()
META = "https://example.org/.well-known/host-meta.json"
POSH = "https://example.org/.well-known/posh/xmpp-server.json"
HOSTING = "https://hosting.example/posh.json"


def posh(certificate: bytes = DER, expires: int = 3600) -> dict[str, Any]:
    """A document that names a certificate."""
    return {"fingerprints": [{"sha-256": b64encode(hashlib.sha256(certificate).digest()).decode()}], "expires": expires}


def meta(*pins: bytes, ttl: int = 3600) -> dict[str, Any]:
    """A host-meta.json after XEP-0487."""
    return {"xmpp": {"ttl": ttl, "public-key-pins-sha-256": [b64encode(pin).decode() for pin in pins]}, "links": []}


class VouchingCase(SynchronousTestCase):
    """Documents by URL."""

    def setUp(self) -> None:
        """None exists."""
        self.clock = Clock()
        self.documents: dict[str, Any] = {}
        self.asked: list[str] = []
        self.waiting: list[Deferred[None]] | None = None
        self.vouching = Vouching(self.clock, self.get)

    async def get(self, url: str) -> bytes:
        """The contract of `DocumentClient.get`."""
        self.asked.append(url)
        if self.waiting is not None:
            self.waiting.append(Deferred())
            await self.waiting[-1]
        if url not in self.documents:
            raise DiscoveryError("the status is 404, wanted 200")
        return json.dumps(self.documents[url]).encode()

    def look_up(self, domain: str = "example.org") -> Vouched:
        """Ask."""
        return self.successResultOf(Deferred.fromCoroutine(self.vouching.look_up(domain)))

    def proof(self) -> str:
        """By what the certificate is vouched for."""
        return self.look_up().proof(DER, KEY)


class Proofs(VouchingCase):
    """By what a certificate is vouched for."""

    def test_pin(self) -> None:
        """Its key is pinned, whatever kind of key it is: only the hash is compared."""
        self.documents[META] = meta(bytes(32), KEY)
        self.assertEqual(self.proof(), "its key, which host-meta.json pins (XEP-0487)")
        self.assertEqual(self.look_up().proof(DER, bytes(31) + b"\1"), "")

    def test_fingerprint(self) -> None:
        """Its fingerprint is named by POSH."""
        self.documents[POSH] = posh()
        self.assertEqual(self.proof(), "its fingerprint, which POSH names (RFC 7711)")
        self.assertEqual(self.look_up().proof(b"another", KEY), "")

    def test_neither(self) -> None:
        """Nothing is vouched for where there is no document, and it is told why."""
        self.assertEqual(self.proof(), "")
        self.assertEqual(self.look_up().explanations, (f"{POSH}: the status is 404, wanted 200",))

    def test_posh_is_skipped(self) -> None:
        """Where XEP-0487 is in use POSH does not count, with pins or without (its rule 2)."""
        self.documents = {META: meta(), POSH: posh()}
        self.assertEqual(self.proof(), "")
        self.assertEqual(self.look_up().explanations, (f"{META}: no key pin(s)",))

    def test_legacy_host_meta(self) -> None:
        """A host-meta.json without the `xmpp` object (XEP-0156), or one that cannot be read, leaves it to POSH."""
        for document in ({"links": []}, []):
            self.setUp()
            self.documents = {META: document, POSH: posh()}
            self.assertIn("POSH", self.proof())

    def test_reference(self) -> None:
        """A document may refer to another one, anywhere."""
        self.documents = {POSH: {"url": HOSTING, "expires": 3600}, HOSTING: posh()}
        self.assertIn("POSH", self.proof())
        self.assertEqual(self.look_up().explanations, (f"{HOSTING}: 1 fingerprint(s)",))

    def test_second_reference(self) -> None:
        """That one may not (RFC 7711, 3.2): no loops, no chains."""
        self.documents = {POSH: {"url": HOSTING, "expires": 3600}, HOSTING: {"url": POSH, "expires": 3600}}
        self.assertEqual(self.proof(), "")
        self.assertIn(f"{HOSTING}: it refers to another document", self.look_up().explanations[0])
        self.assertEqual(self.asked.count(POSH), 1)

    def test_impossible_domain(self) -> None:
        """A domain that no URL can hold is not asked."""
        self.assertIn("cannot be the host of a URL", self.look_up("a b").explanations[0])
        self.assertEqual(self.asked, [])

    def test_international_domain(self) -> None:
        """An international domain is asked by its A-labels."""
        self.look_up("b\u00fccher.example")
        self.assertIn("https://xn--bcher-kva.example/.well-known/posh/xmpp-server.json", self.asked)


class Keeping(VouchingCase):
    """Answers are kept for as long as they say, between a minute and a day."""

    def kept(self) -> int:
        """For how many seconds the answer is kept."""
        self.look_up()
        asked = len(self.asked)
        low, high = 0, 2 * MAX_TTL
        for _ in range(high.bit_length()):
            middle = (low + high) // 2
            known = self.vouching._entries["example.org"].expires - self.clock.seconds() > middle
            low, high = (middle + 1, high) if known else (low, middle)
        self.clock.advance(low - 1)
        self.assertIsNotNone(self.vouching.known("example.org"))
        self.look_up()
        self.assertEqual(len(self.asked), asked)
        self.clock.advance(1)
        self.assertIsNone(self.vouching.known("example.org"))
        self.look_up()
        self.assertGreater(len(self.asked), asked)
        return low

    def test_time(self) -> None:
        """`ttl` and `expires` count; of a reference and its document the shorter one (RFC 7711, 6)."""
        day = 10 * MAX_TTL
        cases: list[tuple[dict[str, Any], int]] = [
            ({META: meta(KEY, ttl=300)}, 300),
            ({META: meta(KEY, ttl=0)}, MIN_TTL),
            ({META: {"xmpp": {}, "links": []}}, MIN_TTL),
            ({POSH: posh(expires=200)}, 200),
            ({POSH: posh(expires=day)}, MAX_TTL),
            ({POSH: {"url": HOSTING, "expires": 500}, HOSTING: posh(expires=400)}, 400),
            ({POSH: {"url": HOSTING, "expires": 300}, HOSTING: posh(expires=400)}, 300),
            ({}, NEGATIVE_TTL),
        ]
        for documents, seconds in cases:
            self.setUp()
            self.documents = documents
            self.assertEqual(self.kept(), seconds, documents)

    def test_nothing_stale(self) -> None:
        """When its time is over an answer proves nothing more, also where the domain cannot be asked again: stale copies
        give addresses, never pins."""
        self.documents[META] = meta(KEY, ttl=300)
        self.assertTrue(self.proof())
        self.documents.clear()
        self.clock.advance(300)
        self.assertEqual(self.proof(), "")

    def test_bounded(self) -> None:
        """No more than 1024 domains are kept; the one not used for longest goes first."""
        for number in range(MAX_ENTRIES):
            self.look_up(f"{number}.example")
        self.assertIsNotNone(self.vouching.known("0.example"))
        self.look_up("new.example")
        self.assertIsNotNone(self.vouching.known("0.example"))
        self.assertIsNone(self.vouching.known("1.example"))

    def test_one_at_a_time(self) -> None:
        """Whoever asks meanwhile joins."""
        self.waiting = []
        asking = [Deferred.fromCoroutine(self.vouching.look_up("example.org")) for _ in range(3)]
        self.assertEqual(self.asked, [META, POSH])
        for one in self.waiting:
            one.callback(None)
        for answer in asking:
            self.successResultOf(answer)


class Strangers(VouchingCase):
    """Those who only say that they are a domain make us ask it: so often and no more."""

    def ask(self, domain: str) -> Deferred[Vouched]:
        """On the word of a stranger."""
        return Deferred.fromCoroutine(self.vouching.look_up_for_stranger(domain))

    def refused(self, domain: str) -> bool:
        """Whether it is not asked."""
        return "too many domains" in "".join(self.successResultOf(self.ask(domain)).explanations)

    def test_answer(self) -> None:
        """It is the same answer, and it is kept for all."""
        self.documents[POSH] = posh()
        self.assertIn("POSH", self.successResultOf(self.ask("example.org")).proof(DER, KEY))
        self.assertIn("POSH", self.proof())
        self.assertEqual(len(self.asked), 2)

    def test_at_once(self) -> None:
        """No more than 20 at the same time; who is known already may still be asked about, and those who trust us more."""
        self.look_up("known.example")
        self.waiting = []
        asking = [self.ask(f"{number}.example") for number in range(MAX_LOOKUPS)]
        self.assertTrue(self.refused("one-more.example"))
        self.assertFalse(self.refused("known.example"))
        self.assertNoResult(other := Deferred.fromCoroutine(self.vouching.look_up("other.example")))
        for one in self.waiting:
            one.callback(None)
        for answer in [*asking, other]:
            self.successResultOf(answer)
        self.waiting = None
        self.assertFalse(self.refused("one-more.example"))

    def test_per_minute(self) -> None:
        """No more than 120 in a minute; then it goes on."""
        for number in range(MAX_PER_MINUTE):
            self.assertFalse(self.refused(f"{number}.example"))
        self.assertTrue(self.refused("one-more.example"))
        self.clock.advance(59)
        self.assertTrue(self.refused("one-more.example"))
        self.clock.advance(1)
        self.assertFalse(self.refused("one-more.example"))

    def test_gone(self) -> None:
        """A stranger who leaves makes room, and the domain is asked no further."""
        self.waiting = []
        asking = [self.ask(f"{number}.example") for number in range(MAX_LOOKUPS)]
        asking[0].cancel()
        self.failureResultOf(asking[0], CancelledError)
        self.assertEqual([one.called for one in self.waiting[:4]], [True, True, False, False])
        self.assertNoResult(more := self.ask("one-more.example"))
        for one in [*asking[1:], more]:
            one.cancel()
            self.failureResultOf(one, CancelledError)


class OverHTTPS(SynchronousTestCase):
    """POSH documents as they are fetched: the same limits as for host-meta."""

    def setUp(self) -> None:
        """A real client, on a reactor where the test is every server."""
        self.reactor = Servers()
        self.table = Table(example_org=[PUBLIC], hosting_example=["8.8.4.4"], inside_example=["10.0.0.1"])
        client = DocumentClient(self.reactor, self.table.addresses, (), plain, Timeouts())
        self.asking = Deferred.fromCoroutine(Vouching(self.reactor, client.get).look_up_for_stranger("example.org"))
        self.reactor.accept(0).respond(404)
        self.posh = self.reactor.accept(1)

    def refused(self) -> str:
        """Why nothing is vouched for; nothing may be left open."""
        vouched = self.successResultOf(self.asking)
        self.assertEqual((vouched.pins, vouched.fingerprints), (frozenset(), ()))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        return vouched.explanations[0]

    def test_found(self) -> None:
        """A document names the certificate."""
        self.assertIn(b"GET /.well-known/posh/xmpp-server.json HTTP/1.1", self.posh.request)
        self.posh.respond(200, json.dumps(posh()).encode())
        self.assertIn("POSH", self.successResultOf(self.asking).proof(DER, KEY))

    def test_oversized(self) -> None:
        """A document of more than 64 KiB is not read to its end."""
        self.posh.send(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 90_000)
        self.assertTrue(self.posh.transport.aborted)
        self.assertIn("larger than 65536 bytes", self.refused())

    def test_slow(self) -> None:
        """A document that is not complete within 5 s is given up, and its connection."""
        self.posh.send(b"HTTP/1.1 200 OK\r\n\r\n{")
        for _ in range(5):
            self.assertNoResult(self.asking)
            self.reactor.advance(1)
        self.assertTrue(self.posh.transport.aborted)
        self.assertIn("not complete within 5 s", self.refused())

    def test_redirects(self) -> None:
        """Three are followed, each to https and judged anew; a fourth is not."""
        for hop in range(3):
            self.posh.respond(302, location=f"https://hosting.example/{hop}")
            self.posh = self.reactor.accept()
        self.assertEqual(self.reactor.attempts[-1], ("8.8.4.4", 443))
        self.posh.respond(302, location="https://hosting.example/last")
        self.assertIn("redirects more than 3 times", self.refused())

    def test_redirect_to_http(self) -> None:
        """Nothing is fetched without TLS."""
        self.posh.respond(302, location="http://hosting.example/")
        self.assertIn("wanted https:", self.refused())
        self.assertEqual(len(self.reactor.attempts), 2)

    def test_redirect_inside(self) -> None:
        """A redirect to a private address is not followed."""
        self.posh.respond(302, location="https://inside.example/")
        self.assertIn("10.0.0.1 is a private address", self.refused())
        self.assertEqual(len(self.reactor.attempts), 2)

    def test_reference_inside(self) -> None:
        """Nor is the `url` of a document."""
        self.posh.respond(200, json.dumps({"url": "https://inside.example/posh.json", "expires": 60}).encode())
        self.assertIn("10.0.0.1 is a private address", self.refused())
        self.assertEqual(len(self.reactor.attempts), 2)

    def test_private_domain(self) -> None:
        """A domain inside is not asked at all."""
        client = DocumentClient(self.reactor, self.table.addresses, (), plain, Timeouts())
        asking = Deferred.fromCoroutine(Vouching(self.reactor, client.get).look_up_for_stranger("inside.example"))
        self.assertIn("10.0.0.1 is a private address", self.successResultOf(asking).explanations[0])
        self.assertEqual(len(self.reactor.attempts), 2)
        self.asking.cancel()
        self.failureResultOf(self.asking, CancelledError)
