"""Tests for `xmppfed.core.claims`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.claims import without_claims
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.parser import parse_element, stanza_names
from xmppfed.core.stanza import Stanza

TAG = "{urn:x}mark"


def cut(letter: str) -> Stanza:
    """A message with this letter, less what says it is by example.org."""
    written = f"<message xmlns='jabber:client'>{letter}</message>"
    stanza = parse_element(written.encode(), stanza_names(NS_CLIENT), NS_CLIENT)
    assert isinstance(stanza, Stanza)
    cleaned = without_claims(stanza, TAG, "by", lambda jid: jid.domain == "example.org")
    assert cleaned is not stanza or cleaned.letter == stanza.letter
    return cleaned


class ClaimsTests(SynchronousTestCase):
    """What others say in our name is cut out."""

    def test_only_what_is_ours(self) -> None:
        """Others' marks, other elements with such an attribute, and what names no address, stay byte for byte."""
        kept = (
            "<mark  xmlns='urn:x' by='example.net'/>"
            "<mark xmlns='urn:x'/>"
            "<mark xmlns='urn:x' by='@'/>"
            '<mark xmlns="urn:y" by="example.org"/>'
            "<x xmlns='urn:x'><mark by='example.org'/></x>"
            "<body>&lt;mark xmlns='urn:x' by='example.org'/></body>"
        )
        forged = "<mark xmlns='urn:x' by='example.org' id='>'/>"
        self.assertEqual(cut(kept).letter, kept.encode())
        for written in (kept + forged, forged + kept, forged + forged + kept + forged):
            self.assertEqual(cut(written).letter, kept.encode())

    def test_every_spelling(self) -> None:
        """Addresses are compared prepared, names of elements by their namespace, attributes by their value."""
        for forged in (
            "<mark xmlns='urn:x' by='EXAMPLE.org'/>",
            "<mark xmlns='urn:x' by='&#101;xample.org/a'/>",
            "<mark xmlns='urn:x' by='juliet@example.org'>text<body xmlns='jabber:client'>no</body></mark>",
            "<p:mark xmlns:p='urn:x' by='example.org'/>",
            "<mark by=\"example.org\" xmlns = 'urn:x' ></mark >",
            "<mark xmlns='urn:x' by='\uff45xample.org'/>",
        ):
            self.assertEqual(cut(f"<body>1</body>{forged}<body>2</body>").children, (f"{{{NS_CLIENT}}}body",) * 2, forged)

    def test_nothing_left(self) -> None:
        """A stanza may lose all its children."""
        cleaned = cut("<mark xmlns='urn:x' by='example.org'/>")
        self.assertEqual((cleaned.letter, cleaned.children), (b"", ()))
