"""Tests for `xmppfed.core.sasl.steps`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.sasl.steps import Claim


class ClaimTests(SynchronousTestCase):
    """A claim may be logged."""

    def test_password_is_not_shown(self) -> None:
        """The text of a claim names who and how, and never the password."""
        shown = repr(Claim("PLAIN", "juliet", password="r0m30"))
        self.assertIn("juliet", shown)
        self.assertNotIn("r0m30", shown)

    def test_defaults(self) -> None:
        """What a mechanism does not say is empty."""
        self.assertEqual(Claim("EXTERNAL"), Claim("EXTERNAL", "", "", None, None))
