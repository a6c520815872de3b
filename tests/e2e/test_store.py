"""Acquaintances are kept, and found again by name and by key."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.e2e.store import FileTrustStore, MemoryTrustStore
from xmppfed.e2e.trust import Acquaintance, Trust
from xmppfed.errors import ConfigError

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def juliet(key: bytes | None = KEY, name: str = "juliet@pronto", *, revoked: bool = False) -> Acquaintance:
    """Somebody."""
    return Acquaintance(name=name, trust=Trust.PAIRED, spki_sha256=key, revoked=revoked, first_seen=1.5, last_seen=2.5)


class Memory(SynchronousTestCase):
    """What every store does."""

    def make(self) -> MemoryTrustStore:
        """An empty store."""
        return MemoryTrustStore()

    def setUp(self) -> None:
        self.store = self.make()

    def test_found(self) -> None:
        """By name, whatever its case, and by key."""
        self.store.keep(juliet())
        self.assertEqual(self.store.by_name("JULIET@Pronto"), juliet())
        self.assertEqual(self.store.by_key(KEY), juliet())
        self.assertIsNone(self.store.by_name("romeo@forza"))
        self.assertIsNone(self.store.by_key(OTHER_KEY))

    def test_renamed(self) -> None:
        """T4: one key is one person: under a new name it is found under that alone."""
        self.store.keep(juliet())
        self.store.keep(juliet(name="juliet-1@pronto"))
        self.assertIsNone(self.store.by_name("juliet@pronto"))
        self.assertEqual([one.name for one in self.store.all()], ["juliet-1@pronto"])

    def test_new_key(self) -> None:
        """A name has one key: the last that was kept."""
        self.store.keep(juliet())
        self.store.keep(juliet(OTHER_KEY))
        self.assertIsNone(self.store.by_key(KEY))
        self.assertEqual(self.store.by_name("juliet@pronto"), juliet(OTHER_KEY))

    def test_revoked(self) -> None:
        """A revoked key stays known as one, and does not come back when its name gets another."""
        self.store.keep(juliet())
        self.store.keep(juliet(revoked=True))
        self.assertIsNone(self.store.by_name("juliet@pronto"))
        self.store.keep(juliet(OTHER_KEY))
        self.assertEqual(self.store.by_key(KEY), juliet(revoked=True))
        self.assertEqual(self.store.all(), [juliet(OTHER_KEY), juliet(revoked=True)])

    def test_without_key(self) -> None:
        """Who has no key to be known by is found by name alone."""
        self.store.keep(juliet(None))
        self.assertEqual(self.store.by_name("juliet@pronto"), juliet(None))


class File(Memory):
    """What a file adds."""

    def make(self) -> MemoryTrustStore:
        """In a folder of its own."""
        self.path = Path(self.mktemp()) / "peers.json"
        self.path.parent.mkdir()
        return FileTrustStore(self.path)

    def test_kept(self) -> None:
        """All of it is there when the file is read again; it is for its owner alone, and a person can read it."""
        for one in (juliet(), juliet(None, "romeo@forza"), juliet(OTHER_KEY, "paris", revoked=True)):
            self.store.keep(one)
        self.assertEqual(FileTrustStore(self.path).all(), self.store.all())
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertIn(f'"spki_sha256": "{KEY.hex()}"', self.path.read_text())

    def test_damaged(self) -> None:
        """T4: a file that cannot be read is no empty one, and the error names it."""
        for text in (
            "",
            "[",
            "{}",
            '[{"name": 1}]',
            '[{"name": "a", "trust": "x"}]',
            '[{"name":"a","trust":"plain","spki_sha256":"x"}]',
        ):
            self.path.write_text(text)
            self.assertIn(f"{self.path}: found: ", str(self.assertRaises(ConfigError, FileTrustStore, self.path)))

    def test_unwritable(self) -> None:
        """What could not be written is not remembered either."""
        self.path.parent.rmdir()
        self.path.parent.touch()
        self.assertRaises(OSError, self.store.keep, juliet())
        self.assertEqual(self.store.all(), [])

    def test_server(self) -> None:
        """A server's acquaintances are in a folder for its owner alone, which is made when it is needed."""
        data_dir = Path(self.mktemp())
        data_dir.mkdir()
        store = FileTrustStore.under(data_dir)
        self.assertEqual(list(data_dir.iterdir()), [])
        store.keep(juliet())
        self.assertEqual((data_dir / "e2e").stat().st_mode & 0o777, 0o700)
        self.assertEqual(FileTrustStore(data_dir / "e2e" / "peers.json").all(), [juliet()])

    @given(st.lists(st.builds(juliet, st.sampled_from([None, KEY, OTHER_KEY]), st.text(min_size=1, max_size=9)), max_size=4))
    def test_any_names(self, met: list[Acquaintance]) -> None:
        """Whatever peers are called, they are read as they were kept."""
        store = FileTrustStore(self.path)
        for one in met:
            store.keep(one)
        self.assertEqual(FileTrustStore(self.path).all(), store.all())
