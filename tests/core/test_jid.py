"""Tests for `xmppfed.core.jid`."""

from __future__ import annotations

import pickle

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.jid import JID, parse_cached, prepare_domain, prepare_local, prepare_resource
from xmppfed.errors import JIDError

ANY_TEXT = st.text(st.characters())  # surrogates too
TRICKY = st.text(
    st.sampled_from("aA1-.@/ _x\u00fc\u00df\u0130\u03a3\u03c2\u3002\uff0e\uff61\uff20\uff0f\uff21\u0301\u200d\u0628\u0660\u30fb")
)
ASCII = st.text(st.sampled_from("aZ09.-@/ _[]:'xn"), max_size=20) | st.text(st.characters(max_codepoint=127), max_size=20)
ADDRESS = st.from_regex(r"([a-zA-Z.=,]{1,4}@)?[a-zA-Z0-9]{1,3}([.-][a-zA-Z0-9]{1,3}){0,3}\.?(/[ -~]{1,5})?", fullmatch=True)
A_LABEL = st.from_regex(r"[xX][nN]--[a-z0-9-]{1,12}", fullmatch=True)


def split(text: str) -> tuple[str, str, str, bool]:
    """The three unprepared parts, and whether a part is empty that a separator announces (RFC 7622, 3.1)."""
    address, slash, resource = text.partition("/")
    before, at, after = address.partition("@")
    local, domain = (before, after) if at else ("", before)
    return local, domain, resource, bool(at and not local) or bool(slash and not resource)


class ParseTests(SynchronousTestCase):
    """Text becomes parts."""

    def test_parts(self) -> None:
        """Each part is optional but the domain (RFC 7622, 3.1)."""
        for text, expected in {
            "juliet@example.org/balcony": JID("juliet", "example.org", "balcony"),
            "juliet@example.org": JID("juliet", "example.org"),
            "example.org/balcony": JID("", "example.org", "balcony"),
            "example.org": JID("", "example.org"),
            "localhost": JID("", "localhost"),
        }.items():
            self.assertEqual(JID.parse(text), expected)
            self.assertEqual(str(expected), text)

    def test_separators_in_resource(self) -> None:
        """The first / ends the domain; what follows may hold both separators and spaces."""
        self.assertEqual(JID.parse("a@b/c@d/ e"), JID("a", "b", "c@d/ e"))
        self.assertEqual(JID.parse("b/c@d"), JID("", "b", "c@d"))

    def test_first_at_ends_local(self) -> None:
        """The first @ ends the localpart, so a second one stands in the domain, where it is refused."""
        with self.assertRaisesRegex(JIDError, "The domainpart 'b@c' is refused"):
            JID.parse("a@b@c")

    def test_fullwidth_separators(self) -> None:
        """A fullwidth @ or / separates nothing: it is looked for before anything is mapped."""
        for text in ("a\uff20b", "a@b\uff0fc"):
            with self.assertRaisesRegex(JIDError, "domainpart"):
                JID.parse(text)
        with self.assertRaisesRegex(JIDError, "it holds @"):
            JID.parse("a\uff20b@c")

    def test_long_ascii(self) -> None:
        """Long parts are judged one by one, not by the sum of them."""
        jid = JID.parse("L" * 1023 + "@example.org/" + "r" * 1023)
        self.assertEqual((len(jid.local), jid.local[0], len(jid.resource)), (1023, "l", 1023))

    def test_long_domain(self) -> None:
        """A domain over 63 octets is fine while each of its labels has at most 63 (RFC 5890, 2.3.2.1)."""
        label = "a" * 63
        self.assertEqual(JID.parse(f"{label}.{label.upper()}").domain, f"{label}.{label}")
        with self.assertRaisesRegex(JIDError, "Label too long"):
            JID.parse("a" * 64)

    def test_longest_domain(self) -> None:
        """A domain has at most 1023 octets (RFC 7622, 3.2)."""
        longest = ".".join(["a" * 63] * 16)
        self.assertEqual(str(JID.parse(longest)), longest)
        with self.assertRaisesRegex(JIDError, "longer than 1023 octets"):
            JID.parse(f"{longest}a")


class LocalpartTests(SynchronousTestCase):
    """Localparts are UsernameCaseMapped, less some signs (RFC 7622, 3.3)."""

    def test_mapping(self) -> None:
        """Case, width and normal form do not tell users apart."""
        for text in ("J\u00fcliet", "j\uff55\u0308liet", "J\u00dcLIET"):
            self.assertEqual(prepare_local(text), "j\u00fcliet")

    def test_excluded(self) -> None:
        """The signs of RFC 7622, 3.3.1 are refused, and the error says which it was."""
        for sign in "\"&'/:<>@":
            with self.assertRaisesRegex(JIDError, f"The localpart .* is refused: it holds {sign}. Wanted"):
                prepare_local(f"a{sign}b")

    def test_excluded_after_mapping(self) -> None:
        """A fullwidth sign is refused as the sign it maps to."""
        with self.assertRaisesRegex(JIDError, "it holds :"):
            prepare_local("a\uff1ab")

    def test_not_an_identifier(self) -> None:
        """Spaces, controls, symbols, lone surrogates and mixed direction are no part of a name."""
        for text in ("a b", "a\tb", "a\0", "\u265a", "\udc80", "\u2163", "\u0628a", "a\u200db"):
            with self.assertRaisesRegex(JIDError, "localpart"):
                prepare_local(text)

    def test_allowed_signs(self) -> None:
        """Every other printable ASCII sign is allowed, on the fast path and off it."""
        signs = "!#$%()*+,-.;=?[\\]^_`{|}~"
        self.assertEqual(prepare_local(signs), signs)
        self.assertEqual(JID.parse(f"{signs}@a").local, signs)


class ResourcepartTests(SynchronousTestCase):
    """Resourceparts are OpaqueStrings (RFC 7622, 3.4)."""

    def test_case_is_kept(self) -> None:
        """Case tells resources apart; other spaces become the ASCII one."""
        self.assertEqual(prepare_resource("The\u00a0Balcony \u265a"), "The Balcony \u265a")

    def test_controls(self) -> None:
        """Control characters and lone surrogates are refused."""
        for text in ("a\n", "\x7f", "\u0085", "\ud800", "\u200b"):
            with self.assertRaisesRegex(JIDError, "resourcepart"):
                JID.parse(f"a@b/{text}")


class DomainpartTests(SynchronousTestCase):
    """Domainparts are U-labels in lower case, or addresses (RFC 7622, 3.2)."""

    def test_a_labels(self) -> None:
        """A-labels are converted to U-labels."""
        self.assertEqual(prepare_domain("XN--mnchen-3ya.example"), "m\u00fcnchen.example")

    def test_mapping(self) -> None:
        """Case, width and normal form do not tell domains apart (RFC 5895, 2)."""
        for text in ("M\u00dcNCHEN.de", "Mu\u0308nchen.de", "\uff4d\u00fcnchen.DE"):
            self.assertEqual(prepare_domain(text), "m\u00fcnchen.de")

    def test_dots(self) -> None:
        """Ideographic, fullwidth and halfwidth full stops separate labels as the ASCII one does."""
        for dot in "\u3002\uff0e\uff61":
            self.assertEqual(prepare_domain(f"example{dot}org{dot}"), "example.org")

    def test_trailing_dot(self) -> None:
        """One final dot is removed, on the fast path and off it."""
        self.assertEqual(JID.parse("a@Example.org./r"), JID("a", "example.org", "r"))
        self.assertEqual(JID.parse("a@\u00fc.org."), JID("a", "\u00fc.org"))

    def test_sigma(self) -> None:
        """A capital sigma becomes the same small one wherever it stands, as in browsers."""
        self.assertEqual(prepare_domain("\u03a3\u0391\u03a3.gr"), "\u03c3\u03b1\u03c3.gr")

    def test_cherokee(self) -> None:
        """The Cherokee letters that IDNA2008 allows are capitals, and stay what they are."""
        self.assertEqual(str(JID.parse("xn--00-0bm")), "0\u13b80")
        self.assertEqual(prepare_domain("0\u13b80"), "0\u13b80")

    def test_no_domain_name(self) -> None:
        """What IDNA2008 does not allow as labels is refused."""
        for text in ("a..b", ".", ".a", "a.b..", "-a", "a-", "a_b", "ab--c", "xn--a", "xn--", "\u265a.example", "a b", "\u0301a"):
            with self.assertRaisesRegex(JIDError, "domainpart"):
                JID.parse(text)

    def test_long_labels(self) -> None:
        """A label has at most 63 octets as an A-label, which is what DNS can ask for."""
        self.assertEqual(prepare_domain("\u00fc" * 50), "\u00fc" * 50)
        with self.assertRaisesRegex(JIDError, "Label too long"):
            prepare_domain("\u00fc" * 60)

    def test_grown(self) -> None:
        """A domain that is too long only with its A-labels converted is refused."""
        labels = ["xn--mgbaa" + "a" * 30] * 24
        u_label = prepare_domain(labels[0])
        self.assertGreater(len(u_label.encode()) * 24, 1023)
        with self.assertRaisesRegex(JIDError, "longer than 1023 octets"):
            prepare_domain(".".join(labels))

    def test_addresses(self) -> None:
        """IPv4 addresses, and IPv6 addresses in brackets, which have one spelling (RFC 5952)."""
        self.assertEqual(JID.parse("a@192.0.2.1"), JID("a", "192.0.2.1"))
        self.assertEqual(str(JID.parse("a@[2001:DB8::0:1]/r")), "a@[2001:db8::1]/r")

    def test_bad_addresses(self) -> None:
        """Brackets hold a whole IPv6 address, without zone, and nothing follows them."""
        for text in ("[", "[]", "[::1", "[::1].", "[::1]:5222", "[192.0.2.1]", "[fe80::1%eth0]", "::1", "\uff3b::1\uff3d"):
            with self.assertRaisesRegex(JIDError, "domainpart"):
                JID.parse(text)


class RefusalTests(SynchronousTestCase):
    """An address that is none is refused with the reason."""

    def test_empty_parts(self) -> None:
        """No part is empty where a separator announces it."""
        for text, part in {
            "": "domainpart",
            "@": "localpart",
            "@a": "localpart",
            "a@": "domainpart",
            "/": "resourcepart",
            "/a": "domainpart",
            "a/": "resourcepart",
            "a@/b": "domainpart",
            "a@b/": "resourcepart",
        }.items():
            with self.assertRaisesRegex(JIDError, f"The {part} '' is refused: it is empty"):
                JID.parse(text)

    def test_too_long(self) -> None:
        """Each part has at most 1023 octets; a megabyte is refused before it is looked at."""
        for text in ("a" * 1024 + "@b", "a@b/" + "c" * 1024, "\u4e00" * 342 + "@b", "a" * 1_000_000, "\u0660" * 1_000_000):
            with self.assertRaisesRegex(JIDError, "longer than 1023 octets"):
                JID.parse(text)

    def test_message(self) -> None:
        """The text names the part, what was found and what is wanted."""
        with self.assertRaises(JIDError) as caught:
            JID.parse("ro meo@example.org")
        self.assertEqual(
            str(caught.exception),
            "The localpart 'ro meo' is refused: DISALLOWED/spaces. "
            "Wanted: 1 to 1023 octets, letters, digits and signs except \"&'/:<>@ (RFC 7622, 3.3).",
        )

    def test_message_is_safe(self) -> None:
        """What was found is escaped and cut to 64 characters: it goes to logs."""
        with self.assertRaises(JIDError) as caught:
            JID.parse("\x1b[31m\n\u202e\ud800" * 100 + "@a")
        message = str(caught.exception)
        self.assertTrue(message.isascii() and message.isprintable())
        self.assertRegex(message, r"^The localpart (?=.{64} is)'\\x1b\[31m\\n\\u202e.*\.\.\. is refused")

    @given(ANY_TEXT)
    def test_every_message_is_safe(self, text: str) -> None:
        """No refusal carries anything but printable ASCII, nor more than a few lines of it."""
        try:
            JID.parse(text)
        except JIDError as error:
            message = str(error)
            self.assertTrue(message.isascii() and message.isprintable() and len(message) < 350, message)


class ValueTests(SynchronousTestCase):
    """A JID is a value."""

    def test_of(self) -> None:
        """`of` prepares its parts."""
        self.assertEqual(JID.of("Juliet", "Example.ORG", "Balcony"), JID("juliet", "example.org", "Balcony"))
        self.assertEqual(JID.of("", "example.org"), JID("", "example.org"))

    def test_bare(self) -> None:
        """The bare address has no resource, and is its own bare address."""
        full = JID.parse("juliet@example.org/balcony")
        self.assertEqual(full.bare, JID("juliet", "example.org"))
        self.assertIs(full.bare.bare.is_bare, True)
        self.assertIs(full.is_bare, False)

    def test_with_resource(self) -> None:
        """A resource is prepared and replaces another; an empty one is refused."""
        self.assertEqual(JID("a", "b", "c").with_resource("d\u00a0e"), JID("a", "b", "d e"))
        with self.assertRaisesRegex(JIDError, "resourcepart"):
            JID("a", "b").with_resource("")

    def test_value(self) -> None:
        """Equal addresses are one key, cannot be changed and carry no dictionary."""
        jid = JID.parse("A@B")
        self.assertEqual(len({jid, JID("a", "b"), pickle.loads(pickle.dumps(jid))}), 1)
        self.assertFalse(hasattr(jid, "__dict__"))
        with self.assertRaises(AttributeError):
            jid.local = "c"

    def test_cache(self) -> None:
        """The cache is bounded, gives what `parse` gives, and keeps no refusals."""
        self.addCleanup(parse_cached.cache_clear)
        parse_cached.cache_clear()
        self.assertIs(parse_cached("A@b"), parse_cached("A@b"))
        self.assertEqual(parse_cached("A@b"), JID("a", "b"))
        with self.assertRaises(JIDError):
            parse_cached("@")
        self.assertEqual((parse_cached.cache_info().maxsize, parse_cached.cache_info().currsize), (4096, 1))


class PropertyTests(SynchronousTestCase):
    """What holds for every text."""

    @given(ANY_TEXT | TRICKY | ASCII | ADDRESS | A_LABEL)
    def test_parsed_or_refused(self, text: str) -> None:
        """Any text is an address whose text is that address again, or is refused with `JIDError` and nothing else."""
        try:
            jid = JID.parse(text)
        except JIDError:
            return
        self.assertEqual(JID.parse(str(jid)), jid)
        self.assertEqual(str(JID.parse(str(jid))), str(jid))

    @given(TRICKY, TRICKY, TRICKY)
    def test_of_agrees_with_parse(self, local: str, domain: str, resource: str) -> None:
        """Parts that `of` takes make a text that `parse` takes for the same address."""
        try:
            jid = JID.of(local, domain, resource)
        except JIDError:
            return
        self.assertEqual(JID.parse(str(jid)), jid)

    @given(ASCII | ADDRESS)
    @example("A@b-c.d./e")
    @example("a@b.-c")
    @example("a@b--c")
    @example("a@b..")
    @example("a@xn--mnchen-3ya.")
    def test_fast_path(self, text: str) -> None:
        """What ASCII addresses get on the fast path is what their parts get off it."""
        local, domain, resource, empty = split(text)
        try:
            expected = None if empty else JID.of(local, domain, resource)
        except JIDError:
            expected = None
        try:
            found = JID.parse(text)
        except JIDError:
            found = None
        self.assertEqual(found, expected)
