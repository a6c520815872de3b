"""Streams that other servers open to us: who may say what, and who is refused with which words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.services.peers import PeerTLS
from tests.services.s2s import (
    CLOSE,
    JULIET,
    OURS,
    ROMEO,
    SASL,
    THEIRS,
    THIRD,
    S2SCase,
    external,
    message,
    offered,
    opening,
    result,
    stream_error,
)
from xmppfed.core.events import Pair
from xmppfed.core.namespaces import NS_STREAM, NS_STREAM_ERRORS
from xmppfed.net.certificates import LoadedCertificate
from xmppfed.net.issuing import Authority, self_signed


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

    def test_version(self) -> None:
        """A header that is no version 1 is refused before anybody asks whose it is (RFC 6120, 4.7.5)."""
        lines = self.logged()
        self.assertEqual(self.refused(opening().replace("1.0", "0.9"))[0], "unsupported-version")
        self.network.advance(2)
        self.assertIn("is gone", "\n".join(lines))

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

    def broken(self) -> list[Pair]:
        """The pairs of which modules hear that their stream broke."""
        heard: list[Pair] = []
        self.federation.server(OURS).router.handlers.add(("stream", "broken"), heard.append, "m")
        return heard

    def test_a_stream_that_breaks(self) -> None:
        """Modules hear of each pair whose stream ended without being closed, or with an error of whichever side."""
        for end in (
            "cut",
            f"<stream:error xmlns:stream='{NS_STREAM}'><reset xmlns='{NS_STREAM_ERRORS}'/></stream:error>",
            "<x/>",
        ):
            with self.subTest(end):
                heard = self.broken()
                peer = self.authenticated()
                if end == "cut":
                    peer.transport.abortConnection()
                    self.network.pump()
                else:
                    self.say(peer, end)
                    self.network.advance(2)
                self.assertIsNotNone(peer.lost)
                self.assertEqual(heard, [Pair(THEIRS, OURS)])

    def test_a_stream_that_is_closed(self) -> None:
        """One that is closed in good order lost nothing; one that was never authorized had nothing to lose."""
        heard = self.broken()
        for peer in (self.authenticated(), self.dial()):
            self.say(peer, CLOSE)
            self.network.advance(2)
            self.assertIsNotNone(peer.lost)
        self.assertEqual(heard, [])

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
