"""Tests for `xmppfed.core.disco`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.disco import NS_DATA, NS_INFO, form, info, verification
from xmppfed.core.element import Element
from xmppfed.core.tree import parse_tree

COMPLEX = """<query xmlns='http://jabber.org/protocol/disco#info'
       node='http://psi-im.org#q07IKJEyjvHSyhy//CH0CxmKi8w='>
  <identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>
  <identity xml:lang='el' category='client' name='\u03a8 0.11' type='pc'/>
  <feature var='http://jabber.org/protocol/caps'/>
  <feature var='http://jabber.org/protocol/disco#info'/>
  <feature var='http://jabber.org/protocol/disco#items'/>
  <feature var='http://jabber.org/protocol/muc'/>
  <x xmlns='jabber:x:data' type='result'>
    <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>
    <field var='ip_version' type='text-multi'><value>ipv4</value><value>ipv6</value></field>
    <field var='os'><value>Mac</value></field>
    <field var='os_version'><value>10.5.1</value></field>
    <field var='software'><value>Psi</value></field>
    <field var='software_version'><value>0.11</value></field>
  </x>
</query>"""
SIMPLE = "http://jabber.org/protocol/"


class VerificationTests(SynchronousTestCase):
    """The verification string (XEP-0115, 5.1)."""

    def simple(self, *features: str) -> Element:
        query = info("client", "pc", [f"{SIMPLE}{feature}" for feature in features])
        query.children[0] = Element("identity", NS_INFO, {"category": "client", "type": "pc", "name": "Exodus 0.9.1"})
        return query

    def test_simple_example(self) -> None:
        """The example of 5.2, whatever the order of the features."""
        for features in (("caps", "disco#info", "disco#items", "muc"), ("muc", "disco#items", "caps", "disco#info")):
            self.assertEqual(verification(self.simple(*features)), "QgayPKawpkPSDYmwT/WM94uAlu0=")

    def test_complex_example(self) -> None:
        """The example of 5.3, with two languages and a form; whatever the order of identities, fields and values."""
        query = parse_tree(COMPLEX.encode())
        self.assertEqual(verification(query), "q07IKJEyjvHSyhy//CH0CxmKi8w=")
        backwards = Element("query", NS_INFO, {}, list(reversed(list(query.elements()))))
        for software in backwards.elements():
            if software.namespace == NS_DATA:
                software.children = list(reversed(list(software.elements())))
                for field in software.elements():
                    field.children = list(reversed(list(field.elements())))
        self.assertEqual(verification(backwards), "q07IKJEyjvHSyhy//CH0CxmKi8w=")

    def test_forms_are_sorted_by_type(self) -> None:
        """Two forms hash alike in either order."""
        forms = [form("urn:a", [("x", ["1"])]), form("urn:b", [("x", ["2"])])]
        one, two = (verification(info("server", "im", [], each)) for each in (forms, forms[::-1]))
        self.assertEqual(one, two)
        self.assertNotEqual(one, verification(info("server", "im", [], forms[:1])))


class FormTests(SynchronousTestCase):
    """Forms of results (XEP-0128)."""

    def test_written(self) -> None:
        """The type is hidden and comes first (XEP-0068, 3)."""
        self.assertEqual(
            form("urn:a", [("x", ["1", "2"]), ("y", [])]).to_xml(),
            "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:a</value></field>"
            "<field var='x'><value>1</value><value>2</value></field><field var='y'/></x>",
        )
