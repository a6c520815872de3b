"""Names and keys of peers, as people see and type them."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.shown import abbreviated, base64_pin, fingerprint, key_of, key_part, printable

KEY = bytes(range(0xE0, 0x100))
HEX = KEY.hex()


class Names(SynchronousTestCase):
    """What stands in a name does nothing to whoever reads it."""

    def test_unseen(self) -> None:
        """What steers a terminal, ends a line, turns the direction or cannot be seen is escaped."""
        for name, shown in (
            ("\x1b[2Jjuliet", r"\x1b[2Jjuliet"),
            ("a\nb\r", r"a\nb\r"),
            ("evil\u202etxt.exe", r"evil\u202etxt.exe"),
            ("ju\u200bliet", r"ju\u200bliet"),
            ("\ud800", r"\ud800"),
            ("a\xa0b\x9b", r"a\xa0b\x9b"),
        ):
            self.assertEqual(printable(name), shown)

    def test_seen(self) -> None:
        """Letters of all scripts, signs and blanks stay."""
        for name in ("Juliet C.@pronto", "ромео@пример", "ジュリエット", r"juliet\20m@pronto", "🌹"):
            self.assertEqual(printable(name), name)

    @given(st.text())
    def test_always_printable(self, name: str) -> None:
        """Whatever the name."""
        self.assertTrue(printable(name).isprintable())


class Keys(SynchronousTestCase):
    """A key is written in one way, and read in all that people meet."""

    def test_written(self) -> None:
        """Hexadecimal in groups of four; the beginning of the same; base64 as others have it."""
        self.assertTrue(fingerprint(KEY).startswith("e0e1:e2e3:e4e5:e6e7:"))
        self.assertEqual(abbreviated(KEY), "e0e1:e2e3:e4e5:e6e7")
        self.assertEqual(base64_pin(KEY), b64encode(KEY).decode())

    def test_read(self) -> None:
        """Hexadecimal with any colons and of any case, base64 of both kinds, with the algorithm before it or not."""
        forms = [HEX, HEX.upper(), KEY.hex(":"), KEY.hex(" ", 2), fingerprint(KEY), f"  {HEX}\n", base64_pin(KEY)]
        forms += [base64_pin(KEY).rstrip("="), urlsafe_b64encode(KEY).decode()]
        for form in forms:
            for prefix in ("", "sha-256 ", "SHA256:", "sha256/", "sha256//", " sha-256="):
                self.assertEqual(key_of(prefix + form), KEY, prefix + form)

    @given(st.binary(min_size=32, max_size=32))
    def test_any(self, key: bytes) -> None:
        """What is written for any key is read as that key."""
        self.assertEqual((key_of(fingerprint(key)), key_of(base64_pin(key))), (key, key))

    def test_not_read(self) -> None:
        """Too short, too long, other letters, another algorithm, or nothing."""
        wrong_hex = ("", HEX[:-1], f"{HEX}0", f"{HEX[:-1]}g", f"sha-256{HEX}")
        for text in (*wrong_hex, f"sha-1 {HEX[:40]}", base64_pin(KEY)[:-2], "é" * 43):
            self.assertIsNone(key_of(text), text)

    def test_part(self) -> None:
        """Eight digits are enough to look a key up by; fewer are a name."""
        for text in ("e0e1e2e3", "E0E1:e2e3", fingerprint(KEY), base64_pin(KEY), abbreviated(KEY)):
            self.assertTrue(key_part(text) and HEX.startswith(key_part(text)), text)
        for text in ("e0e1e2e", "juliet@pronto", "", f"{HEX}00"):
            self.assertEqual(key_part(text), "")
