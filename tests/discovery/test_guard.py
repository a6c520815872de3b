"""The guard: which addresses a stranger may lead us to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.guard import judge, refusal

REFUSED = {
    "0.0.0.0": "the unspecified address",
    "0.1.2.3": "this network",
    "10.0.0.1": "a private address (10.0.0.0/8)",
    "100.64.0.1": "carrier-grade NAT",
    "127.0.0.1": "a loopback address",
    "169.254.169.254": "a link-local address",
    "172.31.255.255": "a private address",
    "192.0.0.8": "a reserved address",
    "192.0.2.1": "a documentation address",
    "192.88.99.1": "a 6to4 relay",
    "192.168.1.1": "a private address",
    "198.19.0.1": "a benchmarking address",
    "198.51.100.1": "a documentation address",
    "203.0.113.1": "a documentation address",
    "224.0.0.251": "a multicast address",
    "255.255.255.255": "a reserved address",
    "::": "the unspecified address",
    "::1": "a loopback address",
    "::10.0.0.1": "the IPv6 form of 10.0.0.1",
    "::ffff:10.0.0.1": "the IPv6 form of 10.0.0.1, which is a private address",
    "::ffff:169.254.169.254": "which is a link-local address",
    "64:ff9b::127.0.0.1": "the IPv6 form of 127.0.0.1",
    "64:ff9b:1::808:808": "a local-use NAT64 address",
    "100::1": "not a global unicast address",
    "2001:0:808:808:8000:63bf:f5ff:fffe": "the IPv6 form of 10.0.0.1",
    "2001:0:a00:1:8000:63bf:f7f7:f7f7": "the IPv6 form of 10.0.0.1",
    "2001:2::1": "a benchmarking address",
    "2001:db8::1": "a documentation address",
    "2002:a00:1::1": "the IPv6 form of 10.0.0.1",
    "3fff::1": "a documentation address",
    "5f00::1": "not a global unicast address",
    "fc00::1": "a unique local address",
    "fd12::1": "a unique local address",
    "fe80::1": "a link-local address",
    "fe80::1%eth0": "an address with a zone",
    "2a00:1450::1%eth0": "an address with a zone",
    "fec0::1": "a site-local address",
    "ff02::1": "a multicast address",
}
PUBLIC = (
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "2001:0:808:808:8000:63bf:f7f7:f7f7",
)

ipv4 = st.integers(0, 2**32 - 1).map(IPv4Address)
ipv6 = st.integers(0, 2**128 - 1).map(IPv6Address)


class TableTests(SynchronousTestCase):
    """Each kind of address has its verdict and its reason."""

    def test_refused(self) -> None:
        """The reason names the address, what it is, and the option that would allow it."""
        for address, reason in REFUSED.items():
            text = refusal(address, ())
            assert text is not None, address
            self.assertIn(reason, text)
            self.assertTrue(text.startswith(f"{address} is "), text)
            self.assertIn("allow_private_addresses", text)

    def test_public(self) -> None:
        """Public addresses pass, also inside the IPv6 forms that networks with NAT64 need."""
        for address in PUBLIC:
            self.assertIsNone(refusal(address, ()), address)

    def test_no_address(self) -> None:
        """What is not an address is refused: neither names nor the short forms of inet_aton."""
        for text in ("localhost", "127.1", "0x7f.0.0.1", "2130706433", "010.0.0.1", "", "1.2.3.4 "):
            self.assertIn("is not an IP address", str(refusal(text, ())))


class AllowedTests(SynchronousTestCase):
    """Networks that the operator listed."""

    def test_listed(self) -> None:
        """An address in a listed network passes, in its IPv6 forms too; its neighbors do not."""
        allowed = (ip_network("10.1.0.0/16"), ip_network("::1/128"))
        for address in ("10.1.2.3", "::ffff:10.1.2.3", "::1"):
            self.assertIsNone(refusal(address, allowed), address)
        for address in ("10.2.0.1", "::ffff:10.2.0.1", "127.0.0.1"):
            self.assertIsNotNone(refusal(address, allowed), address)

    def test_judge(self) -> None:
        """Every address is judged; those that pass keep their order."""
        passed, reasons = judge(["10.0.0.1", "8.8.8.8", "::1", "8.8.4.4"], ())
        self.assertEqual(passed, ("8.8.8.8", "8.8.4.4"))
        self.assertEqual([reason.split()[0] for reason in reasons], ["10.0.0.1", "::1"])


class Properties(SynchronousTestCase):
    """What holds for all addresses."""

    @given(ipv4)
    def test_nothing_private_passes(self, address: IPv4Address) -> None:
        """An IPv4 address passes only if Python, too, calls it global and not multicast."""
        if refusal(str(address), ()) is None:
            self.assertTrue(address.is_global and not address.is_multicast)

    @given(ipv4)
    def test_forms_agree(self, address: IPv4Address) -> None:
        """An IPv4 address in IPv6 clothes has the verdict it has without."""
        verdict = refusal(str(address), ()) is None
        for form in (f"::ffff:{address}", f"64:ff9b::{address}", str(IPv6Address((0x2002 << 112) | (int(address) << 80)))):
            self.assertEqual(refusal(form, ()) is None, verdict, form)

    @given(ipv6)
    def test_ipv6(self, address: IPv6Address) -> None:
        """An IPv6 address that passes is global unicast or carries a public IPv4 address."""
        if refusal(str(address), ()) is None:
            embeds = address in ip_network("64:ff9b::/96") or address in ip_network("::/90")
            self.assertTrue(embeds or address in ip_network("2000::/3"))

    @given(ipv4 | ipv6)
    def test_everything_allowed(self, address: IPv4Address | IPv6Address) -> None:
        """When all networks are listed nothing is refused."""
        self.assertIsNone(refusal(str(address), (ip_network("0.0.0.0/0"), ip_network("::/0"))))

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Any text has a verdict."""
        self.assertIsInstance(refusal(text, ()), str | None)
