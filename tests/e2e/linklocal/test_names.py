"""Names on a link (L4, L10)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.linklocal.names import LONGEST, InstanceName, folded, host_label


class Names(SynchronousTestCase):
    """Other people's names are opaque, ours can be published."""

    def test_opaque(self) -> None:
        """L10: a name is split at its last sign @, and written again as it came, whatever stands in it."""
        for text, user, machine in (
            ("juliet@pronto", "juliet", "pronto"),
            ("Juliet C.@home@Pronto", "Juliet C.@home", "Pronto"),
            ("nobody", "nobody", ""),
            ("@pronto", "", "pronto"),
        ):
            name = InstanceName.parse(text)
            self.assertEqual((name.user, name.machine), (user, machine))
        self.assertEqual(str(InstanceName.parse("Juliet C.@home@Pronto")), "Juliet C.@home@Pronto")

    def test_machine(self) -> None:
        """L10: the machine's part is a host name in ASCII, without its domain; there is always one."""
        for machine, expected in (
            ("pronto.lan", "pronto"),
            ("J\u00fclia's PC", "J-lia-s-PC"),
            ("", "xmppfed"),
            ("...", "xmppfed"),
        ):
            self.assertEqual(InstanceName.made("juliet", machine).machine, expected)

    def test_user(self) -> None:
        """L10: the user's part may be of any script; dots and what cannot be seen are not published."""
        self.assertEqual(str(InstanceName.made("j.\u00fclia\u0300 \x07c", "pronto")), "j-\u00fcli\u00e0--c@pronto")
        self.assertEqual(str(InstanceName.made("", "pronto")), "user@pronto")

    def test_conflict(self) -> None:
        """L4: who finds its name taken counts on behind the user's part."""
        name = InstanceName.made("juliet", "pronto")
        names = [str(name := name.renamed()) for _ in range(11)]
        self.assertEqual(names[:2] + names[-2:], ["juliet-1@pronto", "juliet-2@pronto", "juliet-10@pronto", "juliet-11@pronto"])

    def test_zero(self) -> None:
        """A number that we would not write is part of the name."""
        self.assertEqual(str(InstanceName("juliet-0", "pronto").renamed()), "juliet-0-1@pronto")

    @given(st.text(max_size=80), st.text(max_size=80))
    def test_fits(self, user: str, machine: str) -> None:
        """Whatever people are called, the name is one label, is not changed by being read, and can be counted on."""
        name = InstanceName.made(user, machine)
        for made in (name, name.renamed(), name.renamed().renamed()):
            self.assertLessEqual(len(str(made).encode()), LONGEST)
            self.assertNotIn(".", str(made))
            self.assertEqual(InstanceName.parse(str(made)), made)
            self.assertTrue(made.machine.isascii())
        self.assertEqual(len({name, name.renamed(), name.renamed().renamed()}), 3)

    @given(st.text(max_size=80))
    def test_any_name(self, text: str) -> None:
        """Whatever somebody publishes is a name, and stays the same."""
        self.assertIn(str(InstanceName.parse(text)), (text, text.removesuffix("@")))

    def test_same(self) -> None:
        """L10: names are the same whatever the case of their ASCII letters, and of no others (RFC 6762, 16)."""
        self.assertEqual(folded("Juliet@PRONTO"), folded("juliet@pronto"))
        self.assertNotEqual(folded("\u00dcli@pronto"), folded("\u00fcli@pronto"))

    def test_host(self) -> None:
        """L4: our host name is one that nobody else claims."""
        self.assertRegex(host_label(), "^xf-[0-9a-f]{8}$")
        self.assertNotEqual(host_label(), host_label())
