"""Static routes and host-meta documents as sources of candidates."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.hostmeta import REL
from xmppfed.discovery.sources import Answer, HostMetaDocuments, Source, StaticRoute, StaticRoutes
from xmppfed.discovery.xrd import NS_XRD
from xmppfed.errors import ConfigError, DiscoveryError


class SourceCase(SynchronousTestCase):
    """Ask a source."""

    def ask(self, source: Source, domain: str = "example.org") -> Answer:
        """Its answer, which is there at once."""
        return self.successResultOf(Deferred.fromCoroutine(source.candidates(domain)))


class StaticRouteTests(SourceCase):
    """Routes from the configuration."""

    def test_route(self) -> None:
        """A route is authoritative, and its host and addresses are taken as they are written."""
        routes = StaticRoutes({"example.org": StaticRoute("wss://front.example:8443/ws", ("10.0.0.1",))})
        answer = self.ask(routes)
        (one,) = answer.candidates
        self.assertEqual((one.host, one.port, one.path, one.addresses), ("front.example", 8443, "/ws", ("10.0.0.1",)))
        self.assertEqual((one.sni, one.accepted_names), ("front.example", {"front.example"}))
        self.assertTrue(answer.authoritative)

    def test_ports(self) -> None:
        """A route may lead to a TCP port, where the certificate has to be for the domain; the scheme says how TLS begins."""
        for url, kind, port in (
            ("xmpp://front.example", "xmpp-server", 5269),
            ("xmpp://front.example:1", "xmpp-server", 1),
            ("xmpps://front.example", "xmpps-server", 5270),
            ("xmpps://front.example:2/", "xmpps-server", 2),
        ):
            (one,) = self.ask(StaticRoutes({"example.org": StaticRoute(url, ("10.0.0.1",))})).candidates
            self.assertEqual((one.kind, one.host, one.port, one.addresses), (kind, "front.example", port, ("10.0.0.1",)))
            self.assertEqual((one.sni, one.accepted_names, one.url), ("example.org", frozenset(), f"{kind}:front.example:{port}"))
        (one,) = self.ask(StaticRoutes({"example.org": StaticRoute("xmpps://[2001:db8::1]:2")})).candidates
        self.assertEqual((one.url, one.addresses), ("xmpps-server:[2001:db8::1]:2", ("2001:db8::1",)))

    def test_none(self) -> None:
        """For another domain there is nothing, and it is said."""
        answer = self.ask(StaticRoutes({"example.org": StaticRoute("wss://front.example/")}), "example.com")
        self.assertEqual(answer, Answer((), ("static routes: none for this domain",)))

    def test_unusable(self) -> None:
        """A route that cannot be used stops the start, with the domain and what was wanted."""
        cases = {
            StaticRoute("ws://front.example/"): "wanted wss:",
            StaticRoute("xmpp://"): "has the host ''",
            StaticRoute("wss://front.example/", ("front.example",)): "found the address 'front.example', wanted an IP",
        }
        for route, reason in cases.items():
            with self.assertRaises(ConfigError) as caught:
                StaticRoutes({"example.org": route})
            self.assertIn("static route for example.org: ", str(caught.exception))
            self.assertIn(reason, str(caught.exception))


class HostMetaTests(SourceCase):
    """The two documents of a domain."""

    def setUp(self) -> None:
        """No document exists."""
        self.documents: dict[str, bytes] = {}
        self.asked: list[str] = []

    async def get(self, url: str) -> bytes:
        """The document at a URL."""
        self.asked.append(url)
        if url not in self.documents:
            raise DiscoveryError("the status is 404, wanted 200")
        return self.documents[url]

    def publish(self, *links: dict[str, Any], **top: Any) -> None:
        """Publish a host-meta.json."""
        self.documents["https://example.org/.well-known/host-meta.json"] = json.dumps({**top, "links": links}).encode()

    def publish_xrd(self, *urls: str) -> None:
        """Publish a host-meta."""
        links = "".join(f"<Link rel='{REL}' href='{url}'/>" for url in urls)
        self.documents["https://example.org/.well-known/host-meta"] = f"<XRD xmlns='{NS_XRD}'>{links}</XRD>".encode()

    def ask_host_meta(self) -> Answer:
        """The answer of the source."""
        return self.ask(HostMetaDocuments(self.get))

    def test_nothing(self) -> None:
        """Each document that is missing is one line with its URL and the reason."""
        answer = self.ask_host_meta()
        self.assertEqual(answer.candidates, ())
        self.assertEqual(
            answer.explanations,
            (
                "https://example.org/.well-known/host-meta.json: the status is 404, wanted 200",
                "https://example.org/.well-known/host-meta: the status is 404, wanted 200",
            ),
        )

    def test_authoritative_json(self) -> None:
        """With a top-level xmpp object the JSON alone counts, and its ttl."""
        self.publish({"rel": REL, "href": "wss://a.example/", "ips": ["8.8.8.8"]}, xmpp={"ttl": 120})
        self.publish_xrd("wss://b.example/")
        answer = self.ask_host_meta()
        self.assertEqual([one.host for one in answer.candidates], ["a.example"])
        self.assertEqual((answer.ttl, answer.authoritative), (120, True))
        self.assertEqual([one.host for one in answer.fallbacks], ["b.example"])

    def test_authoritative_json_without_a_link(self) -> None:
        """An xmpp object without a link for us does not hide the XRD: every way must be tried (XEP-0487)."""
        self.publish({"rel": "urn:xmpp:alt-connections:s2s-tls"}, xmpp={"ttl": 120})
        self.publish_xrd("wss://b.example/")
        answer = self.ask_host_meta()
        self.assertEqual((answer.candidates, [one.host for one in answer.fallbacks]), ((), ["b.example"]))

    def test_legacy(self) -> None:
        """Without it the links of both are a fallback, each URL once, and the answer is not authoritative."""
        self.publish({"rel": REL, "href": "wss://a.example/", "priority": 3})
        self.publish_xrd("wss://b.example/", "wss://a.example/")
        answer = self.ask_host_meta()
        self.assertEqual(answer.candidates, ())
        self.assertEqual([(one.host, one.priority) for one in answer.fallbacks], [("a.example", 3), ("b.example", 65535)])
        self.assertEqual((answer.ttl, answer.authoritative), (None, False))

    def test_skipped_links(self) -> None:
        """What was skipped is told, with the URL of the document."""
        self.publish({"rel": REL, "href": "ws://a.example/"})
        text = "\n".join(self.ask_host_meta().explanations)
        self.assertIn("host-meta.json: no usable link(s) for servers", text)
        self.assertIn("host-meta.json: skipped link 1: the URL 'ws://a.example/' has the scheme", text)

    def test_international_domain(self) -> None:
        """The documents of an international domain are asked for by its A-labels."""
        self.ask(HostMetaDocuments(self.get), "b\u00fccher.example")
        self.assertIn("https://xn--bcher-kva.example/.well-known/host-meta", self.asked)

    def test_impossible_domain(self) -> None:
        """A domain that no URL can hold is not asked for."""
        self.failureResultOf(Deferred.fromCoroutine(HostMetaDocuments(self.get).candidates("a b")), DiscoveryError)
        self.assertEqual(self.asked, [])
