"""Whom a certificate may speak for."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, DNSPattern, verify_service_identity
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.identity import PresentedNames, ascii_domain, domain_name_matched, host_matched, jid_matched
from xmppfed.core.jid import JID

LABELS = st.sampled_from(["a", "b", "example", "org", "xn--caf-dma", "*", "x*", "A", ""])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
HOSTS = st.lists(st.sampled_from(["a", "b", "example", "org", "xn--caf-dma"]), min_size=2, max_size=4).map(".".join)
NEARLY_HOSTS = HOSTS.flatmap(
    lambda host: st.tuples(st.sampled_from([host, host.upper(), f"*.{host}", f"*.{host.partition('.')[2]}"]), st.just(host))
)


def dns(*names: str) -> PresentedNames:
    """A certificate with these dNSNames."""
    return PresentedNames(dns_names=names)


def srv(*names: str) -> PresentedNames:
    """A certificate with these SRVNames."""
    return PresentedNames(srv_names=names)


def xmpp(*names: str) -> PresentedNames:
    """A certificate with these xmppAddrs."""
    return PresentedNames(xmpp_addresses=names)


class AcceptedDomainTests(SynchronousTestCase):
    """Each kind of name that RFC 6120, 13.7.1.2 lets speak for a domain does."""

    def test_each_kind(self) -> None:
        """The answer is the name that matched, as a person would write it."""
        for names, domain, matched in [
            (dns("example.org"), "example.org", "DNS example.org"),
            (dns("EXAMPLE.org"), "Example.ORG", "DNS EXAMPLE.org"),
            (dns("*.example.org"), "chat.example.org", "DNS *.example.org"),
            (dns("other.example", "example.org"), "example.org", "DNS example.org"),
            (dns("xn--caf-dma.example"), "café.example", "DNS xn--caf-dma.example"),
            (dns("XN--CAF-DMA.example"), "xn--caf-dma.example", "DNS XN--CAF-DMA.example"),
            (dns("*.example.org"), "café.example.org", "DNS *.example.org"),  # RFC 9525, 6.3
            (srv("_xmpp-server.example.org"), "example.org", "SRV _xmpp-server.example.org"),
            (srv("_XMPP-Server.example.org"), "example.org", "SRV _XMPP-Server.example.org"),
            (srv("_xmpp-server.*.example.org"), "chat.example.org", "SRV _xmpp-server.*.example.org"),
            (xmpp("example.org"), "example.org", "xmppAddr example.org"),
            (xmpp("café.example"), "café.example", "xmppAddr café.example"),
            (xmpp("CAFÉ.example"), "xn--caf-dma.example", "xmppAddr CAFÉ.example"),
            (xmpp("192.0.2.1"), "192.0.2.1", "xmppAddr 192.0.2.1"),
        ]:
            self.assertEqual(domain_name_matched(names, domain), matched)

    def test_most_specific_first(self) -> None:
        """An xmppAddr is named before a SRV name, and that before a DNS name."""
        names = PresentedNames(("example.org",), ("_xmpp-server.example.org",), ("example.org",))
        self.assertEqual(domain_name_matched(names, "example.org"), "xmppAddr example.org")
        names = PresentedNames((), ("_xmpp-server.example.org",), ("example.org",))
        self.assertEqual(domain_name_matched(names, "example.org"), "SRV _xmpp-server.example.org")

    def test_other_service(self) -> None:
        """A client looks for the SRV name of its own service."""
        names = srv("_xmpp-client.example.org")
        self.assertEqual(domain_name_matched(names, "example.org", "xmpp-client"), "SRV _xmpp-client.example.org")


class RefusedDomainTests(SynchronousTestCase):
    """The wrong certificates of the security notes, and their kin, prove nothing."""

    def assert_refused(self, names: PresentedNames, domain: str) -> None:
        self.assertIsNone(domain_name_matched(names, domain), f"{names} for {domain!r}")

    def test_no_names(self) -> None:
        """A certificate with a common name only, (a) and (b), has no names here, and matches nothing."""
        self.assert_refused(PresentedNames(), "example.org")

    def test_wildcards(self) -> None:
        """(c): a wildcard is a whole left-most label and stands for exactly one."""
        for name, domain in [
            ("*.example", "a.b.example"),
            ("*.example", "a.example"),
            ("*.example.org", "a.b.example.org"),
            ("*.example.org", "example.org"),
            ("*.example.org", ".example.org"),
            ("*", "localhost"),
            ("*", "example.org"),
            ("*.", "example."),
            ("*.*.org", "a.example.org"),
            ("a.*.org", "a.example.org"),
            ("x*.example.org", "xa.example.org"),
            ("*a.example.org", "xa.example.org"),
            ("xn--*.example.org", "xn--caf-dma.example.org"),
            ("*.example.org", "*.a.example.org"),
        ]:
            self.assert_refused(dns(name), domain)
            self.assert_refused(srv(f"_xmpp-server.{name}"), domain)

    def test_nul(self) -> None:
        """(d): a NUL, or anything else that is no letter, digit or hyphen, ends no name early."""
        for name in ["example.org\0.evil.example", "example.org\0", "example.org\n", " example.org", "example.org.", ""]:
            self.assert_refused(dns(name), "example.org")
            self.assert_refused(srv(f"_xmpp-server.{name}"), "example.org")
            self.assert_refused(dns(name), name)
        for name in ["example.org\0.evil.example", "example.org\0", "example.org\n", " example.org", ""]:
            self.assert_refused(xmpp(name), "example.org")

    def test_u_labels(self) -> None:
        """(e): a U-label in a dNSName or SRVName never matches; only an xmppAddr may hold one."""
        self.assert_refused(dns("café.example"), "café.example")
        self.assert_refused(srv("_xmpp-server.café.example"), "café.example")
        self.assert_refused(dns("\N{KELVIN SIGN}.example"), "k.example")
        self.assert_refused(srv("_xmpp-\N{LATIN SMALL LETTER LONG S}erver.example.org"), "example.org")

    def test_other_names(self) -> None:
        """(i): a certificate for two domains speaks for no third one, nor for their parents and children."""
        names = PresentedNames(("one.example",), ("_xmpp-server.two.example",), ("one.example", "two.example"))
        for domain in ["three.example", "example", "a.one.example", "one.example.evil.example", "one.exampl"]:
            self.assert_refused(names, domain)

    def test_other_services(self) -> None:
        """A SRV name for another service, or for none, does not make a server."""
        for name in ["_xmpp-client.example.org", "_imap.example.org", "xmpp-server.example.org", "example.org", "_xmpp-server"]:
            self.assert_refused(srv(name), "example.org")

    def test_users_are_not_domains(self) -> None:
        """The xmppAddr of a user or of a resource does not speak for the whole domain."""
        for name in ["juliet@example.org", "example.org/balcony", "juliet@example.org/balcony", "@example.org"]:
            self.assert_refused(xmpp(name), "example.org")

    def test_addresses(self) -> None:
        """No dNSName, least of all a wildcard, speaks for an IP address."""
        for name in ["192.0.2.1", "*.0.2.1"]:
            self.assert_refused(dns(name), "192.0.2.1")
            self.assert_refused(srv(f"_xmpp-server.{name}"), "192.0.2.1")
        self.assert_refused(dns("::1", "[::1]"), "[::1]")

    def test_no_domain_asked_for(self) -> None:
        """What is no domain is never matched, whatever the certificate says."""
        names = PresentedNames(("juliet@example.org", "a b"), (), ("example.org", "a b"))
        for domain in ["", "juliet@example.org", "example.org/r", "a b", "*.example.org", "example..org"]:
            self.assert_refused(names, domain)

    def test_domain_too_long_for_dns(self) -> None:
        """A domainpart that DNS cannot hold has its own xmppAddr at most."""
        domain = "x." * 130 + "org"
        self.assert_refused(dns(domain), domain)
        self.assertEqual(domain_name_matched(xmpp(domain), domain), f"xmppAddr {domain}")


class HostTests(SynchronousTestCase):
    """A host name is proved as for https: by a dNSName, and by nothing else."""

    def test_matches(self) -> None:
        """Exact names and wildcards count, internationalized hosts by their A-labels."""
        self.assertEqual(host_matched(dns("ws.example.org"), "WS.example.org"), "DNS ws.example.org")
        self.assertEqual(host_matched(dns("*.example.org"), "ws.example.org"), "DNS *.example.org")
        self.assertEqual(host_matched(dns("xn--caf-dma.example"), "café.example"), "DNS xn--caf-dma.example")

    def test_refusals(self) -> None:
        """Names for XMPP, other hosts and IP addresses do not count."""
        names = PresentedNames(("example.org",), ("_xmpp-server.example.org",), ("other.example", "192.0.2.1"))
        for host in ["example.org", "192.0.2.1", "::1", "", "a b"]:
            self.assertIsNone(host_matched(names, host))


class UserTests(SynchronousTestCase):
    """A user is proved by the xmppAddr of the bare JID (XEP-0178, 2)."""

    def test_matches(self) -> None:
        """The name is compared prepared, and the resource of the stream does not matter."""
        names = xmpp("romeo@example.org", "Juliet@Example.ORG")
        self.assertEqual(jid_matched(names, JID.parse("juliet@example.org/balcony")), "xmppAddr Juliet@Example.ORG")

    def test_refusals(self) -> None:
        """Another user, the domain, a full JID and text that is no address prove nobody."""
        for name in ["romeo@example.org", "example.org", "juliet@example.org/balcony", "juliet@", "juliet@example.org\0"]:
            self.assertIsNone(jid_matched(xmpp(name), JID.parse("juliet@example.org")))
        self.assertIsNone(jid_matched(dns("example.org"), JID.parse("juliet@example.org")))

    def test_domain_is_no_user(self) -> None:
        """Who asks for a domain asks the wrong question, and gets no."""
        self.assertIsNone(jid_matched(xmpp("example.org"), JID.parse("example.org")))


class AsciiDomainTests(SynchronousTestCase):
    """A domain as DNS and SNI write it."""

    def test_forms(self) -> None:
        """Lower case, A-labels, no final dot; None for what DNS has no name for."""
        for domain, ascii_form in [
            ("Example.ORG", "example.org"),
            ("example.org.", "example.org"),
            ("CAFÉ.example", "xn--caf-dma.example"),
            ("xn--caf-dma.example", "xn--caf-dma.example"),
            ("192.0.2.1", None),
            ("[2001:db8::1]", None),
            ("juliet@example.org", None),
            ("", None),
        ]:
            self.assertEqual(ascii_domain(domain), ascii_form)


class ReadableNamesTests(SynchronousTestCase):
    """Names in an explanation can be read by a person."""

    def test_all_kinds(self) -> None:
        """Each name stands with its kind."""
        names = PresentedNames(("a.example",), ("_xmpp-server.b.example",), ("c.example",))
        self.assertEqual(str(names), "xmppAddr a.example, SRV _xmpp-server.b.example, DNS c.example")

    def test_none(self) -> None:
        """A certificate without names says so."""
        self.assertEqual(str(PresentedNames()), "no names")


class PropertyTests(SynchronousTestCase):
    """What holds for any names."""

    @given(st.tuples(NAMES, HOSTS) | NEARLY_HOSTS)
    def test_agrees_with_service_identity(self, name_and_host: tuple[str, str]) -> None:
        """We accept the dNSName for a host that service-identity accepts, and no other, but for one thing: a wildcard
        stands for an internationalized label as for any other (RFC 9525, 6.3)."""
        name, host = name_and_host
        assume(not host.startswith("xn--"))
        ours = host_matched(dns(name), host) is not None
        try:
            verify_service_identity([DNSPattern.from_bytes(name.encode())], [DNS_ID(host)], [])
            theirs = True
        except (VerificationError, CertificateError):
            theirs = False
        self.assertEqual(ours, theirs)

    @given(st.text(), st.text())
    def test_any_text_is_answered(self, name: str, domain: str) -> None:
        """No text in a certificate or in a stream header raises."""
        names = PresentedNames((name,), (name, f"_xmpp-server.{name}"), (name,))
        domain_name_matched(names, domain)
        host_matched(names, domain)
        jid_matched(names, JID("juliet", "example.org"))

    @given(st.text(), HOSTS)
    def test_only_its_own_spelling(self, name: str, host: str) -> None:
        """Arbitrary text in a dNSName matches a host only by being it, in some case, or its wildcard."""
        parent = host.partition(".")[2]
        wildcard = f"*.{parent}" if "." in parent else host
        self.assertEqual(host_matched(dns(name), host) is not None, name.lower() in {host, wildcard} and name.isascii())
