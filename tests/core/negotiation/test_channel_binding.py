"""Tests for `xmppfed.core.negotiation.channel_binding`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import Client
from xmppfed.core.element import Element
from xmppfed.core.negotiation.channel_binding import ChannelBindings, announced
from xmppfed.core.tree import parse_tree

OFFER = (
    "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>"
    "<channel-binding type='tls-server-end-point'/></sasl-channel-binding>"
)


class ChannelBindingsTests(SynchronousTestCase):
    """What a stranger is told."""

    def test_offer(self) -> None:
        """Which there are on this stream, until somebody is authenticated."""
        bindings = ChannelBindings(("tls-exporter", "tls-server-end-point"))
        self.assertEqual(bindings.offer(Client().opened().stream), OFFER)
        self.assertEqual(bindings.offer(Client().authenticated().stream), "")

    def test_none(self) -> None:
        """There has to be one (XEP-0440, 2)."""
        self.assertEqual(ChannelBindings(()).offer(Client().opened().stream), "")


class AnnouncedTests(SynchronousTestCase):
    """What a client reads."""

    def test_types(self) -> None:
        """Each type, whatever it is; a server that does not know XEP-0440 announces none."""
        features = Element("features", "")
        self.assertEqual(announced(features), ())
        features.children.append(parse_tree(OFFER.replace("</", "<channel-binding/></", 1).encode()))
        self.assertEqual(announced(features), ("tls-exporter", "tls-server-end-point", ""))
