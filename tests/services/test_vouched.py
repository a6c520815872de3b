"""Certificates that no authority vouches for, but the domain itself: key pins of XEP-0487, and POSH (RFC 7711)."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from tests.services.peers import PeerTLS
from tests.services.s2s import (
    OURS,
    ROMEO,
    SASL,
    THEIR_ADDRESS,
    THEIRS,
    S2SCase,
    Script,
    external,
    message,
    offered,
    opening,
    stream_error,
)
from xmppfed.net.certificates import LoadedCertificate, spki_sha256
from xmppfed.net.issuing import self_signed

HOST = "xmpp.hosting.example"
ELSEWHERE = "127.0.9.2"
META, POSH = "/.well-known/host-meta.json", "/.well-known/posh/xmpp-server.json"
LINK = {"rel": "urn:xmpp:alt-connections:s2s-websocket", "href": f"wss://{HOST}/ws"}


def fingerprint(certificate: LoadedCertificate) -> dict[str, Any]:
    """A POSH document that names it."""
    der = certificate.leaf.public_bytes(Encoding.DER)
    return {"fingerprints": [{"sha-256": b64encode(hashlib.sha256(der).digest()).decode()}], "expires": 3600}


def pinned(certificate: LoadedCertificate, **link: Any) -> dict[str, Any]:
    """A host-meta.json that pins its key, with one link."""
    pins = [b64encode(spki_sha256(certificate.leaf)).decode()]
    complete = {**LINK, "ips": [ELSEWHERE], "priority": 1, "weight": 1, "sni": HOST, **link}
    return {"xmpp": {"ttl": 3600, "public-key-pins-sha-256": pins}, "links": [complete]}


class VouchedCase(S2SCase):
    """montague.example has a web server that is trusted, and elsewhere an XMPP server whose certificate is self-signed."""

    routes = {}

    def setUp(self) -> None:
        super().setUp()
        self.own = self.loaded(self_signed("whatever.example", self.now))
        self.documents: dict[str, Any] = {}
        self.requests: list[str] = []
        self.network.resolver.hosts.update({THEIRS: (THEIR_ADDRESS,), HOST: (ELSEWHERE,)})
        documents, requests = self.documents, self.requests

        class Web(Script):
            def http(self, path: str) -> bytes | None:
                requests.append(path)
                if path not in documents:
                    return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
                body = json.dumps(documents[path]).encode()
                return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

        self.web = self.listen(Web)


class Outgoing(VouchedCase):
    """Servers that we reach."""

    def reached(self, certificate: LoadedCertificate | None = None) -> Any:
        """The server, after a message was sent to it."""
        listener = self.listen(address=ELSEWHERE, certificate=certificate or self.own)
        self.client = self.juliet()
        self.write(self.client)
        return listener

    def test_pin(self) -> None:
        """A key that is pinned over HTTPS is believed, whoever signed what certificate for it."""
        self.documents[META] = pinned(self.own)
        listener = self.reached()
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])
        (attempt,) = self.policy.traces.of(THEIRS).attempts
        self.assertEqual(attempt.proof, "its key, which host-meta.json pins (XEP-0487)")

    def test_posh(self) -> None:
        """A certificate that POSH names is believed; what was learnt holds for the next stream, which dials once."""
        self.documents.update({META: {"links": [LINK]}, POSH: fingerprint(self.own)})
        listener = self.reached()
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])
        before = len(listener.peers)
        listener.peer.drop()
        self.network.pump()
        self.write(self.client)
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])
        self.assertEqual(len(listener.peers), before + 1)
        self.assertEqual(self.requests.count(POSH), 1)

    def test_by_the_name(self) -> None:
        """A server shows other certificates to other names: the one that is vouched for is asked for again."""
        self.documents.update({META: {"links": [LINK]}, POSH: fingerprint(self.own)})
        tls = PeerTLS(self.loaded(self_signed("third.example", self.now)), by_name={HOST: self.own})
        listener = self.listen(address=ELSEWHERE, tls=tls)
        self.write(self.juliet())
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])
        self.assertEqual(tls.names, [HOST, THEIRS, HOST])

    def test_another_certificate(self) -> None:
        """Nobody else's certificate is: the sender hears what was found, and what the domain said."""
        self.documents.update({META: {"links": [LINK]}, POSH: fingerprint(self.loaded(self_signed(THEIRS, self.now)))})
        listener = self.reached()
        self.assertEqual([peer.messages for peer in listener.peers], [[], []])
        _, text = self.bounced(self.client)
        self.assertIn("whatever.example (self-signed certificate)", text)
        self.assertIn(f"https://{THEIRS}{POSH}: 1 fingerprint(s)", text)

    def test_expired(self) -> None:
        """A certificate that has expired is not believed, whoever names it (RFC 7711, 6)."""
        yesterday = self.now - timedelta(days=1)
        expired = self.issue("whatever.example", not_before=yesterday, not_after=self.now - timedelta(seconds=1))
        self.documents.update({META: {"links": [LINK]}, POSH: fingerprint(expired)})
        listener = self.reached(expired)
        self.assertEqual([peer.messages for peer in listener.peers], [[], []])
        self.assertIn("has expired", self.bounced(self.client)[1])

    def test_expires_later(self) -> None:
        """A stream that rests on such a certificate ends with it."""
        soon = self.issue("whatever.example", not_after=self.now + timedelta(minutes=5))
        self.documents.update({META: {"links": [LINK]}, POSH: fingerprint(soon)})
        listener = self.reached(soon)
        self.network.advance(299)
        self.assertIsNone(listener.peer.lost)
        self.network.advance(2)
        self.assertIsNotNone(listener.peer.lost)


class Incoming(VouchedCase):
    """Servers that reach us."""

    def offers(self, certificate: LoadedCertificate | None = None) -> list[str]:
        """What a server with that certificate is offered."""
        self.peer = self.dial(certificate or self.own)
        return offered(self.say(self.peer, opening()))

    def test_posh(self) -> None:
        """A certificate that POSH names proves the domain."""
        self.documents[POSH] = fingerprint(self.own)
        self.assertEqual(self.offers(), ["EXTERNAL", "dialback"])
        client = self.juliet()
        self.assertIn(f"<success {SASL}/>", self.say(self.peer, external(), opening(), message()))
        client.expect(f"<message from='{ROMEO}'/>")

    def test_pin(self) -> None:
        """So does a key that host-meta.json pins."""
        self.documents[META] = pinned(self.own)
        self.assertEqual(self.offers(), ["EXTERNAL", "dialback"])

    def test_names_of_links(self) -> None:
        """A host that host-meta.json delegates to proves nothing about those who come in (row 29 of the choices)."""
        self.documents[META] = pinned(self.own)
        self.assertEqual(self.offers(self.issue(HOST)), ["dialback"])

    def test_not_named(self) -> None:
        """A certificate that the domain does not name has to prove itself by dialback."""
        self.documents[POSH] = fingerprint(self.loaded(self_signed(THEIRS, self.now)))
        self.assertEqual(self.offers(), ["dialback"])

    def test_no_look_up(self) -> None:
        """Nobody is asked about a certificate that proves the domain by its name, nor where there is none."""
        self.assertEqual(self.offers(self.issue()), ["EXTERNAL", "dialback"])
        self.assertEqual(offered(self.say(self.dial(), opening())), ["dialback"])
        self.assertEqual(self.requests, [])

    def test_cached(self) -> None:
        """A domain is asked once, however often somebody says that he is it, and whatever it answers."""
        for _ in range(3):
            self.assertEqual(self.offers(), ["dialback"])
        self.assertEqual(sorted(self.requests), [META, POSH])

    def test_private_address(self) -> None:
        """A stranger cannot make us knock at a door inside: the guard judges where he says that he is from."""
        self.network.resolver.hosts[THEIRS] = ("10.0.0.1",)
        self.assertEqual(self.offers(), ["dialback"])
        self.assertEqual(self.requests, [])

    def test_waits(self) -> None:
        """The stream waits for the answer, no longer than 5 s."""
        self.network.resolver.hosts[THEIRS] = ("127.0.9.9",)
        self.network.blackhole("127.0.9.9")
        peer = self.dial(self.own)
        self.assertEqual(self.say(peer, opening()), [])
        self.network.advance(5)
        self.assertEqual(offered(peer.take()), ["dialback"])

    def test_leaves(self) -> None:
        """A stranger who leaves meanwhile leaves nothing behind."""
        self.network.resolver.hosts[THEIRS] = ("127.0.9.9",)
        self.network.blackhole("127.0.9.9")
        peer = self.dial(self.own)
        self.say(peer, opening())
        peer.abort()
        self.network.pump()
        self.assertEqual(len(self.policy.streams), 0)
        self.assertEqual(self.policy.vouching._strangers, 0)

    def test_expires(self) -> None:
        """A stream that rests on such a certificate ends with it."""
        soon = self.issue("whatever.example", not_after=self.now + timedelta(minutes=5))
        self.documents[POSH] = fingerprint(soon)
        peer = self.authenticated(soon)
        self.network.advance(301)
        self.assertEqual(stream_error(peer.take())[0], "reset")


class IncomingExternal(VouchedCase):
    """The policy that knows certificates only."""

    trust = "external"

    def test_vouched(self) -> None:
        """One that the domain vouches for will do."""
        self.documents[POSH] = fingerprint(self.own)
        self.assertEqual(offered(self.say(self.dial(self.own), opening())), ["EXTERNAL"])

    def test_not_vouched(self) -> None:
        """Another one ends the stream, and says what was wanted."""
        condition, text = stream_error(self.say(self.dial(self.own), opening()))
        self.assertEqual(condition, "not-authorized")
        self.assertIn(f"wanted a trusted one for {THEIRS}", text)
        self.assertIn(OURS, opening())
