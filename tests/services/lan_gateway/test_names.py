"""Names on a link as addresses and as text (L10, XEP-0106)."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.jid import JID
from xmppfed.e2e.linklocal.discovery import Peer
from xmppfed.e2e.linklocal.names import folded
from xmppfed.e2e.linklocal.txt import LinkPresence, Personal
from xmppfed.errors import ConfigError, JIDError
from xmppfed.services.lan_gateway.names import instance_of, local_of, marked, name_of, own_names, shown

NAMES = st.text(max_size=63) | st.text("aA@/. %\\024cäÄאﬁ\u0300\u200d", max_size=63)


class Addresses(SynchronousTestCase):
    """A name on the link is any text of 63 octets, and an address is not."""

    def test_examples(self) -> None:
        """L10: dots, blanks, capitals, letters of all languages, and signs that an address cannot have."""
        for name, local in {
            "juliet@pronto": r"juliet\40pronto",
            "Jane.Doe@Pronto": r"jane.doe\40pronto",
            "Juliet C.@pronto": r"juliet\20c.\40pronto",
            "a/b@c": r"a\2fb\40c",
            "ærøskøbing@x": r"ærøskøbing\40x",
            "Ærø@x": r"%c3%86r%c3%b8\40x",
            " juliet ": "%20juliet%20",
            "100%@x": r"100%25\40x",
            "%40": "%2540",
            r"\40": r"\5c40",
            "tab\t@x": r"tab%09\40x",
            "\U0001f600": "%f0%9f%98%80",
            "אבג@x": r"%d7%90%d7%91%d7%92\40x",
        }.items():
            self.assertEqual(local_of(name), local)

    def test_too_long(self) -> None:
        """What no record could hold is no contact."""
        self.assertIn("cannot be written as an address", str(self.assertRaises(JIDError, local_of, "ä@" * 600)))

    def test_empty(self) -> None:
        """A name is something."""
        self.assertRaises(JIDError, local_of, "")

    @given(NAMES.filter(bool))
    def test_round_trip(self, name: str) -> None:
        """Every name has an address, which preparation leaves as it is, and comes back from it; so no two have the same, but
        for the case of ASCII, which means nothing on a link."""
        local = local_of(name)
        self.assertEqual(instance_of(local), folded(name))
        self.assertEqual(str(JID.parse(f"{local}@local")), f"{local}@local")
        self.assertEqual(local_of(folded(name)), local)


class Own(SynchronousTestCase):
    """What our accounts are called on the link."""

    def test_names(self) -> None:
        """By their localpart and the machine; what others cannot publish is taken out."""
        found = own_names(["juliet@capulet.example", "jane.doe@capulet.example"], "pronto.example.org")
        self.assertEqual([str(name) for name in found.values()], ["juliet@pronto", "jane-doe@pronto"])

    def test_same(self) -> None:
        """Two accounts of one name on the link would have one key."""
        for other in ("juliet@montague.example", "jul-iet@capulet.example"):
            text = str(self.assertRaises(ConfigError, own_names, ["jul.iet@capulet.example", "juliet@x.example", other], "m"))
            self.assertIn(f"and {other}; wanted accounts with different names", text)


class Texts(SynchronousTestCase):
    """What a person sees."""

    def name(self, nick: str = "", instance: str = "romeo@forza", first: str = "", last: str = "") -> str:
        return name_of(Peer(instance, LinkPresence(nick=nick, personal=Personal(first=first, last=last))))

    def test_name(self) -> None:
        """A nick, or the name that is announced; what the system calls its user is no name."""
        self.assertEqual(self.name("Rom", first="Romeo"), "Rom")
        self.assertEqual(self.name(first="root", last="root"), "romeo@forza")
        self.assertEqual(self.name(), "romeo@forza")
        self.assertEqual(self.name("\u200b(\u202e)", "\x07"), "somebody")

    def test_imitation(self) -> None:
        """Nobody can write our word: brackets of any kind are gone, and what is too long is cut before the word."""
        for nick in ("Romeo (paired)", "Romeo \uff08paired\uff09", "Romeo [paired]", "Romeo \u2768paired\u2769"):
            self.assertEqual(marked(self.name(nick), "plain"), "Romeo paired (plain)")
        long = marked(self.name("Romeo (paired)" + " ." * 500), "plain")
        self.assertTrue(long.startswith("Romeo paired") and long.endswith("\u2026 (plain)") and len(long) == 56, long)

    def test_hidden(self) -> None:
        """What cannot be seen, or turns the text around, is gone; lines are one line."""
        self.assertEqual(shown("a\u202eb\u2066c\u200b\u200d\ufeff\x1b[31m\x00\ue000", 99), "abc31m")
        self.assertEqual(shown(" a\r\n\tb\u2028c\u3000d ", 99), "a b c d")

    @given(st.text(), st.integers(2, 300))
    def test_any(self, text: str, most: int) -> None:
        """Whatever somebody writes is one short line that steers nothing."""
        found = shown(text, most)
        self.assertLessEqual(len(found), most)
        self.assertEqual(found, shown(found, most))
        self.assertTrue({unicodedata.category(sign) for sign in found}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp", "Ps", "Pe"}))
