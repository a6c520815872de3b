"""URLs and host names from strangers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.urls import Target, is_address, is_host_name, shown, split_url, url_host
from xmppfed.errors import DiscoveryError


class SplitURLTests(SynchronousTestCase):
    """A URL is split strictly, or refused with the reason."""

    def test_parts(self) -> None:
        """Host in lower case without brackets and final dot, port 443 by default, path with query."""
        cases = {
            "wss://Example.ORG": Target("example.org", 443, "/"),
            "wss://example.org.:5281/ws?a=b": Target("example.org", 5281, "/ws?a=b"),
            "WSS://192.0.2.1/x": Target("192.0.2.1", 443, "/x"),
            "wss://[2001:db8::1]:8443/": Target("2001:db8::1", 8443, "/"),
            "wss://_dns.example.org/": Target("_dns.example.org", 443, "/"),
        }
        for url, target in cases.items():
            self.assertEqual(split_url(url, "wss"), target, url)

    def test_refusals(self) -> None:
        """Other schemes, credentials, fragments, hosts that are none, bad ports, and bytes urllib would drop are refused."""
        cases = {
            "ws://example.org/": "the scheme 'ws', wanted wss:",
            "https://example.org/": "the scheme 'https'",
            "//example.org/": "the scheme ''",
            "wss://user:secret@example.org/": "credentials",
            "wss://@example.org/": "credentials",
            "wss://example.org/#a": "fragment",
            "wss:///path": "the host ''",
            "wss://-a.example/": "the host '-a.example'",
            "wss://a..b/": "the host 'a..b'",
            "wss://[fe80::1%25eth0]/": "without a zone",
            "wss://[::1/": "cannot be read",
            "wss://example.org:99999/": "cannot be read",
            "wss://example.org:x/": "cannot be read",
            "wss://example.org:0/": "port 0",
            "wss://exa\nmple.org/": "printable ASCII",
            "wss://b\u00fccher.example/": "printable ASCII",
            "wss://example.org/ a": "printable ASCII",
            "wss://example.org/" + "a" * 2048: "printable ASCII",
            "": "printable ASCII",
        }
        for url, reason in cases.items():
            with self.assertRaises(DiscoveryError, msg=url) as caught:
                split_url(url, "wss")
            self.assertIn(reason, str(caught.exception))

    @given(st.text() | st.from_regex(r"wss://[\x21-\x7e]{0,40}", fullmatch=True))
    def test_any_text(self, url: str) -> None:
        """Any text is a usable target or a DiscoveryError whose text is printable and short."""
        try:
            target = split_url(url, "wss")
        except DiscoveryError as error:
            self.assertTrue(str(error).isprintable() and len(str(error)) < 1000)
        else:
            self.assertTrue(is_host_name(target.host) or is_address(target.host))
            self.assertTrue(0 < target.port < 65536 and target.path[0] in "/?")


class HostTests(SynchronousTestCase):
    """XMPP domains as hosts of URLs."""

    def test_domains(self) -> None:
        """Names become A-labels, addresses stay, and IPv6 gets its brackets."""
        cases = {
            "example.org": "example.org",
            "b\u00fccher.example": "xn--bcher-kva.example",
            "192.0.2.1": "192.0.2.1",
            "2001:db8::1": "[2001:db8::1]",
            "[2001:db8::1]": "[2001:db8::1]",
        }
        for domain, host in cases.items():
            self.assertEqual(url_host(domain), host)

    def test_impossible_domains(self) -> None:
        """A domain that no URL can hold is refused, and said."""
        for domain in ("", "a b", "[::1", "[x]", "a" * 64 + ".example"):
            with self.assertRaises(DiscoveryError) as caught:
                url_host(domain)
            self.assertIn(shown(domain)[:40], str(caught.exception))

    def test_host_names(self) -> None:
        """Addresses, capital letters and long names are no host names."""
        self.assertTrue(is_host_name("a-1.example"))
        for text in ("192.0.2.1", "::1", "Example.org", "", "a.", "a" * 64, "a." * 127 + "a"):
            self.assertFalse(is_host_name(text), text)


class ShownTests(SynchronousTestCase):
    """What strangers wrote cannot forge a log line."""

    def test_escaped_and_cut(self) -> None:
        """Line ends and bidirectional controls are escaped, and long text is cut."""
        self.assertEqual(shown("a\r\nb\u202e"), "'a\\r\\nb\\u202e'")
        self.assertEqual(shown("a" * 200, 3), "'aaa'...")
