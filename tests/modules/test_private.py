"""Private XML Storage (XEP-0049)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.fakes import condition
from xmppfed.modules.private import NS
from xmppfed.testing.federation import Federation

JULIET = "juliet@capulet.example"
GET = f"<iq xmlns='jabber:client' type='get'{{to}}><query xmlns='{NS}'>{{what}}</query></iq>"
SET = GET.replace("get", "set")
EXODUS = "<exodus xmlns='exodus:prefs'/>"
FULL = "<exodus xmlns='exodus:prefs'><defaultnick>Ham &amp; let</defaultnick></exodus>"


class PrivateCase(SynchronousTestCase):
    """juliet, with two resources, and others."""

    settings = ""

    def setUp(self) -> None:
        self.federation = Federation("capulet.example", "montague.example", configuration={"*": self.settings})
        self.addCleanup(self.federation.cleanup)
        self.juliet = self.federation.client(f"{JULIET}/balcony")
        self.tablet = self.federation.client(f"{JULIET}/tablet")

    def read(self, what: str = EXODUS, to: str = "") -> str:
        """What juliet's tablet finds."""
        [query] = self.tablet.request(GET.format(what=what, to=to)).element.elements()
        return "".join(child.to_xml() for child in query.elements())

    def write(self, *what: str, to: str = "") -> str:
        """The condition of the error that juliet gets for it, or nothing."""
        answer = self.juliet.request(SET.format(what="".join(what), to=to))
        return condition(answer) if answer.type == "error" else ""


class KeptTests(PrivateCase):
    """Elements are kept by their names."""

    def test_written_and_read(self) -> None:
        """Every resource of the account reads what one wrote last; an own address means the same as none."""
        for to in ("", f" to='{JULIET}'"):
            self.assertEqual(self.write(FULL, to=to), "")
            self.assertEqual(self.read(to=to), FULL)
        self.write(EXODUS)
        self.assertEqual(self.read(), EXODUS)

    def test_nothing_there(self) -> None:
        """What was never written is empty."""
        self.assertEqual(self.read(), EXODUS)

    def test_by_name_and_namespace(self) -> None:
        """Another name is another element, and so is another namespace; several can be written at once."""
        others = "<exodus xmlns='urn:x'>1</exodus>", "<other xmlns='exodus:prefs'>2</other>"
        self.assertEqual(self.write(FULL, *others), "")
        for element in (FULL, *others):
            self.assertEqual(self.read(element), element)


class RefusedTests(PrivateCase):
    """What is not told, and not kept."""

    def test_of_another_account(self) -> None:
        """Others, here and elsewhere, neither read nor write it, and cannot tell whether there is such an account."""
        self.write(FULL)
        others = ("nurse@capulet.example/hall", "juliet@montague.example/balcony")
        for other in map(self.federation.client, others):
            for asked in (GET, SET):
                answers = [
                    other.request(asked.format(to=f" to='{name}@capulet.example'", what=EXODUS)) for name in ("juliet", "nobody")
                ]
                self.assertEqual([condition(answer) for answer in answers], ["service-unavailable"] * 2)
        self.assertEqual(self.read(), FULL)

    def test_malformed(self) -> None:
        """One element is read at a time; what is written needs a namespace of its own; all of it or nothing is kept."""
        for what in ("", FULL + EXODUS):
            self.assertEqual(condition(self.juliet.request(GET.format(to="", what=what))), "bad-request")
        for what in ("", "text", "<a/>", f"{FULL}<a xmlns=''/>"):
            self.assertEqual(self.write(what), "not-acceptable")
        self.assertEqual(self.read(), EXODUS)


class BoundedTests(PrivateCase):
    """What is kept for one account is bounded."""

    settings = "[modules.private]\nmax_bytes = 1024"

    def test_size(self) -> None:
        """An element that is too long is refused, with the limit."""
        long = "<a xmlns='urn:x'>{}</a>"
        room = 1024 - len(long.format(""))
        self.assertEqual(self.write(long.format("x" * room)), "")
        self.assertEqual(self.write(EXODUS, long.format("y" * (room + 1))), "policy-violation")
        self.assertEqual(self.read(long.format("")), long.format("x" * room))

    def test_number(self) -> None:
        """A hundred names; what is there can still be changed."""
        self.assertEqual(self.write(*(f"<a{n} xmlns='urn:x'/>" for n in range(100))), "")
        self.assertEqual(self.write("<more xmlns='urn:x'/>"), "resource-constraint")
        self.assertEqual(self.write("<a7 xmlns='urn:x'>1</a7>"), "")
        self.assertEqual(self.read("<more xmlns='urn:x'/>"), "<more xmlns='urn:x'/>")
