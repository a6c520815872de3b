"""XEP-0468 leaves points open; each row of our table of choices has a test here that names its number, on real TLS and
real frames.

| row | point | where it is tested besides, or instead |
|---|---|---|
| 1 | namespaces of stanzas | |
| 2 | namespace of `<close/>` | |
| 3 | prefixes | |
| 4 | `xmlns:db` on `<open/>` | |
| 5 | lexical form of `<open/>` | |
| 6 | legacy opening | tests.services.test_deployed_peers.PeerTubeAsClient.test_message |
| 7 | masking | |
| 8 | STARTTLS in features | |
| 9 | TLS that ends at a proxy | |
| 10 | dialback | tests.services.test_incoming_dialback.Dialback.test_valid |
| 10 | dialback | tests.services.test_incoming_dialback.Authoritative.test_our_key |
| 11 | policies | tests.services.test_incoming.External.test_bad_certificates |
| 11 | policies | tests.services.test_federation.WithoutVerifiedTLS.test_both_ways |
| 12 | where to look | tests.services.test_candidate_kinds.EveryKind.test_websocket_then_direct_tls |
| 12 | where to look | tests.services.test_candidate_kinds.EveryKind.test_srv_then_host_meta |
| 12 | where to look | tests.services.test_wellknown.StrictReaderTests.test_with_addresses |
| 13 | names from TXT | tests.discovery.test_dnssources.TextTests.test_url |
| 14 | names from host-meta | tests.services.test_federation_reach.Delegated.test_second_name |
| 15 | links without `ips` | tests.services.test_federation_reach.Documents.test_plain_link |
| 15 | links without `ips` | tests.services.test_wellknown.OwnReaderTests.test_without_addresses |
| 16 | ALPN | tests.net.test_tls.ProtocolNegotiationTests.test_nothing_in_common |
| 17 | one endpoint | |
| 18 | Origin | |
| 19 | redirects | tests.services.test_federation.Candidates.test_redirect |
| 20 | one stanza per message | |
| 21 | size limits | tests.core.negotiation.test_limits.HonoredTests.test_too_long |
| 22 | keepalive | tests.services.test_outgoing.Ends.test_pings |
| 23 | closing | tests.services.test_outgoing.Ends.test_no_answer_to_our_closing |
| 24 | compression | |
| 25 | bidirectional streams | tests.services.test_bidi.Incoming.test_by_dialback |
| 25 | bidirectional streams | tests.services.test_bidi.Outgoing.test_other_domains |
| 27 | SNI versus `to` | tests.services.test_federation_reach.TwoDomains.test_server_name_chooses_the_certificate_only |
| 26 | stream management | tests.services.test_management.Cut.test_under_way |
| 26 | stream management | tests.services.test_management.Outgoing.test_sent_again |
| 26 | stream management | tests.services.test_management.Incoming.test_resumed |
| 28 | time-outs | tests.services.test_federation.Candidates.test_no_features |
| 29 | cost of incoming streams | tests.services.test_federation_reach.Delegated.test_incoming |
| 29 | cost of incoming streams | tests.services.test_vouched.Incoming.test_cached |
| 29 | cost of incoming streams | tests.discovery.test_vouching.Strangers.test_per_minute |
| 31 | plain WebSocket | tests.test_config.Refused.test_proxy_in_the_open |
| 32 | extended key usage | tests.services.test_incoming.Accepted.test_server_purpose_alone |

Row 30 is that of TCP; RFC 9440 of row 9 and the PROXY protocol of row 31 have tests of their own rooms.
"""

from __future__ import annotations

import re
from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

from tests.net.websockets import PING, PONG, TEXT, handshake
from tests.services.peers import ClientPeer, PeerTLS, dial
from tests.services.s2s import (
    ADDRESS,
    CLOSE,
    DB,
    DIALBACK,
    EXTERNAL,
    FRAMED,
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
    features,
    message,
    offered,
    opening,
    result,
    stream_error,
)
from xmppfed.core.namespaces import NS_FRAMING, NS_FRAMING_SERVER, NS_STREAM
from xmppfed.core.stanza import Stanza
from xmppfed.core.tree import parse_tree
from xmppfed.discovery.hostmeta import REL, parse_json
from xmppfed.discovery.xrd import NS_XRD

HTTP_STRANGER: dict[str, Any] = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "192.0.2.7", "Client_Cert": ":AAAA:"}
ROUTE = {"url": "wss://host.example/ws", "addresses": [THEIR_ADDRESS]}
REWRITTEN = opening().replace("jabber:server:dialback", f"{NS_FRAMING_SERVER}:dialback")
STREAM_HEADER = (
    f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='{NS_STREAM}' {DB} "
    f"to='{OURS}' from='{THEIRS}' xml:lang='en' version='1.0'>"
)


class Table(SynchronousTestCase):
    """The table above is true."""

    def test_named_tests_exist(self) -> None:
        """Every test that the table names can be run."""
        names = re.findall(r"tests\.[\w.]+", __doc__)
        self.assertGreater(len(names), 10)
        for name in names:
            with self.subTest(name):
                self.assertTrue(callable(namedAny(name)))

    def test_every_row(self) -> None:
        """Every row from 1 to 32 has a test that names its number, or is named as not built yet."""
        cases = [case for case in globals().values() if isinstance(case, type) and issubclass(case, S2SCase)]
        methods = " ".join(name for case in cases for name in vars(case))
        tested = {int(number) for number in re.findall(r"test_row_(\d\d)_", methods)}
        self.assertEqual(set(range(1, 33)) - tested, {30})
        listed = {int(number) for number in re.findall(r"^\| (\d+) \|", __doc__, re.MULTILINE)}
        self.assertEqual(listed, tested)


class Text(S2SCase):
    """Rows 1 to 6, 8 and 20: what is in the messages."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()

    def opened(self, header: str) -> Any:
        """An authenticated stream with that header."""
        peer = self.dial(self.issue())
        came = self.say(peer, header, external(), header)
        self.assertIn(f"<success {SASL}/>", came)
        return peer

    def reached(self, kind: type[Script] = Script) -> Any:
        """A server that we have sent a message to."""
        listener = self.listen(kind)
        self.write(self.client)
        return listener.peer

    def test_row_01_sent(self) -> None:
        """Row 1: stanzas that we send carry `jabber:server`, only headers and ends the framing namespace."""
        peer = self.reached()
        for text in peer.messages:
            name, _, rest = text.partition(" ")
            self.assertEqual(NS_FRAMING_SERVER in rest, name in ("<open", "<close"), text)
        self.assertTrue(peer.messages[-1].startswith("<message xmlns='jabber:server' "))

    def test_row_01_taken_in_the_dialects(self) -> None:
        """Row 1: a stanza in the framing namespace or in none passes on streams whose header showed either dialect."""
        for header in (REWRITTEN, STREAM_HEADER):
            for namespace in (f"xmlns='{NS_FRAMING_SERVER}'", "", "xmlns='jabber:server'"):
                with self.subTest(header=header, namespace=namespace):
                    self.say(self.opened(header), message().replace("xmlns='jabber:server'", namespace))
                    self.client.expect(f"<message from='{ROMEO}'><body>hello</body></message>")

    def test_row_01_refused_elsewhere(self) -> None:
        """Row 1: on a stream with a header of the standard they are refused, and so is the clients' namespace anywhere."""
        for header, namespace in (
            (opening(), f"xmlns='{NS_FRAMING_SERVER}'"),
            (opening(), ""),
            (REWRITTEN, "xmlns='jabber:client'"),
            (STREAM_HEADER, "xmlns='jabber:client'"),
        ):
            with self.subTest(header=header, namespace=namespace):
                came = self.say(self.opened(header), message().replace("xmlns='jabber:server'", namespace))
                self.assertIn(stream_error(came)[0], ("invalid-namespace", "unsupported-stanza-type"))
        self.client.expect_nothing()

    def test_row_02_taken(self) -> None:
        """Row 2: three ends are understood; ours is in the servers' namespace."""
        for end in (CLOSE, f"<close xmlns='{NS_FRAMING}'/>", f'<close xmlns="{NS_FRAMING}" />', "</stream:stream>"):
            with self.subTest(end):
                self.assertEqual(self.say(self.opened(opening()), end), [CLOSE])

    def test_row_02_other_ends(self) -> None:
        """Row 2: an end in any other namespace is none."""
        came = self.say(self.opened(opening()), "<close xmlns='jabber:server'/>")
        self.assertEqual(stream_error(came)[0], "invalid-namespace")

    def test_row_03_sent(self) -> None:
        """Row 3: every message of ours is a document by itself, in all that we send on any kind of stream."""
        theirs = self.reached(DialbackScript)
        peer = self.opened(opening())
        self.say(peer, f"<db:result {DB} from='x.example' to='{OURS}'>key</db:result>", message(to="nobody@other.example"))
        self.federation.stop(OURS)
        names = {parse_tree(text.encode()).name for text in peer.messages + theirs.messages}
        self.assertEqual(names, {"open", "close", "features", "success", "error", "result", "message"})

    def test_row_03_undeclared_roots(self) -> None:
        """Row 3: `db` and `stream` may be undeclared where they name the root of a message."""
        peer = self.opened(opening())
        (answer,) = self.say(peer, f"<db:result from='{THEIRS}' to='nowhere.example'>key</db:result>")
        self.assertIn("item-not-found", answer)
        error = "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        self.assertEqual(self.say(peer, error), [CLOSE])

    def test_row_03_undeclared_elsewhere(self) -> None:
        """Row 3: inside a stanza they are an error, and no root is added around two."""
        result = f"<db:result from='{THEIRS}' to='{OURS}'>key</db:result>"
        for text in (message().replace("<body>", "<db:x/><body>"), result * 2, f"<stream:x>{result}</stream:x>{result}"):
            with self.subTest(text):
                self.assertIn(stream_error(self.say(self.opened(opening()), text))[0], ("not-well-formed", "bad-format"))
        self.client.expect_nothing()

    def test_row_04_sent(self) -> None:
        """Row 4: our `<open/>` declares `db`, in both roles: servers behind a translating proxy need it to do dialback."""
        self.assertIn(DB, self.reached().messages[0])
        self.assertIn(DB, self.opened(opening()).messages[0])

    def test_row_04_taken(self) -> None:
        """Row 4: it may be absent or rewritten, on either side."""
        for header in (opening().replace(f" {DB}", ""), REWRITTEN):
            with self.subTest(header):
                peer = self.dial()
                self.assertEqual(offered(self.say(peer, header)), ["dialback"])

    def test_row_05_form(self) -> None:
        """Row 5: `<open ` first, one line, `/>` last, no `>` within, one element without content."""
        for text in (self.reached().messages[0], self.opened(opening()).messages[0]):
            self.assertRegex(text, r"\A<open [^<>\n]*[^<> ]/>\Z")

    def test_row_06_legacy_opening(self) -> None:
        """Row 6: a stream header of TCP is answered by `<open/>`, with and without a declaration, also after EXTERNAL."""
        for header in (STREAM_HEADER, STREAM_HEADER.partition("?>")[2], STREAM_HEADER.replace("?><", "?>\n<")):
            with self.subTest(header):
                peer = self.opened(header)
                self.assertEqual(sum(text.startswith("<open ") for text in peer.messages), 2)
                self.say(peer, message())
                self.client.expect("message")
                self.assertEqual(self.say(peer, "</stream:stream>"), [CLOSE])

    def test_row_06_clients_header(self) -> None:
        """Row 6: such a header is for servers alone."""
        came = self.say(self.dial(), STREAM_HEADER.replace("jabber:server'", "jabber:client'"))
        self.assertEqual(stream_error(came)[0], "invalid-namespace")

    def test_row_08_never_offered(self) -> None:
        """Row 8: STARTTLS is not offered on a WebSocket, and not begun by who sends it all the same."""
        starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
        peer = self.dial(self.issue())
        self.assertNotIn("tls", offered(self.say(peer, opening())))
        came = self.say(peer, starttls)
        self.assertNotIn("proceed", "".join(came))
        self.assertEqual(stream_error(came)[0], "not-authorized")

    def test_row_08_ignored(self) -> None:
        """Row 8: where it leaks through a proxy, even as required, we leave it alone."""
        offer = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>" + EXTERNAL
        peer = self.reached(type("Leaks", (Script,), {"offer": offer}))
        self.assertNotIn("starttls", "".join(peer.messages))
        self.assertEqual(peer.bodies, ["Art thou not Romeo?"])

    def test_row_20_sent(self) -> None:
        """Row 20: one stanza is one message in one frame, whole."""
        peer = self.reached()
        for number in range(3):
            self.write(self.client, body=f"<body>{number * 'x' * 30_000}</body>")
        self.assertTrue(all(frame.fin for frame in peer.frames))
        self.assertEqual(len(peer.stanzas), 4)

    def test_row_20_taken(self) -> None:
        """Row 20: fragments of one stanza are put together; two stanzas in a message, or half of one, are refused whole."""
        peer = self.opened(opening())
        text = message().encode()
        peer.write(TEXT, text[:20], fin=False)
        peer.write(0, text[20:])
        self.network.pump()
        self.client.expect("<message><body>hello</body></message>")
        for bad in (message() * 2, message() + " ", "\n" + message(), message()[:-4], f"<x>{message()}</x>"):
            with self.subTest(bad):
                came = self.say(self.opened(opening()), bad)
                self.assertIn(stream_error(came)[0], ("not-well-formed", "bad-format", "unsupported-stanza-type"))
        self.client.expect_nothing()


class Frames(S2SCase):
    """Rows 7, 22, 23 and 24: what is around the messages."""

    def test_row_07_unmasked(self) -> None:
        """Row 7: unmasked frames are taken from servers, before the header and after it, mixed with masked ones."""
        client = self.juliet()
        peer = self.authenticated(kind=type("Unmasked", (ClientPeer,), {"mask": None}))
        self.say(peer, message(body="1"))
        peer.write(TEXT, message(body="2").encode(), mask=b"abcd")
        self.network.pump()
        client.expect("<message><body>1</body></message>")
        client.expect("<message><body>2</body></message>")

    def test_row_07_browser(self) -> None:
        """Row 7: never with an Origin, which browsers send: they mask."""
        peer = self.dial(self.issue(), kind=type("Unmasked", (ClientPeer,), {"mask": None}), Origin=f"https://{OURS}")
        self.assertEqual(self.say(peer, opening()), [])
        self.assertEqual(peer.close_code, 1002)

    def test_row_07_clients(self) -> None:
        """Row 7: a client that does not mask is closed with 1002."""
        peer = self.dial(kind=type("Unmasked", (ClientPeer,), {"mask": None}))
        self.assertEqual(self.say(peer, f"<open xmlns='{NS_FRAMING}' to='{OURS}' version='1.0'/>"), [])
        self.assertEqual(peer.close_code, 1002)

    def test_row_07_ours(self) -> None:
        """Row 7: we mask what we send as the client, and do not as the server (RFC 6455, 5.1)."""
        listener = self.listen()
        self.write(self.juliet())
        self.assertTrue(all(frame.masked for frame in listener.peer.frames))
        self.assertFalse(any(frame.masked for frame in self.authenticated().frames))

    def test_row_22_keepalive(self) -> None:
        """Row 22: a ping after each 50 s of silence, no whitespace, no pong on our own; cut after two without an answer."""
        peer = self.authenticated()
        for count in (1, 2, 3):
            self.network.advance(50)
            self.assertEqual(peer.count(PING), count)
        before = len(peer.messages)
        peer.answers = False
        self.network.advance(149)
        self.assertIsNone(peer.lost)
        self.network.advance(2)
        self.assertIsNotNone(peer.lost)
        self.assertEqual((len(peer.messages), peer.count(PONG)), (before, 0))

    def test_row_22_words_count(self) -> None:
        """Row 22: whoever speaks need not be pinged."""
        client = self.juliet()
        peer = self.authenticated()
        for _ in range(5):
            self.network.advance(30)
            self.say(peer, message())
        self.assertEqual(peer.count(PING), 0)
        self.assertEqual(len(client.received), 5)

    def test_row_23_their_closing(self) -> None:
        """Row 23: `<close/>` is answered by `<close/>`, then comes our Close frame with 1000, and a second later the end."""
        peer = self.authenticated()
        peer.answers = False
        self.assertEqual(self.say(peer, CLOSE), [CLOSE])
        self.assertEqual(peer.close_code, 1000)
        self.network.advance(0.9)
        self.assertIsNone(peer.lost)
        self.network.advance(0.2)
        self.assertIsNotNone(peer.lost)

    def test_row_23_end_without_close_frame(self) -> None:
        """Row 23: the end of the connection right after `<close/>` is clean."""
        lines = self.logged()
        peer = self.authenticated()
        peer.send(CLOSE)
        peer.drop()
        self.network.pump()
        self.assertIn(f"stream from {THEIRS} is gone: the stream was closed", "\n".join(lines))

    def test_row_24_not_accepted(self) -> None:
        """Row 24: who offers compression gets none, and a frame that claims to be compressed ends the connection."""
        peer = self.authenticated(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")
        self.assertIsNone(peer.field("sec-websocket-extensions"))
        peer.write(TEXT, b"\xca\x00", rsv=4)
        self.network.pump()
        self.assertEqual(peer.close_code, 1002)

    def test_row_24_not_offered(self) -> None:
        """Row 24: we offer none."""
        listener = self.listen()
        self.write(self.juliet())
        self.assertIsNone(listener.peer.field("sec-websocket-extensions"))


class Trust(S2SCase):
    """Rows 9 to 11, 14, 29 and 32: whom we believe."""

    def test_row_09_headers_of_strangers(self) -> None:
        """Row 9: EXTERNAL is offered for a certificate that we saw ourselves; what HTTP headers say means nothing."""
        self.assertEqual(offered(self.say(self.dial(**HTTP_STRANGER), opening())), ["dialback"])
        self.assertEqual(offered(self.say(self.dial(self.issue()), opening())), ["EXTERNAL", "dialback"])

    def test_row_10_dialback(self) -> None:
        """Row 10: the same elements as over TCP; the question goes where discovery leads, on a stream for it alone."""
        listener = self.listen()
        peer = self.dial()
        (answer,) = self.say(peer, opening(), result())[2:]
        self.assertEqual(attribute("type", answer), "valid")
        self.assertEqual([text.partition(" ")[0] for text in listener.peer.messages], ["<open", "<db:verify", "<close"])

    def test_row_10_verification_only(self) -> None:
        """Row 10: a stream on which somebody only asks for our own key is answered."""
        peer = self.dial()
        (answer,) = self.say(peer, opening(), f"<db:verify {DB} from='{THEIRS}' to='{OURS}' id='1'>key</db:verify>")[2:]
        self.assertEqual(attribute("type", answer), "invalid")

    def test_row_11_default(self) -> None:
        """Row 11: by default both ways are offered, and the authoritative server's TLS must verify."""
        self.listen(certificate=self.issue("other.example"))
        peer = self.dial(self.issue())
        self.assertEqual(offered(self.say(peer, opening())), ["EXTERNAL", "dialback"])
        (answer,) = self.say(peer, result())
        self.assertEqual(attribute("type", answer), "error")
        self.assertIn("found a certificate for DNS other.example", answer)

    def test_row_29_no_look_up(self) -> None:
        """Row 29: a certificate that proves the domain costs no look-up and no connection, and none costs nothing either."""
        asked: list[str] = []
        self.patch(self.policy.vouching, "_get", asked.append)
        for certificate in (self.issue(), None):
            before = len(self.network.links)
            self.say(self.dial(certificate), opening())
            self.assertEqual((asked, len(self.network.links)), ([], before + 1))

    def test_row_29_one_look_up(self) -> None:
        """Row 29: a wrong certificate makes us ask the domain, by name alone, once; where that leads inside nobody connects."""
        before = len(self.network.links)
        self.network.resolver.hosts[THEIRS] = ("10.0.0.1",)
        asked: list[str] = []
        self.patch(self.network.resolver, "_find", lambda host: (asked.append(host), ("10.0.0.1",))[1])
        for number in (1, 2):
            self.assertEqual(offered(self.say(self.dial(self.issue("other.example")), opening())), ["dialback"])
            self.assertEqual(len(self.network.links), before + number)
        self.assertEqual(asked, [THEIRS, THEIRS])

    def test_row_32_server_purpose(self) -> None:
        """Row 32: a client certificate for TLS servers alone is accepted: public authorities issue no other."""
        peer = self.dial(self.issue(extended_key_usages=(ExtendedKeyUsageOID.SERVER_AUTH,)))
        self.assertIn("EXTERNAL", offered(self.say(peer, opening())))


class Published(S2SCase):
    """Rows 12 and 13: what is published, and whom it lets us believe."""

    routes = {}

    def setUp(self) -> None:
        """host.example is somewhere else; the web server of montague.example has what `documents` says."""
        super().setUp()
        self.documents: dict[str, str] = {}
        documents = self.documents

        class Web(Script):
            def http(self, path: str) -> bytes | None:
                if not path.startswith("/.well-known/"):
                    return None
                body = documents.get(path.rpartition("/")[2], "").encode()
                return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (200 if body else 404, len(body)) + body

        self.network.resolver.hosts.update(
            {THEIRS: (THEIR_ADDRESS,), "host.example": ("127.0.9.2",), "z.example": ("127.0.9.3",)}
        )
        self.network.resolver.txt[f"_xmppconnect-server.{THEIRS}"] = ("_xmpp-server-websocket=wss://host.example/ws",)
        self.web = self.listen(Web)

    def test_row_12_order(self) -> None:
        """Row 12: a link of host-meta comes before the TXT record, which is used when there is no other."""
        second, third = self.listen(address="127.0.9.2"), self.listen(address="127.0.9.3")
        client = self.juliet()
        self.write(client)
        self.assertEqual((second.peer.bodies, third.peers), (["Art thou not Romeo?"], []))
        self.documents["host-meta"] = f"<XRD xmlns='{NS_XRD}'><Link rel='{REL}' href='wss://z.example/ws'/></XRD>"
        self.policy.discovery.expire(THEIRS)
        second.peer.drop()
        self.network.pump()
        self.write(client)
        self.assertEqual((len(second.peers), third.peer.bodies), (1, ["Art thou not Romeo?"]))

    def test_row_12_authority(self) -> None:
        """Row 12: where host-meta.json has an `xmpp` object neither DNS nor the XRD counts, also when its links are dead."""
        second = self.listen(address="127.0.9.2")
        link = f'{{"rel": "{REL}", "href": "wss://z.example/ws", "ips": ["127.0.9.9"]}}'
        self.documents["host-meta.json"] = f'{{"xmpp": {{"ttl": 60}}, "links": [{link}]}}'
        self.documents["host-meta"] = f"<XRD xmlns='{NS_XRD}'><Link rel='{REL}' href='wss://host.example/ws'/></XRD>"
        client = self.juliet()
        self.write(client)
        self.assertEqual(self.bounced(client)[0], "remote-server-not-found")
        self.assertEqual(second.peers, [])

    def test_row_13_names(self) -> None:
        """Row 13: the TXT record is a stranger's word: SNI and certificate are the domain's, Host is the URL's."""
        listener = self.listen(address="127.0.9.2")
        self.write(self.juliet())
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])
        self.assertEqual((listener.tls.names, listener.peer.field("host")), ([THEIRS], "host.example:443"))

    def test_row_13_forged(self) -> None:
        """Row 13: a certificate for the host that a forged record names is refused before a stream is opened."""
        listener = self.listen(address="127.0.9.2", certificate=self.issue("host.example"))
        client = self.juliet()
        self.write(client)
        self.assertIn(f"found a certificate for DNS host.example; wanted one for {THEIRS}", self.bounced(client)[1])
        self.assertEqual([peer.messages for peer in listener.peers], [[]])


class Limits(S2SCase):
    """Row 21: how long a stanza may be."""

    LIMITS = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>{}</max-bytes></limits>"

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()

    def sent(self, size: int) -> None:
        """A message that has so many bytes on its way to the server, stamped."""
        stamped = message(JULIET, ROMEO, "")
        self.client.send(f"<message to='{ROMEO}' type='chat'><body>{'x' * (size - len(stamped))}</body></message>")

    def test_row_21_unannounced(self) -> None:
        """Row 21: who says nothing is sent 262144 bytes, measured as they are written; one more comes back, with figures."""
        peer = self.listen()
        self.sent(262_144)
        self.assertEqual(len(peer.peer.messages[-1]), 262_144)
        self.sent(262_145)
        condition, text = self.bounced(self.client)
        self.assertEqual(condition, "policy-violation")
        self.assertEqual(text, f"This stanza has 262145 bytes; {THEIRS} takes 262144 at most.")
        self.assertIsNone(peer.peer.lost)

    def test_row_21_announced(self) -> None:
        """Row 21: the server's own limit is what counts, whether it is lower or higher, on its stream or on ours."""
        listener = self.listen(type("Limited", (Script,), {"offer": EXTERNAL + self.LIMITS.format(20_000)}))
        self.sent(20_001)
        self.assertEqual(self.bounced(self.client)[0], "policy-violation")
        self.assertEqual(listener.peer.bodies, [])
        peer = self.dial(self.issue())
        bidi = f"<bidi xmlns='urn:xmpp:bidi'>{self.LIMITS.format(30_000)}</bidi>"
        self.say(peer, opening(), bidi, external(), opening(), message())
        listener.close()
        self.sent(30_001)
        self.assertIn("30000", self.bounced(self.client)[1])

    def test_row_21_ours(self) -> None:
        """Row 21: we say ours, in our features and in `<bidi/>`."""
        ours = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>524288</max-bytes><idle-seconds>50</idle-seconds></limits>"
        self.assertIn(ours, self.say(self.dial(), opening())[1])
        offer = "<bidi xmlns='urn:xmpp:features:bidi'/>" + EXTERNAL
        listener = self.listen(type("Both", (Script,), {"offer": offer}))
        self.write(self.client)
        self.assertIn(ours, listener.peer.messages[1])


class BothWays(S2SCase):
    """Row 25: bidirectional streams."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.juliet()

    def test_row_25_asked_before_authentication(self) -> None:
        """Row 25: we ask before SASL and before dialback, where it is offered, and what the server then says arrives."""
        offer = "<bidi xmlns='urn:xmpp:features:bidi'/>"
        for kind, word in ((Script, "<auth"), (DialbackScript, "<db:result")):
            with self.subTest(word):
                listener = self.listen(type("Both", (kind,), {"offer": offer + kind.offer}))
                self.write(self.client)
                self.assertEqual([text.partition(" ")[0] for text in listener.peer.messages][:3], ["<open", "<bidi", word])
                self.say(listener.peer, message())
                self.client.take(f"<message from='{ROMEO}'/>")
                listener.close()

    def test_row_25_used_either_way(self) -> None:
        """Row 25: who asked for it is answered on its own stream, proved by a certificate or by dialback."""
        listener = self.listen()
        for proof in ((external(), opening()), (result(),)):
            with self.subTest(proof):
                peer = self.dial(self.issue())
                self.say(peer, opening(), "<bidi xmlns='urn:xmpp:bidi'/>", *proof, message())
                self.write(self.client)
                self.assertIn("Art thou not Romeo?", peer.messages[-1])
                peer.abort()
                self.network.pump()
        self.assertEqual([one.bodies for one in listener.peers], [[]])

    def test_row_25_inverse_of_verified_pairs(self) -> None:
        """Row 25: in neither direction does anything pass but the verified pair and its inverse."""
        peer = self.dial(self.issue())
        self.say(peer, opening(), "<bidi xmlns='urn:xmpp:bidi'/>", external(), opening(), message())
        self.write(self.client, "x@other.example")
        self.assertEqual([text for text in peer.take() if "<message" in text], [])
        self.assertEqual(stream_error(self.say(peer, message("x@other.example")))[0], "invalid-from")

    def test_row_26_acknowledged(self) -> None:
        """Row 26: what comes on a stream is acknowledged when asked for, and its session can be resumed."""
        peer = self.dial(self.issue())
        self.say(peer, opening(), external(), opening())
        self.assertIn("resume='true'", self.say(peer, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")[-1])
        self.assertEqual(self.say(peer, message(), "<r xmlns='urn:xmpp:sm:3'/>"), ["<a xmlns='urn:xmpp:sm:3' h='1'/>"])
        self.client.take("message")

    def test_row_26_sent_again(self) -> None:
        """Row 26: what a server that only acknowledges had not acknowledged goes on the next stream, once."""

        class Managed(Script):
            def text(self, text: str) -> None:
                if text.startswith("<open ") and self.authenticated:
                    self.send(opening(THEIRS, OURS))
                    self.send(features("<sm xmlns='urn:xmpp:sm:3'/>"))
                elif text.startswith("<enable "):
                    self.send("<enabled xmlns='urn:xmpp:sm:3'/>")
                else:
                    super().text(text)

        listener = self.listen(Managed)
        self.write(self.client)
        for _ in range(2):
            self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])
            listener.peer.abort()
            self.network.pump()
        self.assertEqual(self.bounced(self.client)[0], "remote-server-timeout")


class OtherHost(S2SCase):
    """Rows 14 and 15: what host-meta names."""

    configuration = {OURS: {"federation": {"static_routes": {THEIRS: ROUTE}}}}

    def test_row_14_outgoing(self) -> None:
        """Row 14: the certificate may be for the URL's host or for the domain; SNI names the host, then the domain."""
        tls = PeerTLS(self.issue("wrong.example"), by_name={THEIRS: self.issue()})
        listener = self.listen(tls=tls)
        self.write(self.juliet())
        self.assertEqual(listener.peer.bodies, ["Art thou not Romeo?"])
        self.assertEqual(tls.names, ["host.example", THEIRS])
        self.assertEqual(listener.peer.field("host"), "host.example:443")

    def test_row_14_incoming(self) -> None:
        """Row 14: the URL's host authenticates no incoming stream."""
        self.assertEqual(offered(self.say(self.dial(self.issue("host.example")), opening())), ["dialback"])

    def test_row_15_link_without_addresses(self) -> None:
        """Row 15: a link without `ips` is resolved."""
        document = b'{"links": [{"rel": "%s", "href": "wss://host.example/ws"}]}' % REL.encode()
        (candidate,) = parse_json(document, THEIRS).candidates
        self.assertEqual((candidate.host, candidate.addresses), ("host.example", ()))


class Door(S2SCase):
    """Rows 16 to 19, 27, 28 and 31: how a connection begins."""

    more = ("laurence.example",)

    def test_row_16_none_offered(self) -> None:
        """Row 16: we offer no application protocol, which rustls would answer with an alert."""
        listener = self.listen()
        self.write(self.juliet())
        self.assertEqual((listener.tls.offered, listener.peer.bodies), ([], ["Art thou not Romeo?"]))

    def test_row_16_taken(self) -> None:
        """Row 16: none and `http/1.1` are served, and so is who offers another: it gets no protocol, and no alert."""
        for protocols in ((), (b"http/1.1",), (b"xmpp-server",), (b"h2", b"http/1.1")):
            with self.subTest(protocols):
                peer = self.dial(tls=PeerTLS(self.issue(), sni=OURS, protocols=protocols))
                self.assertIn("<stream:features ", self.say(peer, opening())[-1])
                chosen = peer.transport.getHandle().get_alpn_proto_negotiated()
                self.assertEqual(chosen, b"http/1.1" if b"http/1.1" in protocols else b"")

    def test_row_16_certificates(self) -> None:
        """Row 16: who offers `http/1.1` may be a browser, and is asked for no certificate: dialback is left to a server."""
        for protocols in ((), (b"http/1.1",), (b"xmpp-server",)):
            with self.subTest(protocols):
                peer = self.dial(tls=PeerTLS(self.issue(), sni=OURS, protocols=protocols))
                offered = self.say(peer, opening())[-1]
                self.assertEqual("<mechanism>EXTERNAL</mechanism>" in offered, b"http/1.1" not in protocols)
                self.assertIn(DIALBACK, offered)

    def test_row_17_one_endpoint(self) -> None:
        """Row 17: clients and servers share a path, and the alias is another; `<open/>` tells which they are."""
        for path in ("/xmpp-websocket", "/ws", "/xmpp-websocket-s2s"):
            with self.subTest(path):
                self.assertIsNone(self.authenticated(path=path).lost)
                client = self.dial(path=path)
                came = self.say(client, f"<open xmlns='{NS_FRAMING}' to='{OURS}' version='1.0'/>")
                self.assertIn("SCRAM-SHA-256", offered(came))

    def test_row_18_sent(self) -> None:
        """Row 18: our Origin is `https://` and the host of the URL."""
        listener = self.listen()
        self.write(self.juliet())
        self.assertEqual(listener.peer.field("origin"), f"https://{THEIRS}")
        self.assertIsNone(listener.peer.field("cookie"))

    def test_row_18_taken(self) -> None:
        """Row 18: servers need none, and may send whatever they like."""
        for origin in (None, f"https://{OURS}", "https://elsewhere.example", "null"):
            with self.subTest(origin):
                peer = self.dial(self.issue(), Origin=origin, Cookie="session=1")
                self.assertIn(f"<success {SASL}/>", self.say(peer, opening(), external()))

    def test_row_19_see_other_uri(self) -> None:
        """Row 19: `<close see-other-uri/>` sends us nowhere, it is one more reason why a server could not be reached."""
        elsewhere = "127.0.9.9"

        class Sends(Script):
            def opening(self, text: str) -> None:
                self.send(f"<close {FRAMED} see-other-uri='wss://{elsewhere}/'/>")

        self.listen(Sends)
        other = self.listen(address=elsewhere)
        client = self.juliet()
        self.write(client)
        self.assertIn("the server closed the stream", self.bounced(client)[1])
        self.assertEqual(other.peers, [])

    def test_row_27_server_name(self) -> None:
        """Row 27: `to` says whom the stream is for; SNI, another domain or nothing, picks a certificate."""
        for sni, shown in (("laurence.example", "laurence.example"), ("", OURS), ("unknown.example", OURS)):
            with self.subTest(sni):
                peer = self.dial(tls=PeerTLS(self.issue(), sni=sni))
                self.assertEqual(peer.transport.getPeerCertificate().get_subject().CN, shown)
                self.assertEqual(attribute("from", self.say(peer, opening())[0]), OURS)

    def test_row_28_time(self) -> None:
        """Row 28: 10 s for TLS and the handshake, 10 s for `<open/>`, 30 s to authenticate."""
        silent = dial(self.network, ADDRESS, None, b"")
        shaken = self.dial()
        opened = self.dial()
        self.say(opened, opening())
        self.network.advance(9.5)
        self.assertEqual((silent.lost, shaken.close_code), (None, None))
        self.network.advance(1)
        self.assertIsNotNone(silent.lost)
        self.assertEqual(shaken.close_code, 1008)
        self.network.advance(19)
        self.assertEqual(opened.take(), [])
        self.network.advance(1)
        self.assertEqual(stream_error(opened.take())[0], "connection-timeout")

    def test_row_28_cap(self) -> None:
        """Row 28: 100 strangers from one address are enough; others are not affected."""
        crowd = [self.dial(source="127.3.0.1") for _ in range(101)]
        self.assertIsNotNone(crowd[-1].lost)
        self.assertEqual([peer.lost for peer in crowd[:-1]], [None] * 100)
        self.assertIsNone(self.authenticated(source="127.3.0.2").lost)

    def test_row_31_plain_text(self) -> None:
        """Row 31: without TLS there is no WebSocket on this port."""
        plain = dial(self.network, ADDRESS, None, b"GET /xmpp-websocket HTTP/1.1\r\n\r\n")
        self.network.pump()
        self.assertNotIn(b"101", plain.header)
        self.assertIsNotNone(plain.lost)


class BehindProxy(S2SCase):
    """Rows 9 and 31: a reverse proxy on this machine ends TLS."""

    configuration = {OURS: {"services": {"http": {"tls": "behind-proxy", "endpoint": f"tcp:80:interface={ADDRESS}"}}}}

    def test_row_09_dialback_alone(self) -> None:
        """Row 9: no certificate reaches us, so dialback is what there is, whatever the proxy's client writes."""
        self.listen()
        peer = dial(self.network, ADDRESS, None, handshake(Host=OURS, **HTTP_STRANGER), port=80)
        self.addCleanup(peer.abort)
        self.network.pump()
        self.assertEqual(offered(self.say(peer, opening())), ["dialback"])
        self.assertIn("type='valid'", self.say(peer, result())[0])


class BehindProxyWithoutCertificate(S2SCase):
    """Row 9, the other way: a server that has no certificate at all, because its proxy has it."""

    configuration = {
        OURS: {
            "domains": {OURS: {"certificate": None}},
            "services": {"http": {"tls": "behind-proxy", "endpoint": f"tcp:80:interface={ADDRESS}"}},
        }
    }

    def test_row_09_nothing_to_show(self) -> None:
        """Row 9: EXTERNAL is left alone where we have no certificate to show; dialback carries the stanza."""
        listener = self.listen(type("Both", (Script,), {"offer": EXTERNAL + DIALBACK}))
        server = self.federation.server(OURS)
        server.router.route(Stanza.from_element(parse_tree(message(JULIET, ROMEO).encode())))
        self.network.pump()
        self.assertEqual([text.partition(" ")[0] for text in listener.peer.messages], ["<open", "<db:result", "<message"])
