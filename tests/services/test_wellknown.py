"""What we publish, read by strict strangers and by ourselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.test.requesthelper import DummyChannel

from xmppfed.discovery.hostmeta import REL, REL_TLS, parse_json, parse_xrd
from xmppfed.discovery.posh import parse_posh
from xmppfed.discovery.xrd import NS_XRD
from xmppfed.errors import ConfigError
from xmppfed.services.merging import NO_BASE, Base
from xmppfed.services.wellknown import POSH_TTL, REL_C2S, REL_C2S_TLS, Documents, Offer, documents, well_known

ADDRESSES = ("203.0.113.7", "2001:DB8::7")


def publish(
    public_url: str = "https://xmpp.example",
    addresses: tuple[str, ...] = ADDRESSES,
    c2s: bool = True,
    s2s: bool = True,
    tls: bool = False,
    base: Base = NO_BASE,
) -> Documents:
    """The documents of a server."""
    offers = [Offer(rel) for rel, served in ((REL_C2S, c2s), (REL, s2s)) if served]
    offers += [Offer(REL_C2S_TLS, 5223), Offer(REL_TLS, 5270)] if tls else []
    return documents(offers, public_url=public_url, public_addresses=addresses, base=base)


def read_strictly(data: bytes) -> tuple[bool, list[dict[str, Any]]]:
    """The strictest reader of XEP-0487 that is deployed: a wrong or missing field loses the whole file.

    Only bare c2s links (XEP-0156) are read without the fields of XEP-0487. Returns whether SRV is skipped, and the links.
    """
    document = json.loads(data)
    if "xmpp" in document:
        assert isinstance(document["xmpp"], dict), document
        ttl = document["xmpp"]["ttl"]
        assert type(ttl) is int and 0 <= ttl <= 65535, ttl
    for link in document["links"]:
        bare = link["rel"] == REL_C2S and "ips" not in link and "xmpp" not in document
        if link["rel"] in (REL_TLS, REL_C2S_TLS):
            assert type(link["port"]) is int and 0 < link["port"] <= 65535, link
        elif link["rel"] in (REL, REL_C2S):
            assert isinstance(link["href"], str) and link["href"].startswith("wss://"), link
        else:
            continue
        if not bare:
            assert link["ips"] and all(isinstance(ip, str) for ip in link["ips"]), link
            assert isinstance(link["sni"], str), link
            for name in ("priority", "weight"):
                assert type(link[name]) is int and 0 <= link[name] <= 65535, link
    return "xmpp" in document, document["links"]


class StrictReaderTests(SynchronousTestCase):
    """The JSON suits the strictest reader."""

    def test_with_addresses(self) -> None:
        """Everything XEP-0487 demands is there, on every link."""
        skips_srv, links = read_strictly(publish().json)
        self.assertTrue(skips_srv)
        self.assertEqual([link["rel"] for link in links], [REL_C2S, REL])
        for link in links:
            self.assertEqual(link["href"], "wss://xmpp.example/xmpp-websocket")
            self.assertEqual((link["ips"], link["sni"]), (["203.0.113.7", "2001:db8::7"], "xmpp.example"))

    def test_without_addresses(self) -> None:
        """Without addresses there is neither an xmpp object nor an s2s link, only the bare c2s link."""
        skips_srv, links = read_strictly(publish(addresses=()).json)
        self.assertFalse(skips_srv)
        self.assertEqual(links, [{"rel": REL_C2S, "href": "wss://xmpp.example/xmpp-websocket"}])

    def test_direct_tls(self) -> None:
        """Ports that begin with TLS are named with everything that XEP-0487 demands, after the WebSocket."""
        skips_srv, links = read_strictly(publish(tls=True).json)
        self.assertTrue(skips_srv)
        ports = {link["rel"]: (link["port"], link["priority"]) for link in links if "port" in link}
        self.assertEqual(ports, {REL_C2S_TLS: (5223, 10), REL_TLS: (5270, 10)})
        self.assertEqual({link["priority"] for link in links if "href" in link}, {5})
        self.assertEqual({tuple(link["ips"]) for link in links}, {("203.0.113.7", "2001:db8::7")})

    def test_direct_tls_alone(self) -> None:
        """A server that other servers reach by direct TLS alone has an `xmpp` object too."""
        self.assertTrue(read_strictly(publish(s2s=False, tls=True).json)[0])

    def test_direct_tls_without_addresses(self) -> None:
        """Without addresses no port is named anywhere."""
        published = publish(addresses=(), tls=True)
        self.assertEqual([link["rel"] for link in read_strictly(published.json)[1]], [REL_C2S])
        self.assertNotIn(b"tls", published.xrd)

    def test_without_s2s(self) -> None:
        """A server without an s2s link has no xmpp object: it would hide the SRV records of its domain."""
        skips_srv, links = read_strictly(publish(s2s=False).json)
        self.assertFalse(skips_srv)
        self.assertEqual([link["rel"] for link in links], [REL_C2S])

    def test_without_c2s(self) -> None:
        """A server for servers alone offers nothing to clients."""
        self.assertEqual([link["rel"] for link in read_strictly(publish(c2s=False).json)[1]], [REL])
        self.assertEqual(read_strictly(publish(c2s=False, addresses=()).json), (False, []))

    def test_the_reader_is_strict(self) -> None:
        """The double refuses what the deployed reader refuses."""
        good = json.loads(publish().json)
        for field in ("ips", "sni", "priority", "weight", "href"):
            broken = json.loads(publish().json)
            del broken["links"][1][field]
            self.assertRaises((AssertionError, KeyError), read_strictly, json.dumps(broken).encode())
        for field, wrong in (("priority", "5"), ("weight", -1), ("sni", 7), ("ips", []), ("ips", [7]), ("weight", 65536)):
            broken = json.loads(publish().json)
            broken["links"][1][field] = wrong
            self.assertRaises(AssertionError, read_strictly, json.dumps(broken).encode())
        good["xmpp"]["ttl"] = 65536
        self.assertRaises(AssertionError, read_strictly, json.dumps(good).encode())


class OwnReaderTests(SynchronousTestCase):
    """What we publish we find."""

    def test_with_addresses(self) -> None:
        """Our JSON is authoritative, with addresses and SNI; nothing is skipped."""
        found = parse_json(publish().json, "example.org")
        (one,) = found.candidates
        self.assertEqual((found.authoritative, found.ttl, found.skipped), (True, 3600, ()))
        (_, port) = parse_json(publish(tls=True).json, "example.org").candidates
        self.assertEqual((port.kind, port.port, port.sni), ("xmpps-server", 5270, "xmpp.example"))
        self.assertEqual((one.host, one.path, one.sni), ("xmpp.example", "/xmpp-websocket", "xmpp.example"))
        self.assertEqual(one.addresses, ("203.0.113.7", "2001:db8::7"))

    def test_without_addresses(self) -> None:
        """Then the XRD has the link."""
        published = publish("https://xmpp.example:8443/", addresses=())
        self.assertEqual(parse_json(published.json, "example.org").candidates, ())
        (one,) = parse_xrd(published.xrd, "example.org").candidates
        self.assertEqual(one.url, "wss://xmpp.example:8443/xmpp-websocket")


class XRDTests(SynchronousTestCase):
    """The XRD suits clients."""

    def test_shape(self) -> None:
        """The root is un-prefixed, and each Link has rel and href; the websocket link is the first and the only one."""
        for addresses in (ADDRESSES, ()):
            data = publish(addresses=addresses).xrd
            self.assertIn(f"<XRD xmlns='{NS_XRD}'>".encode(), data)
            links = list(ElementTree.fromstring(data))
            self.assertEqual([link.tag for link in links], [f"{{{NS_XRD}}}Link"] * 2)
            self.assertEqual([link.attrib["rel"] for link in links], [REL_C2S, REL])
            self.assertEqual({link.attrib["href"] for link in links}, {"wss://xmpp.example/xmpp-websocket"})

    def test_escaped(self) -> None:
        """A path is written as XML wants it."""
        data = documents([Offer(REL_C2S)], public_url="https://a.example", path="/a?b=<&").xrd
        self.assertEqual(ElementTree.fromstring(data)[0].attrib["href"], "wss://a.example/a?b=<&")

    def test_served_kinds(self) -> None:
        """Only what is served is announced."""
        self.assertNotIn(REL.encode(), publish(s2s=False).xrd)
        self.assertNotIn(REL_C2S.encode(), publish(c2s=False).xrd)


class ConfigurationTests(SynchronousTestCase):
    """A wrong setting stops the start and names its key."""

    def test_public_url(self) -> None:
        """Found and wanted are both told."""
        cases = {
            "http://xmpp.example": "wanted https:",
            "xmpp.example": "wanted https://host or https://host:port",
            "https://xmpp.example/base": "found the path '/base'",
            "https://203.0.113.7": "wanted a host name",
        }
        for url, reason in cases.items():
            with self.assertRaises(ConfigError) as caught:
                publish(url)
            self.assertIn("public_url: ", str(caught.exception))
            self.assertIn(reason, str(caught.exception))

    def test_public_addresses(self) -> None:
        """What is no address is named."""
        with self.assertRaises(ConfigError) as caught:
            publish(addresses=("203.0.113.7", "xmpp.example"))
        self.assertIn("public_addresses: 'xmpp.example'", str(caught.exception))

    def test_ipv6_url(self) -> None:
        """An address in the URL keeps its brackets."""
        data = publish("https://[2001:db8::7]:8443", addresses=()).json
        self.assertEqual(read_strictly(data)[1][0]["href"], "wss://[2001:db8::7]:8443/xmpp-websocket")


class ResourceTests(SynchronousTestCase):
    """The documents over HTTP."""

    posh: Callable[[], list[bytes]] | None = None

    def get(self, path: str, host: str = "example.org", method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a request to a whole Site."""
        root = Resource()
        root.putChild(b".well-known", well_known(publish(), self.posh))
        site = Site(root)
        channel = DummyChannel()
        channel.site = site
        request = site.requestFactory(channel, False)
        channel.transport.written.seek(0)
        request.site = site
        request.requestHeaders.setRawHeaders("host", [host])
        request.gotLength(0)
        request.requestReceived(method.encode(), path.encode(), b"HTTP/1.1")
        head, _, body = channel.transport.written.getvalue().partition(b"\r\n\r\n")
        headers = {name.decode().lower(): values[0].decode() for name, values in request.responseHeaders.getAllRawHeaders()}
        return request.code, headers, body or head

    def test_documents(self) -> None:
        """Both have their media type, and scripts of any origin may read them, whatever the Host."""
        for path, media_type, data in (
            ("/.well-known/host-meta", "application/xrd+xml", publish().xrd),
            ("/.well-known/host-meta.json", "application/json", publish().json),
        ):
            for host in ("example.org", "10.0.0.1:8080"):
                status, headers, body = self.get(path, host)
                self.assertEqual((status, headers["content-type"]), (200, media_type))
                self.assertEqual(headers["access-control-allow-origin"], "*")
                self.assertTrue(body.endswith(data))

    def test_head(self) -> None:
        """HEAD has the headers and no body."""
        status, headers, body = self.get("/.well-known/host-meta", method="HEAD")
        self.assertEqual((status, headers["access-control-allow-origin"]), (200, "*"))
        self.assertNotIn(b"XRD", body)

    def test_nothing_else(self) -> None:
        """POSH documents, things below a document, and the folder itself are 404, at once, and without CORS."""
        for path in ("posh/xmpp-server.json", "posh/xmpp-client.json", "host-meta/x", "", "host-meta.xml"):
            status, headers, _ = self.get(f"/.well-known/{path}")
            self.assertEqual(status, 404, path)
            self.assertNotIn("access-control-allow-origin", headers)

    def test_posh(self) -> None:
        """Where it is wanted, the fingerprints of the certificates of the moment are published, for servers and clients."""
        certificates = [b"first"]
        self.posh = lambda: certificates
        for path in ("posh/xmpp-server.json", "posh/xmpp-client.json"):
            status, headers, body = self.get(f"/.well-known/{path}")
            self.assertEqual((status, headers["content-type"]), (200, "application/json"))
            self.assertNotIn("access-control-allow-origin", headers)
            document = parse_posh(body.partition(b"\r\n\r\n")[2] or body)
            self.assertEqual(document.expires, POSH_TTL)
            self.assertEqual([one.is_of(b"first") for one in document.fingerprints], [True])
            self.assertEqual([name for name, _ in document.fingerprints[0].hashes], ["sha-256", "sha-512"])
        certificates[:] = [b"second", b"third"]
        fingerprints = parse_posh(self.get("/.well-known/posh/xmpp-server.json")[2]).fingerprints
        self.assertEqual([one.is_of(b"third") for one in fingerprints], [False, True])
        self.assertEqual(self.get("/.well-known/posh/other.json")[0], 404)

    def test_other_methods(self) -> None:
        """Nothing can be written."""
        self.assertEqual(self.get("/.well-known/host-meta", method="POST")[0], 405)
