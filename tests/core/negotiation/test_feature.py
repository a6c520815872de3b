"""Tests for `xmppfed.core.negotiation.feature`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import Client, stanza
from xmppfed.core.element import Element
from xmppfed.core.negotiation.feature import Feature


class FeatureTests(SynchronousTestCase):
    """What a feature does that does nothing."""

    def test_defaults(self) -> None:
        """It offers nothing, begins nothing, and leaves everything to others."""
        wired = Client().established()
        feature = Feature()
        self.assertEqual(feature.offer(wired.stream), "")
        self.assertFalse(feature.start(wired.stream, Element("features", "")))
        self.assertFalse(feature.receive_stanza(wired.stream, stanza()))
        feature.receive(wired.stream, stanza().element)
        self.assertEqual((wired.stream.take_events(), wired.sent()), ([], b""))
