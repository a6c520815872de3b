"""How many strangers are let in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.net.admission import Admission


class Somebody:
    """A connection."""

    dismissed = 0

    def dismiss(self) -> None:
        """Count it."""
        self.dismissed += 1


class Caps(SynchronousTestCase):
    """XEP-0205, 4.1."""

    def entered(self, admission: Admission, address: str, times: int) -> int:
        """How many of so many from one address are let in."""
        return sum(admission.enter(Somebody(), address) for _ in range(times))

    def test_defaults(self) -> None:
        """A hundred from one address, ten thousand in all."""
        admission = Admission()
        self.assertEqual(self.entered(admission, "192.0.2.1", 150), 100)
        self.assertEqual(sum(self.entered(admission, f"10.0.{i}.1", 100) for i in range(150)), 9_900)
        self.assertEqual(len(admission), 10_000)

    def test_behind_a_proxy(self) -> None:
        """All have the proxy's address: only the total counts."""
        self.assertEqual(self.entered(Admission(total=500, each=None), "127.0.0.1", 1_000), 500)

    def test_refusing_costs_nothing(self) -> None:
        """Who is refused is not remembered, be it from a million addresses."""
        admission = Admission(total=1)
        self.entered(admission, "192.0.2.1", 1)
        self.assertEqual(sum(self.entered(admission, f"10.0.0.{i}", 1) for i in range(200)), 0)
        self.assertEqual((len(admission), len(admission._counts)), (1, 1))

    def test_room_again(self) -> None:
        """Who leaves makes room, once, however often it is said."""
        admission = Admission(each=1)
        first, second = Somebody(), Somebody()
        self.assertTrue(admission.enter(first, "192.0.2.1"))
        self.assertFalse(admission.enter(second, "192.0.2.1"))
        for _ in range(3):
            admission.leave(first)
            admission.leave(second)
        self.assertTrue(admission.enter(second, "192.0.2.1"))
        self.assertFalse(admission.enter(first, "192.0.2.1"))

    def test_ipv6_counts_by_64(self) -> None:
        """A subscriber has 2^64 addresses at will: they count as one, also on a link (`%eth0`)."""
        admission = Admission(each=2)
        self.assertEqual(sum(self.entered(admission, f"2001:db8::{i:x}", 1) for i in range(1, 9)), 2)
        self.assertEqual(self.entered(admission, "2001:db8:0:1::1", 1), 1)
        self.assertEqual(sum(self.entered(admission, f"fe80::{i:x}%eth0", 1) for i in range(1, 9)), 2)

    def test_ipv4_in_ipv6(self) -> None:
        """A socket for both shows IPv4 addresses as `::ffff:…`: each is its own, and the same as without."""
        admission = Admission(each=1)
        self.assertEqual(self.entered(admission, "::ffff:192.0.2.1", 1), 1)
        self.assertEqual(self.entered(admission, "::ffff:192.0.2.2", 1), 1)
        self.assertEqual(self.entered(admission, "192.0.2.1", 1), 0)

    def test_no_address(self) -> None:
        """The peers of a Unix socket have a word instead."""
        self.assertEqual(self.entered(Admission(each=1), "local", 2), 1)


class HandingOver(SynchronousTestCase):
    """One connection, another object."""

    def test_the_place_goes_with_it(self) -> None:
        """The old object counts no more, the new one once."""
        admission = Admission(each=1)
        channel, websocket = Somebody(), Somebody()
        admission.enter(channel, "192.0.2.1")
        admission.hand_over(channel, websocket)
        admission.leave(channel)
        self.assertFalse(admission.enter(Somebody(), "192.0.2.1"))
        admission.leave(websocket)
        self.assertEqual(len(admission), 0)

    def test_who_has_no_place_hands_over_none(self) -> None:
        """Nobody comes in this way."""
        admission = Admission()
        admission.hand_over(Somebody(), Somebody())
        self.assertEqual(len(admission), 0)


class Dismissing(SynchronousTestCase):
    """The server stops."""

    def test_everybody_is_told(self) -> None:
        """Each stranger once, though some leave at that very moment; who has left is no stranger."""
        admission = Admission()

        class Leaver(Somebody):
            def dismiss(self) -> None:
                """Go at once."""
                super().dismiss()
                admission.leave(self)

        strangers: list[Somebody] = [Somebody(), Leaver(), Leaver(), Somebody()]
        gone = Somebody()
        for one in [*strangers, gone]:
            admission.enter(one, "192.0.2.1")
        admission.leave(gone)
        admission.dismiss()
        self.assertEqual([one.dismissed for one in [*strangers, gone]], [1, 1, 1, 1, 0])


class Anything(SynchronousTestCase):
    """Whatever happens in whatever order, the counts are those of who is there."""

    @given(st.lists(st.tuples(st.sampled_from("elh"), st.integers(0, 5), st.integers(0, 5))))
    def test_counts(self, steps: list[tuple[str, int, int]]) -> None:
        """Compared with a model that counts anew every time."""
        admission = Admission(total=4, each=2)
        people = [Somebody() for _ in range(6)]
        inside: dict[Somebody, str] = {}
        for step, one, other in steps:
            person, address = people[one], f"192.0.2.{other % 3}"
            if step == "e" and person not in inside:
                wanted = len(inside) < 4 and list(inside.values()).count(address) < 2
                self.assertEqual(admission.enter(person, address), wanted)
                if wanted:
                    inside[person] = address
            elif step == "l":
                admission.leave(person)
                inside.pop(person, None)
            elif step == "h" and people[other] not in inside:
                admission.hand_over(person, people[other])
                if person in inside:
                    inside[people[other]] = inside.pop(person)
            self.assertEqual(len(admission), len(inside))
            self.assertEqual(sum(admission._counts.values()), len(inside))
