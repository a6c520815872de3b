"""Stanzas as tests write them, and what fits them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.testing.patterns import fits, shown, stanza

HELLO = stanza(
    "<message from='romeo@montague.example' type='chat' id='1'><body>But soft!</body>"
    "<x xmlns='urn:example:a'><item n='1'/><item n='2'/></x></message>"
)


class Writing(SynchronousTestCase):
    """What counts as a stanza."""

    def test_text(self) -> None:
        """Text needs no namespace: it is what clients say, and so are its children."""
        self.assertEqual(HELLO.kind, "message")
        self.assertEqual(HELLO.element.namespace, NS_CLIENT)
        self.assertEqual(HELLO.children, (f"{{{NS_CLIENT}}}body", "{urn:example:a}x"))

    def test_text_with_namespace(self) -> None:
        """The namespace may be there as well, and white space around the text means nothing."""
        self.assertEqual(
            stanza("\n<iq xmlns='jabber:client' type='get'/> ").to_bytes(NS_CLIENT, declare=False), b"<iq type='get'/>"
        )

    def test_element_and_stanza(self) -> None:
        """An element is written as it is; a stanza is left alone."""
        self.assertEqual(stanza(Element("presence", NS_CLIENT, {"type": "unavailable"})).type, "unavailable")
        self.assertIs(stanza(HELLO), HELLO)

    def test_no_xml(self) -> None:
        """Text that cannot be read is the fault of the test, and shown."""
        error = self.assertRaises(ValueError, stanza, "<message><body></message>")
        self.assertIn("found '<message><body></message>', which cannot be read", str(error))

    def test_no_stanza(self) -> None:
        """Another element, or a stanza of another language, is no stanza of a client."""
        for text in ("<open/>", "<message xmlns='urn:example:a'/>"):
            self.assertIn("wanted a message, presence or iq", str(self.assertRaises(ValueError, stanza, text)))


class Fitting(SynchronousTestCase):
    """What a pattern asks for has to be there; more does not matter."""

    def test_what_fits(self) -> None:
        """Kinds, attributes, text and children at any depth and in any order."""
        for pattern in (
            "message",
            "<message/>",
            "<message type='chat'/>",
            "<message><body/></message>",
            "<message id='1'><body> But soft! </body></message>",
            "<message><x xmlns='urn:example:a'><item n='2'/></x><body/></message>",
            "<message><x xmlns='urn:example:a'><item/><item n='1'/></x></message>",
        ):
            self.assertTrue(fits(pattern, HELLO), pattern)

    def test_what_does_not_fit(self) -> None:
        """Another kind, value, text, name, namespace, or more children than there are."""
        for pattern in (
            "iq",
            "<presence/>",
            "<message type='normal'/>",
            "<message to='juliet@capulet.example'/>",
            "<message><body>But</body></message>",
            "<message><subject/></message>",
            "<message><x xmlns='urn:example:b'/></message>",
            "<message><x xmlns='urn:example:a'><item n='1'/><item n='1'/></x></message>",
            "<message><body/><body/></message>",
        ):
            self.assertFalse(fits(pattern, HELLO), pattern)


class Showing(SynchronousTestCase):
    """What a failing test prints."""

    def test_lines(self) -> None:
        """One stanza a line, without the namespace they all share."""
        self.assertEqual(shown([stanza("<iq id='1'/>"), stanza("<presence/>")]), "  <iq id='1'/>\n  <presence/>")

    def test_nothing(self) -> None:
        """Nothing is said in words."""
        self.assertEqual(shown([]), "  nothing")
