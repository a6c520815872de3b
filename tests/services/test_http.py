"""The one port: its paths, which service gets which stream, TLS or a proxy in front, and the stop."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import CannotListenError

from tests.net.test_proxies import binary
from tests.net.tls_pairs import loaded
from tests.net.websockets import frame
from tests.services.raw import CAPULET, MONTAGUE, RawCase, mechanisms, stream_error
from xmppfed.core.namespaces import NS_FRAMING, NS_FRAMING_SERVER
from xmppfed.net.arrival import Arrival
from xmppfed.net.certificates import moment
from xmppfed.net.issuing import Authority
from xmppfed.net.tls import TrustRoots
from xmppfed.services.http import PATHS, HTTPService
from xmppfed.services.intake import FIRST_LIMIT
from xmppfed.timeouts import Timeouts

OPEN = f"<open xmlns='{NS_FRAMING}' to='{CAPULET}' version='1.0'/>"
OPEN_SERVER = f"<open xmlns='{NS_FRAMING_SERVER}' from='{MONTAGUE}' to='{CAPULET}' version='1.0'/>"
LEGACY = (
    "<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='http://etherx.jabber.org/streams'"
    f" from='{MONTAGUE}' to='{CAPULET}' version='1.0'>"
)


class HTTPCase(RawCase):
    """A server with its port."""

    @property
    def http(self) -> HTTPService:
        """Its service."""
        found: Any = self.server.getServiceNamed("http")
        assert isinstance(found, HTTPService)
        return found

    def arrivals(self) -> list[Arrival]:
        """What the service of the clients is told of whom comes from now on."""
        found: list[Arrival] = []
        service: Any = self.server.getServiceNamed("c2s_ws")
        real = service.own

        def own(arrival: Arrival, connection: Any) -> Any:
            found.append(arrival)
            return real(arrival, connection)

        self.patch(service, "own", own)
        return found


class Paths(HTTPCase):
    """Where streams come in, and what else there is."""

    def test_streams(self) -> None:
        """Each path takes clients and servers alike: what a stream is, its header says."""
        for path in PATHS:
            raw = self.raw(path=f"/{path.decode()}")
            self.assertEqual(raw.open()[-1].name, "features")
            other = self.raw(path=f"/{path.decode()}")
            self.assertEqual(other.send(OPEN_SERVER)[0].tag, f"{{{NS_FRAMING_SERVER}}}open")

    def test_documents(self) -> None:
        """The documents of XEP-0156 and XEP-0487 stand beside them."""
        for name in ("host-meta", "host-meta.json"):
            raw = self.raw(path=f"/.well-known/{name}")
            self.assertIn(b" 200 ", raw.peer.head)
            self.assertIn(b"wss://", raw.peer.received)

    def test_nothing_else(self) -> None:
        """Everything else is not found, and says nothing of what runs here."""
        for path in ("/", "/http-bind", "/.well-known/", "/xmpp-websocket2"):
            raw = self.raw(path=path)
            self.assertNotIn(b" 101 ", raw.peer.head)
            self.assertIn(raw.peer.head.split()[1], (b"404", b"403"), path)
            self.assertNotIn(b"wisted", raw.peer.received)

    def test_hs(self) -> None:
        """hs-*: what is no handshake for XMPP gets no 101."""
        for headers in (
            {"Upgrade": None},
            {"Sec_WebSocket_Version": "8"},
            {"Sec_WebSocket_Key": "x"},
            {"Sec_WebSocket_Protocol": "mqtt"},
        ):
            self.assertNotIn(b" 101 ", self.raw(**headers).peer.head, headers)


class Kinds(HTTPCase):
    """Which stream goes where (RFC 7395, XEP-0468)."""

    def test_first_limit(self) -> None:
        """No stranger may send more than 10 000 bytes, whatever it is."""
        for opening in (OPEN, OPEN_SERVER):
            raw = self.raw()
            raw.send(opening)
            raw.write(frame(b"", announce=FIRST_LIMIT + 1))
            self.assertEqual([one.name for one in raw.take()][-2:], ["error", "close"])
            self.assertIn(b"<policy-violation", raw.peer.texts[-2])
            self.assertEqual(raw.close_code, 1009)

    def test_server_without_masks(self) -> None:
        """Servers that are no browsers may leave out the masks, as PeerTube and xmpp-proxy do."""
        raw = self.raw()
        raw.write(frame(OPEN_SERVER.encode(), mask=None))
        self.assertEqual(raw.take()[0].name, "open")

    def test_client_without_masks(self) -> None:
        """A client's frames are masked (RFC 6455, 5.1): else 1002, and no stream."""
        raw = self.raw()
        raw.write(frame(OPEN.encode(), mask=None))
        self.assertEqual((raw.close_code, raw.take()), (1002, []))

    def test_page_without_masks(self) -> None:
        """Who shows an Origin is a browser, which masks."""
        raw = self.raw(Origin="https://x.example")
        raw.write(frame(OPEN_SERVER.encode(), mask=None))
        self.assertEqual((raw.close_code, raw.take()), (1002, []))

    def test_legacy_header(self) -> None:
        """`<stream:stream>` opens a stream between servers; with the namespace of clients it opens nothing (XEP-0468)."""
        raw = self.raw()
        raw.write(frame(LEGACY.format("jabber:server").encode()))
        self.assertTrue(raw.peer.texts)
        refused = self.raw()
        refused.write(frame(LEGACY.format("jabber:client").encode()))
        self.assertIn(b"<invalid-namespace", b"".join(refused.peer.texts))

    def test_nonsense(self) -> None:
        """What opens no stream is refused in the words of a client's stream."""
        self.assertEqual(stream_error(self.raw().send("<x xmlns='y'/>")), "not-authorized")


class ClientsOnly(HTTPCase):
    """A server that does not federate."""

    configuration = {CAPULET: {"services": {"s2s_ws": None}}}

    def test_stream_of_a_server(self) -> None:
        """A stream between servers is refused as one of a namespace that is not served (RFC 6120, 4.9.3.10)."""
        raw = self.raw()
        texts = raw.send(OPEN_SERVER)
        self.assertEqual([one.name for one in texts], ["open", "error", "close"])
        self.assertIn(b"<invalid-namespace", raw.peer.texts[1])
        self.assertEqual(raw.close_code, 1000)
        self.assertEqual(self.raw().open()[-1].name, "features")

    def test_nothing_is_left(self) -> None:
        """Who is refused and stays is cut."""
        raw = self.raw()
        raw.send(OPEN_SERVER)
        self.network.advance(1.1)
        self.assertTrue(raw.lost)


class ServersOnly(RawCase):
    """A server without clients."""

    configuration = {CAPULET: {"services": {"c2s_ws": None}}}

    def test_stream_of_a_client(self) -> None:
        """A client's stream is refused, also when it is none."""
        self.assertEqual(stream_error(self.raw().open()), "invalid-namespace")
        self.assertEqual(stream_error(self.raw().send("<")), "not-well-formed")
        self.assertEqual(self.raw().send(OPEN_SERVER)[-1].name, "features")


class Arrivals(HTTPCase):
    """What is known of a client before it says a word."""

    def test_tls(self) -> None:
        """Its address, that TLS protects it, and the page it comes from."""
        found = self.arrivals()
        self.raw(Origin="https://chat.example", source="127.7.7.7").open()
        self.raw().open()
        (page, program) = found
        self.assertEqual((page.address, page.secure, page.origin), ("127.7.7.7", True, "https://chat.example"))
        self.assertEqual((program.origin, program.certificate), (None, None))
        self.assertEqual(set(program.bindings(CAPULET)), {"tls-exporter", "tls-server-end-point"})

    def test_sni_binds(self) -> None:
        """The certificate that was shown binds, whatever domain the stream goes to."""
        found = self.arrivals()
        raw = self.raw(sni="unknown.example")
        raw.open()
        self.assertEqual(found[0].bindings(CAPULET)["tls-server-end-point"], raw.bindings()["tls-server-end-point"])


class BehindProxy(HTTPCase):
    """TLS ends at a reverse proxy."""

    configuration = {CAPULET: {"services": {"http": {"tls": "behind-proxy"}}}}

    def test_plain(self) -> None:
        """What comes is taken for protected, and has no certificate of its own."""
        found = self.arrivals()
        self.assertIn("PLAIN", mechanisms(self.raw(tls=None).open()))
        self.assertEqual((found[0].secure, found[0].certificate), (True, None))

    def test_binding(self) -> None:
        """Channels are bound to the certificate of the stream's own domain; of others there is none."""
        found = self.arrivals()
        self.raw(tls=None).open()
        self.assertEqual(list(found[0].bindings(CAPULET)), ["tls-server-end-point"])
        self.assertEqual(found[0].bindings(MONTAGUE), {})

    def test_one_address(self) -> None:
        """All come from the proxy's address: it is not counted against them."""
        for _ in range(101):
            raw = self.raw(tls=None)
        self.assertIn(b" 101 ", raw.peer.head)


class BehindTrustedProxy(HTTPCase):
    """The proxy is listed: its word counts (row 9 of the choices for XEP-0468)."""

    configuration = {
        CAPULET: {
            "services": {
                "http": {
                    "tls": "behind-proxy",
                    "trusted_proxies": ["127.1.1.1/32"],
                    "client_certificate_header": "Client-Cert",
                }
            }
        }
    }

    def setUp(self) -> None:
        """And montague.example has a certificate."""
        super().setUp()
        authority = Authority(moment(self.network.reactor))
        self.server.trust = TrustRoots([authority.certificate], system=False)
        self.header = binary(loaded(self.mktemp(), authority.issue(MONTAGUE)).leaf)

    def offered(self, **options: Any) -> list[str]:
        """The mechanisms that montague.example is offered."""
        return mechanisms(self.raw(tls=None, **options).send(OPEN_SERVER))

    def test_row_9_certificate(self) -> None:
        """A certificate that the proxy has seen proves the domain (RFC 9440)."""
        self.assertEqual(self.offered(Client_Cert=self.header), ["EXTERNAL"])

    def test_row_9_stranger(self) -> None:
        """The same header proves nothing when it comes from somebody else."""
        self.assertEqual(self.offered(Client_Cert=self.header, source="127.1.1.2"), [])

    def test_row_9_wrong_name(self) -> None:
        """Nor does it when it names another domain, or comes from an authority that nobody knows."""
        now = moment(self.network.reactor)
        stranger = binary(loaded(self.mktemp(), Authority(now).issue(MONTAGUE)).leaf)
        self.assertEqual(self.offered(Client_Cert=stranger), [])
        raw = self.raw(tls=None, Client_Cert=self.header)
        self.assertEqual(mechanisms(raw.send(OPEN_SERVER.replace(MONTAGUE, "verona.example"))), [])

    def test_row_9_no_word_of_secure(self) -> None:
        """That something was secure elsewhere is nobody's word: a header says so and changes nothing."""
        self.assertEqual(self.offered(X_Forwarded_Proto="https", Forwarded="for=192.0.2.7;proto=https"), [])

    def test_address(self) -> None:
        """The client's address is the one that the proxy names, and only that proxy."""
        found = self.arrivals()
        self.raw(tls=None, Forwarded="for=192.0.2.7").open()
        self.raw(tls=None, Forwarded="for=192.0.2.7", source="127.1.1.2").open()
        self.assertEqual([one.address for one in found], ["192.0.2.7", "127.1.1.2"])


class ProxyProtocol(HTTPCase):
    """The proxy passes TLS on, and says from where it came (row 31 of the choices for XEP-0468)."""

    configuration = {CAPULET: {"services": {"http": {"trusted_proxies": ["127.1.1.1/32"], "proxy_protocol": True}}}}

    def test_row_31_address(self) -> None:
        """A stream inside TLS behind the header is the client's."""
        found = self.arrivals()
        raw = self.raw(before=b"PROXY TCP4 192.0.2.7 127.0.0.2 4711 443\r\n")
        self.assertEqual(raw.login(), f"juliet@{CAPULET}/balcony")
        self.assertEqual([one.address for one in found], ["192.0.2.7"])

    def test_row_31_nobody_else(self) -> None:
        """Who is not listed cannot pose as a proxy, nor as its client."""
        for before in (b"", b"PROXY TCP4 192.0.2.7 127.0.0.2 4711 443\r\n"):
            self.assertTrue(self.raw(source="127.1.1.2", before=before).lost)

    def test_row_31_headers(self) -> None:
        """A proxy of this kind passes HTTP on as it came: what stands in there is the client's word."""
        found = self.arrivals()
        self.raw(before=b"PROXY TCP4 192.0.2.7 127.0.0.2 4711 443\r\n", Forwarded="for=192.0.2.8").open()
        self.assertEqual([one.address for one in found], ["192.0.2.7"])


class FastPath(RawCase):
    """The stock protocol can be had as well."""

    configuration = {CAPULET: {"services": {"c2s_ws": {"fast_path": False}}}}

    def test_without_fast_path(self) -> None:
        """A stream goes over it."""
        self.assertEqual(self.raw().login(), f"juliet@{CAPULET}/balcony")


class Stopping(HTTPCase):
    """The port is the first that stops."""

    def stop(self) -> list[object]:
        """Stop it; the list has the result."""
        done: list[object] = []
        self.http.stopService().addBoth(done.append)
        self.network.pump()
        return done

    def test_listens_no_more(self) -> None:
        """Nobody comes in any more; who is in stays for its own service to end."""
        raw = self.raw()
        raw.login()
        self.assertEqual(len(self.stop()), 1)
        self.assertFalse(raw.lost)
        with self.assertRaises(AttributeError):
            self.raw()

    def test_late_stream(self) -> None:
        """A WebSocket that has not opened a stream yet is sent away, with 1012; whatever it says, no stream is made."""
        found = self.arrivals()
        raw, silent = self.raw(), self.raw()
        self.stop()
        self.assertEqual(raw.send(OPEN, OPEN), [])
        self.assertEqual((raw.close_code, silent.close_code, found), (1012, 1012, []))
        self.network.advance(1.1)
        self.assertEqual((raw.lost, silent.lost), (True, True))

    def test_late_handshake(self) -> None:
        """A connection without a handshake is ended as well."""
        raw = self.raw(Upgrade=None)
        self.assertFalse(raw.lost)
        self.stop()
        self.assertTrue(raw.lost)


class Listening(HTTPCase):
    """A port that is taken."""

    def test_port_taken(self) -> None:
        """It stops the start, at once."""
        http = HTTPService(self.network.reactor, "tcp:443:interface=127.0.0.2", Timeouts(), None, behind_proxy=True)
        self.assertRaises(CannotListenError, http.startService)
