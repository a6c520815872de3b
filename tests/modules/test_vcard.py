"""vcard-temp (XEP-0054)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.fakes import condition
from xmppfed.core.stanza import Stanza
from xmppfed.modules.vcard import NS
from xmppfed.testing.federation import Federation

JULIET, ROMEO = "juliet@capulet.example", "romeo@montague.example"
GET = f"<iq type='get'{{}}><vCard xmlns='{NS}'/></iq>"
CARD = f"<vCard xmlns='{NS}'><FN>Juliet &lt;3</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>{{}}</BINVAL></PHOTO></vCard>"


class VCardCase(SynchronousTestCase):
    """juliet, the nurse of the same server, and romeo of another."""

    settings = ""

    def setUp(self) -> None:
        self.federation = Federation("capulet.example", "montague.example", configuration={"*": self.settings})
        self.addCleanup(self.federation.cleanup)
        self.juliet = self.federation.client(f"{JULIET}/balcony")
        self.nurse = self.federation.client("nurse@capulet.example/hall")
        self.romeo = self.federation.client(f"{ROMEO}/orchard")

    def write(self, card: str = CARD.format("AA=="), to: str = "") -> Stanza:
        """The answer to juliet's wish to have a vCard."""
        return self.juliet.request(f"<iq type='set'{to}>{card}</iq>")


class KeptTests(VCardCase):
    """A vCard is kept, and shown to everybody."""

    def test_written_and_read(self) -> None:
        """Its owner, others here and others elsewhere read what was written last; an own address means the same as none."""
        for to in ("", f" to='{JULIET}'"):
            card = CARD.format(f"{len(to)}")
            self.assertEqual((self.write(card, to).type, self.juliet.request(GET.format(to)).type), ("result",) * 2)
            for who in (self.juliet, self.nurse, self.romeo):
                answer = who.request(GET.format(f" to='{JULIET}'"))
                self.assertEqual([child.to_xml() for child in answer.element.elements()], [card])

    def test_not_asked_of_a_client(self) -> None:
        """The server answers for the account; the client hears nothing of it (XEP-0054, 3.3)."""
        self.write()
        self.romeo.request(GET.format(f" to='{JULIET}'"))
        self.juliet.expect_nothing()

    def test_until_the_account_is_gone(self) -> None:
        """A new account by the same name has none."""
        self.write()
        accounts = self.federation.server("capulet.example").storage.accounts
        self.federation.result(accounts.delete("capulet.example", "juliet"))
        self.federation.account(JULIET)
        self.assertEqual(condition(self.nurse.request(GET.format(f" to='{JULIET}'"))), "service-unavailable")

    def test_any_content(self) -> None:
        """What a client writes comes back to other servers as it is, whatever names it has."""
        card = f"<vCard xmlns='{NS}'><X-A a='1'>\u00e9</X-A><b xmlns='urn:x'><body xmlns='jabber:client'/></b></vCard>"
        self.write(card)
        [child] = self.nurse.request(GET.format(f" to='{JULIET}'")).element.elements()
        self.assertEqual(child.to_xml(), card)


class RefusedTests(VCardCase):
    """What is not told, and not kept."""

    def test_none(self) -> None:
        """Its owner hears that there is none; others cannot tell that from an account that does not exist, nor by setting
        one (XEP-0054, 3.3)."""
        self.assertEqual(condition(self.juliet.request(GET.format(""))), "item-not-found")
        for who in (self.nurse, self.romeo):
            answers = []
            for name in ("juliet", "nobody"):
                for asked in (
                    GET.format(f" to='{name}@capulet.example'"),
                    f"<iq to='{name}@capulet.example' type='set'>{CARD}</iq>",
                ):
                    answers.append(who.request(asked).letter)
            self.assertEqual(answers[:2], answers[2:])
            self.assertIn(b"service-unavailable", answers[0])
            self.assertIn(b"forbidden", answers[1])

    def test_others_cannot_write(self) -> None:
        """Nor a namesake elsewhere."""
        self.write()
        namesake = self.federation.client("juliet@montague.example/x")
        for who in (self.nurse, self.romeo, namesake):
            forged = f"<iq to='{JULIET}' type='set'>{CARD.format('forged')}</iq>"
            self.assertEqual(condition(who.request(forged)), "forbidden")
        self.assertNotIn(b"forged", self.juliet.request(GET.format("")).letter)

    def test_anonymous(self) -> None:
        """Who has no account has no vCard."""
        federation = Federation("guests.example", configuration={"*": "[services.c2s_ws]\nanonymous = ['guests.example']"})
        self.addCleanup(federation.cleanup)
        guest = federation.client("guests.example")
        self.assertEqual(condition(guest.request(f"<iq type='set'>{CARD}</iq>")), "not-allowed")
        self.assertEqual(condition(guest.request(GET.format(""))), "item-not-found")

    def test_the_server_has_none(self) -> None:
        """Asked for itself it answers at once."""
        self.assertEqual(condition(self.juliet.request(GET.format(" to='capulet.example'"))), "service-unavailable")


class OversizedTests(VCardCase):
    """A vCard is bounded."""

    settings = "[modules.vcard]\nmax_bytes = 2000"

    def test_limit(self) -> None:
        """The text says how long it may be; the old one stays. What grows when it is written out counts as it is kept."""
        room = 2000 - len(CARD.format(""))
        self.assertEqual(self.write(CARD.format("A" * room)).type, "result")
        answer = self.write(CARD.format("A" * (room + 1)))
        self.assertEqual(condition(answer), "policy-violation")
        self.assertIn(b"Found a vCard of 2001 bytes; wanted at most 2000", answer.letter)
        many = f"<vCard xmlns='{NS}' xmlns:l='urn:{'x' * 500}'>{'<l:a/>' * 10}</vCard>"
        self.assertLess(len(many), 2000)
        self.assertEqual(condition(self.write(many)), "policy-violation")
        self.assertIn(b"A" * room, self.juliet.request(GET.format("")).letter)


class AvatarTests(VCardCase):
    """The hash of the avatar (XEP-0153)."""

    def test_passes(self) -> None:
        """What a client says of its avatar in presence reaches others as it is."""
        update = "<x xmlns='vcard-temp:x:update'><photo>01b87fcd030b72895ff8e88db57ec525450f000d</photo></x>"
        for other in (self.nurse, self.romeo):
            self.juliet.send(f"<presence to='{other.jid}'>{update}</presence>")
            self.assertEqual(other.expect("presence").letter, update.encode())
        tablet = self.federation.client(f"{JULIET}/tablet")
        self.juliet.send(f"<presence>{update}</presence>")
        self.assertEqual(tablet.take(f"<presence from='{JULIET}/balcony'>{update}</presence>").letter, update.encode())
