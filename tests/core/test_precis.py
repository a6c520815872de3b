"""Tests for `xmppfed.core.precis`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from precis_i18n import get_profile
from precis_i18n.profile import Profile
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.precis import LONGEST, check_size, opaque_string, username_case_mapped, width_mapped

# Characters whose rules look at their surroundings, and some surroundings.
CONTEXTUAL = st.text(st.sampled_from("al0 \u00b7\u0375\u03b1\u05d0\u05f3\u0628\u0660\u0661\u06f0\u06f1\u30a2\u30fb\u200c\u094d"))


def verdict(profile: Profile, text: str) -> str | None:
    """What the unbounded profile makes of `text`; None when it refuses."""
    try:
        prepared: str = profile.enforce(text)
    except UnicodeEncodeError:
        return None
    return prepared


class MappingTests(SynchronousTestCase):
    """What is mapped before anything is compared."""

    def test_username(self) -> None:
        """Case and width do not tell usernames apart (RFC 8265, 3.3)."""
        self.assertEqual(username_case_mapped("\uff2auliet"), "juliet")

    def test_opaque(self) -> None:
        """Case tells opaque strings apart, the kind of space does not (RFC 8265, 4.2)."""
        self.assertEqual(opaque_string("Rose\u2003Garden"), "Rose Garden")

    def test_width(self) -> None:
        """Fullwidth letters become ordinary ones and keep their case."""
        self.assertEqual(width_mapped("\uff2a\uff4a\uff0e"), "Jj.")


class BoundsTests(SynchronousTestCase):
    """Texts have 1 to 1023 octets, before and after mapping."""

    def test_longest(self) -> None:
        """1023 octets are allowed."""
        for text in ("a" * LONGEST, "\u4e00" * (LONGEST // 3)):
            check_size(text)

    def test_too_long(self) -> None:
        """1024 octets are refused, however many characters they are."""
        for text in ("a" * (LONGEST + 1), "\u4e00" * (LONGEST // 3 + 1)):
            with self.assertRaisesRegex(ValueError, "longer than 1023 octets"):
                opaque_string(text)

    def test_empty(self) -> None:
        """An empty text is refused."""
        with self.assertRaisesRegex(ValueError, "empty"):
            username_case_mapped("")

    def test_grown(self) -> None:
        """A text that normalization makes longer than the bound is refused: U+0958 becomes two characters."""
        self.assertEqual(len(opaque_string("\u0958" * 170).encode()), 1020)
        with self.assertRaisesRegex(ValueError, "longer than 1023 octets"):
            opaque_string("\u0958" * 171)

    def test_secret_stays_secret(self) -> None:
        """The error for a refused text does not repeat it, not even in a chained exception: it may be a password."""
        with self.assertRaises(ValueError) as caught:
            opaque_string("secret\x07")
        self.assertNotIn("secret", repr(caught.exception))
        self.assertEqual((caught.exception.__cause__, caught.exception.__suppress_context__), (None, True))


class ContextTests(SynchronousTestCase):
    """The short cut for rules that ask about the whole string changes no verdict."""

    @given(CONTEXTUAL)
    def test_opaque_agrees(self, text: str) -> None:
        """OpaqueString gives what the profile without short cut gives."""
        try:
            prepared = opaque_string(text)
        except ValueError:
            self.assertIsNone(verdict(get_profile("OpaqueString"), text))
        else:
            self.assertEqual(verdict(get_profile("OpaqueString"), text), prepared)

    @given(CONTEXTUAL)
    def test_username_agrees(self, text: str) -> None:
        """UsernameCaseMapped gives what the profile without short cut gives."""
        try:
            prepared = username_case_mapped(text)
        except ValueError:
            self.assertIsNone(verdict(get_profile("UsernameCaseMapped"), text))
        else:
            self.assertEqual(verdict(get_profile("UsernameCaseMapped"), text), prepared)

    def test_digits_of_two_kinds(self) -> None:
        """Arabic-Indic and extended Arabic-Indic digits do not mix (RFC 5892, A.8), wherever they stand."""
        self.assertEqual(opaque_string("\u0660" * 300), "\u0660" * 300)
        with self.assertRaisesRegex(ValueError, "arabic"):
            opaque_string("\u0660" * 300 + "\u06f0")
