"""The texts that a new server begins with."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from textwrap import indent
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.errors import DiscoveryError
from xmppfed.new_server import MODULES, NewServer

PROXIED = NewServer(domain="example.org", own_tls=False)
OWN = NewServer(domain="example.org", own_tls=True)
FOREIGN = NewServer(domain="bücher.example", own_tls=True)


class Configuration(SynchronousTestCase):
    """The file is TOML that works, with what can be changed as comments."""

    def test_behind_proxy(self) -> None:
        """Behind a proxy: loopback only, and the usual modules in their order."""
        written = tomllib.loads(PROXIED.config())
        self.assertEqual(written["services"]["http"]["tls"], "behind-proxy")
        self.assertIn("interface=127.0.0.1", written["services"]["http"]["endpoint"])
        self.assertEqual(written["domains"], {"example.org": {}})
        self.assertEqual(written["modules"], {name: {} for name in MODULES})
        self.assertEqual(tuple(written["modules"]), MODULES)

    def test_own_tls(self) -> None:
        """With TLS of its own: the certificate, and a port that needs no privilege."""
        written = tomllib.loads(OWN.config())
        self.assertEqual(written["services"]["http"]["tls"], True)
        self.assertEqual(written["services"]["http"]["public_url"], "https://example.org:5443")
        self.assertEqual(written["domains"], {"example.org": {"certificate": OWN.certificate}})

    def test_commented_lines(self) -> None:
        """The lines that are commented out are TOML too, once the sign is gone."""
        for line in PROXIED.config().splitlines():
            key, equals, _ = line.removeprefix("# ").partition(" = ")
            if line.startswith("# ") and equals and " " not in key:
                self.assertIn(key, tomllib.loads(line.removeprefix("# ")))

    def test_international(self) -> None:
        """Addresses keep the domain's own letters; DNS, URLs and file names have its ASCII form (RFC 5890)."""
        written = tomllib.loads(FOREIGN.config())
        self.assertEqual(written["domains"], {"bücher.example": {"certificate": "certs/xn--bcher-kva.example.pem"}})
        self.assertEqual(written["services"]["http"]["public_url"], "https://xn--bcher-kva.example:5443")
        self.assertTrue(FOREIGN.instructions().isascii())

    def test_no_host(self) -> None:
        """A domain that no URL can hold is refused."""
        error = self.assertRaises(DiscoveryError, NewServer(domain="a b", own_tls=True).config)
        self.assertIn("wanted a domain name", str(error))


class Instructions(SynchronousTestCase):
    """What is to be pasted elsewhere."""

    def test_dns(self) -> None:
        """Addresses, and the TXT record that other servers find the WebSocket by."""
        record = '_xmppconnect-server.example.org. IN TXT "_xmpp-server-websocket=wss://example.org%s/xmpp-websocket"\n'
        self.assertIn(record % "", PROXIED.instructions())
        self.assertIn(record % ":5443", OWN.instructions())
        for kind in ("A", "AAAA"):
            self.assertIn(f"\nexample.org. IN {kind} ", PROXIED.instructions())

    def test_host_meta(self) -> None:
        """Both documents, ready to be served: XML with both links, JSON with that of clients."""
        lines = PROXIED.instructions().splitlines()
        [xrd] = [line for line in lines if line.startswith("<?xml")]
        [document] = [line for line in lines if line.startswith('{"')]
        self.assertEqual(len(ElementTree.fromstring(xrd.encode())), 2)
        [link] = json.loads(document)["links"]
        self.assertEqual(link["href"], "wss://example.org/xmpp-websocket")

    def test_proxies(self) -> None:
        """nginx and Caddy get every path, lead to the port of the file, and keep the Upgrade."""
        text = PROXIED.instructions()
        nginx, caddy = text.split("# nginx")[1].split("# Caddy")
        for wanted in ("http://127.0.0.1:5280", "Upgrade $http_upgrade", "proxy_http_version 1.1", r"host-meta\.json"):
            self.assertIn(wanted, nginx)
        for wanted in ("example.org {", "127.0.0.1:5280", "/xmpp-websocket-s2s", "/.well-known/host-meta.json"):
            self.assertIn(wanted, caddy)

    def test_proxies_of_the_manual(self) -> None:
        """These lines are those of the manual, which `make interop` puts in front of our servers."""
        text = PROXIED.instructions()
        nginx, caddy = (text.split(head)[1].split("\n", 1)[1].split("\n\n")[0].strip() for head in ("# nginx", "# Caddy"))
        pages = Path(__file__).parent.parent / "docs" / "how-to" / "proxies"
        self.assertIn(indent(nginx, "    "), (pages / "nginx.conf").read_text())
        self.assertEqual(caddy, (pages / "Caddyfile").read_text().strip())
