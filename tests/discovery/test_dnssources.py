"""SRV and TXT records as sources of candidates."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.dnssources import ServiceRecords, TextRecords
from xmppfed.discovery.records import Records, Service
from xmppfed.discovery.sources import Answer, Source
from xmppfed.errors import DiscoveryError

DIRECT, STARTTLS = "_xmpps-server._tcp.example.org", "_xmpp-server._tcp.example.org"
TXT = "_xmppconnect-server.example.org"


class Zone:
    """DNS as tables; a text in the place of records is a failure."""

    def __init__(self) -> None:
        self.srv: dict[str, Records[Service] | str] = {}
        self.txt: dict[str, Records[str] | str] = {}
        self.asked: list[str] = []

    async def addresses(self, host: str) -> Records[str]:
        """Nobody asks for them here: that is for Discovery, which judges them."""
        raise AssertionError(host)

    async def services(self, name: str) -> Records[Service]:
        """SRV."""
        self.asked.append(name)
        found = self.srv.get(name, Records((), 0, "the name does not exist"))
        if isinstance(found, str):
            raise DiscoveryError(found)
        return found

    async def texts(self, name: str) -> Records[str]:
        """TXT."""
        self.asked.append(name)
        found = self.txt.get(name, Records((), 0, "the name does not exist"))
        if isinstance(found, str):
            raise DiscoveryError(found)
        return found


class SourceCase(SynchronousTestCase):
    """A source over an empty zone."""

    def setUp(self) -> None:
        """The zone."""
        self.zone = Zone()

    def ask(self, source: Source, domain: str = "example.org") -> Answer:
        """Its answer."""
        return self.successResultOf(Deferred.fromCoroutine(source.candidates(domain)))


class ServiceTests(SourceCase):
    """SRV records (RFC 6120, 3.2; XEP-0368)."""

    def srv(self, domain: str = "example.org") -> Answer:
        """What the source says."""
        return self.ask(ServiceRecords(self.zone), domain)

    def found(self) -> list[tuple[str, str, int, int, int]]:
        """Kind, host, port, priority and weight of each candidate."""
        return [(one.kind, one.host, one.port, one.priority, one.weight) for one in self.srv().candidates]

    def test_merged(self) -> None:
        """Both services are one answer, whose ttl is the shorter one, and which does not end the search."""
        self.zone.srv[DIRECT] = Records((Service("a.example", 5270, 5, 1),), 300)
        self.zone.srv[STARTTLS] = Records((Service("b.example", 5269, 1, 2), Service("a.example", 5269, 9, 0)), 200)
        expected = [
            ("xmpps-server", "a.example", 5270, 5, 1),
            ("xmpp-server", "b.example", 5269, 1, 2),
            ("xmpp-server", "a.example", 5269, 9, 0),
        ]
        self.assertEqual(self.found(), expected)
        answer = self.srv()
        self.assertEqual((answer.ttl, answer.authoritative, answer.fallbacks), (200, False, ()))
        self.assertEqual(answer.explanations, (f"SRV {DIRECT}: 1 usable record(s)", f"SRV {STARTTLS}: 2 usable record(s)"))

    def test_names(self) -> None:
        """A forged record changes no name: SNI and certificate are the domain's, and its addresses are to be resolved."""
        self.zone.srv[STARTTLS] = Records((Service("evil.example", 5269, 0, 0),), 60)
        (one,) = self.srv().candidates
        self.assertEqual((one.sni, one.accepted_names, one.addresses), ("example.org", frozenset(), ()))

    def test_not_offered(self) -> None:
        """The target `.` is a record: nothing is offered, and the domain itself is not tried (RFC 2782)."""
        self.zone.srv[STARTTLS] = Records((Service("", 0, 0, 0),), 60)
        answer = self.srv()
        self.assertEqual((answer.candidates, answer.ttl), ((), 60))
        self.assertIn(f"SRV {STARTTLS}: skipped the target '.': this service is not offered (RFC 2782)", answer.explanations)

    def test_one_not_offered(self) -> None:
        """Each service speaks for itself."""
        self.zone.srv[STARTTLS] = Records((Service("", 0, 0, 0),), 60)
        self.zone.srv[DIRECT] = Records((Service("a.example", 443, 0, 0),), 60)
        self.assertEqual(self.found(), [("xmpps-server", "a.example", 443, 0, 0)])

    def test_without_records(self) -> None:
        """Only where there is neither service the domain itself is tried, on port 5269 (RFC 6120, 3.2.2)."""
        answer = self.srv()
        (one,) = answer.candidates
        self.assertEqual((one.kind, one.host, one.port, one.sni), ("xmpp-server", "example.org", 5269, "example.org"))
        self.assertEqual(answer.ttl, None)
        self.assertEqual(
            answer.explanations,
            (
                f"SRV {DIRECT}: the name does not exist",
                f"SRV {STARTTLS}: the name does not exist",
                "without SRV records: port 5269 of example.org",
            ),
        )
        self.zone.srv[DIRECT] = Records((Service("a.example", 443, 0, 0),), 60)
        self.assertEqual([host for _, host, *_ in self.found()], ["a.example"])

    def test_without_an_answer(self) -> None:
        """Where nobody answered for either service the domain itself is tried too (RFC 6120, 3.2.1), and the reason told."""
        self.zone.srv[DIRECT], self.zone.srv[STARTTLS] = "the name servers said SERVFAIL", "no name server answered"
        answer = self.srv()
        self.assertEqual([one.host for one in answer.candidates], ["example.org"])
        self.assertEqual(answer.explanations[0], f"SRV {DIRECT}: the name servers said SERVFAIL")
        self.assertEqual(answer.explanations[1], f"SRV {STARTTLS}: no name server answered")

    def test_unusable(self) -> None:
        """Targets that are no host names, and the port 0, are skipped with the reason; they are records all the same."""
        wrong = (Service("192.0.2.1", 5269, 0, 0), Service("a b", 5269, 0, 0), Service("a.example", 0, 0, 0))
        self.zone.srv[STARTTLS] = Records(wrong, 60)
        answer = self.srv()
        self.assertEqual(answer.candidates, ())
        self.assertEqual(
            answer.explanations[1:],
            (
                f"SRV {STARTTLS}: no usable record(s)",
                f"SRV {STARTTLS}: skipped the target '192.0.2.1', wanted a host name",
                f"SRV {STARTTLS}: skipped the target 'a b', wanted a host name",
                f"SRV {STARTTLS}: skipped the port 0 of a.example",
            ),
        )

    def test_address(self) -> None:
        """A domain that is an address has no records: it is tried itself, without SNI."""
        for domain, host in (("192.0.2.1", "192.0.2.1"), ("[2001:db8::1]", "2001:db8::1")):
            (one,) = self.srv(domain).candidates
            self.assertEqual((one.addresses, one.port, one.sni), ((host,), 5269, ""))
        self.assertEqual(self.zone.asked, [])

    def test_international_domain(self) -> None:
        """An international domain is asked for by its A-labels."""
        self.srv("b\u00fccher.example")
        self.assertIn("_xmpp-server._tcp.xn--bcher-kva.example", self.zone.asked)

    def test_impossible_domain(self) -> None:
        """A domain that DNS cannot hold is not asked for."""
        self.failureResultOf(Deferred.fromCoroutine(ServiceRecords(self.zone).candidates("a b")), DiscoveryError)
        self.assertEqual(self.zone.asked, [])


class TextTests(SourceCase):
    """The TXT record `_xmppconnect-server`."""

    def txt(self, domain: str = "example.org") -> Answer:
        """What the source says."""
        return self.ask(TextRecords(self.zone), domain)

    def test_url(self) -> None:
        """The URL is a fallback; without DNSSEC it changes no name: SNI and certificate are the domain's."""
        self.zone.txt[TXT] = Records(("_xmpp-server-websocket=wss://front.example:8443/ws",), 90)
        answer = self.txt()
        (one,) = answer.fallbacks
        self.assertEqual((one.kind, one.host, one.port, one.path), ("s2s-websocket", "front.example", 8443, "/ws"))
        self.assertEqual((one.sni, one.accepted_names, one.source), ("example.org", frozenset(), "TXT"))
        self.assertEqual((answer.candidates, answer.ttl, answer.authoritative), ((), 90, False))
        self.assertEqual(answer.explanations, (f"TXT {TXT}: wss://front.example:8443/ws",))

    def test_unusable(self) -> None:
        """Other texts and other schemes are skipped with the reason; what can be used counts."""
        texts = ("v=spf1", "_xmpp-server-websocket=ws://a.example/", "_xmpp-server-websocket=wss://a.example/")
        self.zone.txt[TXT] = Records(texts, 90)
        answer = self.txt()
        self.assertEqual([one.host for one in answer.fallbacks], ["a.example"])
        self.assertIn("skipped 'v=spf1', wanted _xmpp-server-websocket=wss://...", answer.explanations[0])
        self.assertIn("skipped the URL 'ws://a.example/' has the scheme 'ws', wanted wss:", answer.explanations[1])

    def test_none(self) -> None:
        """No record, and no answer, are told apart."""
        self.assertEqual(self.txt(), Answer((), (f"TXT {TXT}: the name does not exist",), 0))
        self.zone.txt[TXT] = "the name servers said SERVFAIL"
        self.assertEqual(self.txt().explanations, (f"TXT {TXT}: the name servers said SERVFAIL",))

    def test_address(self) -> None:
        """An address has no such record."""
        self.assertEqual(self.txt("192.0.2.1"), Answer((), ()))
        self.assertEqual(self.zone.asked, [])
