"""The configuration file: what it may say, and how it is refused."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated

import trustme
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.config import C2SWebSocketOptions, Config, StaticRoute, load, reference
from xmppfed.errors import ConfigError
from xmppfed.tables import Options

BASE = 'data_dir = "var"\n'
DOMAIN = BASE + '[domains."example.org"]\ncertificate = "example.org.pem"\n'
HTTP = DOMAIN + "[services.http]\n"
PROXIED = BASE + '[domains."example.org"]\n[services.http]\ntls = "behind-proxy"\n'
FEDERATED = HTTP + "[services.s2s_ws]\n[federation]\n"
TCP = DOMAIN + "[services.c2s_tcp]\n"


class PingOptions(Options, frozen=True):
    """Options of a module for the tests."""

    interval: Annotated[int, Meta(ge=1, description="Seconds between two pings.", examples=[60])] = 30


class ConfigTestCase(SynchronousTestCase):
    """Writes files beside a data directory and a certificate, and reads them."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        (self.directory / "var").mkdir(parents=True)
        (self.directory / "example.org.pem").touch()
        self.file = self.directory / "xmppfed.toml"

    def load(self, text: str) -> Config:
        """The configuration that `text` writes."""
        self.file.write_text(text, encoding="utf-8")
        return load(self.file, {"ping": PingOptions})

    def refused(self, text: str, *parts: str) -> None:
        """`text` is refused, with a reason that names the file and holds all `parts`."""
        reason = str(self.assertRaises(ConfigError, self.load, text))
        for part in (str(self.file), *parts):
            self.assertIn(part, reason)


class Accepted(ConfigTestCase):
    """What a file says stands in the values."""

    def test_smallest(self) -> None:
        """A data directory and a domain are enough; everything else is off."""
        config = self.load(DOMAIN)
        self.assertEqual(config.file, self.file)
        self.assertEqual(list(config.domains), ["example.org"])
        self.assertEqual((config.services.http, config.services.c2s_ws, config.services.s2s_ws), (None, None, None))
        self.assertEqual((config.trust_anchors, config.allow_private_addresses, dict(config.modules)), ((), (), {}))

    def test_relative_paths(self) -> None:
        """A relative path starts at the file, wherever the server was started."""
        config = self.load('trust_anchors = ["example.org.pem"]\n' + DOMAIN)
        self.assertEqual(config.data_dir, self.directory / "var")
        self.assertEqual(config.domains["example.org"].certificate, self.directory / "example.org.pem")
        self.assertEqual(config.trust_anchors, (self.directory / "example.org.pem",))

    def test_absolute_path(self) -> None:
        """An absolute path stays what it is."""
        absolute = (self.directory / "var").absolute()
        self.assertEqual(self.load(f'data_dir = "{absolute}"\n[domains."example.org"]').data_dir, absolute)

    def test_safe_defaults(self) -> None:
        """Services that are only named use TLS, verified trust and the limits of the design."""
        config = self.load(FEDERATED + "[services.c2s_ws]\n")
        services = config.services
        assert services.http is not None and services.c2s_ws is not None and services.s2s_ws is not None
        self.assertEqual((services.http.endpoint, services.http.tls), ("tcp:443", True))
        self.assertEqual(services.c2s_ws, C2SWebSocketOptions())
        self.assertEqual((services.c2s_ws.anonymous, services.c2s_ws.max_stanza_bytes), ((), 262_144))
        federation = config.federation
        self.assertEqual((federation.trust, federation.max_stanza_bytes), ("external-or-dialback", 524_288))

    def test_networks(self) -> None:
        """Networks are parsed, of both families."""
        config = self.load('allow_private_addresses = ["10.0.0.0/8", "fd00::/8"]\n' + DOMAIN)
        wanted = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
        self.assertEqual(config.allow_private_addresses, wanted)

    def test_domains_are_prepared(self) -> None:
        """A domain is kept in the form that addresses are compared in (RFC 7622, 3.2)."""
        self.assertEqual(list(self.load(BASE + '[domains."Bücher.Example"]\n').domains), ["bücher.example"])

    def test_behind_proxy(self) -> None:
        """Behind a proxy loopback addresses and Unix sockets are listened on, without a certificate."""
        for endpoint in (
            "tcp:5280:interface=127.0.0.1",
            "tcp6:5280:interface=\\\\:\\\\:1",
            "tcp:interface=127.0.0.2:port=80",
            "unix:/run/xmppfed.sock",
        ):
            http = self.load(PROXIED + f'endpoint = "{endpoint}"\n').services.http
            assert http is not None
            self.assertTrue(http.behind_proxy)

    def test_public(self) -> None:
        """The public URL and addresses are taken as they are written."""
        text = HTTP + 'public_url = "https://example.org:8443"\npublic_addresses = ["203.0.113.7", "2001:db8::7"]\n'
        http = self.load(text).services.http
        assert http is not None
        self.assertEqual(http.public_url, "https://example.org:8443")
        self.assertEqual(http.public_addresses, ("203.0.113.7", "2001:db8::7"))

    def test_proxies(self) -> None:
        """Proxies that are believed are networks, or whoever can open our Unix socket."""
        text = PROXIED + 'endpoint = "unix:/run/x"\ntrusted_proxies = ["10.0.0.0/8", "unix"]\n'
        http = self.load(text + 'client_certificate_header = "Client-Cert"\nproxy_protocol = true\n').services.http
        assert http is not None
        self.assertEqual((http.trusted_proxies, http.client_certificate_header), (("10.0.0.0/8", "unix"), "Client-Cert"))

    def test_gateways(self) -> None:
        """A backend is at a URL, or at an endpoint on this machine."""
        listener = '[services.gateway]\nendpoint = "unix:/run/xmppfed/gateway.sock"\ntls = false\n'
        for backend in (
            "xmpp://b.example:5299",
            "xmpps://10.0.0.1",
            "tcp:127.0.0.1:5269",
            "tcp:host=127.0.0.1:port=1",
            "unix:/run/x",
        ):
            text = f'{FEDERATED}{listener}[gateways."B.example"]\nbackend = "{backend}"\ncertificate = "example.org.pem"\n'
            read = self.load(text)
            self.assertEqual(read.gateways["b.example"].backend, backend)

    def test_e2e(self) -> None:
        """End-to-end streams: nobody is let in who is not listed, and whoever comes has to be vouched for."""
        config = self.load(
            DOMAIN + '[services.e2e.listeners.lan]\nendpoint = "tcp:5298"\n'
            'offer = ["example.org"]\n[services.e2e.peers]\n"echo.example.net" = "tcp:192.0.2.9:5298"\n'
        )
        assert config.services.e2e is not None
        lan = config.services.e2e.listeners["lan"]
        self.assertEqual((lan.offer, lan.trust, lan.allow), (("example.org",), "verified", ()))
        self.assertEqual(config.services.endpoints(), {"services.e2e.listeners.lan.endpoint": "tcp:5298"})
        self.assertEqual(config.services.e2e.peers, {"echo.example.net": "tcp:192.0.2.9:5298"})
        self.assertIsNone(config.services.e2e.lan_gateway)

    def test_lan_gateway(self) -> None:
        """The gateway to the local network lets in nobody unless told, and listens where it says."""
        config = self.load(DOMAIN + "[services.e2e.lan_gateway]\n")
        assert config.services.e2e is not None and config.services.e2e.lan_gateway is not None
        lan = config.services.e2e.lan_gateway
        self.assertEqual((lan.users, lan.domain, lan.trust, lan.port), ((), "local", "first-use", 5298))
        self.assertEqual(config.services.endpoints(), {"services.e2e.lan_gateway.endpoint": "tcp6:5298"})
        config = self.load(
            DOMAIN + '[services.e2e.lan_gateway]\nusers = ["Juliet@example.org"]\ndomain = "LAN.example.org"\n'
            'endpoint = "tcp:port=99:interface=127.0.0.1"\nnicks = { "juliet@example.org" = "J" }\n'
        )
        assert config.services.e2e is not None and config.services.e2e.lan_gateway is not None
        lan = config.services.e2e.lan_gateway
        self.assertEqual((lan.users, lan.domain, lan.port), (("juliet@example.org",), "lan.example.org", 99))
        self.assertEqual(lan.nicks, {"juliet@example.org": "J"})

    def test_static_routes(self) -> None:
        """A static route is a URL, or a table with the addresses to use; its domain is prepared."""
        routes = '[federation.static_routes]\n"A.example" = "wss://a.example/x"\n'
        routes += '"b.example" = {url = "wss://[::1]:5443", addresses = ["127.0.0.2"]}\n'
        routes += '"c.example" = "xmpp://c.example:5269"\n"d.example" = "xmpps://d.example"\n'
        found = self.load(FEDERATED + "[services.s2s_tcp]\n" + routes).federation.static_routes
        first = StaticRoute(url="wss://a.example/x")
        second = StaticRoute(url="wss://[::1]:5443", addresses=("127.0.0.2",))
        third, fourth = StaticRoute(url="xmpp://c.example:5269"), StaticRoute(url="xmpps://d.example")
        self.assertEqual(found, {"a.example": first, "b.example": second, "c.example": third, "d.example": fourth})

    def test_tcp(self) -> None:
        """Services over TCP need no HTTPS port beside them, and listen on the ports that everybody knows."""
        services = self.load(TCP + "[services.s2s_tcp]\n").services
        expected = {
            "services.c2s_tcp.endpoint": "tcp:5222",
            "services.c2s_tcp.direct_tls_endpoint": "tcp:5223",
            "services.s2s_tcp.endpoint": "tcp:5269",
            "services.s2s_tcp.direct_tls_endpoint": "tcp:5270",
        }
        self.assertEqual(services.endpoints(), expected)
        self.assertTrue(services.serve_clients and services.federate)

    def test_tcp_on_fewer_ports(self) -> None:
        """An empty endpoint is none; between servers none at all may be left, for those that are only reached."""
        services = self.load(TCP + 'direct_tls_endpoint = ""\n').services
        self.assertEqual(services.endpoints(), {"services.c2s_tcp.endpoint": "tcp:5222"})
        nowhere = '[services.s2s_tcp]\nendpoint = ""\ndirect_tls_endpoint = ""\n'
        services = self.load(BASE + '[domains."example.org"]\n' + nowhere).services
        self.assertEqual((services.endpoints(), services.federate), ({}, True))

    def test_clients(self) -> None:
        """Origins and anonymous domains of this server are accepted."""
        text = HTTP + '[services.c2s_ws]\nallowed_origins = ["https://a.example:8443"]\nanonymous = ["example.org"]\n'
        c2s = self.load(text).services.c2s_ws
        assert c2s is not None
        self.assertEqual((c2s.allowed_origins, c2s.anonymous), (("https://a.example:8443",), ("example.org",)))

    def test_see_other(self) -> None:
        """During a move clients are sent to another WebSocket (RFC 7395, 3.6.1)."""
        c2s = self.load(HTTP + '[services.c2s_ws]\nsee_other_uri = "wss://b.example/ws"\n').services.c2s_ws
        assert c2s is not None
        self.assertEqual(c2s.see_other_uri, "wss://b.example/ws")

    def test_modules(self) -> None:
        """A module's table becomes the module's own options, in the order of the file."""
        self.assertEqual(self.load(DOMAIN + "[modules.ping]\ninterval = 5\n").modules, {"ping": PingOptions(interval=5)})


class Refused(ConfigTestCase):
    """A refusal names the file, the key, what was found, what was wanted and what to do."""

    def test_no_data_dir(self) -> None:
        """The data directory has no default."""
        self.refused('[domains."example.org"]\n', "data_dir", "found nothing", "Add the key")

    def test_missing_data_dir(self) -> None:
        """A data directory that is not there is not made in silence: it may be a disk that was not mounted."""
        self.refused('data_dir = "gone"\n[domains."example.org"]\n', 'data_dir: found "gone"', "mkdir -m 700")

    def test_no_domain(self) -> None:
        """A server without a domain serves nobody."""
        self.refused(BASE, "domains", "at least one domain", "Add a table")

    def test_bad_domain(self) -> None:
        """A name that RFC 7622 refuses is no domain."""
        self.refused(BASE + '[domains."a..b"]\n', 'domains."a..b"', "domain name (RFC 7622, 3.2)")

    def test_domain_twice(self) -> None:
        """Two spellings of one domain would leave open whose options count."""
        self.refused(DOMAIN + '[domains."EXAMPLE.org"]\n', "another spelling of example.org")

    def test_missing_files(self) -> None:
        """Certificates and authorities that are not there are told before anything starts."""
        text = BASE + '[domains."example.org"]\ncertificate = "no.pem"\n'
        self.refused(text, 'domains."example.org".certificate', "no.pem", "PEM file")
        self.refused('trust_anchors = ["no.pem"]\n' + DOMAIN, "trust_anchors", "no.pem")

    def test_networks(self) -> None:
        """A network with host bits is a mistake that would be read as something else."""
        text = 'allow_private_addresses = ["10.0.0.1/8"]\n' + DOMAIN
        self.refused(text, "allow_private_addresses", '"10.0.0.1/8"', "host bits")

    def test_unknown_key(self) -> None:
        """An unknown key is refused everywhere, with the near one named."""
        self.refused('data_dri = "x"\n' + DOMAIN, "data_dri: found an unknown key", "Did you mean `data_dir`?")
        self.refused(HTTP + "endpiont = 1\n", "services.http.endpiont", "Did you mean `endpoint`?")
        self.refused(DOMAIN + "key = 1\n", 'domains."example.org".key', "one of certificate")

    def test_unknown_service(self) -> None:
        """An unknown service is refused with those that are known."""
        self.refused(
            HTTP + "[services.c2s_wss]\n", "services.c2s_wss", "c2s_tcp, c2s_ws, e2e, gateway, http, s2s_tcp, s2s_ws", "`c2s_ws`?"
        )

    def test_unknown_module(self) -> None:
        """A module that is not installed is refused with those that are."""
        self.refused(DOMAIN + "[modules.pong]\n", "modules.pong", "an unknown module", "one of ping")

    def test_module_options(self) -> None:
        """A module's options are judged like our own."""
        self.refused(DOMAIN + '[modules.ping]\ninterval = "5"\n', 'modules.ping.interval: found "5"', "a whole number")

    def test_service_without_port(self) -> None:
        """WebSocket services need the HTTP service that owns their port."""
        self.refused(DOMAIN + "[services.s2s_ws]\n", "services.s2s_ws", "Add a [services.http] table")

    def test_no_certificate(self) -> None:
        """With TLS of our own every domain needs a certificate."""
        text = BASE + '[domains."example.org"]\n[services.http]\n'
        self.refused(text, 'domains."example.org"', "a certificate", '"behind-proxy"')

    def test_endpoint(self) -> None:
        """An endpoint that Twisted does not know, or that brings a TLS of its own, is refused."""
        self.refused(HTTP + 'endpoint = "443"\n', 'services.http.endpoint: found "443"', "Unknown endpoint type")
        self.refused(HTTP + 'endpoint = "tcp:443:bogus=1"\n', "services.http.endpoint", "bogus")

    def test_tcp_without_a_certificate(self) -> None:
        """Who ends TLS needs a certificate, whatever a proxy does for another port."""
        for name in ("c2s_tcp", "s2s_tcp"):
            self.refused(
                PROXIED + f"endpoint = 'unix:x'\n[services.{name}]\n", 'domains."example.org"', f"services.{name}.endpoint"
            )

    def test_tcp_endpoints(self) -> None:
        """Each of both endpoints is looked at; clients need at least one."""
        self.refused(TCP + 'endpoint = "5222"\n', 'services.c2s_tcp.endpoint: found "5222"')
        self.refused(TCP + 'direct_tls_endpoint = "5223"\n', 'services.c2s_tcp.direct_tls_endpoint: found "5223"')
        self.refused(DOMAIN + '[services.s2s_tcp]\nendpoint = "5269"\n', 'services.s2s_tcp.endpoint: found "5269"')
        nowhere = 'endpoint = ""\ndirect_tls_endpoint = ""\n'
        self.refused(TCP + nowhere, 'services.c2s_tcp.endpoint: found ""', "direct_tls_endpoint", "remove the table")

    def test_tcp_anonymous(self) -> None:
        """Guests are for domains that are served here."""
        self.refused(TCP + 'anonymous = ["b.example"]\n', 'services.c2s_tcp.anonymous: found "b.example"')

    def test_endpoint_with_tls(self) -> None:
        """TLS inside TLS is never meant."""
        (self.directory / "example.org.pem").write_bytes(_pem())
        endpoint = f"ssl:443:privateKey={self.directory / 'example.org.pem'}"
        self.refused(HTTP + f'endpoint = "{endpoint}"\n', "without TLS of its own", "Use tcp:")

    def test_tls(self) -> None:
        """There is no plain HTTP but behind a proxy."""
        self.refused(HTTP + "tls = false\n", "services.http.tls: found false", 'true or "behind-proxy"')
        self.refused(HTTP + 'tls = "no"\n', 'services.http.tls: found "no"', '"behind-proxy"')

    def test_proxy_in_the_open(self) -> None:
        """Behind a proxy, nothing but the loopback interface and Unix sockets may be listened on."""
        for endpoint in ("tcp:443", "tcp:443:interface=192.0.2.1", "tcp:443:interface=0.0.0.0"):
            self.refused(PROXIED + f'endpoint = "{endpoint}"\n', "services.http.endpoint", endpoint, "loopback")

    def test_public_url(self) -> None:
        """The public URL is https, and has nothing behind its port."""
        for url in (
            "http://a.example",
            "https://",
            "https://a/?q",
            "https://a/",
            "https://a/x",
            "https://me@a",
            "https://a:x",
            "a",
            "https://b\u00fccher.example",
        ):
            self.refused(HTTP + f'public_url = "{url}"\n', "services.http.public_url", f'"{url}"', "https://HOST")

    def test_public_addresses(self) -> None:
        """Public addresses are IP addresses, not names."""
        self.refused(HTTP + 'public_addresses = ["a.example"]\n', "services.http.public_addresses", '"a.example"')

    def test_proxies(self) -> None:
        """What only proxies may say needs proxies that may say it."""
        self.refused(HTTP + 'trusted_proxies = ["proxy.example"]\n', "services.http.trusted_proxies", '"proxy.example"', "unix")
        self.refused(HTTP + "proxy_protocol = true\n", "services.http.proxy_protocol", "trusted_proxies beside it")
        self.refused(HTTP + 'client_certificate_header = "X"\n', "services.http.client_certificate_header", "beside it")

    def test_gateways(self) -> None:
        """A backend is somewhere, is nobody that we serve, and needs the listener and a way to the world beside it."""
        listener = '[services.gateway]\nendpoint = "tcp:5269:interface=127.0.0.1"\n'
        gateway = '[gateways."b.example"]\nbackend = "xmpp://127.0.0.1"\n'
        self.refused(FEDERATED + gateway, 'gateways."b.example"', "services.gateway, and services.s2s_ws")
        self.refused(HTTP + listener + gateway, 'gateways."b.example"', "services.gateway, and services.s2s_ws")
        self.refused(FEDERATED + listener + gateway.replace("b.example", "example.org"), "that another server serves")
        for backend in ("127.0.0.1", "wss://127.0.0.1", "tcp:10.0.0.1:5269", "tcp:b.example:5269", "udp:1", "xmpp://127.0.0.1/x"):
            text = FEDERATED + listener + gateway.replace("xmpp://127.0.0.1", backend)
            self.refused(text, 'gateways."b.example".backend', f'"{backend}"', "xmpp://HOST[:PORT]")
        text = FEDERATED + listener + gateway + 'certificate = "gone.pem"\n'
        self.refused(text, 'gateways."b.example".certificate', "gone.pem")
        lan = '[services.e2e.lan_gateway]\ndomain = "b.example"\n'
        self.refused(FEDERATED + listener + lan + gateway, 'gateways."b.example"', "services.e2e.lan_gateway another domain")
        self.assertTrue(self.load(FEDERATED + listener + lan.replace("b.", "c.") + gateway).gateways)

    def test_gateway_listener(self) -> None:
        """Without TLS it listens on this machine alone; its peers are networks."""
        self.refused(
            DOMAIN + '[services.gateway]\nendpoint = "tcp:5269"\ntls = false\n', "services.gateway.endpoint", "a loopback address"
        )
        self.refused(DOMAIN + '[services.gateway]\nendpoint = "tcp:5269"\npeers = ["b"]\n', "services.gateway.peers", '"b"')
        self.refused(DOMAIN + '[services.gateway]\nendpoint = "x:5269"\n', "services.gateway.endpoint", '"x:5269"')

    def test_e2e(self) -> None:
        """End-to-end streams need a domain with a certificate, at one listener, and addresses elsewhere."""
        lan = '[services.e2e.listeners.lan]\nendpoint = "tcp:5298"\noffer = ["example.org"]\n'
        other = '[services.e2e.listeners.other]\nendpoint = "tcp:5299"\noffer = ["example.org"]\n'
        key, gateway = "services.e2e.listeners.lan", "[services.e2e.lan_gateway]\n"
        path = 'websocket_path = "/e2e"\n'
        twice = lan + path + "[services.e2e.listeners.twice]\noffer = []\n" + path
        for text, *parts in (
            (BASE + '[domains."example.org"]\n' + lan, f"{key}.offer", "a domain with a certificate"),
            (DOMAIN + lan.replace("example.org", "example.net"), f"{key}.offer", "one of example.org"),
            (DOMAIN + lan + other, "services.e2e.listeners.other.offer", f"offered by {key} already"),
            (DOMAIN + lan.replace("tcp:5298", "tcp:x"), f"{key}.endpoint", "a server endpoint"),
            (DOMAIN + lan + 'trust = "blind"\n', f"{key}.trust", '"first-use"'),
            (DOMAIN + lan + 'allow = ["a@b@c"]\n', f"{key}.allow", "an address such as"),
            (DOMAIN + lan + 'allow = ["a@b/c"]\n', f"{key}.allow", "Leave out the resource"),
            (DOMAIN + lan + 'allow = ["a@example.org"]\n', f"{key}.allow", "an address elsewhere"),
            (DOMAIN + lan.replace("tcp:5298", ""), f"{key}.endpoint", "a path in websocket_path"),
            (DOMAIN + lan + 'websocket_path = "/e2e"\n', f"{key}.websocket_path", "services.http beside it"),
            (HTTP + lan + 'websocket_path = "/ws"\n', f"{key}.websocket_path", "that nobody has"),
            (HTTP + lan + 'websocket_path = "/a/b"\n', f"{key}.websocket_path", "a path of one segment"),
            (HTTP + twice, "services.e2e.listeners.twice.websocket_path", "no other listener has"),
            (DOMAIN + lan + "color = 1\n", f"{key}.color", "an unknown key"),
            (DOMAIN + '[services.e2e.peers]\n"echo.example.net" = "no:where"\n', "services.e2e.peers", "a client endpoint"),
            (DOMAIN + '[services.e2e.peers]\n"example.org" = "tcp:a:1"\n', "services.e2e.peers", "an address elsewhere"),
            (DOMAIN + "[services.e2e]\nlan_gateway = 1\n", "services.e2e.lan_gateway", "a table"),
            (DOMAIN + gateway + "color = 1\n", "services.e2e.lan_gateway.color", "an unknown key"),
            (DOMAIN + gateway + 'endpoint = "tcp:x"\n', "services.e2e.lan_gateway.endpoint", "a server endpoint"),
            (DOMAIN + gateway + 'endpoint = "unix:x"\n', "services.e2e.lan_gateway.endpoint", "tcp:PORT or tcp6:PORT"),
            (DOMAIN + gateway + 'endpoint = "tcp:0"\n', "services.e2e.lan_gateway.endpoint", "tcp:PORT or tcp6:PORT"),
            (DOMAIN + gateway + 'domain = "a b"\n', "services.e2e.lan_gateway.domain", "a domain name"),
            (DOMAIN + gateway + 'domain = "example.org"\n', "services.e2e.lan_gateway.domain", "a domain that nobody serves"),
            (DOMAIN + gateway + 'users = ["a@b@c"]\n', "services.e2e.lan_gateway.users", "accounts such as"),
            (DOMAIN + gateway + 'users = ["a@example.net"]\n', "services.e2e.lan_gateway.users", "accounts of this server"),
            (DOMAIN + gateway + 'users = ["example.org"]\n', "services.e2e.lan_gateway.users", "accounts of this server"),
            (DOMAIN + gateway + 'users = ["a@example.org/b"]\n', "services.e2e.lan_gateway.users", "accounts of this server"),
            (
                DOMAIN + gateway + 'nicks = { "a@example.net" = "A" }\n',
                "services.e2e.lan_gateway.nicks",
                "accounts of this server",
            ),
        ):
            with self.subTest(text=text):
                self.refused(text, *parts)

    def test_small_stanzas(self) -> None:
        """A limit below 10 000 bytes is forbidden (RFC 6120, 13.12)."""
        self.refused(FEDERATED + "max_stanza_bytes = 9999\n", "federation.max_stanza_bytes", "9999", ">= 10000")

    def test_trust_by_domain(self) -> None:
        """The domains of exceptions are domains, their policies are policies."""
        table = FEDERATED + "[federation.trust_by_domain]\n"
        self.refused(table + '"a..b" = "external"\n', 'federation.trust_by_domain."a..b"')
        self.refused(table + '"b.example" = "any"\n', "federation.trust_by_domain", '"any"')
        self.assertEqual(self.load(table + '"B.example" = "external"\n').federation.trust_by_domain, {"b.example": "external"})

    def test_trust(self) -> None:
        """A policy nobody knows is refused with the names of those that are known."""
        self.refused(FEDERATED + 'trust = "any"\n', 'federation.trust: found "any"', '"external-or-dialback"')

    def test_static_route(self) -> None:
        """A static route leads to a URL of one of three kinds, at IP addresses, for a domain that is not ours."""
        table = HTTP + "[services.s2s_ws]\n[federation.static_routes]\n"
        key = 'federation.static_routes."b.example"'
        for url in ("ws://b.example", "xmpp://b.example/x", "xmpps://", "tcp://b.example", "xmpp:b.example"):
            self.refused(table + f'"b.example" = "{url}"\n', f"{key}.url", f'"{url}"', "wss://HOST", "xmpps://HOST")
        self.refused(table + '"b.example" = 5\n', key, "found 5", "a table")
        self.refused(table + '"b.example" = {url = "wss://b", addresses = ["b"]}\n', f"{key}.addresses", '"b"')
        self.refused(table + '"b.example" = {addresses = []}\n', f"{key}.url", "found nothing")
        self.refused(table + '"example.org" = "wss://b"\n', "static_routes", "a domain served elsewhere")

    def test_static_route_that_nobody_goes(self) -> None:
        """A route needs the service that opens such streams."""
        tcp = DOMAIN + "[services.s2s_tcp]\n[federation.static_routes]\n"
        self.refused(tcp + '"b.example" = "wss://b.example"\n', "Add a [services.s2s_ws] table")
        for url in ("xmpp://b.example", "xmpps://b.example"):
            self.refused(FEDERATED + f'[federation.static_routes]\n"b.example" = "{url}"\n', "services.s2s_tcp beside it")

    def test_origin(self) -> None:
        """An origin has a scheme and a host and no path, or it would never match."""
        for origin in ("chat.example.org", "https://a.example/", "https://a.example/x", "*"):
            text = HTTP + f'[services.c2s_ws]\nallowed_origins = ["{origin}"]\n'
            self.refused(text, "services.c2s_ws.allowed_origins", f'"{origin}"', "an origin such as")

    def test_see_other(self) -> None:
        """Nobody is sent away from TLS."""
        text = HTTP + '[services.c2s_ws]\nsee_other_uri = "ws://b.example/ws"\n'
        self.refused(text, "services.c2s_ws.see_other_uri", '"ws://b.example/ws"', "wss://HOST")

    def test_anonymous_elsewhere(self) -> None:
        """Only our own domains can offer anonymous logins."""
        text = HTTP + '[services.c2s_ws]\nanonymous = ["b.example"]\n'
        self.refused(text, "services.c2s_ws.anonymous", '"b.example"', "one of example.org")

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Whatever stands in the file, it is a configuration or a ConfigError."""
        try:
            self.load(text.encode("utf-8", "replace").decode())
        except ConfigError as error:
            self.assertIn(str(self.file), str(error))

    @given(
        st.dictionaries(
            st.sampled_from(["endpoint", "tls", "public_url", "public_addresses"]),
            st.one_of(st.booleans(), st.integers(0, 9), st.text("ahtps:/.1[]@?", max_size=12)),
        )
    )
    def test_any_values(self, values: dict[str, object]) -> None:
        """Whatever the values of a table are, they are accepted or refused with a ConfigError."""
        lines = [f"{key} = {str(value).lower() if isinstance(value, int) else repr(value)}" for key, value in values.items()]
        try:
            self.assertIsNotNone(self.load(HTTP + "\n".join(lines)).services.http)
        except ConfigError as error:
            self.assertIn("services.http", str(error))


class Reference(SynchronousTestCase):
    """The reference is written from the tables."""

    def test_every_key(self) -> None:
        """Every key of every table is there, and so are those of modules."""
        page = reference({"ping": PingOptions})
        for heading in ("Top level", '`[domains."example.org"]`', "`[services.c2s_ws]`", "`[modules.ping]`"):
            self.assertIn(f"## {heading}\n", page)
        for key in ("data_dir", "certificate", "endpoint", "anonymous", "static_routes", "interval"):
            self.assertIn(f"### `{key}`\n", page)

    def test_examples(self) -> None:
        """Every key has an example, and every example is TOML."""
        page = reference({"ping": PingOptions})
        examples = [part.partition("```")[0] for part in page.split("```toml\n")[1:]]
        self.assertEqual(len(examples), page.count("\n### "))
        for example in examples:
            self.assertEqual(len(tomllib.loads(example)), 1)


def _pem() -> bytes:
    """A key and a certificate, for an endpoint that wants to read them."""
    certificate = trustme.CA().issue_cert("example.org")
    return bytes(certificate.private_key_and_cert_chain_pem.bytes())
