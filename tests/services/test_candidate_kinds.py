"""Two of ours, and every kind of candidate: the better one is broken, and the next is used within the delay of the race."""

from __future__ import annotations

import json
from typing import Any

from tests.services.s2s import OURS, ROMEO, THEIR_ADDRESS, THEIRS, S2SCase, Script
from xmppfed.discovery.hostmeta import REL, REL_TLS
from xmppfed.discovery.records import Service
from xmppfed.discovery.xrd import NS_XRD
from xmppfed.services.trace import Outcome

HOST = f"xmpp.{THEIRS}"
GOOD, DEAD = "127.0.0.3", "127.0.9.66"
DEAD_HOST = f"dead.{THEIRS}"
DIRECT, STARTTLS, TXT = f"_xmpps-server._tcp.{THEIRS}", f"_xmpp-server._tcp.{THEIRS}", f"_xmppconnect-server.{THEIRS}"
QUIET = {"s2s_tcp": {"endpoint": "", "direct_tls_endpoint": ""}}
PORTS = {"s2s_tcp": {"endpoint": f"tcp:5269:interface={GOOD}", "direct_tls_endpoint": f"tcp:5270:interface={GOOD}"}}
Rows = list[tuple[str, str, Outcome]]


def websocket(host: str, *, rank: int = 1, **details: Any) -> dict[str, Any]:
    """A link to a WebSocket, after XEP-0487."""
    address = GOOD if host == HOST else DEAD
    full = {"ips": [address], "priority": rank, "weight": 1, "sni": THEIRS}
    return {"rel": REL, "href": f"wss://{host}/xmpp-websocket", **full, **details}


def direct_tls(address: str, *, rank: int = 1) -> dict[str, Any]:
    """A link to a port that begins with TLS."""
    return {"rel": REL_TLS, "port": 5270, "ips": [address], "priority": rank, "weight": 1, "sni": THEIRS}


def srv(host: str, port: int, rank: int = 1) -> tuple[Service, ...]:
    """One SRV record."""
    return (Service(host, port, rank, 1),)


class EveryKind(S2SCase):
    """montague.example serves every way at 127.0.0.3; what is published of it is written by hand, somewhere else."""

    domains = (OURS, THEIRS)
    routes = {}
    configuration = {
        OURS: {"services": QUIET, "allow_private_addresses": ["127.0.0.0/8", "::1/128"]},
        THEIRS: {"services": PORTS},
    }
    options = {"directory": False}

    def setUp(self) -> None:
        super().setUp()
        self.documents: dict[str, bytes] = {}
        documents = self.documents

        class Web(Script):
            def http(self, path: str) -> bytes | None:
                body = documents.get(path)
                status = b"404 Not Found" if body is None else b"200 OK"
                return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status, len(body or b"")) + (body or b"")

        self.listen(Web)
        self.dns = self.network.resolver
        self.dns.hosts.update({THEIRS: (THEIR_ADDRESS,), HOST: (GOOD,), DEAD_HOST: (DEAD,)})
        self.network.blackhole(DEAD)

    def json(self, *links: dict[str, Any], xmpp: bool = True) -> None:
        """Publish a host-meta.json."""
        document = {**({"xmpp": {"ttl": 60}} if xmpp else {}), "links": links}
        self.documents["/.well-known/host-meta.json"] = json.dumps(document).encode()

    def xrd(self, host: str) -> None:
        """Publish a host-meta."""
        link = f"<Link rel='{REL}' href='wss://{host}/xmpp-websocket'/>"
        self.documents["/.well-known/host-meta"] = f"<XRD xmlns='{NS_XRD}'>{link}</XRD>".encode()

    def reached(self, seconds: float = 0.25) -> Rows:
        """Kind, source and outcome of each try, after a message has arrived: it took no longer than so many seconds."""
        juliet, romeo = self.juliet(), self.federation.client(ROMEO)
        self.write(juliet)
        self.network.advance(seconds)
        romeo.expect("<message><body>Art thou not Romeo?</body></message>")
        trace = self.policy.traces.of(THEIRS)
        assert trace is not None
        return [(one.candidate.kind, one.candidate.source, one.outcome) for one in trace.attempts]

    def test_websocket_then_direct_tls(self) -> None:
        """XEP-0487: the WebSocket of the first link is dead, the port of the second is used."""
        self.json(websocket(DEAD_HOST), direct_tls(GOOD, rank=2))
        expected: Rows = [
            ("s2s-websocket", "host-meta.json", Outcome.CANCELED),
            ("xmpps-server", "host-meta.json", Outcome.READY),
        ]
        self.assertEqual(self.reached(), expected)

    def test_direct_tls_then_websocket(self) -> None:
        """And the other way round."""
        self.json(direct_tls(DEAD), websocket(HOST, rank=2))
        expected: Rows = [
            ("xmpps-server", "host-meta.json", Outcome.CANCELED),
            ("s2s-websocket", "host-meta.json", Outcome.READY),
        ]
        self.assertEqual(self.reached(), expected)

    def test_direct_tls_then_starttls(self) -> None:
        """SRV: direct TLS has the better priority and is dead, STARTTLS is used."""
        self.dns.srv.update({DIRECT: srv(DEAD_HOST, 5270), STARTTLS: srv(HOST, 5269, 2)})
        self.assertEqual(self.reached(), [("xmpps-server", "SRV", Outcome.CANCELED), ("xmpp-server", "SRV", Outcome.READY)])

    def test_starttls_then_direct_tls(self) -> None:
        """And the other way round."""
        self.dns.srv.update({DIRECT: srv(HOST, 5270, 2), STARTTLS: srv(DEAD_HOST, 5269)})
        self.assertEqual(self.reached(), [("xmpp-server", "SRV", Outcome.CANCELED), ("xmpps-server", "SRV", Outcome.READY)])

    def test_refused(self) -> None:
        """Where nobody listens no time is lost at all."""
        self.dns.srv.update({DIRECT: srv(HOST, 5271), STARTTLS: srv(HOST, 5269, 2)})
        self.assertEqual(self.reached(0), [("xmpps-server", "SRV", Outcome.FAILED), ("xmpp-server", "SRV", Outcome.READY)])

    def test_srv_then_host_meta(self) -> None:
        """The target of the SRV record is dead: the link of XEP-0156 is used, in JSON or XRD."""
        self.dns.srv[STARTTLS] = srv(DEAD_HOST, 5269)
        self.xrd(HOST)
        self.assertEqual(
            self.reached(), [("xmpp-server", "SRV", Outcome.CANCELED), ("s2s-websocket", "host-meta", Outcome.READY)]
        )

    def test_not_offered_then_host_meta(self) -> None:
        """A domain that says by SRV that it offers nothing over TCP is reached by WebSocket at once."""
        self.dns.srv.update({DIRECT: (Service("", 0, 0, 0),), STARTTLS: (Service("", 0, 0, 0),)})
        self.json({"rel": REL, "href": f"wss://{HOST}/xmpp-websocket"}, xmpp=False)
        self.assertEqual(self.reached(0), [("s2s-websocket", "host-meta.json", Outcome.READY)])

    def test_address_then_host_meta(self) -> None:
        """Without SRV records port 5269 of the domain itself, where nobody listens, then the link."""
        self.xrd(HOST)
        self.assertEqual(
            self.reached(0),
            [("xmpp-server", "its own address", Outcome.FAILED), ("s2s-websocket", "host-meta", Outcome.READY)],
        )

    def test_host_meta_then_txt(self) -> None:
        """The host of the link is dead: the TXT record is used, with the domain's certificate."""
        self.dns.srv[STARTTLS] = (Service("", 0, 0, 0),)
        self.xrd(DEAD_HOST)
        self.dns.txt[TXT] = (f"_xmpp-server-websocket=wss://{HOST}/xmpp-websocket",)
        self.assertEqual(
            self.reached(), [("s2s-websocket", "host-meta", Outcome.CANCELED), ("s2s-websocket", "TXT", Outcome.READY)]
        )

    def test_everything_else_dead(self) -> None:
        """Every better candidate is dead: four are under way after a second, and the last one is there."""
        self.dns.srv.update({DIRECT: srv(DEAD_HOST, 5270), STARTTLS: srv(DEAD_HOST, 5269, 2)})
        self.xrd(DEAD_HOST)
        self.dns.txt[TXT] = (f"_xmpp-server-websocket=wss://{HOST}/xmpp-websocket",)
        self.assertEqual(
            [(kind, outcome) for kind, _, outcome in self.reached(0.75)],
            [
                ("xmpps-server", Outcome.CANCELED),
                ("xmpp-server", Outcome.CANCELED),
                ("s2s-websocket", Outcome.CANCELED),
                ("s2s-websocket", Outcome.READY),
            ],
        )

    def test_both_families(self) -> None:
        """IPv6 comes first; where it leads nowhere IPv4 is used a quarter of a second later."""
        self.network.blackhole("::1")
        self.dns.hosts[HOST] = (GOOD, "::1")
        self.dns.srv[STARTTLS] = srv(HOST, 5269)
        self.assertEqual([outcome for *_, outcome in self.reached()], [Outcome.CANCELED, Outcome.READY])
        trace = self.policy.traces.of(THEIRS)
        assert trace is not None
        self.assertEqual([one.address for one in trace.attempts], ["::1", GOOD])


class Static(S2SCase):
    """A route of the configuration, at several addresses."""

    domains = (OURS, THEIRS)
    routes = {}
    configuration = {OURS: {"federation": {"static_routes": {THEIRS: {"url": f"wss://{THEIRS}/ws", "addresses": [DEAD, GOOD]}}}}}
    options = {"directory": False}

    def test_next_address(self) -> None:
        """The next address is used."""
        self.network.blackhole(DEAD)
        romeo = self.federation.client(ROMEO)
        self.write(self.juliet())
        self.network.advance(0.25)
        romeo.expect("<message/>")
