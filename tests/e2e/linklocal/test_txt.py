"""TXT records (L2, L3, L5, L8, L9, L16, L21)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.linklocal.txt import LinkPresence, Personal, read_txt, write_txt

FULL = LinkPresence(
    status="dnd",
    message="studying",
    nick="JuliC",
    node="https://xmppfed.example",
    hash="sha-1",
    ver="QgayPKawpkPSDYmwT/WM94uAlu0=",
    personal=Personal(first="Juliet", last="Capulet", email="juliet@capulet.lit", jid="juliet@capulet.lit j@verona.lit"),
)


class Written(SynchronousTestCase):
    """What we publish."""

    def test_least(self) -> None:
        """L3, L21: `txtvers` first, the status, and the port for old readers; nothing personal unless it is given."""
        strings = write_txt(LinkPresence(), 5298)
        self.assertEqual(list(strings.items()), [("txtvers", b"1"), ("port.p2pj", b"5298"), ("status", b"avail")])

    def test_all(self) -> None:
        """L8, L9, L16: the keys of the registry."""
        strings = write_txt(FULL, 5298)
        self.assertEqual(strings["msg"], b"studying")
        self.assertEqual(strings["1st"] + b" " + strings["last"], b"Juliet Capulet")
        self.assertEqual([*strings][-4:], ["1st", "last", "email", "jid"])
        self.assertEqual(strings["ver"], b"QgayPKawpkPSDYmwT/WM94uAlu0=")

    def test_long(self) -> None:
        """L3: no string has more than 255 octets; it ends with a whole character."""
        strings = write_txt(LinkPresence(message="\u00fc" * 200), 5298)
        self.assertEqual(strings["msg"], "\u00fc".encode() * 125)

    def test_full(self) -> None:
        """L3: the record has room; what is personal is left out first."""
        long = "x" * 300
        presence = LinkPresence(
            message=long, nick=long, node=long, hash="sha-1", ver=long, personal=Personal(first=long, jid="a@b")
        )
        strings = write_txt(presence, 5298)
        self.assertNotIn("1st", strings)
        self.assertEqual(strings["jid"], b"a@b")
        self.assertLessEqual(sum(2 + len(key) + len(value) for key, value in strings.items()), 1300)

    @given(
        st.builds(LinkPresence, message=st.text(), nick=st.text(), node=st.text(), personal=st.builds(Personal, jid=st.text()))
    )
    def test_any(self, presence: LinkPresence) -> None:
        """Whatever it says, it fits, and what is read from it is the beginning of it."""
        strings = write_txt(presence, 65535)
        for key, value in strings.items():
            self.assertLessEqual(len(key) + 1 + len(value), 255)
        read = read_txt({key.encode(): value for key, value in strings.items()})
        whole = presence.message.encode("utf-8", "replace").decode()
        self.assertTrue(whole.startswith(read.message))


class Read(SynchronousTestCase):
    """What others publish."""

    def test_again(self) -> None:
        """What we write is read as it was."""
        self.assertEqual(read_txt({key.encode(): value for key, value in write_txt(FULL, 5298).items()}), FULL)

    def test_nothing(self) -> None:
        """L2, L5: a record without anything is one; the status is then `avail`."""
        self.assertEqual(read_txt({}), LinkPresence())
        self.assertEqual(read_txt({b"": None, b"status": None, b"vc": b"AVC!", b"AIM": b"x"}), LinkPresence())

    def test_unknown_status(self) -> None:
        """L8: a status that nobody knows is taken for the usual one."""
        self.assertEqual(read_txt({b"status": b"chatty"}).status, "avail")

    def test_case(self) -> None:
        """RFC 6763, 6.4: keys are compared without their case."""
        self.assertEqual(read_txt({b"STATUS": b"away", b"Msg": b"x"}), LinkPresence(status="away", message="x"))

    @given(st.dictionaries(st.binary(max_size=20), st.none() | st.binary(max_size=60)))
    def test_any(self, strings: dict[bytes, bytes | None]) -> None:
        """L5: whatever comes is read, and is presence."""
        self.assertIn(read_txt(strings).status, ("avail", "away", "dnd"))
