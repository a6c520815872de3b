"""Streams that other servers open to us: who may say what, and who is refused with which words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet.defer import Deferred, fail

from tests.services.peers import PeerTLS
from tests.services.s2s import (
    CLOSE,
    DB,
    JULIET,
    OURS,
    ROMEO,
    SASL,
    THEIR_ADDRESS,
    THEIRS,
    DialbackScript,
    S2SCase,
    Script,
    attribute,
    external,
    message,
    offered,
    opening,
    stream_error,
)
from xmppfed.core.events import Pair
from xmppfed.core.negotiation.dialback import dialback_key
from xmppfed.net.certificates import LoadedCertificate
from xmppfed.net.issuing import Authority, self_signed
from xmppfed.services import federation, incoming

RESULT = f"<db:result {DB} from='{{}}' to='{{}}'>{{}}</db:result>"
THIRD = "verona.example"


def result(sender: str = THEIRS, to: str = OURS, key: str = "key") -> str:
    """A claim by dialback."""
    return RESULT.format(sender, to, key)


def general_name(tag: int, contents: bytes) -> bytes:
    """A subjectAltName with one GeneralName, in DER (RFC 5280, 4.2.1.6)."""
    name = bytes([tag, len(contents)]) + contents
    return bytes([0x30, len(name)]) + name


class Refusals(S2SCase):
    """What the certificates of `s2s-external-(a)` to `(i)` share: none of them may prove montague.example."""

    def bad_certificates(self) -> dict[str, tuple[LoadedCertificate, str, str]]:
        """By letter: the certificate, the `from` that it does not prove, and what the refusal says of it."""
        usual = ExtendedKeyUsageOID.CODE_SIGNING
        yesterday = self.now - timedelta(days=1)
        return {
            "a": (self.issue(THEIRS, dns=()), THEIRS, "no names"),
            "b": (self.issue(THEIRS, dns=("other.example",), common_name=f"x/OU=CN={THEIRS}"), THEIRS, "DNS other.example"),
            "c": (self.issue(THEIRS, dns=("*.example",)), "a.montague.example", "DNS *.example"),
            "d": (
                self.issue(THEIRS, san=general_name(0x82, b"montague.example\0.evil.example")),
                THEIRS,
                r"montague.example\x00.evil.example",
            ),
            "e": (self.issue(THEIRS, san=general_name(0x82, "bücher.example".encode())), "bücher.example", "DNS bücher.example"),
            "f": (self.issue(THEIRS, not_before=self.now - timedelta(days=9), not_after=yesterday), THEIRS, "expired"),
            "g": (self.issue(THEIRS, extended_key_usages=(usual,)), THEIRS, "extended key usage"),
            "h": (self.loaded(self_signed(THEIRS, self.now)), THEIRS, "self-signed"),
            "i": (self.issue(THEIRS, dns=("one.example", "two.example")), THEIRS, "DNS one.example, DNS two.example"),
        }


class ExternalOrDialback(Refusals):
    """The default policy: who does not prove itself by a certificate may still use dialback."""

    def test_bad_certificates(self) -> None:
        """s2s-external-(a) to (i): EXTERNAL is not offered, dialback is; the reason is in the log, found and wanted."""
        for letter, (certificate, sender, found) in self.bad_certificates().items():
            with self.subTest(letter):
                lines = self.logged()
                came = self.say(self.dial(certificate), opening(sender))
                self.assertEqual(offered(came), ["dialback"])
                said = next(line for line in lines if "cannot use EXTERNAL" in line)
                self.assertIn(found, said)
                self.assertIn(f"one for {sender}", said)

    def test_external_all_the_same(self) -> None:
        """EXTERNAL that was not offered is refused, whoever asks (RFC 6120, 6.5.7): nobody is authenticated by it."""
        for letter, (certificate, sender, _) in self.bad_certificates().items():
            with self.subTest(letter):
                peer = self.dial(certificate)
                came = self.say(peer, opening(sender), external(sender), opening(sender), message(f"romeo@{sender}"))
                self.assertNotIn("<success", "".join(came))
                self.assertEqual(stream_error(came)[0], "not-authorized")

    def test_dialback_may_follow(self) -> None:
        """A server with a self-signed certificate, whose authoritative server has a good one, is believed by dialback."""
        self.listen()
        client = self.juliet()
        peer = self.dial(self.loaded(self_signed(THEIRS, self.now)))
        came = self.say(peer, opening(), result(), message())
        self.assertIn("type='valid'", came[-1])
        client.expect(f"<message from='{ROMEO}'/>")


class External(Refusals):
    """The policy `external`."""

    trust = "external"

    def test_bad_certificates(self) -> None:
        """s2s-external-(a) to (i): the stream ends with `not-authorized`, and the text names what was found and wanted."""
        for letter, (certificate, sender, found) in self.bad_certificates().items():
            with self.subTest(letter):
                condition, text = stream_error(self.say(self.dial(certificate), opening(sender)))
                self.assertEqual(condition, "not-authorized")
                self.assertIn(found, text)
                self.assertIn(f"one for {sender}", text)

    def test_no_certificate(self) -> None:
        """Without a certificate there is no way to prove anything here."""
        self.assertEqual(
            stream_error(self.say(self.dial(), opening())),
            ("not-authorized", f"Found no client certificate; wanted one for {THEIRS}."),
        )

    def test_no_sender(self) -> None:
        """Without `from` there is nothing to prove."""
        self.assertEqual(stream_error(self.say(self.dial(self.issue()), opening(None))), ("not-authorized", "Found no 'from'."))

    def test_no_dialback(self) -> None:
        """Dialback is neither offered nor done on an authenticated stream."""
        peer = self.authenticated()
        self.assertNotIn("dialback'/>", peer.messages[-1])
        self.assertEqual(stream_error(self.say(peer, result(THIRD)))[0], "unsupported-stanza-type")


class Accepted(S2SCase):
    """Certificates that prove a domain (RFC 6120, 13.7.1.2; XEP-0178)."""

    def sender(self, certificate: LoadedCertificate, domain: str = THEIRS, **options: Any) -> list[str]:
        """What is offered to who shows it."""
        return offered(self.say(self.dial(certificate, **options), opening(domain)))

    def test_names(self) -> None:
        """A dNSName, a wildcard of one label, an SRVName for servers, or an xmppAddr is enough, each by itself."""
        cases: tuple[tuple[dict[str, Any], str], ...] = (
            ({"dns": (THEIRS,)}, THEIRS),
            ({"dns": (f"*.{THEIRS}",)}, f"chat.{THEIRS}"),
            ({"dns": (), "srv": (f"_xmpp-server.{THEIRS}",)}, THEIRS),
            ({"dns": (), "xmpp_addresses": (THEIRS,)}, THEIRS),
            ({"dns": (), "xmpp_addresses": ("bücher.example",)}, "bücher.example"),
            ({"dns": ("xn--bcher-kva.example",)}, "bücher.example"),
        )
        for details, domain in cases:
            with self.subTest(details):
                self.assertIn("EXTERNAL", self.sender(self.issue(THEIRS, **details), domain))

    def test_wrong_kind_of_name(self) -> None:
        """An SRVName for clients, and an address of a person, prove no server."""
        cases: tuple[dict[str, Any], ...] = (
            {"srv": (f"_xmpp-client.{THEIRS}",)},
            {"xmpp_addresses": (f"romeo@{THEIRS}",)},
        )
        for details in cases:
            with self.subTest(details):
                self.assertEqual(self.sender(self.issue(THEIRS, dns=(), **details)), ["dialback"])

    def test_chain(self) -> None:
        """Who sends the intermediate authority's certificate is believed, who keeps it back is not."""
        intermediate = Authority(self.now, "between", issuer=self.authority)
        certificate = self.issue(authority=intermediate)
        self.assertEqual(len(certificate.chain), 1)
        self.assertIn("EXTERNAL", self.sender(certificate))
        without = PeerTLS(certificate, chain=False, sni=OURS)
        self.assertEqual(offered(self.say(self.dial(tls=without), opening())), ["dialback"])

    def test_server_purpose_alone(self) -> None:
        """Public authorities issue for TLS servers only: such a certificate counts, and so does one without purposes."""
        for usages in ((ExtendedKeyUsageOID.SERVER_AUTH,), (), (ExtendedKeyUsageOID.CLIENT_AUTH,)):
            with self.subTest(usages):
                peer = self.authenticated(self.issue(extended_key_usages=usages))
                self.assertIsNone(peer.lost)

    def test_authzid(self) -> None:
        """The authzid is `=`, or the same domain, in any of its spellings (XEP-0178, 3)."""
        for authzid in ("", THEIRS, THEIRS.upper()):
            with self.subTest(authzid):
                came = self.say(self.dial(self.issue()), opening(), external(authzid))
                self.assertEqual(came[-1], f"<success {SASL}/>")

    def test_other_authzid(self) -> None:
        """Another authzid is `invalid-authzid`, even one that the certificate proves: `from` decides; then it may try again."""
        peer = self.dial(self.issue(dns=(THEIRS, THIRD)))
        for authzid in (THIRD, ROMEO, OURS, "\u0661"):
            came = self.say(peer, *([] if peer.frames else [opening()]), external(authzid))
            self.assertIn("<invalid-authzid/>", came[-1])
        self.assertEqual(self.say(peer, external()), [f"<success {SASL}/>"])

    def test_two_names(self) -> None:
        """A certificate for two domains authenticates the one that the stream is from, and no other."""
        client = self.juliet()
        peer = self.authenticated(self.issue(dns=(THEIRS, THIRD)))
        self.say(peer, message())
        client.expect(f"<message from='{ROMEO}'/>")
        self.assertEqual(stream_error(self.say(peer, message(f"romeo@{THIRD}")))[0], "invalid-from")
        client.expect_nothing()


class Headers(S2SCase):
    """What the stream header says."""

    def refused(self, *texts: str) -> tuple[str, str]:
        """The error that these end in."""
        return stream_error(self.say(self.dial(self.issue()), *texts))

    def test_unknown_domain(self) -> None:
        """A `to` that is not served here is `host-unknown` (RFC 6120, 4.9.3.6), with what was found."""
        self.assertEqual(self.refused(opening(to=THIRD)), ("host-unknown", f"Found '{THIRD}' as 'to'; it is not served here."))
        self.assertEqual(self.refused(opening(to=None))[0], "host-unknown")
        self.assertEqual(self.refused(opening(to=JULIET))[0], "host-unknown")

    def test_own_domain(self) -> None:
        """Nobody outside is one of our own domains (`invalid-from`), whatever certificate is shown."""
        self.assertEqual(
            stream_error(self.say(self.dial(self.issue(OURS)), opening(OURS))),
            ("invalid-from", f"Found {OURS} as 'from'; that is served here."),
        )

    def test_improper_sender(self) -> None:
        """A `from` that is no domain is `improper-addressing`."""
        for sender in (ROMEO, "a b", "-"):
            with self.subTest(sender):
                self.assertEqual(self.refused(opening(sender))[0], "improper-addressing")

    def test_no_sender(self) -> None:
        """Without `from` dialback still tells who the peer is (RFC 6120, 4.7.1 lets it out before TLS)."""
        self.listen()
        peer = self.dial(self.issue())
        self.assertEqual(offered(self.say(peer, opening(None))), ["dialback"])
        self.assertIn("type='valid'", self.say(peer, result())[0])

    def test_restart_with_other_names(self) -> None:
        """After EXTERNAL the header must be from the same domain to the same domain."""
        for header in (opening(THIRD), opening(to=THIRD)):
            with self.subTest(header):
                self.assertEqual(self.refused(opening(), external(), header)[0], "not-authorized")

    def test_stanza_too_early(self) -> None:
        """Nothing is delivered before authentication (x-preauth-stanza), also between EXTERNAL and the new header."""
        client = self.juliet()
        self.assertEqual(self.refused(opening(), message())[0], "not-authorized")
        self.assertEqual(self.refused(opening(), external(), message())[0], "not-authorized")
        client.expect_nothing()


class Stanzas(S2SCase):
    """What an authenticated server may send."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()
        self.peer = self.authenticated()

    def refused(self, text: str) -> tuple[str, str]:
        """The error that a stanza ends the stream with; it is not delivered."""
        error = stream_error(self.say(self.peer, text))
        self.client.expect_nothing()
        return error

    def test_delivered(self) -> None:
        """Stanzas of the authorized pair pass, in order."""
        self.say(self.peer, *(message(body=str(number)) for number in range(5)))
        for number in range(5):
            self.client.expect(f"<message from='{ROMEO}'><body>{number}</body></message>")

    def test_language_of_the_stream(self) -> None:
        """A stanza without `xml:lang` gets that of its stream (RFC 6120, 4.7.4); its own comes first."""
        peer = self.dial(self.issue())
        header = opening(more=" xml:lang='it'")
        self.say(peer, header, external(), header, message(), message(more=" xml:lang='de'"))
        self.client.expect("<message xml:lang='it'/>")
        self.client.expect("<message xml:lang='de'/>")

    def test_spoofed_sender(self) -> None:
        """s2s-from-spoof: a `from` of another domain ends the stream with `invalid-from`, and names it."""
        self.assertEqual(
            self.refused(message(f"romeo@{THIRD}")),
            ("invalid-from", f"Found a stanza from {THIRD} to {OURS}, which this stream is not authorized for."),
        )

    def test_own_domain(self) -> None:
        """One of ours is spoofed no better."""
        self.assertEqual(self.refused(message(JULIET))[0], "invalid-from")

    def test_subdomain(self) -> None:
        """A name that ends in the proved one is another domain."""
        self.assertEqual(self.refused(message(f"romeo@x{THEIRS}"))[0], "invalid-from")

    def test_other_recipient(self) -> None:
        """A `to` that the stream was not opened for is not relayed: we are nobody's way to a third domain."""
        self.assertEqual(self.refused(message(to=f"nurse@{THIRD}"))[0], "invalid-from")

    def test_addresses_missing(self) -> None:
        """A stanza between servers has `from` and `to` (RFC 6120, 8.1.1.2 and 8.1.2.2), or is `improper-addressing`."""
        for text in (
            f"<message xmlns='jabber:server' to='{JULIET}'/>",
            f"<message xmlns='jabber:server' from='{ROMEO}'/>",
            f"<message xmlns='jabber:server' from='' to='{JULIET}'/>",
            f"<message xmlns='jabber:server' from='@{THEIRS}' to='{JULIET}'/>",
        ):
            with self.subTest(text):
                self.peer = self.authenticated()
                self.assertEqual(self.refused(text)[0], "improper-addressing")

    def test_other_namespace(self) -> None:
        """s2s-client-ns: a client's stanza has no place here (`invalid-namespace`)."""
        text = message().replace("jabber:server", "jabber:client")
        self.assertEqual(self.refused(text)[0], "invalid-namespace")

    def test_size(self) -> None:
        """Up to 524 288 bytes pass, from the frame header on more is `policy-violation`; 10 000 before authentication."""
        self.say(self.peer, message(body="x" * 500_000))
        self.client.expect("message")
        self.assertEqual(self.refused(message(body="x" * 524_288))[0], "policy-violation")
        stranger = self.dial(self.issue())
        self.say(stranger, opening())
        self.assertEqual(stream_error(self.say(stranger, result(key="x" * 10_000)))[0], "policy-violation")


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
        self.claimed(*(result(f"{number}.example") for number in range(incoming.MAX_PAIRS)))
        (answer,) = self.say(self.peer, result("more.example"))
        self.assertIn("resource-constraint", answer)
        self.assertEqual(len(asked), incoming.MAX_PAIRS)
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
        self.secret = self.successResultOf(Deferred.fromCoroutine(self.server.accounts.secret("dialback")))
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
        self.patch(self.server.accounts, "secret", lambda name: fail(AssertionError(name)))
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


class Ends(S2SCase):
    """How streams that came in end."""

    def test_certificate_expires(self) -> None:
        """What a certificate proved holds as long as the certificate: then the stream ends with `reset` (RFC 6120, 13.7.2.3)."""
        peer = self.authenticated(self.issue(not_after=self.now + timedelta(minutes=5)))
        self.network.advance(290)
        self.assertIsNone(peer.lost)
        self.network.advance(20)
        self.assertEqual(stream_error(peer.take()), ("reset", f"The certificate of {THEIRS} has expired."))

    def test_timer_goes_with_the_stream(self) -> None:
        """A stream that ended before leaves no timer behind (the cleanup of every test looks for one)."""
        peer = self.authenticated()
        self.say(peer, CLOSE)
        self.network.advance(2)
        self.assertIsNotNone(peer.lost)
        now = self.network.reactor.seconds()
        self.assertEqual([call for call in self.network.reactor.getDelayedCalls() if call.getTime() > now + 10], [])

    def test_shutdown(self) -> None:
        """A server that stops says `system-shutdown` and closes with 1012; who has not authenticated hears it as well."""
        peers = [self.authenticated(), self.dial()]
        self.say(peers[1], opening())
        for peer in peers:
            peer.take()
        self.federation.stop(OURS)
        for peer in peers:
            self.assertEqual(stream_error(peer.take())[0], "system-shutdown")
            self.assertEqual(peer.close_code, 1012)

    def test_while_stopping(self) -> None:
        """A stream that is opened while the server stops is refused with `system-shutdown`."""
        peer = self.dial(self.issue())
        self.policy.stopping = True
        self.assertEqual(stream_error(self.say(peer, opening()))[0], "system-shutdown")

    def test_error_of_the_peer(self) -> None:
        """A stream error of the peer ends the stream; its text is logged without what moves a cursor."""
        lines = self.logged()
        peer = self.authenticated()
        self.say(
            peer,
            "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>"
            "<conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
            "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>one\ntwo\u202e</text></stream:error>",
        )
        self.assertEqual(peer.messages[-1], CLOSE)
        (line,) = [line for line in lines if "stream from montague.example failed" in line]
        self.assertIn("one\\x0atwo", line)
        self.assertNotIn("\u202e", line)

    def test_failed_authentication_is_logged(self) -> None:
        """Who fails EXTERNAL five times is cut off, and the log says which domain it was."""
        lines = self.logged()
        peer = self.dial(self.issue())
        came = self.say(peer, opening(), *[external(THIRD)] * 5)
        self.assertEqual(stream_error(came)[0], "policy-violation")
        self.assertIn(f"server {THEIRS} failed EXTERNAL: invalid-authzid", "\n".join(lines))


class Secrets(S2SCase):
    """What must not be in a log."""

    def test_no_bodies_and_no_keys(self) -> None:
        """A whole life of both kinds of stream, with errors: neither a body nor a dialback key is in any field."""
        lines = self.logged()
        client = self.juliet()
        self.listen()
        peer = self.dial()
        self.say(peer, opening(), result(key="the-key-0815"), message(body="the body 4711"))
        client.expect("message")
        client.send(f"<message to='{ROMEO}'><body>the body 4712</body></message>")
        self.say(peer, result(THIRD, key="the-key-0816"))
        self.say(peer, message(f"romeo@{THIRD}", body="the body 4713"))
        self.federation.stop(OURS)
        text = "\n".join(lines)
        self.assertIn("authenticated by dialback", text)
        for secret in ("the body", "the-key"):
            self.assertNotIn(secret, text)
